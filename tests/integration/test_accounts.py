"""Users, workspaces and keys from the command line, from Python and over HTTP."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from flowbuilder.cli.app import app
from flowbuilder.cli.options import hoist
from flowbuilder.client import FlowBuilder
from flowbuilder.errors import NotFound
from tests.support.api import ECHO, GATED, INPUT, connect, events_in, problem
from tests.support.tenants import PASSWORD, bearer, town


def said(dsn: str, *words: str, code: int = 0, given: str | None = None) -> list[dict[str, Any]]:
    line = hoist(["--json", "--database-url", dsn, *words])
    result: Result = CliRunner().invoke(app, line, input=given)
    assert result.exit_code == code, result.output
    return [json.loads(text) for text in result.stdout.splitlines()]


def test_from_an_empty_database_to_a_first_run(dsn: str) -> None:
    assert said(dsn, "users", "list") == []
    (invited,) = said(dsn, "users", "add", "ada", "--admin")
    assert invited["link"].endswith(f"/api/v1/auth/invitation#{invited['token']}")
    (row,) = said(dsn, "users", "list")
    assert (row["admin"], row["has_password"], row["workspaces"]) == (
        True,
        False,
        {"default": ["admin"]},
    )
    asyncio.run(_first_run(dsn, invited["token"]))


async def _first_run(dsn: str, token: str) -> None:
    async with town(dsn) as place:
        page = await place.client.get("/api/v1/auth/invitation")
        assert "script-src 'sha256-" in page.headers["content-security-policy"]
        assert page.headers["referrer-policy"] == "no-referrer"
        body = {"token": token, "password": PASSWORD}
        set_ = await place.client.post("/api/v1/auth/invitation", json=body)
        assert set_.json() == {"name": "ada"}
        form = {"grant_type": "password", "username": "Ada", "password": PASSWORD}
        tokens = (await place.client.post("/api/v1/auth/token", data=form)).json()
        assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 600)
        headers = bearer(tokens["access_token"])
        told = (await place.call(headers, "GET", "/auth/me")).json()
        assert told == {
            "name": "ada",
            "admin": True,
            "channel": "session",
            "workspace": "default",
            "roles": ["admin", "approver", "builder", "member"],
            "scopes": None,
        }
        made = await place.call(headers, "POST", "/users", json={"name": "bob"})
        assert made.status_code == 201
        twice = await place.call(headers, "POST", "/users", json={"name": "bob"})
        assert problem(twice, 409)["code"] == "user_exists"
        link = await place.call(headers, "POST", "/users/bob/invitation")
        assert link.json()["path"].startswith("/api/v1/auth/invitation#")
        alone = await place.call(headers, "PATCH", "/users/ada", json={"disabled": True})
        assert problem(alone, 409)["code"] == "last_admin"
        left = await place.call(headers, "DELETE", "/workspaces/default/members/ada")
        assert problem(left, 409)["code"] == "last_admin"
        for name in ("bob", "eve", "No Name"):  # elsewhere, nobody, and nobody's name
            gone = await place.call(headers, "DELETE", f"/workspaces/default/members/{name}")
            assert problem(gone, 404)["code"] == "member_not_found"
        lines = (await place.call(headers, "GET", "/audit?of=installation")).json()["items"]
        assert [line["action"] for line in lines][:2] == ["user.invite", "user.create"]
        assert {line["actor"] for line in lines if line["object"] == "user:bob"} == {"user:ada"}


def test_the_command_line_knows_users_workspaces_and_keys(dsn: str) -> None:
    assert said(dsn, "users", "add", "ada", "--password-stdin", given=f"{PASSWORD}\n") == [
        {"type": "user", "name": "ada"}
    ]
    (line,) = said(dsn, "users", "add", "bob", "--password-stdin", given="short\n", code=1)
    assert line["error"]["code"] == "password_invalid"
    (line,) = said(dsn, "users", "add", "Bob Jones", code=1)
    assert line["error"]["code"] == "user_name_invalid"
    (line,) = said(dsn, "users", "add", "eve", "--role", "root", code=1)
    assert line["error"]["code"] == "role_unknown"
    (line,) = said(dsn, "users", "add", "eve", "--workspace", "nowhere", code=1)
    assert line["error"]["code"] == "workspace_not_found"
    assert [row["name"] for row in said(dsn, "users", "list")] == ["ada"]
    (row,) = said(dsn, "workspaces", "add", "second", "--admin", "ada")
    assert (row["slug"], row["members"]) == ("second", 1)
    assert [row["slug"] for row in said(dsn, "workspaces", "list")] == ["default", "second"]
    (row,) = said(dsn, "workspaces", "set", "default", "ada", "--role", "builder")
    assert row["roles"] == ["builder"]
    (row,) = said(dsn, "keys", "add", "ada", "ci", "--scope", "run", "--scope", "read")
    assert row["key"].startswith(row["prefix"])
    (listed,) = said(dsn, "keys", "list")
    assert listed == {key: value for key, value in row.items() if key != "key"}
    assert said(dsn, "keys", "revoke", row["id"]) == []
    (listed,) = said(dsn, "keys", "list")
    assert listed["revoked_at"] is not None
    (line,) = said(dsn, "keys", "revoke", "no-id", code=1)
    assert line["error"]["code"] == "key_not_found"
    assert said(dsn, "workspaces", "remove", "default", "ada") == []
    assert said(dsn, "workspaces", "members", "default") == []
    for slug in ("UPPER", "5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11", "-x", "a b"):
        (line,) = said(dsn, "workspaces", "add", "--", slug, code=1)
        assert line["error"]["code"] == "workspace_name_invalid"
    (row,) = said(dsn, "users", "change", "ada", "--disable")
    assert row["disabled"] is True


async def test_python_works_in_a_workspace_by_its_name(dsn: str) -> None:
    async with connect(dsn) as builder:
        from tests.support.tenants import TESTER

        row = await builder.accounts.create_workspace("second", by=TESTER)
        await builder.create_flow("here")
        settings, registry = builder.settings, builder.tools
        for name in ("second", str(row["id"])):
            opened = FlowBuilder.connect(settings=settings, registry=registry, workspace=name)
            async with opened as second:
                assert second.workspace == row["id"]
                assert await second.list_flows() == []
                async with builder.worker():
                    run = await second.execute(
                        {"flow": "x", "input": INPUT, "steps": [ECHO]}, {"value": None}
                    )
                    assert await run.result(timeout=60) == {"echo": None}
                with pytest.raises(NotFound):
                    await builder.get_run(run.id)
        with pytest.raises(NotFound) as missing:
            await FlowBuilder.connect(settings=settings, registry=registry, workspace="none").open()
        assert missing.value.code == "workspace_not_found"


async def test_a_stream_ends_when_its_reader_logs_out(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flowbuilder.api.auth import callers

    monkeypatch.setattr(callers, "RECHECK_SECONDS", 0.0)
    async with town(dsn) as place:
        reader = await place.person("ada", "default", "admin")
        other = await place.person("bob", "default", "admin")
        body = {
            "document": {"flow": "x", "input": INPUT, "steps": [ECHO, GATED]},
            "input": {"value": 1},
        }
        run = (await place.call(other, "POST", "/runs", json=body)).json()
        stream = asyncio.create_task(
            place.call(
                reader, "GET", f"/runs/{run['id']}/events", headers={"Accept": "text/event-stream"}
            )
        )
        async with place.builder.worker():
            async for event in place.builder.follow(run["id"]):
                if event.type == "approval_requested":
                    break
        assert (await place.call(reader, "POST", "/auth/logout")).status_code == 204
        await place.call(other, "POST", f"/runs/{run['id']}/cancel")
        told = (await stream).text
        assert "event: problem" in told
        assert '"unauthorized"' in told
        assert "workflow_cancelled" not in told
        whole = await place.call(
            other, "GET", f"/runs/{run['id']}/events", headers={"Accept": "text/event-stream"}
        )
        assert events_in(whole.text)[-1]["event"] == "workflow_cancelled"


async def test_decisions_lie_with_whom_they_are_asked_of(dsn: str) -> None:
    async with town(dsn) as place:
        builder = await place.person("ada", "default", "builder")
        people = {
            name: await place.person(name, "default", role)
            for name, role in (("bob", "approver"), ("eve", "approver"), ("zoe", "admin"))
        }
        key = await place.key("bob", "default", "read", "run")
        cases = {
            "user:bob": ["bob"],
            "role:admin": ["zoe"],
            "role:approver": ["bob", "zoe"],
            "role:finance": ["zoe"],
        }
        async with place.builder.worker():
            for asked, may in cases.items():
                step = {**GATED, "approval": {"by": [asked]}}
                body = {
                    "document": {"flow": "x", "input": INPUT, "steps": [ECHO, step]},
                    "input": {"value": 1},
                }
                run = (await place.call(builder, "POST", "/runs", json=body)).json()
                async for event in place.builder.follow(run["id"]):
                    if event.type == "approval_requested":
                        break
                found = await place.call(builder, "GET", f"/approvals?run_id={run['id']}")
                path = f"/approvals/{found.json()['items'][0]['id']}/decision"
                decision = {"decision": "approve"}
                for refused in (builder, key):
                    assert problem(await place.call(refused, "POST", path, json=decision), 403)
                for name in people.keys() - set(may):
                    if asked == "role:approver":
                        continue
                    answer = await place.call(people[name], "POST", path, json=decision)
                    assert problem(answer, 403)["code"] == "approver_not_allowed"
                done = await place.call(people[may[0]], "POST", path, json=decision)
                assert done.json()["decided_by"] == f"user:{may[0]}", done.text


async def test_queues_get_the_events_of_their_workspace_and_no_others(dsn: str) -> None:
    async with town(dsn) as place:
        await place.workspace("other")
        root = await place.person("root", "default", "admin", admin=True)
        member = await place.person("ada", "default", "admin")
        stranger = await place.person("bob", "other", "admin")
        body = {"channel": "workflow_events", "queue": "heard"}
        assert problem(await place.call(member, "POST", "/subscriptions", json=body), 403)
        made = await place.call(root, "POST", "/subscriptions", json=body)
        assert made.status_code == 201, made.text
        flow = {"document": {"flow": "x", "input": INPUT, "steps": [ECHO]}, "input": {"value": 1}}
        runs = [
            (await place.call(who, "POST", "/runs", json=flow)).json()["id"]
            for who in (member, stranger)
        ]
        async with place.builder.worker():
            for run in runs:
                at = await place.builder.store.workspace_of_run(run)
                async for _ in place.builder.within(at).follow(run):
                    pass
        heard = set()
        async with place.builder.notifications.messages("heard") as messages:
            async for message in messages:
                heard.add(message.payload["run_id"])
                if message.payload["type"] == "workflow_completed":
                    break
        assert heard == {runs[0]}
        listed = (await place.call(root, "GET", "/subscriptions")).json()["items"]
        assert [one["queue"] for one in listed] == ["heard"]
        gone = await place.call(root, "DELETE", "/subscriptions/heard")
        assert gone.json()["patterns"] == ["workflow_events.*"]
        lines = (await place.call(member, "GET", "/audit")).json()["items"]
        assert [line["object"] for line in lines if line["actor"] == "user:root"] == [
            "/api/v1/subscriptions/heard",
            "/api/v1/subscriptions",
        ]
        assert problem(await place.call(member, "GET", "/audit?of=installation"), 403)


def test_a_service_that_others_reach_does_not_start_without_users(dsn: str) -> None:
    (line,) = said(dsn, "serve", "--host", "0.0.0.0", "--port", "0", code=2)
    assert line["error"]["code"] == "auth_secret_missing"
    assert "FLOWBUILDER_AUTH_SECRET" in line["error"]["hint"]
