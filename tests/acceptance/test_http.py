"""The service over real sockets: plan, follow, lose the connection, resume, approve."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from flowbuilder.api.app import create_app
from flowbuilder.api.events import Streams
from flowbuilder.api.server import Server, make_server
from flowbuilder.api.streams import wire
from flowbuilder.settings import Settings
from flowbuilder.types import JsonObject
from tests.support.api import (
    ECHO,
    GATED,
    INPUT,
    app_over,
    connect,
    echo,
    events_in,
    problem,
    ready,
)

STREAM = {"Accept": "text/event-stream"}
MAPPED: JsonObject = {
    "flow": "mapped",
    "input": INPUT,
    "steps": [
        ECHO,
        {
            "id": "each",
            "tool": "test.echo",
            "for_each": "${{ input.value }}",
            "args": {"value": "${{ item }}"},
        },
        GATED,
    ],
    "output": "${{ steps.each }}",
}


class Service:
    """A running server with its address, its client library and its open streams."""

    def __init__(self, server: Server, url: str, streams: Streams) -> None:
        self.server = server
        self.url = url
        self.streams = streams

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=60)

    async def until_open(self, client: httpx.AsyncClient, count: int) -> None:
        """Return when so many streams are open: the server learns of a cut in its own time."""
        async with asyncio.timeout(30):
            while self.streams.open != count:
                await client.get("/healthz")


@asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[Service]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = make_server(app, app.state.settings)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        running = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield Service(server, url, app.state.streams)
        finally:
            server.should_exit = True
            await running


@pytest.fixture
async def service(dsn: str) -> AsyncIterator[Service]:
    """A service without a worker of its own, and two workers beside it."""
    async with AsyncExitStack() as stack:
        builder = await stack.enter_async_context(connect(dsn))
        for _ in range(2):
            await stack.enter_async_context(connect(dsn, worker=True))
        yield await stack.enter_async_context(serving(app_over(builder)))


async def follow(
    client: httpx.AsyncClient, run_id: str, last: int | None = None, until: str | None = None
) -> list[dict[str, Any]]:
    """Follow a run and cut the connection right after an event of this type."""
    headers = STREAM if last is None else {"Last-Event-ID": str(last)}
    text = ""
    async with client.stream("GET", f"/api/v1/runs/{run_id}/events", headers=headers) as response:
        assert response.status_code == 200
        async for line in response.aiter_lines():
            text += line + "\n"
            if until is not None and line == "" and f"event: {until}\n" in text:
                break
    return events_in(text)


async def test_follow_cut_resume_approve(service: Service) -> None:
    async with service.client() as client:
        body = {"document": MAPPED, "input": {"value": list(range(20))}}
        run_id = (await client.post("/api/v1/runs", json=body)).json()["id"]
        seen = await follow(client, run_id, until="task_completed")
        seen += await follow(client, run_id, last=seen[-1]["id"], until="approval_requested")
        (approval,) = (await client.get("/api/v1/approvals")).json()["items"]
        following = asyncio.create_task(follow(client, run_id, last=seen[-1]["id"]))

        path = f"/api/v1/approvals/{approval['id']}/decision"
        decision = {"decision": "approve", "by": "ada", "args_hash": approval["args_hash"]}
        first = await client.post(path, json=decision)
        assert first.status_code == 200
        second = problem(await client.post(path, json={**decision, "by": "bob"}), 409)
        assert (second["decided_by"], second["decided_at"]) == ("ada", first.json()["decided_at"])

        seen += await following
        assert [event["id"] for event in seen] == list(range(1, len(seen) + 1))
        assert [event["event"] for event in seen].count("workflow_completed") == 1
        assert seen[-1]["event"] == "workflow_completed"
        assert seen == await follow(client, run_id)
        run = (await client.get(f"/api/v1/runs/{run_id}")).json()
        assert (run["status"], run["output"]) == ("completed", list(range(20)))


async def test_plan_accept_and_follow(service: Service) -> None:
    async with service.client() as client:
        goal = {"goal": "careful", "input": {"value": "a\n\ndata: forged\n\n"}}
        planned = await client.post("/api/v1/plans", json=goal, headers=STREAM)
        plan = events_in(planned.text)[-1]["data"]["data"]["plan"]
        accepted = await client.post(f"/api/v1/plans/{plan['id']}/accept")
        run_id = accepted.json()["run"]["id"]
        seen = await follow(client, run_id, until="approval_requested")
        (approval,) = (await client.get("/api/v1/approvals")).json()["items"]
        await client.post(
            f"/api/v1/approvals/{approval['id']}/decision", json={"decision": "approve"}
        )
        seen += await follow(client, run_id, last=seen[-1]["id"])
        assert [event["id"] for event in seen] == list(range(1, len(seen) + 1))
        assert seen[-1]["event"] == "workflow_completed"


async def test_every_cut_resumes_without_loss(service: Service) -> None:
    async with service.client() as client:
        body = {
            "document": {**MAPPED, "steps": MAPPED["steps"][:2]},  # type: ignore[index]
            "input": {"value": list(range(10))},
        }
        run_id = (await client.post("/api/v1/runs", json=body)).json()["id"]
        seen: list[dict[str, Any]] = []
        while not seen or seen[-1]["event"] != "workflow_completed":
            last = seen[-1]["id"] if seen else 0
            headers = {"Last-Event-ID": str(last)}
            path = f"/api/v1/runs/{run_id}/events"
            async with client.stream("GET", path, headers=headers) as response:
                text = ""
                async for line in response.aiter_lines():
                    text += line + "\n"
                    if line == "" and "data: " in text:
                        break
            seen += events_in(text)
        assert [event["id"] for event in seen] == list(range(1, len(seen) + 1))
        assert seen == await follow(client, run_id)


async def test_a_client_that_leaves_leaves_nothing_behind(service: Service) -> None:
    async with service.client() as client:
        run_id = await waiting_run(client)
        for _ in range(5):
            await follow(client, run_id, until="approval_requested")
        await service.until_open(client, 0)


async def test_a_reader_that_reads_nothing_holds_nobody_up(service: Service) -> None:
    async with service.client() as client:
        value = ["x" * 10_000] * 80
        body = {"document": MAPPED, "input": {"value": value}}
        run_id = (await client.post("/api/v1/runs", json=body)).json()["id"]
        host, port = service.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        request = (
            f"GET /api/v1/runs/{run_id}/events HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 0\r\n\r\n"
        )
        writer.write(request.encode())
        await reader.readline()
        seen = await follow(client, run_id, until="approval_requested")
        assert [event["id"] for event in seen] == list(range(1, len(seen) + 1))
        writer.transport.abort()


async def test_stopping_ends_open_streams_at_once(dsn: str) -> None:
    async with (
        connect(dsn, worker=True) as builder,
        serving(app_over(builder)) as service,
        service.client() as client,
    ):
        run_id = await waiting_run(client)
        await service.until_open(client, 0)
        following = asyncio.create_task(follow(client, run_id))
        await service.until_open(client, 1)
        service.server.should_exit = True
        seen = await following
    assert "workflow_completed" not in [event["event"] for event in seen]
    assert [event["id"] for event in seen] == list(range(1, len(seen) + 1))


async def test_what_is_no_http_json_never_gives_a_500(service: Service) -> None:
    host, port = service.url.removeprefix("http://").split(":")
    chunked = b"Transfer-Encoding: chunked\r\nContent-Type: application/json\r\n\r\n"
    requests = {
        b"POST /api/v1/flows HTTP/1.1\r\nHost: x/?\r\n" + chunked + b"1\r\n{\r\n0\r\n\r\n": 421,
        b"POST /api/v1/flows HTTP/1.1\r\nHost: a\r\n" + chunked + b"1\r\n\xff\r\n0\r\n\r\n": 400,
        b"GET /api/v1/runs/%00 HTTP/1.1\r\nHost: a\r\n\r\n": 404,
        b"GET //api/v1/runs HTTP/1.1\r\nHost: a\r\n\r\n": 404,
        b"GET /api/v1/runs/../runs HTTP/1.1\r\nHost: a\r\n\r\n": 404,
        b"GET /api/v1/runs;a=b HTTP/1.1\r\nHost: a\r\n\r\n": 404,
        b"GET /API/V1/RUNS HTTP/1.1\r\nHost: a\r\n\r\n": 404,
        b"GET /api/v1/runs?limit=%00 HTTP/1.1\r\nHost: a\r\n\r\n": 422,
        b"GET /api/v1/runs?flow=\xff HTTP/1.1\r\nHost: a\r\n\r\n": 400,
    }
    for raw, status in requests.items():
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(raw)
        line = await reader.readline()
        assert int(line.split()[1]) == status, (raw, line)
        writer.close()
        await writer.wait_closed()


async def waiting_run(client: httpx.AsyncClient) -> str:
    """Start a run that waits for its approval."""
    body = {"document": MAPPED, "input": {"value": [1]}}
    run_id: str = (await client.post("/api/v1/runs", json=body)).json()["id"]
    await follow(client, run_id, until="approval_requested")
    return run_id


_UNKNOWN_HOOK = b"POST /hooks/nobody HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


async def test_an_answer_before_the_body_is_not_lost_with_the_connection(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "LINGER_SECONDS", 60)
    reader, writer = await connection(service)
    writer.write(_UNKNOWN_HOOK + b"Content-Length: 8\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")  # the answer does not wait for the body
    assert head.startswith(b"HTTP/1.1 404 ") and b"connection: close" in head
    answer = await reader.readuntil(b"}")
    rest = asyncio.create_task(reader.read())
    async with service.client() as client:
        await client.get("/healthz")  # by now it would have been closed, and the body met a reset
    assert not rest.done()
    writer.write(b"[1, 2] \n")
    json.loads(answer + await rest)
    writer.close()


async def test_a_body_that_nobody_wants_is_not_taken_for_ever(service: Service) -> None:
    reader, writer = await connection(service)
    writer.write(_UNKNOWN_HOOK + b"Content-Length: 100000000\r\n\r\n")
    with suppress(ConnectionError):
        async with asyncio.timeout(30):
            while await reader.read(65_536):
                writer.write(bytes(65_536))
                await writer.drain()
    writer.close()


async def test_who_asks_whether_to_send_is_told_no(service: Service) -> None:
    reader, writer = await connection(service)
    writer.write(_UNKNOWN_HOOK + b"Content-Length: 8\r\nExpect: 100-continue\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 404 ")
    writer.close()


async def connection(service: Service) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = httpx.URL(service.url)
    return await asyncio.open_connection(url.host, url.port)


async def test_the_service_connects_by_its_settings(dsn: str) -> None:
    settings = Settings(database_url=SecretStr(dsn), auth="local")
    app = create_app(settings, tools=[echo], worker=True)
    async with serving(app) as service, service.client() as client:
        await ready(client)
        names = [tool["name"] for tool in (await client.get("/api/v1/tools")).json()["items"]]
        assert "test.echo" in names
        body = {"document": {**MAPPED, "steps": [ECHO], "output": None}, "input": {"value": 0}}
        run_id = (await client.post("/api/v1/runs", json=body)).json()["id"]
        assert (await follow(client, run_id))[-1]["event"] == "workflow_completed"


async def test_the_document_is_served(service: Service) -> None:
    async with service.client() as client:
        served = (await client.get("/openapi.json")).json()
        assert served["openapi"].startswith("3.1")
        assert json.dumps(served).count("text/event-stream") >= 2
        assert (await client.get("/readyz")).json() == {"status": "ready", "database": "ok"}
