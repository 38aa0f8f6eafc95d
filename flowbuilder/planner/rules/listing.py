"""Values and names that a clause lists: "Paris, Rome and Oslo", "a@b.c and d@e.f"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.literals import Kind
from flowbuilder.planner.rules.phrases import PREPOSITION, Candidate
from flowbuilder.planner.rules.slots import Slot, SlotKind

_LISTABLE = frozenset({Kind.PATH, Kind.URL, Kind.EMAIL, Kind.PHONE})


def stand_together(
    item: Candidate,
    other: Candidate,
    candidates: Sequence[Candidate],
    clause: Clause,
    *,
    many: bool,
) -> bool:
    """Whether two addresses or paths are joined by nothing but commas and "and"."""
    if item.kind not in _LISTABLE and not many:
        return False
    first, last = sorted((item, other), key=lambda one: one.start)
    between = clause.text[first.end - clause.start : last.start - clause.start]
    for inner in candidates:
        if inner.kind is item.kind and first.end <= inner.start and inner.end <= last.start:
            between = between.replace(inner.text, "")
    return (
        re.fullmatch(r"(?:[\s,;&]|\band\b|\bor\b|\bas well as\b|\bplus\b)+", between, re.I)
        is not None
    )


_MORE_NAMES = re.compile(
    r"(?:\s*,\s*(?:and\s+)?|\s+and\s+)(?P<name>[A-ZÀ-Þ][\w'’-]*(?:\s+[A-ZÀ-Þ][\w'’-]*)*)"
)


def list_names(slot: Slot, item: Candidate, clause: Clause, binding: Binding) -> None:
    """Take in the rest of a list of names: "in Paris, Rome and Oslo"."""
    if not item.proper or slot.kind not in (SlotKind.PLACE, SlotKind.NAME, SlotKind.CODE):
        return
    names: list[Any] = [item.value]
    first = place = item.end - clause.start
    while match := _MORE_NAMES.match(clause.text, place):
        names.append(match.group("name"))
        binding.used.append((clause.start + match.start("name"), clause.start + match.end()))
        place = match.end()
    if not re.search(r"\b(?:and|or)\b", clause.text[first:place]):
        if slot.kind is SlotKind.PLACE and len(names) > 1:  # one place: "Seattle, Washington"
            binding.args[slot.name] = f"{item.text}{clause.text[first:place]}"
        return
    if slot.many:
        binding.args[slot.name] = names
    elif slot.required:
        binding.repeats[slot.name] = names


_BARE = rf"(?!(?:{PREPOSITION}|and|or|but)\b)[\w'’-]+"
_MORE_THINGS = re.compile(
    rf"(?:\s*,\s*(?:and\s+)?|\s+and\s+)(?P<name>{_BARE}(?:\s+{_BARE}){{0,3}})"
    rf"(?=\s*$|\s*[,.;!?]|\s+(?:{PREPOSITION}|and)\b)",
    re.IGNORECASE,
)


def list_things(slot: Slot, item: Candidate, clause: Clause, binding: Binding) -> None:
    """Take in the rest of a list of plain nouns: "milk, bread and butter"."""
    if item.proper or item.kind is not None or not (slot.many or slot.kind is SlotKind.NAME):
        return
    names: list[Any] = [item.text]
    spans = []
    first = place = item.end - clause.start
    while match := _MORE_THINGS.match(clause.text, place):
        names.append(match.group("name"))
        spans.append((clause.start + match.start("name"), clause.start + match.end()))
        place = match.end()
    if len(names) < 2 or not re.search(r"\band\b", clause.text[first:place]):
        return
    binding.used += spans
    if slot.many:
        binding.args[slot.name] = names
    elif slot.required:
        binding.repeats[slot.name] = names
