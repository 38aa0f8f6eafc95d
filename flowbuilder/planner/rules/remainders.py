"""Last resort for required parameters: what nothing else in the clause has used up."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.fitting import as_phrase, as_value
from flowbuilder.planner.rules.instructions import is_instruction
from flowbuilder.planner.rules.lexicon import lexicon, listed, name_words, stem, stems
from flowbuilder.planner.rules.literals import Kind
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.phrases import (
    Candidate,
    is_reference,
    literal_candidates,
    phrase_candidates,
)
from flowbuilder.planner.rules.slots import Slot, SlotKind
from flowbuilder.tools import HARMLESS

_MOMENTS = frozenset({Kind.DATE, Kind.TIME, Kind.DURATION})
_COUNTED = frozenset({Kind.NUMBER, Kind.MONEY, Kind.PERCENT, Kind.DURATION})
_WORDS = frozenset({Kind.QUOTED, Kind.IDENTIFIER, Kind.DOTTED, Kind.NUMBER, Kind.LANGUAGE})
_TAKES: dict[SlotKind, frozenset[Kind]] = {
    SlotKind.DATE: _MOMENTS, SlotKind.TIME: _MOMENTS, SlotKind.SPAN: _COUNTED,
    SlotKind.NUMBER: _COUNTED, SlotKind.CODE: _WORDS, SlotKind.NAME: _WORDS - {Kind.NUMBER},
    SlotKind.TITLE: _WORDS, SlotKind.TEXT: _WORDS - {Kind.NUMBER}, SlotKind.QUERY: _WORDS,
    SlotKind.PLACE: _WORDS - {Kind.NUMBER}, SlotKind.COLUMN: _WORDS - {Kind.NUMBER},
    SlotKind.JSON_PATH: _WORDS,
}  # fmt: skip
_PHRASED = frozenset(
    {SlotKind.CODE, SlotKind.NAME, SlotKind.TITLE, SlotKind.TEXT, SlotKind.QUERY, SlotKind.PLACE,
     SlotKind.COLUMN, SlotKind.JSON_PATH, SlotKind.LANGUAGE}
)  # fmt: skip
_KEYS = frozenset({SlotKind.CODE, SlotKind.COLUMN, SlotKind.NAME})
#: What a named file is loaded for.
_LOADED = frozenset({SlotKind.TEXT, SlotKind.RECORDS, SlotKind.ANY, SlotKind.PATH})
_CONTENTS = stems("content data payload value link")
_FOLDERS = stems("folder directory dir")
_NOBODY = listed("me us you him her them it one somebody someone everyone everybody")


def take_remains(profile: Profile, clause: Clause, binding: Binding) -> None:
    """Fill required parameters that nothing pointed at with what is left of the clause."""
    for slot in profile.slots:
        if slot.name in binding.args or not slot.required or is_instruction(slot):
            continue
        if slot.kind is SlotKind.TEXT and "unit" in slot.stems and "to" not in slot.stems:
            _bind_unit(slot, clause, binding)
            continue
        item = _literal(slot, profile, clause, binding) or _phrase(slot, profile, clause, binding)
        if item is None:
            continue
        value: Any = as_value(slot, item) if item.kind else as_phrase(slot, item.text)
        if value is None:
            continue
        binding.args[slot.name] = [value] if slot.many else value
        binding.used.append((item.start, item.end))
        binding.guessed.append(slot)
        binding.doubts.append(f"{slot.name} was taken from its words: {item.text!r}")


def _bind_unit(slot: Slot, clause: Clause, binding: Binding) -> None:
    """Take the word after the number that is measured: "100 *pounds* into kilograms"."""
    found = _MEASURED.search(clause.text)
    if found is not None:
        start = clause.start + found.start("unit")
        binding.args[slot.name] = found.group("unit")
        binding.used.append((start, start + len(found.group("unit"))))


_MEASURED = re.compile(r"\d\s*(?P<unit>(?!to\b|in\b|into\b)[A-Za-z°]+)")


def _literal(slot: Slot, profile: Profile, clause: Clause, binding: Binding) -> Candidate | None:
    wanted = _TAKES.get(slot.kind, frozenset())
    if slot.kind in _KEYS and not any(other.kind in _LOADED for other in profile.slots):
        wanted |= {Kind.PATH}  # the name of an object in a store
    if _holds_anything(slot, profile):
        wanted |= {Kind.URL, Kind.EMAIL, Kind.PHONE}
    free = (item for item in literal_candidates(clause) if not _used(item, binding.used))
    return next((item for item in free if item.kind in wanted), None)


def _holds_anything(slot: Slot, profile: Profile) -> bool:
    """Whether what is made of an address is about the address: a code for it, a label with it.

    What reads or stores a content is given the page behind the address instead.
    """
    stores = any(other.kind is SlotKind.PATH for other in profile.slots)
    reads = profile.tool.effects in HARMLESS
    return bool(slot.stems & _CONTENTS) and not (stores or reads)


def _phrase(slot: Slot, profile: Profile, clause: Clause, binding: Binding) -> Candidate | None:
    """Return the phrase that says most: a name where one is wanted, else the longest."""
    folder = slot.kind is SlotKind.PATH and bool(slot.stems & _FOLDERS)
    loads = any(item.kind in (Kind.PATH, Kind.URL) for item in clause.literals)
    if not (slot.kind in _PHRASED or folder):
        return None
    if loads and slot.kind is not SlotKind.COLUMN and not folder:
        return None
    own = {stem(part) for part in name_words(profile.tool.name)}
    own |= {word for other in profile.slots for word in other.stems}
    fitting = [
        item
        for item in phrase_candidates(clause, binding.used)
        if not is_reference(item.text)
        and not _led_elsewhere(slot, item)
        and item.lead != "because…"
        and not all(_says_little(word, own) for word in item.text.split())
    ]
    if slot.kind is SlotKind.COLUMN:  # in the order in which they are said
        return min(fitting, key=lambda item: item.start, default=None)
    named = slot.kind in (SlotKind.NAME, SlotKind.PLACE)
    return max(
        fitting,
        key=lambda item: (
            named and item.proper,
            not any(stem(word) in own for word in item.text.split()),
            item.lead in ("object", "about…", "that…"),
            len(item.text),
        ),
        default=None,
    )


def _led_elsewhere(slot: Slot, item: Candidate) -> bool:
    """Whether "into kilograms" is offered to where something comes from, or the other way round."""
    if "from" in slot.stems or "sourc" in slot.stems:
        return item.lead in ("to", "into", "in", "as")
    if slot.stems & {"to", "target"}:
        return item.lead in ("from", "of")
    return False


def _says_little(word: str, own: set[str]) -> bool:
    if word.lower() in _NOBODY or not word[:1].isalnum():
        return True
    return word.islower() and (stem(word) in own or stem(word) in lexicon().fillers)


def _used(item: Candidate, spans: Sequence[tuple[int, int]]) -> bool:
    return any(start <= item.start < end for start, end in spans)
