"""The planners over large catalogues: what they look at, and how long the prompt is."""

from __future__ import annotations

from dataclasses import replace

from flowbuilder.models import ScriptedModel
from flowbuilder.planner import prompting
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.planner.retrieval import CoUse
from flowbuilder.planner.rules import RulePlanner
from flowbuilder.planner.shortlist import SHORTLIST, WHOLE_CATALOGUE, narrowed
from flowbuilder.planner.tool_lines import tool_line
from flowbuilder.settings import Settings
from flowbuilder.toolkit import is_starter, load_registry
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonValue
from tests.support.catalogue import made_registry, made_tool, made_tools

GOAL = (
    "Get the price of the bakery on Friday. Then cancel the booking of the railway and "
    "track the shipment of the quarry."
)
#: In every catalogue, small ones too.
ASKED = [
    made_tool("bakery.price_of_day", "Get the price of a bakery.", {"day": "Day"}, {"price": ""}),
    made_tool("railway.cancel", "Cancel the booking of a railway.", {"name": ""}, {"state": ""}),
]


def request(registry: ToolRegistry, goal: str = GOAL) -> PlanRequest:
    return PlanRequest(id="p", goal=goal, registry=registry)


def catalogue(size: int) -> ToolRegistry:
    return ToolRegistry([*made_tools(size - len(ASKED)), *ASKED])


def prompt(asked: PlanRequest) -> str:
    messages = prompting.plan_messages(asked, prompting.select_tools(asked), shown=True)
    return "\n".join(message["content"] for message in messages)


async def test_the_prompt_is_as_long_over_thousands_of_tools_as_over_twenty() -> None:
    lengths = {}
    for size in (20, 200, 1000, 5000):
        asked = request(catalogue(size))
        text = prompt(await narrowed(asked))
        assert prompt(asked) == text  # whether or not the request was narrowed first
        assert all(f"- {item.name}(" in text for item in ASKED)
        lengths[size] = len(text)
    longest = max(lengths[size] for size in (200, 1000, 5000))
    assert longest <= 1.15 * lengths[20]
    assert abs(lengths[5000] - lengths[200]) <= 0.1 * lengths[200]


async def test_tools_with_huge_signatures_make_no_longer_prompt() -> None:
    takes = {f"argument_{n}_with_a_long_name": "What it is for, in words" for n in range(60)}
    huge = [made_tool(f"huge.number{n}", "Get the price of a bakery.", takes) for n in range(60)]
    registry = ToolRegistry([*made_tools(500), *huge])
    asked = replace(
        request(registry), pinned=("clinic.get_order", *(f"huge.number{n}" for n in range(6)))
    )
    shown = {item.name for item in prompting.select_tools(asked)}
    assert {*asked.pinned} <= shown
    assert sum(len(tool_line(item)) for item in huge if item.name in shown) < 40_000
    bare = prompting.select_tools(replace(asked, pinned=()))
    assert sum(len(tool_line(item)) for item in bare) <= 20_000


def test_a_small_catalogue_is_shown_whole_and_as_before() -> None:
    registry = catalogue(WHOLE_CATALOGUE)
    assert prompting.select_tools(request(registry)) == list(registry)
    assert prompting.select_tools(request(registry, "xyzzy")) == list(registry)


async def test_a_small_catalogue_is_not_narrowed() -> None:
    asked = request(catalogue(WHOLE_CATALOGUE))
    assert await narrowed(asked) is asked
    with_starters = request(load_registry(Settings()).merged(catalogue(WHOLE_CATALOGUE)))
    assert await narrowed(with_starters) is with_starters


async def test_starter_tools_stay_beside_a_large_catalogue() -> None:
    starters = {item.name for item in load_registry(Settings())}
    asked = request(load_registry(Settings()).merged(catalogue(3000)))
    small = await narrowed(asked)
    kept = [item for item in small.registry if not is_starter(item)]
    assert {item.name for item in small.registry if is_starter(item)} == starters
    assert len(kept) == SHORTLIST and {item.name for item in ASKED} <= {i.name for i in kept}
    assert small.catalogue is asked.registry
    assert len(prompting.select_tools(small)) <= SHORTLIST


async def test_pins_and_habits_reach_the_prompt() -> None:
    learnt = CoUse.learn([{"bakery.price_of_day", "clinic.get_order"}] * 3)
    asked = replace(request(catalogue(3000)), pinned=("stable.get_visitor",), co_use=learnt)
    shown = {item.name for item in prompting.select_tools(await narrowed(asked))}
    assert {"stable.get_visitor", "clinic.get_order"} <= shown
    without = {item.name for item in prompting.select_tools(request(catalogue(3000)))}
    assert not {"stable.get_visitor", "clinic.get_order"} & without


def test_a_goal_without_a_known_word_still_gets_tools() -> None:
    assert len(prompting.select_tools(request(catalogue(3000), "xyzzy"))) == SHORTLIST


async def test_the_rules_plan_over_thousands_of_tools() -> None:
    registry = made_registry(5000).merged(
        [made_tool("beacon.switch_on", "Switch a beacon on.", {"beacon": "Name of the beacon"})]
    )
    asked = request(registry, 'Switch on the beacon "North Head".')
    events = [event async for event in RulePlanner(Settings()).stream(asked)]
    plan = events[-1].plan
    assert plan is not None and plan.flow is not None
    assert [step.tool for step in plan.flow.steps] == ["beacon.switch_on"]


async def test_the_model_is_shown_a_shortlist() -> None:
    step: JsonObject = {"id": "s1", "tool": "bakery.price_of_day", "args": {"day": "Friday"}}
    model = ScriptedModel([{"tasks": [step]}])
    asked = request(catalogue(4000), "Get the price of the bakery on Friday.")
    events = [event async for event in ModelPlanner(Settings(), model).stream(asked)]
    plan = events[-1].plan
    assert plan is not None and plan.flow is not None
    assert [item.tool for item in plan.flow.steps] == ["bakery.price_of_day"]
    assert "bakery.price_of_day(" in str(model.requests[0])
    assert str(model.requests[0]).count("\\n- ") < 60  # the examples have some as well


async def test_a_tool_that_a_model_names_unshown_is_there_all_the_same() -> None:
    hidden = made_tool("zeppelin.moor", "Moor it.", {}, {"state": "string"})
    registry = ToolRegistry([*made_tools(200), *ASKED, hidden])
    asked = request(registry)
    assert (await narrowed(asked)).registry.get(hidden.name) is None
    steps: list[JsonValue] = [
        {"id": "price", "tool": "bakery.price_of_day", "args": {"day": "Friday"}},
        {"id": "moor", "tool": hidden.name, "args": {}},
    ]
    model = ScriptedModel([{"tasks": steps}], name="big")
    settings = Settings.load(model="openai/big", plan_repairs=0)
    events = [event async for event in ModelPlanner(settings, model).stream(asked)]
    told = [event.data for event in events if event.type.value == "plan_step_added"]
    assert [item["problems"] for item in told] == [[], []]
    assert registry.get(hidden.name) is hidden
