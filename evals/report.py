"""Reports: what a suite has found, as a value, as JSON and as a table."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from rich.console import Group
from rich.table import Table
from rich.text import Text

from flowbuilder.evals.evaluators import Finding
from flowbuilder.plan import Usage
from flowbuilder.types import JsonObject, JsonValue


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseReport:
    """One case: what was planned and what the evaluators say."""

    name: str
    goal: str
    findings: tuple[Finding, ...]
    planned: tuple[str, ...]
    """Tools of the plan in order; empty without a plan."""
    certain: bool
    usage: Usage
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether every finding is as it should be."""
        return all(finding.passed for finding in self.findings)

    def faults(self) -> list[str]:
        """Return a line for each finding that is not as it should be."""
        return [
            f"{finding.evaluator}: {finding.reason or finding.value}"
            for finding in self.findings
            if not finding.passed
        ]

    def as_json(self) -> JsonObject:
        """Return the case as JSON."""
        findings: list[JsonValue] = [finding.as_json() for finding in self.findings]
        planned: list[JsonValue] = list(self.planned)
        return {
            "name": self.name,
            "goal": self.goal,
            "passed": self.passed,
            "planned": planned,
            "certain": self.certain,
            "findings": findings,
            "usage": self.usage.as_json(),
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All cases of a suite under one planner."""

    suite: str
    planner: str
    model: str | None
    cases: tuple[CaseReport, ...]

    @property
    def passed(self) -> bool:
        """Whether every case passed."""
        return all(case.passed for case in self.cases)

    def scores(self) -> dict[str, float]:
        """Return the mean of each evaluator over the cases that it judged."""
        values: dict[str, list[float]] = {}
        for case in self.cases:
            for finding in case.findings:
                if isinstance(finding.value, bool | float):
                    values.setdefault(finding.evaluator, []).append(float(finding.value))
        return {name: sum(found) / len(found) for name, found in values.items()}

    def as_json(self) -> JsonObject:
        """Return the report as JSON."""
        cases: list[JsonValue] = [case.as_json() for case in self.cases]
        scores: dict[str, JsonValue] = {name: round(v, 4) for name, v in self.scores().items()}
        usage = sum((case.usage for case in self.cases), Usage())
        return {
            "suite": self.suite,
            "planner": self.planner,
            "model": self.model,
            "passed": sum(case.passed for case in self.cases),
            "total": len(self.cases),
            "scores": scores,
            "usage": usage.as_json(),
            "cases": cases,
        }

    def table(self) -> Group:
        """Return the report for a terminal: a row a case, and below a row an evaluator."""
        passed = f"{sum(case.passed for case in self.cases)} of {len(self.cases)} passed"
        planner = f"{self.planner} ({self.model})" if self.model else self.planner
        title = Text(f"{self.suite} · planner: {planner} · {passed}", style="bold")
        return Group(title, Text(), self._cases_table(), Text(), self._scores_table())

    def _cases_table(self) -> Table:
        table = Table(box=None, header_style="bold", pad_edge=False)
        table.add_column("case", no_wrap=True)
        table.add_column("passed")
        table.add_column("seconds", justify="right")
        table.add_column("what is wrong", overflow="fold")
        for case in self.cases:
            style = "" if case.passed else "bold"
            passed = "yes" if case.passed else "NO"
            faults = Text("\n".join(case.faults()))
            table.add_row(Text(case.name), passed, f"{case.seconds:.2f}", faults, style=style)
        return table

    def _scores_table(self) -> Table:
        counts = Counter(finding.evaluator for case in self.cases for finding in case.findings)
        table = Table(box=None, header_style="bold", pad_edge=False)
        table.add_column("evaluator")
        table.add_column("mean", justify="right")
        table.add_column("cases", justify="right")
        for name, mean in self.scores().items():
            table.add_row(Text(name), f"{mean:.2f}", str(counts[name]))
        return table
