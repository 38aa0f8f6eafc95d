"""How quickly events reach the readers of one run: `python -m flowbuilder.bench.sse`.

One service process, one PostgreSQL of its own, all readers in one process, events written at a
steady rate by this one, as the engine writes them: a commit, then a notification. An event's lag is
from the moment its writer knows that it is committed to the moment a reader's `recv` returns with
it. Then every reader is cut off at random and resumes, again and again, and each has to get every
event once. `--stalled` readers take nothing at all meanwhile.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowbuilder.bench.processes import cpu_seconds
from flowbuilder.bench.server import open_server
from flowbuilder.client import FlowBuilder
from flowbuilder.types import JsonObject

#: Events of faster rates are committed together, as an exchange of the engine does.
_COMMITS_PER_SECOND = 100
_WRITE = b"""
with held as materialized (select id from flowbuilder.runs where id = %s::uuid for update)
select flowbuilder.append_events(array(
    select (h.id, 'task_progress', 'tick', null, 1, %s::json)::flowbuilder.event_draft
    from held h, generate_series(1, %s)))"""
_LAST = b"select last_seq as last from flowbuilder.runs where id = %s::uuid"
#: Nobody works on it: events are written under its step's name.
_FLOW: JsonObject = {
    "flow": "ticks",
    "steps": [{"id": "tick", "tool": "time.sleep", "args": {"seconds": 1}}],
}


@dataclass(kw_only=True)
class Writer:
    """Writes events of one run at a steady rate."""

    builder: FlowBuilder
    run_id: str
    rate: float
    size: int
    first: int = 0
    commits: list[float] = field(default_factory=list)
    """When each event was committed, from number `first` on."""
    stopped: bool = False

    async def write(self) -> None:
        """Write until it is stopped."""
        each = max(1, round(self.rate / _COMMITS_PER_SECOND))
        data = json.dumps({"message": "x" * self.size})
        database, notifications = self.builder.store.database, self.builder.notifications
        row = await database.fetch_one(_LAST, (self.run_id,))
        assert row is not None
        self.first = row["last"] + 1
        due = time.monotonic()
        while not self.stopped:
            await database.fetch_all(_WRITE, (self.run_id, data, each))
            self.commits += [time.monotonic()] * each
            notifications.signal([self.run_id], going_on=[self.run_id])
            due += each / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    @property
    def last(self) -> int:
        """The number of the last event that was written."""
        return self.first + len(self.commits) - 1


class Readers:
    """The process of the readers."""

    def __init__(self, process: Process) -> None:
        self.process = process

    async def ask(self, **order: object) -> dict[str, Any]:
        """Give an order and return the answer."""
        self.tell(**order)
        return await self.hear()

    def tell(self, **order: object) -> None:
        """Give an order that has no answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")

    async def hear(self) -> dict[str, Any]:
        """Return the next answer."""
        assert self.process.stdout is not None
        line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError("the readers have gone")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def caught_up(self, last: int) -> dict[str, Any]:
        """Wait until everybody has everything up to a number, and has been cut off enough."""
        while True:
            state = await self.ask(do="state")
            if state["wrong"] or (state["last"] >= last and not state["left"]):
                return state
            await asyncio.sleep(0.1)


@asynccontextmanager
async def service(dsn: str, folder: Path) -> AsyncIterator[tuple[int, int]]:
    """Run a service without a worker; yields its port and process id."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    given = {
        "FLOWBUILDER_DATABASE_URL": dsn,
        "FLOWBUILDER_DATA_DIR": str(folder),
        "FLOWBUILDER_AUTH": "local",
        "FLOWBUILDER_STREAM_PATIENCE": "5s",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "flowbuilder.cli", "serve", "--port", str(port), "--no-worker"),
        env={**os.environ, **given},
    )
    try:
        await _listens(port)
        yield port, process.pid
    finally:
        process.terminate()
        await process.wait()


async def _listens(port: int) -> None:
    give_up = time.monotonic() + 60
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if time.monotonic() > give_up:
                raise
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return


@asynccontextmanager
async def crowd(port: int, run_id: str, wanted: argparse.Namespace) -> AsyncIterator[Readers]:
    """Run the readers."""
    orders = {
        "host": "127.0.0.1",
        "port": port,
        "path": f"/api/v1/runs/{run_id}/events",
        "readers": wanted.readers,
        "stalled": wanted.stalled,
        "seed": wanted.seed,
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "flowbuilder.bench.sse_readers", json.dumps(orders)),
        stdin=PIPE,
        stdout=PIPE,
        limit=1 << 28,
    )
    try:
        readers = Readers(process)
        await readers.hear()
        yield readers
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def measure(wanted: argparse.Namespace) -> JsonObject:
    """Measure the lag at a rate, then cut readers off; returns the figures."""
    with tempfile.TemporaryDirectory(prefix="flowbuilder-bench-") as text:
        folder = Path(text)
        async with open_server(wanted.dsn, folder) as server:
            dsn = await server.fresh("sse")
            async with FlowBuilder.connect(dsn, worker=False) as builder:
                run = await builder.execute(_FLOW)
                async with (
                    service(dsn, folder) as (port, pid),
                    crowd(port, run.id, wanted) as readers,
                ):
                    return await _measured(builder, run.id, readers, pid, wanted)


async def _measured(
    builder: FlowBuilder, run_id: str, readers: Readers, pid: int, wanted: argparse.Namespace
) -> JsonObject:
    warm = await _written(builder, run_id, readers, wanted, seconds=2.0)
    began, used = time.monotonic(), cpu_seconds(pid) or 0.0
    crowded = cpu_seconds(readers.process.pid) or 0.0
    writer = await _written(builder, run_id, readers, wanted, seconds=wanted.seconds)
    spent = (cpu_seconds(pid) or 0.0) - used
    crowded = (cpu_seconds(readers.process.pid) or 0.0) - crowded
    took = time.monotonic() - began
    state = await readers.caught_up(writer.last)
    lags = (await readers.ask(do="measure", first=writer.first, commits=writer.commits))[
        "milliseconds"
    ]
    figures: JsonObject = {
        "readers": wanted.readers,
        "stalled": wanted.stalled,
        "asked_events_per_second": wanted.rate,
        "events_per_second": round(len(writer.commits) / wanted.seconds, 1),
        "deliveries": len(lags),
        **{
            f"p{share}_ms": lags[min(len(lags) - 1, len(lags) * share // 100)]
            for share in (50, 95, 99)
        },
        "longest_ms": lags[-1],
        "service_cpu": round(spent / took, 2),
        "readers_cpu": round(crowded / took, 2),
        "load": round(os.getloadavg()[0], 1),
        "wrong": state["wrong"],
        "warmed_up_by": len(warm.commits),
    }
    if wanted.disconnects and not state["wrong"]:
        figures |= await _cut(builder, run_id, readers, wanted)
    return figures


async def _written(
    builder: FlowBuilder,
    run_id: str,
    readers: Readers,
    wanted: argparse.Namespace,
    *,
    seconds: float,
) -> Writer:
    writer = Writer(builder=builder, run_id=run_id, rate=wanted.rate, size=wanted.size)
    writing = asyncio.create_task(writer.write())
    await asyncio.sleep(seconds)
    writer.stopped = True
    await writing
    await readers.caught_up(writer.last)
    return writer


async def _cut(
    builder: FlowBuilder, run_id: str, readers: Readers, wanted: argparse.Namespace
) -> JsonObject:
    writer = Writer(builder=builder, run_id=run_id, rate=wanted.cut_rate, size=wanted.size)
    writing = asyncio.create_task(writer.write())
    began = time.monotonic()
    readers.tell(do="cut", times=wanted.disconnects)
    state = await readers.caught_up(0)
    took = time.monotonic() - began
    writer.stopped = True
    await writing
    state = await readers.caught_up(writer.last)
    return {
        "disconnects": wanted.readers * wanted.disconnects,
        "disconnects_per_second": round(wanted.readers * wanted.disconnects / took, 1),
        "events_meanwhile": len(writer.commits),
        "refusals": state["refusals"],
        "wrong_after_disconnects": state["wrong"],
    }


def main() -> None:
    """Read the arguments, measure, print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--readers", type=int, default=200)
    parser.add_argument("--rate", type=float, default=100.0, help="events per second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--size", type=int, default=100, help="bytes of text in each event")
    parser.add_argument("--stalled", type=int, default=1, help="readers that take nothing")
    parser.add_argument("--disconnects", type=int, default=100, help="of each reader")
    parser.add_argument("--cut-rate", type=float, default=20.0, help="events per second meanwhile")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--dsn", help="a PostgreSQL to use instead of one of its own")
    print(json.dumps(asyncio.run(measure(parser.parse_args())), indent=2))


if __name__ == "__main__":
    main()
