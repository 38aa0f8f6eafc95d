"""The parts that a goal itself is written in: paragraphs, points of a list, sentences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_POINT = re.compile(r"[ \t]*(?:\d{1,3}[.)]|[-*•–]|\(?[a-z]\)|[Ss]tep \d{1,3}[.:)]?)[ \t]+")
_BREAK = re.compile(r"\n[ \t]*(?=\n)|\n(?=" + _POINT.pattern + ")")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z0-9\"“'`])")


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A part of a goal's text, by its characters."""

    start: int
    end: int
    text: str


def sections(goal: str) -> list[Section]:
    """Return the paragraphs and points of a goal; its sentences where it has only one of these."""
    found = _cut(goal, [match.end() for match in _BREAK.finditer(goal)])
    if len(found) > 1:
        return found
    return _cut(goal, [match.end() for match in _SENTENCE.finditer(goal)])


def section_at(found: Sequence[Section], place: int) -> int:
    """Return the number of the section that a character stands in."""
    return max((number for number, item in enumerate(found) if item.start <= place), default=0)


def _cut(goal: str, places: list[int]) -> list[Section]:
    ends = [*places, len(goal)]
    parts = [(start, end) for start, end in zip([0, *places], ends, strict=True)]
    return [
        Section(start=start, end=end, text=" ".join(_without_mark(goal[start:end]).split()))
        for start, end in parts
        if goal[start:end].strip()
    ]


def _without_mark(text: str) -> str:
    """Return the text of a point without its number or dash."""
    mark = _POINT.match(text)
    return text[mark.end() :] if mark else text
