"""Services that are killed, and a server that is restarted under them, while clients ask.

Each client sends what it wants until it is answered, as one that cannot know does: under a key.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from flowbuilder.client import FlowBuilder
from flowbuilder.settings import Settings
from tests.faults.harness.arena import Arena, fan, sized
from tests.faults.harness.services import Senders, Service, Services, is_ready
from tests.support.api import all_in
from tests.support.triggering import MASTER_KEY, headers, now

SLUG = "asked"
_DOCUMENT: dict[str, Any] = {
    "flow": SLUG,
    "input": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}},
    "steps": [
        {"id": "a", "tool": "fault.work", "args": {"value": "${{ input.n }}", "ms": 2}},
        {"id": "b", "tool": "fault.work", "args": {"value": "${{ steps.a }}", "ms": 2}},
    ],
    "output": "${{ steps.b }}",
}
_KEYS = b"select idempotency_key as key, id::text from flowbuilder.runs order by created_at, id"
_DELIVERIES = b"""
select t.detail as message, t.run_id::text as run, d.run_id::text as noted
from flowbuilder.run_triggers t
left join flowbuilder.webhook_deliveries d on d.message_id = t.detail
where t.kind = 'webhook'
"""
#: Runs that began in one transaction with others.
_TOGETHER = b"""
select coalesce(max(n), 0) as most from (
    select count(*) as n from flowbuilder.runs group by created_at) g
"""


@pytest.fixture
async def builder(arena: Arena) -> AsyncIterator[FlowBuilder]:
    """The client library over the arena's database, with a published flow."""
    settings = Settings(database_url=SecretStr(arena.dsn), auth="local", secret_key=MASTER_KEY)
    opened = FlowBuilder.connect(settings=settings, registry=arena.registry, worker=False)
    async with opened as fb:
        await fb.save_flow(_DOCUMENT)
        await fb.publish(SLUG)
        yield fb


async def kill_again_and_again(
    arena: Arena, services: Services, senders: Senders, **settings: str
) -> None:
    """Kill the service that is asked in the middle of it, and let another one take its place."""
    for _ in range(sized(3, 40)):
        await senders.progress(arena.dice.randrange(20, 60))
        before = senders.unanswered
        await asyncio.to_thread(senders.service.kill)
        arena.fired("kill -9 of a service")
        senders.service = await services.start(arena, **settings)
        arena.fired("request without an answer", senders.unanswered - before)
    await senders.progress(20)


async def test_starts_that_go_together_survive_kills_of_the_service(
    arena: Arena, builder: FlowBuilder, services: Services
) -> None:
    """Many start at once, so that starts share transactions, and the service is killed: each start
    that was answered exists, and one that was sent again is the same run."""
    await arena.joined(arena.worker(concurrency=8))
    async with Senders(arena, await services.start(arena)) as senders:
        senders.begin(lambda n: senders.start(SLUG, n), at_once=40)
        await kill_again_and_again(arena, services, senders)
        await senders.enough()
        for key in arena.dice.sample(sorted(senders.runs), 20):  # long afterwards, too
            await senders.start(SLUG, int(key.split()[1]))
    await asyncio.to_thread(senders.service.stop)
    await builder.close()
    rows = await arena.database.fetch_all(_KEYS)
    assert {row["key"]: row["id"] for row in rows} == senders.runs
    assert len(rows) == len(senders.runs), "a key has started two runs"
    together = await arena.database.fetch_one(_TOGETHER)
    assert together is not None
    arena.fired("start in company", together["most"] - 1)
    arena.figure(runs=len(rows), unanswered=senders.unanswered, together=together["most"])
    outputs = {run.id: run.output for run in await arena.ended(seconds=120)}
    assert {f"start {outputs[run]}": run for run in senders.runs.values()} == senders.runs
    await arena.check()
    arena.assert_extra_entries(at_most=0)


async def test_deliveries_to_a_webhook_survive_kills_of_the_service(
    arena: Arena, builder: FlowBuilder, services: Services
) -> None:
    """A sender repeats each delivery under its id until it is taken, and some once more: each has
    started one run, whatever was killed on the way."""
    hook = await builder.webhooks.add("orders", flow=SLUG, key="n", rate="100000/1s")
    secrets = {"FLOWBUILDER_SECRET_KEY": MASTER_KEY}
    await arena.joined(arena.worker(concurrency=8))
    again = 0
    async with Senders(arena, await services.start(arena, **secrets)) as senders:

        async def deliver(number: int) -> None:
            nonlocal again
            for _ in range(1 + (number % 5 == 0)):
                message, body = f"msg_{number}", json.dumps(number).encode()
                signed = headers(
                    hook.secret, body, message_id=message, at=await now(builder.store.database)
                )
                told = await senders.send(
                    message,
                    lambda client, url: client.post(
                        f"{url}/hooks/{hook.row.path}", content=body, headers=signed  # noqa: B023
                    ),
                )  # fmt: skip
                known = senders.runs.setdefault(message, told["run_id"])
                assert known == told["run_id"]
                again += told["duplicate"]

        senders.begin(deliver, at_once=20)
        await kill_again_and_again(arena, services, senders, **secrets)
        await senders.enough()
    await asyncio.to_thread(senders.service.stop)
    await builder.close()
    rows = await arena.database.fetch_all(_DELIVERIES)
    assert {row["message"]: row["run"] for row in rows} == senders.runs
    assert all(row["noted"] == row["run"] for row in rows) and len(rows) == len(senders.runs)
    arena.fired("delivery that was known already", again)
    arena.figure(deliveries=len(rows), unanswered=senders.unanswered, again=again)
    arena.acknowledged += senders.runs.values()
    outputs = {run.id: run.output for run in await arena.ended(seconds=120)}
    assert {f"msg_{outputs[run]}": run for run in senders.runs.values()} == senders.runs
    await arena.check()
    arena.assert_extra_entries(at_most=0)


class Reader:
    """Follows a run over HTTP until its stream ends, over as many connections as it takes."""

    def __init__(self, senders: Senders) -> None:
        self._senders = senders
        self.seqs: list[int] = []
        self.last: str | None = None
        self.connections = 0

    async def follow(self, run_id: str) -> None:
        while self.last != "end":
            self.connections += 1
            with suppress(httpx.HTTPError):
                await self._read(run_id)
            await asyncio.sleep(0.02)

    async def _read(self, run_id: str) -> None:
        sent = {"Accept": "text/event-stream"}
        if self.seqs:
            sent["Last-Event-ID"] = str(self.seqs[-1])
        path = f"/api/v1/runs/{run_id}/events"
        async with (
            httpx.AsyncClient(
                base_url=self._senders.service.url, timeout=60, verify=False
            ) as client,
            client.stream("GET", path, headers=sent) as answer,
        ):
            if answer.status_code != 200:
                assert answer.status_code == 503, answer.status_code
                return
            rest = ""
            async for text in answer.aiter_text():
                whole, _, rest = (rest + text).rpartition("\n\n")
                for one in all_in(whole):
                    self.last = one["event"]
                    self.seqs += [one["id"]] if one["id"] is not None else []


async def test_f17_f18_the_server_restarts_under_a_running_service(
    arena: Arena, builder: FlowBuilder, services: Services
) -> None:
    """F17, F18: stops, crashes and kills of the server while a service is asked, followed and
    worked for. It stays up and says that it is not ready; afterwards it is the same process that
    serves: every start that was answered has run, once, and no stream has a gap."""
    await builder.close()
    workers = [arena.worker(concurrency=4) for _ in range(2)]
    await arena.joined(*workers)
    service = await services.start(arena)
    readers: list[Reader] = []
    gate = arena.folder / "gate"
    held = await arena.start(fan(2, tool="fault.hold", timeout="1h", args={"gate": str(gate)}))
    async with Senders(arena, service) as senders:
        witness = Reader(senders)
        watching = asyncio.create_task(witness.follow(held))

        async def start(number: int) -> None:
            run_id = await senders.start(SLUG, number)
            if number % 4 == 0:
                readers.append(Reader(senders))
                await readers[-1].follow(run_id)

        senders.begin(start, at_once=8)
        for number in range(sized(3, 30)):
            await senders.progress(15)
            how = ("fast", "immediate", "kill")[number % 3]
            if how == "kill":
                await asyncio.to_thread(arena.server.kill)
            else:
                await asyncio.to_thread(arena.server.stop, how)
            arena.fired(f"server down ({how})")
            await arena.hold(lambda: _is_away(service), what="it seems ready without a database")
            async with httpx.AsyncClient(base_url=service.url, verify=False) as client:
                assert (await client.get("/healthz")).status_code == 200
            await asyncio.to_thread(arena.server.start)
            await arena.hold(lambda: is_ready(service), what="it is not ready again")
        await senders.progress(15)
        await senders.enough()
        assert not watching.done()
        gate.touch()
        await watching
        arena.fired("stream of a run that lasts", len(witness.seqs))
    assert service.process.poll() is None and all(worker.alive for worker in workers)
    await asyncio.to_thread(service.stop)
    for reader in [*readers, witness]:
        assert reader.seqs == list(range(1, len(reader.seqs) + 1)) and len(reader.seqs) > 3
    arena.figure(
        runs=len(senders.runs),
        refused=dict(senders.refused),
        again=senders.unanswered,
        connections=witness.connections,
    )
    await arena.connect()
    rows = await arena.database.fetch_all(_KEYS)
    assert {row["key"]: row["id"] for row in rows if row["id"] != held} == senders.runs
    assert len(rows) == len(senders.runs) + 1
    outputs = {run.id: run.output for run in await arena.ended(seconds=120)}
    assert {f"start {outputs[run]}": run for run in senders.runs.values()} == senders.runs
    await arena.check()


async def _is_away(service: Service) -> bool:
    return not await is_ready(service)
