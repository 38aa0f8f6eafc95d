"""Columns that are set against each other: "a chart of *total* by *weekday*"."""

from __future__ import annotations

import re

from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.lexicon import lexicon, listed, stem, stems
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.slots import Slot, SlotKind

_ACROSS = stems("x label category group key horizontal")
_UP = stems("y value measure amount vertical")
_AGAINST = re.compile(
    r"(?P<value>[A-Za-z_][\w.]*)(?P<by>\s+(?:by|per|over|against|for each|for every|versus|vs)\s+)"
    r"(?:the\s+)?(?P<label>[A-Za-z_][\w.]*)",
    re.IGNORECASE,
)
_NO_COLUMNS = listed("the a an each every all rows them it this that")


def axes(profile: Profile) -> tuple[Slot, Slot] | None:
    """Return the parameters for what is set off and for what is measured, if a tool has both."""
    single = [slot for slot in profile.slots if slot.kind is SlotKind.COLUMN and not slot.many]
    across = [slot for slot in single if slot.stems & _ACROSS]
    up = [slot for slot in single if slot.stems & _UP]
    return (across[0], up[0]) if len(across) == len(up) == 1 and across != up else None


def set_against(
    profile: Profile, clause: Clause
) -> tuple[dict[str, str], list[tuple[int, int]]] | None:
    """Return the columns of both parameters with their places, None unless a clause names both."""
    found = axes(profile)
    if found is None:
        return None
    own = profile.weights
    for match in _AGAINST.finditer(clause.text):
        value, label = match.group("value"), match.group("label")
        plain = "_" not in value and (value.lower() in _NO_COLUMNS or _names(value, own))
        if plain or label.lower() in _NO_COLUMNS:
            continue
        spans = [match.span("value"), match.span("label")]
        places = [(clause.start + start, clause.start + end) for start, end in spans]
        return {found[0].name: label, found[1].name: value}, places
    return None


def _names(word: str, own: dict[str, float]) -> bool:
    """Whether a word is the picture itself: "a chart by weekday"."""
    drawn = stem(word) in own and own[stem(word)] >= 0.9
    return drawn or stem(word) in lexicon().fillers
