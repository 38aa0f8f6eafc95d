"""How well a tool fits a clause once it is seen what its parameters could be filled with."""

from __future__ import annotations

import re
from collections.abc import Mapping

from flowbuilder.planner.rules.binding import bind
from flowbuilder.planner.rules.bridges import extension
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.lexicon import lexicon, name_words, stem, stems
from flowbuilder.planner.rules.literals import Kind
from flowbuilder.planner.rules.matching import (
    Match,
    Profile,
)
from flowbuilder.planner.rules.outputs import TABLES, StepDraft, tabular
from flowbuilder.planner.rules.reaching import reaches
from flowbuilder.planner.rules.slots import SlotKind
from flowbuilder.planner.rules.speaking import names_whole, nouns, says_noun
from flowbuilder.planner.rules.table_arguments import (
    condition_slot,
    takes_measures,
    works_on_records,
)
from flowbuilder.planner.rules.tables import TableWords
from flowbuilder.planner.rules.wording import known_words, leftovers
from flowbuilder.tools import HARMLESS

_BRIDGEABLE = frozenset({SlotKind.TEXT, SlotKind.RECORDS, SlotKind.ANY})


_SENT_TO = frozenset({Kind.EMAIL, Kind.PHONE, Kind.CHANNEL})


#: What each parameter costs that nothing fills, if the tool is asked for in so many words or not.
_LACKING, _LACKING_WEAK = 0.35, 0.8


_POINTED = re.compile(r"\b(?:it|them|this|that|these|those)\b", re.IGNORECASE)


_ANY_ID = stems("id number no code key")


def adjusted(
    match: Match, clause: Clause, steps: list[StepDraft], compares: bool, table: TableWords
) -> float:
    """Return the score after a look at what the parameters could be filled with."""
    score = match.score + reaches(clause, match.profile)
    binding = bind(match.profile, clause, steps)
    loadable = any(item.kind in (Kind.PATH, Kind.URL) for item in clause.literals)
    tables = tabular(steps) or any(
        extension(str(item.value)) in TABLES
        for item in clause.literals
        if item.kind in (Kind.PATH, Kind.URL)
    )
    bridges = loadable or _has_source(steps)
    carries = binding.refers or (
        bridges and any(slot.kind is SlotKind.TEXT for slot in binding.missing)
    )
    addressed = any(
        item.kind in _SENT_TO and match.profile.takes(item.kind) for item in clause.literals
    )
    lacking = _LACKING if _ordered(clause, match) else _LACKING_WEAK
    for slot in binding.missing:
        bridged = slot.kind in _BRIDGEABLE and bridges
        bridged = bridged or (slot.kind is SlotKind.TITLE and carries)
        bridged = bridged and (tables or slot.kind is not SlotKind.RECORDS)
        worded = addressed and slot.kind in _BRIDGEABLE
        score -= 0.1 if bridged else min(lacking, 0.5) if worded else lacking
    score -= (0.25 if lacking is _LACKING else lacking) * len(binding.guessed)
    score += 0.25 * _identified(clause, match.profile, binding.args)
    if clause.question and match.explained and not binding.missing:
        score += 0.1
    score += 0.35 * _options_said(match.profile, binding.args)
    if compares and condition_slot(match.profile) is not None and works_on_records(match.profile):
        score += 0.7
    if takes_measures(match.profile) and tables and _computes(table):
        score += 0.9
    if table.by() and (table.limit() is not None or table.descending is not None) and tables:
        score += 0.5 if _sorts(match.profile) else 0.0
    if table.limit() is not None and tables and works_on_records(match.profile):
        score += 0.4 if any(slot.name == "limit" for slot in match.profile.slots) else 0.0
    loaded = known_words(steps)
    loaded |= {str(item.value) for item in clause.literals if item.kind in (Kind.PATH, Kind.URL)}
    score -= 0.12 * min(len(leftovers(clause, match, binding, loaded, steps)), 5)
    if works_on_records(match.profile) and not compares and condition_slot(match.profile):
        score -= 0.6
    return score


def _ordered(clause: Clause, match: Match) -> bool:
    """Whether a clause orders a tool by its verb and its noun, whatever it leaves out."""
    if not nouns(match.profile):
        parts = name_words(match.tool.name)
        near = lexicon().nearness
        return clause.verb is not None and any(
            near(clause.verb.stem, stem(part)) >= 0.75 for part in parts
        )
    if clause.verb is None and match.tool.effects in HARMLESS:
        return names_whole(clause, match.profile)
    if match.verb >= 1.0 and _POINTED.search(clause.text):
        return True
    return match.verb >= 0.7 and says_noun(clause, match, 0.75)


def _identified(clause: Clause, profile: Profile, args: Mapping[str, object]) -> bool:
    """Whether a clause gives the number or name of the very thing that a tool asks for."""
    given = [item.value for item in clause.literals]
    given += [item.text for item in clause.literals]
    said = {word.stem for word in clause.words}
    return any(
        slot.required
        and slot.name in args
        and args[slot.name] in given
        and (slot.kind is SlotKind.CODE or slot.integer)
        and bool((slot.stems - _ANY_ID) & said)
        for slot in profile.slots
    )


def _options_said(profile: Profile, args: Mapping[str, object]) -> int:
    """Return how many parameters got one of their options by its name."""
    return sum(
        slot.kind is SlotKind.ENUM and slot.required and isinstance(args.get(slot.name), str)
        for slot in profile.slots
    )


def _computes(table: TableWords) -> bool:
    """Whether a clause computes something of rows, not just counts, say, words."""
    wishes = table.measures()
    counted = re.search(r"\b(?:rows?|records?|entries|lines of|items)\b", table.text, re.IGNORECASE)
    return any(wish.field for wish in wishes) or bool(wishes and (table.by() or counted))


def _sorts(profile: Profile) -> bool:
    names = {slot.name for slot in profile.slots}
    return works_on_records(profile) and bool(
        names & {"descending", "reverse", "order", "ascending"}
    )


def _has_source(steps: list[StepDraft]) -> bool:
    return any(not step.sink and not step.silent for step in steps)
