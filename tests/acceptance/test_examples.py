"""The examples do what they say, through the real engine."""

from __future__ import annotations

import csv
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flowbuilder import FlowBuilder, Settings
from flowbuilder.strictjson import load_document

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@pytest.fixture
async def fb(dsn: str, tmp_path: Path) -> AsyncIterator[FlowBuilder]:
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "data").mkdir()
    for source in (EXAMPLES / "data").glob("*.csv"):
        (tmp_path / "examples" / "data" / source.name).write_bytes(source.read_bytes())
    settings = Settings.load(workspace_dir=tmp_path)
    async with FlowBuilder.connect(dsn, settings=settings, worker=True) as opened:
        yield opened


def document(name: str) -> Any:
    path = EXAMPLES / f"{name}.yaml"
    return load_document(path.read_bytes(), name=path.name)


def rows(name: str) -> list[dict[str, str]]:
    with (EXAMPLES / "data" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


async def test_heavy_penguins_averages_each_species(fb: FlowBuilder, tmp_path: Path) -> None:
    run = await fb.execute(document("heavy-penguins"), {})
    result: Any = await run.result(timeout=60)
    heavy = [row for row in rows("penguins") if row["body_mass_g"].isdigit()
             and int(row["body_mass_g"]) > 4000]  # fmt: skip
    expected = {}
    for species in {row["species"] for row in heavy}:
        masses = [int(row["body_mass_g"]) for row in heavy if row["species"] == species]
        expected[species] = (len(masses), sum(masses) / len(masses))
    found = {
        row["species"]: (row["penguins"], row["mean_body_mass_g"]) for row in result["species"]
    }
    assert found.keys() == expected.keys()
    for species, (count, mean) in expected.items():
        assert found[species] == (count, pytest.approx(mean))
    means = [row["mean_body_mass_g"] for row in result["species"]]
    assert means == sorted(means, reverse=True)
    assert "Gentoo" in (tmp_path / result["report"]).read_text()


async def test_islands_writes_a_file_for_each(fb: FlowBuilder, tmp_path: Path) -> None:
    run = await fb.execute(document("islands"))
    result: Any = await run.result(timeout=60)
    islands = list(dict.fromkeys(row["island"] for row in rows("penguins")))
    assert [item["path"] for item in result] == [f"out/islands/{name}.csv" for name in islands]
    total = sum(len((tmp_path / item["path"]).read_text().splitlines()) - 1 for item in result)
    assert total == len(rows("penguins"))


@pytest.mark.parametrize("wind", [9, 100])
async def test_storms_writes_only_when_there_are_any(
    fb: FlowBuilder, tmp_path: Path, wind: float
) -> None:
    run = await fb.execute(document("storms"), {"wind": wind})
    result: Any = await run.result(timeout=60)
    days = [row for row in rows("seattle-weather") if float(row["wind"]) > wind]
    assert result["days"] == len(days)
    assert (tmp_path / "out" / "storms.csv").exists() is bool(days)
    assert (result["written"] is None) is not bool(days)


async def test_wind_power_waits_for_a_person(fb: FlowBuilder, tmp_path: Path) -> None:
    run = await fb.execute(document("wind-power"))
    async for event in run.events():
        if event.type == "approval_requested":
            assert not (tmp_path / "out" / "wind-power.md").exists()
            (approval,) = await fb.approvals()
            await fb.approve(approval.id, by="user:ada")
    assert await run.result(timeout=60) == "out/wind-power.md"
    best = sorted(
        (int(r["net_generation"]) for r in rows("iowa-electricity") if r["source"] == "Renewables"),
        reverse=True,
    )[:5]
    text = (tmp_path / "out" / "wind-power.md").read_text()
    assert [str(value) for value in best if str(value) not in text] == []


async def test_two_species_calls_a_child_flow_twice(fb: FlowBuilder, tmp_path: Path) -> None:
    await fb.save_flow(document("species-summary"))
    run = await fb.execute(document("two-species"))
    result: Any = await run.result(timeout=60)
    for species in ("Gentoo", "Adelie"):
        mine = [row for row in rows("penguins") if row["species"] == species]
        heaviest = max(int(r["body_mass_g"]) for r in mine if r["body_mass_g"].isdigit())
        assert result[species] == {"penguins": len(mine), "heaviest": heaviest}
    assert json.loads((tmp_path / "out" / "two-species.json").read_text()) == result


async def test_recover_restores_what_is_missing_once(fb: FlowBuilder, tmp_path: Path) -> None:
    for expected in ({"check": "skipped", "restore": "completed"},
                     {"check": "completed", "restore": "skipped"}):  # fmt: skip
        run = await fb.execute(document("recover"))
        result: Any = await run.result(timeout=60)
        warmest = max(rows("seattle-weather"), key=lambda row: float(row["temp_max"]))
        assert result["temp_max"] == float(warmest["temp_max"])
        states = {step.step_id: step.status.value for step in await run.steps()}
        assert {name: states[name] for name in expected} == expected


def test_every_example_is_tested() -> None:
    names = {path.stem for path in EXAMPLES.glob("*.yaml")} - {"goals"}
    text = Path(__file__).read_text()
    assert [name for name in sorted(names) if f'document("{name}")' not in text] == []
