"""Why a run does not move: what `why_run` finds, weighed and put into words.

The SQL function tells facts; which of them matters most and what a person reads is said here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from flowbuilder.executor.reasonwords import message_of
from flowbuilder.executor.states import RunStatus
from flowbuilder.types import JsonObject, JsonValue


class ReasonCode(StrEnum):
    """What keeps a run from moving; what weighs more stands first."""

    ENDED = "ended"
    PAUSED = "paused"
    NO_WORKER = "no_worker"
    """No worker is alive at all."""
    FUNCTION_GONE = "function_gone"
    """The function of the step lived in a process that is gone: it is about to fail."""
    NO_WORKER_WITH_TOOL = "no_worker_with_tool"
    WORKER_SILENT = "worker_silent"
    """The worker that holds the task was given up, is suspect, or let its lease run out."""
    OUTBOX = "outbox"
    """What one run must do to another is not relayed yet."""
    APPROVAL = "approval"
    CHILD_RUN = "child_run"
    WAITING = "waiting"
    """For an event (`details.name` and `key`), or something else that `details.kind` names."""
    TIME = "time"
    RETRY_DELAYED = "retry_delayed"
    ADMISSION = "admission"
    """It is not let in yet: as many runs are under way as may be, or as many have just started."""
    LIMIT_REACHED = "limit_reached"
    """As much runs, or has just started, as a limit on the tool or the step lets."""
    HOST_BUSY = "host_busy"
    """Workers take nothing at present, because their host has too much to do."""
    OUTRANKED = "outranked"
    """Tasks of runs with a higher priority stand before it."""
    WORKERS_BUSY = "workers_busy"
    QUEUED = "queued"
    """A worker has room for it; `details.ahead` tasks stand before it."""
    LEASED = "leased"
    """A live worker runs it."""
    MAP_LIMIT = "map_limit"
    """As many elements of a mapped step are under way as may be."""
    HELD_OPEN = "held_open"
    BUDGET = "budget"
    """Four fifths of a bound of its budget are used up, or more: beyond the bound it fails."""
    COMPENSATING = "compensating"
    """It has failed; what its steps have done is being undone."""
    DEADLINE = "deadline"
    """Overdue, or soon: the last tenth of the run's time has begun."""
    DEPENDENCIES = "dependencies"
    NOTHING_OPEN = "nothing_open"
    """Open, but with nothing inside that could move it: this should not happen."""


_WEIGHT = {code: place for place, code in enumerate(ReasonCode)}
#: Reasons that time or an upkeep of some worker ends: without a worker they stay.
_TIMED = frozenset(
    {
        ReasonCode.TIME,
        ReasonCode.APPROVAL,
        ReasonCode.WAITING,
        ReasonCode.OUTBOX,
        ReasonCode.DEADLINE,
        ReasonCode.HELD_OPEN,
        ReasonCode.ADMISSION,
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """One reason why a run does not move."""

    code: ReasonCode
    message: str
    """For people, one sentence."""
    step: str | None
    task_id: str | None
    """The nearest task that it is about; `details.tasks` counts all of this step and cause."""
    since: datetime | None
    until: datetime | None
    """When it ends, or something else happens: a deadline, the end of a lease."""
    details: JsonObject

    def as_json(self) -> JsonObject:
        """Return the reason as JSON values."""
        return {
            "code": self.code.value,
            "message": self.message,
            "step": self.step,
            "task_id": self.task_id,
            "since": _text(self.since),
            "until": _text(self.until),
            "details": self.details,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Why:
    """Why a run does not move, most important reason first."""

    run_id: str
    flow: str
    status: RunStatus
    at: datetime
    """By the database's clock; `since` and `until` are to be compared with it."""
    deadline_at: datetime
    reasons: tuple[Reason, ...]
    """Never empty."""

    def as_json(self) -> JsonObject:
        """Return all of it as JSON values."""
        reasons: list[JsonValue] = [reason.as_json() for reason in self.reasons]
        return {
            "run_id": self.run_id,
            "flow": self.flow,
            "status": self.status.value,
            "at": _text(self.at),
            "deadline_at": _text(self.deadline_at),
            "reasons": reasons,
        }


def diagnose(answer: Mapping[str, Any]) -> Why:
    """Read the answer of the SQL function `why_run`."""
    at = datetime.fromisoformat(answer["at"])
    return Why(
        run_id=answer["run_id"],
        flow=answer["flow"],
        status=RunStatus(answer["status"]),
        at=at,
        deadline_at=datetime.fromisoformat(answer["deadline_at"]),
        reasons=_reasons(answer["reasons"], at),
    )


def _reasons(found: Sequence[Mapping[str, Any]], at: datetime) -> tuple[Reason, ...]:
    """Return the reasons in order; a child run's own become part of the details."""
    alone = any(fact["code"] == ReasonCode.NO_WORKER for fact in found)
    reasons = _without_doubles([_reason(fact, at, alone=alone) for fact in found])
    if not reasons:
        reasons = [_made(ReasonCode.NOTHING_OPEN, at)]
    stuck = any(
        reason.code is ReasonCode.OUTBOX
        or (reason.code in _TIMED and reason.until is not None and reason.until <= at)
        for reason in reasons
    )
    return tuple(sorted(reasons, key=lambda reason: _weight(reason, stuck)))


def _reason(fact: Mapping[str, Any], at: datetime, *, alone: bool) -> Reason:
    details: JsonObject = dict(fact["details"])
    if alone and fact["code"] == ReasonCode.WORKER_SILENT:
        details["nobody_else"] = True
    inner = details.get("reasons")
    if isinstance(inner, list):
        own: list[JsonValue] = [reason.as_json() for reason in _reasons(inner, at)]  # type: ignore[arg-type]
        details["reasons"] = own
    return _made(ReasonCode(fact["code"]), at, fact, details)


def _made(
    code: ReasonCode,
    at: datetime,
    fact: Mapping[str, Any] | None = None,
    details: JsonObject | None = None,
) -> Reason:
    fact = fact or {}
    reason = Reason(
        code=code,
        message="",
        step=fact.get("step"),
        task_id=None if fact.get("task_id") is None else str(fact["task_id"]),
        since=_time(fact.get("since")),
        until=_time(fact.get("until")),
        details=details or {},
    )
    return replace(reason, message=message_of(reason, at))


def _without_doubles(reasons: list[Reason]) -> list[Reason]:
    """Leave out that no worker is alive where tasks say that they need one."""
    needed = any(r.code is ReasonCode.NO_WORKER and r.task_id is not None for r in reasons)
    return [
        reason
        for reason in reasons
        if not needed or reason.code is not ReasonCode.NO_WORKER or reason.task_id is not None
    ]


def _weight(reason: Reason, stuck: bool) -> tuple[float, str, str]:
    weight: float = _WEIGHT[reason.code]
    if reason.code is ReasonCode.NO_WORKER and reason.task_id is None and not stuck:
        # nothing needs one before something else has happened
        weight = _WEIGHT[ReasonCode.DEPENDENCIES] - 0.5
    if reason.code is ReasonCode.DEADLINE and reason.details.get("overdue"):
        weight = _WEIGHT[ReasonCode.NO_WORKER] + 0.5
    return weight, reason.until.isoformat() if reason.until else "9", reason.step or ""


def _time(text: Any) -> datetime | None:
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.isoformat()
