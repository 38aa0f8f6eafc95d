"""Rounds by patch: what a model is shown of its plan, what it may change, and when they end."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from flowbuilder.errors import ModelOutputError, NoFittingTool, PlanningError
from flowbuilder.models import ScriptedModel
from flowbuilder.plan import Plan, PlanStatus
from flowbuilder.planner.ailing import Ailing, ailing, fingerprint
from flowbuilder.planner.base import PlanEvent, PlanEventType, PlanRequest
from flowbuilder.planner.bridging import bridged
from flowbuilder.planner.judging import Judgement, judge
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.planner.patching import Patch, may_be_whole, patched, read_patch
from flowbuilder.planner.schema import patch_schema
from flowbuilder.settings import Settings
from flowbuilder.tools import ToolRegistry, tool


@tool("kiln.load", effects="read")
def load_kiln(kiln: str) -> dict[str, Any]:
    """Look up what is loaded in a kiln."""
    return {"kiln": kiln}


@tool("kiln.heat", effects="read")
def heat(kiln: str, degrees: int) -> int:
    """Work out how long a kiln takes to get hot."""
    return len(kiln) * degrees


@tool("glaze.mix", effects="pure")
def mix(colour: str, litres: float = 1.0) -> str:
    """Work out the recipe of a glaze."""
    return colour * int(litres)


@tool("note.pin", effects="external")
def pin(board: str, text: str) -> bool:
    """Pin a note to a board."""
    return bool(board and text)


REGISTRY = ToolRegistry([load_kiln, heat, mix, pin])
GOAL = "Look up kiln K4, mix glaze celadon, heat kiln K4 to 900 degrees and pin it to board hall"
LOAD: dict[str, Any] = {"id": "load", "tool": "kiln.load", "args": {"kiln": "K4"}}
MIX: dict[str, Any] = {"id": "mix", "tool": "glaze.mix", "args": {"colour": "celadon"}}
HEAT: dict[str, Any] = {"id": "heat", "tool": "kiln.heat", "args": {"kiln": "K4", "degrees": 900}}
PIN: dict[str, Any] = {
    "id": "pin",
    "tool": "note.pin",
    "args": {"board": "hall", "text": "${{ steps.mix }}, ${{ steps.heat }}, ${{ steps.load }}"},
}
WRONG: dict[str, Any] = {**HEAT, "args": {"oven": "K4", "warmth": 900}}


def request_for(goal: str = GOAL) -> PlanRequest:
    return PlanRequest(id=str(uuid.uuid4()), goal=goal, registry=REGISTRY)


async def planned(
    *answers: Any, goal: str = GOAL, **settings: Any
) -> tuple[list[PlanEvent], ScriptedModel]:
    model = ScriptedModel(answers)
    planner = ModelPlanner(Settings.load(model="scripted", **settings), model)
    return [event async for event in planner.stream(request_for(goal))], model


def plan_of(events: list[PlanEvent]) -> Plan:
    assert events[-1].plan is not None
    return events[-1].plan


def repairs(events: list[PlanEvent]) -> list[dict[str, Any]]:
    return [dict(event.data) for event in events if event.type is PlanEventType.REPAIRED]


def steps_of(plan: Plan) -> dict[str, Any]:
    assert plan.flow is not None
    listed: Any = plan.flow.document()["steps"]
    return {step["id"]: step for step in listed}


def strictly(*steps: dict[str, Any], goal: str = GOAL) -> Judgement:
    return judge(json.dumps({"tasks": list(steps)}), request_for(goal), strict=True)


def about(judged: Judgement) -> Ailing:
    return ailing(judged, request_for(), list(REGISTRY))


async def test_a_round_shows_what_is_wrong_and_nothing_else_of_the_plan() -> None:
    events, model = await planned({"tasks": [LOAD, MIX, WRONG, PIN]}, {"tasks": [HEAT]})
    plan = plan_of(events)
    assert plan.valid and len(model.requests) == 2
    system, asked = (message["content"] for message in model.requests[1])
    assert "You mend a plan" in system
    assert '{"id":"heat","tool":"kiln.heat","args":{"oven":"K4","warmth":900}}' in asked
    assert "kiln.heat needs 'degrees'" in asked and "step heat/args/oven" in asked
    assert "- mix: glaze.mix, gives string" in asked
    assert "celadon" not in asked.replace(GOAL, "") and "hall" not in asked.replace(GOAL, "")
    assert "kiln.heat(kiln: string, degrees: integer)" in asked
    assert "glaze.mix(" not in asked and "note.pin(" not in asked
    (mended,) = repairs(events)
    assert mended["round"] == 1 and mended["changed"] == ["heat"]
    assert (mended["added"], mended["removed"]) == ([], [])


async def test_what_a_patch_does_not_name_is_what_was_written() -> None:
    events, _ = await planned({"tasks": [LOAD, MIX, WRONG, PIN]}, {"tasks": [HEAT]})
    told = [event.data["step"] for event in events if event.type is PlanEventType.STEP_ADDED]
    written = {step["id"]: json.dumps(step) for step in told if isinstance(step, dict)}
    now = steps_of(plan_of(events))
    now["pin"].pop("approval")  # policy's
    for name in ("load", "mix", "pin"):
        assert json.dumps(now[name]) == written[name]


def test_steps_are_replaced_added_and_removed_by_their_ids() -> None:
    extra: dict[str, Any] = {**MIX, "id": "again", "args": {"color": "x", "hue": 1}}
    judged = strictly(LOAD, WRONG, extra, PIN)
    before = {step["id"]: step for step in judged.document["steps"]}  # type: ignore[index,union-attr,call-overload]
    found = about(judged)
    assert found.ids == {"heat", "again", "pin"}  # the note needs a step that is not there
    patch = Patch(steps=(HEAT, MIX), removed=frozenset({"again", "load"}))
    made = patched(judged, patch, found, request_for())
    steps: Any = made.draft.document["steps"]
    assert [step["id"] for step in steps] == ["load", "heat", "mix", "pin"]  # mix before its user
    assert steps[0] is before["load"] and steps[3] is before["pin"]  # not shown; not named
    assert made.touched == {"heat", "mix"}
    assert steps[1]["args"] == {"kiln": "K4", "degrees": 900}


def test_a_step_that_was_not_shown_cannot_be_changed() -> None:
    judged = strictly(LOAD, MIX, WRONG, PIN)
    other = {**MIX, "args": {"colour": "cobalt"}}
    made = patched(judged, Patch(steps=(HEAT, other)), about(judged), request_for())
    steps: Any = made.draft.document["steps"]
    assert steps[1]["args"] == {"colour": "celadon"}


def test_a_whole_plan_is_read_as_a_patch() -> None:
    again = {**WRONG, "id": "twice", "args": {"oven": "K5", "heat": 1}}
    judged = strictly(LOAD, MIX, WRONG, again, PIN)
    found = about(judged)
    assert found.ids == {"heat", "twice"}
    whole = Patch(steps=(LOAD, {**MIX, "args": {"colour": "red"}}, HEAT, PIN))
    assert may_be_whole(judged, whole, found)
    made = patched(judged, whole, found, request_for(), whole=True)
    steps: Any = made.draft.document["steps"]
    assert [step["id"] for step in steps] == ["load", "mix", "heat", "pin"]
    assert steps[1]["args"] == {"colour": "celadon"}


def test_no_step_is_added_twice_and_policies_stay() -> None:
    judged = strictly(LOAD, MIX, {**WRONG, "retry": {"max_attempts": 3}, "timeout": "soon"}, PIN)
    found = about(judged)
    twin = {**LOAD, "id": "load_again"}
    made = patched(judged, Patch(steps=(HEAT, twin)), found, request_for())
    steps: Any = made.draft.document["steps"]
    assert [step["id"] for step in steps] == ["load", "mix", "heat", "pin"]
    assert steps[2]["retry"] == {"max_attempts": 3}
    assert "timeout" not in steps[2]  # it was wrong itself


def test_new_steps_get_telling_names_and_keep_what_they_ask() -> None:
    judged = strictly(
        LOAD,
        WRONG,
        {**PIN, "args": {"board": "hall", "text": "${{ steps.mix }}, ${{ steps.load }}"}},
    )
    ask: dict[str, Any] = {
        "id": "s1",
        "tool": "glaze.mix",
        "args": {"colour": "${{ ask: Which colour? }}"},
    }
    told: dict[str, Any] = {
        **PIN,
        "args": {"board": "hall", "text": "${{ steps.s1 }} for {{ steps.load }}"},
    }
    made = patched(judged, Patch(steps=(ask, told)), about(judged), request_for())
    steps: Any = made.draft.document["steps"]
    assert [step["id"] for step in steps] == ["load", "heat", "glaze_mix", "pin"]
    assert steps[3]["args"]["text"] == "${{ steps.glaze_mix }} for ${{ steps.load }}"
    (question,) = made.draft.questions
    assert (question.pointer, question.text) == ("/steps/2/args/colour", "Which colour?")


@pytest.mark.parametrize(
    ("text", "steps", "removed", "reason"),
    [
        ('{"tasks": []}', 0, set(), None),
        ('{"tasks": [{"id": "a", "tool": "b"}], "remove": ["c", 7]}', 1, {"c"}, None),
        ('{"remove": ["c"]}', 0, {"c"}, None),
        ('[{"id": "a", "tool": "b"}]', 1, set(), None),
        ('Here:\n```json\n{"steps": []}\n```', 0, set(), None),
        ('{"tasks": [], "impossible": "no kiln"}', 0, set(), "no kiln"),
        ('{"tasks": [], "impossible": " "}', 0, set(), None),
    ],
)
def test_patches_are_read(text: str, steps: int, removed: set[str], reason: str | None) -> None:
    patch = read_patch(text)
    assert (len(patch.steps), set(patch.removed), patch.impossible) == (steps, removed, reason)


@pytest.mark.parametrize("text", ["", "no", "7", '{"tasks": [1]}', '{"tasks": {}}', '{"tasks":'])
def test_other_texts_are_no_patches(text: str) -> None:
    with pytest.raises(ModelOutputError):
        read_patch(text)


def test_a_patch_is_closed_to_the_steps_and_tools_that_it_is_about() -> None:
    schema = patch_schema([heat], ["heat"], most_added=2)
    properties = schema["properties"]
    assert properties["remove"]["items"]["enum"] == ["heat"]
    assert properties["tasks"]["maxItems"] == 3
    (step,) = properties["tasks"]["items"]["anyOf"]
    assert step["properties"]["tool"]["enum"] == ["kiln.heat"]
    assert "remove" not in patch_schema([heat], [], most_added=2)["properties"]


@pytest.mark.parametrize("rounds", [1, 2, 5])
async def test_there_are_two_rounds_at_most(rounds: int) -> None:
    answers: list[Any] = [
        {"tasks": [{**WRONG, "args": {f"oven{n}": "K4", "x": n}}]} for n in range(9)
    ]
    model = ScriptedModel([{"tasks": [LOAD, MIX, WRONG, PIN]}, *answers])
    planner = ModelPlanner(Settings.load(model="scripted", plan_repairs=rounds), model)
    events = [event async for event in planner.stream(request_for())]
    assert len(model.requests) == 1 + min(rounds, 2)
    plan = plan_of(events)
    assert plan.status is PlanStatus.NEEDS_ANSWERS  # nothing is invented in the place of it


async def test_a_round_without_progress_is_the_last() -> None:
    first = {"tasks": [LOAD, MIX, WRONG, PIN]}
    useless: Any
    for useless in ({"tasks": [WRONG]}, {"tasks": []}, "no patch at all", first):
        _, model = await planned(first, useless, {"tasks": [HEAT]})
        assert len(model.requests) == 2


def test_progress_is_told_by_codes_and_places_and_not_by_positions() -> None:
    one, other = strictly(LOAD, MIX, WRONG, PIN), strictly(MIX, WRONG, LOAD, PIN)
    assert fingerprint(one) == fingerprint(other)
    assert fingerprint(one) != fingerprint(strictly(LOAD, MIX, HEAT, PIN))


async def test_what_a_round_leaves_missing_is_asked_of_a_person() -> None:
    no_oven = {**HEAT, "args": {"degrees": 900}}
    first = {"tasks": [LOAD, MIX, no_oven, PIN]}
    events, _ = await planned(first, {"tasks": [no_oven]})
    plan = plan_of(events)
    assert plan.status is PlanStatus.NEEDS_ANSWERS
    (question,) = plan.questions
    assert (question.id, question.pointer) == ("heat.kiln", "/steps/2/args/kiln")
    assert not [item for item in plan.problems if item.code == "missing_argument"]
    assert steps_of(plan)["heat"]["args"] == {"degrees": 900}


async def test_an_optional_argument_that_nobody_can_mend_is_left_out_with_a_doubt() -> None:
    broken = {**MIX, "args": {"colour": "celadon", "litres": [["much"]]}}
    first = {"tasks": [LOAD, broken, HEAT, PIN]}
    events, _ = await planned(first, {"tasks": [broken]})
    plan = plan_of(events)
    assert plan.valid and not plan.certain
    assert steps_of(plan)["mix"]["args"] == {"colour": "celadon"}
    assert "plan_mended" in {item.code for item in plan.problems}
    assert repairs(events)[-1]["changed"] == ["mix"]  # the last mending is told, too


SING: dict[str, Any] = {"id": "sing", "tool": "choir.sing", "args": {}, "after": ["mix"]}
WAITING: dict[str, Any] = {**HEAT, "after": ["load", "sing"]}


async def test_who_waits_for_a_step_that_a_patch_takes_out_is_not_changed_unshown() -> None:
    mended = {**HEAT, "after": ["load", "mix"]}
    first = {"tasks": [LOAD, MIX, SING, WAITING, PIN]}
    events, model = await planned(first, {"tasks": [], "remove": ["sing"]}, {"tasks": [mended]})
    one, two = repairs(events)
    assert (one["round"], one["changed"], one["removed"]) == (1, [], ["sing"])
    assert (two["round"], two["changed"]) == (2, ["heat"])
    assert [item["code"] for item in two["problems"]] == ["unknown_dependency"]
    asked = model.requests[2][-1]["content"]
    assert '"after":["load","sing"]' in asked and "there is no step 'sing'" in asked
    plan = plan_of(events)
    assert plan.valid and steps_of(plan)["heat"]["depends_on"] == ["load", "mix"]


@pytest.mark.parametrize("answers", [[], [{"tasks": []}]])
async def test_who_waits_for_a_step_that_is_gone_waits_for_what_it_waited_for(
    answers: list[Any],
) -> None:
    first = {"tasks": [LOAD, MIX, SING, WAITING, PIN]}
    removal: Any = {"tasks": [], "remove": ["sing"]}
    events, _ = await planned(first, removal, *answers, plan_repairs=1 + len(answers))
    plan = plan_of(events)
    assert plan.valid and not plan.certain
    assert steps_of(plan)["heat"]["depends_on"] == ["load", "mix"]
    last = repairs(events)[-1]
    assert last["changed"] == ["heat"]
    assert last["notes"] == ['["load","sing"] was read as ["load","mix"].']


async def test_a_shown_step_that_waits_for_one_that_is_gone_is_mended_in_the_round() -> None:
    events, model = await planned(
        {"tasks": [LOAD, MIX, SING, {**WRONG, "after": ["sing"]}, PIN]},
        {"tasks": [{**HEAT, "after": ["sing"]}], "remove": ["sing"]},
    )
    plan = plan_of(events)
    assert plan.valid and len(model.requests) == 2
    assert steps_of(plan)["heat"]["depends_on"] == ["mix"]
    assert repairs(events)[0]["changed"] == ["heat"]


async def test_a_step_that_a_patch_draws_into_a_circle_is_not_changed_unshown() -> None:
    early = {**LOAD, "after": ["heat"]}
    circle = {**HEAT, "after": ["load"]}
    events, model = await planned(
        {"tasks": [early, MIX, WRONG, PIN]}, {"tasks": [circle]}, {"tasks": [HEAT]}
    )
    one, two = repairs(events)
    assert one["changed"] == ["heat"] and two["changed"] == ["heat"]
    assert {item["code"] for item in two["problems"]} == {"cycle"}
    assert '{"id":"load"' in model.requests[2][-1]["content"]
    plan = plan_of(events)
    assert plan.valid and steps_of(plan)["load"]["depends_on"] == ["heat"]


def test_a_gap_is_bridged_over_all_that_is_gone() -> None:
    gone: dict[str, Any] = {
        "b": {"id": "b", "args": {"x": "${{ steps.a.y }}"}, "depends_on": ["c", "late"]},
        "c": {"id": "c", "depends_on": ["b", "f"]},
    }
    steps: list[Any] = [
        {"id": "a"},
        {"id": "d", "depends_on": ["b", "a"]},
        {"id": "e", "depends_on": ["b"]},
        {"id": "f", "depends_on": ["c"]},
        {"id": "g", "depends_on": "c"},
    ]
    document, changes = bridged({"steps": steps}, gone, keep=["e"])
    after: Any = document["steps"]
    assert [step.get("depends_on") for step in after] == [None, ["a", "f"], ["b"], ["a"], "c"]
    assert after[0] is steps[0] and after[2] is steps[2] and after[4] is steps[4]
    assert [change.pointer for change in changes] == [
        "/steps/1/depends_on",
        "/steps/3/depends_on",
    ]
    same, none = bridged(document, {}, keep=[])
    assert same is document and none == []


async def test_what_cannot_be_asked_is_not_possible_with_a_reason() -> None:
    sing = {"id": "sing", "tool": "choir.sing", "args": {"song": "hall"}}
    first = {"tasks": [LOAD, MIX, {**PIN, "args": {"board": "hall", "text": "${{ steps.sing }}"}}]}
    first["tasks"].insert(2, sing)
    with pytest.raises(PlanningError) as caught:
        await planned(first, {"tasks": [sing]})
    assert caught.value.code == "plan_not_possible"
    assert caught.value.message.startswith("not possible because unknown_tool: there is no tool")
    assert "unknown_tool" in {item.code for item in caught.value.problems}


async def test_a_model_may_say_in_a_round_that_it_is_not_possible() -> None:
    first = {"tasks": [LOAD, {"id": "sing", "tool": "choir.sing", "args": {}}]}
    with pytest.raises(NoFittingTool, match="Not possible because: nobody sings here"):
        await planned(first, {"tasks": [], "impossible": "nobody sings here"})


async def test_an_answer_that_broke_off_is_gone_on_with() -> None:
    whole = json.dumps({"tasks": [LOAD, MIX, HEAT, PIN]})

    class Cut(ScriptedModel):
        """Streams the steps that are whole; the text has no end."""

        def stream_steps(self, messages: Any, schema: Any, *, max_tokens: Any = None) -> Any:
            stream = super().stream_steps(messages, schema)

            class Steps:
                reply = property(lambda self: stream.reply)

                async def __aiter__(self) -> Any:
                    async for _ in stream:
                        raise AssertionError("the text is no JSON")
                    for position, step in enumerate([LOAD, MIX]):
                        yield position, step

            return Steps()

    model = Cut([whole[: whole.index('{"id": "heat"')], {"tasks": [HEAT, PIN]}])
    planner = ModelPlanner(Settings.load(model="scripted"), model)
    events = [event async for event in planner.stream(request_for())]
    assert list(steps_of(plan_of(events))) == ["load", "mix", "heat", "pin"]
    assert repairs(events)[-1]["added"] == ["heat", "pin"]
    assert "could not be read" in model.requests[1][-1]["content"]


async def test_a_value_that_nobody_stated_is_asked_of_the_model_and_then_of_a_person() -> None:
    goal = "Look up kiln K4, mix glaze celadon and pin it to board hall"
    note = {**PIN, "args": {"board": "hall", "text": "${{ steps.mix }}, ${{ steps.load }}"}}
    made_up = {**LOAD, "args": {"kiln": "Q9"}}
    events, model = await planned({"tasks": [made_up, MIX, note]}, {"tasks": [LOAD]}, goal=goal)
    plan = plan_of(events)
    assert plan.valid and not plan.questions and not plan.problems
    assert "neither the goal nor the input states this value" in model.requests[1][-1]["content"]
    events, _ = await planned({"tasks": [made_up, MIX, note]}, {"tasks": [made_up]}, goal=goal)
    assert [item.id for item in plan_of(events).questions] == ["load.kiln"]


async def test_long_lists_of_problems_are_asked_about_in_part() -> None:
    many = [{**WRONG, "id": f"h{n:03}", "args": {"oven": n, "warmth": n}} for n in range(90)]
    judged = strictly(*many)
    found = about(judged)
    assert len(judged.errors) == 360
    assert len(found.ids) <= 40 and len(found.problems) == 80
