"""A step's arguments against its tool's input schema.

Literal parts are checked with jsonschema. A reference is a hole of which only the schema of its
source is known: findings about the hole itself are dropped, and the two schemas are compared.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Collection, Sequence
from copy import copy
from itertools import islice
from typing import Any, cast

from jsonschema.exceptions import ValidationError

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.flow import Step
from flowbuilder.schemapaths import listed
from flowbuilder.schemas import Hit, bounded, branches, needed_groups, path_of, validator
from flowbuilder.strictjson import escape
from flowbuilder.tools import Tool
from flowbuilder.tools.labels import tool_label
from flowbuilder.types import JsonObject, JsonValue
from flowbuilder.validation.facts import Source, ToolFacts
from flowbuilder.validation.hints import Hints, shorten, shown
from flowbuilder.validation.reading import Hole, Path, Reading, StepReading
from flowbuilder.validation.scope import DataScope

#: Words of a schema that look at the whole value, holes included.
_WHOLE = frozenset(
    {
        "anyOf",
        "oneOf",
        "allOf",
        "not",
        "if",
        "enum",
        "const",
        "uniqueItems",
        "contains",
        "unevaluatedProperties",
        "unevaluatedItems",
    }
)
#: Findings behind these depend on how a condition turned out, and a hole turns it out wrong.
_CONDITIONAL = frozenset({"if", "then", "else"})
#: More findings in one step help nobody.
_MOST_FINDINGS = 100
#: What a text with references in it is.
TEXT = Source(Hit({"type": "string"}, {}), key="text")


def argument_problems(
    step: Step,
    reading: Reading,
    facts: ToolFacts,
    scope: DataScope,
    pointer: str,
    bad: Collection[str],
) -> list[Problem]:
    """Return the problems of the arguments of what stands at `pointer`.

    `bad` are pointers that have a problem already.
    """
    problems = literal_problems(step, reading, facts, scope, pointer)
    for hole in reading.holes:
        if hole.pointer not in bad:
            problem = misfit(hole, step, facts, scope)
            if problem is not None:
                problems.append(problem)
    return problems


def literal_problems(
    step: Step, reading: Reading, facts: ToolFacts, scope: DataScope, pointer: str
) -> list[Problem]:
    """Return the problems of arguments whatever their references bring."""
    if not facts.takes or _surely_fit(step.args, reading, facts):
        return []
    return _literal_problems(step, reading, facts, scope, f"{pointer}/args")


def _surely_fit(args: JsonObject, reading: Reading, facts: ToolFacts) -> bool:
    """Whether all would fit if each reference brought some value that its place admits."""
    if facts.accepts(args):
        return True  # the texts would do as they stand
    given: list[tuple[Path, JsonValue]] = []
    for hole in reading.holes:
        witness = facts.witness(hole.path)
        if not witness:
            return False
        given.append((hole.path, witness[0]))
    return bool(given) and facts.accepts(_with(args, given))


def _with(value: JsonValue, given: Sequence[tuple[Path, JsonValue]]) -> JsonValue:
    """Return a value with others at some paths; what is on none of the paths is shared."""
    whole: Any = copy(value)
    copies: dict[Path, Any] = {(): whole}
    for path, item in given:
        above = path[:-1]
        if above not in copies:
            for place in range(len(above)):
                if above[: place + 1] not in copies:
                    holder = copies[above[:place]]
                    copies[above[: place + 1]] = holder[above[place]] = copy(holder[above[place]])
        copies[above][path[-1]] = item
    return cast(JsonValue, whole)


def _literal_problems(
    step: Step, reading: Reading, facts: ToolFacts, scope: DataScope, pointer: str
) -> list[Problem]:
    holes = sorted(hole.pointer.removeprefix(pointer) for hole in reading.holes)
    problems: list[Problem] = []
    errors = bounded(validator(facts.tool.input_schema)).iter_errors(step.args)
    try:
        for error in islice(
            (error for error in errors if not _is_about_hole(error, holes)), _MOST_FINDINGS
        ):
            problems += _problems(error, facts.tool, pointer, scope.shape.hints)
    except RecursionError:
        return []  # the tool itself will say what it makes of such a value
    return problems


def refused_problems(step: Step, facts: ToolFacts, pointer: str) -> list[Problem]:
    """Return what the tool itself foresees to refuse of the step at `pointer`.

    A doubt and no error: a worker elsewhere may be set up otherwise, and has the last word.
    """
    if facts.tool.foresees is None:
        return []
    return [
        Problem(
            code="argument_refused",
            pointer=f"{pointer}/args{place}",
            message=f"{facts.label} would refuse it: {why}",
            severity=Severity.WARNING,
            fix=Fix.USER,
        )
        for place, why in islice(facts.tool.foresees(step.args), _MOST_FINDINGS)
    ]


def size_problems(reading: StepReading, most: int) -> list[Problem]:
    """Return a problem when a step's arguments alone are larger than a value may be at run time.

    References are short in the document; what they bring is measured when the step runs.
    """
    if reading.size <= most:
        return []
    return [
        Problem(
            code="json_size",
            pointer=f"{reading.pointer}/args",
            message=f"the arguments have {reading.size} bytes of JSON; the limit is {most}",
            hint="Put a large text into a file, and read it in a step of its own.",
            fix=Fix.MODEL,
        )
    ]


def _is_about_hole(error: ValidationError, holes: Sequence[str]) -> bool:
    if holes and not _CONDITIONAL.isdisjoint(error.absolute_schema_path):
        return True
    at = path_of(error)
    if _begins(at, holes) == at:
        return True
    if error.validator not in _WHOLE or _begins(f"{at}/", holes) is None:
        return False
    found = branches(error)
    return not found or any(all(_is_about_hole(item, holes) for item in items) for items in found)


def _begins(start: str, holes: Sequence[str]) -> str | None:
    """Return the first hole that begins like this; holes are sorted."""
    place = bisect_left(holes, start)
    return holes[place] if place < len(holes) and holes[place].startswith(start) else None


def _problems(error: ValidationError, tool: Tool, pointer: str, hints: Hints) -> list[Problem]:
    inner = _inside(error)
    if inner:
        found = [_problems(item, tool, pointer, hints) for item in inner[:_MOST_FINDINGS]]
        return [problem for problems in found for problem in problems]
    at = path_of(error)
    if groups := needed_groups(error):
        return [
            Problem(
                code="missing_argument",
                pointer=pointer + at,
                message=f"{tool_label(tool.name)} needs one of these: {groups}",
                fix=Fix.MODEL,
            )
        ]
    if error.validator == "required" and isinstance(error.instance, dict):
        needed = error.validator_value if isinstance(error.validator_value, list) else []
        missing = [name for name in needed if name not in error.instance]
        named = [name for name in missing if f"{name!r} is a required" in error.message]
        return [
            Problem(
                code="missing_argument",
                pointer=pointer + at,
                message=f"{tool_label(tool.name)} needs {'.'.join([*_names(at), name])!r}",
                fix=Fix.MODEL,
            )
            for name in named
        ]
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        return _unknown(error, tool, pointer + at, hints)
    return [
        Problem(
            code="argument_type",
            pointer=pointer + at,
            message=": ".join(
                filter(None, [tool_label(tool.name), ".".join(_names(at)), _message(error)])
            ),
            fix=Fix.MODEL,
        )
    ]


def _inside(error: ValidationError) -> list[ValidationError]:
    """Return what is wrong with a value inside the one alternative that its type fits.

    An object for `Address | None` is meant as an Address: what is wrong are its members. Where no
    alternative or several would do, [] is returned: then nobody knows which was meant.
    """
    fitting = [
        items
        for items in branches(error)
        if not any(item.validator == "type" and not item.relative_path for item in items)
    ]
    return fitting[0] if len(fitting) == 1 else []


def _unknown(error: ValidationError, tool: Tool, pointer: str, hints: Hints) -> list[Problem]:
    schema = error.schema if isinstance(error.schema, dict) else {}
    known = list(schema.get("properties", {}))
    patterns = list(schema.get("patternProperties", {}))
    given = [str(name) for name in error.instance] if isinstance(error.instance, dict) else []
    unknown = [
        name
        for name in given
        if name not in known and not any(re.search(pattern, name) for pattern in patterns)
    ]
    return [
        Problem(
            code="unknown_argument",
            pointer=f"{pointer}/{escape(name)}",
            message=f"{tool_label(tool.name)} takes no {shorten(name)!r}",
            hint=hints.meant(name, known, "It takes"),
            fix=Fix.MODEL,
        )
        for name in unknown[:_MOST_FINDINGS]
    ]


def _message(error: ValidationError) -> str:
    wanted = _wanted_types(error)
    if wanted:
        return f"{shown(error.instance)} is not {listed(wanted)}"
    if error.validator == "enum" and isinstance(error.validator_value, list):
        allowed = ", ".join(shown(value) for value in error.validator_value[:15])
        return f"{shown(error.instance)} is none of {allowed}"
    return shorten(error.message, 300)


def _wanted_types(error: ValidationError) -> set[str]:
    """Return the types that would do, when the type is what is wrong."""
    found = [error]
    if error.validator in ("anyOf", "oneOf"):
        found = [item for item in error.context or () if item.validator == "type"]
    elif error.validator != "type":
        return set()
    wanted: set[str] = set()
    for item in found:
        named = item.validator_value
        wanted |= set(named) if isinstance(named, list) else {str(named)}
    return wanted


def _names(pointer: str) -> list[str]:
    return [part for part in pointer.split("/") if part]


def misfit(hole: Hole, step: Step, facts: ToolFacts, scope: DataScope) -> Problem | None:
    """Return why what a text's references bring cannot fit, None when it may."""
    exact = hole.exact
    source = scope.source(exact, step) if exact is not None else TEXT
    why = facts.fit(source, hole.path).wrong
    if why is None:
        return None
    name = str(exact) if exact is not None else "a text with references"
    return Problem(
        code="argument_type",
        pointer=hole.pointer,
        message=f"{name} does not fit {facts.label}: {why}",
        hint=_hint(why),
        fix=Fix.MODEL,
    )


def _hint(why: str) -> str | None:
    if why.startswith("it is an array"):
        return "To go over its elements, give the step a for_each and use ${{ item }}."
    if "but an array is needed" in why:
        return "Where one element is meant as a list, write it in one: [ ... ]."
    return None
