"""`flowbuilder eval`: run and list evaluation suites."""

from __future__ import annotations

import itertools
from contextlib import nullcontext
from pathlib import Path

from flowbuilder.cli.failures import FAILED, OK, UsageProblem
from flowbuilder.cli.options import Options
from flowbuilder.cli.output import Printer
from flowbuilder.errors import NotFound
from flowbuilder.evals.dataset import Case, Dataset
from flowbuilder.evals.loading import find_suites, load_suite
from flowbuilder.evals.report import CaseReport
from flowbuilder.evals.runner import run_suite
from flowbuilder.planner.base import Planner

SUITE_COLUMNS = {"suite": "suite", "cases": "cases", "description": "description"}


async def run(options: Options, name: str, *, planner: Planner | None = None) -> int:
    """Run a suite; in JSON mode a line a case and one for the whole. 1 when a case fails."""
    printer, settings = options.printer(), options.settings()
    dataset = named_suite(name)
    if options.database_url is None:  # the project's own workers would take the cases' tasks
        settings = settings.model_copy(update={"database_url": None})
    progress = _Progress(printer, dataset)
    with progress.spinner or nullcontext():
        report = await run_suite(
            dataset,
            settings,
            planner=planner,
            search_path=Path(),
            on_start=progress.begin,
            on_case=progress.end,
        )
    if printer.as_json:
        whole = report.as_json()
        whole.pop("cases")
        printer.line({"type": "report", **whole})
    else:
        printer.say()
        printer.out.print(report.table())
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


def named_suite(name: str) -> Dataset:
    """Return the suite of a name or file. Raises: UsageProblem."""
    try:
        return load_suite(name)
    except NotFound as error:
        raise UsageProblem(error.message, hint=error.hint) from None


class _Progress:
    """Tells of each case: a JSON line when it is done, or a line of text and a spinner."""

    def __init__(self, printer: Printer, dataset: Dataset) -> None:
        self._printer = printer
        self._total = len(dataset.cases)
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
                {"type": "case", "index": number, "total": self._total, **case.as_json()}
            )
            return
        word = "ok " if case.passed else "NOT"
        width = len(str(self._total))
        self._printer.say(
            f"{word} {number:>{width}}/{self._total} {case.name} ({case.seconds:.1f} s)",
            "dim" if case.passed else "bold",
        )
