"""`run.add_step` and `POST /runs/{id}/steps`: what users may add, and what they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flowbuilder import (
    Context,
    DefinitionError,
    FlowBuilder,
    InvalidTransition,
    InvalidValue,
    NotFound,
    Run,
    Settings,
    tool,
)
from flowbuilder.executor.events import EventRow
from flowbuilder.types import JsonObject
from tests.support.api import problem, service
from tests.support.waiting import eventually

WAIT = 60.0


class Gate:
    """Tools of which one waits for the test."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.written: list[Any] = []

    def tools(self) -> list[Any]:
        @tool("gate.wait")
        async def wait(value: Any = None) -> Any:
            await self.open.wait()
            return value

        @tool("gate.echo")
        async def echo(value: Any) -> Any:
            return value

        @tool("gate.number")
        async def number(value: int) -> int:
            return value

        @tool("gate.write", effects="write")
        async def write(value: Any) -> None:
            self.written.append(value)

        return [wait, echo, number, write]


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def fb(dsn: str, tmp_path: Path, gate: Gate) -> AsyncIterator[FlowBuilder]:
    settings = Settings.load(data_dir=tmp_path, workspace_dir=tmp_path, max_steps=5)
    async with FlowBuilder.connect(
        dsn, settings=settings, tools=gate.tools(), worker=True
    ) as opened:
        yield opened


async def waiting_run(fb: FlowBuilder) -> Run:
    return await fb.execute(
        {"flow": "grows", "steps": [{"id": "first", "tool": "gate.wait", "args": {"value": 0}}]}
    )


@pytest.mark.parametrize("value", [0, False, "", None, [], {}])
async def test_a_step_is_added_and_executed(fb: FlowBuilder, gate: Gate, value: Any) -> None:
    run = await waiting_run(fb)
    await run.add_step("now", tool="gate.echo", args={"value": value}, by="user:ada")
    version = await run.add_step(
        "then",
        tool="gate.echo",
        args={"value": ["${{ steps.first }}", "${{ steps.now }}"]},
        depends_on="now",
        retry=2,
    )
    assert version.origin == "run"
    assert [step.id for step in (await run.document()).steps] == ["first", "now", "then"]
    gate.open.set()
    assert await run.result(timeout=WAIT) == {"then": [0, value]}
    added = [event async for event in run.events() if event.type == "step_added"]
    assert [(event.step_name, event.actor) for event in added] == [
        ("now", "user:ada"),
        ("then", None),
    ]
    with pytest.raises(NotFound):
        await fb.get_flow("grows")


async def test_a_function_of_this_process_is_added(fb: FlowBuilder, gate: Gate) -> None:
    def seven(context: Context) -> int:
        return 7 * context.attempt

    run = await fb.execute_dynamic(
        {"flow": "functions", "steps": [{"id": "first"}]}, functions={"first": gate.open.wait}
    )
    await run.add_step("seven", function=seven)
    await run.add_step("plus", function=lambda n: n + 1, args={"n": "${{ steps.seven }}"})
    gate.open.set()
    assert await run.result(timeout=WAIT) == {"first": True, "plus": 8}
    with pytest.raises(InvalidValue, match="not both"):
        await run.add_step("more", tool="gate.echo", function=seven)


async def test_policy_asks_for_an_approval(fb: FlowBuilder, gate: Gate) -> None:
    run = await waiting_run(fb)
    await run.add_step("write", tool="gate.write", args={"value": "${{ steps.first }}"})
    gate.open.set()
    await eventually(lambda: _asked(run))
    [approval] = await run.approvals()
    assert (approval.args, gate.written) == ({"value": 0}, [])
    await fb.approve(approval.id, by="user:ada")
    await run.result(timeout=WAIT)
    assert gate.written == [0]


async def _asked(run: Run) -> bool:
    return bool(await run.approvals())


@pytest.mark.parametrize(
    ("step", "code", "pointer"),
    [
        ({"id": "first"}, "duplicate_step_id", "/steps/1/id"),
        ({"id": "b", "depends_on": ["none"]}, "unknown_dependency", "/steps/1/depends_on/0"),
        ({"id": "b", "tool": "no.tool"}, "unknown_tool", "/steps/1/tool"),
        ({"id": "b", "args": {"value": "x"}}, "argument_type", "/steps/1/args/value"),
        ({"id": "b", "args": {"value": 1, "extra": 1}}, "unknown_argument", "/steps/1/args/extra"),
        ({"id": "b c"}, "bad_step_id", "/steps/1/id"),
        ({"id": "b", "depends_on": ["b"]}, "self_dependency", "/steps/1/depends_on/0"),
    ],
)
async def test_a_bad_step_changes_nothing_and_every_problem_is_told(
    fb: FlowBuilder, gate: Gate, step: JsonObject, code: str, pointer: str
) -> None:
    run = await waiting_run(fb)
    given: Any = {"tool": "gate.number", "args": {"value": 1}, **step}
    with pytest.raises(DefinitionError) as refused:
        await run.add_step(given.pop("id"), **given)
    assert (code, pointer) in {(item.code, item.pointer) for item in refused.value.problems}
    assert len(await run.steps()) == 1
    gate.open.set()
    assert await run.result(timeout=WAIT) == {"first": 0}


async def test_the_step_limit_holds(fb: FlowBuilder, gate: Gate) -> None:
    run = await waiting_run(fb)
    for name in "abcd":
        await run.add_step(name, tool="gate.echo", args={"value": name})
    with pytest.raises(DefinitionError) as refused:
        await run.add_step("e", tool="gate.echo", args={"value": 1})
    assert [item.code for item in refused.value.problems] == ["too_many_steps"]
    gate.open.set()
    assert await run.result(timeout=WAIT) == {"first": 0, **{name: name for name in "abcd"}}


async def test_an_ended_run_takes_no_step_even_a_bad_one(fb: FlowBuilder, gate: Gate) -> None:
    run = await waiting_run(fb)
    gate.open.set()
    await run.result(timeout=WAIT)
    with pytest.raises(InvalidTransition) as refused:
        await run.add_step("late", tool="no.tool")
    assert refused.value.code == "invalid_transition"


async def test_a_process_without_the_tools_of_a_run_may_add_to_it(
    fb: FlowBuilder, gate: Gate, dsn: str, tmp_path: Path
) -> None:
    run = await fb.execute_dynamic(
        {"flow": "elsewhere", "steps": [{"id": "first"}, {"id": "old", "tool": "gate.wait"}]},
        functions={"first": gate.open.wait},
    )
    settings = Settings.load(data_dir=tmp_path, workspace_dir=tmp_path)
    async with FlowBuilder.connect(dsn, settings=settings, worker=False) as other:
        same = await other.get_run(run.id)
        await same.add_step("text", tool="text.stats", args={"text": "one two"})
        with pytest.raises(DefinitionError):
            await same.add_step("bad", tool="gate.echo")
    gate.open.set()
    result = await run.result(timeout=WAIT)
    assert isinstance(result, dict) and result["text"]


async def test_the_draft_takes_steps_by_its_handle(fb: FlowBuilder, gate: Gate) -> None:
    flow = await fb.create_flow("drafted")
    await flow.add_step("one", tool="gate.echo", args={"value": 1})
    gate.open.set()
    assert await (await flow.execute()).result(timeout=WAIT) == {"one": 1}


# -- HTTP ---------------------------------------------------------------------------------------


async def test_the_service_adds_steps(dsn: str) -> None:
    document = {
        "flow": "asked",
        "steps": [{"id": "ask", "tool": "test.ask", "args": {"message": "go on?"}}],
    }
    async with service(dsn, worker=True) as client:
        run = (await client.post("/api/v1/runs", json={"document": document})).json()
        url = f"/api/v1/runs/{run['id']}/steps"
        step = {
            "id": "count",
            "tool": "test.length",
            "args": {"text": "a b"},
            "depends_on": ["ask"],
        }
        answer = await client.post(url, json=step)
        assert answer.status_code == 201, answer.text
        assert (answer.json()["origin"], answer.json()["version"]) == ("run", None)
        assert answer.json()["document"]["steps"][1] == step
        shown = (await client.get(f"/api/v1/runs/{run['id']}")).json()
        assert [item["step_id"] for item in shown["steps"]] == ["ask", "count"]
        why = (await client.get(f"/api/v1/runs/{run['id']}/why")).json()
        assert ("dependencies", "count") in {(r["code"], r["step"]) for r in why["reasons"]}

        body = problem(await client.post(url, json=step), 422)
        assert body["errors"][0]["pointer"] == "/steps/2/id"
        body = problem(await client.post(url, json={"id": "x"}), 422)
        assert body["errors"][0]["pointer"] == "/tool"
        problem(await client.post("/api/v1/runs/none/steps", json=step), 404)

        await client.post(f"/api/v1/runs/{run['id']}/cancel")
        assert problem(await client.post(url, json=step), 409)["code"] == "invalid_transition"


async def test_a_watcher_sees_what_is_added(fb: FlowBuilder, gate: Gate) -> None:
    from flowbuilder.cli.output import Printer
    from flowbuilder.cli.progress import RunView

    run = await waiting_run(fb)
    view = RunView(Printer(as_json=True), await run.document(), run.id)
    await run.add_step("added", tool="gate.echo", args={"value": 1})
    gate.open.set()
    await run.result(timeout=WAIT)
    events: list[EventRow] = [event async for event in run.events()]
    for event in events:
        view.show(event)
    assert {name: step.state for name, step in view.steps.items()} == {
        "first": "completed",
        "added": "completed",
    }
