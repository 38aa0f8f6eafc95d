"""Limits on tools as FlowBuilder offers them: `fb.limits`."""

from __future__ import annotations

import re

from flowbuilder.client.checking import check_actor
from flowbuilder.client.session import Session
from flowbuilder.errors import InvalidValue, NotFound
from flowbuilder.executor.terms import LimitRow
from flowbuilder.limits import Rate, read_concurrency, read_rate

_PATTERN = re.compile(r"\*|[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*(\.\*)?")
_LONGEST_PATTERN = 200


class ToolLimits:
    """How many calls of a tool run at once, and how often one starts, over all workers and runs.

    A tool is under every limit whose pattern fits its name: `http.request`, `http.*` or `*`. What
    is set here counts instead of what a tool of the same name declares by itself.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    async def set(
        self,
        pattern: str,
        *,
        concurrency: int | None = None,
        rate: Rate | str | None = None,
        by: str | None = None,
    ) -> LimitRow:
        """Set the limit of a pattern, in the place of the one before; what waits is looked at anew.

        With neither a concurrency nor a rate, what the tool declares is lifted. What runs already
        goes on, also above a new concurrency.

        Raises:
            InvalidValue: `pattern_invalid`, `concurrency_invalid`, `rate_invalid`, `actor_invalid`.
        """
        name = _checked(pattern)
        check_actor(by, "who sets a limit")
        store = self._session.store
        await store.set_limit(
            name,
            concurrency=read_concurrency(concurrency, "/concurrency"),
            rate=read_rate(rate, "/rate"),
            actor=by,
        )
        self._session.notifications.signal([], ready=True)
        return await self.get(name)

    async def get(self, pattern: str) -> LimitRow:
        """Return the limit of exactly this pattern. Raises: NotFound (limit_not_found)."""
        for row in await self.list():
            if row.pattern == pattern:
                return row
        raise _missing(pattern)

    async def list(self) -> list[LimitRow]:
        """Return the limits on tools, set and declared, with what is under each of them now."""
        return await self._session.store.limits()

    async def clear(self, pattern: str) -> None:
        """Take back what was set for a pattern; what its tool declares counts again.

        Raises:
            NotFound: Nothing was set (limit_not_found).
        """
        if not await self._session.store.clear_limit(_checked(pattern)):
            raise _missing(pattern)
        self._session.notifications.signal([], ready=True)


def _checked(pattern: str) -> str:
    known: object = pattern  # whatever a caller without a type checker hands in
    usable = isinstance(known, str) and len(known) <= _LONGEST_PATTERN
    if not usable or not _PATTERN.fullmatch(pattern):
        raise InvalidValue(
            f"{str(pattern)[:80]!r} is no name of tools",
            pointer="/pattern",
            code="pattern_invalid",
            hint="Write a tool's name without version, the beginning of names as in http.*, or *.",
        )
    return pattern


def _missing(pattern: str) -> NotFound:
    return NotFound(f"no limit is set for {str(pattern)[:80]}", code="limit_not_found")
