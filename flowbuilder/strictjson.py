"""The one strict gate of every JSON edge: API bodies, files, tool results, model output.

What passes is JSON that PostgreSQL stores and gives back unchanged. What does not is refused with
a code and a JSON pointer: no NaN, no infinities, no NUL, no lone surrogates, no duplicate keys,
bounded depth, size and numbers.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import orjson
import yaml

from flowbuilder.errors import InvalidValue
from flowbuilder.types import JsonValue

#: Integers beyond 64 bits are exact in Python and jsonb, but in no other reader of the API.
LARGEST_INTEGER = 2**64 - 1
SMALLEST_INTEGER = -(2**63)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How deep (nested arrays and objects) and how large (bytes of JSON) a value may be."""

    depth: int = 32
    bytes: int = 1_048_576


DEFAULT_LIMITS = Limits()
DOCUMENT_LIMITS = Limits(depth=32, bytes=8 * 1_048_576)


def loads(data: str | bytes, *, limits: Limits = DEFAULT_LIMITS) -> JsonValue:
    """Read JSON text.

    Raises:
        InvalidValue: json_syntax, json_size, json_depth, json_duplicate_key, json_nan,
            json_infinity, json_number, json_nul, json_surrogate.
    """
    text = _decode(data, limits)
    _check_nesting(text, limits.depth)
    try:
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_int=_integer,
        )
    except json.JSONDecodeError as error:
        raise InvalidValue(
            f"this is no JSON: {error.msg} at line {error.lineno}, column {error.colno}",
            code="json_syntax",
        ) from None
    return check(value, limits=limits)


def check(value: object, *, limits: Limits = DEFAULT_LIMITS, pointer: str = "") -> JsonValue:
    """Check a parsed value and return it as plain JSON: tuples become lists, nothing else changes.

    Args:
        value: Any Python value.
        limits: Depth and size.
        pointer: Where the value stands in the whole document.

    Raises:
        InvalidValue: Codes as for `loads`, and json_type for what is no JSON at all.
    """
    checked = _Gate(limits.depth).check(value, pointer, 1)
    size = len(orjson.dumps(checked))
    if size > limits.bytes:
        raise InvalidValue(
            f"the value has {size} bytes of JSON; the limit is {limits.bytes}",
            code="json_size",
            pointer=pointer,
        )
    return checked


def dumps(value: JsonValue) -> bytes:
    """Write a checked value as compact UTF-8 JSON."""
    return orjson.dumps(value)


def load_document(text: str | bytes, *, name: str, limits: Limits = DOCUMENT_LIMITS) -> JsonValue:
    """Read a YAML or JSON file (by the suffix of its name) through the same gate.

    Raises:
        InvalidValue: Codes as for `loads`, and yaml_syntax for YAML that cannot be read or uses
            tags, aliases or keys that are no text.
    """
    decoded = _decode(text, limits)
    if name.lower().endswith(".json"):
        return loads(decoded, limits=limits)
    return check(_load_yaml(decoded, name), limits=limits)


class _Gate:
    """Walks a value once, keeping count of depth."""

    def __init__(self, depth: int) -> None:
        self._depth = depth

    def check(self, value: object, pointer: str, depth: int) -> JsonValue:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return _text(value, pointer)
        if isinstance(value, int):
            return _whole(value, pointer)
        if isinstance(value, float):
            return _real(value, pointer)
        if isinstance(value, dict | list | tuple) and depth > self._depth:
            raise InvalidValue(
                f"nested more than {self._depth} levels deep", code="json_depth", pointer=pointer
            )
        if isinstance(value, list | tuple):
            return [
                self.check(item, f"{pointer}/{index}", depth + 1)
                for index, item in enumerate(value)
            ]
        if isinstance(value, dict):
            return self._mapping(value, pointer, depth)
        raise InvalidValue(
            f"{type(value).__name__} is no JSON type",
            code="json_type",
            pointer=pointer,
            hint="Give text, a number, true, false, null, a list or an object with text keys.",
        )

    def _mapping(self, value: dict[Any, Any], pointer: str, depth: int) -> JsonValue:
        checked: dict[str, JsonValue] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidValue(
                    f"the key {key!r:.60} is no text", code="json_type", pointer=pointer
                )
            _text(key, pointer)
            checked[key] = self.check(item, f"{pointer}/{escape(key)}", depth + 1)
        return checked


def escape(key: str) -> str:
    """Write a key as a segment of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")


def _text(value: str, pointer: str) -> str:
    if "\x00" in value:
        raise InvalidValue("a text holds the character NUL", code="json_nul", pointer=pointer)
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidValue(
                "a text holds half a surrogate pair, which is no character",
                code="json_surrogate",
                pointer=pointer,
            ) from None
    return str(value)


def _whole(value: int, pointer: str) -> int:
    if not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
        raise InvalidValue(
            "an integer does not fit into 64 bits; write it as text",
            code="json_number",
            pointer=pointer,
        )
    return int(value)


def _real(value: float, pointer: str) -> float:
    if math.isnan(value):
        raise InvalidValue("NaN is no JSON number", code="json_nan", pointer=pointer)
    if math.isinf(value):
        raise InvalidValue("an infinity is no JSON number", code="json_infinity", pointer=pointer)
    return float(value)


def _decode(data: str | bytes, limits: Limits) -> str:
    if len(data) > limits.bytes:
        raise InvalidValue(
            f"{len(data)} bytes are more than the limit of {limits.bytes}", code="json_size"
        )
    if isinstance(data, str):
        return data
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidValue(
            f"this is no UTF-8 text: byte {error.start} fits nothing", code="json_syntax"
        ) from None


def _check_nesting(text: str, limit: int) -> None:
    """Refuse deep nesting before the parser recurses into it."""
    if text.count("[") + text.count("{") <= limit:
        return
    depth = 0
    in_text = escaped = False
    for character in text:
        if in_text:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_text = False
        elif character == '"':
            in_text = True
        elif character in "[{":
            depth += 1
            if depth > limit:
                raise InvalidValue(f"nested more than {limit} levels deep", code="json_depth")
        elif character in "]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise InvalidValue(
                    f"the key {key[:60]!r} stands twice in one object", code="json_duplicate_key"
                )
            seen.add(key)
    return found


def _constant(name: str) -> float:
    if name == "NaN":
        raise InvalidValue("NaN is no JSON number", code="json_nan")
    raise InvalidValue("an infinity is no JSON number", code="json_infinity")


def _integer(text: str) -> int:
    if len(text) > 20:
        raise InvalidValue(
            "an integer does not fit into 64 bits; write it as text", code="json_number"
        )
    return int(text)


#: Far beyond any document, far below what the parser's own recursion bears.
_DEEPEST_YAML = 500


def _load_yaml(text: str, name: str) -> object:
    depth = 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        if depth > _DEEPEST_YAML:
            raise InvalidValue(f"{name} is nested too deep", code="json_depth")
    if any(line.count("- ") > _DEEPEST_YAML for line in text.splitlines()):
        raise InvalidValue(f"{name} is nested too deep", code="json_depth")
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise InvalidValue(f"{name} is no YAML: {problem}{where}", code="yaml_syntax") from None
    except RecursionError:
        raise InvalidValue(f"{name} is nested too deep", code="json_depth") from None
    except ValueError as error:
        raise InvalidValue(f"{name} is no YAML: {error}", code="yaml_syntax") from None


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML as JSON means it: no aliases, tags or doubled keys; dates, `yes` and `1:30` are text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012

    def get_single_data(self) -> object:
        node = self.get_single_node()
        if node is None:
            return None
        _refuse_aliases(node)
        return self.construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise yaml.constructor.ConstructorError(
                    None, None, "a key is no text; put it in quotes", key.start_mark
                )
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice", key.start_mark
                )
            seen.add(key.value)
        found: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
        return found


for _tag, _pattern, _first in (
    ("bool", r"true|false|True|False|TRUE|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|"
     r"\.(?:nan|NaN|NAN)", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
):  # fmt: skip
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first)
    )


def _refuse_aliases(root: yaml.Node) -> None:
    """Refuse a node that stands in two places: a few aliases can describe billions of values."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if id(node) in seen:
            raise yaml.constructor.ConstructorError(
                None, None, "aliases are not allowed", node.start_mark
            )
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            waiting.extend(part for pair in node.value for part in pair)
        elif isinstance(node, yaml.SequenceNode):
            waiting.extend(node.value)
