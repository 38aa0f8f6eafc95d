"""`flowbuilder bench` from end to end, tiny: everything is measured, checked and written down."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LIMIT = 300
COSTS = {"wal_bytes", "write_transactions", "round_trips", "machine_commit_ms"}


def bench(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "flowbuilder.cli", "bench", *arguments],
        capture_output=True,
        check=False,
        text=True,
        timeout=LIMIT,
        cwd=folder,
        env={**os.environ, "NO_COLOR": "1", "COLUMNS": "160"},
    )
    assert "Traceback" not in done.stderr + done.stdout
    return done


@pytest.mark.slow
def test_a_tiny_run_measures_checks_and_reports(tmp_path: Path, short_dir: Path) -> None:
    sizes = ("--fraction", "0.001", "--repeat", "1", "--concurrency", "20")
    loads = ("W4", "M1", "L2", "E1")
    done = bench(
        *(*loads, *sizes, "--json", "report.json"),
        *("--data-dir", str(short_dir)),
        folder=tmp_path,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    for heading in ("Steps per second", "Milliseconds", "Per step", "bars cleared"):
        assert heading in done.stdout

    found = json.loads((tmp_path / "report.json").read_text())
    assert found["format"] == "bench.v1"
    assert found["plan"]["workloads"] == list(loads)
    assert found["postgres"]["own"] is True
    assert found["postgres"]["settings"]["fsync"] == "on"
    assert found["postgres"]["settings"]["synchronous_commit"] == "on"
    contenders = {load: {"flowbuilder", "floor", "floor_single"} for load in loads}
    contenders["E1"] = {"flowbuilder", "floor"}
    measured = found["measurements"]
    for load in loads:
        of_load = [one for one in measured if one["workload"] == load]
        assert {one["contender"] for one in of_load} == contenders[load]
        for one in of_load:
            check_measurement(one)
    ratios = {
        (row["workload"], row["contender"]): row["ratios"]
        for row in found["summary"]
        if row["contender"] == "flowbuilder"
    }
    assert ratios["W4", "flowbuilder"]["steps_per_second"]["count"] == 1
    assert {bar["workload"] for bar in found["bars"]} == set(loads)
    assert list(short_dir.iterdir()) == []  # the server's folder is gone


def check_measurement(one: dict[str, Any]) -> None:
    assert one["error"] is None
    assert one["units"] >= 1
    assert one["values"].keys() >= COSTS
    assert one["checked"]["flows"] >= 1
    kinds = {
        "W4": {"seconds", "steps_per_second"},
        "M1": {"seconds", "steps_per_second"},
        "L2": {"step_p50", "step_p99"},
        "E1": {"change_p50", "change_p99", "events_per_second"},
    }
    assert one["values"].keys() >= kinds[one["workload"]]
    assert all(value >= 0 for value in one["values"].values())
    if one["contender"] == "flowbuilder":
        assert one["checked"]["events"] >= 4 * one["checked"]["flows"]


def test_a_given_server_is_left_as_it_was(server_dsn: str, tmp_path: Path) -> None:
    import psycopg

    def databases() -> int:
        with psycopg.connect(server_dsn) as connection:
            row = connection.execute(
                "select count(*) from pg_database where datname like 'flowbuilder_bench_%'"
            ).fetchone()
        assert row is not None
        return int(row[0])

    done = bench(
        *("W1", "--fraction", "0.001", "--repeat", "1", "--concurrency", "5"),
        *("--json", "--database-url", server_dsn, "--check"),
        folder=tmp_path,
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["type"] for line in lines] == ["measurement"] * 3 + ["report"]
    assert [line["error"] for line in lines[:3]] == [None] * 3
    assert lines[-1]["postgres"]["own"] is False
    missed = [bar for bar in lines[-1]["bars"] if not bar["cleared"]]
    assert done.returncode == (1 if missed else 0)
    assert databases() == 0


@pytest.mark.parametrize(
    "arguments", [("W9",), ("W1", "a.json", "b.json"), ("W1", "missing/a.json")]
)
def test_what_cannot_be_meant_is_refused(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = bench(*arguments, folder=tmp_path)
    assert done.returncode == 2
    assert "hint" in done.stderr or "folder" in done.stderr
