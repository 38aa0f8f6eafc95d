"""`flowbuilder eval import`, `parity` and `schema`: public benchmark data and its figures."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from flowbuilder.cli.failures import FAILED, OK, UsageProblem, report
from flowbuilder.cli.output import Printer
from flowbuilder.errors import InvalidValue, NotFound
from flowbuilder.evals.importers import Imported, import_cases, round_trip
from flowbuilder.evals.parity import published_figures
from flowbuilder.evals.suitefile import schema_text, write_suite
from flowbuilder.types import JsonObject

#: Problems that are listed for people; all are in the JSON lines.
MOST_SHOWN = 20


def import_suite(
    printer: Printer, format: str, path: str, *, out: Path | None, catalogue: Path | None
) -> int:
    """Import a file or folder; 1 when a record was left out or would be exported as another."""
    try:
        imported = import_cases(path, format=format, catalogue=catalogue)
    except (InvalidValue, NotFound) as error:
        raise UsageProblem(error.message, hint=error.hint) from None
    changed = round_trip(imported)
    if out is not None and imported.cases:
        _write(imported, out, path)
    left = [problem for problem in imported.problems if problem.case is None]
    defects = [problem for problem in imported.problems if problem.case is not None]
    for problem in (*left, *changed, *defects) if printer.as_json else ():
        printer.line({"type": "problem", **problem.as_json()})
    summary: JsonObject = {
        "format": format,
        "cases": len(imported.cases),
        "tools": len(imported.catalogue),
        "left_out": len(left),
        "exported_equal": len(imported.cases) - len(changed),
        "with_gold_defects": len({problem.case for problem in defects}),
        "out": str(out) if out is not None and imported.cases else None,
    }
    if not imported.cases:  # before the summary, which is the last line however it went
        report(printer, _empty(imported, path))
    if printer.as_json:
        printer.line({"type": "imported", **summary})
    else:
        _tell(printer, summary, [f"{p.place}: {p.message}" for p in (*left, *changed, *defects)])
    return FAILED if left or changed or not imported.cases else OK


def print_parity(
    printer: Printer, format: str, gold: Path, answers: Path, *, catalogue: Path | None
) -> int:
    """Print the figures of a published evaluation."""
    try:
        figures = published_figures(format, gold, answers, catalogue=catalogue)
    except (InvalidValue, NotFound) as error:
        raise UsageProblem(error.message, hint=error.hint) from None
    if printer.as_json:
        printer.line({"type": "parity", "format": format, **figures})
    for name, value in figures.items():
        printer.say(f"{name:24} {value:.6f}" if isinstance(value, float) else f"{name:24} {value}")
    return OK


def print_schema() -> int:
    """Print the JSON Schema of suite files."""
    sys.stdout.write(schema_text())
    return OK


def _empty(imported: Imported, path: str) -> InvalidValue:
    """Return why there is no suite: there are no records at all, or none that can be a case."""
    if any(problem.code == "record_invalid" for problem in imported.problems):
        return InvalidValue(f"no record of {path} could be imported", code="import_empty")
    return InvalidValue(
        f"{path} holds no records",
        code="import_empty",
        hint="Records stand in a JSON array, or one a line.",
    )


def _write(imported: Imported, out: Path, path: str) -> None:
    suite = re.sub(r"[^a-z0-9]+", "-", out.stem.lower()).strip("-")[:80] or imported.format
    try:
        write_suite(
            imported.dataset(suite, f"{imported.format}, imported from {Path(path).name}"), out
        )
    except OSError as error:
        raise UsageProblem(f"{out} cannot be written: {error.strerror}") from None
    except InvalidValue as error:
        raise UsageProblem(error.message, hint=error.hint) from None


def _tell(printer: Printer, summary: JsonObject, lines: list[str]) -> None:
    printer.say(
        f"{summary['cases']} cases with {summary['tools']} shared tools; "
        f"{summary['left_out']} problems with records or tools, "
        f"{summary['exported_equal']} exported with the same meaning, "
        f"{summary['with_gold_defects']} with faults in their gold"
    )
    for line in lines[:MOST_SHOWN]:
        printer.say(f"  {line}", "dim")
    if len(lines) > MOST_SHOWN:
        printer.say(f"  … and {len(lines) - MOST_SHOWN} more; --json lists all", "dim")
    if summary["out"] is not None:
        printer.say(f"written to {summary['out']}")
