"""Plans whose steps are right one by one and not what was asked: planned otherwise, or doubted."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.plan import Plan
from flowbuilder.settings import Settings
from flowbuilder.toolkit import load_registry, with_own_tools
from flowbuilder.tools import ToolRegistry, tool
from tests.unit.data.rules_measure import plan_goal, registry

STARTER = registry("starter")


@tool(effects="irreversible")
def move_stock(source_store: str, target_store: str, pieces: int) -> str:
    """Move pieces of stock from one store to another."""
    return f"{source_store} {target_store} {pieces}"


@tool(effects="read")
def list_moves(store: str) -> list[str]:
    """List the moves of a store."""
    return [store]


@tool(effects="irreversible")
def cancel_order(order_id: str) -> str:
    """Cancel an order."""
    return order_id


def own(*tools: Any) -> ToolRegistry:
    return with_own_tools(load_registry(Settings()), tools)


def arguments(plan: Plan, name: str) -> dict[str, Any]:
    assert plan.flow is not None
    return next(dict(step.args) for step in plan.flow.steps if step.tool == name)


def test_appending_is_not_overwriting() -> None:
    plan = plan_goal('Append "done" to log.txt', STARTER)
    assert plan.certain
    assert arguments(plan, "file.write")["mode"] == "append"
    assert "mode" not in arguments(plan_goal('Save "done" to log.txt', STARTER), "file.write")


def test_a_column_gets_a_new_name_and_the_others_stay() -> None:
    plan = plan_goal("Rename the column qty to quantity in a.csv and save it as b.csv", STARTER)
    given = arguments(plan, "data.select")
    assert given["rename"] == {"qty": "quantity"}
    assert "fields" not in given


def test_a_computed_count_is_kept_and_not_the_number_of_rows_that_hold_it() -> None:
    goal = "Read a.csv, count the rows where status is open and save the count as n.json"
    kept = arguments(plan_goal(goal, STARTER), "file.write")["content"]
    assert kept == "${{ steps.aggregate.records }}"


@pytest.mark.parametrize(
    "goal",
    [
        "Read a.csv, remove duplicate rows and save it as b.csv",
        "Read a.csv, keep the last 5 rows and save them as b.csv",
        "Read a.csv, keep the rows where amount is above the average, and save them as b.csv",
        "Join a.csv with b.csv on id, keeping every row of a.csv, and save it as c.csv",
        "Which customer in a.csv has the highest total amount?",
        "Parse a.xml and save it as a.json",
        "Read a.yaml and save it as a.json",
        "Convert a.json to CSV and save it as a.csv",
        'Fetch https://example.com/a.json and save only the field "name" as name.txt',
        "Read a.txt and then read b.txt, and save a.txt as c.txt",
        "Make the living room two degrees warmer",
        "What time is it?",
    ],
)
def test_what_looks_right_and_is_not_is_never_certain(goal: str) -> None:
    try:
        plan = plan_goal(goal, STARTER)
    except Exception as error:
        assert getattr(error, "code", None) == "no_fitting_tool", error
        return
    assert not plan.certain


@pytest.mark.parametrize(
    "goal",
    [
        "Read a.csv, keep the first 5 rows and save them as b.csv",
        "Read a.csv, sort it by amount descending, keep the top 5 and save them as b.csv",
        "Read a.csv, compute the highest amount per city and save it as b.csv",
        "Read a.txt and save it as b.md",
        "Load a.json, parse the JSON and write it to b.json",
        "Write a haiku about autumn and save it to haiku.txt",
    ],
)
def test_what_is_right_stays_certain(goal: str) -> None:
    plan = plan_goal(goal, STARTER)
    assert plan.certain, plan.notes


@pytest.mark.parametrize(
    "goal", ["Move 50 pieces from Oslo to Rome", "Move 50 to Rome", "Cancel the order of yesterday"]
)
def test_looking_at_things_is_not_doing_them(goal: str) -> None:
    plan = plan_goal(goal, own(move_stock, list_moves, cancel_order))
    assert plan.flow is not None
    looks = [step.tool for step in plan.flow.steps] == ["list_moves"]
    assert not plan.certain or not looks
    assert not (plan.certain and "yesterday" in str(plan.flow.steps))


@pytest.mark.parametrize(
    "goal",
    [
        "Read a.csv, count its words, and save the counts",
        "Count the words of a.txt and save the word count",
        "Read a.csv, count the rows, and store the count",
        "Read a.txt, translate it to German and save the translation",
        "Fetch https://example.com/a and save the page",
        "Read a.txt, count its words, save the counts as counts.json and save the words",
        'Write "hello" to a.txt, read a.txt, count its words and save the counts',
        'Save "a" to a.txt and save "b"',
    ],
)
def test_what_is_kept_without_a_place_is_asked_where_to(goal: str) -> None:
    plan = plan_goal(goal, STARTER)
    assert plan.flow is not None
    kept = [step for step in plan.flow.steps if step.tool == "file.write"]
    assert "path" not in kept[-1].args
    assert [item.id for item in plan.questions] == [f"{kept[-1].id}.path"]
    assert all("Save the" not in str(step.args) for step in plan.flow.steps)
    assert not plan.certain


@pytest.mark.parametrize("place", ["to it", "to the file", "to the same file", "there"])
def test_what_is_pointed_at_is_the_file_that_was_written(place: str) -> None:
    plan = plan_goal(f'Write "a" to log.txt, then append "b" {place}', STARTER)
    assert plan.flow is not None
    assert plan.flow.steps[1].args["path"] == "${{ steps.write.path }}"
    assert not plan.questions


def test_in_a_file_that_is_read_is_hardly_where_to_write() -> None:
    told = "write would write over “a.csv”, which read reads."
    goal = "Sort the rows in a.csv by price and save the rows {} a.csv"
    for place in ("in", "in file", "in the file"):
        plan = plan_goal(goal.format(place), STARTER)
        assert told in plan.notes, place
        assert not plan.certain
    for place in ("to", "as"):
        plan = plan_goal(goal.format(place), STARTER)
        assert told not in plan.notes
        assert plan.certain, plan.notes
    assert told not in plan_goal('Read a.csv and append "x" in a.csv', STARTER).notes


@pytest.mark.parametrize("part", ["titles", "names"])
def test_a_whole_that_is_kept_where_its_parts_are_asked_for_is_doubted(part: str) -> None:
    plan = plan_goal(f"Read notes.txt and write the {part} to out.txt", STARTER)
    assert not plan.certain
    assert f"no step gives “{part}” of “write the {part} to out.txt”." in plan.notes
    assert plan_goal(f"Read {part}.txt and write the {part} to out.txt", STARTER).certain


@pytest.mark.parametrize("subject", ["rows", "those"])
def test_rows_picked_after_others_were_saved_may_be_picked_from_all(subject: str) -> None:
    goal = (
        "Read a.csv, keep the rows where price is above 10 and save them as hi.csv, "
        f"and keep {subject} where price is below 5 and save as lo.csv"
    )
    plan = plan_goal(goal, STARTER)
    assert not plan.certain
    assert "filter_2 picks from the rows that filter has picked, not from all." in plan.notes


def test_rows_that_are_picked_of_those_picked_before_are_not_doubted() -> None:
    goal = (
        "Read a.csv, keep the rows where price is above 10 and save them as hi.csv, "
        "then keep those where city is Rome and save as lo.csv"
    )
    assert plan_goal(goal, STARTER).certain
