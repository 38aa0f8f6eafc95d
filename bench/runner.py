"""Runs a benchmark: every workload on every contender in turn, each in a process of its own."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flowbuilder.bench.contender import FLOOR, FLOWBUILDER, SINGLE
from flowbuilder.bench.figures import Measurement
from flowbuilder.bench.processes import cpu_seconds, peak_memory
from flowbuilder.bench.report import Report
from flowbuilder.bench.server import Counters, Server, open_server
from flowbuilder.bench.workloads import WORKLOADS, Kind
from flowbuilder.errors import ExecutionError

#: Seconds that one phase of one measurement may take.
LIMIT = 300.0
#: How much of a workload the floors do: batched it would be over too soon to be measured, and one
#: at a time ten thousand elements take very long.
_SCALES = {FLOOR: {Kind.THROUGHPUT: 5.0}}
_MAP_SCALES = {SINGLE: 0.2}
#: Where one message or many make no difference.
_WITHOUT_SINGLE = (Kind.EVENTS, Kind.IDLE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is to be measured."""

    workloads: tuple[str, ...] = tuple(WORKLOADS)
    repeat: int = 3
    fraction: float = 1.0
    """Of the flows, seconds and elements of each workload."""
    concurrency: int = 200
    """Tasks that flowbuilder's worker runs at once."""
    database_url: str | None = None
    """A server that databases may be made on, and that nobody else uses meanwhile; None: an own
    one."""
    root: Path | None = None
    """Where the own server's folder is made; None: the system's folder for temporary files."""


async def run_bench(
    plan: Plan,
    *,
    on_start: Callable[[str, str, int], None] = lambda *_: None,
    on_measurement: Callable[[Measurement], None] = lambda _: None,
) -> Report:
    """Measure and return the report. A measurement that fails is one with an error.

    Args:
        plan: What is to be measured.
        on_start: Called with workload, contender and repeat before each measurement.
        on_measurement: Called with each measurement.

    Raises:
        EmbeddedServerError, DatabaseUnavailable, DatabaseError: There is no server to use.
    """
    began, at = time.monotonic(), datetime.now(UTC)
    measurements: list[Measurement] = []
    root = plan.root or Path(tempfile.gettempdir())
    async with open_server(plan.database_url, root) as server:
        for repeat in range(plan.repeat):
            for workload, contender in turns(plan.workloads, repeat):
                on_start(workload, contender, repeat)
                found = await _measure(server, plan, workload, contender, repeat)
                measurements.append(found)
                on_measurement(found)
        return Report(
            workloads=plan.workloads,
            repeat=plan.repeat,
            fraction=plan.fraction,
            concurrency=plan.concurrency,
            own_server=server.own,
            postgres=server.version,
            settings=server.settings,
            started_at=at,
            seconds=time.monotonic() - began,
            measurements=tuple(measurements),
        )


def turns(workloads: tuple[str, ...], repeat: int) -> Iterator[tuple[str, str]]:
    """Yield workload and contender in the order of one repeat.

    The contenders of a workload come right after one another, because the speed of a machine
    changes within minutes; every second repeat turns their order round.
    """
    for workload in workloads:
        order = [SINGLE, FLOOR, FLOWBUILDER]
        if WORKLOADS[workload].kind in _WITHOUT_SINGLE:
            order.remove(SINGLE)
        for contender in order if repeat % 2 == 0 else reversed(order):
            yield workload, contender


def fraction_of(workload: str, contender: str, fraction: float) -> float:
    """Return how much of a workload a contender does."""
    found = WORKLOADS[workload]
    if found.shape.elements:
        return fraction * _MAP_SCALES.get(contender, 1.0)
    return fraction * _SCALES.get(contender, {}).get(found.kind, 1.0)


# -- one measurement ------------------------------------------------------------------------


async def _measure(
    server: Server, plan: Plan, workload: str, contender: str, repeat: int
) -> Measurement:
    name = f"{contender}_{workload.lower()}_{repeat}"
    request = {
        "workload": workload,
        "contender": contender,
        "fraction": fraction_of(workload, contender, plan.fraction),
        "concurrency": plan.concurrency,
        "dsn": await server.fresh(name),
    }
    values: dict[str, float] = {}
    units, checked, error = 0, {}, None
    try:
        async with _child(request) as child:
            await child.phase("ready")
            if WORKLOADS[workload].kind is Kind.IDLE:
                await server.settle(name)
            commit = await server.commit_ms()
            before, own = await server.counters(name), cpu_seconds(child.pid)
            measured = await child.phase("measured")
            own_after, after = cpu_seconds(child.pid), await server.counters(name)
            units = measured["units"]
            values = measured["values"] | costs(before, after, own, own_after, units)
            values["machine_commit_ms"] = (commit + await server.commit_ms()) / 2
            if (memory := peak_memory(child.pid)) is not None:
                values["rss_mb"] = memory
            checked = (await child.phase("verified"))["checked"]
    except ExecutionError as failed:
        error = f"{failed.code}: {failed.message}"
    return Measurement(
        workload=workload,
        contender=contender,
        repeat=repeat,
        units=units,
        values=values,
        checked=checked,
        error=error,
    )


def costs(
    before: Counters, after: Counters, own: float | None, own_after: float | None, units: int
) -> dict[str, float]:
    """Return what a unit has cost, by name; what is not known is missing.

    `own`, `own_after`: processor seconds of the contender's process.
    """
    found = {
        "wal_bytes": float(after.wal - before.wal),
        "write_transactions": float(after.transactions - before.transactions),
    }
    if before.calls is not None and after.calls is not None:
        found["round_trips"] = float(after.calls - before.calls)
    if own is not None and own_after is not None:
        found["worker_cpu_ms"] = 1000 * (own_after - own)
    if before.cpu is not None and after.cpu is not None:
        found["server_cpu_ms"] = 1000 * (after.cpu - before.cpu)
    if "worker_cpu_ms" in found and "server_cpu_ms" in found:
        found["cpu_ms"] = found["worker_cpu_ms"] + found["server_cpu_ms"]
    return {name: value / units for name, value in found.items()}


class _Child:
    """The process of one measurement, phase by phase."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self._started = False

    @property
    def pid(self) -> int:
        return self._process.pid

    async def phase(self, name: str) -> dict[str, Any]:
        """Let the next phase begin and return what the child says at its end.

        Raises:
            ExecutionError: It failed, died (bench_died) or took too long (bench_timeout).
        """
        try:
            if self._started:
                await self._say(b"\n")
            self._started = True
            async with asyncio.timeout(LIMIT):
                line = await self._read()
        except TimeoutError:
            raise ExecutionError(
                f"was not {name} after {LIMIT:g} seconds", code="bench_timeout"
            ) from None
        found: dict[str, Any] = json.loads(line) if line else {"phase": None}
        if found["phase"] == "failed":
            raise ExecutionError(found["message"], code=found["code"])
        if found["phase"] != name:
            raise ExecutionError(f"the process ended: {self._last_words()}", code="bench_died")
        return found

    async def request(self, request: dict[str, Any]) -> None:
        await self._say(json.dumps(request).encode() + b"\n")

    async def _say(self, line: bytes) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            await self._process.stdin.drain()
        except (BrokenPipeError, ConnectionResetError):
            return  # it has failed or died: what it said last tells

    async def _read(self) -> bytes:
        assert self._process.stdout is not None
        return await self._process.stdout.readline()

    def _last_words(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return " ".join(lines[-3:])[-500:] or "it said nothing"

    async def end(self) -> None:
        """Let it close its connections; kill it when it does not."""
        try:
            async with asyncio.timeout(30):
                await self._process.wait()
        except BaseException as error:
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
            if not isinstance(error, TimeoutError):
                raise


@asynccontextmanager
async def _child(request: dict[str, Any]) -> AsyncIterator[_Child]:
    with tempfile.TemporaryDirectory(prefix="flowbuilder-bench-log-") as folder:
        path = Path(folder) / "log"
        with path.open("wb") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "flowbuilder.bench.child"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                start_new_session=True,  # an interrupt is for the parent, which tells its child
            )
        child = _Child(process, path)
        try:
            await child.request(request)
            yield child
        except BaseException:
            if process.returncode is None:
                process.kill()
            raise
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await child.end()
