"""How many runs a workspace lets in, and what it may use, as FlowBuilder offers it."""

from __future__ import annotations

import re
from dataclasses import replace

from flowbuilder.client.checking import check_actor
from flowbuilder.client.session import Session
from flowbuilder.errors import InvalidValue, NotFound
from flowbuilder.executor.admitting import AdmissionRow, Usage
from flowbuilder.flow import SLUG_PATTERN
from flowbuilder.limits import (
    MOST_OF_QUOTA,
    QUOTAS,
    Quotas,
    Rate,
    read_concurrency,
    read_rate,
)

_SLUG = re.compile(SLUG_PATTERN.removesuffix("$"))


class Admission:
    """How many runs of the workspace, or of one flow, are under way at once, and start how often.

    What is above a limit is not refused: it waits as `queued`, and is let in by itself, by priority
    and then by age. Child runs are part of the run that started them: they neither wait nor count.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    async def set(
        self,
        flow: str | None = None,
        *,
        concurrency: int | None = None,
        rate: Rate | str | None = None,
        by: str | None = None,
    ) -> AdmissionRow:
        """Set the limit of a flow, or of the whole workspace, in the place of the one before.

        What is under way goes on and counts, also above a new concurrency.

        Raises:
            InvalidValue: `flow_invalid`, `concurrency_invalid`, `rate_invalid`, `actor_invalid`,
                or neither is given (`limit_missing`).
        """
        name = _flow(flow)
        check_actor(by, "who sets a limit")
        most, often = read_concurrency(concurrency, "/concurrency"), read_rate(rate, "/rate")
        if most is None and often is None:
            raise InvalidValue(
                "a limit says how many runs are under way at once, how often they start, or both",
                pointer="/concurrency",
                code="limit_missing",
            )
        store = self._session.store
        let_in = await store.set_admission(name, concurrency=most, rate=often, actor=by)
        self._session.notifications.signal(let_in, ready=True)
        return await self.get(name)

    async def get(self, flow: str | None = None) -> AdmissionRow:
        """Return the limit of a flow, or of the workspace. Raises: NotFound (limit_not_found)."""
        for row in await self.list():
            if row.flow == flow:
                return row
        raise _missing(flow)

    async def list(self) -> list[AdmissionRow]:
        """Return the limits on the workspace's runs, with what is under each of them now."""
        return await self._session.store.admissions()

    async def clear(self, flow: str | None = None) -> None:
        """Take a limit back; what it alone keeps back is let in.

        Raises:
            NotFound: There is none (limit_not_found).
        """
        let_in = await self._session.store.clear_admission(_flow(flow))
        if let_in is None:
            raise _missing(flow)
        self._session.notifications.signal(let_in, ready=True)

    # -- quotas -----------------------------------------------------------------------------

    async def usage(self) -> Usage:
        """Return what the workspace uses and may use. Bytes and events are counted now and then."""
        return await self._session.store.usage()

    async def set_quotas(self, quotas: Quotas, *, by: str | None = None) -> Usage:
        """Say what the workspace may use, all of it anew; beyond it starts and plans are refused.

        Raises:
            InvalidValue: `quota_invalid`, `actor_invalid`.
        """
        check_actor(by, "who sets a quota")
        for name in QUOTAS:
            value: object = getattr(quotas, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            if value is not None and not (whole and 1 <= value <= MOST_OF_QUOTA[name]):  # type: ignore[operator]
                raise InvalidValue(
                    f"{name} is a whole number from 1 on, or null",
                    pointer=f"/{name}",
                    code="quota_invalid",
                )
        await self._session.store.set_quotas(replace(quotas), actor=by)
        return await self.usage()


def _flow(flow: object) -> str | None:
    if flow is not None and not (isinstance(flow, str) and _SLUG.fullmatch(flow)):
        raise InvalidValue(
            f"{str(flow)[:80]!r} is no flow's name", pointer="/flow", code="flow_invalid"
        )
    return flow


def _missing(flow: str | None) -> NotFound:
    what = "the workspace" if flow is None else f"flow {str(flow)[:80]}"
    return NotFound(f"no limit is set for runs of {what}", code="limit_not_found")
