from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.support.api import PLANS, ended, events_in, problem, service

NOBODY = "5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11"
STREAM = {"Accept": "text/event-stream"}


@pytest.fixture
async def client(dsn: str) -> AsyncIterator[httpx.AsyncClient]:
    async with service(dsn, worker=True) as opened:
        yield opened


async def test_a_plan_is_made_kept_and_listed(client: httpx.AsyncClient) -> None:
    made = await client.post("/api/v1/plans", json={"goal": "careful", "input": {"value": 0}})
    assert made.status_code == 201
    plan = made.json()
    assert made.headers["location"] == f"/api/v1/plans/{plan['id']}"
    assert (plan["goal"], plan["status"], plan["input"]) == ("careful", "ready", {"value": 0})
    assert [step["id"] for step in plan["flow"]["steps"]] == ["echo", "send"]
    assert plan["estimate"]["approvals"] == 1
    assert (await client.get(f"/api/v1/plans/{plan['id']}")).json() == plan
    (listed,) = (await client.get("/api/v1/plans")).json()["items"]
    assert (listed["id"], listed["goal"], listed["run_id"]) == (plan["id"], "careful", None)
    problem(await client.get(f"/api/v1/plans/{NOBODY}"), 404)


async def test_a_plan_is_streamed_while_it_is_made(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/v1/plans", json={"goal": "careful"}, headers=STREAM)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.startswith("retry: ")
    events = events_in(response.text)
    assert [event["event"] for event in events] == [
        "plan_started",
        "plan_step_added",
        "plan_step_added",
        "plan_completed",
    ]
    assert [event["id"] for event in events] == [1, 2, 3, 4]
    assert [event["data"]["seq"] for event in events] == [1, 2, 3, 4]
    plan = events[-1]["data"]["data"]["plan"]
    assert {event["data"]["stream"] for event in events} == {plan["id"]}
    assert (await client.get(f"/api/v1/plans/{plan['id']}")).json() == plan


async def test_a_goal_that_fits_no_tool(client: httpx.AsyncClient) -> None:
    refused = await client.post("/api/v1/plans", json={"goal": "fly to the moon"})
    body = problem(refused, 422)
    assert (body["code"], len(body["errors"])) == ("no_fitting_tool", 1)
    streamed = await client.post("/api/v1/plans", json={"goal": "fly"}, headers=STREAM)
    events = events_in(streamed.text)
    assert [event["event"] for event in events] == ["plan_started", "plan_failed"]
    assert events[0]["data"]["stream"] == events[1]["data"]["stream"] is not None
    empty = await client.post("/api/v1/plans", json={"goal": "  "}, headers=STREAM)
    assert problem(empty, 422)["code"] == "goal_empty"
    assert (await client.get("/api/v1/plans")).json() == {"items": [], "next_cursor": None}


async def test_accepting_starts_one_run(client: httpx.AsyncClient) -> None:
    goal = {"goal": "quick", "input": {"value": False}}
    plan = (await client.post("/api/v1/plans", json=goal)).json()
    path = f"/api/v1/plans/{plan['id']}/accept"
    accepted = await client.post(path)
    again = await client.post(path, json={})
    assert (accepted.status_code, again.status_code) == (201, 200)
    run = accepted.json()["run"]
    assert accepted.headers["location"] == f"/api/v1/runs/{run['id']}"
    assert (again.json()["run"]["id"], run["plan_id"]) == (run["id"], plan["id"])
    assert accepted.json()["flow"] is None
    await ended(client, run["id"])
    assert (await client.get(f"/api/v1/runs/{run['id']}")).json()["output"] is False
    (listed,) = (await client.get("/api/v1/plans")).json()["items"]
    assert listed["run_id"] == run["id"]


async def test_accepting_can_save_the_flow(client: httpx.AsyncClient) -> None:
    plan = (await client.post("/api/v1/plans", json={"goal": "quick"})).json()
    path = f"/api/v1/plans/{plan['id']}/accept"
    saved = await client.post(path, json={"save": "mine", "run": False})
    assert (saved.status_code, saved.json()["run"]) == (200, None)
    assert saved.json()["flow"]["slug"] == "mine"
    draft = (await client.get("/api/v1/flows/mine")).json()["draft"]
    assert draft["steps"] == PLANS["quick"]["steps"]
    both = await client.post(path, json={"save": True, "input": {"value": ""}})
    assert both.status_code == 201
    assert both.json()["flow"]["slug"] == "quick"
    assert both.json()["run"]["input"] == {"value": ""}


async def test_what_cannot_be_accepted(client: httpx.AsyncClient) -> None:
    problem(await client.post(f"/api/v1/plans/{NOBODY}/accept"), 404)
    plan = (await client.post("/api/v1/plans", json={"goal": "asking"})).json()
    assert plan["status"] == "needs_answers"
    for body in ({}, {"save": True, "run": False}):
        refused = await client.post(f"/api/v1/plans/{plan['id']}/accept", json=body)
        assert problem(refused, 422)["code"] == "plan_not_ready"
    assert (await client.get("/api/v1/flows")).json() == {"items": []}
    quick = (await client.post("/api/v1/plans", json={"goal": "quick"})).json()
    missing = await client.post(f"/api/v1/plans/{quick['id']}/accept", json={"input": {}})
    assert problem(missing, 422)["errors"]
    assert (await client.get("/api/v1/runs")).json()["items"] == []
