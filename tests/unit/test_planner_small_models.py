"""What small models are held to: eligible tools, the catalogue's examples, refusals, ends."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.errors import ModelOutputError, NoFittingTool
from flowbuilder.models import ScriptedModel
from flowbuilder.planner import prompting
from flowbuilder.planner.demonstration import demonstrations
from flowbuilder.planner.eligibility import eligible
from flowbuilder.planner.judging import judge
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.settings import Settings
from flowbuilder.tools import tool
from tests.support.archive import (
    OWN,
    PAGE,
    REGISTRY,
    TOOLS,
    answer,
    names,
    open_archive,
    post_mail,
    request,
    run,
    step,
    tools_of,
)


def test_only_tools_with_something_of_the_goal_to_work_on_are_eligible() -> None:
    assert names("Give me the lines of crew.txt by age.") == {
        "shelf.read",
        "tree.pick",
        "lines.sort",
        "shelf.put",
    }
    found = names(f"eve@example.org wants {PAGE} in Welsh.")
    assert {"archive.open", "tongue.render", "post.mail"} <= found
    assert not {"shelf.read", "shelf.put", "wall.pin"} & found


def test_what_the_goal_speaks_of_or_the_input_brings_stays_eligible() -> None:
    assert "wall.pin" in names('Pin "Closed" to the wall.')
    assert "post.mail" in names('Mail "Closed" to Eve.')
    assert names("Do it.", input={"url": PAGE}) == {item.name for item in REGISTRY}


def test_no_tool_is_shut_out_where_none_would_be_left() -> None:
    asked = request("Do it.")
    assert eligible(asked, [open_archive, post_mail]) == [open_archive, post_mail]


def test_examples_are_made_of_the_catalogue_and_are_valid_plans() -> None:
    found = demonstrations(TOOLS)
    assert {item.goal for item in found} >= {
        '"All is well" is what one.txt should have.',
        '"All is well" is what lee@desk.example should have.',
    }
    assert any(len(item.tasks) == 3 for item in found)
    for item in found:
        judged = judge(answer(*item.tasks), request(item.goal))
        assert judged.document is not None and not judged.errors, judged.errors
        assert judged.flow is not None and not judged.questions


def test_a_catalogue_without_anything_to_join_needs_no_examples() -> None:
    @tool("odd.job", effects="read")
    def odd_job(settings: dict[str, int]) -> None:
        """Do an odd job."""

    assert demonstrations([odd_job]) == []
    assert demonstrations([]) == []


def test_examples_of_the_catalogue_are_for_servers_of_ones_own() -> None:
    asked = request(f"Open {PAGE}.")
    plain = prompting.plan_messages(asked, TOOLS)
    shown = prompting.plan_messages(asked, TOOLS, shown=True)
    assert len(shown) == len(plain) + 2 * len(demonstrations(TOOLS))
    assert shown[-1]["content"] == f"Goal: Open {PAGE}."
    again = prompting.plan_messages(request("Read crew.txt."), TOOLS, shown=True)
    assert again[:-1] == shown[:-1]


REFUSAL: dict[str, Any] = {"tasks": [{"id": "s1", "tool": "none", "args": {"reason": "No tool."}}]}


async def test_a_refusal_is_taken_back_by_a_plan_that_carries_all() -> None:
    plan, model = await run(
        '#deck ought to hear "Closed".',
        REFUSAL,
        {"tasks": [step(1, "wall.pin", channel="#deck", message="Closed")]},
    )
    assert plan.valid and tools_of(plan) == ["wall.pin"] and len(model.requests) == 2


@pytest.mark.parametrize(
    ("goal", "settings", "calls"),
    [
        ("Whitewash the fence.", OWN, 1),
        ('#deck ought to smell "Closed".', OWN, 2),
        ('#deck ought to hear "Closed".', {"plan_repairs": 2}, 1),
    ],
)
async def test_a_refusal_stands_otherwise(goal: str, settings: dict[str, Any], calls: int) -> None:
    other: dict[str, Any] = {"tasks": [step(1, "wall.pin", channel="#bridge", message="Open")]}
    model = ScriptedModel([REFUSAL, other])
    planner = ModelPlanner(Settings.load(model="scripted", **settings), model)
    with pytest.raises(NoFittingTool):
        async for _ in planner.stream(request(goal)):
            pass
    assert len(model.requests) == calls


class Cut(ScriptedModel):
    """A model whose first answers are cut at the length limit."""

    def __init__(self, *answers: Any, cut: int) -> None:
        super().__init__(answers)
        self._cut = cut

    def _next(self, messages: Any) -> Any:
        from dataclasses import replace

        reply = super()._next(messages)
        self._cut -= 1
        return replace(reply, truncated=self._cut >= 0)


GOAL = '#deck ought to hear "Closed".'
PINNED: dict[str, Any] = {"tasks": [step(1, "wall.pin", channel="#deck", message="Closed")]}


async def test_an_answer_without_end_is_asked_for_again() -> None:
    model = Cut('{"tasks": [{"id": "s1", "to', PINNED, cut=1)
    planner = ModelPlanner(Settings.load(model="scripted", **OWN), model)
    found = [event async for event in planner.stream(request(GOAL))]
    plan = found[-1].plan
    assert plan is not None and plan.valid and tools_of(plan) == ["wall.pin"]
    assert "no end" in model.requests[1][-1]["content"]


@pytest.mark.parametrize(("settings", "calls"), [(OWN, 3), ({"plan_repairs": 2}, 1)])
async def test_answers_that_never_end_are_an_error(settings: dict[str, Any], calls: int) -> None:
    model = Cut('{"a', '{"b', '{"c', '{"d', cut=9)
    planner = ModelPlanner(Settings.load(model="scripted", **settings), model)
    with pytest.raises(ModelOutputError) as caught:
        async for _ in planner.stream(request(GOAL)):
            pass
    assert caught.value.code == "model_output_truncated"
    assert len(model.requests) == calls
