"""Admission and quotas as users have them: in Python, over HTTP, on the command line."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from flowbuilder import (
    Conflict,
    FlowBuilder,
    InvalidTransition,
    InvalidValue,
    NotFound,
    Quotas,
    Settings,
    SettingsError,
    tool,
)
from flowbuilder.cli.app import app
from flowbuilder.cli.options import hoist
from tests.support.api import ECHO, INPUT, app_over, connect, http, problem, service
from tests.support.tenants import town

FLOW: dict[str, Any] = {"flow": "quick", "input": INPUT, "steps": [ECHO]}
VALUES: list[Any] = [0, False, "", None, []]
RUN = {"document": FLOW, "input": {"value": 0}}


def said(dsn: str, *words: str, code: int = 0) -> list[dict[str, Any]]:
    result = CliRunner().invoke(app, hoist(["--json", "--database-url", dsn, *words]))
    assert result.exit_code == code, result.output
    return [json.loads(text) for text in result.stdout.splitlines()]


async def test_what_is_above_a_limit_runs_later_by_itself(dsn: str) -> None:
    async with connect(dsn, worker=True) as fb:
        row = await fb.admission.set(concurrency=2, by="user:ada")
        assert (row.flow, row.concurrency, row.updated_by) == (None, 2, "user:ada")
        runs = [await fb.execute(FLOW, {"value": value}) for value in VALUES]
        results = await asyncio.gather(*[run.result(timeout=60) for run in runs])
        assert results == [{"echo": value} for value in VALUES]
        await fb.admission.clear()
        assert await fb.admission.list() == []


async def test_hundreds_wait_and_all_end(dsn: str) -> None:
    async with connect(dsn, worker=True) as fb:
        await fb.admission.set(concurrency=10)
        runs = await fb.execute_many(FLOW, [{"value": n} for n in range(300)])
        results = await asyncio.gather(*[run.result(timeout=120) for run in runs])
        assert results == [{"echo": n} for n in range(300)]


async def test_no_more_than_allowed_are_inside_whoever_starts_and_works(dsn: str) -> None:
    inside = most = 0

    @tool("my.count", untyped=True)
    async def count() -> int:
        """Count who is inside."""
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.005)
        inside -= 1
        return 0

    flow = {"flow": "counted", "steps": [{"id": "a", "tool": "my.count"}]}
    settings = Settings(database_url=SecretStr(dsn), auth="local")
    opened = FlowBuilder.connect(settings=settings, tools=[count], worker=True)
    async with opened as fb, fb.worker(concurrency=8):
        await fb.admission.set("counted", concurrency=3)

        async def client(number: int) -> None:
            for nth in range(8):
                run = await fb.execute(flow, priority="high" if nth % 2 else "low")
                if (number + nth) % 5:
                    assert await run.result(timeout=120) == {"a": 0}
                else:
                    with suppress(InvalidTransition):  # it was quicker
                        await run.cancel()

        await asyncio.gather(*[client(number) for number in range(6)])
    assert most == 3


async def test_limits_that_are_none_are_refused(dsn: str) -> None:
    async with connect(dsn) as fb:
        for given, code in (
            ({}, "limit_missing"),
            ({"concurrency": 0}, "concurrency_invalid"),
            ({"concurrency": True}, "concurrency_invalid"),
            ({"rate": "often"}, "rate_invalid"),
            ({"flow": "a b", "concurrency": 1}, "flow_invalid"),
            ({"flow": "", "concurrency": 1}, "flow_invalid"),
        ):
            with pytest.raises(InvalidValue) as refused:
                await fb.admission.set(**given)
            assert refused.value.code == code
        for flow in (None, "quick"):
            with pytest.raises(NotFound):
                await fb.admission.clear(flow)


async def test_admission_over_http(dsn: str) -> None:
    async with service(dsn) as client:
        problem(await client.put("/api/v1/admission", json={}), 422)
        put = await client.put("/api/v1/admission", json={"concurrency": 1, "rate": "30/1m"})
        assert (put.status_code, put.json()["rate"]) == (200, "30/1m")
        missing = await client.put("/api/v1/admission/quick", json={"concurrency": 1})
        assert problem(missing, 404)["code"] == "flow_not_found"
        assert (await client.post("/api/v1/flows", json=FLOW)).status_code == 201
        assert (
            await client.put("/api/v1/admission/quick", json={"concurrency": 1})
        ).status_code == 200
        runs = [(await client.post("/api/v1/runs", json=RUN)).json() for _ in range(2)]
        why = (await client.get(f"/api/v1/runs/{runs[1]['id']}/why")).json()
        assert why["status"] == "queued"
        assert {r["code"] for r in why["reasons"][:2]} == {"admission"}
        assert why["reasons"][0]["details"]["running"] == 1
        listed = (await client.get("/api/v1/admission")).json()["items"]
        assert [(row["flow"], row["running"], row["waiting"]) for row in listed] == [
            (None, 1, 1), ("quick", 1, 1)]  # fmt: skip
        cancelled = await client.post(f"/api/v1/runs/{runs[1]['id']}/cancel")
        assert cancelled.json()["status"] == "cancelled"
        assert (await client.delete("/api/v1/admission/quick")).status_code == 204
        problem(await client.delete("/api/v1/admission/quick"), 404)
        assert (await client.get("/api/v1/admission/quick")).status_code == 404
        usage = (await client.get("/api/v1/workspaces/default/usage")).json()
        assert usage["runs_waiting"] == 0
        problem(await client.get("/api/v1/workspaces/other/usage"), 404)


def test_admission_and_quotas_on_the_command_line(dsn: str) -> None:
    assert said(dsn, "admission") == said(dsn, "admission", "list") == []
    (row,) = said(dsn, "admission", "set", "--concurrency", "3", "--rate", "30/1m")
    assert (row["of"], row["concurrency"]) == ("the workspace", 3)
    (flow,) = said(dsn, "admission", "set", "--flow", "quick", "--concurrency", "1")
    assert [one["of"] for one in said(dsn, "admission")] == ["the workspace", "quick"]
    assert flow["flow"] == "quick"
    assert said(dsn, "admission", "clear") == []
    (line,) = said(dsn, "admission", "clear", code=1)
    assert line["error"]["code"] == "limit_not_found"
    (line,) = said(dsn, "admission", "set", code=1)
    assert line["error"]["code"] == "limit_missing"
    rows = said(dsn, "quotas", "set", "--runs-per-day", "5", "--workspace", "default")
    assert {"quota": "runs per day", "used": 0, "limit": 5} in rows
    assert [one["quota"] for one in said(dsn, "quotas")] == [
        "stored bytes", "events kept", "runs per day", "plans per hour"]  # fmt: skip


async def test_runs_of_a_day_are_counted_and_refused(dsn: str) -> None:
    async with connect(dsn) as fb, http(app_over(fb)) as client:
        usage = await fb.admission.set_quotas(Quotas(runs_per_day=2), by="user:ada")
        assert (usage.runs_per_day.used, usage.runs_per_day.limit) == (0, 2)
        with pytest.raises(Conflict):  # what is refused for another reason costs nothing
            await _twice_with_one_key(fb)
        assert (await fb.admission.usage()).runs_per_day.used == 1
        assert (await client.post("/api/v1/runs", json=RUN)).status_code == 201
        refused = await client.post("/api/v1/runs", json=RUN)
        body = problem(refused, 429)
        assert body["code"] == "quota_runs_per_day"
        assert (body["details"]["used"], body["details"]["limit"]) == (2, 2)
        assert 1 <= int(refused.headers["retry-after"]) <= 86_400
        assert len(await fb.runs()) == 2
        await _jump(fb, 86_400)
        assert (await client.post("/api/v1/runs", json=RUN)).status_code == 201
        assert (await fb.admission.usage()).runs_per_day.used == 1


async def _twice_with_one_key(fb: FlowBuilder) -> None:
    await fb.execute(FLOW, {"value": 1}, idempotency_key="k")
    await fb.execute(FLOW, {"value": 1}, idempotency_key="k")
    await fb.execute(FLOW, {"value": 2}, idempotency_key="k")


async def _jump(fb: FlowBuilder, seconds: float) -> None:
    await fb.store.database.execute(
        b"update flowbuilder.clock set offset_by = offset_by + make_interval(secs => %s)",
        (seconds,),
    )


async def test_plans_of_an_hour_are_counted_and_refused(dsn: str) -> None:
    async with connect(dsn) as fb, http(app_over(fb)) as client:
        await fb.admission.set_quotas(Quotas(plans_per_hour=1))
        body = {"goal": "careful", "input": {"value": 0}}
        assert (await client.post("/api/v1/plans", json=body)).status_code == 201
        refused = await client.post("/api/v1/plans", json=body)
        assert problem(refused, 429)["code"] == "quota_plans_per_hour"
        assert 1 <= int(refused.headers["retry-after"]) <= 3600
        stream = await client.post(
            "/api/v1/plans", json=body, headers={"Accept": "text/event-stream"}
        )
        assert problem(stream, 429)["code"] == "quota_plans_per_hour"


@pytest.mark.parametrize("name", ["stored_bytes", "events_kept"])
async def test_what_is_kept_is_measured_and_bounded(dsn: str, name: str) -> None:
    async with connect(dsn, worker=True) as fb, http(app_over(fb)) as client:
        run = await fb.execute(FLOW, {"value": "x" * 1000})
        await run.result(timeout=60)
        await fb.admission.set_quotas(Quotas(**{name: 3}))
        usage = await fb.admission.usage()
        assert usage.events_kept.used == 4
        assert 100 < (usage.stored_bytes.used or 0) < 50_000
        for path, body in (("runs", RUN), ("plans", {"goal": "careful"})):
            refused = await client.post(f"/api/v1/{path}", json=body)
            assert problem(refused, 409)["code"] == f"quota_{name}"
            assert "retry-after" not in refused.headers
        await _jump(fb, 3600)
        await fb.prune(older_than=1)
        await fb.admission.set_quotas(Quotas(events_kept=3))
        assert (await client.post("/api/v1/runs", json=RUN)).status_code == 201


async def test_a_quota_that_is_none_is_refused(dsn: str) -> None:
    async with connect(dsn) as fb:
        for name, value in (("runs_per_day", 0), ("events_kept", True), ("stored_bytes", 2**61)):
            with pytest.raises(InvalidValue) as refused:
                await fb.admission.set_quotas(Quotas(**{name: value}))
            assert (refused.value.code, refused.value.pointer) == ("quota_invalid", f"/{name}")


async def test_a_new_workspace_begins_with_the_quotas_that_are_set(dsn: str) -> None:
    said = "runs_per_day=1, stored_bytes=5000000"
    async with town(dsn, workspace_quotas=said) as place:
        admin = await place.person("ada", "default", "admin", admin=True)
        made = await place.call(admin, "POST", "/workspaces", json={"slug": "new"})
        assert made.status_code == 201, made.text
        new = {"headers": {"X-Workspace": "new"}}
        for slug, limits in (("new", [5_000_000, None, 1, None]), ("default", [None] * 4)):
            usage = (await place.call(admin, "GET", f"/workspaces/{slug}/usage")).json()
            names = ("stored_bytes", "events_kept", "runs_per_day", "plans_per_hour")
            assert [usage[name]["limit"] for name in names] == limits
        assert (await place.call(admin, "POST", "/runs", json=RUN, **new)).status_code == 201
        refused = await place.call(admin, "POST", "/runs", json=RUN, **new)
        assert problem(refused, 429)["code"] == "quota_runs_per_day"
        log = (await place.call(admin, "GET", "/audit", **new)).json()["items"]
        [line] = [line for line in log if line["action"] == "workspace.create"]
        assert line["details"] == {"quotas": {"runs_per_day": 1, "stored_bytes": 5_000_000}}
        # as they were set later they stay
        path = "/workspaces/new/quotas"
        assert (await place.call(admin, "PUT", path, json={})).status_code == 200
        assert (await place.call(admin, "POST", "/runs", json=RUN, **new)).status_code == 201


NO_QUOTAS = [
    *("runs_per_day", "runs=1", "runs_per_day=0", "runs_per_day=1_0", "runs_per_day=2147483648"),
    *("runs_per_day=1,runs_per_day=2", "runs_per_day=1,", "stored_bytes=1e3"),
]


@pytest.mark.parametrize("said", NO_QUOTAS)
def test_quotas_that_cannot_be_are_no_setting(said: str) -> None:
    with pytest.raises(SettingsError, match="FLOWBUILDER_WORKSPACE_QUOTAS"):
        Settings.load(workspace_quotas=said)


async def test_only_administrators_of_the_installation_set_quotas(dsn: str) -> None:
    async with town(dsn) as place:
        await place.workspace("ours")
        ada = await place.person("ada", "ours", "admin")
        bob = await place.person("bob", "ours", "member")
        root = await place.person("root", "default", admin=True)
        path = "/workspaces/ours/quotas"
        problem(await place.call(ada, "PUT", path, json={"runs_per_day": 1}), 403)
        assert (await place.call(root, "PUT", path, json={"runs_per_day": 1})).status_code == 200
        assert (await place.call(ada, "PUT", "/admission", json={"concurrency": 1})).json()[
            "updated_by"
        ] == "user:ada"
        problem(await place.call(bob, "PUT", "/admission", json={"concurrency": 9}), 403)
        assert (await place.call(ada, "POST", "/runs", json=RUN)).status_code == 201
        problem(await place.call(ada, "POST", "/runs", json=RUN), 429)
        usage = (await place.call(bob, "GET", "/workspaces/ours/usage")).json()
        assert usage["runs_per_day"] == {"used": 1, "limit": 1}
        # the other workspace has its own
        assert (await place.call(root, "GET", "/workspaces/ours/usage")).status_code in (403, 404)
