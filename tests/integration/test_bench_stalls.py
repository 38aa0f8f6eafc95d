"""The benchmark of plans that stand still: what it plans runs, and what it counts is counted."""

from __future__ import annotations

from flowbuilder.bench.stalls import Work, chain, goal_of, stalled_waits, whole_waits


async def test_steps_run_while_the_stream_stands_still(dsn: str) -> None:
    waits = await stalled_waits(dsn, 4, 0.01)
    assert len(waits) == 2
    assert all(wait > 0 for wait in waits)
    assert len(await whole_waits(dsn, 4, 0.01)) == 2


def test_the_goal_says_all_that_the_steps_do() -> None:
    steps = chain(3, "after")
    assert [step["args"] for step in steps] == [{"floor": 1}, {"floor": 2}, {"floor": 3}]
    assert [step.get("after") for step in steps] == [None, ["look_1"], ["look_2"]]
    assert goal_of(3) == "look at floor 1, then look at floor 2, then look at floor 3"


def test_waits_are_from_each_end_to_the_next_begin() -> None:
    work = Work(0)
    work.began, work.ended = [1.0, 2.5, 4.0], [2.0, 3.5, 5.0]
    assert work.waits() == [500.0, 500.0]
