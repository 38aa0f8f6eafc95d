"""Names and sentences of strangers, brought into a form that nothing can be smuggled in."""

from __future__ import annotations

import re
import unicodedata

_LONGEST_NAME = 80
_LONGEST_SUMMARY = 300
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def tool_name(text: str) -> str | None:
    """Return a part of a tool's name, None if nothing plain is left; `listPets` is `list_pets`."""
    if not text.isascii() or len(text) > 4 * _LONGEST_NAME:
        return None
    snake = re.sub(r"[^A-Za-z0-9]+", "_", _HUMP.sub("_", text)).strip("_").lower()
    if not snake or len(snake) > _LONGEST_NAME:
        return None
    return f"_{snake}" if snake[0].isdigit() else snake


def one_line(text: object, otherwise: str) -> str:
    """Return the first sentence of a text, as one short line without invisible characters."""
    given = text if isinstance(text, str) else ""
    shown = "".join(
        " " if unicodedata.category(character) in ("Cc", "Zl", "Zp") else character
        for character in given[: 20 * _LONGEST_SUMMARY]
        if unicodedata.category(character) not in ("Cf", "Co", "Cs", "Cn")
    )
    words = " ".join(shown.split())
    sentence = re.split(r"(?<=[.!?]) ", words, maxsplit=1)[0] or otherwise
    if len(sentence) <= _LONGEST_SUMMARY:
        return sentence
    return sentence[: _LONGEST_SUMMARY - 1] + "…"
