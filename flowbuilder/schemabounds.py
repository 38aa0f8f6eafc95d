"""Bounds on what it takes to hold a value against a schema, whoever wrote the two.

Schemas come from builders, from servers of tools and from models. A pattern may take exponential
time in an engine that steps back, and alternatives that refer to alternatives multiply. So
patterns run in engines with a bound, every keyword that is looked at is counted, and a schema that
could multiply is not given to the quick validator, which counts nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import orjson
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from jsonschema.validators import extend
from pydantic_core import SchemaError as PatternError
from pydantic_core import SchemaValidator, core_schema

from flowbuilder.schemapaths import subschemas, target
from flowbuilder.types import JsonSchema

#: Keywords looked at for the reasons why one value does not fit: seconds at most.
MOST_CHECKS = 50_000
#: Steps back of one pattern in one text.
_MOST_BACKTRACKS = 100_000
#: Schemas that may judge one place of a value before the quick validator is not asked any more.
_MOST_AT_ONE_PLACE = 300
#: Places of values that are told apart before a schema counts as one that multiplies.
_MOST_PLACES = 20_000
_REFERENCES = ("$ref", "$dynamicRef")


class TooMuchWork(RecursionError):
    """Holding the value against the schema takes more steps than anybody may ask for."""


class Work(FormatChecker):
    """Counts keywords. It stands where the validator keeps its check of formats, which is none."""

    def __init__(self, most: int = MOST_CHECKS) -> None:
        super().__init__(formats=())
        self._left = most

    def check(self, instance: object, format: str) -> None:
        """Take every format: it is a note for readers."""

    def take(self, amount: int) -> None:
        """Count. Raises: TooMuchWork."""
        self._left -= amount
        if self._left < 0:
            raise TooMuchWork("checking the value takes too many steps")


def bounded(validator: Validator) -> Validator:
    """Return a validator for one value, which raises TooMuchWork beyond `MOST_CHECKS` steps."""
    return validator.evolve(format_checker=Work())


# -- patterns -------------------------------------------------------------------------------


def matches(pattern: str, text: str) -> bool:
    """Say whether a pattern is found in a text, in time that is bounded whatever the pattern is.

    Raises:
        TooMuchWork: It takes too many steps back, or no engine here knows it.
    """
    linear = _linear(pattern)
    if linear is not None:
        return linear.isinstance_python(text)
    stepping = _stepping(pattern)
    if stepping is None:
        raise TooMuchWork("the pattern is none that can be bounded")
    return stepping(text)


def is_bounded(pattern: str) -> bool:
    """Say whether some engine here can run a pattern in bounded time."""
    return _linear(pattern) is not None or _stepping(pattern) is not None


@lru_cache(maxsize=512)
def _linear(pattern: str) -> SchemaValidator | None:
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, strict=True))
    except PatternError:
        return None


@lru_cache(maxsize=512)
def _stepping(pattern: str) -> Callable[[str], bool] | None:
    """Return a test for patterns with look-around or back references, which no linear one takes."""
    from jsonschema_rs import Draft202012Validator as Quick
    from jsonschema_rs import FancyRegexOptions, ReferencingError
    from jsonschema_rs import ValidationError as Refused

    options = FancyRegexOptions(backtrack_limit=_MOST_BACKTRACKS)
    try:
        return Quick({"pattern": pattern}, pattern_options=options, offline=True).is_valid
    except (Refused, ReferencingError, ValueError, TypeError):
        return None


def _pattern(
    validator: Validator, pattern: str, instance: object, schema: JsonSchema
) -> Iterator[ValidationError]:
    if isinstance(instance, str) and not matches(pattern, instance):
        yield ValidationError(f"{_cut(repr(instance), 100)} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, given: Any, instance: object, schema: JsonSchema
) -> Iterator[ValidationError]:
    if not isinstance(instance, dict):
        return
    for pattern, part in given.items():
        for name, value in instance.items():
            if matches(pattern, name):
                yield from validator.descend(value, part, path=name, schema_path=pattern)


def _additional_properties(
    validator: Any, given: Any, instance: object, schema: JsonSchema
) -> Iterator[ValidationError]:
    patterns = schema.get("patternProperties", {})
    if not isinstance(instance, dict) or not patterns:
        yield from _USUAL["additionalProperties"](validator, given, instance, schema) or ()
        return
    listed = schema.get("properties", {})
    extra = [
        name
        for name in instance
        if name not in listed and not any(matches(one, name) for one in patterns)
    ]
    if given is False and extra:
        named = ", ".join(repr(name) for name in sorted(extra))
        known = ", ".join(repr(one) for one in sorted(patterns))
        verb = "does" if len(extra) == 1 else "do"
        yield ValidationError(f"{named} {verb} not match any of the regexes: {known}")
    elif given is not False:
        for name in extra:
            yield from validator.descend(instance[name], given, path=name)


def _unique_items(
    validator: Validator, given: object, instance: object, schema: JsonSchema
) -> Iterator[ValidationError]:
    if given and isinstance(instance, list):
        seen = {orjson.dumps(_plain(item), option=orjson.OPT_SORT_KEYS) for item in instance}
        if len(seen) < len(instance):
            yield ValidationError(f"{_cut(repr(instance), 100)} has non-unique elements")


def _plain(value: Any) -> Any:
    """Return a value in the one way of writing it: 1.0 is 1."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    whole = isinstance(value, float) and value.is_integer() and abs(value) < 2**63
    return int(value) if whole else value


def _counted(check: Callable[..., Any]) -> Callable[..., Any]:
    def counted(validator: Any, part: Any, instance: object, schema: JsonSchema) -> Any:
        work = validator.format_checker
        if isinstance(work, Work):
            work.take(1 + (len(part) >> 3 if isinstance(part, list) else 0))
        return check(validator, part, instance, schema)

    return counted


_USUAL: dict[str, Callable[..., Any]] = dict(Draft202012Validator.VALIDATORS)
_OWN: dict[str, Callable[..., Any]] = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
}
BoundedValidator: type[Draft202012Validator] = extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {name: _counted(check) for name, check in {**_USUAL, **_OWN}.items()},
)


def unbounded_parts(schema: JsonSchema) -> Iterator[tuple[str, str]]:
    """Yield `(pointer, why)` for what nothing here can check in bounded time."""
    unevaluated = False
    listed: str | None = None
    for where, part in subschemas(schema):
        pattern, named = part.get("pattern"), part.get("patternProperties")
        patterns = [pattern, *(named if isinstance(named, dict) else ())]
        if any(isinstance(one, str) and not is_bounded(one) for one in patterns):
            yield where, "it holds a pattern that cannot be checked in bounded time"
        unevaluated = unevaluated or "unevaluatedProperties" in part
        listed = where if isinstance(named, dict) and named else listed
    if unevaluated and listed is not None:
        yield listed, "`unevaluatedProperties` does not go with `patternProperties` here"


# -- what multiplies ------------------------------------------------------------------------

_HERE_MANY = ("allOf", "anyOf", "oneOf")
_HERE_ONE = ("not", "if", "then", "else")
_EVERY_MEMBER = ("additionalProperties", "unevaluatedProperties")
_EVERY_ELEMENT = ("items", "contains", "unevaluatedItems")


class _Flat:
    """What one schema, with all that judges the same place, says about the places below."""

    def __init__(self) -> None:
        self.weight = 1
        self.below: dict[tuple[str, str | int | None], Counter[int]] = {}

    def add(self, label: tuple[str, str | int | None], schema: object) -> None:
        self.below.setdefault(label, Counter())[id(schema)] += 1

    def include(self, other: _Flat) -> None:
        self.weight += other.weight
        for label, counts in other.below.items():
            self.below.setdefault(label, Counter()).update(counts)


class _Growth:
    """Counts how many schemas judge one place of a value, on every way to one."""

    def __init__(self, root: JsonSchema) -> None:
        self._root = root
        self._flat: dict[int, _Flat | None] = {}
        self._schemas: dict[int, Any] = {}

    def is_large(self) -> bool:
        """Follow every way down from the top, until there is nothing new or too much."""
        first = Counter({self._known(self._root): 1})
        waiting, seen = [first], {frozenset(first.items())}
        while waiting:
            level = waiting.pop()
            weight = sum(n * self._flattened(place).weight for place, n in level.items())
            if weight > _MOST_AT_ONE_PLACE or len(seen) > _MOST_PLACES:
                return True
            for following in self._next(level):
                known = frozenset(following.items())
                if known not in seen:
                    seen.add(known)
                    waiting.append(following)
        return False

    def _known(self, schema: Any) -> int:
        self._schemas[id(schema)] = schema
        return id(schema)

    def _next(self, level: Counter[int]) -> Iterator[Counter[int]]:
        found: dict[tuple[str, str | int | None], Counter[int]] = {}
        for place, count in level.items():
            for label, counts in self._flattened(place).below.items():
                into = found.setdefault(label, Counter())
                for below, times in counts.items():
                    into[below] += count * times
        for (kind, name), counts in found.items():
            every = found.get((kind, None), Counter())
            yield counts if name is None else counts + every

    def _flattened(self, place: int) -> _Flat:
        if place not in self._flat:
            self._flat[place] = None  # met again: endless, which others refuse
            self._flat[place] = self._made(self._schemas[place])
        return self._flat[place] or _Flat()

    def _made(self, schema: Any) -> _Flat:
        flat = _Flat()
        if not isinstance(schema, dict):
            return flat
        for other in self._here(schema):
            flat.include(self._flattened(self._known(other)))
        for label, below in _below(schema):
            self._known(below)
            flat.add(label, below)
        return flat

    def _here(self, schema: dict[str, Any]) -> Iterator[Any]:
        for word in _REFERENCES:
            if isinstance(schema.get(word), str):
                yield target(schema[word], self._root)
        for word in _HERE_MANY:
            yield from schema[word] if isinstance(schema.get(word), list) else ()
        yield from (schema[word] for word in _HERE_ONE if word in schema)
        dependent = schema.get("dependentSchemas")
        yield from dependent.values() if isinstance(dependent, dict) else ()


def _below(schema: dict[str, Any]) -> Iterator[tuple[tuple[str, str | int | None], Any]]:
    for word, named in (("properties", True), ("patternProperties", False)):
        given = schema.get(word)
        for name, part in given.items() if isinstance(given, dict) else ():
            yield ("member", name if named else None), part
    yield from ((("member", None), schema[word]) for word in _EVERY_MEMBER if word in schema)
    yield from ((("element", None), schema[word]) for word in _EVERY_ELEMENT if word in schema)
    first = schema.get("prefixItems")
    for position, part in enumerate(first if isinstance(first, list) else ()):
        yield ("element", position), part


def may_multiply(schema: JsonSchema) -> bool:
    """Say whether many schemas could judge one place of some value: alternatives of alternatives.

    A tree whose members are trees does not multiply; a list that may be a list in two ways does.
    """
    return _Growth(schema).is_large()


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 3]}..."
