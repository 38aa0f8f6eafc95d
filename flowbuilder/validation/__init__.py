"""Validation: every problem of a flow document at once, with code, pointer, message and hint.

Nothing here raises for a bad document, whatever it is. `validate` judges a whole document,
`Checker` one whose steps arrive one by one, with the same findings. The layers, each in a module:
the shape of the document, its order, and for every step its tool, arguments, references,
conditions, effects. `catalogue` lists every code.
"""

from __future__ import annotations

from collections.abc import Collection

from flowbuilder.errors import DefinitionError, InvalidValue, Problem, Severity
from flowbuilder.flow import Flow
from flowbuilder.schemas import value_problems
from flowbuilder.strictjson import DEFAULT_LIMITS, DOCUMENT_LIMITS, Limits, check
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonValue
from flowbuilder.validation.catalogue import ADVICE, DEFECTS, Defect
from flowbuilder.validation.checker import (
    MAX_STEPS,
    Bounds,
    Checker,
    Validation,
    judged,
    of_gate,
)

__all__ = [
    "ADVICE",
    "DEFECTS",
    "Checker",
    "Defect",
    "Validation",
    "compile_flow",
    "validate",
    "validate_input",
]


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
        plain = _plain(document, limits)
    except InvalidValue as error:
        return Validation(None, (of_gate(error),))
    return judged(plain, registry, Bounds(flows, max_steps, limits, value_bytes))


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
