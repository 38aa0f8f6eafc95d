"""States of runs, steps and tasks, and the transitions the database allows.

The CHECK constraints of the schema, these tables and the diagrams of `docs/architecture.md` say
the same; a test compares them.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType


class RunStatus(StrEnum):
    """State of a run."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether the state is never left."""
        return not RUN_TRANSITIONS[self]


class StepStatus(StrEnum):
    """State of a step inside a run."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class TaskStatus(StrEnum):
    """State of a task."""

    PENDING = "pending"
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether the state is never left."""
        return not TASK_TRANSITIONS[self]


class ApprovalStatus(StrEnum):
    """State of an approval."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


#: The states that rows begin in: a task may be leased to the worker that made it ready, and a run
#: begin with its start, where a worker of the same process can go on with it.
RUN_BEGINS = frozenset({RunStatus.QUEUED, RunStatus.RUNNING})
TASK_BEGINS = frozenset({TaskStatus.PENDING, TaskStatus.QUEUED, TaskStatus.RUNNING})

RUN_TRANSITIONS = MappingProxyType(
    {
        RunStatus.QUEUED: frozenset({RunStatus.RUNNING, RunStatus.PAUSED, RunStatus.CANCELLED}),
        RunStatus.RUNNING: frozenset(
            {RunStatus.PAUSED, RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED}
        ),
        RunStatus.PAUSED: frozenset(
            {
                RunStatus.QUEUED,  # it waits to be let in
                RunStatus.RUNNING,
                RunStatus.COMPLETED,
                RunStatus.FAILED,
                RunStatus.CANCELLED,
            }
        ),
        RunStatus.COMPLETED: frozenset[RunStatus](),
        RunStatus.FAILED: frozenset[RunStatus](),
        RunStatus.CANCELLED: frozenset[RunStatus](),
    }
)

TASK_TRANSITIONS = MappingProxyType(
    {
        TaskStatus.PENDING: frozenset({TaskStatus.QUEUED, TaskStatus.CANCELLED}),
        TaskStatus.QUEUED: frozenset({TaskStatus.RUNNING, TaskStatus.FAILED, TaskStatus.CANCELLED}),
        TaskStatus.RUNNING: frozenset(
            {
                TaskStatus.COMPLETED,
                TaskStatus.FAILED,
                TaskStatus.SKIPPED,
                TaskStatus.WAITING,
                TaskStatus.QUEUED,
                TaskStatus.CANCELLED,
            }
        ),
        TaskStatus.WAITING: frozenset(
            {
                TaskStatus.QUEUED,
                TaskStatus.COMPLETED,
                TaskStatus.FAILED,
                TaskStatus.CANCELLED,
            }
        ),
        TaskStatus.COMPLETED: frozenset[TaskStatus](),
        TaskStatus.FAILED: frozenset[TaskStatus](),
        TaskStatus.SKIPPED: frozenset[TaskStatus](),
        TaskStatus.CANCELLED: frozenset[TaskStatus](),
    }
)
