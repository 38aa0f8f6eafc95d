"""What the model is told, what it is asked about again, and when the asking ends."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from flowbuilder.errors import Fix, ModelOutputError, Severity
from flowbuilder.models import Message, Reply, ScriptedModel
from flowbuilder.planner.base import PlanEvent, PlanRequest
from flowbuilder.planner.judging import Judgement, judge
from flowbuilder.planner.literals import lost_literals
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.planner.prompting import select_tools
from flowbuilder.planner.relevance import Relevance
from flowbuilder.planner.schema import preceded_schema
from flowbuilder.planner.second_opinion import Opinion
from flowbuilder.planner.surplus import inquires, tell_result
from flowbuilder.settings import Settings
from flowbuilder.tools import ToolRegistry, tool
from flowbuilder.types import JsonSchema


@tool("harbour.find_berth", effects="read")
def find_berth(berth_id: str) -> dict[str, Any]:
    """Find a berth by its number."""
    return {"berth": berth_id}


@tool("harbour.close_berth", effects="write")
def close_berth(berth_id: str) -> bool:
    """Close a berth."""
    return bool(berth_id)


@tool("crane.count_lifts", effects="read")
def count_lifts(crane: str) -> int:
    """Count the lifts of a crane."""
    return len(crane)


@tool("radio.search", effects="read")
def search_radio(channel: str, query: str) -> list[str]:
    """Search the radio traffic of a channel."""
    return [channel, query]


@tool("clock.alarm", effects="write")
def set_alarm(minutes: int, label: str) -> bool:
    """Set an alarm."""
    return bool(minutes and label)


@tool("crew.page", effects="external")
def page_crew(person: str, message: str) -> bool:
    """Page a member of the crew."""
    return bool(person and message)


BASE = "http://model.test/v1"
TOOLS = ToolRegistry([find_berth, close_berth, count_lifts, search_radio, set_alarm, page_crew])
FIND: dict[str, Any] = {"id": "s1", "tool": "harbour.find_berth", "args": {"berth_id": "K-7"}}
CLOSE: dict[str, Any] = {"id": "s2", "tool": "harbour.close_berth", "args": {"berth_id": "K-7"}}


def page(message: str, person: str = "Ida") -> dict[str, Any]:
    return {"id": "s9", "tool": "crew.page", "args": {"person": person, "message": message}}


def request_for(goal: str) -> PlanRequest:
    return PlanRequest(id=str(uuid.uuid4()), goal=goal, registry=TOOLS)


def judged(goal: str, *steps: dict[str, Any], strict: bool = False) -> Judgement:
    return judge(json.dumps({"tasks": list(steps)}), request_for(goal), strict=strict)


class Schemas(ScriptedModel):
    """Remembers the schemas of whole answers, too."""

    def __init__(self, answers: list[Any]) -> None:
        super().__init__(answers)
        self.schemas: list[str] = []

    async def complete_steps(
        self, messages: Sequence[Message], schema: JsonSchema, *, max_tokens: int | None = None
    ) -> Reply:
        self.schemas.append(json.dumps(schema))
        return await super().complete_steps(messages, schema, max_tokens=max_tokens)


async def planned(
    goal: str, *answers: Any, **settings: Any
) -> tuple[list[PlanEvent], ScriptedModel]:
    model = ScriptedModel(list(answers))
    planner = ModelPlanner(Settings.load(model="scripted", **settings), model)
    return [event async for event in planner.stream(request_for(goal))], model


def said(model: ScriptedModel, number: int) -> str:
    return "\n".join(message["content"] for message in model.requests[number][-2:])


WRONG_COUNT = {"id": "s3", "tool": "crane.count_lifts", "args": {"krane": "x"}}


def test_a_wrong_step_is_named_to_the_model_and_leaves_a_warning_when_it_is_left_out() -> None:
    goal = "Page Ida about K-7 and close berth K-7"
    steps = (CLOSE, WRONG_COUNT, page("It is about K-7"))
    strict = judged(goal, *steps, strict=True)
    assert strict.size == 3
    assert {"missing_argument", "unknown_argument"} <= {item.code for item in strict.errors}
    lenient = judged(goal, *steps)
    [warning] = [item for item in lenient.problems if item.code == "step_left_out"]
    assert not lenient.errors and lenient.size == 2
    assert "krane" in warning.message and warning.fix is Fix.MODEL


async def test_the_second_request_names_the_wrong_step_that_nothing_uses() -> None:
    wrong = {**WRONG_COUNT, "args": {"krane": "x", "hook": "y"}}
    answer = {"tasks": [CLOSE, wrong, page("It is about K-7")]}
    events, model = await planned("Page Ida about K-7 and close berth K-7", answer, answer, answer)
    assert "krane" in said(model, 1) and "'crane'" in said(model, 1)
    plan = events[-1].plan
    assert plan is not None and plan.valid and not plan.certain


async def test_what_can_be_read_in_one_way_is_mended_without_asking() -> None:
    answer = {"tasks": [CLOSE, WRONG_COUNT, page("It is about K-7")]}
    events, model = await planned("Page Ida about K-7 and close berth K-7", answer, {"tasks": []})
    mended = next(event for event in events if event.type == "plan_repaired")
    assert mended.data["round"] == 0 and mended.data["changed"] == ["crane_count_lifts"]
    assert mended.data["notes"] == ['{"krane":"x"} was read as {"crane":"x"}.']
    assert "krane" not in said(model, 1)
    plan = events[-1].plan
    assert plan is not None and not plan.certain
    assert [item.id for item in plan.questions] == ["crane_count_lifts.crane"]  # nobody said "x"


async def test_an_unused_result_alone_is_not_asked_about() -> None:
    steps = {"tasks": [FIND, CLOSE]}
    events, model = await planned("Find berth K-7, close K-7, for the sake of order", steps)
    plan = events[-1].plan
    assert plan is not None and plan.flow is not None and len(model.requests) == 1
    assert len(plan.flow.steps) == 2


async def test_a_warning_that_the_model_does_not_mend_is_asked_about_once() -> None:
    claims = {"tasks": [FIND, page("Everything is wonderful")]}
    events, model = await planned("Find berth K-7 and page Ida what you see", *[claims] * 5)
    assert len(model.requests) == 2
    plan = events[-1].plan
    assert plan is not None and "text_claimed" in {item.code for item in plan.problems}


def test_a_letter_may_be_composed_but_not_an_answer() -> None:
    composed = judged("Page Ida a birthday greeting", page("Many happy returns, dear Ida!"))
    asked = judged("Page Ida how busy the harbour is", page("The place is quiet, dear Ida!"))
    assert [item.fix for item in composed.problems] == [Fix.USER] and not composed.is_to_ask
    assert [item.fix for item in asked.problems] == [Fix.MODEL] and asked.is_to_ask
    assert inquires("tell her how it is") and not inquires("tell her it is Monday")


def test_a_look_up_of_what_the_goal_names_already_is_left_out() -> None:
    goal = 'K-7 is shut from now on, page Ida "It is shut"'
    reworded = judged(goal, FIND, CLOSE, page("It is shut"))
    assert reworded.tools == ("harbour.close_berth", "crew.page")
    assert [item.code for item in reworded.problems if item.pointer == ""].count("step_left_out")
    asked = judged("Look up berth K-7 and close it", FIND, CLOSE)
    assert asked.tools == ("harbour.find_berth", "harbour.close_berth")


def test_an_act_with_a_made_up_number_is_left_out() -> None:
    goal = 'Close K-7 and page Ida "It is shut"'
    alarm = {"id": "s5", "tool": "clock.alarm", "args": {"minutes": 120, "label": "K-7"}}
    steps = {**page("It is shut"), "id": "s6"}
    made_up = judged(goal, CLOSE, alarm, steps)
    assert made_up.tools == ("harbour.close_berth", "crew.page")
    asked = judged(f"{goal}, 120 minutes before noon", CLOSE, alarm, steps)
    assert "clock.alarm" in asked.tools


async def test_a_tool_with_a_made_up_number_is_not_offered_again() -> None:
    alarm = {"id": "s1", "tool": "clock.alarm", "args": {"minutes": 15, "label": "K-7"}}
    events, model = await planned("Have K-7 shut", {"tasks": [alarm]}, {"tasks": [CLOSE]})
    assert "clock.alarm(" not in said(model, 1) and "no minutes" in said(model, 1)
    plan = events[-1].plan
    assert plan is not None and plan.flow is not None
    assert [step.tool for step in plan.flow.steps] == ["harbour.close_berth"]
    assert not judged("Have K-7 shut in half an hour", alarm).made_up


def test_an_idle_look_up_is_kept_where_a_message_claims_something() -> None:
    lifts = {"id": "s1", "tool": "crane.count_lifts", "args": {"crane": "K-7"}}
    for answer in ("Yes, K-7 works hard", "Yes, K-7 is busy"):
        kept = judged("Ida is asking if K-7 is busy", lifts, page(answer))
        assert kept.size == 2 and kept.is_to_ask


def test_as_many_steps_as_the_goal_has_clauses_are_kept() -> None:
    lifts = {"id": "s1", "tool": "crane.count_lifts", "args": {"crane": "K-7"}}
    kept = judged("How busy is K-7? And close K-7.", lifts, CLOSE)
    assert kept.size == 2


def test_a_field_whose_name_says_nothing_is_read_with_a_warning() -> None:
    lifts = {"id": "s1", "tool": "crane.count_lifts", "args": {"crane": "north"}}
    goal = "Count the lifts of crane north and page Ida"
    for field, codes in (("lifts", []), ("zzz", ["field_guessed"])):
        found = judged(goal, lifts, page(f"Today: ${{{{ steps.s1.{field} }}}}"))
        assert [item.code for item in found.problems] == codes
        assert found.document is not None
        assert "${{ steps.crane_count_lifts }}" in str(found.document["steps"])


def test_what_a_step_was_given_is_written_out() -> None:
    lifts = {"id": "s1", "tool": "crane.count_lifts", "args": {"crane": "north"}}
    found = judged(
        "Count the lifts of crane north and page Ida",
        lifts,
        page("${{ steps.s1.args.crane }}: ${{ steps.s1 }}, ${{ steps.s1.args.none }}"),
    )
    assert found.document is not None
    assert "north: ${{ steps.crane_count_lifts }}" in str(found.document["steps"])


def test_a_tool_in_the_place_of_a_better_one_is_doubtful() -> None:
    relevance = Relevance("Ida waits for the details of berth K-7", list(TOOLS))
    assert relevance.doubtful(["radio.search", "crew.page"]) == ["radio.search"]
    assert relevance.doubtful(["harbour.find_berth", "crew.page"]) == []
    assert Relevance("Look up K-7", list(TOOLS)).orders(find_berth)
    assert not Relevance("Shut K-7", list(TOOLS)).orders(find_berth)


def test_a_result_is_told_though_both_steps_have_the_same_id() -> None:
    lifts: dict[str, Any] = {"id": "s9", "tool": "crane.count_lifts", "args": {"crane": "north"}}
    found = judged("Page Ida how north is", *tell_result([lifts, page("${{ steps.crane.lifts }}")]))
    assert found.tools == ("crane.count_lifts", "crew.page") and not found.errors
    assert found.document is not None
    assert "steps.found_out" in str(found.document["steps"])
    own: list[Any] = [{**lifts, "id": "s1"}, page("${{ steps.s1 }} lifts")]
    assert tell_result(own) == own


async def test_the_last_round_is_asked_without_doubtful_tools() -> None:
    search = {"id": "s1", "tool": "radio.search", "args": {"channel": "berth", "query": "K-7"}}
    wrong = {"tasks": [search, page("${{ steps.s1[0].id }}")]}
    right = {"tasks": [FIND, page("${{ steps.s1.berth }}")]}
    goal = "Ida waits for the details of berth K-7"
    model = Schemas([wrong, wrong, right])
    planner = ModelPlanner(Settings.load(model="scripted", model_api_base=BASE), model)
    events = [event async for event in planner.stream(request_for(goal))]
    offered = model.schemas[1]
    assert "radio.search" not in offered and "harbour.find_berth" in offered
    plan = events[-1].plan
    assert plan is not None and plan.flow is not None
    assert [step.tool for step in plan.flow.steps][-2:] == ["harbour.find_berth", "crew.page"]


@pytest.mark.parametrize("told", ["North has ${{ steps.s1 }}", "North is busy today"])
async def test_what_a_plan_only_claims_is_found_out_first(told: str) -> None:
    claims = {"tasks": [page("North is busy today")]}
    lifts = {"id": "s1", "tool": "crane.count_lifts", "args": {"crane": "north"}}
    better = {"tasks": [lifts, {**page(told), "after": ["s1"]}]}
    goal = "Page Ida how the north crane is doing"
    events, model = await planned(goal, claims, better, model_api_base=BASE)
    plan = events[-1].plan
    assert plan is not None and plan.flow is not None
    assert [problem.code for problem in plan.problems] == ["step_supposed"]
    assert [step.tool for step in plan.flow.steps] == ["crane.count_lifts", "crew.page"]
    assert len(model.requests) == 2
    assert "steps.crane_count_lifts" in str(plan.flow.steps[1].args["message"])


def test_a_plan_with_a_first_step_to_be_chosen_has_one_shape_a_place() -> None:
    schema = preceded_schema([find_berth, count_lifts], [page_crew], longest_text=100)
    tasks = schema["properties"]["tasks"]
    first, last = tasks["prefixItems"]
    assert (tasks["minItems"], tasks["maxItems"]) == (2, 2)
    assert [item["properties"]["tool"]["enum"] for item in first["anyOf"]] == [
        ["harbour.find_berth"],
        ["crane.count_lifts"],
    ]
    assert last["properties"]["tool"]["enum"] == ["crew.page"]


@pytest.mark.parametrize("value", ['"\\ud800"', "1" + "0" * 400, '"a\\u0000b"', "1e999"])
async def test_values_that_no_flow_may_have_are_asked_about(value: str) -> None:
    text = json.dumps({"tasks": [page("VALUE")]}).replace('"VALUE"', value)
    with pytest.raises(ModelOutputError) as caught:
        await planned("Page Ida", text, text, text)
    assert caught.value.code == "model_output_invalid"


def test_a_result_that_the_rules_do_not_use_either_is_no_doubt() -> None:
    goal = "Find berth K-7 and close berth K-7"
    steps = ({**FIND, "id": "a"}, {**CLOSE, "id": "b"})
    alike = judge(json.dumps({"tasks": [FIND, CLOSE]}), request_for(goal), Opinion(steps=steps))
    assert alike.problems == ()
    using = ({**FIND, "id": "a"}, {**CLOSE, "id": "b", "args": {"berth_id": "${{ steps.a.id }}"}})
    other = judge(json.dumps({"tasks": [FIND, CLOSE]}), request_for(goal), Opinion(steps=using))
    assert [item.code for item in other.problems] == ["result_unused"]


@pytest.mark.parametrize(
    ("goal", "shown"),
    [
        ("Tell eve@example.org whether it rains in Brest", False),
        ("Put notes.txt into order", False),
        ("Get https://example.org/a.json", True),
        ("See what example.com says", True),
        ("Read the web page of the harbour", True),
    ],
)
def test_tools_of_the_web_are_shown_where_the_web_is_spoken_of(goal: str, shown: bool) -> None:
    @tool("http.get", effects="read")
    def get(url: str) -> str:
        """Get an address."""
        return url

    registry = ToolRegistry([find_berth, get])
    names = [item.name for item in select_tools(PlanRequest(id="", goal=goal, registry=registry))]
    assert ("http.get" in names) is shown
    known = PlanRequest(id="", goal=goal, registry=registry, input={"source": "https://a.test"})
    assert "http.get" in [item.name for item in select_tools(known)]


async def test_a_step_that_is_lost_at_the_end_of_the_rounds_is_asked_for_alone() -> None:
    goal = 'Find berth K-7 and page @ida about "storm"'
    unlike = {"tasks": [FIND, {**CLOSE, "args": {"berth_id": "storm"}}]}
    last = {"tasks": [page("a storm is near", "@ida")]}
    wrong = {"tasks": [{**FIND, "args": {"berth": "storm"}}, page("storm", "@bob")]}
    events, model = await planned(goal, wrong, wrong, unlike, last, model_api_base=BASE)
    plan = events[-1].plan
    assert plan is not None and plan.flow is not None and len(model.requests) == 4
    assert plan.flow.steps[-1].tool == "crew.page"


async def test_steps_are_found_by_their_number() -> None:
    goal = "Find berth K-7 and page Ida about it"
    for first, reference in (("s1", "steps.1"), ("s1", "steps.0"), ("berth", "steps.0")):
        answer = {"tasks": [{**FIND, "id": first}, page(f"K-7: ${{{{ {reference}.berth }}}}")]}
        events, _ = await planned(goal, answer)
        plan = events[-1].plan
        assert plan is not None and plan.flow is not None
        message = plan.flow.steps[1].args["message"]
        name = plan.flow.steps[0].id
        assert f"steps.{name}.berth" in str(message)


def test_a_date_of_the_goal_is_carried_in_any_spelling() -> None:
    goal = "Page Ida on 2027-05-09"
    for text, lost in (("on 2027-05-09", 0), ("on 9 May 2027", 0), ("soon", 1)):
        found = judged(goal, page(text))
        assert len([item for item in found.errors if item.code == "literal_lost"]) == lost


def test_a_language_that_no_step_is_told_is_lost_where_a_tool_takes_one() -> None:
    @tool(effects="read")
    def reword(text: str, language: str) -> str:
        """Put a text into another language."""
        return text + language

    document: dict[str, Any] = {
        "steps": [{"id": "a", "tool": "crew.page", "args": {"message": "x"}}]
    }
    goal = "Ida reads only French, page her"
    [lost] = lost_literals(goal, document, ToolRegistry([reword, page_crew]))
    assert "French" in lost.message and lost.severity is Severity.WARNING
    assert lost_literals(goal, document, ToolRegistry([page_crew])) == []
    document["steps"].append({"id": "b", "tool": "reword", "args": {"language": "fr"}})
    assert lost_literals(goal, document, ToolRegistry([reword, page_crew])) == []
