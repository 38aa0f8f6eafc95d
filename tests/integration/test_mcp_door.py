"""`/mcp` of the service, called by the reference client of the SDK over a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import httpx2
import jwt
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.acceptance.test_http import serving
from tests.support.api import ECHO, GATED, INPUT, SECRET, app_over, connect, problem
from tests.support.tenants import Headers, Town, town

FLOW: dict[str, Any] = {"flow": "kept", "input": INPUT, "steps": [ECHO, GATED]}
TOOLS = {"list_flows", "plan_flow", "run_flow", "get_run", "get_result", "cancel_run"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
ACCEPT = {"Accept": "application/json, text/event-stream"}


@dataclass(frozen=True, kw_only=True)
class Door:
    town: Town
    url: str

    @asynccontextmanager
    async def client(self, who: Headers) -> AsyncIterator[Client]:
        """The reference client, with these headers."""
        http = httpx2.AsyncClient(headers=who, timeout=60)
        async with http, Client(streamable_http_client(self.url, http_client=http)) as client:
            yield client


@pytest.fixture
async def door(dsn: str) -> AsyncIterator[Door]:
    async with town(dsn, worker=True) as opened, serving(opened.app) as service:
        yield Door(town=opened, url=f"{service.url}/mcp")


async def call(client: Client, name: str, /, **args: Any) -> Any:
    answer = await client.call_tool(name, args)
    assert not answer.is_error, answer.content
    return answer.structured_content


async def refused(client: Client, name: str, /, **args: Any) -> str:
    answer = await client.call_tool(name, args)
    assert answer.is_error, answer
    return str(getattr(answer.content[0], "text", ""))


async def test_the_reference_client_plans_runs_and_decides_nothing(door: Door) -> None:
    ada = await door.town.person("ada", "default", "admin")
    made = await door.town.call(ada, "POST", "/flows", json=FLOW)
    assert made.status_code == 201
    async with door.client(ada) as client:
        tools = {tool.name for tool in (await client.list_tools()).tools}
        assert tools == TOOLS
        flows = (await call(client, "list_flows"))["flows"]
        assert [one["flow"] for one in flows] == ["kept"]
        started = await call(client, "run_flow", flow="kept", input={"value": 0})
        async for event in door.town.builder.follow(started["run_id"]):
            if event.type == "approval_requested":
                break
        seen = await call(client, "get_run", run_id=started["run_id"])
        assert [one["step"] for one in seen["waiting_for"]] == ["send"]
        plan = await call(client, "plan_flow", goal="quick", input={"value": 1})
        ran = await call(client, "run_flow", plan_id=plan["plan_id"])
        done = await call(client, "get_result", run_id=ran["run_id"], wait_seconds=30)
        assert (done["status"], done["output"]) == ("completed", 1)
        cancelled = await call(client, "cancel_run", run_id=started["run_id"], reason="enough")
        assert cancelled["status"] == "cancelled"
    run = (await door.town.call(ada, "GET", f"/runs/{started['run_id']}/events")).json()
    assert run["items"][-1]["actor"] == "user:ada"
    log = (await door.town.call(ada, "GET", "/audit")).json()["items"]
    assert {"mcp cancel_run", "mcp run_flow"} <= {line["action"] for line in log}


async def test_each_call_has_the_rights_of_its_caller(door: Door) -> None:
    ada = await door.town.person("ada", "default", "admin")
    bob = await door.town.person("bob", "default", "member")
    await door.town.workspace("other")
    eve = await door.town.person("eve", "other", "admin")
    await door.town.call(ada, "POST", "/flows", json=FLOW)
    async with door.client(bob) as client:
        assert "forbidden" in await refused(client, "plan_flow", goal="quick")
        draft = await refused(client, "run_flow", flow="kept", input={"value": 1})
        assert "version_not_found" in draft
        body = {"flow": "kept", "input": {"value": 1}}
        answer = await door.town.call(bob, "POST", "/runs", json=body)
        assert "POST /flows/kept/versions" in problem(answer, 404)["hint"]
        await door.town.call(ada, "POST", "/flows/kept/versions")
        run = await call(client, "run_flow", flow="kept", input={"value": 1})
    async with door.client(eve) as client:
        assert (await call(client, "list_flows"))["flows"] == []
        for tool in ("get_run", "get_result", "cancel_run"):
            said = await refused(client, tool, run_id=run["run_id"])
            assert "run_not_found" in said
    reader = await door.town.key("ada", "default", "read")
    async with door.client(reader) as client:
        assert (await call(client, "get_run", run_id=run["run_id"]))["flow"] == "kept"
        for tool in ("run_flow", "plan_flow"):
            given = {"flow": "kept"} if tool == "run_flow" else {"goal": "quick"}
            assert "scope_missing" in await refused(client, tool, **given)
        assert "scope_missing" in await refused(client, "cancel_run", run_id=run["run_id"])


async def test_nobody_else_is_let_in(door: Door) -> None:
    ada = await door.town.person("ada", "default", "admin")
    token = ada["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, options={"verify_signature": False})
    header = jwt.get_unverified_header(token)

    def of(**changed: Any) -> Headers:
        text = jwt.encode({**claims, **changed}, SECRET, "HS256", headers={"kid": header["kid"]})
        return {"Authorization": f"Bearer {text}"}

    async with httpx.AsyncClient() as raw:
        strangers: list[Headers] = [{}, {"Authorization": "Bearer x"}, of(aud="somebody-else")]
        for who in strangers:
            answer = await raw.post(door.url, json=LIST, headers={**ACCEPT, **who})
            assert problem(answer, 401)["code"] == "unauthorized"
            assert answer.headers["www-authenticate"] == "Bearer"
        assert (await raw.post(door.url, json=LIST, headers={**ACCEPT, **ada})).status_code == 200
        page = {**ACCEPT, **ada, "Origin": "https://evil.example"}
        answer = await raw.post(door.url, json=LIST, headers=page)
        assert problem(answer, 403)["code"] == "origin_not_allowed"
        other = {**ACCEPT, **ada, "X-Workspace": "nowhere"}
        answer = await raw.post(door.url, json=LIST, headers=other)
        assert problem(answer, 404)["code"] == "workspace_not_found"
        assert (await door.town.call(ada, "POST", "/auth/logout")).status_code == 204
        answer = await raw.post(door.url, json=LIST, headers={**ACCEPT, **ada})
        assert problem(answer, 401)


ODD = [b"", b"{", b"[]", b"null", b'{"jsonrpc":"2.0"}', b'{"a":NaN}', b"[" * 100_000, b"\xff"]
#: What the library would take, and what else it is no strict JSON for.
LOOSE = {
    "json_duplicate_key": b'"input":{"value":1,"value":2}',
    "json_nan": b'"input":{"value":NaN}',
    "json_infinity": b'"input":{"value":-Infinity}',
    "json_surrogate": b'"input":{"value":"\\ud800"}',
    "json_nul": b'"idempotency_key":"\\u0000"',
    "json_number": b'"input":{"value":123456789012345678901234567890}',
}


async def test_calls_are_strict_json(door: Door) -> None:
    ada = await door.town.person("ada", "default", "admin")
    await door.town.call(ada, "POST", "/flows", json=FLOW)
    headers = {**ACCEPT, **ada, "Content-Type": "application/json"}
    begin = (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"run_flow","arguments":'
    )
    async with httpx.AsyncClient() as raw:
        for code, given in LOOSE.items():
            body = begin + b'{"flow":"kept",' + given + b"}}}"
            answer = await raw.post(door.url, content=body, headers=headers)
            assert problem(answer, 400)["code"] == code
        large = begin + b'{"flow":"' + b"x" * 5_000_000 + b'"}}}'
        answer = await raw.post(door.url, content=large, headers=headers)
        assert problem(answer, 413)["code"] == "body_too_large"
    assert (await door.town.call(ada, "GET", "/runs")).json()["items"] == []


async def test_what_is_made_here_has_an_author(door: Door) -> None:
    ada = await door.town.person("ada", "default", "builder", "approver")
    async with door.client(ada) as client:
        plan = await call(client, "plan_flow", goal="quick", input={"value": 1})
        await call(client, "run_flow", plan_id=plan["plan_id"])
    rows = await door.town.builder.store.database.fetch_all(
        b"select v.created_by from flowbuilder.flow_versions v"
    )
    assert [row["created_by"] for row in rows] == ["user:ada"]


async def test_a_key_that_builds_runs_no_plan_here(door: Door) -> None:
    await door.town.person("ada", "default", "admin")
    async with door.client(await door.town.key("ada", "default", "read", "build")) as client:
        plan = await call(client, "plan_flow", goal="quick", input={"value": 1})
        said = await refused(client, "run_flow", plan_id=plan["plan_id"])
        assert "scope_missing" in said


async def test_rates_hold_here_as_for_routes(dsn: str) -> None:
    rates: dict[str, Any] = {
        "rate_starts": "2/31d",
        "rate_plans": "1/31d",
        "rate_requests": "40/31d",
    }
    async with town(dsn, **rates) as opened, serving(opened.app) as service:
        door = Door(town=opened, url=f"{service.url}/mcp")
        ada = await opened.person("ada", "default", "admin")
        await opened.call(ada, "POST", "/flows", json=FLOW)
        async with door.client(ada) as client:
            plan = await call(client, "plan_flow", goal="quick", input={"value": 1})
            said = await refused(client, "plan_flow", goal="quick", input={"value": 1})
            assert "too_many_requests" in said
            for given in ({"flow": "kept", "input": {"value": 1}}, {"plan_id": plan["plan_id"]}):
                await call(client, "run_flow", **given)
            again = await refused(client, "run_flow", flow="kept", input={"value": 1})
            assert "too_many_requests" in again
        # one bucket for both ways
        start = {"flow": "kept", "input": {"value": 1}}
        assert problem(await opened.call(ada, "POST", "/runs", json=start), 429)
        async with httpx.AsyncClient() as raw:
            answers = [
                await raw.post(door.url, json=LIST, headers={**ACCEPT, **ada}) for _ in range(40)
            ]
        assert {answer.status_code for answer in answers} == {200, 429}
        assert answers[-1].headers["retry-after"]


async def test_what_is_no_message_is_refused(dsn: str) -> None:
    """Where nobody logs in, whoever is on this machine may ask; pages of others may not."""
    async with connect(dsn) as builder, serving(app_over(builder)) as service:
        async with Client(f"{service.url}/mcp") as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == TOOLS
        json_headers = {**ACCEPT, "Content-Type": "application/json"}
        async with httpx.AsyncClient() as raw:
            for body in ODD:
                answer = await raw.post(f"{service.url}/mcp", content=body, headers=json_headers)
                assert 400 <= answer.status_code < 500, (body[:20], answer.text)
                assert "Traceback" not in answer.text
            for name, value, status in (
                ("Host", "evil.example", 421),
                ("Origin", "https://evil.example", 403),
                ("Origin", "http://localhost:9", 403),
                ("Content-Type", "text/plain", 415),
            ):
                headers = {**json_headers, name: value}
                answer = await raw.post(f"{service.url}/mcp", json=LIST, headers=headers)
                assert answer.status_code == status, (name, answer.text)
            for method in ("GET", "DELETE", "PUT"):
                answer = await raw.request(method, f"{service.url}/mcp", headers=ACCEPT)
                assert problem(answer, 405)["code"] == "method_not_allowed"
                assert answer.headers["allow"] == "POST"
