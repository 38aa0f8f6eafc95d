"""Mend a model's plan without asking it: deterministic repair, and its changes told.

All mending is done by `flowbuilder.repair`. Here its changes become notes and doubts of the plan.
"""

from __future__ import annotations

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.planner.document import steps_of
from flowbuilder.repair import ABSENT, Change, Reading, read_habits
from flowbuilder.strictjson import dumps
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject

_LONGEST_SHOWN = 120


def mend(
    document: JsonObject, registry: ToolRegistry, *, among: JsonObject | None = None
) -> tuple[list[str], list[Problem]]:
    """Read in place what a small model wrote in other ways than are right here.

    `among` is the document whose steps these refer to, if that is another one. Return one sentence
    for each change, and a warning for each that only its type speaks for.
    """
    read, readings = read_habits(document, registry, among=among)
    for step, mended in zip(steps_of(document), steps_of(read), strict=True):
        if "args" in mended:
            step["args"] = mended["args"]
    notes = [reading.note for reading in readings]
    return notes, [_guessed(reading) for reading in readings if reading.guessed]


def _guessed(reading: Reading) -> Problem:
    return Problem(
        code="field_guessed",
        pointer=f"/steps/{reading.position}/args",
        message=f"{reading.said}: there is no such field; it was read as {reading.meant}",
        hint=f"Write {reading.meant} if that is meant.",
        severity=Severity.WARNING,
        fix=Fix.MODEL,
    )


def doubt(change: Change) -> Problem:
    """Return the doubt that a change leaves: a plan with it is shown, and never run unasked."""
    return Problem(
        code="plan_mended",
        pointer=change.pointer,
        message=f"{_shown(change.before)} was read as {_shown(change.after)}",
        severity=Severity.WARNING,
    )


def _shown(value: object) -> str:
    if value is ABSENT:
        return "nothing"
    text = dumps(value).decode()  # type: ignore[arg-type]  # a part of a document, so it is JSON
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."
