"""What the database must hold after each call, worked out in memory.

It shares no code with the engine: steps are judged by looking at all of them, not by counters, and
what a call leads to is done one thing after the other. The one thing that it does not foretell is
which of the tasks that may be claimed a worker gets; that is read off the fences and judged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from flowbuilder.types import JsonValue

LEASE = 30
DECISION_SECONDS = 40
NAP_SECONDS = 12
RETRY_SECONDS = 5
MAX_CLAIMS = 3
RUN_SECONDS = 400
CLASS = 3600
"""The seconds in the queue that a class of priority is worth."""

Verdict = Literal["accepted", "already", "fenced"]


@dataclass(kw_only=True)
class Plan:
    """A step as its flow has it."""

    name: str
    before: tuple[str, ...]
    rule: str
    on_error: str
    max_attempts: int
    when: bool
    elements: list[JsonValue] | str | None
    """Mapped over this list, or over the output of the step of this name."""
    window: int | None

    @property
    def tasked(self) -> bool:
        """Whether it begins with a task of its own, and not with elements."""
        return self.elements is None or self.when


@dataclass(kw_only=True)
class Task:
    """A task; `due` while it waits in the table for a time, `sent` while it has a message."""

    run: Run
    plan: Plan | None
    element: int = -1
    kind: str = "step"
    status: str = "queued"
    fence: int = 0
    attempt: int = 0
    claims: int = 0
    worker: str | None = None
    lease: int | None = None
    due: int | None = None
    sent: bool = False
    approved: bool = False
    wait: str | None = None
    output: JsonValue = None

    @property
    def over(self) -> bool:
        return self.status in ("completed", "failed", "skipped", "cancelled")

    @property
    def place(self) -> tuple[str | None, int]:
        return (self.plan.name if self.plan else None, self.element)

    def queue(self, *, due: int | None = None) -> None:
        self.status, self.lease, self.wait = "queued", None, None
        self.due, self.sent = due, due is None

    def end(self, status: str, output: JsonValue = None) -> None:
        assert not self.over, "a terminal state is left"
        self.status, self.output = status, output
        self.lease, self.due, self.sent, self.wait = None, None, False, None


@dataclass(kw_only=True)
class Step:
    """A step of a run."""

    plan: Plan
    status: str = "pending"
    tasks: list[Task] = field(default_factory=list)
    """Its elements, or the one task of an unmapped step."""
    output: JsonValue = None
    forgiven: bool = False
    reason: str | None = None

    @property
    def over(self) -> bool:
        return self.status in ("completed", "failed", "skipped", "cancelled")


@dataclass(kw_only=True)
class Approval:
    """A question to a person; `end` by the clock."""

    task: Task
    kind: str
    granted_by_silence: bool
    end: int
    status: str = "pending"


@dataclass(kw_only=True, eq=False)
class Run:
    """A run with all that is in it."""

    steps: dict[str, Step]
    deadline: int
    named_output: bool
    parent: Task | None = None
    priority: int = 0
    status: str = "queued"
    tasks: list[Task] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    error: str | None = None
    output: JsonValue = None

    @property
    def over(self) -> bool:
        return self.status in ("completed", "failed", "cancelled")

    def tell(self, what: str, *, begins: bool = True) -> None:
        """Write an event; the first one begins the run."""
        if begins and self.status == "queued":
            self.status = "running"
            self.events["workflow_started"] += 1
        self.events[what] += 1

    def open_tasks(self) -> list[Task]:
        return [task for task in self.tasks if not task.over]


@dataclass(kw_only=True)
class Worker:
    """A worker: alive by its lock, known as alive or not."""

    status: str = "live"
    locked: bool = True
    lock_seen: bool = False
    suspect: int | None = None
    heard: int = 0


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a worker says of an attempt: a deed of the machine's."""

    task: Task | None
    """None: the task is not there any more."""
    fence: int
    deed: str
    value: JsonValue = None


class Mirror:
    """All runs, workers, approvals and what runs have to tell each other."""

    def __init__(self) -> None:
        self.now = 0
        self.runs: list[Run] = []
        self.workers: dict[str, Worker] = {}
        self.approvals: list[Approval] = []
        self.outbox: list[tuple[str, Run, Task | None]] = []
        self.child: tuple[list[Plan], bool] | None = None

    # -- runs and steps -----------------------------------------------------------------------

    def start(
        self,
        plans: Sequence[Plan],
        *,
        named_output: bool,
        parent: Task | None = None,
        priority: int = 0,
    ) -> Run:
        deadline = self.now + RUN_SECONDS
        if parent is not None:
            deadline = min(deadline, parent.run.deadline)
        run = Run(
            steps={plan.name: Step(plan=plan) for plan in plans},
            deadline=deadline,
            named_output=named_output,
            parent=parent,
            priority=priority if parent is None else parent.run.priority,
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
        if run.status not in ("queued", "running"):
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

    def _task(self, run: Run, plan: Plan | None, *, kind: str, element: int = -1) -> Task:
        task = Task(run=run, plan=plan, kind=kind, element=element, sent=True)
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
            self._task(run, step.plan, kind="step", element=place)
            for place, _ in enumerate(elements)
        ]
        for task in step.tasks:
            task.status, task.sent = "pending", False
        self.admit(step, len(elements) if step.plan.window is None else step.plan.window)
        if not elements:
            step.status, step.output = "completed", []
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
            step.status = "completed"
            step.output = (
                step.tasks[0].output
                if step.plan.elements is None
                else [task.output for task in step.tasks]
            )

    def skip(self, run: Run, step: Step, reason: str) -> None:
        step.status, step.reason = "skipped", reason
        run.tell("task_skipped")

    def fail(self, run: Run, step: Step, code: str) -> None:
        if step.plan.on_error == "fail":
            step.status = "failed"
            self.end(run, "failed", error=code)
        elif step.plan.on_error == "skip":
            self.skip(run, step, "error")
        else:
            step.status, step.output, step.forgiven = "completed", None, True

    def end(
        self, run: Run, status: str, *, output: JsonValue = None, error: str | None = None
    ) -> None:
        assert not run.over, "a terminal state is left"
        if status == "failed" and run.status == "queued":
            run.status = "running"
            run.events["workflow_started"] += 1
        run.status, run.output, run.error = status, output, error
        for task in run.open_tasks():
            if task.kind == "step" and task.status in ("running", "waiting"):
                run.events["task_cancelled"] += 1
            task.end("cancelled")
        for step in run.steps.values():
            if not step.over:
                step.status = "cancelled"
        for approval in self.approvals:
            if approval.task.run is run and approval.status == "pending":
                approval.status = "cancelled"
        run.events[f"workflow_{status}"] += 1
        if run.parent is not None:
            self.outbox.append(("child_ended", run, run.parent))
        self.outbox += [
            ("cancel_child", child, None)
            for child in self.runs
            if child.parent is not None and child.parent.run is run and not child.over
        ]

    # -- what tasks end with --------------------------------------------------------------------

    def finish(self, results: Sequence[tuple[Task, str, str | None, JsonValue]]) -> None:
        """End tasks as completed, failed or skipped (`task, status, code, output`) and go on."""
        closed = [result for result in results if not result[0].over]
        for task, status, _, output in closed:
            task.end(status, output if status == "completed" else None)
            if (task.kind == "step" and status == "completed") or (
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
        if task.kind == "step":
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
