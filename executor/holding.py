"""A worker that takes nothing while its host has too much to do."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from flowbuilder.errors import FlowBuilderError
from flowbuilder.executor.host_load import Held, Holding, HostMeter
from flowbuilder.executor.store import Store
from flowbuilder.settings import Settings

log = logging.getLogger(__name__)

#: Between two looks at the host, and between two reports of a figure that has not crossed anything.
LOOK_SECONDS = 1.0
TELL_SECONDS = 10.0


class HostWatch:
    """Looks at the host once a second, and holds a worker back above the settings' thresholds.

    What is under way goes on: leases are extended and outcomes reported. Where no threshold is set
    this does nothing at all.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        worker_id: str,
        hold: Callable[[bool], None],
        meter: HostMeter | None = None,
    ) -> None:
        self._store = store
        self._worker_id = worker_id
        self._hold = hold
        self._meter = meter
        self.holding = Holding(cpu=settings.hold_cpu, memory=settings.hold_memory)
        self._told: Held | None = None
        self._tell_at = 0.0

    async def run(self) -> None:
        """Look until cancelled."""
        if not self.holding.wanted:
            return
        self._meter = self._meter or HostMeter()
        while True:
            try:
                await self.look()
            except FlowBuilderError as error:  # told at the next look
                log.debug("what holds this worker could not be noted: %s", error.message)
            except Exception:
                log.exception("the load of the host could not be read")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look once: hold or release the worker, and note why."""
        assert self._meter is not None
        before = self.holding.held
        held = self.holding.judge(self._meter.look())
        if (held is None) != (before is None):
            self._hold(held is not None)
        changed = (held and held.cause) != (self._told and self._told.cause)
        if changed or (held is not None and time.monotonic() >= self._tell_at):
            await self._tell(held)

    async def _tell(self, held: Held | None) -> None:
        if held is None:
            await self._store.hold_worker(self._worker_id, None)
        else:
            await self._store.hold_worker(self._worker_id, held.cause, held.figure, held.threshold)
        self._told = held
        self._tell_at = time.monotonic() + TELL_SECONDS
