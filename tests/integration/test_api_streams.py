"""Streams of a run and of a workspace, over HTTP and a real database."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from flowbuilder.api.auth import callers
from flowbuilder.api.streams import frames, rights
from flowbuilder.client import FlowBuilder
from flowbuilder.executor.database import Database
from tests.support.api import (
    ECHO,
    GATED,
    INPUT,
    all_in,
    app_over,
    connect,
    events_in,
    http,
    problem,
)
from tests.support.tenants import town
from tests.support.waiting import eventually

STREAM = {"Accept": "text/event-stream"}
WAITING = {
    "document": {"flow": "waiting", "input": INPUT, "steps": [ECHO, GATED]},
    "input": {"value": [0, False, "", None, {}]},
}
QUICK = {
    "document": {"flow": "quick", "input": INPUT, "steps": [ECHO], "output": "${{ steps.echo }}"},
    "input": {"value": "a\n\ndata: b\r\u2028"},
}


@pytest.fixture
async def builder(dsn: str) -> AsyncIterator[FlowBuilder]:
    async with connect(dsn, worker=True) as opened:
        yield opened


@pytest.fixture
async def client(builder: FlowBuilder) -> AsyncIterator[httpx.AsyncClient]:
    async with http(app_over(builder)) as opened:
        yield opened


async def start(client: httpx.AsyncClient, body: dict[str, Any]) -> str:
    response = await client.post("/api/v1/runs", json=body)
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


async def stream(client: httpx.AsyncClient, path: str, **headers: str) -> httpx.Response:
    return await client.get(path, headers={**STREAM, **headers})


def datas(text: str) -> list[str]:
    """The data of numbered events, as it was sent."""
    return re.findall(r"^id: \d+\nevent: .*\ndata: (.*)$", text, re.MULTILINE)


async def ending(builder: FlowBuilder, run_id: str) -> None:
    """Let a run that waits end once somebody follows it."""
    async for event in builder.follow(run_id):
        if event.type == "approval_requested":
            await (await builder.get_run(run_id)).cancel()


async def test_a_stream_says_when_it_has_caught_up_and_when_it_ends(
    client: httpx.AsyncClient, builder: FlowBuilder
) -> None:
    run_id = await start(client, WAITING)
    told, _ = await asyncio.gather(
        stream(client, f"/api/v1/runs/{run_id}/events"), ending(builder, run_id)
    )
    said = all_in(told.text)
    assert [event["event"] for event in said].count("caught_up") == 1
    assert said[-1]["event"] == "end"
    assert said[-1]["data"] == {"seq": said[-2]["id"]}
    assert said[-2]["event"] == "workflow_cancelled"
    assert told.text.startswith("retry: ")


async def test_pages_and_streams_have_the_same_bytes(client: httpx.AsyncClient) -> None:
    run_id = await start(client, QUICK)
    path = f"/api/v1/runs/{run_id}/events"
    streamed = (await stream(client, path)).text
    page = await client.get(path)
    assert page.headers["content-type"] == "application/json"
    joined = ",".join(datas(streamed))
    assert page.text.startswith('{"items":[' + joined + "],")
    assert json.loads(page.text)["ended"] is True
    # no text of an event ends one early, so there are as many as numbers
    last = page.json()["next_after"]
    assert [event["id"] for event in events_in(streamed)] == list(range(1, last + 1))


@pytest.mark.parametrize("given", ["-1", "x", "1.5", "9" * 30, "1_0", "+1", "99999", "0x1", "٣"])
async def test_numbers_of_no_event_are_refused(client: httpx.AsyncClient, given: str) -> None:
    run_id = await start(client, QUICK)
    for path in (f"/api/v1/runs/{run_id}/events", "/api/v1/events"):
        refused = await client.get(path, headers={b"Last-Event-ID": given.encode()})
        assert problem(refused, 400)["code"] == "last_event_id_invalid"


async def test_many_readers_of_a_run_share_what_is_read(
    client: httpx.AsyncClient, builder: FlowBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    real = frames.frame

    def counted(*given: Any) -> frames.Frame:
        found = real(*given)
        made.append(found.seq)
        return found

    monkeypatch.setattr(frames, "frame", counted)
    run_id = await start(client, WAITING)
    path = f"/api/v1/runs/{run_id}/events"
    reading = [asyncio.create_task(stream(client, path)) for _ in range(30)]
    await ending(builder, run_id)
    answers = await asyncio.gather(*reading)
    texts = {tuple(datas(answer.text)) for answer in answers}
    assert len(texts) == 1
    count = len(texts.pop())
    assert sorted(set(made)) == list(range(1, count + 1))
    # an event that came while the stream was opened may be read as past and as new
    assert len(made) <= 2 * count


async def test_a_stream_goes_on_at_another_service(dsn: str, builder: FlowBuilder) -> None:
    async with http(app_over(builder)) as first:
        run_id = await start(first, WAITING)
        path = f"/api/v1/runs/{run_id}/events"
        app = first._transport.app  # type: ignore[attr-defined]
        reading = asyncio.create_task(stream(first, path))
        async for event in builder.follow(run_id):
            if event.type == "approval_requested":
                break
        hub = app.state.streams.hub
        await eventually(lambda: any(one.reader.seen >= event.seq for one in hub._open))
        app.state.streams.stop()
        before = await reading
        assert "end" not in [said["event"] for said in all_in(before.text)]
        refused = await stream(first, path, **{"Last-Event-ID": "1"})
        assert problem(refused, 503)["code"] == "stopping"
        assert refused.headers["retry-after"]
        await app.state.streams.close()
    async with connect(dsn) as other, http(app_over(other)) as second:
        seen = events_in(before.text)[-1]["id"]
        rest, _ = await asyncio.gather(
            stream(second, path, **{"Last-Event-ID": str(seen)}), ending(other, run_id)
        )
        numbers = [said["id"] for said in (*events_in(before.text), *events_in(rest.text))]
        assert numbers == list(range(1, len(numbers) + 1))
        assert all_in(rest.text)[-1]["event"] == "end"
        assert (
            await stream(second, path, **{"Last-Event-ID": str(numbers[-1])})
        ).status_code == 204


async def test_deleted_events_of_a_run_are_gone(
    client: httpx.AsyncClient, database: Database
) -> None:
    run_id = await start(client, QUICK)
    path = f"/api/v1/runs/{run_id}/events"
    last = events_in((await stream(client, path)).text)[-1]["id"]
    await database.execute(b"delete from flowbuilder.events where seq < 3")
    for asked in (
        client.get(path),
        stream(client, path),
        stream(client, path, **{"Last-Event-ID": "1"}),
    ):
        gone = problem(await asked, 410)
        assert (gone["code"], gone["first"]) == ("events_pruned", 3)
    left = await stream(client, path, **{"Last-Event-ID": "2"})
    assert [event["id"] for event in events_in(left.text)] == list(range(3, last + 1))


async def test_a_service_that_stops_is_not_ready_first(builder: FlowBuilder) -> None:
    app = app_over(builder)
    async with http(app) as client:
        assert (await client.get("/readyz")).status_code == 200
        app.state.streams.closing = True
        assert problem(await client.get("/readyz"), 503)["code"] == "stopping"
        assert (await client.get("/healthz")).status_code == 200


async def test_who_may_not_see_it_any_more_is_sent_away_in_silence(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callers, "RECHECK_SECONDS", 0.0)
    monkeypatch.setattr(rights, "IDLE_SECONDS", 0.0)
    async with town(dsn, stream_heartbeat="50ms") as place:
        admin = await place.person("zoe", "default", "admin")
        run = (await place.call(admin, "POST", "/runs", json=WAITING)).json()
        readers = {name: await place.person(name, "default", "member") for name in ("ada", "bob")}
        paths = (f"/runs/{run['id']}/events", "/events")
        open_streams = {
            (name, path): asyncio.create_task(place.call(who, "GET", path, headers=STREAM))
            for name, who in readers.items()
            for path in paths
        }
        hub = place.app.state.streams.hub
        await eventually(lambda: hub.readers == len(open_streams))
        # nothing happens on the streams: it is their readers who have changed
        await place.call(readers["ada"], "POST", "/auth/logout")
        await place.call(admin, "DELETE", "/workspaces/default/members/bob")
        for (name, _), task in open_streams.items():
            said = all_in((await task).text)[-1]
            assert said["event"] == "problem"
            expected = "unauthorized" if name == "ada" else "workspace_not_found"
            assert said["data"]["code"] == expected, said
        assert hub.readers == 0
