"""The report of a benchmark, and what its command line understands."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from flowbuilder.bench import WORKLOADS, Measurement, Report
from flowbuilder.cli.benching import read_words
from flowbuilder.cli.failures import UsageProblem


def one(workload: str, contender: str, repeat: int = 0, **values: float) -> Measurement:
    return Measurement(
        workload=workload,
        contender=contender,
        repeat=repeat,
        units=10,
        values={"machine_commit_ms": 0.5, **values},
        checked={"flows": 2},
    )


WRONG = Measurement(
    workload="W1",
    contender="flowbuilder",
    repeat=2,
    values={"steps_per_second": 9.0},
    error="bench_wrong: run [x] is 3, not 4",
)
REPORT = Report(
    workloads=("W1", "L2", "I1"),
    repeat=3,
    fraction=1.0,
    concurrency=200,
    own_server=True,
    postgres="PostgreSQL 18.6",
    settings={"fsync": "on"},
    started_at=datetime(2026, 1, 2, tzinfo=UTC),
    seconds=12.34,
    measurements=(
        one("W1", "floor", steps_per_second=10_000.0, wal_bytes=1000.0),
        one("W1", "flowbuilder", steps_per_second=6000.0, wal_bytes=2000.0, round_trips=0.05),
        one("W1", "floor", 1, steps_per_second=20_000.0),
        one("W1", "flowbuilder", 1, steps_per_second=8000.0, wal_bytes=2200.0, round_trips=0.07),
        WRONG,
        one("L2", "floor", step_p50=0.5, step_p99=1.0),
        one("L2", "flowbuilder", step_p50=0.75, step_p99=1.0),
        one("I1", "flowbuilder", cpu_ms=8.0, worker_cpu_ms=3.0),
    ),
)


def printed(report: Report) -> str:
    console = Console(file=io.StringIO(), width=120, highlight=False)
    console.print(report.tables())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_json_holds_everything_and_is_json() -> None:
    found = json.loads(json.dumps(REPORT.as_json()))
    assert found["format"] == "bench.v1"
    assert found["plan"] == {
        "workloads": ["W1", "L2", "I1"],
        "repeat": 3,
        "fraction": 1.0,
        "concurrency": 200,
    }
    assert found["postgres"]["settings"] == {"fsync": "on"}
    assert len(found["measurements"]) == 8
    assert found["measurements"][4]["error"] == WRONG.error


def test_the_summary_compares_within_each_repeat() -> None:
    rows = json.loads(json.dumps(REPORT.as_json()["summary"]))
    row = next(row for row in rows if (row["workload"], row["contender"]) == ("W1", "flowbuilder"))
    assert row["values"]["steps_per_second"]["median"] == 7000
    assert row["ratios"]["steps_per_second"] == {
        "median": 0.5,
        "low": 0.4,
        "high": 0.6,
        "count": 2,
    }


def test_bars_tell_what_was_found() -> None:
    bars = REPORT.as_json()["bars"]
    assert isinstance(bars, list)
    found = {
        (bar["workload"], bar["name"]): (bar["found"], bar["cleared"])
        for bar in json.loads(json.dumps(bars))
    }
    assert found == {
        ("W1", "steps_per_second"): (0.5, True),
        ("W1", "round_trips"): (0.06, True),
        ("W1", "wal_bytes"): (2100, True),
        ("L2", "step_p50"): (1.5, False),
        ("I1", "cpu_ms"): (8, True),
    }
    assert [str(missed) for missed in REPORT.missed] == [
        "L2 step_p50 over the floor <= 1: it is 1.5"
    ]
    assert REPORT.errors == [WRONG]


def test_tables_show_medians_ratios_and_what_is_wrong() -> None:
    text = printed(REPORT)
    assert "W1 2,000 single steps" in text
    assert "7,000 (6,000-8,000)" in text
    assert "0.500 (0.400-0.600)" in text
    assert "per step p50" in text
    assert "run [x] is 3, not 4" in text
    assert "missed: L2 step_p50 over the floor <= 1: it is 1.5" in text
    assert "4 of 5 bars cleared" in text


# -- words ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "file", "names", "path"),
    [
        ([], None, tuple(WORKLOADS), None),
        (["w4", "W1"], None, ("W1", "W4"), None),
        (["W1,L2", "e1"], None, ("W1", "L2", "E1"), None),
        (["W1", "out/a.json"], None, ("W1",), "out/a.json"),
        (["report.json"], None, tuple(WORKLOADS), "report.json"),
        (["W1"], "x.txt", ("W1",), "x.txt"),
    ],
)
def test_words(
    words: list[str], file: str | None, names: tuple[str, ...], path: str | None
) -> None:
    assert read_words(words, file) == (names, Path(path) if path else None)


@pytest.mark.parametrize(
    ("words", "file"), [(["W9"], None), (["W1", "report"], None), (["a.json"], "b.json")]
)
def test_words_that_mean_nothing(words: list[str], file: str | None) -> None:
    with pytest.raises(UsageProblem):
        read_words(words, file)
