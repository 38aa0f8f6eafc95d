"""What bounds a workspace: whom it lets in, and what it may use."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flowbuilder.limits import QUOTAS, Rate
from flowbuilder.types import JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class AdmissionRow:
    """A limit on the runs of a workspace or of one flow, and what is under it."""

    flow: str | None
    """None: the whole workspace."""
    concurrency: int | None
    """Runs under way at once."""
    rate: Rate | None
    running: int
    """Runs that it counts: let in and not ended, paused ones too."""
    waiting: int
    """Runs that are not let in, paused ones too."""
    next_at: datetime | None
    """When its rate lets the next run in; None: at once."""
    updated_at: datetime
    updated_by: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Used:
    """How much is used of how much."""

    used: int | None
    """None: nobody counts, because there is no quota of it."""
    limit: int | None

    def as_json(self) -> JsonObject:
        """Return both as JSON values."""
        return {"used": self.used, "limit": self.limit}


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What a workspace uses and may use."""

    stored_bytes: Used
    events_kept: Used
    runs_per_day: Used
    plans_per_hour: Used
    runs_waiting: int
    """Runs that limits keep back."""
    measured_at: datetime
    """When bytes and events were counted."""

    def as_json(self) -> JsonObject:
        """Return all of it as JSON values."""
        return {
            **{name: getattr(self, name).as_json() for name in QUOTAS},
            "runs_waiting": self.runs_waiting,
            "measured_at": self.measured_at.isoformat(),
        }
