"""The examples as goals: planned by rules, executed for real, with the effect that was asked for.

Not every goal is within reach of the rules. Such a plan must not be called certain; one that is
called certain is executed and has to have its goal's effect.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from flowbuilder import FlowBuilder, Settings
from flowbuilder.errors import PlanningError
from flowbuilder.plan import Plan
from flowbuilder.strictjson import load_document

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
GOALS = {path.stem: path.read_text() for path in sorted(EXAMPLES.glob("goals/*.txt"))}


@pytest.fixture
async def fb(dsn: str, tmp_path: Path) -> AsyncIterator[FlowBuilder]:
    shutil.copytree(EXAMPLES / "data", tmp_path / "examples" / "data")
    settings = Settings.load(workspace_dir=tmp_path)
    async with FlowBuilder.connect(dsn, settings=settings, worker=True) as opened:
        for name in ("species-summary.yaml", "two-species.yaml"):
            document: Any = load_document((EXAMPLES / name).read_bytes(), name=name)
            await opened.save_flow(document)
        yield opened


async def execute(fb: FlowBuilder, plan: Plan) -> int:
    """Run a plan, approve what it asks, and return how often it asked."""
    run = await fb.execute(plan)
    asked = 0
    async for event in run.events():
        if event.type == "approval_requested":
            asked += 1
            await fb.approve(str(event.data["approval_id"]), by="user:ada")
    await run.result(timeout=60)
    return asked


def rows(name: str) -> list[dict[str, str]]:
    with (EXAMPLES / "data" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def written(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def masses(species: str) -> list[int]:
    return [
        int(row["body_mass_g"])
        for row in rows("penguins")
        if row["species"] == species and row["body_mass_g"].isdigit()
    ]


def cells(path: Path) -> list[list[str]]:
    """Return the rows of a Markdown table below its head."""
    lines = [line for line in path.read_text().splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def heavy_penguins(out: Path) -> None:
    means = {}
    for species in ("Adelie", "Chinstrap", "Gentoo"):
        heavy = [mass for mass in masses(species) if mass > 4000]
        means[species] = sum(heavy) / len(heavy)
    found = [sorted(row, key=lambda cell: cell in means) for row in cells(out)]
    assert [name for _, name in found] == sorted(means, key=means.__getitem__, reverse=True)
    assert [float(mean) for mean, _ in found] == pytest.approx(sorted(means.values())[::-1])


def islands(out: Path) -> None:
    for island in {row["island"] for row in rows("penguins")}:
        wanted = [row for row in rows("penguins") if row["island"] == island]
        found = written(out.parent / "islands" / f"{island}.csv")
        assert [row["flipper_length_mm"] for row in found] == [
            row["flipper_length_mm"].replace("NA", "") for row in wanted
        ]


def storms(out: Path) -> None:
    days = [row["date"] for row in rows("seattle-weather") if float(row["wind"]) > 9]
    assert days
    assert [row["date"] for row in written(out)] == days


def wind_power(out: Path) -> None:
    best = sorted(
        (int(r["net_generation"]) for r in rows("iowa-electricity") if r["source"] == "Renewables"),
        reverse=True,
    )[:5]
    found = cells(out)
    assert len(found) == 5
    assert [value for value, row in zip(best, found, strict=True) if str(value) not in row] == []


def summary(species: str) -> dict[str, int]:
    count = sum(row["species"] == species for row in rows("penguins"))
    return {"penguins": count, "heaviest": max(masses(species))}


def two_species(out: Path) -> None:
    found: Any = json.loads(out.read_text())
    parts = list(found.values()) if isinstance(found, dict) else found
    assert [summary(name) in parts for name in ("Gentoo", "Adelie")] == [True, True]


def recover(out: Path) -> None:
    hottest = max(rows("seattle-weather"), key=lambda row: float(row["temp_max"]))
    assert [row["date"] for row in written(out)] == [hottest["date"]]
    assert len(written(out.parent / "weather.csv")) == len(rows("seattle-weather"))


EFFECTS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "heavy-penguins": ("heavy-penguins.md", heavy_penguins),
    "islands": ("islands.csv", islands),
    "recover": ("warmest.csv", recover),
    "species-report": ("species-report.json", two_species),
    "storms": ("storms.csv", storms),
    "two-species": ("two-species.json", two_species),
    "wind-power": ("wind-power.md", wind_power),
}
#: Goals that the rules plan with certainty, and how many decisions their plans ask for.
BY_RULES = {"heavy-penguins": 1, "species-report": 2, "storms": 1, "wind-power": 1}


def test_every_example_has_a_goal_and_every_goal_an_effect() -> None:
    assert set(GOALS) == set(EFFECTS)
    assert {path.stem for path in EXAMPLES.glob("*.yaml")} <= {*GOALS, "species-summary"}


@pytest.mark.parametrize("name", BY_RULES)
async def test_goals_planned_by_rules_have_their_effect(
    fb: FlowBuilder, tmp_path: Path, name: str
) -> None:
    file, check = EFFECTS[name]
    plan = await fb.plan(GOALS[name])
    assert plan.certain
    assert plan.planner == "rules"
    asked = await execute(fb, plan)
    assert asked == BY_RULES[name]
    check(tmp_path / "out" / file)


async def test_a_condition_that_does_not_hold_writes_nothing(
    fb: FlowBuilder, tmp_path: Path
) -> None:
    plan = await fb.plan(GOALS["storms"].replace("above 9", "above 90"))
    assert plan.certain
    assert await execute(fb, plan) == 0
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", sorted(EFFECTS.keys() - BY_RULES.keys()))
async def test_other_goals_are_planned_rightly_or_not_with_certainty(
    fb: FlowBuilder, tmp_path: Path, name: str
) -> None:
    file, check = EFFECTS[name]
    try:
        plan = await fb.plan(GOALS[name])
    except PlanningError as error:
        assert error.message
        return
    if plan.certain:
        await execute(fb, plan)
        check(tmp_path / "out" / file)
    else:
        assert [*plan.notes, *plan.questions]
