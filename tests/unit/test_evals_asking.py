"""What is asked when a goal lacks a value, with records of our own."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.evals.asking import Asked, measure_asking, trials
from flowbuilder.evals.catalogue import ToolSpec
from flowbuilder.evals.dataset import Accepted, Case, Expectation
from flowbuilder.settings import Settings

BOOK = ToolSpec(
    name="table_book",
    summary="Book a table at a restaurant",
    input_schema={
        "type": "object",
        "properties": {
            "restaurant": {"type": "string"},
            "guests": {"type": "integer"},
            "terrace": {"type": "boolean"},
        },
        "required": ["restaurant", "guests"],
        "additionalProperties": False,
    },
)
AREA = ToolSpec(
    name="circle_area",
    summary="Compute the area of a circle",
    input_schema={
        "type": "object",
        "properties": {"radius": {"type": "number"}, "unit": {"type": "string"}},
        "required": ["radius"],
        "additionalProperties": False,
    },
)


def case(name: str, goal: str, spec: ToolSpec, *calls: dict[str, Any], **accepted: Any) -> Case:
    steps = [
        {"id": f"call{number}", "tool": spec.name, "args": arguments}
        for number, arguments in enumerate(calls, start=1)
    ]
    return Case(
        name=name,
        goal=goal,
        catalogue=[spec],
        expect=Expectation(flow={"flow": name, "steps": steps}, accepted=accepted),
    )


CASES = [
    case("book", "Book a table for 7 guests at Luigi", BOOK, {"restaurant": "Luigi", "guests": 7}),
    case(
        "circles",
        "Give me the areas of circles with radius 5cm, 12cm and 25cm",
        AREA,
        *({"radius": radius, "unit": "cm"} for radius in (5.0, 12.0, 25.0)),
    ),
    case(
        "one",
        "Compute the area of a circle of radius 31 kilometers",
        AREA,
        {"radius": 31.0, "unit": "km"},
        call1={"unit": Accepted(values=["km", "kilometers"], optional=True)},
    ),
]


async def measured(*, seed: int = 0) -> Asked:
    return await measure_asking(CASES, seed=seed, settings=Settings())


def test_trials_are_drawn_by_seed_and_take_out_one_stated_value() -> None:
    made = trials(CASES, seed=3)
    assert [(t.kind, t.case, t.goal, t.value) for t in made] == [
        (t.kind, t.case, t.goal, t.value) for t in trials(CASES, seed=3)
    ]
    for trial in made:
        if trial.kind == "removed":
            assert trial.place is not None
            assert str(trial.value).removesuffix(".0") not in trial.goal
        if trial.kind == "whole":
            assert trial.goal in {item.goal for item in CASES}
    assert {trial.kind for trial in made} == {"removed", "whole", "invented"}


async def test_what_was_taken_out_or_made_up_is_asked_and_nothing_else() -> None:
    for seed in range(3):
        found = await measured(seed=seed)
        assert [v.as_json() for v in found.verdicts if not v.right] == []
        assert found.passes
        figures: Any = found.as_json()
        assert figures["ask_recall"]["value"] == figures["invented_flagged"]["value"] == 1
        assert figures["false_asks"]["value"] == 0


async def test_no_stated_step_is_lost() -> None:
    found = await measured()
    assert [verdict.failure for verdict in found.of("whole")] == [None, None, None]


async def test_two_measurements_are_the_same() -> None:
    assert (await measured()).as_json() == (await measured()).as_json()


def test_gold_that_is_wrong_makes_no_trial() -> None:
    broken = case("broken", "Book a table at Luigi for 7", BOOK, {"restaurant": 7, "guests": "x"})
    assert trials([broken]) == []
    unanswered = Case(name="none", goal="Book it", catalogue=[BOOK], expect=Expectation())
    assert trials([unanswered]) == []


def test_figures_without_trials_are_none() -> None:
    empty = Asked(verdicts=(), arguments=0)
    figures: Any = empty.as_json()
    assert figures["ask_recall"] == {"value": None, "low": None, "high": None, "trials": 0}
    assert empty.passes


@pytest.mark.parametrize("value", [0, -1])
async def test_seeds_are_any_number(value: int) -> None:
    assert (await measured(seed=value)).verdicts
