"""Large goals as several flows: planned, stored, run by the engine, shown as one tree."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowbuilder import FlowBuilder, PlanningError, Settings, tool
from flowbuilder.cli.family import Family
from flowbuilder.client import Run
from flowbuilder.flow import Flow
from flowbuilder.models.scripted import ScriptedModel
from flowbuilder.plan import Plan
from flowbuilder.planner.hierarchy import in_parts
from flowbuilder.planner.hierarchy.model import in_parts_by_model
from flowbuilder.toolkit.control import flow_run
from flowbuilder.tools import ToolRegistry
from tests.support.api import app_over, http, problem

GOAL = """1. Read the file sales.csv, keep only the rows where amount is greater than 100, sort \
them by amount descending and write them to big.csv.
2. Read the file customers.csv, count the rows by country and write the counts to countries.json.
3. Write the counts to copy.json."""
SALES = "name,amount\nann,50\nbob,900\ncid,300\ndan,120\n"
CUSTOMERS = "name,country\nann,AT\nbob,DE\ncid,AT\n"


@pytest.fixture
def settings(dsn: str, tmp_path: Path) -> Settings:
    (tmp_path / "sales.csv").write_text(SALES)
    (tmp_path / "customers.csv").write_text(CUSTOMERS)
    return Settings.load(data_dir=tmp_path, workspace_dir=tmp_path, plan_split=4, database_url=dsn)


@pytest.fixture
async def builder(settings: Settings) -> AsyncIterator[FlowBuilder]:
    async with FlowBuilder.connect(settings=settings, worker=True) as fb:
        yield fb


async def follow(builder: FlowBuilder, run: Run) -> list[str]:
    """Watch a run to its end, agree to all that it and its children ask; the steps asked about."""
    asked = []
    async for event in Family(builder, run).events(0):
        if event.type == "approval_requested":
            asked.append(str(event.step_name))
            await builder.approve(str(event.data["approval_id"]), by="user:test")
    return asked


def steps_of(plan: Plan) -> dict[str, list[str]]:
    assert plan.flow is not None
    found = {"": [step.id for step in plan.flow.steps]}
    for child in plan.children:
        assert child.plan.flow is not None
        found[child.step] = [step.id for step in child.plan.flow.steps]
    return found


async def test_a_long_goal_runs_as_a_tree_of_flows(builder: FlowBuilder, tmp_path: Path) -> None:
    plan = await builder.plan(GOAL)
    assert plan.valid
    assert steps_of(plan) == {
        "": ["part_1", "part_2", "write_3"],
        "part_1": ["read", "parse", "filter", "sort", "write"],
        "part_2": ["read_2", "parse_2", "aggregate", "write_2"],
    }
    assert plan.estimate is not None and plan.estimate.approvals == 3
    assert plan.estimate.steps.likely == 12
    assert await builder.get_plan(plan.id) == plan  # stored whole, children included
    run = await builder.accept_plan(plan)
    assert sorted(await follow(builder, run)) == ["write", "write_2", "write_3"]
    assert (await run.refresh()).status.value == "completed"
    assert (tmp_path / "big.csv").read_text().split() == [
        "name,amount",
        "bob,900",
        "cid,300",
        "dan,120",
    ]
    counts = [{"country": "AT", "count": 2}, {"country": "DE", "count": 1}]
    assert json.loads((tmp_path / "copy.json").read_text()) == counts
    tree: Any = await run.tree()
    shown = {step["step_id"]: [child["status"] for child in step["runs"]] for step in tree["steps"]}
    assert shown == {"part_1": ["completed"], "part_2": ["completed"], "write_3": []}
    inner = tree["steps"][0]["runs"][0]
    assert [step["step_id"] for step in inner["steps"]] == steps_of(plan)["part_1"]


async def test_what_crosses_parts_is_their_interface(builder: FlowBuilder, tmp_path: Path) -> None:
    goal = (
        "Read the file sales.csv, keep only the rows where amount is greater than 100 and sort "
        "them by amount.\n\nWrite them to one.csv. Write them to two.csv. Write them to three.csv."
    )
    plan = await builder.plan(goal)
    first, second = plan.children
    assert list(first.output_schema["properties"]) == ["sort"]
    assert list(second.input_schema["properties"]) == ["sort"]
    assert plan.flow is not None
    call = plan.flow.steps[1].args
    assert call["input"] == {"sort": "${{ steps.part_1.sort }}"}
    run = await builder.accept_plan(plan)
    await follow(builder, run)
    assert (await run.refresh()).status.value == "completed"
    wanted = ["name,amount", "dan,120", "cid,300", "bob,900"]
    for name in ("one", "two", "three"):
        assert (tmp_path / f"{name}.csv").read_text().split() == wanted


async def test_a_part_that_was_changed_meanwhile_is_not_what_runs(builder: FlowBuilder) -> None:
    plan = await builder.plan(GOAL)
    flow = await builder.publish_plan(plan)
    call = flow.steps[0].args
    child = plan.children[0].plan.flow
    assert child is not None and call["flow"] == child.flow and call["version"] == 1
    nap = {"id": "other", "tool": "time.sleep", "args": {"seconds": 0}}
    other: dict[str, Any] = {"flow": child.flow, "steps": [nap]}
    await builder.save_flow(other)
    await builder.publish(child.flow)
    again = await builder.publish_plan(plan)
    assert again.steps[0].args["version"] == 1
    assert [row.version for row in await builder.store.list_versions(child.flow)] == [2, 1]


async def test_more_parts_than_allowed_are_refused(settings: Settings) -> None:
    goal = "\n\n".join(
        f"Read the file in{n}.csv, sort the rows by amount and write them to out{n}.csv."
        for n in range(4)
    )
    few = settings.model_copy(update={"plan_subgoals": 2})
    async with FlowBuilder.connect(settings=few, worker=False) as fb:
        with pytest.raises(PlanningError) as caught:
            await fb.plan(goal)
        assert caught.value.code == "too_many_subgoals"
    deep = few.model_copy(update={"plan_depth": 3})
    async with FlowBuilder.connect(settings=deep, worker=False) as fb:
        plan = await fb.plan(goal)
    assert [len(child.plan.children) for child in plan.children] == [2, 2]
    assert len(list(plan.tree())) == 7
    flat = few.model_copy(update={"plan_depth": 1})
    async with FlowBuilder.connect(settings=flat, worker=False) as fb:
        assert (await fb.plan(goal)).children == ()


async def test_the_tree_over_http(settings: Settings) -> None:
    async with FlowBuilder.connect(settings=settings) as fb, http(app_over(fb)) as api:
        made = (await api.post("/api/v1/plans", json={"goal": GOAL})).json()
        assert [child["step"] for child in made["children"]] == ["part_1", "part_2"]
        answer = await api.post(f"/api/v1/plans/{made['id']}/accept", json={"save": True})
        assert answer.status_code == 201
        run_id = answer.json()["run"]["id"]
        tree = (await api.get(f"/api/v1/runs/{run_id}/tree")).json()
        assert [step["step_id"] for step in tree["steps"]] == ["part_1", "part_2", "write_3"]
        missing = "00000000-0000-0000-0000-000000000000"
        gone = problem(await api.get(f"/api/v1/runs/{missing}/tree"), 404)
        assert gone["code"] == "run_not_found"


@tool("mix", effects="pure")
async def mix(name: str, values: list[Any]) -> dict[str, Any]:
    """Mix values into one text."""
    return {"text": f"{name}({','.join(str(value) for value in values)})", "size": len(values)}


def random_flow(seed: int) -> dict[str, Any]:
    """A graph of steps that name all they take, some mapped, some conditional, some ordered."""
    dice = random.Random(seed)
    steps: list[dict[str, Any]] = []
    for number in range(14):
        before = [f"s{other}" for other in range(number)]
        taken = dice.sample(before, min(len(before), dice.choice([0, 1, 1, 2, 3])))
        values: list[Any] = [f"${{{{ steps.{name}.text }}}}" for name in taken if name != "s5"]
        values.append(dice.choice(["${{ input.word }}", 0, False, "", None]))
        step: dict[str, Any] = {
            "id": f"s{number}",
            "tool": "mix",
            "args": {"name": f"s{number}", "values": values},
        }
        if number == 5:  # a map, whose elements nobody takes one by one
            step["for_each"] = [1, 2]
            step["args"]["values"].append("${{ item }}")
        if number in (4, 9) and before:
            step["when"] = f"steps.{dice.choice(before[:4])}.size >= {dice.choice([0, 1, 9])}"
        if before and dice.random() < 0.2:
            step["depends_on"] = [dice.choice(before)]
        steps.append(step)
    inputs = {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]}
    return {"flow": f"random-{seed}", "input": inputs, "steps": steps}


@pytest.mark.parametrize("seed", range(6))
async def test_a_divided_flow_gives_what_the_whole_gives(settings: Settings, seed: int) -> None:
    registry = ToolRegistry([mix, flow_run])
    flow = Flow.model_validate(random_flow(seed))
    whole = Plan(id=str(uuid.uuid4()), goal="Mix.", planner="rules", flow=flow, input={"word": "w"})
    starts = [0] * len(flow.steps)
    cut = replace(in_parts(whole, starts, registry, settings), id=str(uuid.uuid4()))
    async with FlowBuilder.connect(settings=settings, registry=registry, worker=True) as fb:
        first: Any = await (await fb.execute(whole)).result(timeout=60)
        other: Any = await (await fb.execute(cut)).result(timeout=60)
    if flow.output is None:  # what was skipped is null for a parent, and not there for a flow
        other = {name: value for name, value in other.items() if value is not None}
    assert other == first


async def test_a_goal_too_long_to_be_read_at_once_is_planned_part_by_part(
    dsn: str, tmp_path: Path
) -> None:
    points = [
        f"{number}. Read the file in{number}.csv, sort the rows by amount, keep only the rows "
        f"where amount is greater than {number} and write them to out{number}.csv."
        for number in range(1, 22)
    ]
    goal = "\n".join(points)
    settings = Settings.load(data_dir=tmp_path, workspace_dir=tmp_path, database_url=dsn)
    async with FlowBuilder.connect(settings=settings, worker=False) as fb:
        plan = await fb.plan(goal)
        assert await fb.get_plan(plan.id) == plan
        with pytest.raises(PlanningError) as caught:
            await fb.plan(f"{goal}\n22. Paint the garden fence green.")
        assert caught.value.code == "no_fitting_tool" and "fence" in caught.value.message
    assert plan.valid and not plan.certain and len(plan.children) > 3
    assert plan.flow is not None
    assert [step.depends_on for step in plan.flow.steps[:3]] == [[], ["part_1"], ["part_2"]]
    written = json.dumps([part.flow.document() for part in plan.tree() if part.flow is not None])
    assert all(f'"out{number}.csv"' in written for number in range(1, 22))
    for part in plan.children:
        assert part.plan.children == ()  # two levels, and no more
    small = settings.model_copy(update={"plan_subgoals": 2})
    async with FlowBuilder.connect(settings=small, worker=False) as fb:
        with pytest.raises(PlanningError) as caught:
            await fb.plan(goal)
    assert caught.value.code == "too_many_subgoals"


async def test_parts_that_a_model_made_hand_values_on_through_the_engine(
    settings: Settings, tmp_path: Path
) -> None:
    goal = (
        "Read the file sales.csv and keep only the rows where amount is greater than 100. "
        "Write the rows as the file out.json. Write how many there are as the file count.txt."
    )
    division: Any = {
        "subgoals": [
            {
                "id": "figures",
                "goal": "Read the file sales.csv and keep only the rows where amount is greater "
                "than 100.",
                "gives": [
                    {"name": "records", "type": "list", "about": "the rows"},
                    {"name": "count", "type": "number", "about": "how many"},
                ],
            },
            {
                "id": "keep",
                "goal": "Write the rows as the file out.json.",
                "takes": [{"name": "rows", "from": "figures.records"}],
            },
            {
                "id": "tell",
                "goal": "Write how many there are as the file count.txt.",
                "takes": [{"name": "number", "from": "figures.count"}],
            },
        ]
    }
    read: list[Any] = [
        {"id": "r", "tool": "file.read", "args": {"path": "sales.csv"}},
        {"id": "p", "tool": "csv.parse", "args": {"text": "${{ steps.r.text }}"}},
        {
            "id": "f",
            "tool": "data.filter",
            "args": {"records": "${{ steps.p.records }}", "where": {"amount": {"gt": 100}}},
        },
    ]
    keep: dict[str, Any] = {"path": "out.json", "content": "${{ input.rows }}"}
    tell: dict[str, Any] = {"path": "count.txt", "content": "${{ input.number }} rows"}
    model = ScriptedModel(
        [
            division,
            {"tasks": read},
            {"tasks": [{"id": "w", "tool": "file.write", "args": keep}]},
            {"tasks": [{"id": "w", "tool": "file.write", "args": tell}]},
        ]
    )
    small = settings.model_copy(update={"plan_split": 2})
    planner = in_parts_by_model(small, model)
    async with FlowBuilder.connect(settings=small, planner=planner, worker=True) as fb:
        plan = await fb.plan(goal)
        assert plan.valid and [child.step for child in plan.children] == ["figures", "keep", "tell"]
        run = await fb.accept_plan(plan)
        assert await follow(fb, run) == ["w", "w"]
        assert (await run.refresh()).status.value == "completed"
        [memory] = await fb.memory.list()
    assert memory.tools == ["file.read", "csv.parse", "data.filter", "file.write", "file.write"]
    assert [row["name"] for row in json.loads((tmp_path / "out.json").read_text())] == [
        "bob", "cid", "dan"
    ]  # fmt: skip
    assert (tmp_path / "count.txt").read_text() == "3 rows"
