"""What a tool's schemas say, asked once: members, witnesses, and how outputs fit arguments.

A plan is judged many times while it is made, and its steps use few tools: what is worked out about
a tool is kept as long as the tool is.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from flowbuilder.references import OPEN
from flowbuilder.schemafit import Doubt, doubt, may_lack, mismatch
from flowbuilder.schemapaths import UNKNOWN, Hit, Look, Missing, element, lookup, plain, type_names
from flowbuilder.schemas import is_usable, quick_check
from flowbuilder.tools import Tool
from flowbuilder.tools.labels import tool_label
from flowbuilder.types import JsonObject, JsonSchema, JsonValue
from flowbuilder.validation.reading import Path

#: Paths of one tool that are remembered; a document could name any number of them.
_MOST_PATHS = 2_000
#: What stands for a value that is not known yet, by its type: the first that its schema admits.
_WITNESSES: dict[str, tuple[JsonValue, ...]] = {
    "string": ("x", "a text of some length", "2020-01-01", "a@example.org", "30s"),
    "integer": (1, 0, 10, -1),
    "number": (1, 0.5, 0, -1),
    "boolean": (True,),
    "array": ([],),
    "object": ({},),
    "null": (None,),
}


@dataclass(frozen=True, slots=True)
class Fit:
    """How a source fits an argument: what is surely wrong, and what may be."""

    wrong: str | None = None
    doubt: Doubt | None = None
    takes_null: bool = True
    """Whether null would do, as far as one can tell."""
    is_clean: bool = field(init=False)
    """Whether there is nothing to say."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_clean", self.wrong is None and self.doubt is None)


@dataclass(frozen=True, slots=True)
class Source:
    """What a reference leads to, and how it is remembered."""

    look: Look
    lacking: str | None = None
    """A name of the path that the value may not have."""
    key: object = None
    """Equal for what is known to be the same; None where nothing is remembered."""
    kinds: frozenset[str] | None = None
    """The types that it may have, None when its schema does not say."""
    is_sure: bool = field(init=False)
    """Whether there is a value, as far as one can tell."""

    def __post_init__(self) -> None:
        there = self.lacking is None and not isinstance(self.look, Missing)
        object.__setattr__(self, "is_sure", there)


class ToolFacts:
    """What one tool takes and gives."""

    __slots__ = (
        "_fits",
        "_items",
        "_quick",
        "_sources",
        "_targets",
        "_tool",
        "_witnesses",
        "label",
        "takes",
    )

    def __init__(self, tool: Tool) -> None:
        self._tool = weakref.ref(tool)
        self.label = tool_label(tool.name)
        self.takes = is_usable(tool.input_schema)
        """Whether the input schema is one that arguments can be judged by."""
        self._quick: Callable[[JsonValue], bool] | None = None
        self._targets: dict[Path, Look] = {}
        self._witnesses: dict[Path, tuple[JsonValue, ...]] = {}
        self._sources: dict[tuple[bool, bool, Path], Source] = {}
        self._items: dict[tuple[bool, bool, Path, Path], Source] = {}
        self._fits: dict[tuple[object, Path], Fit] = {}

    @property
    def tool(self) -> Tool:
        """The tool; whoever asks has it in a registry."""
        tool = self._tool()
        assert tool is not None
        return tool

    def accepts(self, args: JsonValue) -> bool:
        """Whether arguments surely fit; False may also mean that nobody knows."""
        if self._quick is None:
            self._quick = quick_check(self.tool.input_schema)
        return self._quick(args)

    def target(self, path: Path) -> Look:
        """Return the schema of an argument."""
        found = self._targets.get(path)
        if found is None:
            known = lookup(self.tool.input_schema, path) if self.takes else UNKNOWN
            found = _remember(self._targets, path, known)
        return found

    def witness(self, path: Path) -> tuple[JsonValue, ...]:
        """Return a value that an argument could have, in a tuple; () when none is known."""
        found = self._witnesses.get(path)
        if found is None:
            target = self.target(path)
            made = _witness(target) if isinstance(target, Hit) else ("x",)
            found = _remember(self._witnesses, path, made)
        return found

    def asked_for(self, args: JsonObject) -> JsonSchema | None:
        """Return the schema of the output that arguments ask for.

        None where arguments have no say in it; `{}` where what they say is not known yet.
        """
        name = self.tool.output_from
        if name is None:
            return None
        given = args.get(name)
        if given is None:
            given = self.tool.input_schema["properties"][name].get("default")
        plain = isinstance(given, dict) and OPEN not in repr(given)
        return given if plain and isinstance(given, dict) and is_usable(given) else {}

    def source(self, path: Path, *, mapped: bool, forgiven: bool) -> Source:
        """Return what a path leads to in the output of a step of this tool."""
        place = (mapped, forgiven, path)
        found = self._sources.get(place)
        if found is None:
            start = output_of(self.tool.output_schema, mapped=mapped, forgiven=forgiven)
            found = _remember(self._sources, place, source_of(start, path, object()))
        return found

    def item(self, array: Path, path: Path, *, mapped: bool, forgiven: bool) -> Source:
        """Return what a path leads to in the elements of an array of the output."""
        place = (mapped, forgiven, array, path)
        found = self._items.get(place)
        if found is None:
            start = elements_of(self.source(array, mapped=mapped, forgiven=forgiven).look)
            found = _remember(self._items, place, source_of(start, path, object()))
        return found

    def fit(self, source: Source, path: Path) -> Fit:
        """Return how a source fits the argument at a path."""
        if source.key is None:
            return _fit(source, self.target(path))
        place = (source.key, path)
        found = self._fits.get(place)
        if found is None:
            found = _remember(self._fits, place, _fit(source, self.target(path)))
        return found


def source_of(start: Look, path: Path, key: object = None) -> Source:
    """Return what a path leads to from a schema."""
    if not isinstance(start, Hit):
        return Source(start, key=key)
    look = lookup(start.schema, path, start.root)
    if not isinstance(look, Hit):
        return Source(look, key=key)
    lacking = may_lack(start.schema, path, start.root)
    return Source(look, lacking, key, type_names(look.schema, look.root))


def elements_of(array: Look) -> Look:
    """Return the schema of an array's elements; whether it is an array is judged elsewhere."""
    found = element(array.schema, array.root) if isinstance(array, Hit) else UNKNOWN
    return found if isinstance(found, Hit) else UNKNOWN


#: By the identity of a tool, for as long as it lives.
_FACTS: dict[int, ToolFacts] = {}


def facts_of(tool: Tool) -> ToolFacts:
    """Return what is known of a tool. A tool never changes, so the answer is kept."""
    key = id(tool)
    found = _FACTS.get(key)
    if found is None:
        found = _FACTS[key] = ToolFacts(tool)
        weakref.finalize(tool, _FACTS.pop, key, None)
    return found


def _remember(memory: dict[Any, Any], key: object, value: Any) -> Any:
    if len(memory) >= _MOST_PATHS:
        memory.clear()
    memory[key] = value
    return value


def output_of(schema: JsonSchema, *, mapped: bool, forgiven: bool) -> Look:
    """Return the schema of a step's output: an array of a mapped step, null of a forgiven one."""
    if not schema or not is_usable(schema):
        return Hit({"type": "array", "items": {}}, {}) if mapped else UNKNOWN
    if mapped:
        return Hit({"type": "array", "items": schema}, schema)
    return Hit({"anyOf": [schema, {"type": "null"}]} if forgiven else schema, schema)


def _fit(source: Source, target: Look) -> Fit:
    look = source.look
    if not isinstance(target, Hit):
        return Fit()
    wanted = type_names(target.schema, target.root)
    takes_null = wanted is None or "null" in wanted
    if not isinstance(look, Hit):
        return Fit(takes_null=takes_null)
    wrong = mismatch(look, target)
    return Fit(wrong, None if wrong else doubt(look, target), takes_null)


def _witness(target: Hit) -> tuple[JsonValue, ...]:
    """Return a value of a schema, in a tuple, if one is easily found."""
    known = plain(target.schema, target.root) or {}
    listed = known.get("enum")
    candidates: list[JsonValue] = [*listed] if isinstance(listed, list) else []
    candidates += [known[word] for word in ("const", "default") if word in known]
    for name in sorted(type_names(target.schema, target.root) or ("string",)):
        candidates += _WITNESSES.get(name, ())
        if name in ("integer", "number"):
            bounds = (known.get(word) for word in ("minimum", "maximum"))
            candidates += [bound for bound in bounds if isinstance(bound, int | float)]
    check = quick_check(_rooted(target))
    return next(((value,) for value in candidates if check(value)), ())


def _rooted(target: Hit) -> JsonSchema:
    """Return a schema with the definitions that its references lead to."""
    if target.root is target.schema:
        return target.schema
    root = target.root
    named: JsonSchema = {word: root[word] for word in ("$defs", "definitions") if word in root}
    return {**named, **target.schema}
