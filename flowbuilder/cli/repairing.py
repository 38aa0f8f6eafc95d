"""`flowbuilder validate --fix`: mend a document as far as nobody has to decide anything."""

from __future__ import annotations

from pathlib import Path

from flowbuilder.cli.failures import FAILED, OK, UsageProblem, show_problems
from flowbuilder.cli.options import Options
from flowbuilder.cli.output import Printer, to_text
from flowbuilder.cli.sources import read_document
from flowbuilder.errors import InvalidValue
from flowbuilder.repair import Repair


def fix(options: Options, file: Path) -> int:
    """Print the mended document and what was done to it; 1 when errors are left.

    The file stays as it is: standard output is the document, what is told goes to standard error.
    """
    from flowbuilder.client.checking import parse_document
    from flowbuilder.repair import repair

    printer = options.printer()
    if not file.is_file():
        raise UsageProblem(f"there is no file {file}")
    registry, settings = options.registry(), options.settings()
    try:
        document = parse_document(read_document(file), settings, name=str(file))
    except InvalidValue as error:
        problem = error.as_problem()
        if printer.as_json:
            printer.line({"type": "problem", "file": str(file), **problem.as_json()})
        show_problems(printer, [problem])
        return FAILED
    found = repair(document, registry)
    _tell(printer, file, found)
    return OK if found.valid else FAILED


def _tell(printer: Printer, file: Path, found: Repair) -> None:
    if printer.as_json:
        printer.line(
            {
                "type": "repair",
                "file": str(file),
                "valid": found.valid,
                "document": found.document,
                "changes": [change.as_json() for change in found.changes],
                "problems": [problem.as_json() for problem in found.problems],
            }
        )
        return
    printer.value(to_text(found.document))
    for change in found.changes:
        printer.err.print(f"mended {change.pointer or '/'}: {change.as_json()}", markup=False)
    show_problems(printer, found.problems)
    what = f"{len(found.changes)} changes" if found.changes else "nothing was to be mended"
    printer.err.print(
        f"{file}: {what}, {'valid' if found.valid else 'still not valid'}", markup=False
    )
