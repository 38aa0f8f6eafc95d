"""Re-planners: they take runs of which a step has failed and plan the rest anew.

Any number of them may be at work, in any processes; at most one at a time is at a run, as long as
it extends its lease. One that dies is followed by another. What a re-planner proposes is checked,
guarded by policy and stored as a version of the run's own; if nobody proposes anything in time,
the run fails with the error of its step.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from flowbuilder.client.session import Session
from flowbuilder.errors import DatabaseError, FlowBuilderError, InvalidTransition
from flowbuilder.executor.store.replanning import Claim

if TYPE_CHECKING:
    from flowbuilder.planner.base import Planner

_LOG = logging.getLogger(__name__)
#: Seconds that a run is a re-planner's without a sign of life.
LEASE_SECONDS = 30.0
#: A lease is extended so many times before it would run out.
_RENEWALS = 3
#: Runs that one re-planner is at together.
AT_ONCE = 4
#: So much more rarely it looks by itself where a worker of its process tells it.
_TOLD_POLLS = 10


class Replanner:
    """Plans runs anew while it is open; see `FlowBuilder.replanner`."""

    def __init__(self, session: Session, planner: Callable[[], Planner]) -> None:
        """`planner` is asked for when the first run is to be planned anew."""
        self._session, self._planner = session, planner
        self.owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(6)}"
        self._news = asyncio.Event()
        self._closing = False
        self._looking: asyncio.Task[None] | None = None
        self._busy: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._session.replans_open.add(self._news.set)
        self._looking = asyncio.create_task(self._look(), name="flowbuilder-replanner")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop; what is being planned is left to others."""
        self._closing = True
        self._session.replans_open.discard(self._news.set)
        self._news.set()
        for task in [*self._busy, *([self._looking] if self._looking else [])]:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _look(self) -> None:
        poll = self._session.settings.poll_interval.total_seconds()
        while not self._closing:
            self._news.clear()
            claim = None
            if len(self._busy) < AT_ONCE:
                with suppress(FlowBuilderError):
                    claim = await self._session.store.claim_replan(
                        self.owner,
                        tools=self._session.registry.names(),
                        lease_seconds=LEASE_SECONDS,
                    )
            if claim is not None:
                task = asyncio.create_task(self._attend(claim), name="flowbuilder-replan")
                self._busy.add(task)
                task.add_done_callback(self._ended)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(poll * (_TOLD_POLLS if self._session.workers else 1)):
                    await self._news.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._busy.discard(task)
        self._news.set()

    async def _attend(self, claim: Claim) -> None:
        """See to one run while its lease is extended; an outage leaves it to whoever comes next."""
        from flowbuilder.client.repairing import Lost

        planning = asyncio.ensure_future(self._plan(claim))
        renewing = asyncio.create_task(self._renew(claim, planning))
        try:
            await planning
        except asyncio.CancelledError:
            if not renewing.done():  # it was this that is cancelled, not the planning alone
                planning.cancel()
                with suppress(FlowBuilderError):  # others need not wait for the lease to run out
                    await self._session.store.extend_replan(claim, lease_seconds=0)
                raise
        except (Lost, InvalidTransition, DatabaseError):
            pass  # ended, somebody else's, or for a later look
        except Exception:
            _LOG.exception("re-planning run %s failed", claim.run_id)
        finally:
            renewing.cancel()
            with suppress(asyncio.CancelledError):
                await renewing
            with suppress(FlowBuilderError):
                await self._session.announce_run(claim.run_id)

    async def _plan(self, claim: Claim) -> None:
        from flowbuilder.client.repairing import Repair

        await Repair(self._session, self._planner()).carry_on(claim)

    async def _renew(self, claim: Claim, planning: asyncio.Future[None]) -> None:
        """Extend the lease; a run that is lost is planned no further."""
        while True:
            await asyncio.sleep(LEASE_SECONDS / _RENEWALS)
            try:
                mine = await self._session.store.extend_replan(claim, lease_seconds=LEASE_SECONDS)
            except FlowBuilderError:
                continue
            if not mine:
                planning.cancel()
                return
