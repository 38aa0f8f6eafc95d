"""What people, events and time do, as it changes the mirror."""

from __future__ import annotations

from flowbuilder.types import JsonValue
from tests.model.deeds import LISTENS, Work
from tests.model.rows import Approval, Emission, Run, Task


class World(Work):
    """A mirror that everything can be done to."""

    # -- people -----------------------------------------------------------------------------------

    def cancel(self, run: Run) -> bool:
        if run.over:
            return False
        self.end(run, "cancelled")
        return True

    def pause(self, run: Run) -> bool:
        if run.status not in ("queued", "running"):
            return False
        run.tell("workflow_paused")
        run.status = "paused"
        return True

    def resume(self, run: Run) -> bool:
        if run.status != "paused":
            return False
        run.status = "running"
        run.tell("workflow_resumed")
        self.conclude(run)
        return True

    def emit(self, key: str, payload: JsonValue, *, keep: int) -> tuple[bool, int]:
        """Let an event happen; whether there was one already, and how many waits it ended."""
        already = key in self.emitted and self.emitted[key].until > self.now
        if not already:
            self.emitted[key] = Emission(payload=payload, at=self.now, until=self.now + keep)
        return already, self.hear(
            [task for task in self.all_tasks() if LISTENS.get(task.wait or "", [""])[0] == key]
        )

    def decide(self, approval: Approval, *, approve: bool) -> bool:
        if approval.status != "pending" or approval.end <= self.now:
            return False
        self._close(approval, "approved" if approve else "rejected", "user:ada")
        return True

    def _close(self, approval: Approval, status: str, by: str | None) -> None:
        granted = status == "approved" or (status == "expired" and approval.granted_by_silence)
        approval.status, task = status, approval.task
        task.run.tell("approval_expired" if status == "expired" else "approval_decided")
        if not granted:
            self.finish([(task, "failed", f"approval_{status}", None)])
        elif approval.kind == "gate":
            task.queue()
            task.approved, task.attempt = True, max(task.attempt - 1, 0)
        else:
            answer: JsonValue = {"approved": True, "by": by, "comment": None, "value": None}
            self.finish([(task, "completed", None, answer)])

    # -- time -----------------------------------------------------------------------------------

    def tick(self) -> None:
        """Do a round of upkeep, and let runs hear of each other."""
        self._bury()
        for run in self.runs:
            if not run.over and run.deadline <= self.now:
                self.end(run, "failed", error="deadline_exceeded")
        for run in self.runs:
            if not run.over and any(until <= self.now for until in run.holds.values()):
                self.end(run, "failed", error="plan_abandoned")
        for task in self.all_tasks():
            if task.status == "running" and task.lease is not None and task.lease <= self.now:
                self.requeue(task)
        for run in list(self.runs):
            self._wake(run)
        while self.outbox:
            self._relay(*self.outbox.pop(0))

    def _bury(self) -> None:
        dead = []
        for name, worker in self.workers.items():
            if worker.status != "live":
                continue
            if worker.locked:
                worker.lock_seen, worker.suspect = True, None
            elif worker.lock_seen and worker.suspect is None:
                worker.suspect = self.now
            elif (worker.suspect is not None and worker.suspect <= self.now - 1) or (
                not worker.lock_seen and worker.heard < self.now - 60
            ):
                dead.append(name)
        self._retire(dead, "dead")

    def _wake(self, run: Run) -> None:
        due = [task for task in run.tasks if task.due is not None and task.due <= self.now]
        for task in due:
            if task.status == "queued":
                task.queue()
        self.finish([
            (task, "completed", None, {"woke_at": ""}) for task in due if task.wait == "nap"
        ])  # fmt: skip
        waits = [task for task in due if task.wait in LISTENS]
        self.hear(waits)
        self.finish([_unheard(task) for task in waits if task.status == "waiting"])
        for approval in sorted(self.approvals, key=lambda one: (one.end, one.task.row)):
            if (
                approval.task.run is run
                and approval.status == "pending"
                and approval.end <= self.now
            ):
                self._close(approval, "expired", None)

    def _relay(self, what: str, run: Run, task: Task | None) -> None:
        if what == "cancel_child":
            if not run.over and run.failing is None:
                self.end(run, "cancelled")
        elif what == "await_event":
            self.hear(run.tasks)
        elif task is None or task.status != "waiting":
            return
        elif what == "start_child":
            self.start(self.child, named_output=False, parent=task)
            task.run.tell("task_progress")
        elif run.status == "completed":
            self.finish([(task, "completed", None, run.output)])
        else:
            self.finish([(task, "failed", f"child_{run.status}", None)])


def _unheard(task: Task) -> tuple[Task, str, str | None, JsonValue]:
    may_end = LISTENS[task.wait or ""][1]
    return (task, "completed", None, None) if may_end else (task, "failed", "event_timeout", None)
