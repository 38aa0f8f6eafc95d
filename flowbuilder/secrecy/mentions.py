"""`secret://name` in texts: finding the names, and putting values in their places."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator

from flowbuilder.secrecy.binding import NAME_PATTERN
from flowbuilder.types import JsonValue

PREFIX = "secret://"
_MENTION = re.compile(rf"secret://({NAME_PATTERN})")


def mentioned(value: JsonValue) -> Iterator[str]:
    """Yield the name of every secret that a value's texts refer to, keys of objects included."""
    if isinstance(value, str):
        yield from (match[1] for match in _MENTION.finditer(value))
    elif isinstance(value, list):
        for item in value:
            yield from mentioned(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from mentioned(key)
            yield from mentioned(item)


def sole_mention(text: str) -> str | None:
    """Return the name if a text is one reference and nothing else."""
    match = _MENTION.fullmatch(text)
    return match[1] if match else None


async def fill(text: str, reveal: Callable[[str], Awaitable[str]]) -> str:
    """Return a text with the value of every secret in its place.

    Raises:
        What `reveal` raises for a name.
    """
    pieces: list[str] = []
    end = 0
    for match in _MENTION.finditer(text):
        pieces += [text[end : match.start()], await reveal(match[1])]
        end = match.end()
    return "".join([*pieces, text[end:]])
