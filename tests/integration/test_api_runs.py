from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.api import ECHO, INPUT, PLANS, ended, events_in, problem, service

NOBODY = "5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11"


@pytest.fixture
async def client(dsn: str) -> AsyncIterator[httpx.AsyncClient]:
    """A service whose runs stay queued: there is no worker."""
    async with service(dsn) as opened:
        yield opened


@pytest.fixture
async def working(dsn: str) -> AsyncIterator[httpx.AsyncClient]:
    async with service(dsn, worker=True) as opened:
        yield opened


async def start(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    response = await client.post("/api/v1/runs", json={"document": PLANS["quick"], **body})
    assert response.status_code == 201, response.text
    run: dict[str, Any] = response.json()
    assert response.headers["location"] == f"/api/v1/runs/{run['id']}"
    return run


@pytest.mark.parametrize("value", [0, False, "", None, [], {}, "ä💥\u2028", 2**64 - 1, 0.1])
async def test_values_survive_from_the_request_to_the_answer(
    working: httpx.AsyncClient, value: Any
) -> None:
    run = await start(working, input={"value": value})
    events = await ended(working, run["id"])
    shown = (await working.get(f"/api/v1/runs/{run['id']}")).json()
    assert (shown["status"], shown["input"], shown["output"]) == (
        "completed",
        {"value": value},
        value,
    )
    (step,) = shown["steps"]
    assert (step["status"], step["output"]) == ("completed", value)
    assert events[-1]["data"]["data"]["final_result"] == value


async def test_a_stored_flow_runs_by_version(working: httpx.AsyncClient) -> None:
    await working.post("/api/v1/flows", json=PLANS["quick"])
    first = (
        await working.post("/api/v1/runs", json={"flow": "quick", "input": {"value": 1}})
    ).json()
    changed = {**PLANS["quick"], "output": ["${{ steps.echo }}"]}
    await working.put("/api/v1/flows/quick", json=changed)
    second = (
        await working.post("/api/v1/runs", json={"flow": "quick", "input": {"value": 1}})
    ).json()
    old = (
        await working.post(
            "/api/v1/runs", json={"flow": "quick", "version": 1, "input": {"value": 1}}
        )
    ).json()
    assert [run["version"] for run in (first, second, old)] == [1, 2, 1]
    for run, output in ((first, 1), (second, [1]), (old, 1)):
        await ended(working, run["id"])
        assert (await working.get(f"/api/v1/runs/{run['id']}")).json()["output"] == output
    listed = (await working.get("/api/v1/runs?flow=quick&status=completed")).json()["items"]
    assert {run["id"] for run in listed} == {first["id"], second["id"], old["id"]}


async def test_what_cannot_start_says_why(client: httpx.AsyncClient) -> None:
    missing = await client.post("/api/v1/runs", json={"flow": "none"})
    assert problem(missing, 404)["code"] == "flow_not_found"
    await client.post("/api/v1/flows", json=PLANS["quick"])
    version = await client.post(
        "/api/v1/runs", json={"flow": "quick", "version": 9, "input": {"value": 1}}
    )
    assert problem(version, 404)["code"] == "version_not_found"
    wrong = problem(await client.post("/api/v1/runs", json={"flow": "quick", "input": []}), 422)
    assert [item["pointer"] for item in wrong["errors"]] == ["/input"]
    broken = {**PLANS["quick"], "steps": [{**ECHO, "tool": "nothing.here"}]}
    document = await client.post("/api/v1/runs", json={"document": broken, "input": {"value": 1}})
    pointers = [item["pointer"] for item in problem(document, 422)["errors"]]
    assert "/document/steps/0/tool" in pointers
    assert (await client.get("/api/v1/runs")).json() == {"items": [], "next_cursor": None}


async def test_a_key_starts_one_run(client: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "order 66"}
    body = {"document": PLANS["quick"], "input": {"value": 1}}
    first = await client.post("/api/v1/runs", json=body, headers=headers)
    again = await client.post("/api/v1/runs", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    other = await client.post("/api/v1/runs", json={**body, "input": {"value": 2}}, headers=headers)
    assert problem(other, 409)["code"] == "idempotency_mismatch"
    assert len((await client.get("/api/v1/runs")).json()["items"]) == 1


async def test_pages_of_runs_show_each_once(client: httpx.AsyncClient) -> None:
    started = [(await start(client, input={"value": n}))["id"] for n in range(5)]
    seen: list[str] = []
    cursor, pages = None, 0
    while pages == 0 or cursor is not None:
        query = {"limit": 2, **({"cursor": cursor} if cursor else {})}
        page = (await client.get("/api/v1/runs", params=query)).json()
        seen += [run["id"] for run in page["items"]]
        cursor, pages = page["next_cursor"], pages + 1
    assert (seen, pages) == (started[::-1], 3)
    assert (await client.get("/api/v1/runs?status=failed")).json()["items"] == []


async def test_pages_of_tasks_show_each_once(working: httpx.AsyncClient) -> None:
    mapped = {
        "flow": "mapped",
        "input": INPUT,
        "steps": [{**ECHO, "for_each": "${{ input.value }}", "args": {"value": "${{ item }}"}}],
    }
    run = await start(working, document=mapped, input={"value": list(range(7))})
    await ended(working, run["id"])
    seen: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = await working.get(
            f"/api/v1/runs/{run['id']}/tasks", params={"limit": 3, "after": after}
        )
        seen += page.json()["items"]
        after = page.json()["next_after"]
    outputs = {task["index"]: task["output"] for task in seen if task["kind"] == "step"}
    assert outputs == {n: n for n in range(7)}
    assert len({task["id"] for task in seen}) == len(seen)


async def test_pages_of_events_are_the_stream(working: httpx.AsyncClient) -> None:
    run = await start(working, input={"value": 1})
    streamed = await ended(working, run["id"])
    path = f"/api/v1/runs/{run['id']}/events"
    assert [event["id"] for event in streamed] == list(range(1, len(streamed) + 1))
    assert [event["event"] for event in streamed] == [e["data"]["type"] for e in streamed]
    paged: list[dict[str, Any]] = []
    done, after = False, 0
    while not done:
        page = (await working.get(path, params={"after": after, "limit": 2})).json()
        paged += page["items"]
        done, after = page["ended"], page["next_after"]
    assert paged == [event["data"] for event in streamed]
    beyond = (await working.get(path, params={"after": after + 9})).json()
    assert (beyond["items"], beyond["next_after"]) == ([], after + 9)


async def test_a_stream_resumes_after_any_event(working: httpx.AsyncClient) -> None:
    run = await start(working, input={"value": 1})
    whole = await ended(working, run["id"])
    path = f"/api/v1/runs/{run['id']}/events"
    for number in range(len(whole)):
        rest = await working.get(path, headers={"Last-Event-ID": str(number)})
        assert events_in(rest.text) == whole[number:]
    finished = await working.get(path, headers={"Last-Event-ID": str(len(whole))})
    assert (finished.status_code, finished.content) == (204, b"")
    for wrong in ("x", "", "-1", str(len(whole) + 1)):
        response = await working.get(path, headers={"Last-Event-ID": wrong})
        assert problem(response, 400)["code"] == "last_event_id_invalid"
    head = await working.head(path, headers={"Accept": "text/event-stream"})
    assert (head.status_code, head.content) == (200, b"")


async def test_pause_resume_and_cancel(client: httpx.AsyncClient) -> None:
    run = await start(client, input={"value": 1})
    path = f"/api/v1/runs/{run['id']}"
    assert (await client.post(f"{path}/pause")).json()["status"] == "paused"
    assert (await client.post(f"{path}/resume")).json()["status"] in ("queued", "running")
    cancelled = await client.post(f"{path}/cancel", json={"reason": "enough"})
    assert cancelled.json()["status"] == "cancelled"
    for verb in ("pause", "resume", "cancel"):
        assert problem(await client.post(f"{path}/{verb}"), 409)["code"] == "invalid_transition"
    events = await ended(client, run["id"])
    assert events[-1]["event"] == "workflow_cancelled"
    assert events[-1]["data"]["actor"] == "local"


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("GET", ""),
        ("GET", "/tasks"),
        ("GET", "/events"),
        ("POST", "/cancel"),
        ("POST", "/pause"),
        ("POST", "/resume"),
    ],
)
async def test_an_unknown_run_is_not_found(
    client: httpx.AsyncClient, method: str, rest: str
) -> None:
    response = await client.request(method, f"/api/v1/runs/{NOBODY}{rest}")
    assert problem(response, 404)["code"] == "run_not_found"
    stream = await client.get(f"/api/v1/runs/{NOBODY}/events", headers={"Last-Event-ID": "0"})
    problem(stream, 404)


async def test_a_goal_is_planned_and_run(working: httpx.AsyncClient) -> None:
    response = await working.post("/api/v1/runs", json={"goal": "quick", "input": {"value": 0}})
    assert response.status_code == 201
    run = response.json()
    await ended(working, run["id"])
    assert (await working.get(f"/api/v1/runs/{run['id']}")).json()["output"] == 0
    plan = (await working.get(f"/api/v1/plans/{run['plan_id']}")).json()
    assert (plan["goal"], plan["status"]) == ("quick", "accepted")


async def test_a_goal_without_a_sure_plan_runs_nothing(client: httpx.AsyncClient) -> None:
    unsure = await client.post("/api/v1/runs", json={"goal": "unsure", "input": {"value": 0}})
    body = problem(unsure, 409)
    assert body["code"] == "plan_uncertain"
    plan = await client.get(f"/api/v1/plans/{body['details']['plan_id']}")
    assert plan.json()["certain"] is False
    asking = await client.post("/api/v1/runs", json={"goal": "asking", "input": {"value": 0}})
    assert problem(asking, 422)["errors"][0]["message"] == "Which file?"
    hopeless = await client.post("/api/v1/runs", json={"goal": "fly to the moon"})
    assert problem(hopeless, 422)["code"] == "no_fitting_tool"
    assert (await client.get("/api/v1/runs")).json()["items"] == []
