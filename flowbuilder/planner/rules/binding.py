"""Fill a tool's parameters from a clause and from what earlier steps give."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from flowbuilder.planner.rules.ambiguity import Given, doubtful
from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.earlier import bind_earlier
from flowbuilder.planner.rules.fields import bind_fields
from flowbuilder.planner.rules.fitting import (
    ENOUGH,
    as_phrase,
    as_value,
    fit,
    option_for,
    phrase_fit,
)
from flowbuilder.planner.rules.instructions import instruct, instructs, is_instruction
from flowbuilder.planner.rules.lexicon import lexicon, name_words, stem
from flowbuilder.planner.rules.listing import list_names, list_things, stand_together
from flowbuilder.planner.rules.literals import Kind
from flowbuilder.planner.rules.manners import bind_manner
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.naming import counted_things, named_by_noun, noun_of
from flowbuilder.planner.rules.outputs import StepDraft
from flowbuilder.planner.rules.pairs import bind_pairs
from flowbuilder.planner.rules.phrases import (
    Candidate,
    joined_times,
    literal_candidates,
    phrase_candidates,
)
from flowbuilder.planner.rules.reaching import addressees
from flowbuilder.planner.rules.referring import (
    CARRIERS,
    WORDED,
    bind_inherited,
    bind_meant,
    bind_place,
    bind_recalled,
    bind_references,
)
from flowbuilder.planner.rules.remainders import take_remains
from flowbuilder.planner.rules.sameness import bind_same
from flowbuilder.planner.rules.slots import Slot, SlotKind
from flowbuilder.planner.rules.sums import bind_sum
from flowbuilder.planner.rules.table_arguments import table_arguments

_Key = tuple[int, int, Kind | None, str]


def bind(
    profile: Profile, clause: Clause, steps: list[StepDraft], columns: frozenset[str] = frozenset()
) -> Binding:
    """Fill the parameters of a tool; what cannot be filled is listed as missing.

    `columns` are those of the run's input.
    """
    moments = [slot for slot in profile.slots if slot.kind in (SlotKind.DATE, SlotKind.TIME)]
    if len(moments) == 1:
        clause = joined_times(clause)
    table = table_arguments(profile, clause, steps, columns)
    binding = Binding(
        args=dict(table.values), used=list(table.used), doubts=list(table.doubts),
        notes=list(table.notes), computed=table.computed,
    )  # fmt: skip
    bind_pairs(profile, clause, binding)
    bind_fields(profile, clause, steps, binding)
    if not instructs(profile):
        _bind_literals(profile, clause, binding)
    _bind_options(profile, clause, binding)
    bind_manner(profile, clause, binding)
    _bind_named(profile, clause, binding)
    counted_things(profile, clause, binding)
    bind_same(clause, steps, profile, binding)
    bind_sum(profile, clause, steps, binding)
    bind_earlier(profile, clause, steps, binding)
    bind_recalled(profile, clause, steps, binding)
    bind_references(profile, clause, steps, binding, optional=False)
    if any(slot.kind in (SlotKind.EMAIL, SlotKind.PHONE) for slot in profile.slots):
        binding.used += addressees(clause, profile)
    _bind_phrases(profile, clause, binding)
    bind_references(profile, clause, steps, binding, optional=True)
    instructed, refers = instruct(profile, clause, steps, binding.args)
    if instructed:
        binding.args |= instructed
        binding.refers = binding.refers or refers
    if instructs(profile):
        binding.used.append((clause.start, clause.end))
    bind_place(profile, clause, steps, binding)
    if not instructs(profile):
        bind_inherited(profile, steps, binding)
        bind_meant(profile, clause, steps, binding)
        take_remains(profile, clause, binding)
    if "on" in table.values:  # a column that both sides share is not told once more for each
        binding.args.pop("left_on", None)
        binding.args.pop("right_on", None)
    needed = [slot for slot in profile.slots if slot.required]
    binding.missing = [slot for slot in needed if slot.name not in binding.args]
    return binding


def _bind_literals(profile: Profile, clause: Clause, binding: Binding) -> None:
    """Give each literal to the parameter it fits best, the best pairs first."""
    open_slots = [slot for slot in profile.slots if slot.name not in binding.args]
    candidates = [
        item for item in literal_candidates(clause) if not _inside(item.start, binding.used)
    ]
    pairs = [
        (_listed_fit(slot, item, candidates, clause), -index, -place, slot, item)
        for index, slot in enumerate(open_slots)
        for place, item in enumerate(candidates)
    ]
    taken: set[_Key] = set()
    given: list[Given] = []
    for score, _, _, slot, item in sorted(pairs, key=lambda pair: pair[:3], reverse=True):
        key = _key(item)
        if score < ENOUGH or slot.name in binding.args or key in taken:
            continue
        if _named_otherwise(slot, item, profile, clause):
            continue
        value = as_value(slot, item)
        if value is None:
            continue
        taken.add(key)
        given.append(Given(slot, item))
        _give(slot, item, value, candidates, clause, binding, taken)
    left = frozenset(slot.name for slot in open_slots if slot.name not in binding.args)
    binding.doubts += doubtful(given, open_slots, left)


def _named_otherwise(slot: Slot, item: Candidate, profile: Profile, clause: Clause) -> bool:
    """Whether a name stands beside its noun, so that an identifier elsewhere is something else."""
    if item.kind not in _ELSEWHERE or slot.kind is not SlotKind.NAME:
        return False
    named = named_by_noun(slot, profile, clause, [(item.start, item.end)])
    if named is None:
        return False
    first, last = sorted([(item.start, item.end), named[1:]])
    between = clause.text[first[1] - clause.start : last[0] - clause.start]
    return _APART.search(between) is not None


_ELSEWHERE = frozenset({Kind.IDENTIFIER, Kind.DOTTED, Kind.QUOTED})
_APART = re.compile(r"\b(?:of|for|from|in|on|at|to)\b", re.IGNORECASE)


def _key(item: Candidate) -> _Key:
    """Tell candidates apart; of "400 by 400" there are two at one place."""
    side = "".join(sorted(item.near)) if item.kind is Kind.NUMBER and not item.owner else ""
    return item.start, item.end, item.kind, f"{item.value}{side}"


def _listed_fit(
    slot: Slot, item: Candidate, candidates: Sequence[Candidate], clause: Clause
) -> float:
    """Return the fit; a parameter for several values comes first where several are listed."""
    score = fit(slot, item)
    if not slot.many or score <= 0:
        return score
    several = any(
        other is not item
        and other.kind is item.kind
        and stand_together(item, other, candidates, clause, many=True)
        for other in candidates
    )
    return score + 6 if several else score


def _give(
    slot: Slot,
    item: Candidate,
    value: Any,
    candidates: Sequence[Candidate],
    clause: Clause,
    binding: Binding,
    taken: set[_Key],
) -> None:
    binding.used += [(item.start, item.end), *noun_of(slot, item, clause)]
    same = [
        other
        for other in candidates
        if other.kind is item.kind
        and other is not item
        and stand_together(
            item, other, candidates, clause, many=slot.many or slot.kind is SlotKind.CODE
        )
    ]
    if slot.many:
        group = sorted([item, *same], key=lambda other: other.start)
        binding.args[slot.name] = [as_value(slot, other) for other in group]
        binding.used += [(other.start, other.end) for other in same]
        taken.update(_key(other) for other in same)
        return
    binding.args[slot.name] = value
    if same and slot.required:
        group = sorted([item, *same], key=lambda other: other.start)
        binding.repeats[slot.name] = [as_value(slot, other) for other in group]


def _inside(place: int, used: Sequence[tuple[int, int]]) -> bool:
    return any(start <= place < end for start, end in used)


def _bind_options(profile: Profile, clause: Clause, binding: Binding) -> None:
    """Set enumerations and switches that the clause names by a word."""
    for slot in profile.slots:
        if slot.name in binding.args:
            continue
        if slot.kind is SlotKind.ENUM and not slot.many:
            # the verb only says which tool is meant, where another word may name the option
            for word in clause.words:
                plain = word is clause.verb and not slot.required
                if plain or _inside(word.start, binding.used):
                    continue
                option = option_for(slot, word.text, word.text)
                if option is not None and len(str(option)) > 2:
                    binding.args[slot.name] = option
                    binding.used.append((word.start, word.end))
                    break
            else:
                _bind_switch(slot, clause, binding)
        elif slot.kind is SlotKind.BOOLEAN and slot.stems:
            hits = [word for word in clause.words if word.stem in slot.stems]
            if {word.stem for word in hits} == set(slot.stems):
                binding.args[slot.name] = True
                binding.used += [(word.start, word.end) for word in hits]


def _bind_switch(slot: Slot, clause: Clause, binding: Binding) -> None:
    """Set a choice of on and off from the verb: "turn *off* the lights"."""
    options = {str(option).lower(): option for option in slot.options}
    verb = clause.verb
    said = verb.stem.split()[-1] if verb is not None else ""
    if {"on", "off"} <= options.keys() and said in ("on", "off"):
        binding.args[slot.name] = options[said]


def _bind_named(profile: Profile, clause: Clause, binding: Binding) -> None:
    """Set what the parameters' own nouns point out: "the billing service"."""
    for slot in profile.slots:
        if slot.name in binding.args or slot.schema.get("type") != "string":
            continue
        found = named_by_noun(slot, profile, clause, binding.used)
        if found is not None:
            value, start, end = found
            binding.args[slot.name] = value
            binding.used.append((start, end))


def _loads(clause: Clause) -> bool:
    """Whether a clause names a file or page whose content is meant, not its words."""
    return any(item.kind in (Kind.PATH, Kind.URL) for item in clause.literals)


def _only_names(item: Candidate, slot: Slot, profile: Profile) -> bool:
    """Whether a phrase is no more than the names of other parameters: "version"."""
    others = {word for other in profile.slots if other is not slot for word in other.stems}
    others |= {stem(part) for part in name_words(profile.tool.name)}
    said = [stem(word) for word in item.text.split()]
    return item.kind is None and item.text.islower() and all(word in others for word in said)


def _worded(slot: Slot, item: Candidate, profile: Profile) -> Any:
    """Return what a phrase becomes in a parameter; a message keeps its article."""
    if item.kind is not None:
        return as_value(slot, item)
    message = slot.kind is SlotKind.TEXT and item.lead in ("that…", "saying…", "because…")
    return item.value if message else as_phrase(slot, _without_noun(slot, item, profile))


def _without_noun(slot: Slot, item: Candidate, profile: Profile) -> str:
    """Return a name without the noun of its tool before it: "branch hotfix" of `create_branch`."""
    first, _, rest = item.text.partition(" ")
    own = {stem(part) for part in name_words(profile.tool.name)}
    named = slot.kind in (SlotKind.NAME, SlotKind.CODE) and stem(first) in own
    single = " " not in rest or (first.islower() and rest[:1].isupper())
    return rest if named and rest and single else item.text


_AND_DO = re.compile(r"\b(?:and|then|but)\s+(?:(?:please|also|then)\s+)*([A-Za-z]+)\s")


def _orders_more(text: str) -> bool:
    """Whether a phrase goes on with what may be another order: "volcanoes and book room 1"."""
    return any(stem(found) in lexicon().actions for found in _AND_DO.findall(text))


def _bind_phrases(profile: Profile, clause: Clause, binding: Binding) -> None:
    """Fill parameters for names, places, subjects and queries from the words that remain."""
    open_slots = [
        slot
        for slot in profile.slots
        if slot.name not in binding.args
        and not is_instruction(slot)
        and slot.name != "template"
        and (slot.kind in (*WORDED, SlotKind.JSON_PATH)
             or (slot.kind is SlotKind.TEXT and slot.required)
             or (slot.kind is SlotKind.TEXT and slot.name in (*CARRIERS, "reason", "cause")))
    ]  # fmt: skip
    while open_slots:
        candidates = phrase_candidates(clause, binding.used)
        best: tuple[float, int, int, Slot, Candidate] | None = None
        for index, slot in enumerate(open_slots):
            limit = ENOUGH if slot.required else 7.5
            for place, item in enumerate(candidates):
                if slot.kind is SlotKind.TEXT and item.lead == "object" and _loads(clause):
                    continue
                if _only_names(item, slot, profile):
                    continue
                score = phrase_fit(slot, item)
                if score >= limit and (best is None or (score, -index, -place) > best[:3]):
                    best = (score, -index, -place, slot, item)
        if best is None:
            return
        _, _, _, slot, item = best
        value = _worded(slot, item, profile)
        binding.args[slot.name] = [value] if slot.many else value
        binding.used.append((item.start, item.end))
        list_names(slot, item, clause, binding)
        list_things(slot, item, clause, binding)
        if _AND_DO.search(item.text) and _orders_more(item.text):
            binding.doubts.append(f"{slot.name} may hold more than is meant: {item.text!r}")
        if best[0] < 6 and not item.proper:
            binding.doubts.append(f"{slot.name} was taken from its words: {item.text!r}")
        open_slots.remove(slot)
