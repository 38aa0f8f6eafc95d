"""Arguments by position and tools whose inputs are known by their media only."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from flowbuilder.types import JsonObject, JsonValue

_MEDIA = {
    "image": "jpg|jpeg|png|gif|bmp|tiff|svg|ico|webp",
    "audio": "mp3|wav|wma|ogg|aac|flac|aiff|m4a",
    "video": "mp4|avi|mov|flv|wmv|mkv|webm|m4v|mpg|mpeg",
}
_ENDINGS = {
    kind: re.compile(rf"\.(?:{endings})\b", re.IGNORECASE) for kind, endings in _MEDIA.items()
}
_URL = re.compile(r"https?://", re.IGNORECASE)
#: In a wrapper: the value stood under this key.
_UNDER = "value_key"


@dataclass(frozen=True, slots=True)
class Placed:
    """An argument with the name that it got here."""

    key: str
    value: JsonValue
    wrapper: JsonObject | None
    """The object that it stood in, without the value; None when it stood by itself."""


def place_arguments(
    arguments: Sequence[Any],
    names: Sequence[str],
    media: Sequence[str],
    kind_of_reference: Callable[[str], str | None],
) -> list[Placed]:
    """Give each argument the input that it is for.

    Named arguments of a tool with named inputs keep their names. Where inputs are known by their
    media, an argument takes the first free one of its medium; what is left fills what is left, and
    what is over is called `extra`.

    Args:
        arguments: As the plan has them: values, or objects with `name` and `value`.
        names: The tool's inputs.
        media: Their media, or nothing when they have names of their own.
        kind_of_reference: Tells the medium that a text refers to; None for another text.
    """
    parts = [_unwrapped(argument) for argument in arguments]
    free = list(names)
    keys: list[str | None] = [None] * len(parts)
    for place, (value, wrapper) in enumerate(parts):
        wanted = _wanted(value, wrapper, dict(zip(names, media, strict=False)), kind_of_reference)
        key = next((name for name in wanted if name in free or name not in names), None)
        if key is not None and key not in keys:
            keys[place] = key
            free = [name for name in free if name != key]
    taken = {key for key in keys if key is not None}
    placed = []
    for key, (value, wrapper) in zip(keys, parts, strict=True):
        if key is None:
            key = free.pop(0) if free else _spare(taken)
            taken.add(key)
        placed.append(Placed(key, value, wrapper))
    return placed


def wrapped(values: Sequence[JsonValue], wrappers: Sequence[JsonObject | None]) -> list[JsonValue]:
    """Return arguments as they stood in the plan."""
    if not wrappers:
        return list(values)
    listed: list[JsonValue] = []
    for value, wrapper in zip(values, wrappers, strict=True):
        if wrapper is None:
            listed.append(value)
        else:
            others = {key: part for key, part in wrapper.items() if key != _UNDER}
            listed.append({**others, str(wrapper.get(_UNDER, "value")): value})
    return listed


def _unwrapped(argument: Any) -> tuple[JsonValue, JsonObject | None]:
    if isinstance(argument, dict) and _UNDER not in argument:
        if "value" in argument:
            others = {key: part for key, part in argument.items() if key != "value"}
            return argument["value"], others
        if "name" in argument:
            others = {key: part for key, part in argument.items() if key != "name"}
            return argument["name"], {**others, _UNDER: "name"}
    return argument, None


def _wanted(
    value: JsonValue,
    wrapper: JsonObject | None,
    media: dict[str, str],
    kind_of_reference: Callable[[str], str | None],
) -> list[str]:
    """Return the inputs that an argument could be for, the best first."""
    if not media:
        name = (wrapper or {}).get("name")
        return [name] if isinstance(name, str) and _UNDER not in (wrapper or {}) else []
    if not isinstance(value, str):
        return []
    kind = kind_of_reference(value) or _kind(value)
    return [name for name, medium in media.items() if medium == kind]


def _kind(text: str) -> str:
    for kind, ending in _ENDINGS.items():
        if ending.search(text):
            return kind
    return "url" if _URL.match(text) else "text"


def _spare(taken: set[str]) -> str:
    name, number = "extra", 1
    while name in taken:
        number += 1
        name = f"extra_{number}"
    return name
