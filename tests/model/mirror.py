"""What the database must hold after each call, worked out in memory.

It shares no code with the engine: steps are judged by looking at all of them, not by counters, and
what a call leads to is done one thing after the other. The one thing that it does not foretell is
which of the tasks that may be claimed a worker gets; that is read off the fences and judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flowbuilder.types import JsonValue
from tests.model.rows import (
    RUN_SECONDS,
    UNDOING_SECONDS,
    Approval,
    Emission,
    Plan,
    Run,
    Step,
    Task,
    Worker,
)


class Mirror:
    """All runs, workers, approvals and what runs have to tell each other."""

    def __init__(self) -> None:
        self.now = 0
        self.runs: list[Run] = []
        self.workers: dict[str, Worker] = {}
        self.approvals: list[Approval] = []
        self.emitted: dict[str, Emission] = {}
        """Events by key."""
        self.outbox: list[tuple[str, Run, Task | None]] = []
        self.child: list[Plan] = []

    # -- runs and steps -----------------------------------------------------------------------

    def start(
        self,
        plans: Sequence[Plan],
        *,
        named_output: bool,
        parent: Task | None = None,
        priority: int = 0,
        holds: dict[str, int] | None = None,
    ) -> Run:
        deadline = self.now + RUN_SECONDS if parent is None else parent.run.deadline
        run = Run(
            steps={plan.name: Step(plan=plan) for plan in plans},
            deadline=deadline,
            named_output=named_output,
            parent=parent,
            priority=priority if parent is None else parent.run.priority,
            flow="model" if parent is None else "child",
            created=self.now,
            holds={} if holds is None else dict(holds),
        )
        self.runs.append(run)
        self.release(run, tasked_only=True)
        self.settle(run)
        return run

    def release(self, run: Run, *, tasked_only: bool = False) -> bool:
        """Start or skip what is pending and can be judged; whether anything moved."""
        moved = False
        for step in run.steps.values():
            if run.over or step.status != "pending":
                continue
            verdict = _judge(step.plan, [run.steps[name] for name in step.plan.before])
            if verdict == "skip" and not tasked_only:
                self.skip(run, step, "dependency")
            elif verdict == "start" and step.plan.tasked:
                step.status = "running"
                kind = "step" if step.plan.elements is None else "expand"
                task = self._task(run, step.plan, kind=kind)
                if kind == "step":
                    step.tasks = [task]
            elif verdict == "start" and not tasked_only:
                step.status = "running"
                self.open_map(run, step)
            else:
                continue
            moved = True
        return moved

    def settle(self, run: Run) -> None:
        """Go round until nothing moves; then the run may be over."""
        while self.release(run):
            pass
        self.conclude(run)

    def conclude(self, run: Run) -> None:
        """End a run in which every step has ended, or ask for its output."""
        if run.status not in ("queued", "running") or run.holds or run.failing is not None:
            return
        if not all(step.over for step in run.steps.values()):
            return
        if not run.named_output:
            needed = {name for step in run.steps.values() for name in step.plan.before}
            self.end(run, "completed", output={
                name: step.output for name, step in run.steps.items()
                if step.status == "completed" and name not in needed})  # fmt: skip
        elif not any(task.kind == "finish" for task in run.tasks):
            self._task(run, None, kind="finish")

    def _task(
        self, run: Run, plan: Plan | None, *, kind: str, element: int = -1, item: JsonValue = None
    ) -> Task:
        task = Task(run=run, plan=plan, kind=kind, element=element, sent=True, item=item)
        run.tasks.append(task)
        return task

    def open_map(self, run: Run, step: Step) -> None:
        source = step.plan.elements
        if isinstance(source, str):
            origin = run.steps[source]
            bare = origin.status != "completed" or origin.forgiven
            elements = [] if bare else origin.output
        else:
            elements = source
        if not isinstance(elements, list):
            run.tell("task_failed")
            self.fail(run, step, "for_each_not_array")
            return
        step.tasks = [
            self._task(run, step.plan, kind="step", element=place, item=item)
            for place, item in enumerate(elements)
        ]
        for task in step.tasks:
            task.status, task.sent = "pending", False
        self.admit(step, len(elements) if step.plan.window is None else step.plan.window)
        if not elements:
            step.close("completed", self.now)
            step.output = []
            run.tell("task_completed")

    def admit(self, step: Step, count: int) -> None:
        for task in [task for task in step.tasks if task.status == "pending"][:count]:
            task.queue()

    def count(self, tasks: Iterable[Task]) -> None:
        """Complete the steps whose last task has just ended, and let maps go on."""
        by_step: dict[tuple[int, str], list[Task]] = {}
        for task in tasks:
            assert task.plan is not None
            by_step.setdefault((id(task.run), task.plan.name), []).append(task)
        for ended in by_step.values():
            assert ended[0].plan is not None
            run, step = ended[0].run, ended[0].run.steps[ended[0].plan.name]
            if run.over or step.status != "running":
                continue
            if not all(task.over for task in step.tasks):
                self.admit(step, len(ended))
                continue
            step.close("completed", self.now)
            step.output = (
                step.tasks[0].output
                if step.plan.elements is None
                else [task.output for task in step.tasks]
            )

    def skip(self, run: Run, step: Step, reason: str) -> None:
        step.close("skipped", self.now)
        step.reason = reason
        run.tell("task_skipped")

    def fail(self, run: Run, step: Step, code: str) -> None:
        if step.plan.on_error == "fail":
            step.close("failed", self.now)
            self.end(run, "failed", error=code)
        elif step.plan.on_error == "skip":
            self.skip(run, step, "error")
        else:
            step.close("completed", self.now)
            step.output, step.forgiven = None, True

    def end(
        self, run: Run, status: str, *, output: JsonValue = None, error: str | None = None
    ) -> None:
        """End a run, or, where it fails and has done what can be undone, begin to undo that."""
        assert not run.over, "a terminal state is left"
        if status == "failed":
            run.begin()
            if run.failing is None:
                if self._begin_undoing(run, error or ""):
                    return
            else:
                error, run.undone = run.failing, self._report(run)
        run.status, run.output, run.error, run.ended = status, output, error, self.now
        run.holds = {}
        self._abandon(run)
        run.events[f"workflow_{status}"] += 1
        if run.parent is not None:
            self.outbox.append(("child_ended", run, run.parent))
        self._cancel_children(run)

    def _abandon(self, run: Run) -> None:
        for task in run.open_tasks():
            if task.does and task.status in ("running", "waiting"):
                run.events["task_cancelled"] += 1
            task.end("cancelled")
        for step in run.steps.values():
            if not step.over:
                step.close("cancelled", self.now)
        for approval in self.approvals:
            if approval.task.run is run and approval.status == "pending":
                approval.status = "cancelled"

    def _cancel_children(self, run: Run) -> None:
        self.outbox += [
            ("cancel_child", child, None)
            for child in self.runs
            if child.parent is not None and child.parent.run is run and not child.over
        ]

    # -- what is undone ---------------------------------------------------------------------------

    def _begin_undoing(self, run: Run, error: str) -> bool:
        done = [
            (step.finished, place, step.plan.name)
            for place, step in enumerate(run.steps.values())
            if step.status == "completed" and not step.forgiven and step.plan.undo is not None
        ]
        if not done:
            return False
        run.failing, run.undoing = error, [name for _, _, name in sorted(done, reverse=True)]
        run.holds = {}
        run.deadline = max(run.deadline, self.now) + UNDOING_SECONDS
        self._abandon(run)
        run.tell("workflow_compensating")
        self._cancel_children(run)
        self.undo_next(run)
        return True

    def undo_next(self, run: Run) -> None:
        """Begin to undo the next step; after the last one the run ends."""
        for name in run.undoing:
            if run.undoer(name) is None:
                self._task(run, run.steps[name].plan, kind="compensate")
                return
        self.end(run, "failed")

    def _report(self, run: Run) -> tuple[list[str], list[str]]:
        undoers = {name: run.undoer(name) for name in run.undoing}
        good = [name for name, task in undoers.items() if task and task.status == "completed"]
        return good, [name for name in undoers if name not in good]

    # -- what tasks end with --------------------------------------------------------------------

    def finish(self, results: Sequence[tuple[Task, str, str | None, JsonValue]]) -> None:
        """End tasks as completed, failed or skipped (`task, status, code, output`) and go on."""
        closed = [result for result in results if not result[0].over]
        for task, status, _, output in closed:
            task.end(status, output if status == "completed" else None)
            if (task.does and status == "completed") or (
                task.kind != "finish" and status == "failed"
            ):
                task.run.tell(f"task_{status}")
        self.count(
            task for task, status, _, _ in closed
            if task.kind == "step" and task.plan is not None and (status == "completed"
            or (status == "failed" and task.element >= 0 and task.plan.on_error != "fail"))
        )  # fmt: skip
        for task, status, code, output in closed:
            if not task.run.over:
                self._follow(task, status, code, output)
        for run in dict.fromkeys(task.run for task, _, _, _ in closed):
            self.settle(run)

    def _follow(self, task: Task, status: str, code: str | None, output: JsonValue) -> None:
        """Do what an ending means beyond the counting."""
        run = task.run
        if task.kind == "compensate":
            self.undo_next(run)
            return
        if run.failing is not None:
            return
        if task.plan is None:
            good = status == "completed"
            self.end(run, status, output=output if good else None, error=None if good else code)
            return
        step = run.steps[task.plan.name]
        if status == "skipped":
            self.skip(run, step, "condition")
        elif status == "failed":
            if task.element < 0 or task.plan.on_error == "fail":
                self.fail(run, step, code or "")
        elif task.kind == "expand":
            self.open_map(run, step)

    def requeue(self, task: Task) -> None:
        """Take a task away from a worker that is lost; the try costs nothing."""
        task.queue()
        task.worker, task.attempt = None, max(task.attempt - 1, 0)
        if task.does:
            task.run.tell("task_retrying")


def _judge(plan: Plan, before: Sequence[Step]) -> str:
    """start, skip or wait, by the trigger rule."""
    states = [step.status for step in before]
    ended = all(step.over for step in before)
    if plan.rule == "one_success" and before:
        if "completed" in states:
            return "start"
        return "skip" if ended else "wait"
    if plan.rule == "all_success" and "skipped" in states:
        return "skip"
    return "start" if ended else "wait"
