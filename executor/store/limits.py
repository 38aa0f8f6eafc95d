"""Limits on tools."""

from __future__ import annotations

from flowbuilder.executor import queries, rows
from flowbuilder.executor.store.base import StoreBase
from flowbuilder.executor.terms import LimitRow
from flowbuilder.limits import Rate


class LimitStore(StoreBase):
    """What administrators say about tools, and what is under way under each limit."""

    async def set_limit(
        self,
        pattern: str,
        *,
        concurrency: int | None,
        rate: Rate | None,
        actor: str | None = None,
    ) -> None:
        """Put a limit on all tools of a name or pattern; one of nothing lifts what they declare."""
        count, seconds = (None, None) if rate is None else (rate.count, rate.seconds)
        await self._one(queries.SET_LIMIT, pattern, concurrency, count, seconds, actor)

    async def clear_limit(self, pattern: str) -> bool:
        """Take back what was set for a pattern. Returns whether there was anything."""
        return bool((await self._one(queries.CLEAR_LIMIT, pattern))["cleared"])

    async def limits(self) -> list[LimitRow]:
        """Read the limits on tools by pattern."""
        return [rows.limit(row) for row in await self._all(queries.LIMITS)]
