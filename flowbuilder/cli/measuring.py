"""`flowbuilder eval`: run, list and compare evaluation suites."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from flowbuilder.cli.failures import FAILED, OK, UsageProblem
from flowbuilder.cli.options import Options
from flowbuilder.cli.output import Printer
from flowbuilder.errors import InvalidValue, NotFound
from flowbuilder.evals.comparison import as_line, compare_reports, read_scores
from flowbuilder.evals.dataset import Case, Dataset
from flowbuilder.evals.loading import find_suites, load_suite
from flowbuilder.evals.report import CaseReport, Report
from flowbuilder.evals.reportfiles import check_suffix, write_report
from flowbuilder.evals.runner import run_suite
from flowbuilder.planner.base import Planner

SUITE_COLUMNS = {"suite": "suite", "cases": "cases", "description": "description"}


async def run(
    options: Options,
    name: str,
    *,
    trials: int = 1,
    reports: Sequence[Path] = (),
    timings: bool = True,
    planning: Callable[[], Planner] | None = None,
) -> int:
    """Run a suite; in JSON mode a line a case and one for the whole. 1 when a case fails.

    `planning` makes the planner; by default it is the one of the settings.
    """
    for path in reports:
        _check_report(path)
    printer, settings = options.printer(), options.settings()
    dataset = named_suite(name)
    if options.database_url is None:  # the project's own workers would take the cases' tasks
        settings = settings.model_copy(update={"database_url": None})
    progress = _Progress(printer, dataset, trials, timings=timings)
    with progress.spinner or nullcontext():
        report = await run_suite(
            dataset,
            settings,
            planner=None if planning is None else planning(),
            search_path=Path(),
            trials=trials,
            on_start=progress.begin,
            on_case=progress.end,
        )
    for path in reports:
        _write_report(report, path, timings=timings)
    if printer.as_json:
        whole = report.as_json(timings=timings)
        whole.pop("cases")
        printer.line({"type": "report", **whole})
    else:
        printer.say()
        printer.out.print(report.table(timings=timings))
    return OK if report.passed else FAILED


def suites(options: Options) -> int:
    """List the suites that come with flowbuilder."""
    options.printer().rows(
        [
            {"suite": item.suite, "cases": len(item.cases), "description": item.description}
            for item in find_suites()
        ],
        SUITE_COLUMNS,
        "There are no suites.",
    )
    return OK


async def noise(options: Options, name: str, rate: float, seed: int, most: int | None) -> int:
    """Measure what a model that errs costs; the figures as JSON, or a line each."""
    from flowbuilder.evals.noise import measure_noise

    printer = options.printer()
    dataset = named_suite(name)
    report = await measure_noise(dataset, options.settings(), rate=rate, seed=seed, most=most)
    figures = report.as_json()
    if printer.as_json:
        printer.line({"type": "noise", "suite": dataset.suite, **figures})
    else:
        for key, value in figures.items():
            printer.say(f"{key.replace('_', ' ')}: {value}")
    return OK if report.passed else FAILED


def compare(
    options: Options,
    before: Path,
    after: Path,
    *,
    alpha: float,
    max_drop: float | None,
    only: Sequence[str],
) -> int:
    """Compare two reports in JSON; 1 when the second one is worse."""
    printer = options.printer()
    try:
        found = compare_reports(
            read_scores(before), read_scores(after), alpha=alpha, max_drop=max_drop, only=only
        )
    except (NotFound, InvalidValue) as error:
        raise UsageProblem(error.message, hint=error.hint) from None
    if printer.as_json:
        printer.line(as_line(found))
    else:
        printer.out.print(found.table())
    return OK if found.passed else FAILED


def _check_report(path: Path) -> None:
    """Refuse before anything runs what could not be written afterwards. Raises: UsageProblem."""
    try:
        check_suffix(path)
    except InvalidValue as error:
        raise UsageProblem(error.message, hint=error.hint) from None
    if not path.parent.is_dir():
        raise UsageProblem(f"there is no folder {path.parent}")


def _write_report(report: Report, path: Path, *, timings: bool) -> None:
    try:
        write_report(report, path, timings=timings)
    except OSError as error:
        raise UsageProblem(f"{path} cannot be written: {error.strerror}") from None


def named_suite(name: str) -> Dataset:
    """Return the suite of a name or file. Raises: UsageProblem."""
    try:
        return load_suite(name)
    except NotFound as error:
        raise UsageProblem(error.message, hint=error.hint) from None


class _Progress:
    """Tells of each case: a JSON line when it is done, or a line of text and a spinner."""

    def __init__(self, printer: Printer, dataset: Dataset, trials: int, *, timings: bool) -> None:
        self._printer = printer
        self._timings = timings
        self._total = len(dataset.cases) * trials
        self._numbers = itertools.count(1)
        starting = f"{dataset.suite}: starting PostgreSQL …"
        self.spinner = printer.out.status(starting) if printer.live else None

    def begin(self, case: Case) -> None:
        """Show which case is tried now."""
        if self.spinner is not None:
            self.spinner.update(f"{case.name} …")

    def end(self, case: CaseReport) -> None:
        """Tell how a case went."""
        number = next(self._numbers)
        if self._printer.as_json:
            self._printer.line(
                {
                    "type": "case",
                    "index": number,
                    "total": self._total,
                    **case.as_json(timings=self._timings),
                }
            )
            return
        word = "ok " if case.passed else "NOT"
        width = len(str(self._total))
        taken = f" ({case.seconds:.1f} s)" if self._timings else ""
        self._printer.say(
            f"{word} {number:>{width}}/{self._total} {case.name}{taken}",
            "dim" if case.passed else "bold",
        )
