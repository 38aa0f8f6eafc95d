"""Reports: what a suite has found, as a value, as JSON and as a table."""

from __future__ import annotations

from dataclasses import dataclass

from rich.table import Table

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

    def table(self) -> Table:
        """Return the report as a table for a terminal: a row a case, a column an evaluator."""
        names = list(self.scores())
        title = f"{self.suite} · planner: {self.planner}" + (
            f" ({self.model})" if self.model else ""
        )
        table = Table(title=title, title_justify="left")
        table.add_column("case")
        for name in names:
            table.add_column(name, justify="right")
        table.add_column("why not", overflow="fold")
        for case in self.cases:
            by_name = {finding.evaluator: finding for finding in case.findings}
            reasons = [f.reason for f in case.findings if not f.passed and f.reason]
            cells = [_cell(by_name.get(name)) for name in names]
            style = "" if case.passed else "bold"
            table.add_row(case.name, *cells, "; ".join(reasons), style=style)
        means = [f"{value:.2f}" for value in self.scores().values()]
        table.add_section()
        table.add_row(
            f"{sum(c.passed for c in self.cases)} of {len(self.cases)} passed", *means, ""
        )
        return table


def _cell(finding: Finding | None) -> str:
    if finding is None:
        return "–"
    if isinstance(finding.value, bool):
        return "yes" if finding.value else "NO"
    return finding.value if isinstance(finding.value, str) else f"{finding.value:.2f}"
