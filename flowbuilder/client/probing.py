"""What an open FlowBuilder says to probes and to Prometheus."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from flowbuilder import metrics
from flowbuilder.errors import DatabaseUnavailable, FlowBuilderError
from flowbuilder.executor.readiness import Trouble, find_trouble
from flowbuilder.metrics import Values
from flowbuilder.telemetry import tracing
from flowbuilder.telemetry.port import Answer, Page, serve_pages

if TYPE_CHECKING:
    from flowbuilder.client.session import Session

log = logging.getLogger(__name__)

#: What Prometheus reads.
MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
#: A probe has its answer after so many seconds, whatever the database does.
PATIENCE_SECONDS = 5.0
#: What was read from the database is shown again for so long: many may look at once.
_FRESH_SECONDS = 1.0


class Probe:
    """Answers for one session. Neither answer costs more than one look at the database a second."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._found: Trouble | FlowBuilderError | None = None
        self._asked_at = -_FRESH_SECONDS
        self._asking = asyncio.Lock()
        self._read_at = -_FRESH_SECONDS
        self._snapshot: Mapping[str, Values] = {}
        self._reading = asyncio.Lock()

    async def trouble(self) -> Trouble | None:
        """Return why this process cannot take work, None if it can.

        Raises:
            DatabaseUnavailable: The database does not answer, or not in time.
        """
        async with self._asking:
            if time.monotonic() - self._asked_at >= _FRESH_SECONDS:
                self._found = await self._look()
                self._asked_at = time.monotonic()
        if isinstance(self._found, FlowBuilderError):
            raise self._found.with_traceback(None)
        return self._found

    async def _look(self) -> Trouble | FlowBuilderError | None:
        asked = find_trouble(
            self.session.store.database,
            self.session.settings,
            listening=self.session.notifications.is_listening,
        )
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await asked
        except TimeoutError:
            return DatabaseUnavailable("The database does not answer in time.")
        except FlowBuilderError as error:
            return error

    async def exposition(self, *, whole: bool = True) -> bytes:
        """Return the metrics of this process, and (`whole`) what the database says, if it does."""
        from flowbuilder.telemetry.exposition import render

        if not whole:
            return render()

        async with self._reading:
            if time.monotonic() - self._read_at >= _FRESH_SECONDS:
                self._snapshot = await self._read()
                self._read_at = time.monotonic()
        return render(self._snapshot)

    async def _read(self) -> Mapping[str, Values]:
        """A database that is away is no reason to hide what this process has counted."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await self.session.store.operations()
        except (TimeoutError, FlowBuilderError):
            return {}


@asynccontextmanager
async def observed(session: Session) -> AsyncIterator[None]:
    """Let metrics and traces know of a session while the context is open."""
    settings = session.settings
    read = settings.metrics_port is not None or settings.metrics_token is not None
    ends = session.ends_observed
    ends.wanted = read or tracing.is_on()
    pool = session.store.database.pool_stats
    gone = [
        metrics.DB_POOL.attach(lambda: _states(pool())),
        metrics.DB_POOL_WAIT.attach(lambda: _waits(pool())),
    ]
    ends.start()
    try:
        yield
    finally:
        for detach in gone:
            detach()
        await ends.stop()


@asynccontextmanager
async def probe_port(
    session: Session,
    *,
    stopping: Callable[[], bool] = lambda: False,
    working: bool = False,
) -> AsyncIterator[int | None]:
    """Answer probes and Prometheus on the settings' own port while the context is open.

    Yields the port; None where the settings name none. Of a process that is for working alone
    (`working`), metrics are its own: workers are many, and the queue is one. Such a process is not
    ready before its worker is there.

    Raises:
        SettingsError: `metrics_port_unusable`.
    """
    settings = session.settings
    if settings.metrics_port is None:
        yield None
        return
    probe = Probe(session)

    def alive() -> bool:
        return all(worker.alive for worker in session.workers)

    def why_not() -> str | None:
        if stopping() or not alive():
            return "stopping"
        return "starting" if working and not session.workers else None

    pages: dict[str, Page] = {
        "/healthz": partial(_healthz, alive),
        "/readyz": partial(_readyz, probe, why_not),
        "/metrics": partial(_metrics, probe, not working),
    }
    async with serve_pages(settings.metrics_host, settings.metrics_port, pages) as port:
        log.info("metrics and probes at http://%s:%d", settings.metrics_host, port)
        yield port


async def _healthz(alive: Callable[[], bool]) -> Answer:
    if alive():
        return Answer.json(200, {"status": "ok"})
    return Answer.json(503, {"code": "loop_ended"})


async def _readyz(probe: Probe, why_not: Callable[[], str | None]) -> Answer:
    if (code := why_not()) is not None:
        return Answer.json(503, {"code": code})
    try:
        found = await probe.trouble()
    except FlowBuilderError as error:  # what it says may name hosts and users
        return Answer.json(503, {"code": error.code})
    if found is not None:
        return Answer.json(503, {"code": found.code})
    return Answer.json(200, {"status": "ready", "database": "ok"})


async def _metrics(probe: Probe, whole: bool) -> Answer:
    return Answer(body=await probe.exposition(whole=whole), media_type=MEDIA_TYPE)


def _states(found: Mapping[str, int]) -> Values:
    size, free = found.get("pool_size", 0), found.get("pool_available", 0)
    return {
        ("free",): float(free),
        ("used",): float(size - free),
        ("waiting",): float(found.get("requests_waiting", 0)),
    }


def _waits(found: Mapping[str, int]) -> tuple[float, float]:
    return (float(found.get("requests_queued", 0)), found.get("requests_wait_ms", 0) / 1000)
