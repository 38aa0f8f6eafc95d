"""Where a masked goal is really broken: wrapped lines, "for each …", conditions without a comma."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from flowbuilder.planner.rules.qualifiers import Qualifier, QualifierKind

#: Whether a clause starts at a place of the masked text, looking no further than another.
Starts = Callable[[str, int, int], bool]
#: A mark at which a sentence ends; put where the goal has a blank.
BREAK = "•"
_WRAPPED = re.compile(r"(?<![\n.!?;:])\r?\n(?![ \t\r]*(?:\n|[-*•–—]|\d+[.)]|$))")
_JOINS = re.compile(r"(?:,|\b(?:and|but|or|then|also|plus))[ \t]*$", re.IGNORECASE)
_EACH_LEAD = re.compile(
    r"(?P<join>^|[.!?;:\n]\s*|,\s*(?:(?:and|but)\b)?,?\s*|\s+(?:and|but)\b,?\s*"
    r"|\bthen,?\s+)(?P<each>for (?:each|every) [a-z]+(?: [a-z]+)?)(?P<gap>,?\s)",
    re.IGNORECASE,
)
_NEAR_VERB = re.compile(r"\s+(?:it|them|this|that|these|those|the|a|an|all)\b|\s+\x01", re.I)
_NO_VERB_AFTER = re.compile(
    r"\b(?:to|i|you|we|they|it|that|which|who|can|could|should|must|will|would|not|the|a|an|is|are"
    r"|if|when|unless|whenever|case)\s+$",
    re.IGNORECASE,
)
_ORDER = re.compile(
    r"\b(?:then|after that|afterwards?|thereafter|subsequently|after which|following that|finally"
    r"|lastly|next|once|when|before|second(?:ly)?|third(?:ly)?)\b|(?:^|\s)\d+[.)](?:\s|$)",
    re.IGNORECASE,
)


def orders(gap: str) -> bool:
    """Whether the words between two clauses say that the second comes later: "and then"."""
    return _ORDER.search(gap) is not None


def unwrapped(masked: str, starts: Starts) -> str:
    """Return the text with the line breaks inside a clause as blanks, its length unchanged."""

    def joined(match: re.Match[str]) -> str:
        end = masked.find("\n", match.end())
        own = starts(masked, match.end(), len(masked) if end < 0 else end)
        held = _JOINS.search(masked[: match.start()]) is not None
        return match.group() if own and not held else " " * len(match.group())

    return _WRAPPED.sub(joined, masked)


def each_apart(masked: str, starts: Starts) -> str:
    """Return the text with "for each X do …" a clause of its own, its length unchanged."""
    parts = list(masked)
    place = 0
    while match := _EACH_LEAD.search(masked, place):
        place = match.end("each")
        begin = match.end("gap")
        if not starts(masked, begin, len(masked)):
            shorter = masked.rfind(" ", match.start("each") + 9, match.end("each"))
            if shorter < 0 or not starts(masked, shorter + 1, len(masked)):
                continue
            begin = shorter + 1
        parts[begin - 1] = BREAK
        _end_before(parts, match)
    return "".join(parts)


def _end_before(parts: list[str], match: re.Match[str]) -> None:
    """End the clause before "for each"; an order word that joins the two stays."""
    join = match.group("join")
    if join and not re.search(r"then|[.!?;:\n]", join, re.IGNORECASE):
        width = match.end("join") - match.start("join")
        parts[match.start("join") : match.end("join")] = [BREAK, *" " * (width - 1)]


def conditions_cut(masked: str, found: list[Qualifier], starts: Starts) -> list[Qualifier]:
    """End each condition where an order to do something begins: "if there are any save them"."""
    return [
        _cut(masked, item, starts) if item.kind is QualifierKind.CONDITION else item
        for item in found
    ]


def _cut(masked: str, item: Qualifier, starts: Starts) -> Qualifier:
    for word in re.finditer(r"[A-Za-z]+", masked[item.start : item.end]):
        place = item.start + word.start()
        if (
            _NEAR_VERB.match(masked, item.start + word.end())
            and not _NO_VERB_AFTER.search(masked[item.start : place])
            and len(masked[item.start : place].split()) > 2
            and starts(masked, place, len(masked))
        ):
            return replace(item, text=masked[item.start : place], end=place, leading=True)
    return item
