"""Reports: JSON for programs, a table for people."""

from __future__ import annotations

import io
import json

from rich.console import Console

from flowbuilder.evals import CaseReport, Finding, Report
from flowbuilder.plan import Usage


def case(name: str, *findings: Finding, usage: Usage | None = None) -> CaseReport:
    return CaseReport(
        name=name,
        goal=f"goal of {name}",
        findings=findings,
        planned=("file.read",),
        certain=False,
        usage=usage or Usage(),
        seconds=1.23456,
    )


GOOD = case(
    "good",
    Finding(evaluator="outcome", value=True),
    Finding(evaluator="edges", value=1.0),
    Finding(evaluator="kind", value="a label"),
    usage=Usage(calls=1, prompt_tokens=10, cost_usd=0.5),
)
BAD = case(
    "bad",
    Finding(evaluator="outcome", value=True),
    Finding(evaluator="edges", value=0.5, reason="missing [red]a[/] → b"),
    Finding(evaluator="files", value=False),
    usage=Usage(calls=2, prompt_tokens=5),
)
REPORT = Report(suite="mine", planner="model", model="openai/x", cases=(GOOD, BAD))


def printed(report: Report, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(report.table())
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_scores_are_means_over_the_cases_that_were_judged() -> None:
    assert REPORT.scores() == {"outcome": 1.0, "edges": 0.75, "files": 0.0}
    assert GOOD.passed
    assert not BAD.passed
    assert not REPORT.passed


def test_json_holds_everything_and_is_json() -> None:
    found = json.loads(json.dumps(REPORT.as_json()))
    assert found["suite"] == "mine"
    assert found["planner"] == "model"
    assert found["model"] == "openai/x"
    assert (found["passed"], found["total"]) == (1, 2)
    assert found["scores"] == {"outcome": 1.0, "edges": 0.75, "files": 0.0}
    assert found["usage"]["calls"] == 3
    assert found["usage"]["prompt_tokens"] == 15
    assert found["usage"]["cost_usd"] == 0.5
    assert [item["name"] for item in found["cases"]] == ["good", "bad"]
    assert found["cases"][1] == {
        "name": "bad",
        "goal": "goal of bad",
        "passed": False,
        "planned": ["file.read"],
        "certain": False,
        "findings": [finding.as_json() for finding in BAD.findings],
        "usage": BAD.usage.as_json(),
        "seconds": 1.235,
    }


def test_the_table_tells_what_is_wrong_and_takes_texts_as_they_are() -> None:
    text = printed(REPORT)
    assert "mine · planner: model (openai/x) · 1 of 2 passed" in text
    assert "edges: missing [red]a[/] → b" in text
    assert "files: False" in text
    rows = {line.split()[0]: line.split()[1] for line in text.splitlines() if line.strip()}
    assert rows["good"] == "yes"
    assert rows["bad"] == "NO"
    assert rows["edges"] == "0.75"
    assert "kind" not in rows


def test_names_are_whole_on_a_narrow_terminal() -> None:
    assert "good" in printed(REPORT, width=40)
    wide = case("a-name-of-quite-some-length-for-a-case", Finding(evaluator="outcome", value=True))
    report = Report(suite="s", planner="rules", model=None, cases=(wide,))
    assert wide.name in printed(report, width=80)


def test_a_report_without_cases_has_nothing_wrong() -> None:
    empty = Report(suite="s", planner="rules", model=None, cases=())
    assert empty.passed
    assert empty.scores() == {}
    assert empty.as_json()["total"] == 0
    assert "0 of 0 passed" in printed(empty)
