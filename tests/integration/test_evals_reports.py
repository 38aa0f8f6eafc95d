"""Imported suites run with an oracle, and reports that are the same run after run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from flowbuilder.evals import Report, run_suite
from flowbuilder.evals.importers import import_cases
from flowbuilder.evals.reportfiles import report_html, report_json, report_junit
from flowbuilder.flow import Flow
from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanEvent, PlanEventType, PlanRequest
from flowbuilder.settings import Settings
from tests.support import benchmark_records as made

WAIT = 180


class Answering:
    """Answers every goal with the flow that is known for it."""

    name = "answering"

    def __init__(self, flows: Mapping[str, dict[str, Any]]) -> None:
        self._flows = flows

    async def stream(self, request: PlanRequest) -> AsyncIterator[PlanEvent]:
        flow = Flow.model_validate(self._flows[request.goal])
        plan = Plan(id=request.id, goal=request.goal, planner=self.name, flow=flow)
        yield PlanEvent(type=PlanEventType.COMPLETED, data={}, plan=plan)


@pytest.fixture
def settings(dsn: str, tmp_path: Path) -> Settings:
    return Settings.load(database_url=SecretStr(dsn), data_dir=tmp_path / "data")


async def test_an_oracle_has_everything_right_in_an_imported_suite(
    settings: Settings, tmp_path: Path
) -> None:
    folders = made.write_all(tmp_path / "records")
    for name in ("asynchow", "seal-tools", "bfcl"):
        imported = import_cases(folders[name], format=name)
        faulty = {problem.case for problem in imported.problems}
        cases = [case for case in imported.cases if case.expect.flow and case.name not in faulty]
        suite = imported.dataset("mine").model_copy(update={"cases": cases})
        gold = {case.goal: case.expect.flow for case in cases if case.expect.flow}
        report = await run_suite(suite, settings, planner=Answering(gold))
        assert report.passed, [case.faults() for case in report.cases]
        assert report.scores()["exact"] == report.scores()["argument_f1"] == 1
        wrong = {goal: {**flow, "steps": flow["steps"][:1]} for goal, flow in gold.items()}
        worse = await run_suite(suite, settings, planner=Answering(wrong))
        assert 0 < worse.scores()["step_f1"] < 1
        assert worse.scores()["exact"] == 0


async def test_cases_are_tried_several_times_and_reported_alike(
    settings: Settings, tmp_path: Path
) -> None:
    folders = made.write_all(tmp_path / "records")
    suite = import_cases(folders["asynchow"], format="asynchow").dataset("mine")
    gold = {case.goal: case.expect.flow for case in suite.cases if case.expect.flow}

    async def tried() -> Report:
        return await run_suite(suite, settings, planner=Answering(gold), trials=2)

    first, second = await tried(), await tried()
    assert [(case.name, case.trial) for case in first.cases] == [
        ("a-1", 1), ("a-1", 2), ("a-2", 1), ("a-2", 2),
    ]  # fmt: skip
    assert first.pass_hat() == {1: 1, 2: 1}
    for writer in (report_json, report_junit, report_html):
        assert writer(first, timings=False) == writer(second, timings=False)


def test_the_command_writes_reports_and_compares_them(dsn: str, tmp_path: Path) -> None:
    suite = {
        "suite": "mine",
        "cases": [
            {
                "name": "copy",
                "goal": "Read notes.txt and save it as copy.txt",
                "files": {"notes.txt": "0\n"},
                "expect": {
                    "flow": {
                        "flow": "gold",
                        "steps": [
                            {"id": "r", "tool": "file.read", "args": {"path": "notes.txt"}},
                            {
                                "id": "w",
                                "tool": "file.write",
                                "args": {"path": "copy.txt", "content": "${{ steps.r.text }}"},
                            },
                        ],
                    }
                },
            }
        ],
    }
    (tmp_path / "mine.json").write_text(json.dumps(suite))
    environment = {**os.environ, "FLOWBUILDER_DATA_DIR": str(tmp_path / "data"), "COLUMNS": "120"}

    def flowbuilder(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flowbuilder.cli", "eval", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=WAIT,
            cwd=tmp_path,
            env=environment,
        )

    for name in ("first", "second"):
        files = [f"{name}{suffix}" for suffix in (".json", ".xml", ".html")]
        asked = [part for file in files for part in ("--report", file)]
        done = flowbuilder(
            "run", "mine.json", *asked, "--trials", "2", "--no-timings", "--database-url", dsn
        )
        assert "Traceback" not in done.stderr
        line = json.loads(done.stdout.splitlines()[-1])
        assert (line["type"], line["total"]) == ("report", 2)
        assert line["scores"]["step_f1"] == line["scores"]["exact"] == 1
    for suffix in (".json", ".xml", ".html"):
        assert (tmp_path / f"first{suffix}").read_bytes() == (
            tmp_path / f"second{suffix}"
        ).read_bytes()
    assert flowbuilder("compare", "first.json", "second.json").returncode == 0
    assert flowbuilder("run", "mine.json", "--report", "x.txt").returncode == 2
    assert flowbuilder("run", "mine.json", "--report", "no/such/x.json").returncode == 2
