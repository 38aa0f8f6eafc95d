"""Values that fit a JSON Schema, drawn by a seeded generator: the same seed, the same value."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from flowbuilder.errors import InvalidValue
from flowbuilder.evals.world.patterns import text_matching
from flowbuilder.schemapaths import target
from flowbuilder.schemas import validator
from flowbuilder.types import JsonSchema, JsonValue, is_number

#: Values that are drawn before a schema counts as one that nothing fits.
_TRIES = 40
#: Below this depth only what must be there is made.
_DEEPEST = 5
_DEEPEST_OF_ALL = 40
_WORDS = (
    "amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "harbor", "iris", "juniper",
    "kestrel", "lagoon", "maple", "north", "opal", "pine", "quartz", "river", "sierra", "tundra",
    "umber", "violet", "willow", "yarrow", "zephyr",
)  # fmt: skip


def value_for(schema: JsonSchema, random: Random, *, name: str = "") -> JsonValue:
    """Return a value that fits a schema.

    Args:
        schema: A usable JSON Schema; `{}` gives a text.
        random: Where everything drawn comes from.
        name: What the value is called, so that texts tell what they stand for.

    Raises:
        InvalidValue: None was found (schema_unsatisfied).
    """
    fits = validator(schema)
    maker = _Maker(schema, random)
    for _ in range(_TRIES):
        try:
            value = maker.make(schema, name, 0)
        except _NothingFits:
            continue
        if fits.is_valid(value):
            return value
    raise InvalidValue(
        f"no value was found that fits the schema of {name or 'the value'}",
        code="schema_unsatisfied",
    )


class _NothingFits(Exception):
    """This way leads to no value; another draw may."""


class _Maker:
    """Draws values of one schema."""

    def __init__(self, root: JsonSchema, random: Random) -> None:
        self._root, self._random = root, random

    def make(self, schema: Any, name: str, depth: int) -> JsonValue:
        """Return a value that fits, as far as the keywords that are looked at say."""
        if schema is False or depth > _DEEPEST_OF_ALL:
            raise _NothingFits
        if schema is True:
            schema = {}
        schema = self._plain(schema)
        if "const" in schema:
            value: JsonValue = schema["const"]
            return value
        if "enum" in schema:
            if not schema["enum"]:
                raise _NothingFits
            chosen: JsonValue = self._random.choice(schema["enum"])
            return chosen
        return self._of_kind(self._kind(schema), schema, name, depth)

    def _plain(self, schema: JsonSchema) -> JsonSchema:
        """Return a schema with references followed, alternatives chosen and parts joined."""
        for _ in range(_DEEPEST_OF_ALL):
            if "$ref" in schema:
                found = target(schema["$ref"], self._root)
                if not isinstance(found, dict):
                    raise _NothingFits
                schema = _joined(found, {k: v for k, v in schema.items() if k != "$ref"})
            elif options := schema.get("anyOf") or schema.get("oneOf"):
                chosen = self._random.choice(options)
                rest = {k: v for k, v in schema.items() if k not in ("anyOf", "oneOf")}
                schema = _joined(rest, chosen if isinstance(chosen, dict) else {})
            elif "allOf" in schema:
                rest = {k: v for k, v in schema.items() if k != "allOf"}
                for part in schema["allOf"]:
                    rest = _joined(rest, part if isinstance(part, dict) else {})
                schema = rest
            else:
                return schema
        raise _NothingFits

    def _kind(self, schema: JsonSchema) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            useful = [item for item in kind if item != "null"]
            return str(self._random.choice(useful)) if useful else "null"
        if isinstance(kind, str):
            return kind
        if schema.keys() & {"properties", "required", "additionalProperties", "minProperties"}:
            return "object"
        if schema.keys() & {"items", "prefixItems", "minItems", "uniqueItems", "contains"}:
            return "array"
        if schema.keys() & {"minimum", "maximum", "multipleOf", "exclusiveMinimum"}:
            return "number"
        return "string"

    def _of_kind(self, kind: str, schema: JsonSchema, name: str, depth: int) -> JsonValue:
        if kind == "object":
            return self._object(schema, name, depth)
        if kind == "array":
            return self._array(schema, name, depth)
        if kind == "string":
            return self._text(schema, name)
        if kind in ("integer", "number"):
            return self._number(schema, whole=kind == "integer")
        return None if kind == "null" else self._random.random() < 0.5

    def _object(self, schema: JsonSchema, name: str, depth: int) -> JsonValue:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        made: dict[str, JsonValue] = {}
        for key in dict.fromkeys([*properties, *required]):
            if key in required or depth < _DEEPEST:
                part = properties.get(key, schema.get("additionalProperties", {}))
                made[key] = self.make(part, key, depth + 1)
        further = schema.get("additionalProperties")
        least = schema.get("minProperties", 0)
        if not properties and isinstance(further, dict) and depth < _DEEPEST:
            least = max(least, 1)
        while len(made) < least:
            key = f"{self._random.choice(_WORDS)}_{len(made) + 1}"
            made[key] = self.make(True if further is None else further, key, depth + 1)
        return made

    def _array(self, schema: JsonSchema, name: str, depth: int) -> JsonValue:
        first = schema.get("prefixItems", [])
        least = schema.get("minItems", 0)
        most = schema.get("maxItems", max(least, 3 if depth < _DEEPEST else 0))
        items = schema.get("items", True)
        wanted = self._random.randint(least, max(least, min(most, max(least, 3))))
        if not least and most and wanted == 0 and depth < _DEEPEST:
            wanted = 1  # a list with nothing in it teaches a plan nothing
        if items is False:
            wanted = len(first)
        made = [self.make(part, name, depth + 1) for part in first]
        if "contains" in schema:
            made.append(self.make(schema["contains"], name, depth + 1))
        for _ in range(_TRIES):
            if len(made) >= wanted:
                break
            value = self.make(items, name, depth + 1)
            if not schema.get("uniqueItems") or value not in made:
                made.append(value)
        return made

    def _text(self, schema: JsonSchema, name: str) -> str:
        if "pattern" in schema:
            text = text_matching(schema["pattern"], self._random)
            if text is None:
                raise _NothingFits
        elif schema.get("format") in _FORMATS:
            text = _FORMATS[schema["format"]](self._random)
        else:
            word, number = self._random.choice(_WORDS), self._random.randint(10, 99)
            text = f"{name or 'text'} {word} {number}"
        least, most = schema.get("minLength", 0), schema.get("maxLength")
        while len(text) < least and "pattern" not in schema:
            text += f" {self._random.choice(_WORDS)}"
        return text if most is None or len(text) <= most else text[-most:] if most else ""

    def _number(self, schema: JsonSchema, *, whole: bool) -> int | float:
        step = schema.get("multipleOf", 1 if whole else 0.01)
        low, high = _range(schema, step, whole=whole)
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if first > last:
            if whole or "multipleOf" in schema:
                raise _NothingFits
            return self._random.uniform(low, high)
        drawn = self._random.randint(first, last) * step
        return int(drawn) if whole else round(drawn, 10)


def _range(schema: JsonSchema, step: float, *, whole: bool) -> tuple[float, float]:
    """Return the least and the greatest value, a thousand steps apart where one is left open."""
    small = step if whole else min(step, 1e-6)
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    lows = [low] if is_number(low) else []
    highs = [high] if is_number(high) else []
    lows += [above + small] if is_number(above) else []
    highs += [below - small] if is_number(below) else []
    room = 1000 * max(step, 1)
    if not lows:
        lows = [min(1, highs[0] - room) if highs else 1]
    if not highs:
        highs = [max(lows) + room]
    return max(lows), min(highs)


def _joined(first: JsonSchema, second: JsonSchema) -> JsonSchema:
    """Return the keywords of both; what both say in different ways, the second says."""
    joined = {**first, **second}
    for key in ("properties", "$defs"):
        if key in first and key in second:
            joined[key] = {**first[key], **second[key]}
    if "required" in first and "required" in second:
        joined["required"] = [*dict.fromkeys([*first["required"], *second["required"]])]
    if "allOf" in first and "allOf" in second:
        joined["allOf"] = [*first["allOf"], *second["allOf"]]
    return joined


def _date(random: Random) -> str:
    return f"20{random.randint(24, 29)}-{random.randint(1, 12):02}-{random.randint(1, 28):02}"


def _time(random: Random) -> str:
    return f"{random.randint(0, 23):02}:{random.randint(0, 59):02}:{random.randint(0, 59):02}"


def _uuid(random: Random) -> str:
    digits = f"{random.getrandbits(128):032x}"
    digits = f"{digits[:12]}4{digits[13:16]}8{digits[17:]}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


#: What values of a format look like; `format` checks nothing in JSON Schema, people read it.
_FORMATS: Mapping[str, Callable[[Random], str]] = {
    "date": _date,
    "date-time": lambda random: f"{_date(random)}T{_time(random)}Z",
    "time": lambda random: f"{_time(random)}Z",
    "email": lambda random: f"{random.choice(_WORDS)}@example.org",
    "uri": lambda random: f"https://example.org/{random.choice(_WORDS)}",
    "url": lambda random: f"https://example.org/{random.choice(_WORDS)}",
    "hostname": lambda random: f"{random.choice(_WORDS)}.example.org",
    "ipv4": lambda random: f"192.0.2.{random.randint(1, 254)}",
    "uuid": _uuid,
}
