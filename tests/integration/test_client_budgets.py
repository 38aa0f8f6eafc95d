"""Budgets as users give them: real workers, real tools, HTTP and the command line."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from typer.testing import CliRunner

from flowbuilder import (
    Budget,
    Conflict,
    FlowBuilder,
    Interval,
    InvalidValue,
    NotFound,
    Run,
    RunFailed,
    Settings,
)
from flowbuilder.cli.app import app
from flowbuilder.cli.options import hoist
from flowbuilder.flow import Flow
from flowbuilder.plan import Plan, Usage
from flowbuilder.types import JsonObject
from tests.support.api import connect, problem, service
from tests.support.fake_openai import Answer, completion
from tests.support.spending import TOOLS, Sleeper
from tests.support.waiting import eventually

WAIT = 60.0
BASE = "http://model.test/v1"


@pytest.fixture
def sleeper() -> Sleeper:
    return Sleeper()


@pytest.fixture
async def fb(dsn: str, tmp_path: Path, sleeper: Sleeper) -> AsyncIterator[FlowBuilder]:
    settings = Settings.load(
        data_dir=tmp_path, workspace_dir=tmp_path, model="local", model_api_base=BASE,
        model_retries=0, concurrency=4,
    )  # fmt: skip
    tools = [*TOOLS, sleeper.tool()]
    async with FlowBuilder.connect(dsn, settings=settings, tools=tools, worker=True) as opened:
        yield opened


def flow(*steps: JsonObject, **more: Any) -> JsonObject:
    return {"flow": "spends", "steps": list(steps), **more}


def step(id: str, tool: str = "some", after: str | None = None, **args: Any) -> JsonObject:
    return {
        "id": id,
        "tool": tool if "." in tool else f"spend.{tool}",
        "args": args,
        "depends_on": [after] if after else [],
        "retry": {"max_attempts": 1},
    }


async def failure(run: Run) -> JsonObject:
    with pytest.raises(RunFailed) as failed:
        await run.result(timeout=WAIT)
    return failed.value.error


async def spent(run: Run) -> tuple[int, float | None]:
    use = await run.budget()
    assert use is not None
    return use.tokens, use.usd


async def test_tools_know_what_is_left_and_say_what_they_spend(fb: FlowBuilder) -> None:
    run = await fb.execute(
        flow(step("a", tokens=30, usd=0.25), step("b", after="a", tokens=10, usd=0.5),
             output=["${{ steps.a }}", "${{ steps.b }}"]),
        budget={"tokens": 100, "usd": 1},
    )  # fmt: skip
    assert await run.result(timeout=WAIT) == [
        {"tokens": 100, "usd": 1.0},
        {"tokens": 70, "usd": 0.75},
    ]
    assert await spent(run) == (40, 0.75)


async def test_without_a_budget_tools_may_spend_all_the_same(fb: FlowBuilder) -> None:
    run = await fb.execute(flow(step("a", tokens=10**9)))
    assert await run.result(timeout=WAIT) == {"a": {"tokens": None, "usd": None}}
    assert await run.budget() is None


@pytest.mark.parametrize(
    ("name", "paid"),
    [("process", (9, 0.75)), ("with_row", (9, None)), ("failing", (9, None)),
     ("crashing", (9, None))],
)  # fmt: skip
async def test_whatever_becomes_of_an_attempt_is_paid(
    fb: FlowBuilder, name: str, paid: tuple[int, float | None]
) -> None:
    run = await fb.execute(flow(step("a", name, tokens=9)), budget="tokens=9")
    if name in ("failing", "crashing"):
        assert (await failure(run))["code"] != "budget_exceeded"
    else:
        await run.result(timeout=WAIT)
    assert await spent(run) == paid


async def test_nonsense_fails_its_step(fb: FlowBuilder) -> None:
    run = await fb.execute(flow(step("a", "nonsense", tokens="many")), budget="tokens=9")
    assert (await failure(run))["code"] == "spending_invalid"
    assert await spent(run) == (0, 0.0)


async def test_a_handler_of_a_run_over_its_budget_is_told_to_stop(
    fb: FlowBuilder, sleeper: Sleeper
) -> None:
    run = await fb.execute(
        flow(step("a", "sleep"), step("b", tokens=1), step("c", after="b", tokens=50)),
        budget="tokens=10",
    )
    error = await failure(run)
    assert (error["code"], error["spent"], error["limit"]) == ("budget_exceeded", 51, 10)
    async with asyncio.timeout(WAIT):
        await sleeper.stopped.wait()


async def test_a_map_overspends_no_more_than_was_under_way(fb: FlowBuilder) -> None:
    mapped: JsonObject = {**step("m", tokens=10), "for_each": list(range(300))}
    run = await fb.execute(flow(mapped), budget=Budget(tokens=200))
    assert (await failure(run))["budget"] == "tokens"
    tokens, _ = await spent(run)
    assert 200 < tokens <= 200 + 10 * 2 * fb.settings.concurrency


async def test_functions_given_in_place_have_budgets_too(fb: FlowBuilder) -> None:
    calls: list[int] = []

    def note(x: int) -> None:
        calls.append(x)

    run = await fb.execute_dynamic(
        {"flow": "inline", "steps": [
            {"id": "f", "args": {"x": "${{ item }}"}, "for_each": [1, 2, 3, 4]}]},
        functions={"f": note},
        budget={"steps": 2},
    )  # fmt: skip
    assert (await failure(run))["budget"] == "steps"
    assert len(calls) == 2


async def test_the_settings_budget_holds_where_nothing_else_is_said(
    dsn: str, tmp_path: Path
) -> None:
    settings = Settings.load(data_dir=tmp_path, run_budget="tokens=5,steps=9")
    async with FlowBuilder.connect(dsn, settings=settings, tools=TOOLS, worker=True) as fb:
        run = await fb.execute(flow(step("a", tokens=6)))
        assert (await failure(run))["limit"] == 5
        run = await fb.execute(flow(step("a", tokens=6)), budget={"tokens": 7})
        await run.result(timeout=WAIT)
        use = await run.budget()
        assert use is not None
        assert use.budget == Budget(tokens=7, steps=9)


async def test_time_bounds_a_run_from_its_start(fb: FlowBuilder) -> None:
    run = await fb.execute(flow(step("a", "sleep")), budget="seconds=1h", timeout="2h")
    assert (run.row.deadline_at - run.row.created_at).total_seconds() == 3600
    await run.cancel()


async def test_a_bad_budget_starts_nothing(fb: FlowBuilder) -> None:
    for bad in ("tokens", {"money": 1}, {"steps": -1}):
        with pytest.raises(InvalidValue) as refused:
            await fb.execute(flow(step("a")), budget=bad)
        assert refused.value.code == "budget_invalid"
    assert await fb.runs() == []


# -- models ---------------------------------------------------------------------------------


def llm(id: str, after: str | None = None, **args: Any) -> JsonObject:
    return step(id, "llm.generate", after, **{"prompt": "Say it.", **args})


@respx.mock
async def test_a_model_gets_no_longer_answer_than_the_budget_has_room_for(fb: FlowBuilder) -> None:
    answer = Answer("yes", prompt_tokens=20, completion_tokens=400)
    answered = httpx.Response(200, json=completion(answer))
    route = respx.post(f"{BASE}/chat/completions").mock(return_value=answered)
    run = await fb.execute(
        flow(llm("a", max_tokens=4000), llm("b", "a")),
        budget="tokens=450",
    )
    error = await failure(run)
    assert (error["code"], error["spent"]) == ("budget_exceeded", 840)
    asked = [json.loads(call.request.content)["max_tokens"] for call in route.calls]
    assert 400 < asked[0] < 450
    assert asked[1] < 30


@respx.mock
async def test_a_step_that_has_no_room_at_all_is_not_sent(fb: FlowBuilder) -> None:
    route = respx.post(f"{BASE}/chat/completions")
    run = await fb.execute(
        flow({**llm("a", prompt="x" * 4000), "on_error": "continue"}, step("b", after="a")),
        budget="tokens=900",
    )
    error = await failure(run)
    assert error["code"] == "budget_exceeded"
    assert "no room" in str(error["message"])
    assert not route.called
    assert [row.status.value for row in await run.steps()] == ["completed", "cancelled"]


@respx.mock
async def test_an_extraction_and_a_local_models_unknown_price_are_counted(fb: FlowBuilder) -> None:
    content = json.dumps({"n": 1})
    answered = httpx.Response(
        200, json=completion(Answer(content, prompt_tokens=7, completion_tokens=5))
    )
    respx.post(f"{BASE}/chat/completions").mock(return_value=answered)
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    run = await fb.execute(
        flow(step("a", "llm.extract", text="one", schema=schema)), budget="usd=0,tokens=500"
    )
    assert await run.result(timeout=WAIT) == {"a": {"n": 1}}
    assert await spent(run) == (12, None)


def planned(tokens: int, cost: float | None = None) -> Plan:
    usage = Usage(calls=1, prompt_tokens=tokens, completion_tokens=0, cost_usd=cost)
    document = Flow.model_validate(flow(step("a", tokens=10)))
    return Plan(id=f"0b0f3c5e-8f3a-4d39-9d5e-{tokens:012d}", goal="spend", planner="model",
                flow=document, usage=usage)  # fmt: skip


async def test_planning_counts_for_the_run_of_a_plan(fb: FlowBuilder) -> None:
    run = await fb.accept_plan(planned(70, 0.5), budget={"tokens": 100})
    await run.result(timeout=WAIT)
    assert await spent(run) == (80, 0.5)
    run = await fb.accept_plan(planned(95), budget={"tokens": 100})
    assert (await failure(run))["spent"] == 105
    with pytest.raises(Conflict) as refused:
        await fb.accept_plan(planned(101), budget={"tokens": 100})
    assert refused.value.code == "budget_exceeded"
    assert (await fb.accept_plan(planned(101), budget={"tokens": 200})).created


# -- estimates ------------------------------------------------------------------------------


async def test_estimates_learn_from_what_calls_took(fb: FlowBuilder) -> None:
    document = flow({**step("m", tokens=100), "for_each": [1, 2, 3]})
    before = await fb.estimate(document)
    assert before.steps.likely == 3
    for _ in range(3):
        run = await fb.execute(document, budget="tokens=1000")
        await run.result(timeout=WAIT)
    after = await fb.estimate(document)
    assert after.tokens.likely == pytest.approx(300, rel=0.1)
    assert after.cost_usd is None
    assert before.tokens == Interval(0, 0, 0)
    assert 200 < after.tokens.low < after.tokens.high < 450


async def test_plans_are_stored_with_their_estimate(dsn: str) -> None:
    async with connect(dsn) as builder:
        events = [event async for event in builder.plan_stream("careful", input={"value": 1})]
        plan = events[-1].plan
        assert plan is not None
        assert plan.estimate is not None
        assert plan.estimate.steps == Interval(2, 2, 2)
        assert plan.estimate.approvals == 1
        assert events[-1].data == {"plan": plan.as_json()}
        assert (await builder.get_plan(plan.id)).as_json() == plan.as_json()
        assert (await builder.estimate(plan)).steps == plan.estimate.steps
        await builder.save_flow(ECHOES)
        assert (await builder.estimate("echoes")).steps == Interval(3, 3, 3)
        with pytest.raises(NotFound):
            await builder.estimate("nothing")


# -- HTTP and command line ------------------------------------------------------------------

ECHOES: JsonObject = {
    "flow": "echoes",
    "steps": [{"id": "e", "tool": "test.echo", "args": {"value": 1}, "for_each": [1, 2, 3]}],
}


async def test_budgets_over_http(dsn: str) -> None:
    async with service(dsn, worker=True) as client:
        made = await client.post(
            "/api/v1/runs", json={"document": ECHOES, "budget": {"steps": 2, "seconds": "10m"}}
        )
        assert made.status_code == 201
        run_id = made.json()["id"]

        async def over() -> bool:
            status: str = (await client.get(f"/api/v1/runs/{run_id}")).json()["status"]
            return status == "failed"

        await eventually(over)
        run = (await client.get(f"/api/v1/runs/{run_id}")).json()
        assert run["error"]["code"] == "budget_exceeded"
        assert run["budget"]["limits"] == {"steps": 2, "seconds": 600.0}
        assert run["budget"]["spent"]["steps"] == 2
        assert run["budget"]["root_run_id"] == run_id
        refused = await client.post(f"/api/v1/runs/{run_id}/retry")
        assert problem(refused, 409)["code"] == "budget_exceeded"
        free = await client.post("/api/v1/runs", json={"document": ECHOES})
        assert (await client.get(f"/api/v1/runs/{free.json()['id']}")).json()["budget"] is None
        for bad in ({"steps": -1}, {"money": 1}, {"steps": "2"}, {"seconds": "soon"}, 5):
            answer = await client.post("/api/v1/runs", json={"document": ECHOES, "budget": bad})
            body = problem(answer, 422 if bad == {"seconds": "soon"} else answer.status_code)
            assert answer.status_code in (400, 422)
            assert body["errors"][0]["pointer"].startswith("/budget")
        plan = (await client.post("/api/v1/plans", json={"goal": "quick"})).json()
        assert plan["estimate"]["steps"] == {"low": 1, "likely": 1, "high": 1}
        accepted = await client.post(
            f"/api/v1/plans/{plan['id']}/accept",
            json={"input": {"value": 0}, "budget": {"tokens": 0}},
        )
        run_id = accepted.json()["run"]["id"]
        shown = (await client.get(f"/api/v1/runs/{run_id}")).json()
        assert shown["budget"]["limits"] == {"tokens": 0}


def said(dsn: str, *words: str, code: int) -> list[dict[str, Any]]:
    line = hoist(["--json", "--database-url", dsn, *words])
    result = CliRunner().invoke(app, line)
    assert result.exit_code == code, result.output
    return [json.loads(text) for text in result.stdout.splitlines()]


def test_budgets_on_the_command_line(dsn: str, tmp_path: Path) -> None:
    file = tmp_path / "two.yaml"
    file.write_text(
        'flow: two\nsteps:\n  - {id: a, tool: text.template, args: {template: "x"}}\n'
        '  - {id: b, tool: text.template, args: {template: "y"}, depends_on: [a]}\n'
    )
    lines = said(dsn, "run", str(file), "--budget", "steps=1,tokens=7", code=1)
    run_id = next(line["run_id"] for line in lines if line.get("run_id"))
    (shown,) = said(dsn, "show", run_id, code=0)
    assert shown["run"]["error"]["code"] == "budget_exceeded"
    assert shown["budget"]["limits"] == {"tokens": 7, "steps": 1}
    result = CliRunner().invoke(app, hoist(["--no-json", "--database-url", dsn, "show", run_id]))
    assert "budget       0 of 7 tokens, 1 of 1 steps" in result.stdout
    (refused,) = said(dsn, "run", str(file), "--budget", "all=1", code=1)
    assert refused["error"]["code"] == "budget_invalid"
