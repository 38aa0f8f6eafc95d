"""Validation: every problem of a flow document at once, with code, pointer, message and hint.

Nothing here raises for a bad document, whatever it is. The layers, each in a module: the shape of
the document, its graph, and for every step its tool, arguments, references and conditions.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from flowbuilder.errors import DefinitionError, InvalidValue, Problem, Severity
from flowbuilder.flow import Flow
from flowbuilder.schemas import value_problems
from flowbuilder.strictjson import DOCUMENT_LIMITS, Limits, check
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonValue
from flowbuilder.validation.dataflow import output_problems, step_problems
from flowbuilder.validation.scope import DataScope
from flowbuilder.validation.shape import Shape, read_shape
from flowbuilder.validation.structure import structure_problems

__all__ = ["Validation", "compile_flow", "validate", "validate_input"]

MAX_STEPS = 1000


@dataclass(frozen=True, slots=True)
class Validation:
    """What validation found."""

    flow: Flow | None
    """The flow, when no problem is an error."""
    problems: tuple[Problem, ...]

    @property
    def valid(self) -> bool:
        """Whether there is no error; warnings may be there."""
        return self.flow is not None


def validate(
    document: object,
    registry: ToolRegistry,
    *,
    flows: Collection[str] | None = None,
    max_steps: int = MAX_STEPS,
    limits: Limits = DOCUMENT_LIMITS,
) -> Validation:
    """Check a `flow.v1` document, given as JSON or as a `Flow`. Never raises.

    Args:
        document: What is to be checked; any Python value.
        registry: The tools that steps may use.
        flows: Slugs that `flow.run` may name; None leaves that open.
        max_steps: More steps are one problem, and nothing else is looked at.
        limits: Depth and size of the document.
    """
    raw = document.document() if isinstance(document, Flow) else document
    try:
        checked = check(raw, limits=limits)
    except InvalidValue as error:
        return Validation(None, (error.as_problem(),))
    except RecursionError:
        problem = Problem(code="json_depth", pointer="", message="the document is nested too deep")
        return Validation(None, (problem,))
    shape = read_shape(checked, max_steps=max_steps)
    problems = list(shape.problems)
    if shape.steps is not None:
        problems += _judge(shape, registry, flows)
    problems.sort(key=_document_order)
    errors = any(problem.severity is Severity.ERROR for problem in problems)
    flow = None if errors else shape.flow()
    return Validation(flow, tuple(problems))


def compile_flow(
    document: object, registry: ToolRegistry, *, flows: Collection[str] | None = None
) -> Flow:
    """Return the flow of a valid document.

    Raises:
        DefinitionError: With every problem.
    """
    found = validate(document, registry, flows=flows)
    if found.flow is None:
        errors = [item for item in found.problems if item.severity is Severity.ERROR]
        raise DefinitionError(
            f"the flow has {len(errors)} problem{'s' if len(errors) > 1 else ''}; first: "
            f"{errors[0].message}",
            problems=found.problems,
        )
    return found.flow


def validate_input(flow: Flow, input: JsonValue) -> tuple[Problem, ...]:
    """Check a run's input against the flow's input schema."""
    return tuple(value_problems(flow.input, input, code="input_invalid", pointer=""))


def _judge(shape: Shape, registry: ToolRegistry, flows: Collection[str] | None) -> list[Problem]:
    scope = DataScope(shape, registry)
    problems = structure_problems(shape)
    for position, step in shape.known_steps():
        problems += step_problems(position, step, scope, flows)
    problems += output_problems(shape.output, scope)
    return problems


def _document_order(problem: Problem) -> tuple[object, ...]:
    parts = problem.pointer.split("/")
    number = int(parts[2]) if len(parts) > 2 and parts[1] == "steps" and parts[2].isdigit() else -1
    return (parts[1:2] == ["steps"], number, problem.pointer, problem.code)
