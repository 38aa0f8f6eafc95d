"""Re-plans over HTTP: asked for in the body, read back by run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from flowbuilder import FlowBuilder, Settings, tool
from flowbuilder.tools import Fail
from tests.support.api import app_over, ended, http, problem

FLOW: dict[str, Any] = {
    "flow": "rate",
    "steps": [{"id": "look", "tool": "rate.primary", "args": {"currency": "EUR"}}],
}


@tool("rate.primary", effects="read")
async def primary(currency: str) -> float:
    """Return the exchange rate of a currency."""
    raise Fail("out of order", code="out_of_order")


@tool("rate.backup", effects="read")
async def backup(currency: str) -> float:
    """Return the exchange rate of a currency from a second service."""
    return 1.5


@pytest.fixture
async def client(dsn: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings.load(data_dir=tmp_path, workspace_dir=tmp_path)
    async with (
        FlowBuilder.connect(
            dsn, settings=settings, tools=[primary, backup], worker=True
        ) as builder,
        http(app_over(builder, settings)) as opened,
    ):
        yield opened


async def start(client: httpx.AsyncClient, **body: Any) -> str:
    response = await client.post("/api/v1/runs", json={"document": FLOW, **body})
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


async def test_a_run_that_may_be_planned_anew_is(client: httpx.AsyncClient) -> None:
    run = await start(client, replan=True)
    events = await ended(client, run)
    assert [event["event"] for event in events if "plan" in event["event"]] == [
        "workflow_replanning", "plan_repaired",
    ]  # fmt: skip
    shown = (await client.get(f"/api/v1/runs/{run}")).json()
    assert (shown["status"], shown["output"]) == ("completed", {"look": 1.5})
    (replan,) = (await client.get(f"/api/v1/runs/{run}/replans")).json()["items"]
    assert (replan["number"], replan["status"], replan["step_id"]) == (1, "done", "look")
    assert replan["error"]["code"] == "out_of_order"
    assert replan["usage"]["calls"] == 0


async def test_others_are_not(client: httpx.AsyncClient) -> None:
    for body in ({}, {"replan": False}, {"replan": None}):
        run = await start(client, **body)
        await ended(client, run)
        shown = (await client.get(f"/api/v1/runs/{run}")).json()
        assert (shown["status"], shown["error"]["code"]) == ("failed", "out_of_order")
        assert (await client.get(f"/api/v1/runs/{run}/replans")).json() == {"items": []}


async def test_a_plan_is_accepted_with_it(client: httpx.AsyncClient) -> None:
    made = await client.post("/api/v1/plans", json={"goal": "Get the exchange rate of USD"})
    assert made.status_code == 201, made.text
    plan = made.json()
    assert plan["flow"]["steps"][0]["tool"].startswith("rate.")
    accepted = await client.post(f"/api/v1/plans/{plan['id']}/accept", json={"replan": True})
    assert accepted.status_code == 201, accepted.text
    run = accepted.json()["run"]["id"]
    await ended(client, run)
    assert (await client.get(f"/api/v1/runs/{run}")).json()["status"] == "completed"


async def test_bad_values_are_refused(client: httpx.AsyncClient) -> None:
    values: list[Any] = ["yes", 1, [], {}]
    for value in values:
        wrong = await client.post("/api/v1/runs", json={"document": FLOW, "replan": value})
        assert "/replan" in [item["pointer"] for item in problem(wrong, 422)["errors"]]
    nobody = "5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11"
    missing = await client.get(f"/api/v1/runs/{nobody}/replans")
    assert problem(missing, 404)["code"] == "run_not_found"
