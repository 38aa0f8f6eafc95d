"""Order, conditions, maps and breaks of a goal: what is planned, and what is only uncertain."""

from __future__ import annotations

import pytest

from flowbuilder.errors import NoFittingTool
from flowbuilder.flow import Step
from flowbuilder.plan import Plan, PlanStatus
from flowbuilder.planner.rules.clauses import split_goal
from tests.unit.data.rules_measure import plan_goal, registry


def starter(goal: str) -> Plan:
    return plan_goal(goal, registry("starter"))


def step(plan: Plan, name: str) -> Step:
    assert plan.flow is not None
    return next(item for item in plan.flow.steps if item.id == name)


@pytest.mark.parametrize(
    "tail",
    [
        ", and if there are any save them as out/high.csv",
        ", and if there are any rows, save them as out/high.csv",
        ", and save them as out/high.csv if there are any",
        ". If there are any, save them as out/high.csv",
    ],
)
def test_a_condition_holds_for_what_is_saved_not_for_the_filter(tail: str) -> None:
    plan = starter(f"Read a.csv, keep the rows where level is above 8{tail}")
    assert step(plan, "filter").when is None
    assert step(plan, "filter").args["where"] == {"level": {"gt": 8}}
    assert step(plan, "write").when == "size(steps.filter.records) > 0"


@pytest.mark.parametrize(
    ("goal", "waits"),
    [
        ('Wait 1 second, then save "done" to flag.txt', {"write": ["sleep"]}),
        ('Save "a" to a.txt, and after that wait 1 second and save "b" to b.txt',
         {"sleep": ["write"], "write_2": ["sleep"]}),
        ('Save "a" to a.txt, wait 1 second and save "b" to b.txt',
         {"sleep": ["write"], "write_2": ["sleep"]}),
        ('Save "a" to a.txt and then save "b" to b.txt', {"write_2": ["write"]}),
        ('Save "a" to a.txt and save "b" to b.txt', {"write_2": []}),
        ("Read a.txt, then save it as b.txt", {"write": []}),
    ],
)  # fmt: skip
def test_words_of_order_and_pauses_become_dependencies(
    goal: str, waits: dict[str, list[str]]
) -> None:
    plan = starter(goal)
    assert {name: list(step(plan, name).depends_on) for name in waits} == waits


def test_a_step_after_one_that_may_be_skipped_is_uncertain() -> None:
    plan = starter(
        "Read a.csv, keep the rows where level is above 8 and save them as b.csv if there are any, "
        'then save "done" to c.txt'
    )
    assert not plan.certain


def test_a_shared_join_column_is_given_once() -> None:
    plan = starter("Join orders.csv with customers.csv on customer_id and save it as full.csv")
    args = step(plan, "join").args
    assert args["on"] == "customer_id"
    assert not {"left_on", "right_on"} & set(args)


def test_what_belongs_to_a_group_is_taken_from_the_element() -> None:
    plan = starter(
        "Read staff.csv, group the rows by team, and for each group save its records as "
        "teams/<team>.csv"
    )
    write = step(plan, "write")
    assert write.for_each == "${{ steps.group.groups }}"
    assert write.args["content"] == "${{ item.records }}"
    assert write.args["path"] == "teams/${{ item.key }}.csv"


@pytest.mark.parametrize(
    "goal",
    [
        "Read a.csv, group the rows by team. For each group, save its records as out/teams.csv",
        'Read a.csv, count the rows by kind and, for each row, run the flow "x", then save the '
        "results as out.json",
        "Read a.txt and save it as out/<name>.txt",
    ],
)
def test_a_map_that_tells_its_elements_apart_nowhere_is_uncertain(goal: str) -> None:
    assert not starter(goal).certain


def test_for_each_after_a_comma_starts_a_clause() -> None:
    found = split_goal("group it by team, and for each group save it as x.csv", frozenset())
    assert [clause.text for clause in found] == [
        "group it by team", "for each group", "save it as x.csv"
    ]  # fmt: skip


def test_an_approval_is_asked_once_for_what_has_effects() -> None:
    plan = starter(
        "Read a.csv, sort by mass descending, keep the top 5 and, once I approve, save them as "
        "out/top.csv"
    )
    assert plan.flow is not None
    assert [item.id for item in plan.flow.steps if item.approval is not None] == ["write"]


def test_a_wrapped_line_is_one_clause_and_a_list_is_not() -> None:
    wrapped = split_goal("sort by mass and save them as\nout/x.csv", frozenset())
    assert [clause.text for clause in wrapped] == ["sort by mass", "save them as out/x.csv"]
    listed = split_goal("Read a.txt\nSave it as b.txt", frozenset())
    assert [clause.text for clause in listed] == ["Read a.txt", "Save it as b.txt"]


def test_an_unknown_order_in_the_middle_is_refused_by_its_words() -> None:
    with pytest.raises(NoFittingTool, match="fax it to the tax office"):
        starter("Read notes.txt and fax it to the tax office")


def test_a_place_left_out_is_asked_for() -> None:
    plan = starter("Read notes.txt and save it")
    assert plan.status is PlanStatus.NEEDS_ANSWERS
    assert [question.id for question in plan.questions] == ["write.path"]


@pytest.mark.parametrize("counted", ["more than 3 rows", "at least 10 lines", "over 300 words"])
def test_rows_are_no_bytes(counted: str) -> None:
    plan = starter(f"Read a.csv and only if it has {counted} save it as b.csv")
    assert plan.status is PlanStatus.NEEDS_ANSWERS and not plan.certain
    assert [question.pointer for question in plan.questions] == ["/steps/1/when"]
    bytes_of_it = starter("Read a.csv and only if it has more than 300 bytes save it as b.csv")
    assert bytes_of_it.certain and step(bytes_of_it, "write").when == "steps.read.bytes > 300"


@pytest.mark.parametrize(
    ("words", "descending"),
    [
        ("highest last", False),
        ("lowest last", True),
        ("highest first", True),
        ("lowest first", False),
        ("with the newest ones last", False),
        ("with the cheapest at the end", True),
    ],
)
def test_what_comes_last_does_not_come_first(words: str, descending: bool) -> None:
    plan = starter(f"Read a.csv, sort by price, {words} and save as b.csv")
    assert step(plan, "sort").args.get("descending", False) is descending
