"""The floor: raw pgmq, one message a step, every output a stored row, and nothing else.

It is a bound and not an engine. Which steps wait for which is kept in memory, so it does less
than anything durable must do. `batch` messages are handled in two statements: read; then, in one
transaction, store the outputs, delete the messages and send those of the next steps.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg.types.json import set_json_loads

from flowbuilder.bench.contender import Contender, Output, wrong
from flowbuilder.bench.workloads import Shape, add_up
from flowbuilder.executor.database import connect
from flowbuilder.executor.queue_schema import install_pgmq

Connection = AsyncConnection[TupleRow]

#: Connections of the floor that handles one message at a time.
SINGLE_LOOPS = 8
#: Seconds that a read message stays hidden; nothing here takes as long.
_HIDDEN = 120
_POLL = 1.0

_KNOWN = b"select to_regclass('bench_output') is not null as known"
_TABLE = b"""
create table bench_output (flow bigint, step text, output jsonb, primary key (flow, step))"""
_QUEUE = b"select pgmq.create('bench')"
_SUBMIT = b"""
with sent as (select pgmq.send_batch('bench', %s::jsonb[]))
select count(*), pg_notify('bench', '') from sent"""
_READ = b"select msg_id, message from pgmq.read('bench', %s, %s)"
_DONE = b"""
with stored as (
    insert into bench_output (flow, step, output)
    select * from unnest(%s::bigint[], %s::text[], %s::jsonb[]))
select count(*) from pgmq.delete('bench', %s::bigint[])"""
_DONE_AND_SEND = b"""
with stored as (
    insert into bench_output (flow, step, output)
    select * from unnest(%s::bigint[], %s::text[], %s::jsonb[])),
sent as (select pgmq.send_batch('bench', %s::jsonb[]))
select (select count(*) from pgmq.delete('bench', %s::bigint[])), (select count(*) from sent)"""
_SINKS = b"select output from bench_output where flow = %s and step = any(%s)"
_ALL = b"""
select flow, count(*), coalesce(sum((output->>'v')::bigint) filter (where step = any(%s)), 0)
from bench_output where flow = any(%s) group by flow"""
_LEFT = b"select count(*) from pgmq.q_bench"
_CHANGE = b"""
with stored as (insert into bench_output (flow, step, output) values (%s, 'event', '{}'))
select pg_notify('bench_event', %s)"""


@dataclass(slots=True)
class _Flow:
    """What an engine would keep in the database."""

    value: int
    waiting: dict[str, int]
    """Steps before each step that have not ended yet."""
    left: int
    done: asyncio.Future[None]
    outputs: dict[str, Output] = field(default_factory=dict)


class Floor(Contender):
    """Raw pgmq, `batch` messages at a time on `loops` connections."""

    def __init__(self, dsn: str, *, batch: int = 100, loops: int = 1) -> None:
        self._dsn = dsn
        self._batch = batch
        self._loops = loops
        self._flows: dict[int, _Flow] = {}
        #: Several processes in turn write to the same table.
        self._numbers = itertools.count(time.time_ns())
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = AsyncExitStack()

    async def open(self, shape: Shape) -> None:
        self._before = _before(shape)
        self._after: dict[str, list[str]] = {name: [] for name in self._before}
        for name, before in self._before.items():
            for one in before:
                self._after[one].append(name)
        self._shape = shape
        await self._prepare()
        self._client = await self._connect()
        listener = await self._connect()
        await listener.execute("listen bench")
        self._tasks.append(asyncio.create_task(self._listen(listener)))
        for _ in range(self._loops):
            self._tasks.append(asyncio.create_task(self._work(await self._connect())))

    async def _connect(self) -> Connection:
        connection = await AsyncConnection.connect(self._dsn, autocommit=True)
        set_json_loads(orjson.loads, connection)
        self._closing.push_async_callback(connection.close)
        return connection

    async def _prepare(self) -> None:
        connection = await connect(self._dsn)
        try:
            row = await (await connection.execute(_KNOWN)).fetchone()
            if row is None or not row["known"]:
                async with connection.transaction():
                    await install_pgmq(connection)
                    await connection.execute(_TABLE)
                    await connection.execute(_QUEUE)
        finally:
            await connection.close()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._closing.aclose()

    # -- working ----------------------------------------------------------------------------

    async def _listen(self, connection: Connection) -> None:
        async for _ in connection.notifies():
            self._wake.set()

    async def _work(self, connection: Connection) -> None:
        while True:
            self._wake.clear()
            cursor = await connection.execute(_READ, (_HIDDEN, self._batch))
            rows = await cursor.fetchall()
            if rows:
                await self._handle(connection, [row[0] for row in rows], [row[1] for row in rows])
                continue
            try:
                async with asyncio.timeout(_POLL):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _handle(
        self, connection: Connection, ids: list[int], messages: list[dict[str, Any]]
    ) -> None:
        outputs = await asyncio.gather(*(add_up(message["in"]) for message in messages))
        ready = [
            following
            for message, output in zip(messages, outputs, strict=True)
            for following in self._release(message["flow"], message["step"], output)
        ]
        stored = (
            [message["flow"] for message in messages],
            [message["step"] for message in messages],
            [orjson.dumps(output).decode() for output in outputs],
        )
        if ready:
            await connection.execute(_DONE_AND_SEND, (*stored, ready, ids))
            self._wake.set()
        else:
            await connection.execute(_DONE, (*stored, ids))
        for message in messages:
            flow = self._flows[message["flow"]]
            flow.left -= 1
            if not flow.left:
                flow.done.set_result(None)

    def _release(self, number: int, step: str, output: Output) -> list[str]:
        """Count a step as ended and return the messages of the steps that can start now."""
        flow, ready = self._flows[number], []
        flow.outputs[step] = output
        for name in self._after[step]:
            flow.waiting[name] -= 1
            if not flow.waiting[name]:
                inputs = [flow.outputs[one] for one in self._before[name]]
                ready.append(_message(number, name, inputs))
        return ready

    # -- the client -------------------------------------------------------------------------

    async def submit(self, values: Sequence[int]) -> list[str]:
        numbers = list(itertools.islice(self._numbers, len(values)))
        waiting = {name: len(before) for name, before in self._before.items() if before}
        first = [name for name, before in self._before.items() if not before]
        loop = asyncio.get_running_loop()
        messages: list[str] = []
        for number, value in zip(numbers, values, strict=True):
            self._flows[number] = _Flow(
                value, dict(waiting), len(self._before), loop.create_future()
            )
            for index, name in enumerate(first):
                given = value + index if self._shape.elements else value
                messages.append(_message(number, name, [{"v": given}]))
        await self._client.execute(_SUBMIT, (messages,))
        return [str(number) for number in numbers]

    async def wait(self) -> None:
        await asyncio.gather(*(flow.done for flow in self._flows.values()))

    async def result(self, handle: str) -> list[Output]:
        number = int(handle)
        await self._flows[number].done
        cursor = await self._client.execute(_SINKS, (number, self._shape.sinks))
        return [row[0] for row in await cursor.fetchall()]

    async def verify(self) -> Mapping[str, int]:
        cursor = await self._client.execute(_ALL, (self._shape.sinks, list(self._flows)))
        found = {row[0]: (row[1], row[2]) for row in await cursor.fetchall()}
        for number, flow in self._flows.items():
            expected = (len(self._before), self._shape.expected(flow.value))
            if found.get(number) != expected:
                raise wrong(f"flow {number}: {expected} expected, found {found.get(number)}")
        left = await (await self._client.execute(_LEFT)).fetchone()
        if left != (0,):
            raise wrong(f"messages are left in the queue: {left}")
        return {"flows": len(found), "rows": sum(rows for rows, _ in found.values())}

    async def events(self, rate: int, seconds: int) -> Mapping[str, list[float]]:
        """Notify in each change's own transaction; the subscriber is another connection."""
        count = rate * seconds
        sent: dict[int, float] = {}
        delays: list[float] = []
        subscriber = await self._connect()
        await subscriber.execute("listen bench_event")

        async def receive() -> None:
            async for heard in subscriber.notifies(timeout=seconds + 30, stop_after=count):
                delays.append(time.monotonic() - sent[int(heard.payload)])

        async with _running(receive()) as receiving:
            began = time.monotonic()
            for number in range(count):
                await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
                sent[number] = time.monotonic()
                await self._client.execute(_CHANGE, (-next(self._numbers), str(number)))
            await receiving
        if len(delays) < count:
            raise wrong(f"{count} events were sent, the subscriber got {len(delays)}")
        return {"change": delays}


@asynccontextmanager
async def _running(work: Any) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _before(shape: Shape) -> dict[str, tuple[str, ...]]:
    """Return the steps as messages know them: an element of a map is a step of its own."""
    if not shape.elements:
        return dict(shape.before)
    first, *rest = shape.before
    names = tuple(f"{first}{index}" for index in range(shape.elements))
    found: dict[str, tuple[str, ...]] = dict.fromkeys(names, ())
    for name in rest:
        found[name] = names
    return found


def _message(flow: int, step: str, inputs: Sequence[Output]) -> str:
    return orjson.dumps({"flow": flow, "step": step, "in": inputs}).decode()
