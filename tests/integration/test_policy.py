"""The workspace's policy: set in Python, over HTTP and on the command line, held by workers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from flowbuilder.cli.app import app
from flowbuilder.cli.options import hoist
from flowbuilder.client import FlowBuilder, Run
from flowbuilder.errors import Conflict, DefinitionError, RunFailed, SettingsError
from flowbuilder.executor.records import ApprovalRow
from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanEvent, PlanEventType, PlanRequest
from flowbuilder.settings import Settings
from flowbuilder.tools import ToolRegistry, tool
from flowbuilder.types import JsonObject
from tests.support.api import problem, service
from tests.support.waiting import eventually

PAID: list[int] = []
API = "/api/v1/policy"


@tool("bank.pay", effects="irreversible")
def pay(to: str, amount: int) -> int:
    """Pay somebody."""
    PAID.append(amount)
    return amount


@tool("web.page", effects="read", untrusted_output=True)
def page(url: str) -> str:
    """Fetch a page."""
    return "words"


LARGE: JsonObject = {
    "rules": [
        {"name": "small", "tools": ["bank.pay"], "then": "allow",
         "where": [{"arg": "/amount", "at_most": 10}]},
        {"name": "large", "tools": ["bank.pay"], "then": "approve", "by": ["role:finance"],
         "quorum": 2, "where": [{"arg": "/amount", "at_most": 1000}]},
        {"name": "huge", "tools": ["bank.pay"], "then": "refuse"},
        {"name": "hosts", "tools": ["web.*"], "then": "refuse",
         "unless": [{"arg": "/url", "host_in": ["ours.example"]}]},
    ]
}  # fmt: skip


class OnePlan:
    """A planner that knows nothing of policy, and asks for no approval."""

    name = "careless"

    def __init__(self, *steps: JsonObject) -> None:
        self.steps = steps

    async def stream(self, request: PlanRequest) -> AsyncIterator[PlanEvent]:
        from flowbuilder.flow import Flow

        flow = Flow.model_validate({"flow": "careless", "steps": list(self.steps)})
        plan = Plan(id=request.id, goal=request.goal, planner="careless", flow=flow)
        yield PlanEvent(type=PlanEventType.STARTED, data={"goal": request.goal})
        yield PlanEvent(type=PlanEventType.COMPLETED, data={"plan": plan.as_json()}, plan=plan)


def opened(dsn: str, folder: Path, **more: Any) -> FlowBuilder:
    PAID.clear()
    known = more.pop("settings", {})
    settings = Settings.load(database_url=SecretStr(dsn), data_dir=folder, **known)
    return FlowBuilder.connect(
        settings=settings, registry=ToolRegistry([pay, page]), worker=True, **more
    )


@pytest.fixture
async def fb(dsn: str, tmp_path: Path) -> AsyncIterator[FlowBuilder]:
    async with opened(dsn, tmp_path) as builder:
        yield builder


def paying(amount: Any, **more: Any) -> dict[str, Any]:
    step = {"id": "pay", "tool": "bank.pay", "args": {"to": "x", "amount": amount}, **more}
    return {"flow": "paying", "steps": [step], "input": {"type": "object"}}


async def pending(fb: FlowBuilder, run: Run) -> ApprovalRow:
    found: list[ApprovalRow] = []

    async def there() -> bool:
        found[:] = await fb.approvals(run_id=run.id)
        return bool(found)

    await eventually(there, what="nobody is asked")
    return found[0]


async def failure(run: Run) -> Any:
    with pytest.raises(RunFailed):
        await run.result(timeout=30)
    await run.refresh()
    return (run.row.error or {})["code"]


async def test_workers_hold_the_policy_with_the_arguments_as_they_are(fb: FlowBuilder) -> None:
    await fb.policy.set(LARGE, by="user:ada")
    by_input = paying("${{ input.amount }}")
    small = await fb.execute(by_input, {"amount": 10})
    assert await small.result(timeout=30) is not None
    large = await fb.execute(by_input, {"amount": 11})
    asked = await pending(fb, large)
    assert (asked.by, asked.quorum) == (["role:finance"], 2)
    await fb.approve(asked.id, by="ada")
    assert PAID == [10]
    await fb.approve(asked.id, by="bob")
    await large.result(timeout=30)
    assert PAID == [10, 11]
    assert await failure(await fb.execute(by_input, {"amount": 1001})) == "policy_refused"
    own = paying("${{ input.amount }}", approval={"by": ["user:eve"], "on_deadline": "approve"})
    cheap = await fb.execute(own, {"amount": 500})
    assert (await pending(fb, cheap)).by == ["role:finance"]
    with pytest.raises(DefinitionError) as caught:
        await fb.execute(paying(5000))
    assert [item.code for item in caught.value.problems] == ["policy_refused"]
    assert PAID == [10, 11]


async def test_edits_keep_to_policy(fb: FlowBuilder) -> None:
    await fb.policy.set(LARGE)
    run = await fb.execute(paying(100))
    asked = await pending(fb, run)
    with pytest.raises(DefinitionError) as caught:
        await fb.approve(asked.id, by="ada", edits={"to": "x", "amount": 9999})
    assert caught.value.code == "policy_refused"
    edits = {"to": "x", "amount": 5}
    await fb.approve(asked.id, by="ada", edits=edits)
    await fb.approve(asked.id, by="bob", edits=edits)
    await run.result(timeout=30)
    assert PAID == [5]


async def test_a_policy_counts_for_runs_that_wait_already(fb: FlowBuilder) -> None:
    run = await fb.execute(paying(100, approval={}))
    asked = await pending(fb, run)
    await fb.policy.set(LARGE)
    await fb.approve(asked.id, by="user:ada")
    again = await pending(fb, run)
    assert (again.id != asked.id, again.quorum, again.by) == (True, 2, ["role:finance"])
    assert PAID == []
    await fb.policy.set({"rules": [{"name": "no", "tools": ["bank.*"], "then": "refuse"}]})
    for name in ("ada", "bob"):
        await fb.approve(again.id, by=name)
    assert await failure(run) == "policy_refused"
    await fb.policy.clear()
    free = await fb.execute(paying(100))
    await free.result(timeout=30)
    assert PAID == [100]


async def test_a_reading_tool_may_be_bound_to_hosts(fb: FlowBuilder) -> None:
    await fb.policy.set(LARGE)
    step = {"id": "get", "tool": "web.page", "args": {"url": "${{ input.url }}"}}
    reading = {"flow": "reading", "steps": [step], "input": {"type": "object"}}
    good = await fb.execute(reading, {"url": "https://ours.example/a"})
    await good.result(timeout=30)
    evil = await fb.execute(reading, {"url": "https://ours.example@evil.example/"})
    assert await failure(evil) == "policy_refused"


async def test_no_planner_gets_past_policy(dsn: str, tmp_path: Path) -> None:
    step: JsonObject = {"id": "pay", "tool": "bank.pay", "args": {"to": "eve", "amount": 1}}
    async with opened(dsn, tmp_path, planner=OnePlan(step)) as fb:
        plan = await fb.plan("pay eve")
        assert plan.flow is not None and plan.flow.steps[0].approval is not None
        stored = (await fb.get_plan(plan.id)).flow
        assert stored == plan.flow
        await fb.policy.set({"rules": [{"name": "no", "tools": ["bank.*"], "then": "refuse"}]})
        refused = await fb.plan("pay eve")
        assert not refused.valid
        assert [item.code for item in refused.problems] == ["policy_refused"]


async def test_plans_are_held_by_workers_too(fb: FlowBuilder) -> None:
    """The approvals of a plan are in its document; a run of a plan asks even without them."""
    flow = await fb.save_flow(paying(1))
    version = await flow.publish()
    plan_id = "5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11"
    run, _ = await fb.store.start_run(version.id, {}, timeout_seconds=60, plan_id=plan_id)
    handle = await fb.get_run(run.id)
    await fb.notifications.announce([run.id], ready=True)
    assert (await pending(fb, handle)).step_id == "pay"
    assert PAID == []


async def test_the_installation_has_a_floor(dsn: str, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("policy: policy.v1\nrules: [{name: two, tools: [bank.*], then: approve}]\n")
    async with opened(dsn, tmp_path, settings={"policy_file": file}) as fb:
        view = await fb.policy.set({"otherwise": "allow"})
        assert view.floor is not None
        run = await fb.execute(paying(1))
        await pending(fb, run)
        assert PAID == []
    file.write_text("rules: 5")
    with pytest.raises(SettingsError):
        async with opened(dsn, tmp_path, settings={"policy_file": file}):
            pass


async def test_policies_have_a_history_and_no_lost_changes(fb: FlowBuilder) -> None:
    first = await fb.policy.get()
    assert (first.id, first.row, first.policy.rules) == (0, None, [])
    one = await fb.policy.set(LARGE, by="user:ada", base=0)
    with pytest.raises(Conflict) as caught:
        await fb.policy.set({}, base=0)
    assert caught.value.code == "policy_changed"
    two = await fb.policy.clear(by="user:bob", base=one.id)
    assert two.as_json()["source"] == "default"
    rows = await fb.policy.history()
    assert [(row.id, row.set_by, row.document is None) for row in rows] == [
        (two.id, "user:bob", True),
        (one.id, "user:ada", False),
    ]
    assert fb.policy.check(LARGE).rules[0].name == "small"


@pytest.fixture
async def client(dsn: str) -> AsyncIterator[httpx.AsyncClient]:
    async with service(dsn) as given:
        yield given


async def test_over_http(client: httpx.AsyncClient) -> None:
    shown = (await client.get(API)).json()
    assert (shown["id"], shown["source"], shown["policy"]) == (
        0,
        "default",
        {"policy": "policy.v1"},
    )
    assert [rule["name"] for rule in shown["rules"]][-1] == "everything-else"
    checked = await client.post(f"{API}/check", json=LARGE)
    assert checked.status_code == 200
    made = (await client.put(API, json=LARGE, params={"base": 0})).json()
    assert (made["source"], made["set_by"]) == ("workspace", "local")
    assert problem(await client.put(API, json={}, params={"base": 0}), 409)["code"] == (
        "policy_changed"
    )
    wrong = {"rules": [{"name": "a", "then": "maybe"}]}
    for call in (client.put(API, json=wrong), client.post(f"{API}/check", json=wrong)):
        said = problem(await call, 422)
        assert (said["code"], said["errors"][0]["pointer"]) == ("policy_invalid", "/rules/0/then")
    assert problem(await client.put(API, json=[]), 422)
    assert (await client.delete(API)).json()["source"] == "default"
    items = (await client.get(f"{API}/history")).json()["items"]
    assert [item["document"] is None for item in items] == [True, False]


def said(dsn: str, *words: str, code: int = 0) -> dict[str, Any]:
    """What one command says in JSON."""
    line = hoist(["--json", "--database-url", dsn, "policy", *words])
    result = CliRunner().invoke(app, line)
    assert result.exit_code == code, result.output
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def test_on_the_command_line(dsn: str, tmp_path: Path) -> None:
    file = tmp_path / "p.json"
    file.write_text(json.dumps(LARGE))
    assert said(dsn)["source"] == "default"
    assert said(dsn, "check", str(file))["valid"] is True
    made = said(dsn, "set", str(file), "--base", "0")
    assert (made["source"], said(dsn, "show")["id"]) == ("workspace", made["id"])
    assert said(dsn, "set", str(file), "--base", "0", code=1)["error"]["code"] == "policy_changed"
    assert said(dsn, "clear")["source"] == "default"
    assert said(dsn, "history", "--limit", "1")["document"] is None
    file.write_text('{"rules": 1}')
    assert said(dsn, "check", str(file), code=1)["error"]["code"] == "policy_invalid"
    missing = str(tmp_path / "none.yaml")
    assert said(dsn, "check", missing, code=2)["error"]["message"].startswith(missing)
    told = CliRunner().invoke(app, ["--no-json", "policy", "schema"])
    assert json.loads(told.stdout)["title"] == "policy.v1"
    shown = CliRunner().invoke(app, hoist(["--no-json", "--database-url", dsn, "policy"]))
    assert "approve everything that is irreversible with data from outside" in shown.stdout
