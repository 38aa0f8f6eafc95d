"""Conditions in the spelling of other languages."""

from __future__ import annotations

import re
from collections.abc import Iterator

from flowbuilder.repair.desk import Desk, Mending
from flowbuilder.repair.edits import Edit

_WRAPPED = re.compile(r"\$?\{\{\s*([^{}]*?)\s*\}\}")
_QUOTED = re.compile(r"(\"[^\"]*\"|'[^']*')")
_WORDS = (
    (re.compile(r"\band\b", re.IGNORECASE), "&&"),
    (re.compile(r"\bor\b", re.IGNORECASE), "||"),
    (re.compile(r"\bnot\s+(?!in\b)", re.IGNORECASE), "!"),
    (re.compile(r"\bTrue\b"), "true"),
    (re.compile(r"\bFalse\b"), "false"),
    (re.compile(r"\b(?:None|NULL|nil|undefined)\b"), "null"),
    (re.compile(r"([=!])=="), r"\1="),
    (re.compile(r"(?<![=!<>])=(?!=)"), "=="),
    (re.compile(r"<>"), "!="),
    (re.compile(r"\b(?:len|length|count)\s*\("), "size("),
    (re.compile(r"\.length\b(?!\s*\()"), ".size()"),
    (re.compile(r"\binputs\."), "input."),
)


def mend(desk: Desk) -> Iterator[Mending]:
    """Write a condition as CEL."""
    for problem in desk.errors:
        if not problem.pointer.endswith("/when"):
            continue
        for _, path, text in desk.of(problem.code):
            if path[-1] != "when" or not isinstance(text, str):
                continue
            mended = _as_cel(text, desk)
            if mended != text:
                yield Mending(problem.code, ((Edit(path, mended),),))


def _as_cel(text: str, desk: Desk) -> str:
    bare = _WRAPPED.sub(r"\1", text)
    parts = _QUOTED.split(bare)
    return "".join(part if place % 2 else _code(part, desk) for place, part in enumerate(parts))


def _code(part: str, desk: Desk) -> str:
    for pattern, new in _WORDS:
        part = pattern.sub(new, part)
    for name in desk.places:
        part = re.sub(rf"(?<![\w.]){re.escape(name)}(?=\.)", f"steps.{name}", part)
    return part
