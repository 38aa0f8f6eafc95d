"""Two reports of one suite, case by case: two models, two prompts, or before and after a change."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from rich.console import Group
from rich.table import Table
from rich.text import Text

from flowbuilder.errors import InvalidValue, NotFound
from flowbuilder.evals.loading import problem_of
from flowbuilder.evals.statistics import SEED, PairedDifference, mean, paired
from flowbuilder.strictjson import Limits, loads
from flowbuilder.types import JsonObject, JsonValue

ALPHA = 0.05
#: The share of cases that pass is compared like a score.
PASSED = "passed"
_LIMITS = Limits(depth=32, bytes=256 * 1_048_576)


@dataclass(frozen=True, slots=True)
class Scored:
    """A report's scores: case → evaluator → mean over the trials."""

    title: str
    suite: str
    cases: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What differs between two reports, by evaluator."""

    suite: str
    before: str
    after: str
    scores: Mapping[str, PairedDifference]
    missing: tuple[str, ...]
    """Cases that only the first report has; they count 0 in the second."""
    added: tuple[str, ...]
    """Cases that only the second report has; they count nowhere."""
    regressions: tuple[str, ...]
    """Why the gate does not open, a line for each evaluator; empty when it does."""

    @property
    def passed(self) -> bool:
        """Whether nothing has become worse."""
        return not self.regressions

    def as_json(self) -> JsonObject:
        """Return the comparison as JSON."""
        scores: JsonObject = {name: found.as_json() for name, found in self.scores.items()}
        return {
            "suite": self.suite,
            "before": self.before,
            "after": self.after,
            "passed": self.passed,
            "regressions": [*self.regressions],
            "missing": [*self.missing],
            "added": [*self.added],
            "scores": scores,
        }

    def table(self) -> Group:
        """Return the comparison for a terminal."""
        table = Table(box=None, header_style="bold", pad_edge=False)
        for heading in ("score", "before", "after", "change", "95 %", "p (worse)", "+", "−", "n"):
            table.add_column(heading, justify="left" if heading == "score" else "right")
        for name, found in self.scores.items():
            table.add_row(
                Text(name),
                f"{found.before:.3f}",
                f"{found.after:.3f}",
                f"{found.difference:+.3f}",
                f"{found.interval.low:+.3f} … {found.interval.high:+.3f}",
                f"{found.p_worse:.3f}",
                str(found.better),
                str(found.worse),
                str(found.cases),
            )
        lines = [Text(f"{self.suite}: {self.before} → {self.after}", style="bold"), Text()]
        lost = [Text(f"worse: {line}", style="bold") for line in self.regressions]
        notes = []
        if self.missing:
            notes.append(Text(f"not in the second, counted 0: {', '.join(self.missing)}"))
        if self.added:
            notes.append(Text(f"only in the second, not counted: {', '.join(self.added)}"))
        return Group(*lines, table, *([Text()] if lost or notes else []), *lost, *notes)


def read_scores(path: Path) -> Scored:
    """Read what `flowbuilder eval run --report FILE.json` has written.

    Raises:
        NotFound: The file cannot be read (report_not_found).
        InvalidValue: It is no such report, or one without cases (report_invalid).
    """
    try:
        found = scores_of(loads(path.read_bytes(), limits=_LIMITS))
    except OSError as error:
        reason = error.strerror or error
        raise NotFound(f"{path} cannot be read: {reason}", code="report_not_found") from None
    except InvalidValue as error:
        raise _invalid(path, error.message, error.pointer) from None
    except ValidationError as error:
        first = problem_of(dict(error.errors()[0]))
        told = first.message if first.pointer else f"it {first.message}"
        raise _invalid(path, told, first.pointer) from None
    if not found.cases:  # every score would have held its own against nothing
        raise _invalid(path, "there are no cases in it, so nothing to compare", "/cases")
    return found


def _invalid(path: Path, told: str, pointer: str) -> InvalidValue:
    where = f"{pointer}: " if pointer else ""
    message = f"{path} is no report of a suite: {where}{told}"
    return InvalidValue(message, pointer=pointer, code="report_invalid")


class _Finding(BaseModel):
    evaluator: str
    value: Any


class _Case(BaseModel):
    name: str
    passed: bool
    findings: list[_Finding]


class _Document(BaseModel):
    """What of a report is compared; what else stands in it is let be."""

    suite: str
    planner: str
    model: str | None = None
    cases: list[_Case]


def scores_of(document: Any) -> Scored:
    """Return the scores of a report as JSON. Raises: pydantic.ValidationError."""
    report = _Document.model_validate(document)
    trials: dict[str, dict[str, list[float]]] = {}
    for case in report.cases:
        found = trials.setdefault(case.name, {})
        found.setdefault(PASSED, []).append(float(case.passed))
        for finding in case.findings:
            if isinstance(finding.value, bool | int | float):
                found.setdefault(finding.evaluator, []).append(float(finding.value))
    return Scored(
        title=" ".join(part for part in (report.planner, report.model) if part),
        suite=report.suite,
        cases={
            case: {name: mean(values) for name, values in found.items()}
            for case, found in trials.items()
        },
    )


def compare_reports(
    before: Scored,
    after: Scored,
    *,
    alpha: float = ALPHA,
    max_drop: float | None = None,
    only: Collection[str] = (),
    seed: int = SEED,
) -> Comparison:
    """Compare two reports case by case.

    A score has become worse when its loss is unlikely to be chance (`alpha`, one-sided), or is
    larger than `max_drop` in any case.

    Args:
        before: What is held against.
        after: What is judged.
        alpha: How unlikely; 0 leaves the gate to `max_drop`.
        max_drop: A loss of the mean that is too much, from 0 to 1.
        only: Scores to look at; nothing for all.
        seed: Of the draws.

    Raises:
        InvalidValue: The suites differ, or a score is in neither report (report_invalid).
    """
    if before.suite != after.suite:
        message = f"the reports are of two suites, {before.suite} and {after.suite}"
        raise InvalidValue(message, code="report_invalid")
    names = _names(before, after)
    unknown = [name for name in only if name not in names]
    if unknown:
        raise InvalidValue(
            f"there is no score {unknown[0]!r}",
            code="report_invalid",
            hint=f"Scores: {', '.join(names)}.",
        )
    scores: dict[str, PairedDifference] = {}
    for name in only or names:
        pairs = _pairs(name, before, after)
        if pairs:
            scores[name] = paired([a for a, _ in pairs], [b for _, b in pairs], seed=seed)
    return Comparison(
        suite=before.suite,
        before=before.title,
        after=after.title,
        scores=scores,
        missing=tuple(case for case in before.cases if case not in after.cases),
        added=tuple(case for case in after.cases if case not in before.cases),
        regressions=tuple(_regressions(scores, alpha, max_drop)),
    )


def _names(*reports: Scored) -> list[str]:
    found = [name for report in reports for case in report.cases.values() for name in case]
    return list(dict.fromkeys(found))


def _pairs(name: str, before: Scored, after: Scored) -> list[tuple[float, float]]:
    """Return both values of every case that has them; a case that is gone counts 0."""
    pairs = []
    for case, found in before.cases.items():
        if name not in found:
            continue
        if case not in after.cases:
            pairs.append((found[name], 0.0))
        elif name in after.cases[case]:
            pairs.append((found[name], after.cases[case][name]))
    return pairs


def _regressions(
    scores: Mapping[str, PairedDifference], alpha: float, max_drop: float | None
) -> Sequence[str]:
    found = []
    for name, score in scores.items():
        change = f"{name} {score.before:.3f} → {score.after:.3f}"
        if max_drop is not None and score.difference < -max_drop - 1e-12:
            found.append(f"{change}, more than {max_drop:g} less")
        elif score.difference < 0 and score.p_worse <= alpha:
            found.append(f"{change}, p = {score.p_worse:.3f}")
    return found


def as_line(comparison: Comparison) -> dict[str, JsonValue]:
    """Return the comparison as one JSON line of the command line."""
    return {"type": "comparison", **comparison.as_json()}
