"""Goals that say what is to be done when something fails, and rows picked by an extreme."""

from __future__ import annotations

import pytest

from flowbuilder.flow import OnError, TriggerRule
from tests.unit.data.rules_measure import plan_goal, registry

STARTER = registry("starter")
RESTORE = (
    "Read work/prices.csv, and if that fails, read archive/prices.csv instead and save it as "
    "work/prices.csv; then save the row with the lowest price as work/best.csv"
)


def test_what_failed_is_replaced_restored_and_read_again() -> None:
    plan = plan_goal(RESTORE, STARTER)
    assert plan.flow is not None
    tools = [step.tool for step in plan.flow.steps]
    assert tools == [
        "file.read", "file.read", "file.write", "file.read", "csv.parse", "data.sort", "file.write"
    ]  # fmt: skip
    first, spare, restored, again, _, best, _ = plan.flow.steps
    assert first.on_error is OnError.SKIP
    assert (spare.when, spare.trigger_rule) == ("steps.read == null", TriggerRule.ALL_DONE)
    assert spare.depends_on == ["read"]
    assert restored.args["content"] == "${{ steps.read_2.text }}"
    assert (again.args, again.depends_on) == ({"path": "work/prices.csv"}, ["write"])
    assert again.trigger_rule is TriggerRule.NONE_FAILED
    assert (best.args["by"], best.args["limit"]) == ("price", 1)
    assert not best.args.get("descending", False)
    assert plan.certain


@pytest.mark.parametrize(
    "goal",
    [
        'Read a.txt. If that fails, write "none" to b.txt.',
        'Read a.txt, and if it does not exist, write "none" to b.txt',
        'Read a.txt; otherwise write "none" to b.txt',
        'Read a.txt, or else write "none" to b.txt',
        'Read a.txt, failing that write "none" to b.txt',
    ],
)
def test_a_failure_is_met_by_another_step(goal: str) -> None:
    plan = plan_goal(goal, STARTER)
    assert plan.flow is not None
    first, second = plan.flow.steps
    assert (first.tool, second.tool) == ("file.read", "file.write")
    assert (first.on_error, second.when) == (OnError.SKIP, "steps.read == null")
    assert second.trigger_rule is TriggerRule.ALL_DONE


def test_otherwise_is_the_opposite_of_a_condition() -> None:
    plan = plan_goal(
        "Read a.csv, keep the rows where x is above 3, and if there are any, save them as b.csv, "
        'otherwise write "none" to c.txt',
        STARTER,
    )
    assert plan.flow is not None
    kept, other = plan.flow.steps[-2:]
    assert (kept.args["path"], other.args["path"]) == ("b.csv", "c.txt")
    assert kept.when is not None
    assert other.when == f"!({kept.when})"


def test_which_of_two_results_is_meant_stays_open() -> None:
    plan = plan_goal(
        "Read a.csv, and if that fails read b.csv instead, then count its rows", STARTER
    )
    assert not plan.certain
    assert any("which of the two results" in note for note in plan.notes)
