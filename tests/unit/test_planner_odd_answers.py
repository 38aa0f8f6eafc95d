"""Answers whose members are of other types than they should be: told as wrong, never a crash."""

from __future__ import annotations

import copy
import json
import uuid
from random import Random
from typing import Any

import pytest

from flowbuilder.errors import FlowBuilderError, PlanningError
from flowbuilder.flow import Step
from flowbuilder.models import ScriptedModel
from flowbuilder.plan import Plan, PlanStatus
from flowbuilder.planner.base import PlanEvent, PlanEventType, PlanRequest
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.planner.patching import read_patch
from flowbuilder.planner.shapes import ASIDE, as_written, fully_written, in_shape
from flowbuilder.planner.wire import StepReader
from flowbuilder.settings import Settings
from flowbuilder.toolkit import load_registry
from flowbuilder.types import JsonObject
from flowbuilder.validation import validate

REGISTRY = load_registry(Settings.load(), [])
GOAL = "Read a.txt"
LONG = "Read a.csv and parse it as CSV and write the rows to b.csv"
READ: dict[str, Any] = {"id": "s1", "tool": "file.read", "args": {"path": "a.txt"}}
CHAIN: list[dict[str, Any]] = [
    {"id": "s1", "tool": "file.read", "args": {"path": "a.csv"}},
    {"id": "s2", "tool": "csv.parse", "args": {"text": "${{ steps.s1.text }}"}, "after": ["s1"]},
    {
        "id": "s3",
        "tool": "csv.write",
        "args": {"path": "b.csv", "rows": "${{ steps.s2 }}"},
        "when": "size(steps.s2) > 0",
        "for_each": None,
    },
]
#: What stands for what in JSON may stand anywhere.
ODD: list[Any] = [
    None, True, False, 0, -1, 2.5, 10**30, "", "x", "${{ steps.s1 }}", "${{", "s1, s2", [], {},
    ["a"], ["s1"], [["a"]], {"a": 1}, [None], [{}], {"a": {"b": [1]}}, {"name": "file.read"},
    "a" * 3000, '{"path": "a.csv"}', [1, "s1"], {"": {"": []}}, {ASIDE: {"args": 1}},
]  # fmt: skip
MEMBERS = [*Step.model_fields, "after", "question", "ask", "reason", "limit", ASIDE]


def request_for(goal: str = GOAL) -> PlanRequest:
    return PlanRequest(id=str(uuid.uuid4()), goal=goal, registry=REGISTRY)


def planner_of(*answers: Any, own: bool = False) -> tuple[ModelPlanner, ScriptedModel]:
    model = ScriptedModel(answers)
    more = {"model_api_base": "http://127.0.0.1:9/v1"} if own else {}
    return ModelPlanner(Settings.load(model="scripted", **more), model), model


async def planned(*answers: Any, goal: str = GOAL) -> tuple[list[PlanEvent], ScriptedModel]:
    planner, model = planner_of(*answers)
    return [event async for event in planner.stream(request_for(goal))], model


def told(event: PlanEvent) -> list[tuple[str, str]]:
    listed = event.data["problems"]
    assert isinstance(listed, list)
    return [(str(item["code"]), str(item["pointer"])) for item in listed if isinstance(item, dict)]


def in_the_plan(raw: JsonObject) -> JsonObject:
    return StepReader([tool.name for tool in REGISTRY]).read(raw)


ODD_MEMBERS = [
    ("tool", ["file.read"]), ("tool", {"name": "file.read"}), ("tool", 5), ("tool", None),
    ("args", "a.txt"), ("args", ["a.txt"]), ("args", 5), ("args", True),
    ("after", {"a": 1}), ("after", 5), ("depends_on", {"a": 1}), ("depends_on", True),
    ("when", ["x"]), ("when", 5), ("when", {"a": 1}),
    ("for_each", {"a": []}), ("for_each", 5), ("for_each", True),
]  # fmt: skip


@pytest.mark.parametrize(("member", "value"), ODD_MEMBERS)
async def test_an_odd_member_is_told_with_its_place_and_the_model_may_mend_it(
    member: str, value: Any
) -> None:
    wrong = {**READ, member: value}
    place = f"/steps/0/{'depends_on' if member == 'after' else member}"
    with pytest.raises(PlanningError) as caught:
        await planned({"tasks": [wrong]}, {"tasks": []})
    assert ("wrong_type", place) in {(p.code, p.pointer) for p in caught.value.problems}
    name = str(in_the_plan(wrong)["id"])
    events, model = await planned({"tasks": [wrong]}, {"tasks": [{**READ, "id": name}]})
    added = next(event for event in events if event.type is PlanEventType.STEP_ADDED)
    assert ("wrong_type", place) in told(added)
    said = added.data["step"]
    assert isinstance(said, dict) and ASIDE not in said
    assert said[place.rpartition("/")[2]] == value  # as the model wrote it
    asked = model.requests[1][-1]["content"]
    assert (
        f"step {name}{place.removeprefix('/steps/0')}" in asked
    )  # the problem, by the step's name
    assert json.dumps(value, separators=(",", ":")) in asked  # and what it said
    plan = events[-1].plan
    assert plan is not None and plan.valid and len(model.requests) == 2
    assert plan.flow is not None and plan.flow.steps[0].args == {"path": "a.txt"}


@pytest.mark.parametrize("value", [["s1"], {}, None, 5, True, [[]]])
async def test_an_id_that_is_none_is_told_and_the_step_named_after_its_tool(value: Any) -> None:
    events, model = await planned({"tasks": [{**READ, "id": value}]})
    assert ("wrong_type", "/steps/0/id") in told(events[1])
    assert ("wrong_type", "/steps/0/id") in told(events[2])
    assert (events[2].type, events[2].data["round"]) == (PlanEventType.REPAIRED, 0)
    plan = events[-1].plan
    assert plan is not None and plan.valid and not plan.certain and len(model.requests) == 1
    assert plan.flow is not None and plan.flow.steps[0].id == "file_read"
    assert any("was read as" in note for note in plan.notes)


async def test_steps_whose_ids_are_none_are_not_the_same_step() -> None:
    steps = [{**READ, "id": None, "args": {"path": path}} for path in ("a.txt", "b.txt")]
    events, _ = await planned({"tasks": steps}, goal="Read a.txt and read b.txt")
    plan = events[-1].plan
    assert plan is not None and plan.flow is not None
    assert [step.id for step in plan.flow.steps] == ["file_read", "file_read_2"]


async def test_a_condition_that_is_none_is_never_dropped_unsaid() -> None:
    wrong = {"tasks": [{**READ, "when": ["input.wanted"]}]}
    with pytest.raises(PlanningError) as caught:
        await planned(wrong, *[wrong] * 3)
    assert ("wrong_type", "/steps/0/when") in {(p.code, p.pointer) for p in caught.value.problems}


@pytest.mark.parametrize("first", ["a text of steps s1", "s1", "s1,"])
async def test_names_in_a_text_are_waited_for(first: str) -> None:
    wrong = [READ, {**READ, "id": "s2", "args": {"path": "b.txt"}, "after": first}]
    events, _ = await planned({"tasks": wrong}, {"tasks": []}, goal="Read a.txt and read b.txt")
    steps = [event.data["step"] for event in events if event.type is PlanEventType.STEP_ADDED]
    assert isinstance(steps[1], dict)
    assert steps[1]["depends_on"] == first.replace("s1", "file_read")
    plan = events[-1].plan
    assert plan is not None and plan.flow is not None
    assert plan.flow.steps[1].depends_on == ["file_read"]


def test_what_was_set_aside_comes_back_as_it_was() -> None:
    for member in ("id", "tool", "args", "when", "for_each", "depends_on"):
        for value in ODD:
            raw = {**READ, member: value}
            step = in_shape(raw)
            assert isinstance(step["id"], str) and isinstance(step["tool"], str)
            assert isinstance(step.get("args", {}), dict)
            assert isinstance(step.get("when") or "", str)
            assert isinstance(step.get("for_each") or "", str | list)
            awaited = step.get("depends_on") or []
            assert isinstance(awaited, list) and all(isinstance(name, str) for name in awaited)
            empty = member in ("when", "for_each", "depends_on") and value in ("", [], {})
            if not empty:
                assert fully_written(step) == raw
                assert {**as_written(step), "id": raw["id"]} == raw
    assert in_shape(READ) == READ and as_written(READ) is READ
    hidden = in_shape({**READ, ASIDE: {"args": "gone"}})
    assert fully_written(hidden)[ASIDE] == {"args": "gone"}  # an unknown key like any other


def test_patches_of_odd_parts_are_read() -> None:
    assert read_patch('{"tasks": null, "remove": "a"}').removed == {"a"}
    assert read_patch('{"steps": [], "remove": [["a"], {}, 5, null, "b"]}').removed == {"b"}
    assert read_patch('{"steps": [], "remove": {"a": 1}, "impossible": []}').impossible is None


def mangled(steps: list[dict[str, Any]], random: Random) -> list[Any]:
    """Give members of some steps other values, and now and then a step another place or none."""
    made: list[Any] = copy.deepcopy(steps)
    for step in random.sample(made, random.randint(0, len(made))):
        for _ in range(random.choice([1, 1, 2, 3])):
            key, value = random.choice(MEMBERS), copy.deepcopy(random.choice(ODD))
            given = step.get("args")
            if random.random() < 0.2 and isinstance(given, dict) and given:
                given[random.choice(list(given))] = value
            else:
                step[key] = value
    if random.random() < 0.1:
        random.shuffle(made)
    if random.random() < 0.1:
        made.append(copy.deepcopy(random.choice(made)))
    if random.random() < 0.05:
        made[random.randrange(len(made))] = random.choice(ODD)
    return made


def answer(steps: list[dict[str, Any]], random: Random) -> Any:
    """Return an answer in one of the shapes that models choose, steps streamed or not."""
    made = mangled(steps, random)
    shape = random.choices(
        ["tasks", "list", "steps", "text", "cut", "one", "none"], [8, 1, 1, 2, 1, 1, 1]
    )[0]
    if shape == "tasks":
        return {"tasks": made}
    if shape == "one":
        return {"tasks": made[0]}
    if shape == "none":
        return {"tasks": random.choice(ODD), "plan": random.choice(ODD)}
    if shape == "cut":
        text = json.dumps({"tasks": made})
        return text[: random.randint(0, len(text))]
    if shape == "text":
        return "Here it is:\n```json\n" + json.dumps({"steps": made}) + "\n```"
    return made if shape == "list" else {"steps": made}


def patch(steps: list[dict[str, Any]], random: Random) -> Any:
    if random.random() < 0.3:
        return answer(steps, random)
    made = mangled(random.sample(steps, random.randint(1, len(steps))), random)
    names = ["file_read", "csv_parse", "csv_write", "s1", "s2", "s3"]
    for step in made:
        if isinstance(step, dict) and random.random() < 0.5:
            step["id"] = random.choice(names)
    gone = random.choice([random.sample(names, 2), random.choice(ODD)])
    return {"tasks": made, "remove": gone, **random.choice([{}, {"impossible": ODD[0]}])}


def require_sound(plan: Plan | None) -> None:
    assert plan is not None and plan.flow is not None
    assert plan.valid or plan.status is PlanStatus.NEEDS_ANSWERS
    if not plan.questions:
        assert validate(plan.flow.document(), REGISTRY).valid


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("own", [False, True])
async def test_whatever_a_model_answers_it_is_a_plan_or_refused(seed: int, own: bool) -> None:
    random = Random(seed)
    for _ in range(3):
        goal, steps = random.choice([(GOAL, [READ]), (LONG, CHAIN), (LONG, CHAIN)])
        given = [answer(steps, random), *(patch(steps, random) for _ in range(7))]
        answers = [item if isinstance(item, str) else json.dumps(item) for item in given]
        planner, _ = planner_of(*answers, own=own)
        events: list[PlanEvent] = []
        try:
            async for event in planner.stream(request_for(goal)):
                events.append(event)
                json.dumps(event.data)
        except FlowBuilderError:
            assert events[-1].type is PlanEventType.FAILED, answers
        else:
            require_sound(events[-1].plan)
        if not any(ASIDE in text for text in answers):
            assert ASIDE not in json.dumps([event.data for event in events])
