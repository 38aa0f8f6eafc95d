"""References in texts: from what another format writes to `${{ … }}`, and back."""

from __future__ import annotations

import re
from collections.abc import Callable

from flowbuilder.evals.importers.records import BadRecord
from flowbuilder.references import CLOSE, ESCAPED, OPEN, Reference, parse
from flowbuilder.types import JsonValue

_PLAIN = re.compile(r"[\w-]+")
#: Without any of these in it, a segment can be quoted.
_QUOTES = ("'", '"')


def written(step: str, path: tuple[str | int, ...] = ()) -> str:
    """Return the reference to a step's output, or to a part of it, as a text.

    Raises:
        ValueError: A segment of the path cannot be written (it holds both quotes, or `}}`).
    """
    return f"{OPEN} steps.{step}{''.join(map(_segment, path))} {CLOSE}"


def escaped(text: str) -> str:
    """Return a text that means itself, also where it looks like a reference."""
    return text.replace(OPEN, ESCAPED)


def with_references(
    text: str, pattern: re.Pattern[str], replace: Callable[[re.Match[str]], str | None]
) -> str:
    """Return a text with each match replaced; what is left, None for a match too, is escaped.

    Raises:
        BadRecord: A `$` stands right before a reference: the two together mean no reference.
    """
    parts, at = [], 0
    for match in pattern.finditer(text):
        new = replace(match)
        if new is not None:
            before = text[at : match.start()]
            if before.endswith("$"):
                raise BadRecord(f"{text[:60]!r} has a $ right before a reference")
            parts += [escaped(before), new]
            at = match.end()
    return "".join([*parts, escaped(text[at:])])


def without_references(text: str, name: Callable[[Reference], str]) -> str:
    """Return a text with each reference written as another format writes it.

    Raises:
        ReferenceSyntax: The text holds something that is no reference and looks like one.
    """
    if OPEN not in text:
        return text
    return "".join(part if isinstance(part, str) else name(part) for part in parse(text).parts)


def in_texts(value: JsonValue, change: Callable[[str], str]) -> JsonValue:
    """Return a JSON value with every text in it changed; keys are left alone."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [in_texts(item, change) for item in value]
    if isinstance(value, dict):
        return {key: in_texts(item, change) for key, item in value.items()}
    return value


def _segment(part: str | int) -> str:
    if isinstance(part, int):
        return f"[{part}]"
    if _PLAIN.fullmatch(part):
        return f".{part}"
    quote = next((sign for sign in _QUOTES if sign not in part), None)
    if quote is None or CLOSE in part:
        raise ValueError(f"{part[:60]!r} cannot be a part of a reference")
    return f"[{quote}{part}{quote}]"
