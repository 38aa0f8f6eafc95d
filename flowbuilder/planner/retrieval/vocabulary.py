"""What a tool's name, texts and schemas say, as weighted stems; and what they take and give."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flowbuilder.tools import Tool
from flowbuilder.tools.ranking import stem
from flowbuilder.types import JsonSchema

#: How much a word says about a tool by where it stands.
_NAME, _KEYWORD, _TEXT = 3.0, 2.0, 1.0
_INPUT, _INPUT_TEXT, _OUTPUT, _OUTPUT_TEXT = 0.5, 0.5, 0.5, 0.3
_OPTION = 0.25
#: Objects inside of objects are read down to here, and no more fields than this of one schema.
_DEPTH, _MOST_FIELDS = 3, 120
_LONGEST_TEXT = 2000
_WORD = re.compile(r"[^\W\d_]+|\d+")
_CASE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
#: Words of requests that tell no tools apart.
_SILENT = frozenset(
    _WORD.findall(
        "a about additionally also am an and any are as assist at be been before being but by can "
        "could did do does each else every finally first firstly for from furthermore had has have "
        "he help her here him his how i if in interested into is it its lastly let like may me "
        "might more moreover my need next of on once or our out please provide s secondly she "
        "should so some such t than that the their them then there these they this those to up us "
        "use used using want was we were what when where which while who will with would you your"
    )
)
#: Names of fields that say nothing of what they hold.
_VAGUE = frozenset(
    stem(word)
    for word in _WORD.findall(
        "code data date description id info key message name number result results status text "
        "time title type url value"
    )
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """A tool as retrieval sees it."""

    tool: Tool
    weights: Mapping[str, float]
    """Every stem with the sum of its weights."""
    needs: tuple[str, ...]
    """Its required arguments as keys: "order id"."""
    gives: tuple[str, ...]
    """The fields of its output as keys; such as `id` with what the tool is about."""


def profile(tool: Tool) -> Profile:
    """Read a tool."""
    weights: dict[str, float] = defaultdict(float)
    named = list(name_stems(tool.name))
    _add(weights, _NAME, named)
    _add(weights, _KEYWORD, text_stems(" ".join(tool.keywords)))
    _add(weights, _TEXT, text_stems(" ".join((tool.summary, *tool.examples))))
    for schema, own, told in (
        (tool.input_schema, _INPUT, _INPUT_TEXT),
        (tool.output_schema, _OUTPUT, _OUTPUT_TEXT),
    ):
        seen: set[str] = set()
        for name, shape in _fields(schema):
            fresh = [word for word in name_stems(name) if word not in seen]
            seen.update(fresh)
            _add(weights, own, dict.fromkeys(fresh))
            _add(weights, told, dict.fromkeys(text_stems(str(shape.get("description") or ""))))
            _add(weights, _OPTION, dict.fromkeys(text_stems(_options(shape))))
    return Profile(
        tool=tool,
        weights=dict(weights),
        needs=_needs(tool),
        gives=tuple(dict.fromkeys(_gives(tool.output_schema, named))),
    )


def name_stems(name: str) -> Iterator[str]:
    """Return the stems of a name written in any fashion: `getOrderId`, `order.find_id`."""
    for word in _WORD.findall(_CASE.sub(" ", name)):
        yield _stem(word.lower())


def text_stems(text: str) -> list[str]:
    """Return the stems of a text's words in order, without those that tell no tools apart."""
    spaced = _CASE.sub(" ", text[:_LONGEST_TEXT])
    said = (word.lower() for word in _WORD.findall(spaced))
    return [_stem(word) for word in said if len(word) > 1 and word not in _SILENT]


@lru_cache(maxsize=50_000)
def _stem(word: str) -> str:
    return stem(word)


def _add(weights: dict[str, float], weight: float, found: Iterable[str]) -> None:
    for word in found:
        weights[word] += weight


def _options(shape: Mapping[str, Any]) -> str:
    values = shape.get("enum") or ()
    return " ".join(value for value in values if isinstance(value, str))


def _needs(tool: Tool) -> tuple[str, ...]:
    required = tool.input_schema.get("required") or ()
    keys = (" ".join(name_stems(str(name))) for name in required)
    return tuple(dict.fromkeys(key for key in keys if key and key not in _VAGUE))


def _gives(schema: JsonSchema, named: Iterable[str]) -> Iterator[str]:
    about = [word for word in named if word not in _VAGUE]
    for name, _ in _fields(schema):
        key = " ".join(name_stems(name))
        if key in _VAGUE:
            yield from (f"{word} {key}" for word in about)
        elif key:
            yield key


def _fields(schema: JsonSchema) -> list[tuple[str, Mapping[str, Any]]]:
    """Return the names and shapes of an object's fields, and of those inside of them."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    definitions = schema.get("$defs")
    known = definitions if isinstance(definitions, Mapping) else {}
    _collect(schema, known, _DEPTH, found)
    return found


def _collect(
    shape: Any,
    definitions: Mapping[str, Any],
    depth: int,
    found: list[tuple[str, Mapping[str, Any]]],
) -> None:
    if not isinstance(shape, Mapping) or depth < 0 or len(found) >= _MOST_FIELDS:
        return
    if isinstance(shape.get("$ref"), str):
        _collect(definitions.get(shape["$ref"].split("/")[-1]), definitions, depth - 1, found)
    properties = shape.get("properties")
    for name, inner in properties.items() if isinstance(properties, Mapping) else ():
        if len(found) < _MOST_FIELDS:
            found.append((str(name), inner if isinstance(inner, Mapping) else {}))
            _collect(inner, definitions, depth - 1, found)
    for part in ("items", "anyOf", "oneOf", "allOf"):
        inside = shape.get(part)
        for inner in inside if isinstance(inside, list) else [inside]:
            _collect(inner, definitions, depth - 1, found)
