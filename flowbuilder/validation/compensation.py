"""What undoes a step: its tool, its arguments, and what they may refer to."""

from __future__ import annotations

from collections.abc import Collection

from flowbuilder.errors import Fix, Problem
from flowbuilder.references import Found
from flowbuilder.validation.ancestry import Ancestry
from flowbuilder.validation.arguments import argument_problems, refused_problems
from flowbuilder.validation.dataflow import (
    child_problems,
    pointers_of_errors,
    reference_problems,
    unknown_tool,
)
from flowbuilder.validation.reading import StepReading, read_value
from flowbuilder.validation.scope import DataScope


def compensation_problems(
    reading: StepReading, scope: DataScope, ancestry: Ancestry, flows: Collection[str] | None
) -> list[Problem]:
    """Return everything that is wrong with a step's compensation."""
    step = reading.step
    if step.compensate is None:
        return []
    pointer = f"{reading.pointer}/compensate"
    undoing = step.compensate.as_step(step.id)
    args = read_value(undoing.args, f"{pointer}/args")
    problems = reference_problems(args, undoing, scope)
    bad = pointers_of_errors(problems)
    seen = [item for item in args.found() if item.pointer not in bad]
    problems += _out_of_sight(reading, seen, ancestry)
    facts = scope.facts(undoing.tool)
    if facts is None:
        return [*problems, unknown_tool(undoing, pointer, scope)]
    bad = pointers_of_errors(problems)
    problems += argument_problems(undoing, args, facts, scope, pointer, bad)
    problems += refused_problems(undoing, facts, pointer)
    return problems + child_problems(undoing, pointer, facts, flows)


def _out_of_sight(
    reading: StepReading, references: list[Found], ancestry: Ancestry
) -> list[Problem]:
    """Refuse references to steps that may not have ended when the step is undone."""
    named = {item.reference.step for item in references if item.reference.step is not None}
    unseen = ancestry.beyond(reading, named)
    return [
        Problem(
            code="compensation_reference",
            pointer=item.pointer,
            message=f"{item.reference}: what undoes {reading.step.id!r} knows its output and those "
            "of the steps that it depends on",
            fix=Fix.MODEL,
        )
        for item in references
        if item.reference.step in unseen
    ]
