"""Steps of a stream: named and judged once, as a whole answer would be, and bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from random import Random
from typing import Any

import pytest

from flowbuilder.errors import ModelOutputError, ModelTimeout, Severity
from flowbuilder.evals.world import World
from flowbuilder.models import Reply, ScriptedModel
from flowbuilder.planner.base import PlanEventType, PlanRequest
from flowbuilder.planner.judging import judge_beginning
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.planner.shapes import as_written
from flowbuilder.planner.streaming import StreamedSteps, bounded
from flowbuilder.settings import Settings
from flowbuilder.types import JsonObject
from tests.support.counting import calls
from tests.support.golds import SPECS, goal

REGISTRY = World(SPECS).registry()


def request() -> PlanRequest:
    return PlanRequest(id="p", goal=goal(1), registry=REGISTRY)


def good(count: int) -> list[dict[str, Any]]:
    """Steps that use the ones before them."""
    made: list[dict[str, Any]] = []
    for number in range(count):
        step = {"id": f"s{number}", "tool": "order.find", "args": {"number": number}}
        if number % 2:
            name = f"${{{{ steps.s{number - 1}.customer }}}}"
            step = {"id": f"s{number}", "tool": "customer.find", "args": {"name": name}}
        made.append(step)
    return made


def same_ids(count: int) -> list[dict[str, Any]]:
    tools = ("order.find", "customer.find", "nothing.there")
    return [{"id": "s1", "tool": tools[n % 3], "args": {"x": n}} for n in range(count)]


def ring(count: int) -> list[dict[str, Any]]:
    return [
        {"id": f"s{n}", "tool": "mail.send", "args": {}, "after": [f"s{(n + 1) % count}"]}
        for n in range(count)
    ]


def take_in(steps: list[dict[str, Any]]) -> StreamedSteps:
    streamed = StreamedSteps(request())
    for position, step in enumerate(steps):
        streamed.put(position, step)
    return streamed


@pytest.mark.parametrize("made", [good, same_ids, ring])
def test_a_thousand_steps_take_as_much_work_each_as_a_hundred(
    made: Callable[[int], list[dict[str, Any]]],
) -> None:
    take_in(made(20))  # what is worked out once about tools is not counted
    few, many = made(100), made(1000)
    begun = calls(lambda: take_in([]))
    each = (calls(lambda: take_in(few)) - begun) / 100
    assert (calls(lambda: take_in(many)) - begun) / 1000 < 1.25 * each


def test_steps_are_named_and_judged_as_in_a_whole_answer() -> None:
    wrong = {"id": "s6", "tool": "order.find", "args": {"nummer": "1", "note": None}}
    steps = [
        *good(4),
        wrong,
        {"id": "mail", "tool": "mail.send", "args": {"to": "${{ s1.email }}"}},
    ]
    streamed = StreamedSteps(request())
    told = [streamed.put(position, step) for position, step in enumerate(steps)]
    whole = judge_beginning(steps, request())
    assert whole.document is not None
    assert list(streamed.written) == whole.document["steps"]
    found = {(item.code, item.pointer) for one in told if one is not None for item in one[1]}
    errors = {(i.code, i.pointer) for i in whole.problems if i.severity is Severity.ERROR}
    assert found == errors and len(errors) == 4


def test_a_step_that_was_waited_for_before_it_came_keeps_its_id() -> None:
    steps: list[dict[str, Any]] = [
        {"id": "s1", "tool": "mail.send", "args": {"to": "${{ steps.s4.email }}"}, "after": ["s3"]},
        {"id": "s2", "tool": "order.find", "args": {"number": 2}},
        {"id": "s3", "tool": "order.find", "args": {"number": 3}},
        {"id": "s4", "tool": "customer.find", "args": {"name": "${{ steps.s2.customer }}"}},
    ]
    streamed = take_in(steps)
    whole = judge_beginning(steps, request())
    assert whole.document is not None
    assert list(streamed.written) == whole.document["steps"]
    assert [step["id"] for step in streamed.written] == ["mail_send", "order_find", "s3", "s4"]
    assert streamed.written[0]["depends_on"] == ["s3"]
    assert streamed.written[0]["args"] == {"to": "${{ steps.s4.email }}"}


def test_a_step_told_apart_takes_no_id_that_another_one_was_promised() -> None:
    steps: list[dict[str, Any]] = [
        {"id": "s2", "tool": "order.find", "args": {"number": 1}},
        {"id": "s1", "tool": "mail.send", "args": {}, "after": ["s3"]},
        {"id": "s2", "tool": "customer.find", "args": {"name": "the second s2"}},
        {"id": "s3", "tool": "order.find", "args": {"number": 3}, "after": ["s2"]},
    ]
    streamed = take_in(steps)
    named = {str(step["id"]): step for step in streamed.written}
    assert [*named] == ["order_find", "mail_send", "customer_find", "s3"]
    assert named["s3"]["args"] == {"number": 3}  # what the mail was told to wait for
    assert named["s3"]["depends_on"] == ["order_find"]  # the first of that id
    whole = judge_beginning(steps, request())
    assert whole.document is not None and list(streamed.written) == whole.document["steps"]


def drawn(random: Random) -> list[JsonObject]:
    """Draw steps that share ids, wait for each other in any order, and refer in many ways."""
    ids: list[Any] = [
        *[f"s{n}" for n in range(5)], "step_2", "mail", "mail_send", "order_find", "order",
        "s 1", "3", 3, None, ["s1"], "nothing_there",
    ]  # fmt: skip
    tools: list[Any] = ["order.find", "customer.find", "mail.send", "nothing.there", "none", ["x"]]
    paths = ("steps.{}.customer", "{}.customer", "steps.{}", "{}")

    def reference() -> str:
        name = random.choice([*ids, *range(5)])
        return "${{ " + random.choice(paths).format(name) + " }}"

    made: list[JsonObject] = []
    for _ in range(random.randint(1, 8)):
        step: JsonObject = {"id": random.choice(ids), "tool": random.choice(tools)}
        given: list[Any] = [{}, {"name": reference()}, {"to": reference()}, "x", ["s1"]]
        step["args"] = random.choice(given)
        key = random.choice(["after", "depends_on"])
        waits: Any = [random.choice(ids) for _ in range(random.randint(0, 3))]
        step.update(random.choice([{}, {key: waits}, {key: waits}, {key: "s1, s3"}]))
        step.update(random.choice([{}, {}, {"when": f"{reference()} != 1"}, {"for_each": "s1"}]))
        made.append(step)
    return made


@pytest.mark.parametrize("seed", range(60))
def test_steps_that_come_in_pieces_are_those_of_the_whole_answer(seed: int) -> None:
    random = Random(seed)
    steps = drawn(random)
    streamed, position, beginnings = StreamedSteps(request()), 0, 0
    told: dict[int, JsonObject] = {}
    while position < len(steps):
        result = streamed.put(position, steps[position])
        assert result is not None
        told[position] = result[0]
        again = beginnings < 3 and random.random() < 0.2
        beginnings += again
        position = random.randint(0, position) if again else position + 1
    whole = judge_beginning(steps, request())
    assert whole.document is not None
    assert list(streamed.written) == whole.document["steps"]
    planned = [told[place] for place, step in enumerate(steps) if step["tool"] != "none"]
    assert planned == [as_written(step) for step in streamed.written]
    cut = random.randint(0, len(steps))
    beginning = judge_beginning(steps[:cut], request()).document
    assert beginning is not None
    count = sum(step["tool"] != "none" for step in steps[:cut])
    assert beginning["steps"] == list(streamed.written)[:count]  # none depends on what follows


def test_numbers_mean_steps_in_a_stream_too() -> None:
    for first, path in (("s1", "steps.1"), ("s1", "steps.0"), ("order", "steps.0")):
        steps: list[dict[str, Any]] = [
            {"id": first, "tool": "order.find", "args": {"number": 1}},
            {"id": "s2", "tool": "customer.find", "args": {"name": f"${{{{ {path}.customer }}}}"}},
        ]
        written = take_in(steps).written
        assert written[1]["args"] == {"name": f"${{{{ steps.{written[0]['id']}.customer }}}}"}


def test_an_answer_that_begins_anew_is_judged_anew() -> None:
    streamed = take_in(good(4))
    again = streamed.put(0, {"id": "s9", "tool": "nothing.there", "args": {}})
    assert again is not None
    assert [item.code for item in again[1]] == ["unknown_tool"]
    assert len(streamed) == 1 and len(streamed.written) == 1


def test_what_is_no_json_for_a_flow_is_left_to_the_whole_answer() -> None:
    streamed = StreamedSteps(request())
    assert streamed.put(0, {"id": "a", "tool": "x", "args": {"v": float("nan")}}) is None
    refusal = streamed.put(1, {"id": "b", "tool": "none", "args": {"reason": "no"}})
    assert refusal == ({"id": "b", "tool": "none", "args": {"reason": "no"}}, [])
    assert len(streamed) == 2 and streamed.written == ()


class Endless:
    """A stream of steps without an end."""

    def __init__(self, *, text: str = "", positions: Callable[[int], int] = int) -> None:
        self.reply = Reply(text=text)
        self._positions = positions

    async def __aiter__(self) -> AsyncIterator[tuple[int, JsonObject]]:
        number = 0
        while True:
            yield self._positions(number), {"id": f"s{number}", "tool": "x", "args": {}}
            number += 1


class Silent(Endless):
    """A stream that never says anything."""

    async def __aiter__(self) -> AsyncIterator[tuple[int, JsonObject]]:
        await asyncio.Event().wait()
        yield 0, {}


async def read(stream: Endless, **settings: Any) -> int:
    return len([step async for step in bounded(stream, Settings.load(**settings))])


async def test_a_stream_has_no_more_steps_than_the_settings_allow() -> None:
    with pytest.raises(ModelOutputError) as caught:
        await read(Endless(), max_steps=30)
    assert caught.value.code == "plan_too_many_steps" and "FLOWBUILDER_MAX_STEPS" in str(
        caught.value.hint
    )


async def test_a_stream_is_no_longer_than_the_settings_allow() -> None:
    with pytest.raises(ModelOutputError) as caught:
        await read(Endless(text="x" * 2000), plan_max_bytes=1024)
    assert caught.value.code == "plan_too_large"


async def test_a_stream_does_not_begin_anew_for_ever() -> None:
    with pytest.raises(ModelOutputError) as caught:
        await read(Endless(positions=lambda number: number % 2))
    assert caught.value.code == "plan_restarted"


async def test_a_stream_takes_no_longer_than_the_settings_allow() -> None:
    with pytest.raises(ModelTimeout) as caught:
        await read(Silent(), plan_timeout=0.01)
    assert caught.value.code == "plan_too_slow"


async def test_a_plan_of_too_many_steps_fails_and_says_so() -> None:
    answer: Any = {"tasks": good(12)}
    model = ScriptedModel([answer])
    planner = ModelPlanner(Settings.load(model="scripted", max_steps=5), model)
    events = []
    with pytest.raises(ModelOutputError):
        async for event in planner.stream(request()):
            events.append(event)
    assert events[-1].type is PlanEventType.FAILED
    assert events[-1].data["code"] == "plan_too_many_steps"
    assert [event.type for event in events].count(PlanEventType.STEP_ADDED) == 5


async def test_a_round_over_very_many_wrong_steps_shows_the_first_of_them() -> None:
    steps: list[Any] = [
        {"id": f"s{n}", "tool": "order.find", "args": {"nummer": n, "x": [n]}} for n in range(300)
    ]
    model = ScriptedModel([{"tasks": steps}, {"tasks": []}, {"tasks": []}])
    planner = ModelPlanner(Settings.load(model="scripted"), model)
    events = [event async for event in planner.stream(request())]
    plan = events[-1].plan
    assert plan is not None and len(plan.questions) == 299  # the goal names one
    assert len(model.requests) == 2
    asked = model.requests[1][-1]["content"]
    # 40 with problems of their own, and 12 for what the goal orders besides and no step does
    assert asked.count('{"id":') <= 52 and len(asked) < 20_000
