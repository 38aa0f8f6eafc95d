"""Run starts over HTTP: `python -m flowbuilder.bench.http_starts --seconds 30 --clients 24`.

One process of the service, one worker process, and clients that keep their connections open and
send the next start when they have the answer to the one before, or at a rate (`--rate`). Reports
how many starts a second were answered, how long that took, how much processor time went where, and
whether all runs ended. 1 when a start was refused or a run did not end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from flowbuilder.bench.http_client import Connection
from flowbuilder.bench.processes import cpu_seconds
from flowbuilder.bench.server import Counters, Server, open_server
from flowbuilder.client import FlowBuilder
from flowbuilder.executor.migrator import migrate
from flowbuilder.executor.store.users import Doer
from flowbuilder.settings import Settings
from flowbuilder.types import JsonObject

_NAME = "http"
_PATH = "/api/v1/runs"
_INPUT: JsonObject = {
    "type": "object",
    "required": ["n"],
    "properties": {"n": {"type": "integer"}},
}
_ARGS: JsonObject = {"template": "{n}", "values": {"n": "${{ input.n }}"}}
_OPEN = b"select count(*) as n from flowbuilder.runs where finished_at is null"
_BY_STATUS = b"select status, count(*) as n from flowbuilder.runs group by status"
_BENCH = Doer(actor="bench", channel="cli")
#: How long all runs may take to end after the last start.
_PATIENCE = 120.0


@dataclass(slots=True)
class Tally:
    """What the clients have seen."""

    seconds: list[float] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)

    def note(self, status: int, seconds: float) -> None:
        """Count one answer."""
        if status == 201:
            self.seconds.append(seconds)
        else:
            self.refused[str(status)] = self.refused.get(str(status), 0) + 1

    def at(self, share: float) -> float:
        """Return the milliseconds that this share of the answers took at most."""
        ordered = sorted(self.seconds) or [0.0]
        return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)


async def load(port: int, options: argparse.Namespace, headers: dict[str, str]) -> Tally:
    """Start runs for as long as the options say."""
    tally = Tally()
    begun = time.perf_counter()
    until = begun + options.seconds
    number = 0

    async def client() -> None:
        nonlocal number
        connection = Connection("127.0.0.1", port, headers)
        while time.perf_counter() < until:
            number += 1
            mine = number
            if options.rate:
                due = begun + mine / options.rate
                if due >= until:
                    break
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
            body = json.dumps({"flow": "started", "input": {"n": mine}}).encode()
            key = f"bench-{mine}" if options.keys else None
            sent = time.perf_counter()
            try:
                status, _ = await connection.post(_PATH, body, key)
            except (OSError, EOFError, ValueError):
                status = 0
            tally.note(status, time.perf_counter() - sent)
        await connection.close()

    await asyncio.gather(*[client() for _ in range(options.clients)])
    return tally


@asynccontextmanager
async def process(*arguments: str, settings: dict[str, str]) -> AsyncIterator[int]:
    """Run a command of flowbuilder's until the end of the context; yields its pid."""
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "flowbuilder.cli", *arguments, env={**os.environ, **settings}
    )
    try:
        yield running.pid
    finally:
        if running.returncode is None:
            running.terminate()
        await running.wait()


async def prepare(builder: FlowBuilder, *, users: bool) -> dict[str, str]:
    """Publish the flow and return the headers of a request."""
    await builder.create_flow("started", input_schema=_INPUT)
    await builder.add_step("started", "say", tool="text.template", args=_ARGS)
    await (await builder.execute("started", {"n": 0})).cancel()
    if not users:
        return {}
    await builder.accounts.add_user("bench", admin=True, by=_BENCH)
    await builder.accounts.set_member(builder.workspace, "bench", ["builder"], by=_BENCH)
    key = await builder.accounts.create_key(
        builder.workspace, "bench", name="bench", scopes=["run"], seconds=None, by=_BENCH
    )
    return {"Authorization": f"Bearer {key.text}"}


async def listening(port: int) -> None:
    """Wait until somebody listens at the port."""
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


async def measure(server: Server, options: argparse.Namespace) -> JsonObject:
    """Measure on a new database of the server."""
    dsn = await server.fresh(_NAME)
    await migrate(dsn)
    settings = Settings(database_url=SecretStr(dsn))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    given = {
        "FLOWBUILDER_DATABASE_URL": dsn,
        "FLOWBUILDER_AUTH": "users" if options.users else "local",
        "FLOWBUILDER_AUTH_SECRET": secrets.token_urlsafe(48),
        "FLOWBUILDER_CONCURRENCY": str(options.concurrency),
    }
    async with AsyncExitStack() as stack:
        opened = FlowBuilder.connect(settings=settings, worker=False)
        builder = await stack.enter_async_context(opened)
        headers = await prepare(builder, users=options.users)
        serve = process("serve", "--port", str(port), "--no-worker", settings=given)
        pids = {"service": await stack.enter_async_context(serve)}
        pids["worker"] = await stack.enter_async_context(process("worker", settings=given))
        await listening(port)
        await load(
            port, argparse.Namespace(**{**vars(options), "seconds": 2, "keys": False}), headers
        )
        before = await _spent(server, pids)
        began = time.perf_counter()
        tally = await load(port, options, headers)
        seconds = time.perf_counter() - began
        after = await _spent(server, pids)
        ended = await _all_ended(builder, began)
        rows = await builder.store.database.fetch_all(_BY_STATUS)
    return {
        "clients": options.clients,
        "keys": options.keys,
        "users": options.users,
        "starts": len(tally.seconds),
        "starts_per_second": round(len(tally.seconds) / seconds, 1),
        "p50_ms": tally.at(0.5),
        "p95_ms": tally.at(0.95),
        "p99_ms": tally.at(0.99),
        "refused": dict(tally.refused),
        "all_ended_after_seconds": ended,
        "runs": {row["status"]: row["n"] for row in rows},
        "processor": _shares(before, after, seconds, len(tally.seconds)),
    }


async def _spent(server: Server, pids: dict[str, int]) -> tuple[dict[str, float], Counters]:
    counters = await server.counters(_NAME)
    found = {name: cpu_seconds(pid) or 0.0 for name, pid in pids.items()}
    return {**found, "database": counters.cpu or 0.0, "clients": time.process_time()}, counters


def _shares(
    before: tuple[dict[str, float], Counters],
    after: tuple[dict[str, float], Counters],
    seconds: float,
    starts: int,
) -> JsonObject:
    """Return how many processors each part kept busy, and its milliseconds for each start."""
    used = {name: after[0][name] - before[0][name] for name in after[0]}
    shown: JsonObject = {
        name: {
            "processors": round(value / seconds, 2),
            "ms_per_start": round(1000 * value / max(starts, 1), 2),
        }
        for name, value in used.items()
    }
    written = after[1].transactions - before[1].transactions
    return {**shown, "transactions_per_start": round(written / max(starts, 1), 2)}


async def _all_ended(builder: FlowBuilder, began: float) -> float | None:
    """Wait until no run is open; the seconds since the first start, None when some stay open."""
    give_up = time.monotonic() + _PATIENCE
    while time.monotonic() < give_up:
        row = await builder.store.database.fetch_one(_OPEN)
        if row is not None and row["n"] == 0:
            return round(time.perf_counter() - began, 1)
        await asyncio.sleep(0.25)
    return None


async def run(options: argparse.Namespace) -> JsonObject:
    """Measure on a server of the benchmark's own, or on that of `--dsn`."""
    async with open_server(options.dsn, Path(options.folder)) as server:
        return await measure(server, options)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the report as JSON, and say whether all went well."""
    parser = argparse.ArgumentParser(prog="http_starts", description="Run starts over HTTP.")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--rate", type=float, default=0.0, help="Starts a second; 0: all it takes.")
    parser.add_argument("--keys", action="store_true", help="Send an Idempotency-Key.")
    parser.add_argument("--users", action="store_true", help="By an API key, as one of its users.")
    parser.add_argument("--concurrency", type=int, default=64, help="Of the worker.")
    parser.add_argument("--dsn", help="A server on which databases may be made.")
    parser.add_argument("--folder", default="/tmp", help="Where the own server lies.")
    report = asyncio.run(run(parser.parse_args(arguments)))
    sys.stdout.write(json.dumps(report, indent=2) + "\n")
    return 1 if report["refused"] or report["all_ended_after_seconds"] is None else 0


if __name__ == "__main__":
    sys.exit(main())
