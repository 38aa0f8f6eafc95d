"""A step's arguments against its tool's input schema.

Literal parts are checked with jsonschema. A reference is a hole of which only the schema of its
source is known: findings about the hole itself are dropped, and the two schemas are compared.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from jsonschema.exceptions import ValidationError

from flowbuilder.errors import Fix, Problem
from flowbuilder.flow import Step
from flowbuilder.references import Found, texts
from flowbuilder.schemas import Hit, lookup, mismatch, path_of, validator
from flowbuilder.tools import Tool
from flowbuilder.types import JsonValue
from flowbuilder.validation.scope import DataScope

#: Words of a schema that look at the whole value, holes included.
_WHOLE = frozenset(
    {"anyOf", "oneOf", "allOf", "not", "if", "enum", "const", "uniqueItems", "contains"}
)
_TEXT: Hit = Hit({"type": "string"}, {})


def argument_problems(
    step: Step,
    tool: Tool,
    references: Sequence[Found],
    scope: DataScope,
    pointer: str,
    bad: set[str],
) -> list[Problem]:
    """Return the problems of a step's arguments; `bad` are pointers that have one already."""
    holes = {where.removeprefix(pointer) for where, _ in texts(step.args, pointer)}
    problems: list[Problem] = []
    for error in validator(tool.input_schema).iter_errors(step.args):
        if not _is_about_hole(error, holes):
            problems += _problems(error, tool, pointer)
    for where in sorted(holes):
        if pointer + where not in bad:
            problems += _hole_problems(where, step, tool, references, scope, pointer)
    return problems


def _is_about_hole(error: ValidationError, holes: set[str]) -> bool:
    at = path_of(error)
    if at in holes:
        return True
    inside = any(hole.startswith(f"{at}/") for hole in holes)
    return inside and error.validator in _WHOLE


def _problems(error: ValidationError, tool: Tool, pointer: str) -> list[Problem]:
    at = path_of(error)
    if error.validator == "required" and isinstance(error.instance, dict):
        missing = [name for name in error.validator_value if name not in error.instance]
        named = [name for name in missing if f"{name!r} is a required" in error.message]
        return [
            Problem(
                code="missing_argument",
                pointer=pointer + at,
                message=f"{tool.name} needs {'.'.join([*_names(at), name])!r}",
                fix=Fix.MODEL,
            )
            for name in named
        ]
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        return _unknown(error, tool, pointer + at)
    return [
        Problem(
            code="argument_type",
            pointer=pointer + at,
            message=f"{tool.name}: {_message(error)}",
            fix=Fix.MODEL,
        )
    ]


def _unknown(error: ValidationError, tool: Tool, pointer: str) -> list[Problem]:
    known = list(error.schema.get("properties", {})) if isinstance(error.schema, dict) else []
    given: list[str] = [str(name) for name in error.instance] if error.instance else []
    problems = []
    for name in [name for name in given if name not in known]:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"Did you mean {near[0]!r}?" if near else f"It takes {', '.join(known[:15])}."
        problems.append(
            Problem(
                code="unknown_argument",
                pointer=f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}",
                message=f"{tool.name} takes no {name!r}",
                hint=hint,
                fix=Fix.MODEL,
            )
        )
    return problems


def _message(error: ValidationError) -> str:
    message = error.message
    if error.validator in ("anyOf", "oneOf") and error.context:
        wanted = sorted({str(item.validator_value) for item in error.context
                         if item.validator == "type"})  # fmt: skip
        if wanted:
            return f"{repr(error.instance)[:80]} is not of type {' or '.join(wanted)}"
    return message if len(message) <= 300 else f"{message[:297]}..."


def _names(pointer: str) -> list[str]:
    return [part for part in pointer.split("/") if part]


def _hole_problems(
    where: str,
    step: Step,
    tool: Tool,
    references: Sequence[Found],
    scope: DataScope,
    pointer: str,
) -> list[Problem]:
    target = lookup(tool.input_schema, _path(step.args, where))
    if not isinstance(target, Hit):
        return []
    here = [item for item in references if item.pointer == pointer + where]
    exact = next((item for item in here if item.exact), None)
    source = scope.look(exact.reference, step) if exact is not None else _TEXT
    if exact is None and not here:  # an escaped `$${{`: a plain text
        source = _TEXT
    why = mismatch(source, target) if isinstance(source, Hit) else None
    if why is None:
        return []
    name = str(exact.reference) if exact is not None else "a text with references"
    return [
        Problem(
            code="argument_type",
            pointer=pointer + where,
            message=f"{name} does not fit {tool.name}: {why}",
            hint=_hint(why),
            fix=Fix.MODEL,
        )
    ]


def _hint(why: str) -> str | None:
    if why.startswith("it is an array"):
        return "To go over its elements, give the step a for_each and use ${{ item }}."
    return None


def _path(args: JsonValue, pointer: str) -> list[str | int]:
    """Read a JSON pointer as a path: positions where the value has lists."""
    path: list[str | int] = []
    at = args
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(at, list):
            path.append(int(name))
            at = at[int(name)]
        else:
            path.append(name)
            at = at.get(name) if isinstance(at, dict) else None
    return path
