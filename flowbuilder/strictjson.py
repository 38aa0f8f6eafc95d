"""The one strict gate of every JSON edge: API bodies, files, tool results, model output.

What passes is JSON that PostgreSQL stores and gives back unchanged. What does not is refused with
a code and a JSON pointer: no NaN, no infinities, no NUL, no lone surrogates, no duplicate keys,
bounded depth, size and numbers.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any

import orjson

from flowbuilder.errors import InvalidValue
from flowbuilder.types import JsonValue

#: Integers beyond 64 bits are exact in Python and jsonb, but in no other reader of the API.
LARGEST_INTEGER = 2**64 - 1
SMALLEST_INTEGER = -(2**63)
_TOO_LARGE = "an integer does not fit into 64 bits; write it as text"


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How deep (nested arrays and objects) and how large (bytes of JSON) a value may be.

    `containers`: so many arrays and objects a text may have; each costs as much as many bytes do.
    """

    depth: int = 32
    bytes: int = 1_048_576
    containers: int = 250_000


DEFAULT_LIMITS = Limits()
_WIDEST = Limits(depth=200, bytes=64 * 1_048_576)
DOCUMENT_LIMITS = Limits(depth=32, bytes=8 * 1_048_576)


def loads(data: str | bytes, *, limits: Limits = DEFAULT_LIMITS) -> JsonValue:
    """Read JSON text.

    Raises:
        InvalidValue: json_syntax, json_size, json_depth, json_containers, json_duplicate_key,
            json_nan, json_infinity, json_number, json_nul, json_surrogate.
    """
    text = _decode(data, limits)
    _check_nesting(text, limits)
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
    copied: JsonValue = _copied(value, limits)
    if copied is not _ODD:
        return copied
    checked = _Gate(limits).check(value, pointer, 1)
    size = len(orjson.dumps(checked))
    if size > limits.bytes:
        raise InvalidValue(
            f"the value has {size} bytes of JSON; the limit is {limits.bytes}",
            code="json_size",
            pointer=pointer,
        )
    return checked


def dumps(value: JsonValue) -> bytes:
    """Write a value as compact UTF-8 JSON; what `loads` refuses is never written.

    Raises:
        InvalidValue: Codes as for `check`; size and depth are bounded only against disaster.
    """
    return orjson.dumps(check(value, limits=_WIDEST))


def load_document(text: str | bytes, *, name: str, limits: Limits = DOCUMENT_LIMITS) -> JsonValue:
    """Read a YAML or JSON file (by the suffix of its name) through the same gate.

    Raises:
        InvalidValue: Codes as for `loads`, and yaml_syntax for YAML that cannot be read or uses
            tags, aliases or keys that are no text.
    """
    decoded = _decode(text, limits)
    if name.lower().endswith(".json"):
        return loads(decoded, limits=limits)
    from flowbuilder.yamlreader import read_yaml  # not needed where no file is read

    _text(decoded, "")  # the reader of YAML knows neither NUL nor half a surrogate pair
    return check(read_yaml(decoded, name=name, depth=limits.depth), limits=limits)


_HINTS = {
    "datetime": "Give its isoformat().",
    "date": "Give its isoformat().",
    "time": "Give its isoformat().",
    "timedelta": "Give its total_seconds().",
    "Decimal": "Give it as text, or as a float.",
    "UUID": "Give it as text.",
    "PosixPath": "Give it as text.",
    "bytes": "Decode it, or give it in base64.",
    "set": "Give a sorted list.",
    "generator": "Give a list.",
}


#: What the short way leaves to the gate, which knows what is wrong and where.
_ODD: Any = object()
#: So many members, elements and eighths of characters may be met on the short way, so that shared
#: parts cannot multiply far: what is written there is about as large as the largest document.
_SMALL = 1_048_576
#: What orjson would write in a way of its own is not for it: it is no JSON.
_PLAINLY = (
    orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
    | (orjson.OPT_PASSTHROUGH_SUBCLASS)
)


def _copied(value: object, limits: Limits) -> Any:
    """Copy a value that is nothing but plain JSON, as nearly every one is; else _ODD.

    What is the same after it was written and read is plain: NaN comes back as null, a tuple as a
    list, an identifier as text.
    """
    if not _is_bounded(value, limits.depth):
        return _ODD
    try:
        written = orjson.dumps(value, option=_PLAINLY)
    except orjson.JSONEncodeError:
        return _ODD
    if len(written) > limits.bytes or b"\\u0000" in written:
        return _ODD
    copied = orjson.loads(written)
    return copied if copied == value else _ODD


def _is_bounded(value: object, depth: int) -> bool:
    """Whether it can be written without a look at how deep it is and how often it holds itself.

    It is looked at level by level: most arrays and objects are small, and a call for each of them
    would take longer than the look.
    """
    holders = [value] if type(value) in _NESTING else []
    room = _SMALL
    while holders and depth > 0 and room >= 0:
        holders, room = _level(holders, room)
        depth -= 1
    return not holders and room >= 0


def _level(holders: list[Any], room: int) -> tuple[list[Any], int]:
    """Return what is nested in the given, and the room that is left; -1 where it is no JSON."""
    nested: list[Any] = []
    for holder in holders:
        items = holder
        if type(holder) is dict:
            items = holder.values()
            try:
                room -= len("".join(holder)) >> 3
            except TypeError:
                return [], -1
        elif type(holder) is tuple:
            return [], -1
        room -= len(items)
        if room < 0:
            break
        for item in items:
            kind = type(item)
            if kind is str:
                room -= len(item) >> 3
            elif kind in _NESTING:
                nested.append(item)
    return nested, room


_NESTING = frozenset({dict, list, tuple})


class _Gate:
    """Walks a value once, keeping count of depth and of how many values it met.

    Each value takes a byte of JSON at least, and so does each character: the count stops a small
    value that holds the same part over and over before it is written out.
    """

    def __init__(self, limits: Limits) -> None:
        self._depth = limits.depth
        self._bytes = limits.bytes
        self._met = 0

    def check(self, value: object, pointer: str, depth: int) -> JsonValue:
        self._met += 1
        if self._met > self._bytes:
            raise InvalidValue(
                f"the value has more than the limit of {self._bytes} bytes of JSON",
                code="json_size",
            )
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            self._met += len(value)
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
        if isinstance(value, _Refused):
            raise InvalidValue(value.message, code=value.code, pointer=pointer)
        raise InvalidValue(
            f"{type(value).__name__} is no JSON type",
            code="json_type",
            pointer=pointer,
            hint=_HINTS.get(type(value).__name__)
            or "Give text, a number, true, false, null, a list or an object with text keys.",
        )

    def _mapping(self, value: dict[Any, Any], pointer: str, depth: int) -> JsonValue:
        checked: dict[str, JsonValue] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidValue(
                    f"a key of type {type(key).__name__} is no text",
                    code="json_type",
                    pointer=pointer,
                )
            self._met += len(key)
            checked[_text(key, pointer)] = self.check(item, f"{pointer}/{escape(key)}", depth + 1)
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
    return str.__str__(value)


def _whole(value: int, pointer: str) -> int:
    if not SMALLEST_INTEGER <= value <= LARGEST_INTEGER:
        raise InvalidValue(
            _TOO_LARGE,
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
        return data.removeprefix("\ufeff")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidValue(
            f"this is no UTF-8 text: byte {error.start} fits nothing", code="json_syntax"
        ) from None


#: A text up to its end, or a bracket. Possessive: it never steps back, so it takes linear time.
_BRACKET = re.compile(r'"(?:[^"\\]++|\\.?)*+"?|[\[\]{}]', re.DOTALL)


def _check_nesting(text: str, limits: Limits) -> None:
    """Refuse deep nesting, and very much of it, before the parser goes into it."""
    limit = limits.depth
    if text.count("[") + text.count("{") <= min(limit, limits.containers):
        return
    depth = opened = 0
    for match in _BRACKET.finditer(text):
        found = match.group()
        if found in ("[", "{"):
            depth += 1
            opened += 1
            if opened > limits.containers:
                raise InvalidValue(
                    f"more than {limits.containers} arrays and objects", code="json_containers"
                )
            if depth > limit:
                raise InvalidValue(
                    f"nested more than {limit} levels deep, at character {match.start() + 1}",
                    code="json_depth",
                )
        elif found in ("]", "}"):
            depth -= 1


@dataclass(frozen=True, slots=True)
class _Refused:
    """Stands for a part that the parser met and JSON has no place for.

    The parser's hooks do not know where they are; the gate that walks the result does.
    """

    message: str
    code: str


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Refused:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    for key, _ in pairs:
        if key in seen:
            break
        seen.add(key)
    return _Refused(f"the key {key[:60]!r} stands twice in one object", "json_duplicate_key")


def _constant(name: str) -> float:
    return math.nan if name == "NaN" else math.inf


def _integer(text: str) -> int | _Refused:
    if len(text) > 20:
        return _Refused(_TOO_LARGE, "json_number")
    return int(text)
