"""JSON Schemas: whether one is usable, and values checked against it.

What schemas say about paths is told by `flowbuilder.schemapaths`, and about each other by
`flowbuilder.schemafit`; their names are handed on here. `format` is a note for readers, as JSON
Schema 2020-12 has it, and checks nothing of a value. Nothing is ever fetched: a `$ref` that leads
out of its document is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.protocols import Validator
from referencing import Registry
from referencing.exceptions import Unresolvable

from flowbuilder.errors import Fix, Problem
from flowbuilder.graph import cycles
from flowbuilder.schemabounds import (
    BoundedValidator,
    TooMuchWork,
    bounded,
    may_multiply,
    unbounded_parts,
)
from flowbuilder.schemafit import mismatch
from flowbuilder.schemapaths import (
    UNKNOWN,
    Hit,
    Look,
    Missing,
    Unknown,
    element,
    lookup,
    subschemas,
    target,
    type_names,
)
from flowbuilder.strictjson import escape
from flowbuilder.types import JsonSchema, JsonValue

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator as QuickValidator

__all__ = [
    "UNKNOWN",
    "Hit",
    "Look",
    "Missing",
    "Unknown",
    "bounded",
    "branches",
    "element",
    "is_usable",
    "lookup",
    "mismatch",
    "needed_groups",
    "path_of",
    "schema_problems",
    "type_names",
    "validator",
    "value_problems",
    "with_defaults",
]

#: More findings about one value help nobody.
_MOST_FINDINGS = 200
_REFERENCES = ("$ref", "$dynamicRef")
#: Where a `$ref` leads to something that was checked as a part of its schema.
_USUAL_PLACE = re.compile(r"#(?:/(?:\$defs|definitions|properties)/[^/]+)*|#[^/].*")


def schema_problems(schema: object, pointer: str) -> list[Problem]:
    """Return what keeps a value from being a usable JSON Schema; remote `$ref`s are refused."""
    if not isinstance(schema, dict):
        return [_bad_schema(pointer, "a JSON Schema is an object here")]
    wrong = _meta_problems(schema, pointer)
    if wrong:
        return wrong
    found = list(_references(schema))
    for where, reference in found:
        at = target(reference, schema)
        if at is None:
            why = f"{reference!r:.80} leads nowhere inside this schema"
            wrong.append(_bad_schema(pointer + where, why))
        elif not _USUAL_PLACE.fullmatch(reference):
            wrong += _meta_problems(at, pointer + where)
    wrong += [_bad_schema(pointer + where, why) for where, why in unbounded_parts(schema)]
    return wrong or _endless(schema, found, pointer)


def _meta_problems(schema: Any, pointer: str) -> list[Problem]:
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        return [_bad_schema(pointer + path_of(error), _cut(error.message, 300))]
    except (RecursionError, OverflowError):  # in Python's compiler of patterns
        return [_bad_schema(pointer, "it holds a pattern that is nested too deep or too large")]
    return []


@lru_cache(maxsize=1024)
def _is_usable(schema: bytes) -> bool:
    return not schema_problems(orjson.loads(schema), "")


def is_usable(schema: JsonSchema) -> bool:
    """Whether a schema has no problems; remembered by its content."""
    return _is_usable(_key(schema))


def value_problems(
    schema: JsonSchema, value: JsonValue, *, code: str, pointer: str
) -> list[Problem]:
    """Return a problem for every finding of a value against a schema, 200 at most."""
    if not is_usable(schema):
        why = "the schema cannot be applied: it is no usable JSON Schema"
        return [Problem(code=code, pointer=pointer, message=why)]
    if isinstance(value, dict | list) and quick_check(schema)(value):
        return []  # what fits is not looked at keyword by keyword
    try:
        found = list(islice(bounded(validator(schema)).iter_errors(value), _MOST_FINDINGS))
    except TooMuchWork as error:
        return _quick_findings(schema, value, code, pointer) or [
            Problem(code=code, pointer=pointer, message=f"the schema cannot be applied: {error}")
        ]
    except (RecursionError, Unresolvable, OverflowError) as error:
        why = f"the schema cannot be applied: {type(error).__name__}"
        return [Problem(code=code, pointer=pointer, message=why)]
    return [
        Problem(code=code, pointer=pointer + path_of(error), message=_cut(error.message, 500))
        for error in sorted(found, key=path_of)
    ]


def _quick_findings(schema: JsonSchema, value: JsonValue, code: str, pointer: str) -> list[Problem]:
    """Return the first findings of the quick validator about a value that is very large."""
    quick = _quick(_key(schema))
    return [
        Problem(
            code=code,
            pointer=pointer + "".join(f"/{escape(str(part))}" for part in error.instance_path),
            message=_cut(error.message, 500),
        )
        for error in (islice(quick.iter_errors(value), _MOST_FINDINGS) if quick else ())
    ]


def path_of(error: ValidationError | SchemaError) -> str:
    """Return the JSON pointer of a jsonschema error inside the value."""
    return "".join(f"/{escape(str(part))}" for part in error.absolute_path)


def branches(error: ValidationError) -> list[list[ValidationError]]:
    """Return what is wrong by each of a value's alternatives; none where it has none."""
    if error.validator not in ("anyOf", "oneOf"):
        return []
    found: dict[object, list[ValidationError]] = {}
    for item in error.context or ():
        found.setdefault(item.relative_schema_path[0], []).append(item)
    return list(found.values())


def needed_groups(error: ValidationError) -> str:
    """Return the groups of members of which one is needed, "" where something else is wrong."""
    if any(item.validator != "required" for item in error.context or ()):
        return ""
    groups: list[Any] = [items[0].validator_value for items in branches(error)]
    return ", or ".join(" and ".join(map(repr, group)) for group in groups)


def validator(schema: JsonSchema) -> Validator:
    """Return a validator for a schema, cached by its content. It never fetches anything."""
    return _validator(_key(schema))


def quick_check(schema: JsonSchema) -> Callable[[JsonValue], bool]:
    """Return a test that is a hundred times faster than `validator`, and says no more than yes.

    True: the value fits. False: ask the validator, which has the last word and the reasons.
    """
    return _quick_check(_key(schema))


@lru_cache(maxsize=1024)
def _quick_check(schema: bytes) -> Callable[[JsonValue], bool]:
    quick = _quick(schema)
    return _unsure if quick is None else quick.is_valid


@lru_cache(maxsize=1024)
def _quick(schema: bytes) -> QuickValidator | None:
    """Return the quick validator of a schema; None where only the other one can be trusted."""
    # Not imported above: only what calls tools and starts runs needs it.
    from jsonschema_rs import Draft202012Validator as Quick
    from jsonschema_rs import ReferencingError, RegexOptions
    from jsonschema_rs import ValidationError as Refused

    if may_multiply(orjson.loads(schema)):
        return None  # it counts nothing
    try:
        return Quick(orjson.loads(schema), pattern_options=RegexOptions(), offline=True)
    except (Refused, ReferencingError, ValueError, TypeError):
        return None  # a pattern that takes another engine, for example


def _unsure(value: JsonValue) -> bool:
    return False


def with_defaults(schema: JsonSchema, value: JsonValue) -> JsonValue:
    """Return an object with the schema's `default`s in the place of absent properties."""
    properties = schema.get("properties")
    if not isinstance(value, dict) or not isinstance(properties, dict):
        return value
    filled = dict(value)
    for name, part in properties.items():
        if name not in filled and isinstance(part, dict) and "default" in part:
            filled[name] = deepcopy(part["default"])
    return filled


def _key(schema: JsonSchema) -> bytes:
    return orjson.dumps(schema, option=orjson.OPT_SORT_KEYS)


_NO_REGISTRY: Registry[Any] = Registry()


@lru_cache(maxsize=1024)
def _validator(schema: bytes) -> Validator:
    return BoundedValidator(orjson.loads(schema), registry=_NO_REGISTRY)


def _bad_schema(pointer: str, message: str) -> Problem:
    return Problem(code="input_schema_invalid", pointer=pointer, message=message, fix=Fix.MODEL)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _references(schema: JsonSchema) -> Iterator[tuple[str, str]]:
    for where, part in subschemas(schema):
        for word in _REFERENCES:
            if isinstance(part.get(word), str):
                yield f"{where}/{word}", part[word]


def _endless(schema: JsonSchema, found: list[tuple[str, str]], pointer: str) -> list[Problem]:
    """Find references that come back to themselves before any member or element is entered."""
    graph = {
        reference: list(dict.fromkeys(_same_place(target(reference, schema))))
        for _, reference in found
    }
    places = {reference: where for where, reference in reversed(found)}
    return [
        _bad_schema(f"{pointer}{places[path[0]]}", f"$ref {path[0]!r:.80} leads back to itself")
        for path in cycles(graph)
    ]


def _same_place(schema: object) -> Iterator[str]:
    """Yield the references of a schema that judge the same value as the schema itself."""
    if not isinstance(schema, dict):
        return
    for key, item in schema.items():
        if key in _REFERENCES:
            yield str(item)
        elif key in ("allOf", "anyOf", "oneOf"):
            for part in item:
                yield from _same_place(part)
        elif key in ("not", "if", "then", "else"):
            yield from _same_place(item)
        elif key == "dependentSchemas":
            for part in item.values():
                yield from _same_place(part)
