from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest

from flowbuilder.client import FlowBuilder
from flowbuilder.types import JsonObject
from tests.support.api import (
    ECHO,
    GATED,
    PLANS,
    app_over,
    connect,
    ended,
    events_in,
    http,
    problem,
)

Waiting = Callable[..., Awaitable[tuple[str, dict[str, Any]]]]

NOBODY = "5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11"


@pytest.fixture
async def builder(dsn: str) -> AsyncIterator[FlowBuilder]:
    async with connect(dsn, worker=True) as opened:
        yield opened


@pytest.fixture
async def client(builder: FlowBuilder) -> AsyncIterator[httpx.AsyncClient]:
    async with http(app_over(builder)) as opened:
        yield opened


@pytest.fixture
def waiting(builder: FlowBuilder, client: httpx.AsyncClient) -> Waiting:
    """Start a run and wait until it asks for its approval: run id and approval."""

    async def start(document: JsonObject = PLANS["careful"]) -> tuple[str, dict[str, Any]]:
        body = {"document": document, "input": {"value": 1}}
        run_id = (await client.post("/api/v1/runs", json=body)).json()["id"]
        async for event in builder.follow(run_id):
            if event.type == "approval_requested":
                break
        listed = await client.get("/api/v1/approvals", params={"run_id": run_id})
        (approval,) = listed.json()["items"]
        return run_id, approval

    return start


async def decide(
    client: httpx.AsyncClient, approval: dict[str, Any], key: str | None = None, **body: Any
) -> httpx.Response:
    headers = {"Idempotency-Key": key} if key else {}
    return await client.post(
        f"/api/v1/approvals/{approval['id']}/decision", json=body, headers=headers
    )


async def test_an_approval_shows_what_it_is_about_and_binds_it(
    client: httpx.AsyncClient, waiting: Waiting
) -> None:
    run_id, approval = await waiting()
    assert (approval["status"], approval["kind"]) == ("pending", "gate")
    assert approval["args"] == {"value": [1, 0, False, "", None]}
    assert approval["message"] == "Send it?"
    path = f"/api/v1/approvals/{approval['id']}"
    assert (await client.get(path)).json().items() >= approval.items()
    assert (await client.head(path)).status_code == 200
    changed = await decide(client, approval, decision="approve", args_hash="0" * 64)
    assert problem(changed, 409)["code"] == "arguments_changed"
    assert (await client.get(path)).json().items() >= approval.items()

    decided = await decide(
        client, approval, decision="approve", by="ada", args_hash=approval["args_hash"]
    )
    assert decided.status_code == 200
    assert (decided.json()["status"], decided.json()["decided_by"]) == ("approved", "ada")
    await ended(client, run_id)
    run = (await client.get(f"/api/v1/runs/{run_id}")).json()
    assert run["steps"][1]["output"] == [1, 0, False, "", None]


async def test_the_second_decision_learns_who_gave_the_first(
    client: httpx.AsyncClient, waiting: Waiting
) -> None:
    _, approval = await waiting()
    first = (await decide(client, approval, decision="reject", by="ada", comment="no")).json()
    assert first["status"] == "rejected"
    for word in ("approve", "reject"):
        body = problem(await decide(client, approval, decision=word, by="bob"), 409)
        assert body["code"] == "already_decided"
        assert body["decided_by"] == "ada"
        assert body["decided_at"] == first["decided_at"]
        assert body["decision"] == body["details"]["decision"] == "rejected"


async def test_of_many_at_once_one_decides(client: httpx.AsyncClient, waiting: Waiting) -> None:
    _, approval = await waiting()
    names = [f"person{n}" for n in range(6)]
    answers = await asyncio.gather(
        *(decide(client, approval, decision="approve", by=name) for name in names)
    )
    (won,) = [answer.json() for answer in answers if answer.status_code == 200]
    losers = [problem(answer, 409) for answer in answers if answer.status_code != 200]
    assert len(losers) == 5
    assert {body["decided_by"] for body in losers} == {won["decided_by"]}


async def test_the_same_decision_repeated_with_its_key(
    client: httpx.AsyncClient, waiting: Waiting
) -> None:
    _, approval = await waiting()
    wanted = {"decision": "approve", "by": "ada", "comment": "fine"}
    first = await decide(client, approval, "k1", **wanted)
    again = await decide(client, approval, "k1", **wanted)
    assert (again.status_code, again.json()) == (200, first.json())
    problem(await decide(client, approval, **wanted), 409)
    problem(await decide(client, approval, "k1", **{**wanted, "by": "bob"}), 409)
    problem(await decide(client, approval, "k1", decision="reject", by="ada"), 409)


async def test_edited_arguments_are_checked_and_used(
    client: httpx.AsyncClient, waiting: Waiting
) -> None:
    run_id, approval = await waiting()
    bad = await decide(client, approval, decision="approve", edits={"nope": 1})
    assert problem(bad, 422)["errors"][0]["pointer"].startswith("/edits")
    good = await decide(client, approval, decision="approve", edits={"value": 0})
    assert good.json()["value"] == {"value": 0}
    await ended(client, run_id)
    run = (await client.get(f"/api/v1/runs/{run_id}")).json()
    assert run["steps"][1]["output"] == 0


async def test_what_an_approval_does_not_take_is_no_failure_of_the_service(
    client: httpx.AsyncClient, waiting: Waiting
) -> None:
    ask: JsonObject = {"id": "ask", "tool": "test.ask", "args": {"message": "Go on?"}}
    _, decision = await waiting({**PLANS["careful"], "steps": [ask], "output": None})
    refused = problem(await decide(client, decision, decision="approve", edits={"a": 1}), 422)
    assert refused["code"] == "edits_not_possible"
    assert refused["errors"][0]["pointer"] == "/edits"
    _, gate = await waiting()
    refused = problem(await decide(client, gate, decision="approve", value=0), 422)
    assert refused["code"] == "value_not_possible"
    assert refused["errors"][0]["pointer"] == "/value"
    for approval in (decision, gate):
        path = f"/api/v1/approvals/{approval['id']}"
        assert (await client.get(path)).json()["status"] == "pending"


async def test_the_key_of_another_decision_is_a_conflict(
    client: httpx.AsyncClient, waiting: Waiting
) -> None:
    _, approval = await waiting()
    first = await decide(client, approval, "k", decision="approve", by="ada", edits={"value": 1})
    assert first.status_code == 200
    others: list[dict[str, Any]] = [
        {"edits": {"value": True}},
        {"edits": {"value": 1.5}},
        {"edits": None},
        {"comment": "later"},
        {"decision": "reject", "edits": None},
    ]
    for other in others:
        body = {"decision": "approve", "by": "ada", "edits": {"value": 1}, **other}
        refused = problem(await decide(client, approval, "k", **body), 409)
        assert (refused["code"], refused["decided_by"]) == ("already_decided", "ada")


async def test_only_those_asked_may_decide(client: httpx.AsyncClient, waiting: Waiting) -> None:
    gated: JsonObject = {**GATED, "approval": {"by": ["user:ada"]}}
    document: JsonObject = {**PLANS["careful"], "steps": [ECHO, gated]}
    _, approval = await waiting(document)
    refused = problem(await decide(client, approval, decision="approve", by="user:bob"), 403)
    assert refused["code"] == "approver_not_allowed"
    assert (await decide(client, approval, decision="approve", by="user:ada")).status_code == 200


async def test_lists_by_status(client: httpx.AsyncClient, waiting: Waiting) -> None:
    run_id, approval = await waiting()
    other, _ = await waiting()
    await decide(client, approval, decision="approve")
    await ended(client, run_id)
    listed = {
        status: [
            item["run_id"]
            for item in (await client.get(f"/api/v1/approvals?status={status}")).json()["items"]
        ]
        for status in ("pending", "approved", "all")
    }
    assert listed["pending"] == [other]
    assert listed["approved"] == [run_id]
    assert sorted(listed["all"]) == sorted([run_id, other])
    problem(await client.get(f"/api/v1/approvals/{NOBODY}"), 404)
    problem(await decide(client, {"id": NOBODY}, decision="approve"), 404)


async def test_a_decision_is_in_the_stream(client: httpx.AsyncClient, waiting: Waiting) -> None:
    run_id, approval = await waiting()
    await decide(client, approval, decision="approve", by="ada")
    response = await client.get(
        f"/api/v1/runs/{run_id}/events", headers={"Accept": "text/event-stream"}
    )
    names = [event["event"] for event in events_in(response.text)]
    assert names.index("approval_requested") < names.index("approval_decided")
    assert names[-1] == "workflow_completed"
