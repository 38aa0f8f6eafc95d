"""Validation: every problem of a flow document at once, with code, pointer, message and hint.

Nothing here raises for a bad document, whatever it is. The layers, each in a module: the shape of
the document, its graph, and for every step its tool, arguments, references and conditions.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from flowbuilder.errors import DefinitionError, Fix, InvalidValue, Problem, Severity
from flowbuilder.flow import Flow
from flowbuilder.schemas import value_problems
from flowbuilder.strictjson import DEFAULT_LIMITS, DOCUMENT_LIMITS, Limits, check
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonValue
from flowbuilder.validation.arguments import size_problems
from flowbuilder.validation.compensation import compensation_problems
from flowbuilder.validation.dataflow import output_problems, step_problems
from flowbuilder.validation.scope import DataScope
from flowbuilder.validation.shape import Shape, read_shape
from flowbuilder.validation.structure import structure_problems

__all__ = ["Validation", "compile_flow", "validate", "validate_input"]

MAX_STEPS = 1000
MAX_PROBLEMS = 1000


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
    value_bytes: int = DEFAULT_LIMITS.bytes,
) -> Validation:
    """Check a `flow.v1` document, given as JSON or as a `Flow`. Never raises.

    Args:
        document: What is to be checked; any Python value.
        registry: The tools that steps may use.
        flows: Slugs that `flow.run` may name; None leaves that open.
        max_steps: More steps are one problem, and nothing else is looked at.
        limits: Depth and size of the document.
        value_bytes: How large (bytes of JSON) one step's arguments may be when they are run.
    """
    try:
        checked = check(_plain(document, limits), limits=limits)
    except InvalidValue as error:
        return Validation(None, (replace(error.as_problem(), fix=Fix.MODEL),))
    shape = read_shape(checked, max_steps=max_steps)
    problems = list(shape.problems)
    if shape.steps is not None:
        problems += _judge(shape, registry, flows, value_bytes)
    problems.sort(key=_document_order)
    if len(problems) > MAX_PROBLEMS:
        problems = _shortened(problems)
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


def _judge(
    shape: Shape, registry: ToolRegistry, flows: Collection[str] | None, value_bytes: int
) -> list[Problem]:
    scope = DataScope(shape, registry)
    problems = structure_problems(shape)
    for position, step in shape.known_steps():
        if len(problems) > MAX_PROBLEMS:
            break
        problems += size_problems(position, step, value_bytes)
        problems += step_problems(position, step, scope, flows)
        problems += compensation_problems(position, step, scope)
    problems += output_problems(shape.output, scope)
    return problems


def _plain(document: object, limits: Limits) -> object:
    """Return a flow that was built in Python as JSON, once its values are known to be JSON."""
    if not isinstance(document, Flow):
        return document
    for position, step in enumerate(document.steps):
        check(step.args, limits=limits, pointer=f"/steps/{position}/args")
        check(step.for_each, limits=limits, pointer=f"/steps/{position}/for_each")
    check(document.input, limits=limits, pointer="/input")
    check(document.output, limits=limits, pointer="/output")
    return document.document()


def _shortened(problems: list[Problem]) -> list[Problem]:
    """Keep what fits, errors first, and say that there is more."""
    kept = sorted(problems, key=lambda problem: problem.severity is not Severity.ERROR)
    kept = sorted(kept[:MAX_PROBLEMS], key=_document_order)
    message = f"more than {MAX_PROBLEMS} problems; the others are not listed"
    return [*kept, Problem(code="more_problems", pointer="", message=message)]


def _document_order(problem: Problem) -> tuple[object, ...]:
    """Sort the head before the steps, and 2 before 10."""
    parts = problem.pointer.split("/")
    numbered = [(0, int(part), "") if _is_place(part) else (1, 0, part) for part in parts]
    return (parts[1:2] == ["steps"], numbered, problem.code)


def _is_place(part: str) -> bool:
    return part.isascii() and part.isdecimal() and len(part) < 10
