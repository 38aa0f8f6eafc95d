"""Numbered events of a stream, as they are read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flowbuilder.types import JsonObject

TERMINAL_EVENTS = frozenset(
    {
        "workflow_completed",
        "workflow_failed",
        "workflow_cancelled",
        "plan_completed",
        "plan_failed",
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class EventRow:
    """One numbered event of a stream (a run's or a plan's)."""

    stream: str
    seq: int
    type: str
    run_id: str | None
    step_name: str | None
    task_id: str | None
    attempt: int | None
    at: datetime
    actor: str | None
    data: JsonObject

    def as_json(self) -> JsonObject:
        """Return the envelope as JSON: what SSE, pages and `--json` carry."""
        return {
            "stream": self.stream,
            "seq": self.seq,
            "type": self.type,
            "run_id": self.run_id,
            "step_name": self.step_name,
            "task_id": self.task_id,
            "attempt": self.attempt,
            "at": self.at.isoformat(),
            "actor": self.actor,
            "data": self.data,
        }

    @property
    def terminal(self) -> bool:
        """Whether this is a stream's last event."""
        return self.type in TERMINAL_EVENTS


@dataclass(frozen=True, kw_only=True, slots=True)
class News:
    """Events of a stream that follow each other."""

    stream: str
    workspace: str
    """Id of the workspace that the stream is of."""
    events: list[EventRow]
