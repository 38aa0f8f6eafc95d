"""What a model could not mend in its rounds, and needs nobody's word: deterministic repair."""

from __future__ import annotations

from dataclasses import replace

from flowbuilder.errors import Problem, Severity
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.judging import Judgement
from flowbuilder.repair import ABSENT, Change, repair
from flowbuilder.strictjson import dumps
from flowbuilder.validation import DEFECTS

_LONGEST_SHOWN = 120


def patched(judged: Judgement, request: PlanRequest) -> Judgement:
    """Return a plan without the errors that repair mends; the same one if any would be left.

    Every change is a doubt: such a plan is shown, and never run unasked.
    """
    errors = judged.errors
    if not errors or judged.document is None or judged.questions:
        return judged
    if any(item.code not in DEFECTS for item in errors):
        return judged  # something of the goal is missing, which no repair brings back
    mended = repair(judged.document, request.registry, flows=request.flows)
    if mended.flow is None or not isinstance(mended.document, dict):
        return judged
    kept = [item for item in judged.problems if item.severity is not Severity.ERROR]
    doubts = [_doubt(change) for change in mended.changes]
    return replace(judged, document=mended.document, flow=mended.flow, problems=(*kept, *doubts))


def _doubt(change: Change) -> Problem:
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
