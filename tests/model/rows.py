"""Runs, steps, tasks, workers and approvals as the mirror has them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

from flowbuilder.types import JsonValue

LEASE = 30
DECISION_SECONDS = 40
NAP_SECONDS = 12
RETRY_SECONDS = 5
MAX_CLAIMS = 3
RUN_SECONDS = 400
EVENT_SECONDS = 12
HOLD_SECONDS = 30
UNDOING_SECONDS = 600
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
    tool: str = "work"
    limited: bool = False
    """Whether it has the limit that belongs to its name (see slots.py)."""
    undo: int | None = None
    """How often what undoes it is tried; None: nothing does."""

    @property
    def tasked(self) -> bool:
        """Whether it begins with a task of its own, and not with elements."""
        return self.elements is None or self.when


@dataclass(kw_only=True, eq=False)
class Task:
    """A task; `due` while it waits in the table for a time, `sent` while it is in the queue, or
    kept back from there by a limit."""

    run: Run
    plan: Plan | None
    row: int = 0
    """Its id in the database: of what happens in one moment, older tasks go first."""
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
    started: int = 0
    item: JsonValue = None
    error: str | None = None
    output: JsonValue = None

    @property
    def over(self) -> bool:
        return self.status in ("completed", "failed", "skipped", "cancelled")

    @property
    def tries(self) -> int:
        """How often it is attempted at most."""
        if self.plan is None:
            return 3
        return (self.plan.undo or 0) if self.kind == "compensate" else self.plan.max_attempts

    @property
    def does(self) -> bool:
        """Whether a tool is called for it, and not only something evaluated."""
        return self.kind in ("step", "compensate")

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
    finished: int = 0

    @property
    def over(self) -> bool:
        return self.status in ("completed", "failed", "skipped", "cancelled")

    def close(self, status: str, now: int) -> None:
        self.status, self.finished = status, now


@dataclass(kw_only=True)
class Approval:
    """A question to a person; `end` by the clock."""

    task: Task
    kind: str
    granted_by_silence: bool
    end: int
    status: str = "pending"


@dataclass(frozen=True, kw_only=True)
class Emission:
    """An event that was emitted, kept until its life is over."""

    payload: JsonValue
    at: int
    until: int


@dataclass(kw_only=True, eq=False)
class Run:
    """A run with all that is in it."""

    steps: dict[str, Step]
    deadline: int
    named_output: bool
    parent: Task | None = None
    priority: int = 0
    flow: str = "model"
    created: int = 0
    ended: int = 0
    retry_of: Run | None = None
    status: str = "queued"
    tasks: list[Task] = field(default_factory=list)
    events: Counter[str] = field(default_factory=Counter)
    holds: dict[str, int] = field(default_factory=dict)
    """The deadlines of those who hold it open."""
    failing: str | None = None
    """The error that it ends with once all is undone."""
    undoing: list[str] = field(default_factory=list)
    """The steps that are undone, in this order."""
    undone: tuple[list[str], list[str]] | None = None
    """Once it has ended: what was undone, and what was not."""
    error: str | None = None
    output: JsonValue = None

    @property
    def over(self) -> bool:
        return self.status in ("completed", "failed", "cancelled")

    def tell(self, what: str, *, begins: bool = True) -> None:
        """Write an event; the first one begins the run."""
        if begins:
            self.begin()
        self.events[what] += 1

    def begin(self) -> None:
        if self.status == "queued":
            self.status = "running"
            self.events["workflow_started"] += 1

    def open_tasks(self) -> list[Task]:
        return [task for task in self.tasks if not task.over]

    def undoer(self, name: str) -> Task | None:
        """Return the task that undoes a step, if it has begun."""
        for task in self.tasks:
            if task.kind == "compensate" and task.plan is not None and task.plan.name == name:
                return task
        return None


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
