"""`flowbuilder eval`: run and list evaluation suites."""

from __future__ import annotations

from flowbuilder.cli.failures import FAILED, OK
from flowbuilder.cli.options import Options
from flowbuilder.evals.dataset import find_suites, load_suite
from flowbuilder.evals.report import CaseReport
from flowbuilder.evals.runner import run_suite

SUITE_COLUMNS = {"suite": "suite", "cases": "cases", "description": "description"}


async def run(options: Options, name: str) -> int:
    """Run a suite; in JSON mode a line a case and one for the whole. 1 when a case fails."""
    printer, settings = options.printer(), options.settings()
    dataset = load_suite(name)

    def tell(case: CaseReport) -> None:
        if printer.as_json:
            printer.line({"type": "case", **case.as_json()})
        else:
            printer.say(f"{'ok ' if case.passed else 'NOT'} {case.name}", "dim")

    report = await run_suite(dataset, settings, on_case=tell)
    if printer.as_json:
        whole = report.as_json()
        whole.pop("cases")
        printer.line({"type": "report", **whole})
    else:
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
