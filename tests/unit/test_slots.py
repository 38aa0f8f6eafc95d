"""Which outcomes go into one report."""

from __future__ import annotations

from typing import cast

from flowbuilder.executor.records import Outcome, OutcomeKind
from flowbuilder.executor.slots import Slots, Work


def outcome(task_id: int, run_id: str) -> Outcome:
    return Outcome(task_id=task_id, run_id=run_id, fence=1, kind=OutcomeKind.COMPLETED, output=None)


def slots_with(*runs: str) -> Slots:
    slots = Slots(10, cast(Work, None), ended=lambda: None)
    for number, run in enumerate(runs):
        one = outcome(number, run)
        slots.outcomes[one.key] = one
    return slots


def test_a_limit_takes_whole_runs() -> None:
    slots = slots_with("a", "b", "a", "c", "b", "a")
    first = slots.take(2)
    assert [(one.task_id, one.run_id) for one in first] == [(0, "a"), (2, "a"), (5, "a")]
    assert [one.run_id for one in slots.outcomes.values()] == ["b", "c", "b"]
    second = slots.take(2)
    assert [one.run_id for one in second] == ["b", "b"]
    assert [one.run_id for one in slots.take(2)] == ["c"]
    assert slots.outcomes == {}


def test_without_a_limit_everything_is_taken_and_can_be_put_back() -> None:
    slots = slots_with("a", "b")
    taken = slots.take()
    assert len(taken) == 2
    slots.put_back(taken)
    assert list(slots.outcomes.values()) == taken
