"""Choose the tool for a clause: the best match whose parameters can be filled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from flowbuilder.planner.rules.binding import bind
from flowbuilder.planner.rules.bridges import extension
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.instructions import instructs
from flowbuilder.planner.rules.lexicon import lexicon, name_words, stem, stems, words
from flowbuilder.planner.rules.literals import Kind
from flowbuilder.planner.rules.matching import (
    FLOOR,
    MARGIN,
    PLAIN_VERBS,
    SURE,
    Match,
    Profile,
    ToolIndex,
)
from flowbuilder.planner.rules.outputs import TABLES, StepDraft, consumes, tabular
from flowbuilder.planner.rules.slots import SlotKind
from flowbuilder.planner.rules.table_arguments import (
    condition_slot,
    takes_measures,
    works_on_records,
)
from flowbuilder.planner.rules.tables import TableWords
from flowbuilder.planner.rules.wording import known_words, leftovers
from flowbuilder.tools import Effects

_TRIED = 5
#: A verb that is less near to what a tool does is not taken for granted.
_KNOWN = 0.45
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
    judged.sort(
        key=lambda pair: (-round(pair[0], 2), not _says_noun(clause, pair[1]), pair[1].tool.name)
    )
    if judged and judged[0][0] < FLOOR and _accounted(clause, judged[0][1], steps):
        low = judged[0][1]
        return Choice(low, (f"“{clause.text}” fits {low.tool.name} only weakly.",))
    if not judged or judged[0][0] < FLOOR:
        return _lacking(clause, ranked, steps)
    if _asks_other(clause, judged[0][1]):
        judged = _doing(clause, judged)
    if not judged:
        return None
    score, best = judged[0]
    if _guesswork(clause, best, steps):
        return None
    doubts = []
    rivals = [match.tool.name for value, match in judged[1:] if _rivals(score, best, value, match)]
    second = max((value for value, _ in judged[1:2]), default=0.0)
    if score < SURE and score < 1.8 * max(second, 0.3):
        doubts.append(f"“{clause.text}” fits {best.tool.name} only weakly.")
    if rivals:
        doubts.append(f"“{clause.text}” could also mean {' or '.join(rivals)}.")
    if not _speaks_of(clause, best):
        doubts.append(f"“{clause.text}” does not name what {best.tool.name} is about.")
    if clause.verb is not None and best.verb < _KNOWN and not clause.question:
        doubts.append(f"“{clause.verb.text}” is not what {best.tool.name} is known to do.")
    return Choice(best, tuple(doubts))


def _accounted(clause: Clause, match: Match, steps: list[StepDraft]) -> bool:
    """Whether a tool leaves nothing of a clause unsaid, though its words are those of many tools.

    In a catalogue of tools for tickets "ticket" tells little, and yet "show ticket 881" is plain.
    """
    binding = bind(match.profile, clause, steps)
    if binding.missing or binding.guessed or not _says_noun(clause, match, 0.75):
        return False
    harmless = match.tool.effects in (Effects.PURE, Effects.READ)
    looks = clause.verb is None or clause.verb.stem in _GENERAL
    if not ((harmless and looks) or match.verb >= 0.7) or match.score < _LEAST:
        return False
    return not leftovers(clause, match, binding, known_words(steps), steps)


#: The score below which a tool is not taken even where it accounts for every word.
_LEAST = 0.35


def _doing(clause: Clause, judged: list[tuple[float, Match]]) -> list[tuple[float, Match]]:
    """Return what is left where the best tool speaks of the thing but does something else to it."""
    return [
        (score, match)
        for score, match in judged
        if score >= FLOOR
        and (match.verb >= 0.4 or clause.question)
        and not _asks_other(clause, match)
    ]


#: Verbs for having or seeing something, whatever a tool calls that.
_GENERAL = PLAIN_VERBS | stems(
    "show tell see find look want need check know fetch retrieve bring return display list read "
    "obtain load open access view provide report request search pull grab fetch collect gather "
    "identify determine discover learn explore"
)


#: Nouns that as the verb of a clause order something to be sent.
_SENDING = stems("email mail message text phone call fax")


def _asks_other(clause: Clause, best: Match) -> bool:
    """Whether a clause orders something that its best tool does not do: "encrypt the logs"."""
    verb = clause.verb
    if clause.question and best.tool.effects not in (Effects.PURE, Effects.READ):
        return not instructs(best.profile)  # who asks whether a door is locked locks none
    if verb is None or clause.question or best.verb > 0.0 or verb.stem in _GENERAL:
        return False
    if works_on_records(best.profile) or instructs(best.profile):
        return False
    noun = verb.stem in lexicon().things and verb.stem not in _SENDING
    return verb.start not in best.explained and not noun


def _speaks_of(clause: Clause, best: Match) -> bool:
    """Whether the clause says one of the nouns that a tool is named for, or a word for it."""
    profile = best.profile
    parts = [stem(part) for part in name_words(profile.tool.name)]
    if not _nouns(profile) or works_on_records(profile) or instructs(profile):
        return True
    verb = clause.verb
    if verb is not None and best.verb >= 1.0 and verb.stem in parts and verb.stem not in _COMMON:
        return True
    if any(item in _option_stems(profile) for item in (word.stem for word in clause.words)):
        return True
    return _says_noun(clause, best) or any(
        profile.takes(item.kind) for item in clause.literals if item.kind in _TELLING
    )


def _guesswork(clause: Clause, best: Match, steps: list[StepDraft]) -> bool:
    """Whether nothing but a word taken on trust speaks for a tool: "call the supplier"."""
    if best.verb >= 1.0 or clause.literals or clause.question or _speaks_of(clause, best):
        return False
    if any(slot.kind is SlotKind.QUERY for slot in best.profile.slots):
        return False
    binding = bind(best.profile, clause, steps)
    return not binding.refers and any("taken from its words" in doubt for doubt in binding.doubts)


def _nouns(profile: Profile) -> list[str]:
    """Return the stems of the last parts of a tool's name that are no verbs."""
    parts = [stem(part) for part in name_words(profile.tool.name)]
    return [part for part in parts[-3:] if part not in profile.verbs and part not in _FAMILY]


def _says_noun(clause: Clause, match: Match, least: float = 0.4) -> bool:
    near = lexicon().nearness
    said = {word.stem for word in (*clause.words, *words(clause.text))}
    return any(near(word, noun) >= least for word in said for noun in _nouns(match.profile))


#: Verbs that many tools share, so that they tell nothing about what a tool is for.
_COMMON = _GENERAL | stems(
    "create add send update change delete remove calculate compute book order open start run "
    "analyze analyse convert predict estimate compare post publish save write store generate "
    "build edit cancel close move copy count sort filter schedule set evaluate process query"
)
#: Parts of a tool's name that name no thing.
_FAMILY = stems("get api service tool data http web io util lib client info detail by for to of in")
#: Literals that tell by themselves what sort of thing is meant.
_TELLING = frozenset(
    {Kind.URL, Kind.EMAIL, Kind.PHONE, Kind.PATH, Kind.CHANNEL, Kind.CURRENCY, Kind.LANGUAGE,
     Kind.EXPRESSION, Kind.DIMENSIONS, Kind.DURATION}
)  # fmt: skip


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


_SENT_TO = frozenset({Kind.EMAIL, Kind.PHONE, Kind.CHANNEL})
#: What each parameter costs that nothing fills, if the tool is asked for in so many words or not.
_LACKING, _LACKING_WEAK = 0.35, 0.8


_POINTED = re.compile(r"\b(?:it|them|this|that|these|those)\b", re.IGNORECASE)


def _ordered(clause: Clause, match: Match) -> bool:
    """Whether a clause orders a tool by its verb and its noun, whatever it leaves out."""
    if not _nouns(match.profile):
        parts = name_words(match.tool.name)
        near = lexicon().nearness
        return clause.verb is not None and any(
            near(clause.verb.stem, stem(part)) >= 0.75 for part in parts
        )
    if clause.verb is None and match.tool.effects in (Effects.PURE, Effects.READ):
        return names_whole(clause, match.profile)
    if match.verb >= 1.0 and _POINTED.search(clause.text):
        return True
    return match.verb >= 0.7 and _says_noun(clause, match, 0.75)


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


_ANY_ID = stems("id number no code key")


def names_whole(clause: Clause, profile: Profile) -> bool:
    """Whether a phrase says all that a tool is named for: "my workout history"."""
    said = {word.stem for word in words(clause.text)}
    nouns = _nouns(profile)
    return bool(nouns) and all(noun in said for noun in nouns)


def _options_said(profile: Profile, args: Mapping[str, object]) -> int:
    """Return how many parameters got one of their options by its name."""
    return sum(
        slot.kind is SlotKind.ENUM and slot.required and isinstance(args.get(slot.name), str)
        for slot in profile.slots
    )


def _option_stems(profile: Profile) -> frozenset[str]:
    return stems(
        " ".join(
            str(option)
            for slot in profile.slots
            if slot.kind is SlotKind.ENUM and slot.required
            for option in slot.options
        )
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


def nearest(clause: Clause, index: ToolIndex, limit: int = 3) -> list[str]:
    """Return the tools that come nearest to a clause."""
    return [match.tool.name for match in index.rank(clause)[:limit] if match.score > 0.1]


_REPORTING = stems("show tell give print return display report output present let see know answer")


def only_reports(clause: Clause, choice: Choice | None) -> bool:
    """Whether a clause only asks to see what the steps before it give."""
    if choice is not None and choice.match.score >= SURE and clause.literals:
        return False
    if choice is not None and choice.match.verb >= 1.0 and consumes(choice.profile):
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
