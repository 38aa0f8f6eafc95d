"""The log of a workspace: every event once, in one order, under numbers that stay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from flowbuilder.client import FlowBuilder
from flowbuilder.executor.database import Database
from tests.integration.test_api_streams import QUICK, WAITING, datas, start, stream
from tests.support.api import all_in, app_over, connect, events_in, http, problem
from tests.support.tenants import town
from tests.support.waiting import eventually

PATH = "/api/v1/events"
_TRIGGER = b"select count(*) as n from pg_trigger where tgname = 'events_log'"


@pytest.fixture
async def builder(dsn: str) -> AsyncIterator[FlowBuilder]:
    async with connect(dsn, worker=True) as opened:
        yield opened


@pytest.fixture
async def client(builder: FlowBuilder) -> AsyncIterator[httpx.AsyncClient]:
    async with http(app_over(builder)) as opened:
        yield opened


async def finished(builder: FlowBuilder, client: httpx.AsyncClient, count: int = 1) -> list[str]:
    ids = [await start(client, QUICK) for _ in range(count)]
    for one in ids:
        await (await builder.get_run(one)).result(60)
    return ids


async def whole(client: httpx.AsyncClient, after: int | None = None) -> dict[str, Any]:
    page = await client.get(
        PATH, params={"limit": 1000, **({} if after is None else {"after": after})}
    )
    assert page.status_code == 200, page.text
    body: dict[str, Any] = page.json()
    assert [item["place"] for item in body["items"]] == list(
        range(body["next_after"] - len(body["items"]) + 1, body["next_after"] + 1)
    )
    return body


def by_stream(items: list[dict[str, Any]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for item in items:
        found.setdefault(item["stream"], []).append(item["seq"])
    return found


async def test_nothing_is_logged_until_somebody_asks(
    builder: FlowBuilder, client: httpx.AsyncClient, database: Database
) -> None:
    old = await finished(builder, client, 2)
    assert await database.fetch_one(_TRIGGER) == {"n": 0}
    first = await whole(client)
    assert await database.fetch_one(_TRIGGER) == {"n": 1}
    assert set(by_stream(first["items"])) == set(old)
    new = await finished(builder, client, 2)
    body = await whole(client)
    assert body["items"][: len(first["items"])] == first["items"]
    assert set(by_stream(body["items"])) == {*old, *new}
    for run_id, numbers in by_stream(body["items"]).items():
        run = await builder.get_run(run_id)
        assert numbers == list(range(1, run.row.last_seq + 1))
    assert (body["first"], body["last"]) == (1, len(body["items"]))


async def test_a_stream_of_all_runs_goes_on_and_resumes(
    builder: FlowBuilder, client: httpx.AsyncClient
) -> None:
    await finished(builder, client)
    begun = await whole(client)
    app = client._transport.app  # type: ignore[attr-defined]
    reading = asyncio.create_task(stream(client, PATH))
    latest = asyncio.create_task(stream(client, f"{PATH}?latest=true"))
    hub = app.state.streams.hub
    await eventually(lambda: hub.readers == 2)
    await finished(builder, client, 3)
    last = (await whole(client))["last"]
    await eventually(lambda: all(one.reader.seen >= last for one in hub._open))
    app.state.streams.stop()
    text = (await reading).text
    numbers = [event["id"] for event in events_in(text)]
    assert numbers == list(range(1, last + 1))
    assert [event["data"]["place"] for event in events_in(text)] == numbers
    assert "end" not in [event["event"] for event in all_in(text)]
    new = [event["id"] for event in events_in((await latest).text)]
    assert new == list(range(begun["last"] + 1, last + 1))
    page = await client.get(PATH, params={"after": 4})
    assert page.text.startswith('{"items":[' + ",".join(datas(text)[4:]) + "],")
    await app.state.streams.close()


async def test_writers_at_once_leave_no_gap(
    builder: FlowBuilder, client: httpx.AsyncClient
) -> None:
    await whole(client)
    ids = [one for batch in await asyncio.gather(*(finished(builder, client, 5) for _ in range(6)))
           for one in batch]  # fmt: skip
    found = by_stream((await whole(client))["items"])
    assert found.keys() == set(ids)
    for run_id in ids:
        run = await builder.get_run(run_id)
        assert found[run_id] == list(range(1, run.row.last_seq + 1))


async def test_what_retention_deletes_is_gone_for_whoever_comes_back(
    builder: FlowBuilder, client: httpx.AsyncClient, database: Database
) -> None:
    await finished(builder, client, 2)
    middle = (await whole(client))["last"]
    await database.execute(b"update flowbuilder.clock set offset_by = interval '2 days'")
    kept = await finished(builder, client)
    await builder.prune("1d")
    body = await whole(client)
    assert by_stream(body["items"]).keys() == set(kept)
    assert body["first"] == middle + 1
    for after in (0, middle - 1):
        for asked in (
            client.get(PATH, params={"after": after}),
            stream(client, PATH, **{"Last-Event-ID": str(after)}),
        ):
            gone = problem(await asked, 410)
            assert (gone["code"], gone["first"]) == ("events_pruned", middle + 1)
    assert (await whole(client, middle))["items"] == body["items"]


async def test_a_log_that_nobody_reads_ends_and_begins_anew(
    builder: FlowBuilder, client: httpx.AsyncClient, database: Database
) -> None:
    await finished(builder, client)
    last = (await whole(client))["last"]
    await database.execute(b"update flowbuilder.clock set offset_by = interval '8 days'")
    await finished(builder, client)
    arrivals = b"select count(*) as n from flowbuilder.workspace_arrivals"
    assert await database.fetch_one(arrivals) == {"n": 0}
    await builder.prune("30d")
    assert await database.fetch_one(_TRIGGER) == {"n": 0}
    again = await whole(client)
    assert again["first"] == last + 1
    assert len(by_stream(again["items"])) == 2
    assert await database.fetch_one(_TRIGGER) == {"n": 1}
    gone = await client.get(PATH, params={"after": last - 1})
    assert problem(gone, 410)["first"] == last + 1


async def test_workspaces_see_their_own_events(dsn: str) -> None:
    async with town(dsn) as place:
        await place.workspace("ours")
        ours = await place.person("ada", "ours", "admin")
        theirs = await place.person("bob", "default", "admin")
        for who in (ours, theirs):
            assert (await place.call(who, "GET", "/events")).json()["items"] == []
        mine = (await place.call(ours, "POST", "/runs", json=WAITING)).json()["id"]
        other = (await place.call(theirs, "POST", "/runs", json=QUICK)).json()["id"]
        async with place.builder.worker():
            await (await place.builder.get_run(other)).result(60)
        for who, run_id in ((ours, mine), (theirs, other)):
            page = (await place.call(who, "GET", "/events")).json()
            assert by_stream(page["items"]).keys() == {run_id}
            assert page["items"][0]["place"] == 1
