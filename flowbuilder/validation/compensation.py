"""What undoes a step: its tool, its arguments, and what they may refer to."""

from __future__ import annotations

from flowbuilder.errors import Fix, Problem
from flowbuilder.flow import Step
from flowbuilder.references import Found
from flowbuilder.validation.arguments import argument_problems
from flowbuilder.validation.dataflow import references_in, unknown_tool
from flowbuilder.validation.scope import DataScope


def compensation_problems(position: int, step: Step, scope: DataScope) -> list[Problem]:
    """Return everything that is wrong with a step's compensation."""
    if step.compensate is None:
        return []
    pointer = f"/steps/{position}/compensate"
    undoing = step.compensate.as_step(step.id)
    problems, references = references_in(undoing.args, f"{pointer}/args", undoing, scope)
    bad = {problem.pointer for problem in problems}
    usable = [item for item in references if item.pointer not in bad]
    problems += _out_of_sight(position, step, usable, scope)
    tool = scope.tool(undoing)
    if tool is None:
        return [*problems, unknown_tool(undoing, pointer, scope)]
    bad = {problem.pointer for problem in problems}
    problems += argument_problems(undoing, tool, references, scope, f"{pointer}/args", bad)
    return problems


def _out_of_sight(
    position: int, step: Step, references: list[Found], scope: DataScope
) -> list[Problem]:
    """Refuse references to steps that may not have ended when the step is undone."""
    return [
        Problem(
            code="compensation_reference",
            pointer=item.pointer,
            message=f"{item.reference}: what undoes {step.id!r} knows its output and those of the "
            "steps that it depends on",
            fix=Fix.MODEL,
        )
        for item in references
        if item.reference.step not in (None, step.id)
        and not scope.stands_before(item.reference.step or "", position, step)
    ]
