"""Runs that grow, are held open, are retried and are pruned, in the mirror."""

from __future__ import annotations

from collections.abc import Iterable

from tests.model.mirror import Mirror
from tests.model.rows import HOLD_SECONDS, UNDOING_SECONDS, Plan, Run, Step


class Growing(Mirror):
    """A mirror whose runs change, come again and go."""

    def __init__(self) -> None:
        super().__init__()
        self.gone: list[Run] = []
        """Pruned ones, kept so that no new object has their `id()`."""

    def grow(self, run: Run, plan: Plan) -> bool:
        """Add a step; whether that can be."""
        if run.over or run.failing is not None:
            return False
        run.tell("step_added")
        self._withdraw(run)
        run.steps[plan.name] = Step(plan=plan)
        self.settle(run)
        return True

    def hold(self, run: Run, owner: str) -> bool:
        """Hold a run open, or longer than before; whether that can be."""
        if run.over or run.failing is not None:
            return False
        if owner not in run.holds:
            self._withdraw(run)
        run.holds[owner] = self.now + HOLD_SECONDS
        return True

    def let_go(self, run: Run, owner: str, *, error: str | None) -> bool:
        """Let go of a run, with an error where it was given up; whether it was held."""
        if run.holds.pop(owner, None) is None:
            return False
        if error is None:
            self.conclude(run)
        else:
            self.end(run, "failed", error=error)
        return True

    def _withdraw(self, run: Run) -> None:
        run.tasks = [task for task in run.tasks if task.kind != "finish"]

    # -- retry -----------------------------------------------------------------------------------

    def again(self, run: Run, name: str | None) -> set[str]:
        """Return the steps that a retry runs again."""
        found: set[str] = set()
        for step in run.steps.values():  # what a step depends on stands before it
            undoer = run.undoer(step.plan.name)
            if (
                step.status not in ("completed", "skipped")
                or step.plan.name == name
                or (undoer is not None and undoer.fence > 0)
                or found & {*step.plan.before}
            ):
                found.add(step.plan.name)
        return found

    def retry(self, old: Run, name: str | None) -> Run | None:
        """Start a run that retries one that has ended; None where nothing is left to be done."""
        again = self.again(old, name)
        if not again and old.status == "completed":
            return None
        run = Run(
            steps={
                key: Step(plan=step.plan) if key in again else Step(
                    plan=step.plan, status=step.status, output=step.output, reason=step.reason,
                    forgiven=step.forgiven, finished=step.finished,
                ) for key, step in old.steps.items()
            },
            deadline=self.now + old.deadline - old.created
            - (0 if old.failing is None else UNDOING_SECONDS),
            named_output=old.named_output,
            priority=old.priority,
            flow=old.flow,
            created=self.now,
            retry_of=old,
        )  # fmt: skip
        self.runs.append(run)
        for step in run.steps.values():
            if step.over:
                run.tell(f"task_{step.status}")
        self.settle(run)
        return run

    # -- prune -----------------------------------------------------------------------------------

    def prune(self, older: int) -> dict[str, int]:
        """Forget what ended longer ago; the counts."""
        before = self.now - older
        kept_by = [relative for run in self.runs if not run.over for relative in _relatives(run)]
        kept_by += [run for run in self.runs if run.parent and not run.parent.run.over]
        gone = [
            run for run in self.runs
            if run.over and run.ended < before and not any(run is other for other in kept_by)
        ]  # fmt: skip
        counts = {
            "runs": len(gone),
            "steps": sum(len(run.steps) for run in gone),
            "tasks": sum(len(run.tasks) for run in gone),
            "events": sum(run.events.total() for run in gone),
            "approvals": sum(_among(approval.task.run, gone) for approval in self.approvals),
        }
        self.runs = [run for run in self.runs if not _among(run, gone)]
        self.approvals = [one for one in self.approvals if not _among(one.task.run, gone)]
        self.gone += gone
        old = [
            key for key, one in self.emitted.items() if one.until <= self.now and one.at < before
        ]
        for key in old:
            del self.emitted[key]
        forgotten = [
            worker for worker in self.workers.values()
            if worker.status in ("stopped", "dead") and worker.heard < min(before, self.now - 3600)
        ]  # fmt: skip
        for worker in forgotten:
            worker.status = "forgotten"
        return {**counts, "emitted": len(old), "workers": len(forgotten)}


def _relatives(run: Run) -> Iterable[Run]:
    """Return the runs that must stay as long as this one is open."""
    if run.parent is not None:
        yield run.parent.run
    if run.retry_of is not None:
        yield run.retry_of


def _among(run: Run, runs: Iterable[Run]) -> bool:
    return any(run is other for other in runs)
