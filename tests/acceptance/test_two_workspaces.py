"""Two workspaces in one service: nothing of the one can be seen, named or moved from the other.

Every operation of the OpenAPI document whose address holds an id is asked with the other one's ids.
A new one fails until it is added to `BODIES` (if it takes a body) or `IDS` (if it has a new id).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from flowbuilder.api.auth.access import ACCESS, Level
from flowbuilder.executor.scoped import ScopedDatabase
from tests.support.api import ECHO, GATED, INPUT, events_in, problem
from tests.support.tenants import Headers, Town, town
from tests.support.triggering import MASTER_KEY

CANARY = "canary-5b1d7c"
FLOW: dict[str, Any] = {
    "flow": f"{CANARY}-flow",
    "description": f"{CANARY} description",
    "input": INPUT,
    "steps": [ECHO, GATED],
}
CONNECTION: dict[str, Any] = {
    "kind": "openapi",
    "server": "https://api.example.org",
    "document": {
        "openapi": "3.1.0",
        "paths": {"/a": {"get": {"operationId": "look", "summary": CANARY, "responses": {}}}},
    },
}
#: What a request has to say so that the id in its address is looked up.
BODIES: dict[str, Any] = {
    "PUT /api/v1/admission/{slug}": {"concurrency": 1},
    "POST /api/v1/approvals/{approval_id}/decision": {"decision": "approve"},
    "POST /api/v1/approvals/{approval_id}/comments": {"text": "hm"},
    "PUT /api/v1/approval-channels/{name}": None,  # would make a channel of that name
    "POST /api/v1/approval-channels/{name}/confirm": {"address": "ada@example.org"},
    "PUT /api/v1/flows/{slug}": None,  # would make a flow of that name: asked apart
    "POST /api/v1/flows/{slug}/steps": ECHO,
    "POST /api/v1/flows/{slug}/edit": {"words": "remove the step echo"},
    "POST /api/v1/plans/{plan_id}/answers": {"answers": {"anything": 1}},
    "POST /api/v1/plans/{plan_id}/edit": {"words": "remove the step echo"},
    "PUT /api/v1/secrets/{name}": None,  # would make a secret of that name
    "POST /api/v1/runs/{run_id}/steps": ECHO,
    "PATCH /api/v1/schedules/{schedule_id}": {"missed": "all"},
    "PATCH /api/v1/webhooks/{webhook_id}": {"rate": "1/1m"},
    "PUT /api/v1/limits/{pattern}": None,
    "PATCH /api/v1/users/{name}": None,
    "PUT /api/v1/workspaces/{workspace}/members/{name}": {"roles": ["admin"]},
}


@dataclass(frozen=True, kw_only=True)
class Side:
    """A workspace with one of everything, and the headers of its administrator."""

    slug: str
    id: str
    headers: Headers
    ids: dict[str, str]


async def side(place: Town, slug: str) -> Side:
    """Make a workspace with a flow, a plan, a run that waits, its approval, and a key."""
    workspace = await place.workspace(slug)
    headers = await place.person(f"{slug}-ada", slug, "admin")

    async def made(path: str, body: Any, status: int = 201) -> Any:
        response = await place.call(headers, "POST", path, json=body)
        assert response.status_code == status, response.text
        return response.json()

    await made("/flows", FLOW)
    await made(f"/flows/{FLOW['flow']}/versions", None)
    plan = await made("/plans", {"goal": "careful", "input": {"value": CANARY}})
    run = await made("/runs", {"flow": FLOW["flow"], "input": {"value": CANARY}})
    stream = f"/runs/{run['id']}/events"
    async with place.builder.worker():
        approval = await waiting(place, headers, run["id"])
    await made("/connections", {**CONNECTION, "name": f"{slug}_api"})
    key = await made("/api-keys", {"name": CANARY, "scopes": ["read"]})
    target = {"name": "trigger", "flow": FLOW["flow"], "description": CANARY}
    webhook = await made("/webhooks", target)
    schedule = await made("/schedules", {**target, "cron": "0 0 1 1 *", "input": {"value": CANARY}})
    page = await place.call(headers, "GET", stream)
    assert page.json()["items"][0]["type"] == "workflow_started"
    ids = {
        "slug": FLOW["flow"],
        "number": "1",
        "plan_id": plan["id"],
        "run_id": run["id"],
        "approval_id": approval,
        "key_id": key["id"],
        "workspace": slug,
        "name": f"{slug}-ada",
        "memory_id": "1",
        "webhook_id": webhook["id"],
        "schedule_id": schedule["id"],
        "delegation_id": await delegation(place, headers, slug, workspace),
        "task_id": "1",
        "connection": f"{slug}_api",
        "value": "input",
    }
    return Side(slug=slug, id=workspace, headers=headers, ids=ids)


async def delegation(place: Town, headers: Headers, slug: str, workspace: str) -> str:
    """Let somebody stand in for the administrator, and return the delegation's id."""
    await place.person(f"{slug}-bob", workspace, "approver")
    body = {"to": f"{slug}-bob", "lasts": "7d"}
    made = await place.call(headers, "POST", "/approval-delegations", json=body)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def waiting(place: Town, headers: Headers, run_id: str) -> str:
    """Return the id of the approval that a run waits for, once it does."""
    async for event in place.builder.within(await owner(place, run_id)).follow(run_id):
        if event.type == "approval_requested":
            break
    found = (await place.call(headers, "GET", f"/approvals?run_id={run_id}")).json()["items"]
    assert len(found) == 1
    return str(found[0]["id"])


async def owner(place: Town, run_id: str) -> str:
    return await place.builder.store.workspace_of_run(run_id)


@pytest.fixture
async def place(dsn: str) -> AsyncIterator[Town]:
    async with town(dsn, secret_key=SecretStr(MASTER_KEY)) as opened:
        yield opened


def with_ids() -> list[str]:
    from tests.acceptance.test_access import documented

    return [
        key
        for key in documented()
        if "{" in key and ACCESS[key].level not in (Level.PUBLIC, Level.INSTANCE)
    ]


async def test_ids_of_the_other_workspace_name_nothing(place: Town) -> None:
    theirs = await side(place, "theirs")
    # an empty one of ours: whatever is found in it came from elsewhere
    await place.workspace("ours")
    ours = await place.person("ours-ada", "ours", "admin")
    before = await everything(place, theirs)
    for key in with_ids():
        method, template = key.split(" ", 1)
        unknown = set(re.findall(r"\{(\w+)\}", template)) - theirs.ids.keys()
        assert not unknown, f"{key}: say in `side` what {unknown} of a workspace is"
        if key in BODIES and BODIES[key] is None:
            continue
        path = template.format(**theirs.ids)
        response = await place.client.request(
            method, path, headers=ours, json=BODIES.get(key) or None
        )
        if response.status_code != 404:
            hint = "it takes a body: add one to BODIES" if response.status_code == 400 else ""
            pytest.fail(f"{key} answers {response.status_code}: {response.text} {hint}")
        # what was asked for may stand in the answer, what it holds may not
        asked = theirs.ids.values()
        assert CANARY not in strip(response.text, asked), (key, response.text)
    assert await everything(place, theirs) == before


async def test_ids_in_queries_and_bodies_name_nothing(place: Town) -> None:
    theirs = await side(place, "theirs")
    await place.workspace("ours")
    ours = await place.person("ours-ada", "ours", "admin")
    before = await everything(place, theirs)
    child = {
        "flow": "parent",
        "steps": [{"id": "call", "tool": "flow.run", "args": {"flow": theirs.ids["slug"]}}],
    }
    asked: list[tuple[str, str, Any, int]] = [
        ("GET", f"/runs?cursor={theirs.ids['run_id']}", None, 404),
        ("GET", f"/approvals?run_id={theirs.ids['run_id']}", None, 404),
        ("POST", "/runs", {"flow": theirs.ids["slug"]}, 404),
        ("POST", "/runs", {"flow": theirs.ids["slug"], "version": 1}, 404),
        ("POST", "/workspaces", {"slug": "theirs"}, 403),
        ("POST", "/webhooks", {"name": "w", "flow": theirs.ids["slug"]}, 404),
        ("POST", "/schedules", {"name": "s", "flow": theirs.ids["slug"], "cron": "0 0 1 1 *"}, 404),
        ("POST", "/flows", child, 422),
        ("POST", "/flows/validate", child, 422),
    ]
    for method, path, body, status in asked:
        response = await place.call(ours, method, path, json=body)
        assert response.status_code == status, (path, response.text)
        assert CANARY not in strip(response.text, theirs.ids.values()), (path, response.text)
    listed = ("/runs", "/flows", "/plans", "/approvals?status=all", "/api-keys", "/audit")
    for path in (*listed, "/webhooks", "/schedules"):
        found = await place.call(ours, "GET", path)
        assert found.status_code == 200
        assert CANARY not in found.text
    # the same names and keys mean one's own
    run = await place.call(
        ours,
        "POST",
        "/runs",
        json={
            "document": {"flow": theirs.ids["slug"], "steps": [ECHO], "input": INPUT},
            "input": {"value": 1},
        },
        headers={"Idempotency-Key": "one"},
    )
    assert run.status_code == 201
    assert await everything(place, theirs) == before


async def test_a_child_flow_is_looked_for_where_its_parent_belongs(place: Town) -> None:
    await place.workspace("ours")
    ours = await place.person("ada", "ours", "admin")
    default = await place.person("bob", "default", "admin")
    inner = {"flow": "inner", "input": INPUT, "steps": [ECHO], "output": "${{ steps.echo }}"}
    other = {**inner, "output": f"{CANARY} ${{{{ steps.echo }}}}"}
    assert (await place.call(default, "POST", "/flows", json=other)).status_code == 201
    outer = {
        "flow": "outer",
        "steps": [
            {"id": "call", "tool": "flow.run", "args": {"flow": "inner", "input": {"value": 7}}}
        ],
        "output": "${{ steps.call }}",
    }
    missing = await place.call(ours, "POST", "/flows", json=outer)
    assert missing.status_code in (201, 422)
    assert (await place.call(ours, "POST", "/flows", json=inner)).status_code == 201
    saved = await place.call(ours, "PUT", "/flows/outer", json=outer)
    assert saved.status_code in (200, 201), saved.text
    run = (await place.call(ours, "POST", "/runs", json={"flow": "outer"})).json()
    async with place.builder.worker():
        stream = await place.call(
            ours, "GET", f"/runs/{run['id']}/events", headers={"Accept": "text/event-stream"}
        )
    assert events_in(stream.text)[-1]["event"] == "workflow_completed", stream.text
    done = (await place.call(ours, "GET", f"/runs/{run['id']}")).json()
    assert done["output"] == 7
    untouched = (await place.call(default, "GET", "/flows/inner")).json()
    assert untouched["version"] is None


async def test_files_of_the_other_workspace_are_not_there(dsn: str, tmp_path: Path) -> None:
    step = {"id": "file", "tool": "file.read", "args": {"path": "payroll.txt"}}
    keep = {"id": "file", "tool": "file.write"}
    async with town(dsn, workspace_dir=tmp_path) as place:
        people = {"default": await place.person("ada", "default", "builder")}
        for slug in ("theirs", "ours"):
            await place.workspace(slug)
            people[slug] = await place.person(f"{slug}-ada", slug, "builder")

        async def run(slug: str, step: dict[str, Any]) -> dict[str, Any]:
            document = {"flow": "files", "steps": [step], "output": "${{ steps.file }}"}
            made = await place.call(people[slug], "POST", "/runs", json={"document": document})
            assert made.status_code == 201, made.text
            path = f"/runs/{made.json()['id']}"
            stream = {"Accept": "text/event-stream"}
            await place.call(people[slug], "GET", f"{path}/events", headers=stream)
            ended: dict[str, Any] = (await place.call(people[slug], "GET", path)).json()
            return ended

        async with place.builder.worker():
            for slug in people:
                kept = {"path": "payroll.txt", "content": f"of {slug}", "mode": "create"}
                assert (await run(slug, {**keep, "args": kept}))["status"] == "completed"
            for slug in people:
                assert (await run(slug, step))["output"]["text"] == f"of {slug}"
            for path in (".workspaces", tmp_path.name):
                away = {"path": f"{path}/payroll.txt", "content": "x"}
                assert (await run("ours", {**keep, "args": away}))["status"] == "completed"
            assert (await run("theirs", step))["output"]["text"] == "of theirs"


async def test_the_second_wall_stands_without_the_first(place: Town) -> None:
    theirs = await side(place, "theirs")
    nobodys = "5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11"
    database = place.builder.store.database
    tables = [
        row["name"]
        for row in await database.fetch_all(
            b"select relname as name from pg_class where relnamespace = 'flowbuilder'::regnamespace"
            b" and relkind = 'r' and relrowsecurity and relforcerowsecurity order by relname"
        )
    ]
    assert {
        "runs",
        "tasks",
        "run_steps",
        "events",
        "approvals",
        "flows",
        "flow_versions",
        "version_steps",
        "plans",
        "draft_steps",
        "event_slots",
        "outbox",
    } <= set(tables)
    inside = ScopedDatabase(database, theirs.id)
    outside = ScopedDatabase(database, nobodys)
    seen = 0
    for table in tables:
        # no condition at all: only the wall is left
        statement = f"select count(*) as n from flowbuilder.{table}".encode()
        assert await count(outside, statement) == 0, table
        seen += await count(inside, statement) > 0
    assert seen >= 8
    for change in (
        b"update flowbuilder.runs set actor = 'me' returning id",
        b"delete from flowbuilder.tasks returning id",
        b"delete from flowbuilder.version_steps returning id",
        b"update flowbuilder.approvals set status = 'cancelled' returning id",
    ):
        assert await outside.fetch_all(change) == []


async def count(database: Any, statement: bytes) -> int:
    row = await database.fetch_one(statement)
    return int(row["n"])


async def everything(place: Town, there: Side) -> list[Any]:
    """What a workspace holds, as its administrator sees it."""
    paths = ("/runs", "/flows?state=all", "/plans", "/approvals?status=all", "/api-keys")
    triggers = ("/webhooks", "/schedules")
    return [
        (await place.call(there.headers, "GET", path)).json() for path in (*paths, *triggers)
    ] + [(await place.call(there.headers, "GET", f"/workspaces/{there.slug}/members")).json()]


def strip(text: str, said: Any) -> str:
    for one in said:
        text = text.replace(one, "")
    return text


async def test_a_decision_in_one_workspace_leaves_the_other_waiting(place: Town) -> None:
    first, second = await side(place, "first"), await side(place, "second")
    wrong = await place.call(
        first.headers,
        "POST",
        f"/approvals/{second.ids['approval_id']}/decision",
        json={"decision": "reject"},
    )
    assert problem(wrong, 404)["code"] == "approval_not_found"
    right = await place.call(
        first.headers,
        "POST",
        f"/approvals/{first.ids['approval_id']}/decision",
        json={"decision": "approve"},
    )
    assert right.json()["decided_by"] == "user:first-ada"
    async with place.builder.worker():
        stream = await place.call(
            first.headers,
            "GET",
            f"/runs/{first.ids['run_id']}/events",
            headers={"Accept": "text/event-stream"},
        )
    assert events_in(stream.text)[-1]["event"] == "workflow_completed"
    for verb in ("pause", "resume", "cancel"):
        done = await place.call(second.headers, "POST", f"/runs/{second.ids['run_id']}/{verb}")
        assert done.status_code == 200, done.text
    why = await place.call(second.headers, "GET", f"/runs/{second.ids['run_id']}/why")
    assert why.status_code == 200
    again = await place.call(second.headers, "POST", f"/runs/{second.ids['run_id']}/retry")
    assert again.status_code == 201, again.text
    held = await place.call(
        second.headers,
        "POST",
        f"/runs/{again.json()['id']}/steps",
        json={**ECHO, "id": "more"},
    )
    assert held.status_code == 201, held.text
    emitted = await place.call(second.headers, "POST", "/events", json={"name": "paid"})
    assert (emitted.status_code, emitted.json()["emitted_by"]) == (201, "user:second-ada")
