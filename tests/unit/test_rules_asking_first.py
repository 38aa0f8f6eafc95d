"""Whoever is to be asked whether to go on is asked before what follows, in whatever words."""

from __future__ import annotations

import pytest

from tests.unit.data.rules_measure import plan_goal, registry

STARTER = registry("starter")


@pytest.mark.parametrize(
    "goal",
    [
        "ask me whether to go on, then delete https://example.org/x",
        "ask us if we should proceed, and then delete https://example.org/x",
        "ask the user whether to continue, then delete https://example.org/x",
        "Ask whether to go on, then delete https://example.org/x",
        "Check with the owner whether to go ahead, then delete https://example.org/x",
        "delete https://example.org/x, but ask me first",
        "Delete https://example.org/x but check with me beforehand",
    ],
)
def test_nothing_is_deleted_before_the_answer(goal: str) -> None:
    plan = plan_goal(goal, STARTER)
    assert plan.certain and plan.flow is not None
    [step] = plan.flow.steps
    assert dict(step.args) == {"url": "https://example.org/x", "method": "DELETE"}
    assert step.approval is not None
    assert step.approval.message == "Approve http.request before it runs."


def test_first_is_before_what_follows_where_something_follows() -> None:
    plan = plan_goal("Read a.txt, ask me first, then save it as b.txt", STARTER)
    assert plan.flow is not None
    read, write = plan.flow.steps
    assert read.approval is None and write.approval is not None


def test_what_is_only_read_is_looked_at_afterwards() -> None:
    plan = plan_goal("Read a.txt and ask me for approval", STARTER)
    assert plan.flow is not None
    assert [step.tool for step in plan.flow.steps] == ["file.read", "human.approve"]


def test_another_question_is_none_of_these() -> None:
    plan = plan_goal("Ask the user whether they like tea and save the answer as a.txt", STARTER)
    assert plan.flow is not None
    assert [step.tool for step in plan.flow.steps] == ["human.input", "file.write"]


@pytest.mark.parametrize(
    "asked", ["which country to keep", "how many rows to keep", "what to do with the rows",
              "where to save them"],
)  # fmt: skip
def test_who_is_asked_which_or_how_many_does_not_only_approve(asked: str) -> None:
    plan = plan_goal(f"Read a.csv, ask me {asked}, and save the rows as b.csv", STARTER)
    assert not plan.certain


@pytest.mark.parametrize(
    ("asked", "who"),
    [("Ask Bob for approval", "Bob"), ("Ask finance for approval", "finance"),
     ("Get approval from legal", "legal"), ("Ask Mia to approve it", "Mia")],
)  # fmt: skip
def test_whoever_is_named_to_approve_is_doubted(asked: str, who: str) -> None:
    plan = plan_goal(f"{asked}, then delete https://example.org/x", STARTER)
    assert f"“{who}” is to approve; whoever may approve here can, too." in plan.notes
    assert not plan.certain
