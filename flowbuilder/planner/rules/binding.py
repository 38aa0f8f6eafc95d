"""Fill a tool's parameters from a clause and from what earlier steps give."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from flowbuilder.planner.rules.clauses import Clause
from flowbuilder.planner.rules.fitting import (
    ENOUGH,
    as_phrase,
    as_value,
    fit,
    option_for,
    phrase_fit,
)
from flowbuilder.planner.rules.instructions import instruct, instructs, is_instruction
from flowbuilder.planner.rules.lexicon import lexicon, listed
from flowbuilder.planner.rules.literals import Kind
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.outputs import StepDraft, referenced, sources
from flowbuilder.planner.rules.phrases import (
    Candidate,
    joined_times,
    literal_candidates,
    phrase_candidates,
)
from flowbuilder.planner.rules.slots import Slot, SlotKind
from flowbuilder.planner.rules.table_arguments import table_arguments

_CONTENT = frozenset({SlotKind.TEXT, SlotKind.ANY, SlotKind.RECORDS, SlotKind.OBJECT})
_WORDED = frozenset({SlotKind.QUERY, SlotKind.PLACE, SlotKind.NAME, SlotKind.TITLE, SlotKind.CODE})
#: Optional text parameters that carry what is sent or shown, so that they are worth a reference.
_CARRIERS = listed("body text message content data value json description records")


@dataclass
class Binding:
    """The arguments of one step, and how they came about."""

    args: dict[str, Any] = field(default_factory=dict)
    used: list[tuple[int, int]] = field(default_factory=list)
    missing: list[Slot] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    computed: dict[str, str] = field(default_factory=dict)
    repeats: dict[str, list[Any]] = field(default_factory=dict)
    """Several literals for a parameter that takes one: a step for each."""
    refers: bool = False
    """An argument refers to an earlier step."""


def bind(profile: Profile, clause: Clause, steps: list[StepDraft]) -> Binding:
    """Fill the parameters of a tool; what cannot be filled is listed as missing."""
    moments = [slot for slot in profile.slots if slot.kind in (SlotKind.DATE, SlotKind.TIME)]
    if len(moments) == 1:
        clause = joined_times(clause)
    table = table_arguments(profile, clause, steps)
    binding = Binding(
        args=dict(table.values), used=list(table.used), doubts=list(table.doubts),
        notes=list(table.notes), computed=table.computed,
    )  # fmt: skip
    if not instructs(profile):
        _bind_literals(profile, clause, binding)
    _bind_options(profile, clause, binding)
    _bind_references(profile, clause, steps, binding, optional=False)
    _bind_phrases(profile, clause, binding)
    _bind_references(profile, clause, steps, binding, optional=True)
    instructed, refers = instruct(profile, clause, steps, binding.args)
    if instructed:
        binding.args |= instructed
        binding.refers = binding.refers or refers
    if instructs(profile):
        binding.used.append((clause.start, clause.end))
    if "on" in table.values:  # a column that both sides share is not told once more for each
        binding.args.pop("left_on", None)
        binding.args.pop("right_on", None)
    binding.missing = [
        slot for slot in profile.slots if slot.required and slot.name not in binding.args
    ]
    return binding


def _bind_literals(profile: Profile, clause: Clause, binding: Binding) -> None:
    """Give each literal to the parameter it fits best, the best pairs first."""
    open_slots = [slot for slot in profile.slots if slot.name not in binding.args]
    candidates = [item for item in literal_candidates(clause) if not _inside(item, binding.used)]
    pairs = [
        (fit(slot, item), -index, -place, slot, item)
        for index, slot in enumerate(open_slots)
        for place, item in enumerate(candidates)
    ]
    taken: set[tuple[int, int, Kind | None, str]] = set()
    for score, _, _, slot, item in sorted(pairs, key=lambda pair: pair[:3], reverse=True):
        key = (item.start, item.end, item.kind, str(item.value))
        if score < ENOUGH or slot.name in binding.args or key in taken:
            continue
        value = as_value(slot, item)
        if value is None:
            continue
        taken.add(key)
        _give(slot, item, value, candidates, clause, binding, taken)


def _give(
    slot: Slot,
    item: Candidate,
    value: Any,
    candidates: Sequence[Candidate],
    clause: Clause,
    binding: Binding,
    taken: set[tuple[int, int, Kind | None, str]],
) -> None:
    binding.used.append((item.start, item.end))
    same = [
        other
        for other in candidates
        if other.kind is item.kind
        and other is not item
        and _listed(item, other, candidates, clause, many=slot.many)
    ]
    if slot.many:
        group = sorted([item, *same], key=lambda other: other.start)
        binding.args[slot.name] = [as_value(slot, other) for other in group]
        binding.used += [(other.start, other.end) for other in same]
        taken.update((other.start, other.end, other.kind, str(other.value)) for other in same)
        return
    binding.args[slot.name] = value
    if same and slot.required:
        group = sorted([item, *same], key=lambda other: other.start)
        binding.repeats[slot.name] = [as_value(slot, other) for other in group]


def _listed(
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


_LISTABLE = frozenset({Kind.PATH, Kind.URL, Kind.EMAIL, Kind.PHONE})


def _inside(item: Candidate, used: Sequence[tuple[int, int]]) -> bool:
    return any(start <= item.start < end for start, end in used)


def _bind_options(profile: Profile, clause: Clause, binding: Binding) -> None:
    """Set enumerations and switches that the clause names by a word."""
    for slot in profile.slots:
        if slot.name in binding.args:
            continue
        if slot.kind is SlotKind.ENUM and not slot.many:
            for word in clause.words:
                if _inside_word(word.start, binding.used):
                    continue
                option = option_for(slot, word.text, word.text)
                if option is not None and len(str(option)) > 2:
                    binding.args[slot.name] = option
                    binding.used.append((word.start, word.end))
                    break
        elif slot.kind is SlotKind.BOOLEAN and slot.stems:
            hits = [word for word in clause.words if word.stem in slot.stems]
            if {word.stem for word in hits} == set(slot.stems):
                binding.args[slot.name] = True
                binding.used += [(word.start, word.end) for word in hits]


def _inside_word(start: int, used: Sequence[tuple[int, int]]) -> bool:
    return any(begin <= start < end for begin, end in used)


def _bind_references(
    profile: Profile, clause: Clause, steps: list[StepDraft], binding: Binding, *, optional: bool
) -> None:
    """Bind content parameters to what earlier steps give."""
    taken: list[str] = []
    for slot in profile.slots:
        if slot.name in binding.args or slot.required is optional or is_instruction(slot):
            continue
        if optional and not _carries(profile, slot, binding):
            continue
        if slot.kind not in _CONTENT and optional:
            continue
        worded = slot.kind in _WORDED and not optional
        if worded and (not _points_back(clause) or _takes_content(profile)):
            continue
        many = sum(other.kind is SlotKind.RECORDS and other.required for other in profile.slots)
        for step in _in_order(sources(steps, clause), slot, many):
            found = referenced(slot, step, clause)
            if found is not None and found not in taken:
                binding.args[slot.name] = found
                binding.refers = True
                taken.append(found)
                break


def _in_order(found: Any, slot: Slot, many: int) -> list[StepDraft]:
    """Return the sources; for tools that take two tables the older one comes first."""
    listed = list(found)
    if many > 1 and slot.kind is SlotKind.RECORDS:
        usable = [step for step in listed if not step.sink]
        tables = [step for step in usable if _gives_records(slot, step)]
        return list(reversed(tables[:many]))
    return listed


def _gives_records(slot: Slot, step: StepDraft) -> bool:
    blank = Clause(text="", start=0, end=0, words=(), literals=())
    return referenced(slot, step, blank) is not None


def _carries(profile: Profile, slot: Slot, binding: Binding) -> bool:
    """Whether an optional parameter is the one that takes what is sent along."""
    if slot.name not in _CARRIERS or binding.refers:
        return False
    filled = [item for item in profile.slots if item.kind in _CONTENT and item.name in binding.args]
    return not filled


def _takes_content(profile: Profile) -> bool:
    return any(slot.kind in _CONTENT for slot in profile.slots)


def _points_back(clause: Clause) -> bool:
    return any(word.stem in lexicon().references for word in clause.words)


_MORE_NAMES = re.compile(
    r"(?:\s*,\s*(?:and\s+)?|\s+and\s+)(?P<name>[A-ZÀ-Þ][\w'’-]*(?:\s+[A-ZÀ-Þ][\w'’-]*)*)"
)


def _list_names(slot: Slot, item: Candidate, clause: Clause, binding: Binding) -> None:
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


def _loads(clause: Clause) -> bool:
    """Whether a clause names a file or page whose content is meant, not its words."""
    return any(item.kind in (Kind.PATH, Kind.URL) for item in clause.literals)


def _bind_phrases(profile: Profile, clause: Clause, binding: Binding) -> None:
    """Fill parameters for names, places, subjects and queries from the words that remain."""
    open_slots = [
        slot
        for slot in profile.slots
        if slot.name not in binding.args
        and not is_instruction(slot)
        and slot.name != "template"
        and (slot.kind in _WORDED or (slot.kind is SlotKind.TEXT and slot.required)
             or (slot.kind is SlotKind.TEXT and slot.name in _CARRIERS))
    ]  # fmt: skip
    while open_slots:
        candidates = phrase_candidates(clause, binding.used)
        best: tuple[float, int, int, Slot, Candidate] | None = None
        for index, slot in enumerate(open_slots):
            limit = ENOUGH if slot.required else 7.5
            for place, item in enumerate(candidates):
                if slot.kind is SlotKind.TEXT and item.lead == "object" and _loads(clause):
                    continue
                score = phrase_fit(slot, item)
                if score >= limit and (best is None or (score, -index, -place) > best[:3]):
                    best = (score, -index, -place, slot, item)
        if best is None:
            return
        _, _, _, slot, item = best
        value: Any = as_phrase(slot, item.text) if item.kind is None else as_value(slot, item)
        binding.args[slot.name] = [value] if slot.many else value
        binding.used.append((item.start, item.end))
        _list_names(slot, item, clause, binding)
        if best[0] < 6 and not item.proper:
            binding.doubts.append(f"{slot.name} was taken from its words: {item.text!r}")
        open_slots.remove(slot)
