"""Effects and taint, as far as they can be told before anything runs."""

from __future__ import annotations

from collections.abc import Mapping

from flowbuilder.errors import Fix, InvalidValue, Problem, Severity
from flowbuilder.policy import is_asked_before
from flowbuilder.tools import HARMLESS
from flowbuilder.validation.facts import ToolFacts
from flowbuilder.validation.lineage import Lineage
from flowbuilder.validation.reading import StepReading
from flowbuilder.validation.scope import DataScope


def effect_problems(
    reading: StepReading, facts: ToolFacts, scope: DataScope, known: Mapping[str, Lineage]
) -> list[Problem]:
    """Warn of a step with effects that nobody looks at though outsiders had a part in its data."""
    step = reading.step
    if facts.tool.effects in HARMLESS:
        return []
    if step.approval is not None:
        if step.approval.on_deadline == "approve":
            return [
                Problem(
                    code="approval_by_time",
                    pointer=f"{reading.pointer}/approval/on_deadline",
                    message=f"{facts.label} has effects ({facts.tool.effects.value}), and nobody "
                    "has to agree: the deadline's passing does",
                    severity=Severity.WARNING,
                    fix=Fix.AUTO,
                )
            ]
        return []
    dirty = {name for name in reading.data if name in known and known[name].tainted}
    if not dirty:
        return []
    if reading.args.problems:
        return []  # what cannot be read is reported, and nobody knows what it takes
    before = [found for name in sorted(reading.needs) if (found := scope.step(name)) is not None]
    try:
        if is_asked_before(step, before):
            return []
    except InvalidValue:
        return []
    first = next(
        found
        for part in (reading.args, reading.elements)
        for found in part.found()
        if found.reference.step in dirty
    )
    return [
        Problem(
            code="untrusted_argument",
            pointer=first.pointer,
            message=f"{facts.label} has effects ({facts.tool.effects.value}) and would use data "
            f"from outside, through {', '.join(sorted(dirty))}; nobody is named to look at it",
            severity=Severity.WARNING,
            fix=Fix.AUTO,
        )
    ]
