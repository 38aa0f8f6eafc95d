"""Why a schedule does not fire, weighed and put into words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from flowbuilder.executor.triggers import ScheduleRow, Switch
from flowbuilder.types import JsonObject, JsonValue

#: Upkeep comes round once a second; what is due for longer is in somebody's way.
_LATE = timedelta(seconds=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """One of the things that keep a schedule from firing."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """Why a schedule does not fire, most important reason first."""

    schedule_id: str
    name: str
    at: datetime
    """By the database's clock."""
    next_at: datetime | None
    reasons: tuple[Reason, ...]
    """Never empty."""

    def as_json(self) -> JsonObject:
        """Return all of it as JSON values."""
        reasons: list[JsonValue] = [
            {"code": reason.code, "message": reason.message} for reason in self.reasons
        ]
        return {
            "schedule_id": self.schedule_id,
            "name": self.name,
            "at": self.at.isoformat(),
            "next_at": None if self.next_at is None else self.next_at.isoformat(),
            "reasons": reasons,
        }


def standing_of(
    row: ScheduleRow,
    *,
    now: datetime,
    switch: Switch,
    flow_state: str | None,
    workers: int,
    still_open: bool,
) -> Standing:
    """Weigh what is known of a schedule.

    Args:
        row: The schedule.
        now: The present time by the database's clock.
        switch: Whether all schedules are held.
        flow_state: That of its flow, None when there is no such flow.
        workers: Those that are alive.
        still_open: Whether the run that it has started last goes on.
    """
    found: list[Reason] = []

    def say(code: str, message: str) -> None:
        found.append(Reason(code=code, message=message))

    if switch.held_at is not None:
        told = f": {switch.reason}" if switch.reason else ""
        say("held", f"all schedules are held since {switch.held_at:%Y-%m-%d %H:%M:%S} UTC{told}")
    if row.paused_at is not None:
        by = f" by {row.paused_by}" if row.paused_by else ""
        say("paused", f"it is paused since {row.paused_at:%Y-%m-%d %H:%M:%S} UTC{by}")
    if flow_state is None:
        say("flow_not_found", f"there is no flow {row.flow}")
    elif flow_state != "active":
        say(f"flow_{flow_state}", f"the flow {row.flow} is {_STATES[flow_state]}")
    if row.next_at is None and row.paused_at is None:
        say("no_tick_left", "its cron expression names no later moment")
    if not workers:
        say("no_worker", "no worker is alive that could fire it")
    if row.overlap == "skip" and still_open:
        say(
            "run_still_open",
            f"the run before, {row.last_run_id}, goes on; the next tick waits for none",
        )
    found += _last(row)
    if row.next_at is not None:
        found.append(_next(row.next_at, now))
    return Standing(
        schedule_id=row.id, name=row.name, at=now, next_at=row.next_at, reasons=tuple(found)
    )


_STATES = {"archived": "archived", "draft": "not published"}


def _last(row: ScheduleRow) -> list[Reason]:
    """Tell of the last tick, where it has started nothing."""
    error = row.last_error or {}
    if row.last_result in ("failed", "refused"):
        what = (
            "could not start" if row.last_result == "failed" else "was refused, and is tried again"
        )
        return [
            Reason(
                code=str(error.get("code")),
                message=f"the last tick {what}: {error.get('message')}",
            )
        ]
    if row.last_result == "overlapped":
        return [
            Reason(
                code="overlapped",
                message=f"at the last tick run {error.get('run_id')} had not ended",
            )
        ]
    if row.last_result == "missed":
        return [
            Reason(code="missed", message="nobody was there at the last tick, and `missed` is skip")
        ]
    return []


def _next(next_at: datetime, now: datetime) -> Reason:
    if next_at > now:
        return Reason(code="not_due", message=f"it is due at {next_at:%Y-%m-%d %H:%M:%S} UTC")
    if now - next_at < _LATE:
        return Reason(code="due", message="it is due now; a worker fires it within a second or two")
    late = int((now - next_at).total_seconds())
    return Reason(code="overdue", message=f"it is due since {late} seconds and nobody has fired it")
