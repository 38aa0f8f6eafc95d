"""One task in full: what its step was called with, and every attempt."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from flowbuilder.client.session import Session
from flowbuilder.errors import FlowBuilderError
from flowbuilder.executor.events import EventRow
from flowbuilder.executor.records import TaskRow
from flowbuilder.executor.store.values import TaskGiven
from flowbuilder.references import Scope, resolve
from flowbuilder.types import JsonObject, JsonValue

AttemptEnd = Literal["completed", "failed", "waiting", "skipped", "cancelled"]

#: What an attempt ends with, by the event that says so.
_ENDS: dict[str, AttemptEnd] = {
    "task_completed": "completed",
    "task_failed": "failed",
    "task_retrying": "failed",
    "task_waiting": "waiting",
    "task_skipped": "skipped",
    "task_cancelled": "cancelled",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptRecord:
    """One try of a task, as its events tell."""

    attempt: int
    status: AttemptEnd | Literal["running"]
    started_at: datetime | None
    finished_at: datetime | None
    error: JsonObject | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskDetail:
    """A task with what it was given and what became of each try."""

    task: TaskRow
    input: JsonObject | None
    """The arguments, references resolved; None while what they refer to is not there."""
    item: JsonValue
    """The element, of a mapped step's task."""
    attempts: tuple[AttemptRecord, ...]


async def read_task(session: Session, run_id: str, task_id: int) -> TaskDetail:
    """Read a task of a run. Raises: NotFound (`task_not_found`)."""
    given = await session.store.task_given(run_id, task_id)
    return TaskDetail(
        task=given.task,
        input=_arguments(given),
        item=given.item,
        attempts=attempts_of(given.events),
    )


def _arguments(given: TaskGiven) -> JsonObject | None:
    """Return the arguments of a task as its step was called with them."""
    if given.args is not None:
        return given.args
    if given.definition is None:
        return None
    scope = Scope(
        input=given.input,
        steps=given.outputs,
        run=given.run,
        item=given.item,
        index=given.task.index,
        skipped=frozenset(given.skipped),
    )
    try:
        found = resolve(given.definition.get("args") or {}, scope)
    except FlowBuilderError:  # the step was never called: what it needs is not there
        return None
    return found if isinstance(found, dict) else None


def attempts_of(events: tuple[EventRow, ...]) -> tuple[AttemptRecord, ...]:
    """Return the tries that the events of one task tell of, oldest first."""
    found: list[AttemptRecord] = []
    for event in events:
        if event.type == "task_started":
            found.append(_begun(event))
        elif event.type in _ENDS:
            begun = found.pop() if found and found[-1].finished_at is None else _begun(event)
            error = event.data.get("error")
            found.append(
                AttemptRecord(
                    attempt=begun.attempt,
                    status=_ENDS[event.type],
                    started_at=begun.started_at if begun.started_at != event.at else None,
                    finished_at=event.at,
                    error=error if isinstance(error, dict) else None,
                )
            )
    return tuple(found)


def _begun(event: EventRow) -> AttemptRecord:
    return AttemptRecord(
        attempt=event.attempt or 0,
        status="running",
        started_at=event.at,
        finished_at=None,
        error=None,
    )
