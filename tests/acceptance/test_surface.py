"""Everything that the service offers for flows and runs, walked through once by HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from flowbuilder.client import FlowBuilder
from tests.support.api import ECHO, GATED, INPUT, app_over, connect, ended, http, problem

FLOW: dict[str, Any] = {"flow": "walk", "input": INPUT, "steps": [ECHO, GATED]}
CHANGED = {**FLOW, "description": "Echoes.", "steps": [ECHO]}


@pytest.fixture
async def builder(dsn: str) -> AsyncIterator[FlowBuilder]:
    async with connect(dsn, worker=True) as opened:
        yield opened


@pytest.fixture
async def client(builder: FlowBuilder) -> AsyncIterator[httpx.AsyncClient]:
    async with http(app_over(builder)) as opened:
        yield opened


async def made(client: httpx.AsyncClient, path: str, body: Any = None, **given: Any) -> Any:
    response = await client.post(f"/api/v1{path}", json=body, **given)
    assert response.status_code in (200, 201), response.text
    return response.json()


async def got(client: httpx.AsyncClient, path: str, **given: Any) -> Any:
    response = await client.get(f"/api/v1{path}", **given)
    assert response.status_code == 200, response.text
    return response.json()


async def test_flows_and_versions(client: httpx.AsyncClient) -> None:
    created = await client.post("/api/v1/flows", json=FLOW)
    first = created.headers["etag"]
    assert (await got(client, "/flows/walk"))["state"] == "draft"
    same = await client.get("/api/v1/flows/walk", headers={"If-None-Match": first})
    assert (same.status_code, same.content) == (304, b"")

    one = await made(client, "/flows/walk/versions")
    again = await made(client, "/flows/walk/versions")
    assert (one["version"], again["id"]) == (1, one["id"])
    tag = (await client.get("/api/v1/flows/walk")).headers["etag"]
    put = await client.put("/api/v1/flows/walk", json=CHANGED, headers={"If-Match": tag})
    assert put.status_code == 200, put.text
    for stale in (tag, '"nothing"', f"W/{put.headers['etag']}", "x"):
        refused = await client.put("/api/v1/flows/walk", json=FLOW, headers={"If-Match": stale})
        assert problem(refused, 412)["code"] == "precondition_failed"
    taken = await client.put("/api/v1/flows/walk", json=FLOW, headers={"If-None-Match": "*"})
    assert problem(taken, 412)
    assert (await made(client, "/flows/walk/versions"))["version"] == 2
    listed = (await got(client, "/flows/walk/versions"))["items"]
    assert [item["version"] for item in listed] == [2, 1]

    version = await client.get("/api/v1/flows/walk/versions/1")
    assert version.json()["document"] == one["document"]
    known = {"If-None-Match": version.headers["etag"]}
    unchanged = await client.get("/api/v1/flows/walk/versions/1", headers=known)
    assert unchanged.status_code == 304
    diff = await got(client, "/flows/walk/versions/2/diff", params={"base": 1})
    assert [step["id"] for step in diff["removed"]] == ["send"]
    exported = await client.get("/api/v1/flows/walk/export", params={"version": 1})
    moved = {**exported.json(), "flow": "moved"}
    imported = await made(client, "/flows/import", {"flows": [moved]})
    assert imported["items"][0]["draft"]["steps"] == FLOW["steps"]


async def test_plans_are_listed_by_page(client: httpx.AsyncClient) -> None:
    plans = [(await made(client, "/plans", {"goal": "quick"}))["id"] for _ in range(5)]
    seen, cursor = [], None
    for count in (2, 2, 1):
        params = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = await got(client, "/plans", params=params)
        assert len(page["items"]) == count
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert (seen, cursor) == (plans[::-1], None)


async def test_runs_are_listed_by_page_and_filter(client: httpx.AsyncClient) -> None:
    await made(client, "/flows", CHANGED)
    start = {"flow": "walk", "input": {"value": 0}}
    key = {"Idempotency-Key": "k"}
    run = await made(client, "/runs", start, headers=key)
    repeated = await client.post("/api/v1/runs", json=start, headers=key)
    assert (repeated.status_code, repeated.json()["id"]) == (200, run["id"])
    other = {**start, "input": {"value": 1}}
    mismatch = await client.post("/api/v1/runs", json=other, headers=key)
    assert problem(mismatch, 409)["code"] == "idempotency_mismatch"
    ids = [run["id"]] + [(await made(client, "/runs", start))["id"] for _ in range(4)]
    for one in ids:
        await ended(client, one)
    seen, cursor = [], None
    for _ in range(3):
        params = {"flow": "walk", "status": "completed", "limit": 2}
        page = await got(client, "/runs", params=params | ({"cursor": cursor} if cursor else {}))
        seen += [item["id"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert (seen, cursor) == (ids[::-1], None)
    assert (await got(client, "/runs", params={"status": "failed"}))["items"] == []
    for wrong in ("x", "1", ids[0][:-1], ids[0] + "0", ids[0].replace("-", ""), "' or 1=1 --"):
        refused = await client.get("/api/v1/runs", params={"cursor": wrong})
        assert problem(refused, 404)["code"] == "run_not_found"


async def test_a_run_is_steered_and_explained(
    builder: FlowBuilder, client: httpx.AsyncClient
) -> None:
    await made(client, "/flows", FLOW)
    run = await made(client, "/runs", {"flow": "walk", "input": {"value": False}})
    base = f"/runs/{run['id']}"
    async for event in builder.follow(run["id"]):
        if event.type == "approval_requested":
            break
    why = await got(client, f"{base}/why")
    assert why["reasons"][0]["code"]
    assert (await made(client, f"{base}/pause"))["status"] == "paused"
    assert problem(await client.post(f"/api/v1{base}/pause"), 409)["code"] == "invalid_transition"
    assert (await made(client, f"{base}/resume"))["status"] == "running"
    added = {"id": "more", "tool": "test.echo", "args": {"value": "${{ steps.echo }}"}}
    version = await made(client, f"{base}/steps", added)
    assert [step["id"] for step in version["document"]["steps"]] == ["echo", "send", "more"]
    (approval,) = (await got(client, f"/approvals?run_id={run['id']}"))["items"]
    await made(client, f"/approvals/{approval['id']}/decision", {"decision": "approve"})
    await ended(client, run["id"])
    shown = await got(client, base)
    assert shown["status"] == "completed"
    assert next(step["output"] for step in shown["steps"]) is False
    tasks = (await got(client, f"{base}/tasks"))["items"]
    details = {
        task["step_id"]: await got(client, f"{base}/tasks/{task['id']}")
        for task in tasks
        if task["kind"] == "step"
    }
    assert details["echo"]["input"] == {"value": False}
    assert details["send"]["input"] == {"value": [False, 0, False, "", None]}
    assert details["more"]["output"] is False
    assert all(detail["attempts"][-1]["status"] == "completed" for detail in details.values())
    assert await got(client, f"{base}/values/steps.send") == [False, 0, False, "", None]
    what = await got(client, f"{base}/retry", params={"from_step": "more"})
    assert what["again"] == ["more"]
    retried = await made(client, f"{base}/retry", {"from_step": "more"})
    assert retried["retry_of"] == run["id"]
    await ended(client, retried["id"])
    late = await client.post(f"/api/v1{base}/cancel", json={"reason": "late"})
    assert problem(late, 409)["code"] == "invalid_transition"


HEADERS = [
    ("Idempotency-Key", ""),
    ("Idempotency-Key", " "),
    ("Idempotency-Key", "plan:5f0c7a4e-3b1d-4a57-9a55-1a2b3c4d5e6f"),
    ("Idempotency-Key", "x" * 201),
    ("Idempotency-Key", "\x7f"),
    ("If-Match", ""),
    ("If-Match", '"' * 5000),
    ("If-None-Match", "W/"),
    ("Last-Event-ID", "-1"),
    ("Last-Event-ID", "1_0"),
    ("Last-Event-ID", "9" * 30),
    ("Last-Event-ID", "x"),
    ("Accept", "text/event-stream;q=x"),
    ("Accept", "*/*;q=2,,;"),
    ("Content-Type", "text/plain"),
    ("Content-Type", "application/json; charset=utf-16"),
    ("Content-Type", "multipart/form-data; boundary=x"),
    ("Content-Encoding", "gzip"),
    ("Content-Length", "-1"),
    ("Range", "bytes=0-,1-,2-"),
    ("X-HTTP-Method-Override", "DELETE"),
]


async def test_odd_headers_get_what_is_documented(client: httpx.AsyncClient) -> None:
    await made(client, "/flows", CHANGED)
    run = (await made(client, "/runs", {"flow": "walk", "input": {"value": 1}}))["id"]
    await ended(client, run)
    paths = (await client.get("/openapi.json")).json()["paths"]
    asked = [
        ("GET", "/api/v1/flows/{slug}", None),
        ("PUT", "/api/v1/flows/{slug}", CHANGED),
        ("POST", "/api/v1/runs", {"flow": "walk", "input": {"value": 1}}),
        ("GET", "/api/v1/runs/{run_id}/events", None),
        ("POST", "/api/v1/runs/{run_id}/cancel", {}),
        ("GET", "/api/v1/runs/{run_id}/values/{value}", None),
    ]
    for name, value in HEADERS:
        for method, template, body in asked:
            path = template.format(slug="walk", run_id=run, value="output")
            request = client.build_request(method, path, json=body)
            request.headers[name] = value
            answer = await client.send(request)
            known = paths[template][method.lower()]["responses"]
            assert str(answer.status_code) in known, (name, value, method, path, answer.text)
            if answer.status_code >= 400:
                problem(answer, answer.status_code)
