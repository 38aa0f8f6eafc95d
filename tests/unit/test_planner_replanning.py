"""Re-planning: what an edit may be, what policy adds, and what rules and models propose."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowbuilder.errors import PlanningError
from flowbuilder.models import ScriptedModel
from flowbuilder.planner.replanning import (
    Edit,
    FailedStep,
    NoWay,
    ReplanRequest,
    edited,
    guarded,
    judged,
)
from flowbuilder.planner.replanning_goal import is_optional, optional_clauses
from flowbuilder.planner.replanning_model import LONGEST_ERROR, ModelRePlanner, plain
from flowbuilder.planner.replanning_rules import RuleRePlanner
from flowbuilder.settings import Settings
from flowbuilder.tools import Effects, Tool, ToolRegistry
from flowbuilder.validation import validate


def _nothing(**_: Any) -> None:
    """Stand for a handler."""


def made(
    name: str, summary: str, effects: str = "read", args: str = "city", gives: str = "text"
) -> Tool:
    """Return a tool with these text parameters (`?` at the end: optional)."""
    names = args.split()
    return Tool(
        name=name,
        summary=summary,
        handler=_nothing,
        effects=Effects(effects),
        input_schema={
            "type": "object",
            "properties": {item.rstrip("?"): {"type": "string"} for item in names},
            "required": [item for item in names if not item.endswith("?")],
            "additionalProperties": False,
        },
        output_schema={
            "type": "object",
            "properties": {gives: {"type": "string"}},
            "required": [gives],
        },
    )


TOOLS = ToolRegistry([
    made("weather.primary", "Return the weather in a city."),
    made("weather.backup", "Get the weather of a city from a second service."),
    made("weather.shout", "Return the weather in a city.", "external"),
    made("weather.other", "Return the weather in a city.", gives="words"),
    made("population.count", "Return the population of a city."),
    made("customer.delete", "Delete a customer record.", "write", "id"),
    made("customer.create", "Create a customer record.", "write", "id"),
    made("record.purge", "Delete the record of a customer.", "write", "identifier"),
    made("text.upper", "Turn a text into capital letters.", "pure", "text"),
    made("text.translate", "Translate a text into English.", "pure", "text"),
    made("mail.send", "Send an e-mail.", "external", "to body"),
    made("chat.post", "Post a message to a channel.", "external", "channel text"),
    made("human.approve", "Ask a person.", "pure", "data?"),
])  # fmt: skip
LOOK: dict[str, Any] = {"id": "look", "tool": "weather.primary", "args": {"city": "Oslo"}}
SAY: dict[str, Any] = {
    "id": "say", "tool": "text.upper", "args": {"text": "${{ steps.look.text }}"},
}  # fmt: skip
MAIL: dict[str, Any] = {
    "id": "mail",
    "tool": "mail.send",
    "args": {"to": "ada@example.org", "body": "${{ steps.say.text }}"},
    "approval": {},
}


def asked(
    *steps: dict[str, Any],
    failed: str | tuple[str, ...] = "look",
    started: tuple[str, ...] = (),
    goal: str = "",
    code: str = "broken",
    message: str = "",
    **rest: Any,
) -> ReplanRequest:
    names = (failed,) if isinstance(failed, str) else failed
    by_id = {step["id"]: step for step in steps}
    return ReplanRequest(
        goal=goal,
        document={"flow": "test", "steps": list(steps), **rest},
        started=frozenset(started),
        failed=tuple(
            FailedStep(
                id=name,
                tool=by_id[name]["tool"],
                code=code,
                message=message,
                tried=frozenset({by_id[name]["tool"]}),
            )
            for name in names
        ),
        registry=TOOLS,
    )


def ruled(request: ReplanRequest) -> Edit:
    return asyncio.run(RuleRePlanner(Settings()).replan(request))


# -- what a goal says may be left out -------------------------------------------------------


@pytest.mark.parametrize(
    ("goal", "clauses"),
    [
        ("Look it up and, if possible, mail it to Ada", ["mail it to Ada"]),
        ("If possible, mail it to Ada and archive it", ["mail it to Ada"]),
        ("Mail it to Ada if possible and archive it", ["Mail it to Ada"]),
        ("Save it. Optionally post it to #news.", ["post it to #news"]),
        ("Save it, then post it (optional) and tidy up", ["post it"]),
        ("Save it, then post it to #news; this is not required", ["post it to #news"]),
        ("Post it if Bob agrees, then stop", ["Post it"]),
        ("Posting to #news is nice to have", ["Posting to #news is"]),
        ("Mail it. This step may be skipped.", ["This step"]),
        ("Mailing it is not optional", []),
        ("Mail it once I approve", []),
        ("Mail it to Ada", []),
        ("", []),
    ],
)
def test_the_parts_of_a_goal_that_need_not_be_done(goal: str, clauses: list[str]) -> None:
    assert optional_clauses(goal) == clauses


@pytest.mark.parametrize(
    ("goal", "optional"),
    [
        ("Look up the weather in Oslo and, if possible, mail it to ada@example.org", {"mail"}),
        ("If possible look up the weather in Oslo, then mail it", {"look"}),
        ("Look up the weather in Oslo and mail it to ada@example.org", set()),
        ("If possible, do something nice", set()),
    ],
)
def test_which_step_may_be_missing(goal: str, optional: set[str]) -> None:
    request = asked(LOOK, SAY, MAIL, failed="mail", goal=goal)
    assert {name for name in request.steps if is_optional(request, name)} == optional


# -- rules ----------------------------------------------------------------------------------


def test_rules_take_the_tool_that_does_the_same_and_nothing_else_changes() -> None:
    request = asked(LOOK, SAY, MAIL)
    edit = ruled(request)
    assert edit.steps == ({"id": "look", "tool": "weather.backup", "args": {"city": "Oslo"}},)
    assert "weather.primary failed" in edit.notes[0]
    document: Any = edited(request, edit)
    assert document["steps"][1] is SAY
    assert document["steps"][2] is MAIL
    assert validate(document, TOOLS).valid


def test_rules_give_arguments_their_other_names() -> None:
    step = {"id": "gone", "tool": "customer.delete", "args": {"id": "7"}, "approval": {}}
    [new] = ruled(asked(step, failed="gone")).steps
    assert new == {"id": "gone", "tool": "record.purge", "args": {"identifier": "7"}}


@pytest.mark.parametrize(
    "step",
    [
        {"id": "x", "tool": "customer.create", "args": {"id": "7"}},
        {"id": "x", "tool": "population.count", "args": {"city": "Oslo"}},
        {"id": "x", "tool": "text.translate", "args": {"text": "Ja"}},
        {"id": "x", "tool": "mail.send", "args": {"to": "ada@example.org", "body": "Hi"}},
        {**LOOK, "id": "x", "compensate": {"tool": "text.upper", "args": {"text": "x"}}},
    ],
)
def test_rules_take_no_tool_that_does_something_else(step: dict[str, Any]) -> None:
    with pytest.raises(NoWay, match="no other tool"):
        ruled(asked(step, failed="x"))


def test_what_gives_something_else_does_not_do_where_it_is_used() -> None:
    two = asked(LOOK, SAY)
    tried = frozenset({"weather.primary", "weather.backup"})
    failed = FailedStep(id="look", tool="weather.backup", code="x", message="", tried=tried)
    request = ReplanRequest(
        goal="", document=two.document, started=frozenset(), failed=(failed,), registry=TOOLS
    )
    with pytest.raises(NoWay):
        ruled(request)
    alone = ReplanRequest(
        goal="",
        document={"flow": "test", "steps": [LOOK]},
        started=frozenset(),
        failed=(failed,),
        registry=TOOLS,
    )
    assert ruled(alone).steps[0]["tool"] == "weather.other"


def test_rules_leave_out_what_was_denied_only_if_the_goal_says_so() -> None:
    goal = "Look up the weather in Oslo and mail it to ada@example.org"
    wanted = asked(
        LOOK, SAY, MAIL, failed="mail", started=("look", "say"), goal=goal, code="approval_rejected"
    )
    with pytest.raises(NoWay, match="denied"):
        ruled(wanted)
    optional = asked(
        LOOK, SAY, MAIL, {"id": "last", "tool": "text.upper", "args": {"text": "x"},
                          "depends_on": ["mail"]},
        failed="mail", started=("look", "say"), code="approval_expired",
        goal=goal.replace("and mail", "and, if possible, mail"),
    )  # fmt: skip
    edit = ruled(optional)
    assert edit.steps == ()
    assert edit.removed == {"mail", "last"}
    used = asked(
        LOOK, SAY, MAIL, failed="mail", started=("look", "say"), code="approval_rejected",
        goal=optional.goal, output="${{ steps.mail.text }}",
    )  # fmt: skip
    with pytest.raises(NoWay, match="holds together"):
        ruled(used)


def test_nothing_that_has_started_is_left_out() -> None:
    late = {"id": "late", "tool": "text.upper", "args": {"text": "x"}, "depends_on": ["look"],
            "trigger_rule": "all_done"}  # fmt: skip
    request = asked(
        LOOK, late, started=("late",), goal="If possible look up the weather",
        code="approval_rejected",
    )  # fmt: skip
    with pytest.raises(NoWay, match="has started"):
        ruled(request)


def test_a_map_stays_a_map() -> None:
    step = {"id": "each", "tool": "weather.primary", "for_each": ["a", "b"],
            "args": {"city": "Oslo"}}  # fmt: skip
    [new] = ruled(asked(step, failed="each")).steps
    assert new == {**step, "tool": "weather.backup"}


def test_a_new_plan_has_its_bounds() -> None:
    request = replace(asked(LOOK, SAY), max_steps=2)
    new: Any = {"id": "look", "tool": "weather.backup", "args": {"city": "Oslo"}}
    more: Any = {"id": "more", "tool": "text.upper", "args": {"text": "x"}}
    assert judged(request, Edit(steps=(new,))) == []
    found = judged(request, Edit(steps=(new, more)))
    assert [item.code for item in found] == ["too_many_steps"]


def test_all_failed_steps_are_seen_to() -> None:
    other = {"id": "too", "tool": "weather.primary", "args": {"city": "Rome"}}
    edit = ruled(asked(LOOK, other, failed=("look", "too")))
    assert [step["tool"] for step in edit.steps] == ["weather.backup"] * 2


def test_the_goal_may_say_which_other_tool_is_meant() -> None:
    """Alike in no word of their own, but the goal is planned with the other one then."""
    tools = ToolRegistry([
        made("oracle.tell", "Tell how the sky is going to look."),
        made("forecast.show", "Forecast the weather of a city."),
        made("mail.send", "Send an e-mail.", "external", "to body"),
    ])  # fmt: skip
    step: Any = {"id": "a", "tool": "oracle.tell", "args": {"city": "Oslo"}}
    request = ReplanRequest(
        goal="Forecast the weather of Oslo",
        document={"flow": "t", "steps": [step]},
        started=frozenset(),
        failed=(FailedStep(id="a", tool="oracle.tell", code="x", message=""),),
        registry=tools,
    )
    assert ruled(request).steps[0]["tool"] == "forecast.show"
    with pytest.raises(NoWay):
        ruled(replace(request, goal="Do something else"))


# -- edits ----------------------------------------------------------------------------------


def test_a_replaced_step_keeps_what_was_decided_of_it() -> None:
    old = {
        **MAIL, "when": "true", "retry": {"max_attempts": 5}, "depends_on": ["look"],
        "on_error": "continue", "compensate": {"tool": "text.upper", "args": {"text": "x"}},
    }  # fmt: skip
    request = asked(LOOK, SAY, old, failed="mail")
    new: Any = {"id": "mail", "tool": "chat.post", "args": {"channel": "a", "text": "b"}}
    document: Any = edited(request, Edit(steps=(new,), removed=frozenset({"look"})))
    step = document["steps"][-1]
    assert step == {
        **new, "approval": {}, "retry": {"max_attempts": 5}, "on_error": "continue",
        "when": "true", "depends_on": [],
    }  # fmt: skip
    same: Any = edited(request, Edit(steps=({**new, "tool": "mail.send"},)))
    assert "compensate" in same["steps"][-1]


def test_what_is_wrong_with_an_edit_is_said_all_at_once() -> None:
    request = asked(LOOK, SAY, MAIL, started=("say",))
    change: Any = {"id": "say", "tool": "text.upper", "args": {"text": "other"}}
    bad: Any = {"id": "new", "tool": "no.such", "args": {"x": "${{ steps.nobody }}"}}
    codes = [item.code for item in judged(request, Edit(steps=(change, bad)))]
    assert {"step_started", "step_failed", "unknown_tool"} <= {*codes}
    gone = judged(request, Edit(removed=frozenset({"look", "say"})))
    assert {"step_started", "unknown_step_reference"} <= {item.code for item in gone}


def test_what_was_wrong_before_is_not_held_against_an_edit() -> None:
    foreign = {"id": "own", "tool": "function.worker.own", "args": {}}
    request = asked(foreign, LOOK, started=("own",))
    new: Any = {"id": "look", "tool": "weather.backup", "args": {"city": "Oslo"}}
    assert judged(request, Edit(steps=(new,))) == []
    again: Any = {**foreign, "id": "look"}
    assert [item.code for item in judged(request, Edit(steps=(again,)))] == ["unknown_tool"]


def test_addresses_are_those_of_the_goal_or_the_plan() -> None:
    request = asked(LOOK, SAY, MAIL, failed="mail", goal="Write to bob@example.org or so")
    for to, wrong in (
        ("ada@example.org", []),
        ("bob@example.org", []),
        ("eve@evil.example", ["literal_invented"]),
    ):
        new: Any = {**MAIL, "args": {"to": to, "body": "x"}}
        assert [item.code for item in judged(request, Edit(steps=(new,)))] == wrong


def test_a_denied_step_does_not_come_again_under_another_name() -> None:
    request = asked(LOOK, SAY, MAIL, failed="mail", code="approval_rejected")
    twin: Any = {"id": "post", "tool": "mail.send@1", "args": MAIL["args"]}
    found = judged(request, Edit(steps=(twin,), removed=frozenset({"mail"})))
    assert [item.code for item in found] == ["denied_before"]


# -- policy ---------------------------------------------------------------------------------


def approvals(request: ReplanRequest, edit: Edit) -> dict[str, bool]:
    flow, document, _ = guarded(request, edited(request, edit))
    steps: Any = document["steps"]
    assert {step.id: step.approval is not None for step in flow.steps} == {
        step["id"]: "approval" in step for step in steps
    }
    return {step.id: step.approval is not None for step in flow.steps}


def test_more_effects_than_the_plan_had_need_a_person() -> None:
    request = asked(SAY | {"args": {"text": "x"}}, failed="say")
    read: Any = {"id": "say", "tool": "weather.backup", "args": {"city": "Oslo"}}
    assert approvals(request, Edit(steps=(read,))) == {"say": True}  # pure before
    post: Any = {"id": "post", "tool": "chat.post", "args": {"channel": "a", "text": "b"}}
    mailing = asked(LOOK, {**MAIL, "args": {"to": "ada@example.org", "body": "x"}})
    new: Any = {"id": "look", "tool": "weather.backup", "args": {"city": "Oslo"}}
    assert approvals(mailing, Edit(steps=(new, post))) == {
        "look": False, "mail": True, "post": True,
    }  # fmt: skip


def test_who_approves_is_told_what_may_have_been_done_already() -> None:
    request = asked(LOOK, SAY, {**MAIL, "approval": {"message": "Mail Ada?"}}, failed="mail")
    new: Any = {"id": "mail", "tool": "chat.post", "args": {"channel": "a", "text": "b"}}
    flow, _, _ = guarded(request, edited(request, Edit(steps=(new,))))
    approval = flow.steps[-1].approval
    assert approval is not None
    assert approval.message is not None
    assert approval.message.startswith("Mail Ada? mail.send failed here before")
    denied = replace(request, failed=(replace(request.failed[0], code="approval_rejected"),))
    flow, _, _ = guarded(denied, edited(denied, Edit(steps=(new,))))
    assert flow.steps[-1].approval is not None
    assert flow.steps[-1].approval.message == "Mail Ada?"


def test_what_undoes_a_new_step_needs_a_person_as_a_step_does() -> None:
    request = asked(LOOK, SAY)
    undo: Any = {"tool": "mail.send", "args": {"to": "ada@example.org", "body": "x"}}
    new: Any = {"id": "look", "tool": "weather.backup", "args": {"city": "Oslo"},
                "compensate": undo}  # fmt: skip
    flow, _, _ = guarded(request, edited(request, Edit(steps=(new,))))
    undoing = flow.steps[0].compensate
    assert undoing is not None and undoing.approval is not None


def test_what_nothing_has_changed_for_stays_as_it_is() -> None:
    """Also where its author wanted no approval that policy would ask for."""
    plain_mail = {key: value for key, value in MAIL.items() if key != "approval"}
    request = asked(LOOK, SAY, plain_mail)
    new: Any = {"id": "look", "tool": "weather.backup", "args": {"city": "Oslo"}}
    _, document, notes = guarded(request, edited(request, Edit(steps=(new,))))
    steps: Any = document["steps"]
    assert steps[1] is SAY
    assert steps[2] is plain_mail
    assert notes == []


def test_a_person_who_was_asked_before_is_not_left_out_unnoticed() -> None:
    text = "${{ steps.look.text }}"
    gate = {"id": "gate", "tool": "human.approve", "args": {"data": text}}
    mail = {"id": "mail", "tool": "mail.send", "depends_on": ["gate"],
            "args": {"to": "ada@example.org", "body": text}}  # fmt: skip
    request = asked(LOOK, gate, mail, failed="gate", started=("look",), code="boom")
    free: Any = {key: value for key, value in mail.items() if key != "depends_on"}
    edit = Edit(steps=({**free, "depends_on": []},), removed=frozenset({"gate"}))
    assert approvals(request, edit)["mail"]


# -- models ---------------------------------------------------------------------------------


def test_a_text_from_outside_is_cut_and_without_structure() -> None:
    told = plain('a\n\nb "c" <d> {e}\x00\u202e' + "x" * 1000)
    assert told.startswith("a b 'c' d e xxx")
    assert len(told) == LONGEST_ERROR
    assert not set('\n"<>{}') & set(told)


def test_a_model_s_step_brings_no_policy_of_its_own() -> None:
    answer: Any = {"tasks": [{
        "id": "mail", "tool": "mail.send", "args": {"to": "ada@example.org", "body": "x"},
        "approval": None, "on_error": "continue", "retry": {"max_attempts": 99},
    }]}  # fmt: skip
    request = asked(LOOK, SAY, MAIL, failed="mail")
    edit = asyncio.run(ModelRePlanner(Settings(), ScriptedModel([answer])).replan(request))
    assert edit.steps == (
        {"id": "mail", "tool": "mail.send", "args": {"to": "ada@example.org", "body": "x"}},
    )
    assert edit.usage.calls == 1
    assert approvals(request, edit)["mail"]


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(
        ["", "look", "say", "drop", "none", "mail.send", "text.upper", "${{ steps.look.text }}",
         "${{ ask: x }}", "${{ nobody }}", "../x", "id", "eve@evil.example"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["id", "tool", "args", "text", "to", "after", "for_each", "when"]), inner,
        max_size=4),
    max_leaves=12,
)  # fmt: skip
_TASKS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "id": st.sampled_from(["look", "say", "mail", "new", "x y"]) | _VALUES,
            "tool": st.sampled_from(["text.upper", "mail.send", "drop", "none"]) | _VALUES,
            "args": _VALUES,
            "after": _VALUES,
            "for_each": _VALUES,
            "when": _VALUES,
        },
    ),
    max_size=4,
)


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(_TASKS | _VALUES)
def test_no_answer_breaks_it_and_none_does_what_it_may_not(tasks: Any) -> None:
    request = asked(LOOK, SAY, MAIL, started=("look",), failed="say")
    text = json.dumps({"tasks": tasks})
    planner = ModelRePlanner(Settings(), ScriptedModel([text] * 3))
    try:
        edit = asyncio.run(planner.replan(request))
    except PlanningError:
        return
    flow, document, _ = guarded(request, edited(request, edit))
    steps: Any = document["steps"]
    assert steps[0] is LOOK
    assert validate(document, TOOLS).valid
    for step in flow.steps:
        tool = TOOLS.require(step.tool)
        assert tool.effects in (Effects.PURE, Effects.READ) or step.approval is not None
    assert "evil.example" not in json.dumps(document)


def test_errors_carry_what_was_spent() -> None:
    request = asked(LOOK)
    cases: list[tuple[list[Any], type[PlanningError]]] = [
        ([{"tasks": [{"id": "x", "tool": "none", "args": {"reason": "no"}}]}], NoWay),
        (["nonsense", "nonsense"], PlanningError),
    ]
    for answers, error in cases:
        with pytest.raises(error) as caught:
            asyncio.run(ModelRePlanner(Settings(), ScriptedModel(answers)).replan(request))
        assert isinstance(caught.value, PlanningError)
        assert caught.value.usage is not None
        assert caught.value.usage["calls"] == len(answers)
