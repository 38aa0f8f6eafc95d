"""What the rules cannot serve is refused by its words, or told as a doubt."""

from __future__ import annotations

from typing import Any

import pytest
from typing_extensions import TypedDict

from flowbuilder.errors import NoFittingTool, PlanningError
from flowbuilder.flow import Step
from flowbuilder.plan import Plan
from flowbuilder.settings import Settings
from flowbuilder.toolkit import load_registry
from flowbuilder.tools import ToolRegistry, tool
from tests.unit.data.rules_measure import plan_goal, registry

STARTER = registry("starter")


class Poem(TypedDict):
    poem: str
    lines: int


class Shouted(TypedDict):
    text: str


@tool
def write_poem(topic: str) -> Poem:
    """Write a poem about a topic."""
    return {"poem": topic, "lines": 1}


@tool
def shout(text: str) -> Shouted:
    """Shout a text in capital letters."""
    return {"text": text.upper()}


@tool(effects="write")
def lock_door(door: str) -> str:
    """Lock a door."""
    return door


@tool(effects="read")
def search_lawsuits(subject: str, location: str) -> list[str]:
    """Search for lawsuits about a subject, such as traffic, in a location."""
    return [subject, location]


@tool(effects="irreversible")
def refund_order(order_id: str, amount: float) -> str:
    """Refund an amount of money to the customer of an order."""
    return f"{order_id} {amount}"


@tool(effects="read")
def check_order(order_id: str) -> str:
    """Check the state of an order."""
    return order_id


@tool
def grow(start: float, final: float) -> float:
    """Compute the growth between two values."""
    return final - start


def tools(*extra: Any) -> ToolRegistry:
    found = ToolRegistry()
    for one in (*load_registry(Settings()), *extra):
        found.add(one)
    return found


def steps(plan: Plan) -> list[Step]:
    assert plan.flow is not None
    return plan.flow.steps


@pytest.mark.parametrize("verb", ["shred", "shreds", "embed", "frobbed", "shredding"])
def test_an_unknown_verb_in_any_form_is_refused_by_name(verb: str) -> None:
    with pytest.raises(NoFittingTool, match=f"{verb} it"):
        plan_goal(f"Read notes.txt and {verb} it", STARTER)


@pytest.mark.parametrize(
    "goal",
    [
        "What is notes/meeting.txt about, in short?",
        "Who is mentioned in notes/meeting.txt?",
        "How many people were at the meeting in notes/meeting.txt?",
        "Read notes/meeting.txt to find out who was there",
    ],
)
def test_a_question_about_a_file_is_not_answered_by_reading_it(goal: str) -> None:
    plan = plan_goal(goal, STARTER)
    assert "file.read" in [step.tool for step in steps(plan)]
    assert not plan.certain


def test_asking_whether_is_not_ordering_to() -> None:
    doors = tools(lock_door)
    assert [step.args for step in steps(plan_goal("Lock the front door", doors))] == [
        {"door": "front door"}
    ]
    with pytest.raises(NoFittingTool):
        plan_goal("Is the front door locked?", doors)


def test_a_goal_in_the_words_of_another_tools_description_is_not_certain() -> None:
    found = tools(search_lawsuits)
    assert not plan_goal("Find out about traffic laws in Texas.", found).certain
    assert plan_goal("Search for lawsuits about traffic in Texas.", found).certain


@pytest.mark.parametrize(
    ("goal", "content"),
    [
        ('Shout "hello" and save the text as o.txt', "${{ steps.shout.text }}"),
        ('Shout "hello" and save it as o.txt', "${{ steps.shout.text }}"),
        ("Write a poem about spring and save the poem as o.txt", "${{ steps.write_poem.poem }}"),
        ("Write a poem about spring and save it as o.txt", "${{ steps.write_poem.poem }}"),
    ],
)
def test_a_text_is_saved_without_what_stands_beside_it(goal: str, content: str) -> None:
    plan = plan_goal(goal, tools(shout, write_poem))
    assert steps(plan)[-1].args == {"path": "o.txt", "content": content}
    assert plan.certain


def test_numbers_go_where_their_nouns_point() -> None:
    orders = tools(refund_order, check_order)
    assert steps(plan_goal("Refund 25.50 for order 88123.", orders))[0].args == {
        "order_id": "88123",
        "amount": 25.5,
    }
    assert steps(plan_goal("Refund 25.50 of order 88123.", orders))[0].args == {
        "order_id": "88123",
        "amount": 25.5,
    }
    growth = tools(grow)
    plan = plan_goal("Compute the growth for a final value of 30 and a start of 20.", growth)
    assert steps(plan)[0].args == {"start": 20, "final": 30}
    assert not plan_goal("Compute the growth with 20 and 30.", growth).certain


def test_what_it_stands_for_is_carried_on() -> None:
    plan = plan_goal("Check order 88123 and refund 5.25 of it.", tools(refund_order, check_order))
    assert [step.args["order_id"] for step in steps(plan)] == ["88123", "88123"]


@pytest.mark.parametrize(
    "goal",
    [
        "Refund 25.50 for order 88123 or 88124.",
        "Refund 25.50 for every order.",
        "Refund 25.50 for order 88123 twice.",
        "Lock all doors.",
        "Lock the front door or the back door.",
    ],
)
def test_choices_and_repetitions_are_never_certain(goal: str) -> None:
    try:
        plan = plan_goal(goal, tools(refund_order, check_order, lock_door))
    except PlanningError as error:
        assert error.message
    else:
        assert not plan.certain


def test_named_values_make_an_object_and_again_another_call() -> None:
    plan = plan_goal(
        'Run the flow "summary" with species "Gentoo" and again with species "Adelie", '
        "and save both results as both.json",
        STARTER,
    )
    first, second, saved = steps(plan)
    assert [first.args, second.args] == [
        {"flow": "summary", "input": {"species": name}} for name in ("Gentoo", "Adelie")
    ]
    assert saved.args["content"] == ["${{ steps.run }}", "${{ steps.run_2 }}"]
    assert plan.certain


def test_several_texts_are_saved_together() -> None:
    plan = plan_goal("Read a.txt and b.txt, and save them as c.txt", STARTER)
    assert steps(plan)[-1].args["content"] == "${{ steps.read.text }}\n\n${{ steps.read_2.text }}"


@pytest.mark.parametrize(
    "goal",
    ["x, " * 6000, "if a then b, " * 1500, "if that fails, " * 1300, "and otherwise " * 1400],
)
def test_endless_goals_are_refused_by_one_code(goal: str) -> None:
    with pytest.raises(PlanningError) as caught:
        plan_goal(goal, STARTER)
    assert caught.value.code == "goal_too_long"


def test_a_goal_may_have_as_many_characters_as_everywhere_else() -> None:
    text = "hello " * 3000
    plan = plan_goal(f'Write "{text}" to a.txt', STARTER)
    assert steps(plan)[0].args == {"path": "a.txt", "content": text}
    with pytest.raises(PlanningError) as caught:
        plan_goal(f'Write "{text * 2}" to a.txt', STARTER)
    assert caught.value.code == "goal_too_long"


@pytest.mark.parametrize("often", ["every Monday", "daily", "each 5 minutes", "Every other week"])
def test_what_is_to_be_repeated_is_pointed_to_schedules(often: str) -> None:
    with pytest.raises(NoFittingTool) as refused:
        plan_goal(f"frobnicate the gizmo {often}", STARTER)
    assert f"“{often}”" in str(refused.value.hint) and "triggers" in str(refused.value.hint)
    with pytest.raises(NoFittingTool) as refused:
        plan_goal("frobnicate every gizmo", STARTER)
    assert "triggers" not in str(refused.value.hint)
