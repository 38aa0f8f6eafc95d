"""Reports: what a suite has found, as a value, as JSON and as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Group
from rich.table import Table
from rich.text import Text

from flowbuilder.evals.evaluators import Finding
from flowbuilder.evals.statistics import Interval, bootstrap, mean, pass_at, pass_hat
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
    trial: int = 1
    """Which of several tries of the case, from 1."""

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

    def as_json(self, *, timings: bool = True) -> JsonObject:
        """Return the case as JSON; without timings it is the same for the same findings."""
        findings: list[JsonValue] = [finding.as_json() for finding in self.findings]
        planned: list[JsonValue] = list(self.planned)
        found: JsonObject = {
            "name": self.name,
            "goal": self.goal,
            "passed": self.passed,
            "planned": planned,
            "certain": self.certain,
            "findings": findings,
            "usage": _usage_json(self.usage, timings=timings),
        }
        if timings:
            found["seconds"] = round(self.seconds, 3)
        return found if self.trial == 1 else {**found, "trial": self.trial}


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
                if not isinstance(finding.value, str):
                    values.setdefault(finding.evaluator, []).append(float(finding.value))
        return {name: sum(found) / len(found) for name, found in values.items()}

    def intervals(self) -> dict[str, Interval]:
        """Return where each evaluator's mean lies with 95 % confidence.

        Cases are drawn again, not trials: those of one case are no independent news.
        """
        values: dict[str, dict[str, list[float]]] = {}
        for case in self.cases:
            for finding in case.findings:
                if not isinstance(finding.value, str):
                    of_case = values.setdefault(finding.evaluator, {})
                    of_case.setdefault(case.name, []).append(float(finding.value))
        return {
            name: bootstrap([mean(found) for found in by_case.values()])
            for name, by_case in values.items()
        }

    def pass_hat(self) -> dict[int, float]:
        """Return pass^k by k: how often all of k trials of a case pass; nothing for one trial."""
        return self._over_trials(pass_hat)

    def pass_at(self) -> dict[int, float]:
        """Return pass@k by k: how often any of k trials of a case passes."""
        return self._over_trials(pass_at)

    def _over_trials(self, estimate: Callable[[int, int, int], float]) -> dict[int, float]:
        """Return the mean over cases of an estimate of k trials, by k; nothing for one trial."""
        tries: dict[str, list[bool]] = {}
        for case in self.cases:
            tries.setdefault(case.name, []).append(case.passed)
        most = min((len(found) for found in tries.values()), default=0)
        return {
            k: mean([estimate(sum(found), len(found), k) for found in tries.values()])
            for k in range(1, most + 1 if most > 1 else 1)
        }

    def as_json(self, *, timings: bool = True) -> JsonObject:
        """Return the report as JSON; without timings it is the same for the same findings."""
        cases: list[JsonValue] = [case.as_json(timings=timings) for case in self.cases]
        scores: dict[str, JsonValue] = {name: round(v, 4) for name, v in self.scores().items()}
        usage = sum((case.usage for case in self.cases), Usage())
        intervals: dict[str, JsonValue] = {
            name: [round(found.low, 4), round(found.high, 4)]
            for name, found in self.intervals().items()
        }
        pass_k: dict[str, JsonValue] = {
            str(k): round(value, 4) for k, value in self.pass_hat().items()
        }
        any_k: dict[str, JsonValue] = {
            str(k): round(value, 4) for k, value in self.pass_at().items()
        }
        return {
            "suite": self.suite,
            "planner": self.planner,
            "model": self.model,
            "passed": sum(case.passed for case in self.cases),
            "total": len(self.cases),
            "scores": scores,
            "intervals": intervals,
            **({"pass_k": pass_k, "pass_at_k": any_k} if pass_k else {}),
            "usage": _usage_json(usage, timings=timings),
            "cases": cases,
        }

    def table(self, *, timings: bool = True) -> Group:
        """Return the report for a terminal: a row a case, and below a row an evaluator.

        Without timings it is the same for the same findings.
        """
        passed = f"{sum(case.passed for case in self.cases)} of {len(self.cases)} passed"
        planner = f"{self.planner} ({self.model})" if self.model else self.planner
        title = Text(f"{self.suite} · planner: {planner} · {passed}", style="bold")
        return Group(
            title, Text(), self._cases_table(timings=timings), Text(), self._scores_table()
        )

    def _cases_table(self, *, timings: bool) -> Table:
        table = Table(box=None, header_style="bold", pad_edge=False)
        table.add_column("case", no_wrap=True)
        table.add_column("passed")
        if timings:
            table.add_column("seconds", justify="right")
        table.add_column("what is wrong", overflow="fold")
        for case in self.cases:
            style = "" if case.passed else "bold"
            passed = "yes" if case.passed else "NO"
            faults = Text("\n".join(case.faults()))
            taken = [f"{case.seconds:.2f}"] if timings else []
            table.add_row(Text(case.name), passed, *taken, faults, style=style)
        return table

    def _scores_table(self) -> Table:
        counts = Counter(finding.evaluator for case in self.cases for finding in case.findings)
        table = Table(box=None, header_style="bold", pad_edge=False)
        table.add_column("evaluator")
        table.add_column("mean", justify="right")
        table.add_column("cases", justify="right")
        table.add_column("95 %", justify="right")
        intervals = self.intervals()
        for name, value in self.scores().items():
            found = intervals[name]
            between = f"{found.low:.2f} … {found.high:.2f}"
            table.add_row(Text(name), f"{value:.2f}", str(counts[name]), between)
        for k, value in self.pass_hat().items():
            table.add_row(Text(f"pass^{k}"), f"{value:.2f}", "", "")
        return table


def _usage_json(usage: Usage, *, timings: bool) -> JsonObject:
    found = usage.as_json()
    return found if timings else {key: part for key, part in found.items() if key != "seconds"}
