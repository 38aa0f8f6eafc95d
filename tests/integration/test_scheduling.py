"""Schedules of streamed plans, held against the least that any schedule could take."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydantic import SecretStr

from flowbuilder.errors import InvalidValue
from flowbuilder.evals.models import Pace, Stall
from flowbuilder.evals.scheduling import (
    TimedGraph,
    TimedStep,
    finished,
    pace_of,
    paced_oracle,
    read_timed_graph,
    schedule,
    work_tool,
)
from flowbuilder.evals.world import VirtualClock, World, open_stage
from flowbuilder.evals.world.stage import SLOTS
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.settings import Settings

RECORD: dict[str, Any] = {
    "id": "tea",
    "title": "How to make tea",
    "steps": ["Boil  water", "Warm the pot", "Brew the tea"],
    "edges": [["START", "1"], ["START", "2"], ["1", "3"], ["2", "3"], ["3", "END"]],
    "time_seconds": {"1": [60, 180], "2": 30, "3": [240, 240]},
}
PARTS = ("wash", "peel", "slice", "stir", "bake", "cool", "pack", "label", "weigh", "carry")


def random_graph(seed: int) -> TimedGraph:
    random = Random(seed)
    steps: list[TimedStep] = []
    for number in range(random.randint(1, len(PARTS))):
        after = random.sample(steps, min(len(steps), random.randint(0, 2)))
        steps.append(
            TimedStep(
                id=f"part{number}",
                title=PARTS[number],
                seconds=random.choice([0.0, 0.5, 2.0, 7.0]),
                after=tuple(sorted(step.id for step in after)),
            )
        )
    return TimedGraph(name=f"meal-{seed}", title="How to make a meal", steps=tuple(steps))


def test_a_record_is_read_and_bounded() -> None:
    graph = read_timed_graph(RECORD)
    assert [(step.id, step.title, step.seconds) for step in graph.steps] == [
        ("part1", "Boil  water", 120),
        ("part2", "Warm the pot", 30),
        ("part3", "Brew the tea", 240),
    ]
    assert graph.steps[2].after == ("part1", "part2")
    assert graph.critical == 360
    assert graph.scaled(6).critical == pytest.approx(6)
    arrivals = {"part1": 0.0, "part2": 200.0, "part3": 0.0}
    assert finished(graph, arrivals) == {"part1": 120, "part2": 230, "part3": 470}
    written, end = pace_of(graph, Pace(tokens_per_second=10))
    assert 0 < written["part1"] < written["part2"] < written["part3"] < end


@pytest.mark.parametrize(
    "change",
    [
        {"steps": None},
        {"edges": [["1"]]},
        {"edges": [["1", "9"]]},
        {"edges": [["1", "2"], ["2", "1"]]},
        {"time_seconds": {"1": "long"}},
        {"time_seconds": {"1": [-60, 60], "2": 30, "3": 240}},
    ],
)
def test_what_is_no_timed_graph_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue) as refused:
        read_timed_graph({**RECORD, **change})
    assert refused.value.code == "timed_graph_invalid"


async def test_streamed_plans_take_no_longer_than_they_must(dsn: str, tmp_path: Path) -> None:
    graphs = [read_timed_graph(RECORD), *(random_graph(seed) for seed in range(7))]
    pace = Pace(tokens_per_second=40, first_token=0.5, stalls=(Stall(after_steps=2, seconds=60),))
    clock = VirtualClock()
    model = paced_oracle(graphs, pace, clock)
    settings = Settings.load(database_url=SecretStr(dsn), data_dir=tmp_path)
    world = World([work_tool()], clock=clock)
    async with open_stage(world, settings, planner=ModelPlanner(settings, model)) as stage:
        for graph in graphs:
            found = await schedule(stage, graph, model, pace)
            assert found.early, graph.name
            assert found.ratio == pytest.approx(1.0), found.as_json()
            assert max(found.delays.values()) == pytest.approx(0.0, abs=1e-6)
            assert found.waiting >= found.bound


async def test_wide_graphs_and_odd_titles_are_scheduled_as_well(dsn: str, tmp_path: Path) -> None:
    many = [f"Paint wall {number}" for number in range(1, SLOTS + 21)]
    wide = {"id": "wide", "title": "How to paint", "steps": many, "edges": [],
            "time_seconds": dict.fromkeys(map(str, range(1, len(many) + 1)), 60)}  # fmt: skip
    titles = ["Stir", "", "Stir", "Write ${{ steps.x }} down", ""]
    odd = {"id": "odd", "title": "How to do it", "steps": titles, "edges": [["1", "3"]],
           "time_seconds": {key: [1, 3] for key in "12345"}}  # fmt: skip
    graphs = [read_timed_graph(odd), read_timed_graph(wide)]
    assert [step.title for step in sorted(graphs[0].steps, key=lambda step: step.id)] == [
        "Stir",
        "part 2",
        "Stir part 3",
        "Write ${{ steps.x }} down",
        "part 5",
    ]
    pace = Pace()
    clock = VirtualClock()
    model = paced_oracle(graphs, pace, clock)
    settings = Settings.load(database_url=SecretStr(dsn), data_dir=tmp_path)
    world = World([work_tool()], clock=clock)
    async with open_stage(world, settings, planner=ModelPlanner(settings, model)) as stage:
        assert (await schedule(stage, graphs[0], model, pace)).ratio == pytest.approx(1.0)
        # more than there are hands: some wait for others, and the simulation goes on
        found = await schedule(stage, graphs[1], model, pace)
        assert found.bound == 60
        assert found.makespan == pytest.approx(120)
