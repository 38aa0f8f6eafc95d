"""What undoes a step: its tool, its arguments, and what they may refer to."""

from __future__ import annotations

from collections.abc import Collection

from flowbuilder.errors import Fix, Problem
from flowbuilder.flow import Step
from flowbuilder.graph import needs
from flowbuilder.references import Found
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
    reading: StepReading, scope: DataScope, flows: Collection[str] | None
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
    problems += _out_of_sight(
        step, [item for item in args.found() if item.pointer not in bad], scope
    )
    facts = scope.facts(undoing.tool)
    if facts is None:
        return [*problems, unknown_tool(undoing, pointer, scope)]
    bad = pointers_of_errors(problems)
    problems += argument_problems(undoing, args, facts, scope, pointer, bad)
    problems += refused_problems(undoing, facts, pointer)
    return problems + child_problems(undoing, pointer, facts, flows)


def _out_of_sight(step: Step, references: list[Found], scope: DataScope) -> list[Problem]:
    """Refuse references to steps that may not have ended when the step is undone."""
    seen = {step.id, *_before(step, scope)}
    return [
        Problem(
            code="compensation_reference",
            pointer=item.pointer,
            message=f"{item.reference}: what undoes {step.id!r} knows its output and those of the "
            "steps that it depends on",
            fix=Fix.MODEL,
        )
        for item in references
        if item.reference.step is not None and item.reference.step not in seen
    ]


def _before(step: Step, scope: DataScope) -> set[str]:
    """Return every step that one depends on, directly or not."""
    found: set[str] = set()
    waiting = [step]
    while waiting:
        for name in needs(waiting.pop()) - found:
            found.add(name)
            other = scope.step(name)
            if other is not None:
                waiting.append(other)
    return found
