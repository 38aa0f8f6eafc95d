"""YAML files as JSON values.

YAML can say much that JSON cannot. Plain words are what JSON means by them; everything else, dates,
`yes`, `010` and `1:30` included, is text. Anchors, aliases and tags are refused: a few aliases can
describe billions of values.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

import yaml

from flowbuilder.errors import InvalidValue


def read_yaml(text: str, *, name: str, depth: int) -> object:
    """Read one YAML document; what is wrong with its values is left to the JSON gate.

    Args:
        text: The document.
        name: What to call it in messages.
        depth: How many levels mappings and lists may nest.

    Raises:
        InvalidValue: yaml_syntax (also for anchors, aliases, tags and keys that are no text),
            json_duplicate_key, json_depth, json_number.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        # Events come one by one; yaml's own tree builder recurses in C and dies of deep nesting.
        return _Reader(depth).read(yaml.parse(text, Loader=loader))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise InvalidValue(f"{name} is no YAML: {problem}{where}", code="yaml_syntax") from None


class _Reader:
    """Builds values from YAML events, without recursion."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._open: list[list[Any] | dict[str, Any]] = []
        self._keys: list[str | None] = []
        self._root: object = None
        self._documents = 0

    def read(self, events: Iterable[yaml.Event]) -> object:
        for event in events:
            self._take(event)
        return self._root

    def _take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _refusal("anchors and aliases are not allowed; write the value out", event)
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                raise _refusal("a file holds one document", event)
        elif isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._begin(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._open.pop()
            self._keys.pop()

    def _begin(self, event: yaml.CollectionStartEvent) -> None:
        if event.tag not in (None, "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            raise _refusal(f"the tag {event.tag[:60]!r} is not allowed", event)
        if self._wants_key():
            raise _refusal("a key is no text; put it in quotes", event)
        if len(self._open) >= self._depth:
            raise InvalidValue(
                f"nested more than {self._depth} levels deep at line {_line(event)}",
                code="json_depth",
            )
        found: list[Any] | dict[str, Any]
        found = {} if isinstance(event, yaml.MappingStartEvent) else []
        self._put(found)
        self._open.append(found)
        self._keys.append(None)

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            raise _refusal(f"the tag {event.tag[:60]!r} is not allowed", event)
        plain = event.tag is None and event.implicit[0]
        value = _plain_scalar(event.value) if plain else event.value
        if not self._wants_key():
            self._put(value)
            return
        mapping = self._open[-1]
        if not isinstance(value, str):
            raise _refusal("a key is no text; put it in quotes", event)
        if value in mapping:
            raise InvalidValue(
                f"the key {value[:60]!r} stands twice, at line {_line(event)}",
                code="json_duplicate_key",
            )
        self._keys[-1] = value

    def _wants_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1], dict) and self._keys[-1] is None

    def _put(self, value: object) -> None:
        if not self._open:
            self._root = value
            return
        parent, key = self._open[-1], self._keys[-1]
        if isinstance(parent, list):
            parent.append(value)
        elif key is not None:
            parent[key] = value
            self._keys[-1] = None


_WORDS = {"": None, "~": None, **dict.fromkeys(("null", "Null", "NULL"))} | {
    word: value
    for name, value in (("true", True), ("false", False))
    for word in (name, name.title(), name.upper())
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z")
_REAL = re.compile(r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\Z")
_INFINITY = re.compile(r"[-+]?\.(?:inf|Inf|INF)\Z")


def _plain_scalar(text: str) -> object:
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.match(text):
        if len(text) > 20:
            raise InvalidValue(
                f"the integer {text[:30]}… does not fit into 64 bits; put it in quotes",
                code="json_number",
            )
        return int(text)
    if _REAL.match(text):
        return float(text)
    if text in (".nan", ".NaN", ".NAN"):
        return math.nan
    return math.inf if _INFINITY.match(text) else text


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 0


def _refusal(problem: str, event: yaml.Event) -> InvalidValue:
    mark = event.start_mark
    where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    return InvalidValue(f"{problem}{where}", code="yaml_syntax")
