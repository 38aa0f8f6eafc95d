"""Clears away what belongs to no run and is long over: log-ins, and old lines of the log."""

from __future__ import annotations

import asyncio
import logging
import random

from flowbuilder.errors import FlowBuilderError
from flowbuilder.executor.store import Store
from flowbuilder.settings import Settings

log = logging.getLogger(__name__)

#: Seconds between two rounds of one worker; the first comes soon after its start.
_EVERY = 3600.0
_FIRST = 120.0


class Clearing:
    """A round an hour. Any number of workers may do it: what is gone is gone."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._sessions = settings.session_keep.total_seconds()
        self._audit = settings.audit_life.total_seconds()

    async def run(self) -> None:
        """Do round after round until cancelled."""
        wait = _FIRST
        while True:
            await asyncio.sleep(wait * random.uniform(0.5, 1.5))
            wait = _EVERY
            try:
                await self.round()
            except FlowBuilderError as error:
                log.warning("old log-ins were not cleared away: %s", error.message)
            except Exception:
                log.exception("old log-ins were not cleared away")

    async def round(self) -> int:
        """Clear away what is old enough; returns how many rows."""
        gone = await self._store.prune_operations(
            sessions_seconds=self._sessions, audit_seconds=self._audit
        )
        if gone:
            log.info("%d old log-ins and lines of the log are cleared away", gone)
        return gone
