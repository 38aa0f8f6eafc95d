"""Edits of a document: what a repair changes, where, from what into what."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from flowbuilder.strictjson import escape
from flowbuilder.types import JsonObject, JsonValue

Path: TypeAlias = tuple[str | int, ...]
#: A reference to a step, or to what is at a path of its output.
REFERENCE = re.compile(r"\$\{\{ steps\.([A-Za-z_]\w*)((?:\.\w+|\[\d+\])*) \}\}")


class _Absent:
    """Stands for no value at all: before an addition, after a removal."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()


@dataclass(frozen=True, slots=True)
class Edit:
    """One place and what is to stand there; ABSENT takes it out."""

    path: Path
    after: Any
    code: str = ""
    """Of the problem that it mends; set when it is taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What a repair has done to one place of a document."""

    code: str
    """Of the problem that it mends."""
    pointer: str
    before: Any
    """ABSENT where nothing stood."""
    after: Any
    """ABSENT where nothing stands now."""

    def as_json(self) -> JsonObject:
        """Return the change as JSON, without the side that is absent."""
        sides = {"before": self.before, "after": self.after}
        shown = {name: value for name, value in sides.items() if value is not ABSENT}
        return {"code": self.code, "pointer": self.pointer, **shown}


#: What mends one problem: all of these, or none.
Way: TypeAlias = tuple[Edit, ...]


def path_of(pointer: str, document: JsonValue) -> Path:
    """Read a JSON pointer into a document: positions where there are lists."""
    path: list[str | int] = []
    at: Any = document
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        key: str | int = int(name) if isinstance(at, list) and name.isdecimal() else name
        path.append(key)
        at = value_at(at, (key,))
    return tuple(path)


def pointer_of(path: Path) -> str:
    """Write a path as a JSON pointer."""
    return "".join(f"/{escape(str(part))}" for part in path)


def value_at(value: Any, path: Path) -> Any:
    """Return what stands at a path, ABSENT where it leads nowhere."""
    for part in path:
        value = _member(value, part)
    return value


def _member(value: Any, part: str | int) -> Any:
    if isinstance(value, dict):
        return value.get(part, ABSENT)
    if isinstance(value, list) and isinstance(part, int) and 0 <= part < len(value):
        return value[part]
    return ABSENT


def edited(document: JsonValue, edits: Sequence[Edit]) -> JsonValue:
    """Return a document with edits applied in order; what they do not touch is shared."""
    for edit in edits:
        if not edit.path:
            document = edit.after
        elif value_at(document, edit.path[:-1]) is not ABSENT:
            document = _set(document, edit.path, edit.after)
    return document


def _set(value: Any, path: Path, after: Any) -> Any:
    copied = value.copy()
    first = path[0]
    if len(path) > 1:
        copied[first] = _set(copied[first], path[1:], after)
    elif after is ABSENT:
        _take_out(copied, first)
    elif isinstance(copied, list) and isinstance(first, int) and first >= len(copied):
        copied.append(after)
    else:
        copied[first] = after
    return copied


def _take_out(value: Any, part: str | int) -> None:
    if isinstance(value, dict):
        value.pop(part, None)
    elif isinstance(part, int) and part < len(value):
        del value[part]


def renamed(value: JsonObject, old: str, new: str) -> JsonObject:
    """Return an object with a member under another name, in its old place."""
    return {new if key == old else key: item for key, item in value.items()}


def steps_of(document: JsonValue) -> list[tuple[int, JsonObject]]:
    """Return the steps that are objects, with their positions."""
    steps = document.get("steps") if isinstance(document, dict) else None
    listed = steps if isinstance(steps, list) else []
    return [(place, step) for place, step in enumerate(listed) if isinstance(step, dict)]


def texts_in(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield `(path, text)` for every text in a value."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts_in(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts_in(item, (*path, index))


def with_texts(value: JsonValue, change: Callable[[str], str]) -> JsonValue:
    """Return a value with each text inside it changed; the names of fields stay."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [with_texts(item, change) for item in value]
    if isinstance(value, dict):
        return {key: with_texts(item, change) for key, item in value.items()}
    return value


def text_edits(value: JsonValue, path: Path, change: Callable[[str], str]) -> list[Edit]:
    """Return edits for all texts in a value that a function changes."""
    found = []
    for inner, text in texts_in(value):
        new = change(text)
        if new != text:
            found.append(Edit((*path, *inner), new))
    return found
