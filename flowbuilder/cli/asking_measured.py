"""`flowbuilder eval asking`: what is asked when a goal lacks a value, over public records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flowbuilder.cli.failures import FAILED, OK, UsageProblem
from flowbuilder.cli.output import Printer
from flowbuilder.errors import InvalidValue, NotFound
from flowbuilder.evals.asking import BARS, Asked, measure_asking
from flowbuilder.evals.importers import import_cases
from flowbuilder.settings import Settings

_NAMES = {
    "ask_recall": "asked for, of values that were taken out of the goal",
    "false_asks": "goals with a needless question, of whole ones",
    "invented_flagged": "asked for, of values that were made up",
}


async def asking(
    printer: Printer, format: str, path: str, *, seed: int, catalogue: Path | None, wrong: bool
) -> int:
    """Measure and print; 1 when a figure misses its bar."""
    try:
        imported = import_cases(path, format=format, catalogue=catalogue)
    except (InvalidValue, NotFound) as error:
        raise UsageProblem(error.message, hint=error.hint) from None
    # the figures are of this code, not of somebody's settings
    found = await measure_asking(imported.cases, seed=seed, settings=Settings())
    if not found.verdicts:
        raise UsageProblem("no record has a gold plan and tools")
    _tell(printer, found, wrong=wrong)
    return OK if found.passes else FAILED


def _tell(printer: Printer, found: Asked, *, wrong: bool) -> None:
    figures: Any = found.as_json()
    for verdict in found.verdicts if wrong else ():
        if verdict.right:
            continue
        if printer.as_json:
            printer.line({"type": "verdict", **verdict.as_json()})
        else:
            place = verdict.trial.place
            expected = f"{place[0]}.{place[1]}" if place is not None else "nothing"
            asked = ", ".join(f"{step}.{name}" for step, name in verdict.asked) or "nothing"
            printer.say(f"{verdict.trial.kind} {verdict.trial.case}: {expected} / {asked}", "dim")
    if printer.as_json:
        printer.line({"type": "asking", **figures})
        return
    for name, about in _NAMES.items():
        value = figures[name]
        sign = ">=" if BARS[name][1] else "<="
        printer.say(
            f"{name}: {value['value']:.4f} [{value['low']:.4f}, {value['high']:.4f}] "
            f"({sign} {BARS[name][0]}): {about}, {value['trials']} trials"
        )
