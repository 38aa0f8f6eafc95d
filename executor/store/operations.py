"""What those who run flowbuilder look at, and what is cleared away for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from flowbuilder import metrics
from flowbuilder.executor.store.base import StoreBase
from flowbuilder.metrics import Labels

_OPERATIONS: Final = b"select flowbuilder.operations() as answer"
_OBSERVE: Final = b"select flowbuilder.observe_ends(%s::uuid[]) as answer"
_TRACES: Final = b"select flowbuilder.traces_of(%s::uuid, %s::bigint) as answer"
_PRUNE_SESSIONS: Final = b"""
    select flowbuilder.prune_sessions(flowbuilder.now() - make_interval(secs => %s::float8), %s)
    as answer"""
_PRUNE_AUDIT: Final = b"""
    select flowbuilder.prune_audit(flowbuilder.now() - make_interval(secs => %s::float8), %s)
    as answer"""
_FOLD: Final = b"select flowbuilder.fold_tallies()"

#: Rows that are cleared away in one transaction.
PAGE = 1000
#: Queues of which the size is told; those of other systems may be many.
MOST_QUEUES = 50
#: Transactions of one round of clearing away: what is left goes in the next one.
_MOST_PAGES = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class EndedRun:
    """A run that has ended, as it is counted and told of, once."""

    run_id: str
    flow: str
    status: str
    code: str | None
    """Of a failed run: what it failed with."""
    trace: str | None
    """`traceparent` of what started it."""
    created_at: float
    started_at: float
    """Seconds since 1970, by the database's clock."""
    finished_at: float
    waits: list[float] = field(default_factory=list)
    """Seconds that some of its tasks could have started before they did."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Traces:
    """`traceparent`s of a task: of its run, of what made it ready, of who decided about it."""

    run: str | None = None
    made: str | None = None
    decided: str | None = None


class OperationsStore(StoreBase):
    """Reads for metrics and traces, and retention of what belongs to no run."""

    async def operations(self) -> dict[str, dict[Labels, float]]:
        """Return what only the database knows: series by the full name of their metric."""
        found: dict[str, Any] = (await self._one(_OPERATIONS))["answer"]
        queues = dict(sorted((found["queues"] or {}).items())[:MOST_QUEUES])
        states = ("visible", "inflight")
        return {
            metrics.QUEUE_MESSAGES.full_name: {
                (name, state): float(queue[state])
                for name, queue in queues.items()
                for state in states
            },
            metrics.QUEUE_OLDEST.full_name: {
                (name,): float(queue["oldest"]) for name, queue in queues.items()
            },
            metrics.DEAD_LETTERS.full_name: _by_label(found["dead"]),
            metrics.APPROVALS_PENDING.full_name: _by_label(found["approvals"] or {"none": 0}),
            metrics.APPROVALS_OLDEST.full_name: {(): float(found["oldest_approval"])},
            metrics.LEASES_EXPIRED.full_name: {(): float(found["leases_expired"])},
            metrics.MIGRATION_VERSION.full_name: {(): float(found["migration"] or 0)},
        }

    async def observe_ends(self, run_ids: Sequence[str]) -> list[EndedRun]:
        """Return those of these runs that have ended and were handed out to nobody yet."""
        found = []
        for row in await self._all(_OBSERVE, list(run_ids)):
            told = row["answer"]
            told["waits"] = [max(float(wait), 0.0) for wait in told["waits"] or ()]
            found.append(EndedRun(**told))
        return found

    async def traces_of(self, run_id: str, task_id: int | None = None) -> Traces:
        """Return where the trace of a task, or of a run, comes from."""
        return Traces(**(await self._one(_TRACES, run_id, task_id))["answer"])

    async def prune_operations(self, *, sessions_seconds: float, audit_seconds: float) -> int:
        """Clear away log-ins that are long over, and lines of the log that are old enough.

        Returns how many of both. Each page is a transaction of its own.
        """
        gone = 0
        pages = ((_PRUNE_SESSIONS, sessions_seconds), (_PRUNE_AUDIT, audit_seconds))
        for statement, seconds in pages:
            for _ in range(_MOST_PAGES):
                answer: dict[str, Any] = (await self._one(statement, seconds, PAGE))["answer"]
                gone += sum(int(answer.get(name, 0)) for name in ("sessions", "lines"))
                if not answer["more"]:
                    break
        await self._all(_FOLD)
        return gone


def _by_label(counts: dict[str, Any] | None) -> dict[Labels, float]:
    return {(name,): float(count) for name, count in sorted((counts or {}).items())[:MOST_QUEUES]}
