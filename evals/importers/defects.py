"""What is wrong with imported gold: public data is no truth, and its faults should be known.

This looks at the gold flow and at the described tools alone, and knows nothing of the validation
of flows, so that the one can be held against the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from flowbuilder.errors import InvalidValue, Problem
from flowbuilder.evals.catalogue import ToolSpec
from flowbuilder.evals.dataset import Case
from flowbuilder.graph import cycles
from flowbuilder.references import OPEN, Found, find
from flowbuilder.schemas import value_problems
from flowbuilder.strictjson import escape
from flowbuilder.types import JsonValue


def gold_defects(case: Case, known: Mapping[str, ToolSpec]) -> list[Problem]:
    """Return what is wrong with a case's gold flow, with pointers into the flow.

    Args:
        case: What was imported.
        known: The described tools that it may plan with, by name.

    Codes: `gold_unknown_tool`, `gold_unknown_argument`, `gold_missing_argument`,
    `gold_wrong_value`, `gold_wrong_type`, `gold_open_value`, `gold_unknown_step`,
    `gold_unknown_field`, `gold_list_in_text`, `gold_cycle`.
    """
    if case.expect.flow is None:
        return []
    steps: list[Mapping[str, Any]] = case.expect.flow.get("steps", [])
    made = {step["id"]: known.get(step["tool"]) for step in steps}
    found: list[Problem] = []
    for place, step in enumerate(steps):
        pointer = f"#/steps/{place}"
        spec = made[step["id"]]
        if spec is None:
            found.append(_problem("unknown_tool", pointer, f"there is no tool {step['tool']}"))
        else:
            found += _argument_defects(step.get("args", {}), spec, f"{pointer}/args")
            found += _type_defects(step.get("args", {}), spec, made, f"{pointer}/args")
        found += _reference_defects(step.get("args", {}), made, f"{pointer}/args")
    found += _reference_defects(case.expect.flow.get("output"), made, "#/output")
    graph = {step["id"]: _before(step) for step in steps}
    found += [
        _problem("cycle", "#/steps", f"each waits for the other: {' → '.join(path)}")
        for path in cycles(graph)
    ]
    return found


def _argument_defects(args: Mapping[str, Any], spec: ToolSpec, pointer: str) -> Iterator[Problem]:
    schema = spec.input_schema
    properties: Mapping[str, Any] = schema.get("properties", {})
    for name in schema.get("required", []):
        if name not in args:
            yield _problem("missing_argument", pointer, f"{spec.called} needs {name!r}")
    for name, value in args.items():
        where = f"{pointer}/{escape(name)}"
        if name in properties:
            if not _refers(value):
                for wrong in value_problems(properties[name], value, code="x", pointer=where):
                    yield _problem("wrong_value", wrong.pointer, wrong.message)
        elif schema.get("additionalProperties") is False:
            yield _problem("unknown_argument", where, f"{spec.called} takes no {name!r}")


def _reference_defects(
    value: JsonValue, made: Mapping[str, ToolSpec | None], pointer: str
) -> Iterator[Problem]:
    for found in _references(value, pointer):
        step = str(found.reference.step)
        if step not in made:
            yield _problem("unknown_step", found.pointer, f"nothing is called {step!r}")
            continue
        spec = made[step]
        if spec is not None and _field(spec.output_schema, found.reference.path) is None:
            message = f"{spec.called} gives nothing for {found.reference}"
            yield _problem("unknown_field", found.pointer, message)


def _type_defects(
    args: Mapping[str, Any],
    spec: ToolSpec,
    made: Mapping[str, ToolSpec | None],
    pointer: str,
) -> Iterator[Problem]:
    """Yield arguments that are one reference, to something else than is needed.

    Of another type, or any value of a type of which only some are taken: whether the producer
    gives one of these is left to chance.
    """
    properties: Mapping[str, Any] = spec.input_schema.get("properties", {})
    for name, value in args.items():
        where = f"{pointer}/{escape(name)}"
        wanted = properties.get(name, {}).get("type")
        options = properties.get(name, {}).get("enum")
        for found in _references(value, where) if isinstance(value, str) else ():
            producer = made.get(str(found.reference.step))
            there = _field(producer.output_schema, found.reference.path) if producer else None
            if there is None:
                continue  # told already
            if not found.exact and there.get("type") in ("array", "object"):
                message = f"{found.reference} is an {there['type']} inside a text: written how?"
                yield _problem("list_in_text", where, message)
            kind = there.get("type") if found.exact else "string"
            if wanted and kind not in (None, wanted) and (kind, wanted) != ("integer", "number"):
                message = f"{found.reference} is a {kind}, {spec.called} needs a {wanted}"
                yield _problem("wrong_type", where, message)
            elif options and not _among(there.get("enum"), options):
                message = f"{found.reference} is any {kind or 'value'}, {spec.called} takes few"
                yield _problem("open_value", where, message)


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
