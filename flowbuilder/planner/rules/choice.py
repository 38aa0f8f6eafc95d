"""Choose the tool for a clause: the best match whose parameters can be filled."""

from __future__ import annotations

import re
from dataclasses import dataclass

from flowbuilder.planner.rules.binding import bind
from flowbuilder.planner.rules.bridges import extension
from flowbuilder.planner.rules.clauses import Clause
from flowbuilder.planner.rules.lexicon import lexicon, stems
from flowbuilder.planner.rules.literals import Kind
from flowbuilder.planner.rules.matching import FLOOR, MARGIN, SURE, Match, Profile, ToolIndex
from flowbuilder.planner.rules.outputs import TABLES, StepDraft, tabular
from flowbuilder.planner.rules.slots import SlotKind
from flowbuilder.planner.rules.table_arguments import (
    condition_slot,
    takes_measures,
    works_on_records,
)
from flowbuilder.planner.rules.tables import TableWords
from flowbuilder.planner.rules.wording import known_words, leftovers

_TRIED = 5
_PLACES = frozenset({SlotKind.PATH, SlotKind.URL, SlotKind.EMAIL, SlotKind.PHONE})
_BRIDGEABLE = frozenset({SlotKind.TEXT, SlotKind.RECORDS, SlotKind.ANY})


@dataclass(frozen=True)
class Choice:
    """The chosen tool, and reasons to doubt it."""

    match: Match
    doubts: tuple[str, ...]

    @property
    def profile(self) -> Profile:
        """The tool with its parameters."""
        return self.match.profile


def choose(clause: Clause, index: ToolIndex, steps: list[StepDraft]) -> Choice | None:
    """Return the tool that fits a clause best, or None if none fits at all."""
    ranked = index.rank(clause)
    table = TableWords(clause)
    compares = bool(table.comparisons())
    judged = [
        (_adjusted(match, clause, steps, compares, table), match)
        for match in ranked[:_TRIED]
        + _table_tools(ranked[_TRIED:], compares, table.limit() is not None)
    ]
    judged.sort(key=lambda pair: (-pair[0], pair[1].tool.name))
    if not judged or judged[0][0] < FLOOR:
        return _lacking(clause, ranked, steps)
    score, best = judged[0]
    doubts = []
    rivals = [match.tool.name for value, match in judged[1:] if _rivals(score, best, value, match)]
    second = max((value for value, _ in judged[1:2]), default=0.0)
    if score < SURE and score < 1.8 * max(second, 0.3):
        doubts.append(f"“{clause.text}” fits {best.tool.name} only weakly.")
    if rivals:
        doubts.append(f"“{clause.text}” could also mean {' or '.join(rivals)}.")
    if clause.verb is not None and best.verb < 0.35 and not clause.question:
        doubts.append(f"“{clause.verb.text}” is not what {best.tool.name} is known to do.")
    return Choice(best, tuple(doubts))


def _lacking(clause: Clause, ranked: list[Match], steps: list[StepDraft]) -> Choice | None:
    """Return a tool that is clearly asked for but not told where to: "save it"."""
    loaded = known_words(steps)
    for match in ranked[:_TRIED]:
        binding = bind(match.profile, clause, steps)
        places = all(slot.kind in _PLACES for slot in binding.missing)
        asked = match.verb >= 0.7 and binding.refers and bool(binding.missing) and places
        if asked and not leftovers(clause, match, binding, loaded, steps):
            return Choice(match, (f"“{clause.text}” leaves out what {match.tool.name} needs.",))
    return None


def _rivals(score: float, best: Match, value: float, other: Match) -> bool:
    """Whether another tool comes near; not if the best explains all its words and more."""
    if other.explained < best.explained and score - value > 0.15:
        return False
    return value * MARGIN > score


def _table_tools(rest: list[Match], compares: bool, limits: bool) -> list[Match]:
    """Return the tools that comparisons or a "first 3" speak for, whatever their words say."""
    return [
        match
        for match in rest
        if (compares and condition_slot(match.profile) is not None)
        or (limits and works_on_records(match.profile))
    ]


def _adjusted(
    match: Match, clause: Clause, steps: list[StepDraft], compares: bool, table: TableWords
) -> float:
    """Return the score after a look at what the parameters could be filled with."""
    score = match.score
    binding = bind(match.profile, clause, steps)
    loadable = any(item.kind in (Kind.PATH, Kind.URL) for item in clause.literals)
    tables = tabular(steps) or any(
        extension(str(item.value)) in TABLES
        for item in clause.literals
        if item.kind in (Kind.PATH, Kind.URL)
    )
    for slot in binding.missing:
        bridged = slot.kind in _BRIDGEABLE and (loadable or _has_source(steps))
        bridged = bridged or (slot.kind is SlotKind.TITLE and binding.refers)
        bridged = bridged and (tables or slot.kind is not SlotKind.RECORDS)
        score -= 0.1 if bridged else 0.8
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


def nearest(clause: Clause, index: ToolIndex, limit: int = 3) -> list[str]:
    """Return the tools that come nearest to a clause."""
    return [match.tool.name for match in index.rank(clause)[:limit] if match.score > 0.1]


_REPORTING = stems("show tell give print return display report output present let see know answer")


def only_reports(clause: Clause, choice: Choice | None) -> bool:
    """Whether a clause only asks to see what the steps before it give."""
    if choice is not None and choice.match.score >= SURE and clause.literals:
        return False
    if clause.literals:
        return False
    known = lexicon()
    telling = [
        word
        for word in clause.words
        if word.stem not in known.fillers
        and word.stem not in known.references
        and word.stem not in _REPORTING
    ]
    first = clause.words[0].stem if clause.words else ""
    return not telling and (first in _REPORTING or not clause.words)
