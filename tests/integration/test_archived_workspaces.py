"""A workspace that is archived starts nothing, shows everything, and can be brought back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from flowbuilder.errors import Conflict
from tests.support.api import ECHO, GATED, INPUT, problem
from tests.support.tenants import TESTER, Headers, Town, town

FLOW: dict[str, Any] = {"flow": "kept", "input": INPUT, "steps": [ECHO, GATED]}
START = {"flow": "kept", "input": {"value": 1}}


@pytest.fixture
async def place(dsn: str) -> AsyncIterator[Town]:
    async with town(dsn, worker=True) as opened:
        yield opened


async def made(place: Town, who: Headers, path: str, body: Any = None, **given: Any) -> Any:
    response = await place.call(who, "POST", path, json=body, **given)
    assert response.is_success, response.text
    return response.json()


async def test_what_runs_goes_on_and_nothing_begins(place: Town) -> None:
    admin = await place.person("ada", "default", "admin")
    member = await place.person("bob", "default", "member")
    await made(place, admin, "/flows", FLOW)
    key = {"Idempotency-Key": "once"}
    run = await made(place, admin, "/runs", START, headers=key)
    plan = await made(place, admin, "/plans", {"goal": "quick", "input": {"value": 1}})
    async for event in place.builder.follow(run["id"]):
        if event.type == "approval_requested":
            break

    refused = await place.call(member, "POST", "/workspaces/default/archive")
    assert problem(refused, 403)
    archived = await made(place, admin, "/workspaces/default/archive")
    assert archived["archived_at"] is not None
    again = await made(place, admin, "/workspaces/default/archive")
    assert again["archived_at"] == archived["archived_at"]

    starts: list[tuple[str, Any]] = [
        ("/runs", START),
        ("/runs", {"document": {"flow": "x", "steps": [{**ECHO, "args": {"value": 1}}]}}),
        (f"/plans/{plan['id']}/accept", None),
    ]
    for path, body in starts:
        answer = await place.call(admin, "POST", path, json=body)
        assert problem(answer, 409)["code"] == "workspace_archived"
    repeated = await place.call(admin, "POST", "/runs", json=START, headers=key)
    assert (repeated.status_code, repeated.json()["id"]) == (200, run["id"])
    for path in ("/flows/kept", f"/runs/{run['id']}", f"/plans/{plan['id']}", "/audit"):
        assert (await place.call(admin, "GET", path)).status_code == 200

    (approval,) = (await place.call(admin, "GET", "/approvals")).json()["items"]
    decided = {"decision": "approve"}
    await made(place, admin, f"/approvals/{approval['id']}/decision", decided)
    ended = [event.type async for event in place.builder.follow(run["id"])]
    assert ended[-1] == "workflow_completed"
    retried = await place.call(
        admin, "POST", f"/runs/{run['id']}/retry", json={"from_step": "echo"}
    )
    assert problem(retried, 409)["code"] == "workspace_archived"

    assert (await made(place, admin, "/workspaces/default/restore"))["archived_at"] is None
    assert (await made(place, admin, "/runs", START))["status"] in ("queued", "running")


async def test_another_workspace_is_not_touched(place: Town) -> None:
    other = await place.workspace("other")
    await place.accounts.archive_workspace(other, by=TESTER)
    document = {"flow": "x", "steps": [{**ECHO, "args": {"value": 1}}]}
    await (await place.builder.execute_dynamic(document)).result(timeout=60)
    with pytest.raises(Conflict) as refused:
        await place.builder.within(other).execute_dynamic(document)
    assert refused.value.code == "workspace_archived"
    actions = [line["action"] for line in await place.accounts.log.audit(other)]
    assert "workspace.archive" in actions
