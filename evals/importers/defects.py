"""What is wrong with imported gold: public data is no truth, and its faults should be known.

This looks at the gold flow and at the described tools alone, and knows nothing of the validation
of flows, so that the one can be held against the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flowbuilder.errors import InvalidValue, Problem
from flowbuilder.evals.catalogue import ToolSpec
from flowbuilder.evals.dataset import Case
from flowbuilder.graph import cycles
from flowbuilder.references import OPEN, Found, find
from flowbuilder.schemas import value_problems
from flowbuilder.strictjson import escape
from flowbuilder.types import JsonSchema, JsonValue

#: Descriptions of values are compared so deep; no gold has deeper ones.
_DEEPEST = 20


def gold_defects(case: Case, known: Mapping[str, ToolSpec]) -> list[Problem]:
    """Return what is wrong with a case's gold flow, with pointers into the flow.

    Args:
        case: What was imported.
        known: The described tools that it may plan with, by name.

    Codes: `gold_no_steps`, `gold_unknown_tool`, `gold_unknown_argument`, `gold_missing_argument`,
    `gold_wrong_value`, `gold_wrong_type`, `gold_open_value`, `gold_unknown_step`,
    `gold_unknown_field`, `gold_open_field`, `gold_list_in_text`, `gold_cycle`.
    """
    if case.expect.flow is None:
        return []
    steps: list[Mapping[str, Any]] = case.expect.flow.get("steps", [])
    made = {step["id"]: known.get(step["tool"]) for step in steps}
    found: list[Problem] = []
    if not steps:
        found.append(_problem("no_steps", "#/steps", "nothing is to be called"))
    for place, step in enumerate(steps):
        pointer = f"#/steps/{place}"
        spec = made[step["id"]]
        if spec is None:
            found.append(_problem("unknown_tool", pointer, f"there is no tool {step['tool']}"))
        else:
            found += _argument_defects(step.get("args", {}), spec, made, f"{pointer}/args")
        found += _reference_defects(step.get("args", {}), made, f"{pointer}/args")
    found += _reference_defects(case.expect.flow.get("output"), made, "#/output")
    graph = {step["id"]: _before(step) for step in steps}
    found += [
        _problem("cycle", "#/steps", f"each waits for the other: {' → '.join(path)}")
        for path in cycles(graph)
    ]
    return found


def _argument_defects(
    args: Mapping[str, Any],
    spec: ToolSpec,
    made: Mapping[str, ToolSpec | None],
    pointer: str,
) -> Iterator[Problem]:
    schema = spec.input_schema
    properties: Mapping[str, Any] = schema.get("properties", {})
    for name in schema.get("required", []):
        if name not in args:
            yield _problem("missing_argument", pointer, f"{spec.called} needs {name!r}")
    for name, value in args.items():
        where = f"{pointer}/{escape(name)}"
        if name in properties:
            yield from _value_defects(value, properties[name], _Use(spec.called, made), where)
        elif schema.get("additionalProperties") is False:
            yield _problem("unknown_argument", where, f"{spec.called} takes no {name!r}")


@dataclass(frozen=True, slots=True)
class _Use:
    """Who takes a value, and what gives the values that it may refer to."""

    taker: str
    made: Mapping[str, ToolSpec | None]


def _value_defects(
    value: JsonValue, schema: JsonSchema, use: _Use, pointer: str
) -> Iterator[Problem]:
    """Yield what is wrong with a value, and with what it refers to, for who takes it."""
    if not _refers(value):
        for wrong in value_problems(schema, value, code="x", pointer=pointer):
            yield _problem("wrong_value", wrong.pointer, wrong.message)
        return
    if isinstance(value, str):
        for found in _references(value, pointer):
            yield from _fitting_defects(found, schema, use)
        return
    kind = "array" if isinstance(value, list) else "object"
    if schema.get("type") not in (None, kind):
        yield _problem("wrong_value", pointer, f"an {kind} is not of type {schema['type']!r}")
        return
    if isinstance(value, dict):
        for name in [name for name in schema.get("required", []) if name not in value]:
            yield _problem("wrong_value", pointer, f"{name!r} is a required property")
    for part, item, inner in _parts(value, schema):
        yield from _value_defects(item, inner, use, f"{pointer}/{part}")


def _parts(value: Any, schema: JsonSchema) -> Iterator[tuple[str | int, JsonValue, JsonSchema]]:
    """Yield the elements or members of a value, each with its schema."""
    if isinstance(value, list):
        yield from ((place, item, schema.get("items", {})) for place, item in enumerate(value))
        return
    properties = schema.get("properties", {})
    yield from ((escape(name), item, properties.get(name, {})) for name, item in value.items())


def _reference_defects(
    value: JsonValue, made: Mapping[str, ToolSpec | None], pointer: str
) -> Iterator[Problem]:
    for found in _references(value, pointer):
        step = str(found.reference.step)
        if step not in made:
            yield _problem("unknown_step", found.pointer, f"nothing is called {step!r}")
            continue
        spec = made[step]
        if spec is None:
            continue
        if _field(spec.output_schema, found.reference.path) is None:
            message = f"{spec.called} gives nothing for {found.reference}"
            yield _problem("unknown_field", found.pointer, message)
        elif not _promised(spec.output_schema, found.reference.path):
            message = f"whether {spec.called} gives anything for {found.reference} is open"
            yield _problem("open_field", found.pointer, message)


def _fitting_defects(found: Found, schema: Mapping[str, Any], use: _Use) -> Iterator[Problem]:
    """Yield why a reference brings something else than is needed.

    Of another type, or any value where only some are taken: whether the producer gives one of
    these is left to chance.
    """
    producer = use.made.get(str(found.reference.step))
    there = _field(producer.output_schema, found.reference.path) if producer else None
    if there is None:
        return  # told already
    if not found.exact:
        if there.get("type") in ("array", "object"):
            message = f"{found.reference} is an {there['type']} inside a text: written how?"
            yield _problem("list_in_text", found.pointer, message)
        there = {"type": "string"}
    misfit = _misfit(there, schema)
    if misfit is not None:
        code, given, wanted = misfit
        message = f"{found.reference} is {given}, {use.taker} {wanted}"
        yield _problem(code, found.pointer, message)


def _misfit(
    given: Mapping[str, Any], wanted: Mapping[str, Any], depth: int = 0
) -> tuple[str, str, str] | None:
    """Return a code, what is given and what is wanted, when the one does not fit the other."""
    there, kind = given.get("type"), wanted.get("type")
    if depth > _DEEPEST:
        return None
    if kind and there not in (None, kind) and (there, kind) != ("integer", "number"):
        return "wrong_type", f"a {there}", f"needs a {kind}"
    options = wanted.get("enum")
    if options:
        among = _among(given.get("enum"), options)
        return None if among else ("open_value", f"any {there or 'value'}", "takes few")
    if kind and there is None and "enum" not in given and kind != "string":
        return "open_value", "any value", f"needs a {kind}"
    if there == "array":
        inner = _misfit(given.get("items", {}), wanted.get("items", {}), depth + 1)
        return inner and (inner[0], f"a list of which an element is {inner[1]}", inner[2])
    return _members_misfit(given, wanted, depth) if there == "object" else None


def _members_misfit(
    given: Mapping[str, Any], wanted: Mapping[str, Any], depth: int
) -> tuple[str, str, str] | None:
    members, needed = given.get("properties", {}), wanted.get("properties", {})
    for name in wanted.get("required", []):
        if name not in members:
            code = "wrong_type" if members else "open_value"
            return code, f"an object without {name!r}", "needs that"
    for name in needed:
        inner = _misfit(members[name], needed[name], depth + 1) if name in members else None
        if inner is not None:
            return inner[0], f"an object in which {name!r} is {inner[1]}", inner[2]
    return None


def _among(given: Any, options: list[Any]) -> bool:
    return isinstance(given, list) and all(item in options for item in given)


def _field(schema: Mapping[str, Any], path: Iterable[str | int]) -> Mapping[str, Any] | None:
    """Return the schema at a path, `{}` where it is open, and None where there is nothing."""
    for part in path:
        members = schema.get("properties")
        kind = schema.get("type")
        if isinstance(part, int) and kind in (None, "array"):
            schema = schema.get("items", {})
        elif isinstance(members, dict) and part in members:
            schema = members[part]
        elif members or isinstance(part, int) or kind not in (None, "object"):
            return None
        else:
            return {}
    return schema


def _promised(schema: Mapping[str, Any], path: Iterable[str | int]) -> bool:
    """Whether something is sure to be at a path where `_field` has found something.

    Of a list only the first element is, unless it says that it has more.
    """
    for part in path:
        if isinstance(part, int):
            if schema.get("type") != "array" or part >= max(1, schema.get("minItems", 1)):
                return False
            schema = schema.get("items", {})
        elif part not in schema.get("properties", {}):
            return False
        else:
            schema = schema["properties"][part]
    return True


def _refers(value: JsonValue) -> bool:
    if isinstance(value, str):
        return OPEN in value
    if isinstance(value, list):
        return any(map(_refers, value))
    return isinstance(value, dict) and any(map(_refers, value.values()))


def _references(value: JsonValue, pointer: str) -> list[Found]:
    try:
        return [found for found in find(value, pointer) if found.reference.step is not None]
    except InvalidValue:
        return []


def _before(step: Mapping[str, Any]) -> list[str]:
    referred = [str(found.reference.step) for found in _references(step.get("args", {}), "")]
    return list(dict.fromkeys([*referred, *step.get("depends_on", [])]))


def _problem(kind: str, pointer: str, message: str) -> Problem:
    return Problem(code=f"gold_{kind}", pointer=pointer, message=message)
