"""References: `${{ steps.fetch.items[0].name }}` inside arguments.

A reference is a path, never code: a root (`input`, `steps.<id>`, `item`, `index`, `run`) and then
names and positions. A text that is exactly one reference keeps the value's type; inside a longer
text it is written in. `$${{` stands for a literal `${{`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import orjson

from flowbuilder.errors import InvalidValue
from flowbuilder.strictjson import escape
from flowbuilder.types import JsonValue

OPEN, CLOSE, ESCAPED = "${{", "}}", "$${{"
ROOTS = ("input", "steps", "item", "index", "run")
#: Longer than any sensible path.
LONGEST_REFERENCE = 500
#: References in one text.
MOST_REFERENCES = 1000
#: Longer texts are parsed each time: they would fill the memory of the cache.
_LONGEST_CACHED = 2000
_NAME = re.compile(r"[\w-]+")
#: Nearly every path; possessive, so that it takes linear time.
_NAMES = re.compile(r"[\w-]++(?:\.[\w-]++)*+")
#: Characters of a text that references are written into. A text of many references to something
#: large would otherwise take any amount of memory.
LONGEST_TEXT = 8 * 1_048_576


class ReferenceSyntax(InvalidValue):
    """A text holds something that looks like a reference and is none."""

    default_code = "reference_syntax"


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed path. For the root `steps`, `step` is the step's id and `path` starts behind it."""

    root: str
    path: tuple[str | int, ...]
    raw: str
    step: str | None = None

    def __str__(self) -> str:
        return f"{OPEN} {self.raw} {CLOSE}"


@dataclass(frozen=True, slots=True)
class Template:
    """A parsed text: literal parts and references in turn."""

    parts: tuple[str | Reference, ...]

    @property
    def exact(self) -> Reference | None:
        """The reference, when the text is one and nothing else."""
        if len(self.parts) == 1 and isinstance(self.parts[0], Reference):
            return self.parts[0]
        return None

    @property
    def references(self) -> tuple[Reference, ...]:
        """All references in order."""
        return tuple(part for part in self.parts if isinstance(part, Reference))


@dataclass(frozen=True, slots=True)
class Found:
    """A reference and where it stands."""

    reference: Reference
    pointer: str
    exact: bool
    """Whether the text is this one reference, so that its type is kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What references are resolved against while a task runs."""

    input: JsonValue = None
    steps: Mapping[str, JsonValue]
    """Outputs by step id."""
    run: Mapping[str, JsonValue]
    item: JsonValue = None
    index: int | None = None
    skipped: frozenset[str] = frozenset()
    """Steps without an output; every path into one gives null."""


def parse(text: str) -> Template:
    """Split a text into literal parts and references.

    Raises:
        ReferenceSyntax: A reference is not closed, or is no path (reference_syntax), or starts
            with an unknown root (reference_root).
    """
    return _parse_known(text) if len(text) <= _LONGEST_CACHED else _parse(text)


@lru_cache(maxsize=4096)
def _parse_known(text: str) -> Template:
    return _parse(text)


def _parse(text: str) -> Template:
    parts: list[str | Reference] = []
    literal = ""
    at = found = 0
    while (start := text.find(OPEN, at)) >= 0:
        if start > at and text[start - 1] == "$":
            literal += text[at : start - 1] + OPEN
            at = start + len(OPEN)
            continue
        end = text.find(CLOSE, start)
        if end < 0:
            raise ReferenceSyntax(f"the reference at character {start + 1} is not closed with }}}}")
        literal += text[at:start]
        if literal:
            parts.append(literal)
            literal = ""
        found += 1
        if found > MOST_REFERENCES:
            raise ReferenceSyntax(f"a text holds at most {MOST_REFERENCES} references")
        parts.append(_path(text[start + len(OPEN) : end].strip()))
        at = end + len(CLOSE)
    literal += text[at:]
    if literal or not parts:
        parts.append(literal)
    return Template(tuple(parts))


def find(value: JsonValue, pointer: str = "") -> list[Found]:
    """Return every reference in a JSON value, in order, with its pointer.

    Raises:
        ReferenceSyntax: As `parse`, with the pointer of the text.
    """
    found: list[Found] = []
    for where, text in texts(value, pointer):
        try:
            template = parse(text)
        except ReferenceSyntax as error:
            raise ReferenceSyntax(error.message, pointer=where, code=error.code) from None
        exact = template.exact is not None
        found += [Found(reference, where, exact) for reference in template.references]
    return found


def texts(value: JsonValue, pointer: str = "") -> Iterator[tuple[str, str]]:
    """Yield `(pointer, text)` for every text in a JSON value that may hold a reference."""
    if isinstance(value, str):
        if OPEN in value:
            yield pointer, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts(item, f"{pointer}/{escape(key)}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts(item, f"{pointer}/{index}")


def step_ids(value: JsonValue) -> set[str]:
    """Return the ids of the steps that a value refers to. Raises: ReferenceSyntax."""
    return {found.reference.step for found in find(value) if found.reference.step is not None}


def resolve(value: JsonValue, scope: Scope, pointer: str = "") -> JsonValue:
    """Return the value with every reference replaced by what it refers to.

    Raises:
        ReferenceSyntax: As `parse`.
        InvalidValue: A path leads nowhere or names `item` outside a map (reference_missing), or
            a text grows too long (json_size).
    """
    if isinstance(value, str):
        return _resolve_text(value, scope, pointer) if OPEN in value else value
    if isinstance(value, dict):
        return {
            key: resolve(item, scope, f"{pointer}/{escape(key)}") for key, item in value.items()
        }
    if isinstance(value, list):
        return [resolve(item, scope, f"{pointer}/{index}") for index, item in enumerate(value)]
    return value


def look_up(reference: Reference, scope: Scope, pointer: str = "") -> JsonValue:
    """Return what a reference refers to. Raises: InvalidValue (reference_missing)."""
    if reference.step is not None:
        if reference.step in scope.skipped:
            return None
        if reference.step not in scope.steps:
            raise _missing(reference, f"step {reference.step} has no output here", pointer)
        value = scope.steps[reference.step]
    elif reference.root == "input":
        value = scope.input
    elif reference.root == "run":
        value = dict(scope.run)
    elif scope.index is None:
        raise _missing(reference, "only a step with for_each has an item", pointer)
    else:
        value = scope.item if reference.root == "item" else scope.index
    for part in reference.path:
        value = _member(value, part, reference, pointer)
    return value


def plain_path(reference: Reference) -> list[str]:
    """Return the path as PostgreSQL takes it: positions as text."""
    return [str(part) for part in reference.path]


def as_text(value: JsonValue) -> str:
    """Write a value into a text: text as it is, everything else as compact JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _resolve_text(text: str, scope: Scope, pointer: str) -> JsonValue:
    template = parse(text)
    if template.exact is not None:
        return look_up(template.exact, scope, pointer)
    written: list[str] = []
    room = LONGEST_TEXT
    for part in template.parts:
        written.append(part if isinstance(part, str) else as_text(look_up(part, scope, pointer)))
        room -= len(written[-1])
        if room < 0:
            raise InvalidValue(
                f"the text with its references written in has more than {LONGEST_TEXT} characters",
                code="json_size",
                pointer=pointer,
            )
    return "".join(written)


def _member(value: JsonValue, part: str | int, reference: Reference, pointer: str) -> JsonValue:
    if isinstance(part, int):
        if isinstance(value, list) and part < len(value):
            return value[part]
        there = f"a list of {len(value)}" if isinstance(value, list) else _kind(value)
        raise _missing(reference, f"[{part}] of {there} does not exist", pointer)
    if isinstance(value, dict):
        if part in value:
            return value[part]
        names = ", ".join(sorted(value)[:12]) or "nothing"
        raise _missing(reference, f"there is no {part!r}; there is {names}", pointer)
    raise _missing(reference, f"{part!r} of {_kind(value)} does not exist", pointer)


def _kind(value: JsonValue) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a text", list: "a list"}
    return names.get(type(value), "an object")


def _missing(reference: Reference, why: str, pointer: str) -> InvalidValue:
    return InvalidValue(
        f"{reference} leads nowhere: {why}", code="reference_missing", pointer=pointer
    )


def _path(text: str) -> Reference:
    if not text or len(text) > LONGEST_REFERENCE:
        raise ReferenceSyntax("a reference names a path such as steps.fetch.items[0]")
    parts = _segments(text)
    root = parts[0]
    if root not in ROOTS:
        raise ReferenceSyntax(
            f"a reference starts with {', '.join(ROOTS)}, not {str(root)[:60]!r}",
            code="reference_root",
        )
    if root == "steps":
        if len(parts) < 2 or not isinstance(parts[1], str):
            raise ReferenceSyntax("write steps.<id>, and then what you need of its output")
        return Reference("steps", tuple(parts[2:]), text, parts[1])
    if root == "index" and len(parts) > 1:
        raise ReferenceSyntax("index is a number and has no members")
    return Reference(str(root), tuple(parts[1:]), text)


def _segments(text: str) -> Sequence[str | int]:
    """Split `a.b[0]["c d"]` into its segments, in one pass."""
    if _NAMES.fullmatch(text):
        return text.split(".")
    name, at = _name(text, 0)
    parts: list[str | int] = [name]
    while at < len(text):
        if text[at] == ".":
            name, at = _name(text, at + 1)
            parts.append(name)
        elif text[at] == "[":
            part, at = _bracket(text, at + 1)
            parts.append(part)
        else:
            raise ReferenceSyntax(
                f"{text[:60]!r}: a path has no {text[at]!r} at character {at + 1}; "
                "it is names, dots and [positions], never code"
            )
    return parts


def _name(text: str, at: int) -> tuple[str, int]:
    found = _NAME.match(text, at)
    if found is None:
        raise ReferenceSyntax(f"{text[:60]!r}: a name is missing at character {at + 1}")
    return found[0], found.end()


def _bracket(text: str, at: int) -> tuple[str | int, int]:
    if at < len(text) and text[at] in "\"'":
        end = text.find(text[at], at + 1)
        if end > at and text[end + 1 : end + 2] == "]":
            return text[at + 1 : end], end + 2
    else:
        end = text.find("]", at)
        digits = text[at:end] if end > at else ""
        if digits.isascii() and digits.isdigit() and len(digits) <= 9:
            return int(digits), end + 1
    raise ReferenceSyntax(f'{text[:60]!r}: write [0] or ["a name"] at character {at}')
