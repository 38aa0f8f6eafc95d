"""Compiles a valid flow to the rows that the database executes: see `register_steps.sql`.

References become positions, dependencies become counted edges, tool names are pinned to versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from flowbuilder.errors import DefinitionError
from flowbuilder.expressions import compile_expression
from flowbuilder.flow import Flow, Step
from flowbuilder.graph import dependencies, dependents, needs
from flowbuilder.references import find, parse, plain_path
from flowbuilder.tools import Tool, ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

#: Tools of this name live in the process of one worker: `function.<worker id>.<step>`.
FUNCTION_PREFIX = "function."
#: The compensation of a step is called by this and the step's id.
UNDOING_PREFIX = "compensate:"


def compile_steps(
    flow: Flow,
    registry: ToolRegistry,
    *,
    places: Mapping[str, int] | None = None,
    pins: Mapping[str, str] | None = None,
) -> list[JsonObject]:
    """Return a row for each step, in document order, and then for each step's compensation.

    `refs` are the positions of the steps whose outputs a task of this step needs (those in
    `for_each` are read by the database itself), `for_each` is a literal list or a plain path,
    `outside` whether the tool declares its output untrusted.

    Args:
        flow: A valid flow.
        registry: Where bare tool names are pinned to versions.
        places: The positions of the steps, by default those in the document.
        pins: Tools (`name@version`) of steps, and of `compensate:<step>`, that stay as they are.

    Raises:
        DefinitionError: A tool is not registered (unknown_tool); other faults are the business of
            validation, which comes first.
    """
    places = places or in_order(flow)
    kept = pins or {}
    before = dependencies(flow)
    after = dependents(before)
    steps = [
        _row(
            step,
            places,
            _pin(step.tool, registry, kept.get(step.id)),
            [places[name] for name in before[step.id]],
            sorted(places[name] for name in after[step.id]),
        )
        for step in flow.steps
    ]
    undoing = (row for step in flow.steps for row in _undoing(step, places, registry, kept))
    return [*steps, *undoing]


def compile_step(
    flow: Flow, position: int, registry: ToolRegistry, *, places: Mapping[str, int] | None = None
) -> list[JsonObject]:
    """Return the rows of one step, on which no other depends yet. Raises: as compile_steps."""
    places = places or in_order(flow)
    step = flow.steps[position]
    before = sorted(places[name] for name in needs(step))
    row = _row(step, places, _pin(step.tool, registry), before, [])
    return [row, *_undoing(step, places, registry)]


def in_order(flow: Flow) -> dict[str, int]:
    """Return the positions of steps that stand where the document has them."""
    return {step.id: position for position, step in enumerate(flow.steps)}


def compile_output(flow: Flow, *, places: Mapping[str, int] | None = None) -> JsonObject | None:
    """Return what the finishing task needs; None for a flow that names no output."""
    if flow.output is None:
        return None
    places = places or in_order(flow)
    found = [item.reference for item in find(flow.output)]
    refs: list[JsonValue] = list({places[item.step]: None for item in found if item.step})
    return {
        "definition": {"output": flow.output},
        "refs": refs,
        "needs_input": any(item.root == "input" for item in found),
    }


def pinned(tool: str, registry: ToolRegistry) -> str:
    """Return `name@version` of a tool. Raises: DefinitionError (unknown_tool)."""
    return _tool(tool, registry).ref


def _tool(name: str, registry: ToolRegistry) -> Tool:
    found = registry.get(name)
    if found is None:
        raise DefinitionError(f"there is no tool {name!r}", code="unknown_tool")
    return found


@dataclass(frozen=True, slots=True)
class _Pin:
    """A tool as a version keeps it."""

    ref: str
    outside: bool


def _pin(name: str, registry: ToolRegistry, kept: str | None = None) -> _Pin:
    """Return the tool of a step; of one that was kept and is gone, what it gives is not trusted."""
    if kept is None:
        tool = _tool(name, registry)
        return _Pin(tool.ref, tool.untrusted_output)
    found = registry.get(kept)
    return _Pin(kept, found is None or found.untrusted_output)


def _row(
    step: Step, places: Mapping[str, int], tool: _Pin, before: list[int], after: list[int]
) -> JsonObject:
    roots, steps = _reads(step)
    definition: dict[str, Any] = {
        **step.model_dump(mode="json", exclude={"compensate"}),
        "tool": tool.ref,
    }
    depends_on: list[JsonValue] = list(before)
    following: list[JsonValue] = list(after)
    refs: list[JsonValue] = [*sorted(places[name] for name in steps)]
    return {
        "position": places[step.id],
        "step_id": step.id,
        "tool": tool.ref,
        "definition": definition,
        "depends_on": depends_on,
        "dependents": following,
        "refs": refs,
        "needs_input": "input" in roots,
        "for_each": _for_each(step, places),
        "has_when": step.when is not None,
        "trigger_rule": step.trigger_rule.value,
        "on_error": step.on_error.value,
        "max_attempts": step.retry.max_attempts,
        "concurrency": step.concurrency,
        "limits": _limits(step, places),
        "owner": tool.ref.startswith(FUNCTION_PREFIX),
        "outside": tool.outside,
    }


def _undoing(
    step: Step,
    places: Mapping[str, int],
    registry: ToolRegistry,
    pins: Mapping[str, str] = MappingProxyType({}),
) -> list[JsonObject]:
    """Return the row of a step's compensation, if it has one.

    It stands at -2 - (the step's position), depends on nothing and nothing on it: the database runs
    it when the run has failed and the step had completed.
    """
    if step.compensate is None:
        return []
    undoing = step.compensate.as_step(step.id)
    name = f"{UNDOING_PREFIX}{step.id}"
    row = _row(undoing, places, _pin(undoing.tool, registry, pins.get(name)), [], [])
    return [{**row, "position": -2 - places[step.id], "step_id": name}]


def _reads(step: Step) -> tuple[set[str], set[str]]:
    """Return the roots and the steps that a task of this step reads."""
    found = [item.reference for item in find(step.args)]
    roots = {item.root for item in found}
    steps = {item.step for item in found if item.step is not None}
    if step.when is not None:
        expression = compile_expression(step.when)
        roots |= expression.roots
        steps |= expression.steps
    return roots, steps


def _limits(step: Step, places: Mapping[str, int]) -> JsonValue:
    """Return a step's limit with the plain path of its key, None without one."""
    if step.limit is None:
        return None
    rate, key = step.limit.rate, step.limit.key
    return {
        "key": None if key is None else _limit_key(step.id, key, places),
        "concurrency": step.limit.concurrency,
        "rate_count": rate.count if rate else None,
        "rate_seconds": rate.seconds if rate else None,
    }


def _limit_key(name: str, key: str, places: Mapping[str, int]) -> JsonValue:
    template = parse(key)
    reference = template.exact
    if not template.references:
        return {"root": "literal", "literal": key}
    if reference is None or reference.root not in ("steps", "input", "item"):
        raise DefinitionError(
            f"the limit's key of {name!r} is no plain reference", code="limit_key_invalid"
        )
    path: list[JsonValue] = list(plain_path(reference))
    position = places[reference.step] if reference.step is not None else None
    return {"root": reference.root, "position": position, "path": path}


def _for_each(step: Step, places: Mapping[str, int]) -> JsonValue:
    if step.for_each is None:
        return None
    if isinstance(step.for_each, list):
        return {"literal": step.for_each}
    reference = parse(step.for_each).exact
    if reference is None or reference.root not in ("steps", "input"):
        raise DefinitionError(
            f"for_each of {step.id!r} is no reference to an array", code="for_each_invalid"
        )
    path: list[JsonValue] = list(plain_path(reference))
    position = places[reference.step] if reference.step is not None else None
    return {"root": reference.root, "position": position, "path": path}
