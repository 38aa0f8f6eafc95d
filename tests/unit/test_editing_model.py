"""Edits by words with a model: it answers with changes by step id."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from flowbuilder.errors import ModelError, PlanningError
from flowbuilder.models import ScriptedModel
from flowbuilder.plan import Plan
from flowbuilder.planner.editing import proposal
from flowbuilder.planner.editing_model import changes_schema
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.schemas import value_problems
from flowbuilder.settings import Settings
from tests.support.revising import BRIEF, REGISTRY, TOP, request


async def edited(
    document: dict[str, Any], words: str, *answers: Any, **settings: Any
) -> tuple[Plan, ScriptedModel]:
    model = ScriptedModel(answers)
    asked = request(document, words)
    made = await ModelPlanner(Settings(**settings), model).edit(asked)
    return proposal(asked, made, planner="model"), model


def steps(made: Plan) -> dict[str, dict[str, Any]]:
    assert made.flow is not None
    document: Any = made.flow.document()
    return {step["id"]: step for step in document["steps"]}


POST = {
    "op": "add",
    "id": "tell",
    "tool": "chat.post",
    "args": {"channel": "#news", "text": "${{ sum }}"},
}


async def test_a_patch_leaves_everything_that_it_does_not_list() -> None:
    made, model = await edited(BRIEF, "also post it to #news", {"changes": [POST]})
    assert steps(made)["tell"]["args"] == {"channel": "#news", "text": "${{ steps.sum }}"}
    for step in BRIEF["steps"]:
        assert orjson.dumps(steps(made)[step["id"]]) == orjson.dumps(step)
    assert made.valid
    assert (made.planner, made.model) == ("model", "scripted")
    assert steps(made)["tell"]["approval"]["message"].startswith("chat.post would use data")
    told = model.requests[0][-1]["content"]
    assert "also post it to #news" in told
    assert "chat.post(" in told
    assert '"approval"' not in told


async def test_arguments_are_set_and_dropped_one_by_one() -> None:
    patch = {"op": "set", "id": "best", "args": {"descending": False}, "drop": ["limit"]}
    made, _ = await edited(TOP, "all of them, ascending", {"changes": [patch]})
    assert steps(made)["best"]["args"] == {
        "rows": "${{ steps.read }}",
        "by": "amount",
        "descending": False,
    }


async def test_a_removed_step_is_passed_by() -> None:
    made, _ = await edited(TOP, "no sorting", {"changes": [{"op": "remove", "id": "best"}]})
    assert list(steps(made)) == ["read", "write"]
    assert steps(made)["write"]["args"]["rows"] == "${{ steps.read }}"


async def test_a_new_step_never_takes_the_place_of_another() -> None:
    made, _ = await edited(BRIEF, "post it to #news too", {"changes": [{**POST, "id": "mail"}]})
    assert list(steps(made)) == ["fetch", "sum", "mail", "mail_2"]


async def test_what_the_model_asks_or_makes_up_becomes_a_question() -> None:
    asking = {**POST, "args": {"channel": "${{ ask: Which channel? }}", "text": "${{ steps.sum }}"}}
    made, _ = await edited(BRIEF, "also post it", {"changes": [asking]})
    (question,) = made.questions
    assert (question.id, question.text, question.pointer) == (
        "tell.channel",
        "Which channel?",
        "/steps/3/args/channel",
    )
    assert question.type["type"] == "string"
    invented = {"op": "set", "id": "mail", "args": {"to": "boss@evil.example"}}
    made, _ = await edited(BRIEF, "send it to my boss instead", {"changes": [invented]})
    assert [item.id for item in made.questions] == ["mail.to"]
    assert "to" not in steps(made)["mail"]["args"]


async def test_problems_are_told_once() -> None:
    wrong = {**POST, "args": {"channel": "#news", "text": "${{ steps.nothing }}"}}
    made, model = await edited(
        BRIEF, "also post it to #news", {"changes": [wrong]}, {"changes": [POST]}
    )
    assert made.valid
    assert "nothing" in model.requests[1][-1]["content"]
    with pytest.raises(PlanningError) as refused:
        await edited(BRIEF, "post to #news", {"changes": [wrong]}, {"changes": [wrong]})
    assert refused.value.code == "edit_invalid"
    assert refused.value.problems


async def test_an_honest_refusal_is_passed_on() -> None:
    with pytest.raises(PlanningError) as refused:
        await edited(BRIEF, "fax it", {"changes": [], "impossible": "No tool sends a fax."})
    assert (refused.value.code, "fax" in refused.value.message) == ("edit_impossible", True)
    with pytest.raises(PlanningError) as nothing:
        await edited(BRIEF, "hm", {"changes": []})
    assert nothing.value.code == "edit_changes_nothing"
    with pytest.raises(ModelError):
        await edited(BRIEF, "hm", ModelError("down"))


async def test_what_rules_are_sure_of_needs_no_small_model() -> None:
    made, model = await edited(
        TOP, "change the limit to 10", model_api_base="http://127.0.0.1:1/v1", model="openai/x"
    )
    assert steps(made)["best"]["args"]["limit"] == 10
    assert model.requests == []


def test_the_schema_takes_changes_of_known_steps_alone() -> None:
    schema = changes_schema(list(REGISTRY), ["fetch", "sum"])

    def fits(value: Any) -> bool:
        return not value_problems(schema, value, code="", pointer="")

    assert fits({"changes": [{"op": "add", "id": "x", "tool": "chat.post", "args": {}}]})
    assert fits({"changes": [{"op": "set", "id": "sum", "drop": ["a"]}], "impossible": ""})
    assert not fits({"changes": [{"op": "set", "id": "other"}]})
    assert not fits({"changes": [{"op": "add", "id": "x", "tool": "rm.all", "args": {}}]})
    assert not fits({"changes": [{"op": "remove", "id": "sum", "approval": None}]})
