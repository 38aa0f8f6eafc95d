"""Choose the tool for a clause: the best match whose parameters can be filled."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from flowbuilder.planner.rules.binding import bind
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.deleting import deletes_otherwise
from flowbuilder.planner.rules.lexicon import name_words, stem
from flowbuilder.planner.rules.literals import Kind
from flowbuilder.planner.rules.matching import (
    FLOOR,
    MARGIN,
    SURE,
    Match,
    Profile,
    ToolIndex,
)
from flowbuilder.planner.rules.outputs import StepDraft, consumes
from flowbuilder.planner.rules.particles import turned
from flowbuilder.planner.rules.reaching import other_way, reaches_somebody
from flowbuilder.planner.rules.scoring import adjusted
from flowbuilder.planner.rules.slots import SlotKind
from flowbuilder.planner.rules.speaking import (
    GENERAL,
    asks_other,
    says_noun,
    speaks_of,
)
from flowbuilder.planner.rules.table_arguments import (
    condition_slot,
    works_on_records,
)
from flowbuilder.planner.rules.tables import TableWords
from flowbuilder.planner.rules.wording import known_words, leftovers
from flowbuilder.tools import HARMLESS

_TRIED = 5
#: "give it to the team" asks for something to be handed over.
_GIVEN_AWAY = re.compile(
    r"\W*(?:give|show|hand)\s+(?!me\b|us\b)[\w ]{1,40}?\sto\s+(?!me\b|us\b)", re.I
)


#: A verb that is less near to what a tool does is not taken for granted.
_KNOWN = 0.45


_PLACES = frozenset({SlotKind.PATH, SlotKind.URL, SlotKind.EMAIL, SlotKind.PHONE})
#: What a message has that is handed on: the goal's own words, if nothing else is said.
_SUBJECT = frozenset({SlotKind.TITLE})
_MESSAGE = frozenset({SlotKind.TITLE, SlotKind.TEXT})


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
    ranked = [match for match in index.rank(clause) if not deletes_otherwise(clause, match)]
    table = TableWords(clause)
    compares = bool(table.comparisons())
    judged = [
        (adjusted(match, clause, steps, compares, table), match)
        for match in ranked[:_TRIED]
        + _table_tools(ranked[_TRIED:], compares, table.limit() is not None)
    ]
    judged.sort(
        key=lambda pair: (-round(pair[0], 2), not says_noun(clause, pair[1]), pair[1].tool.name)
    )
    judged = _named_first(clause, judged)
    if not judged or judged[0][0] < FLOOR:
        return _below(clause, ranked, judged, steps)
    if asks_other(clause, judged[0][1]):
        judged = _doing(clause, judged)
    if not judged or _guesswork(clause, judged[0][1], steps):
        return None
    return _placeless(clause, judged, steps) or _doubted(clause, judged)


def _named_first(clause: Clause, judged: list[tuple[float, Match]]) -> list[tuple[float, Match]]:
    """Put a tool with the verb in its name before one that changes things and is asked otherwise.

    All parts of "filter a.csv to rows where …" could be what is written to a file.
    """
    verb = clause.verb
    best = judged[0][1] if judged else None
    if best is None or verb is None or best.tool.effects in HARMLESS:
        return judged
    if verb.stem in best.profile.verbs:
        return judged
    named = [
        pair
        for pair in judged
        if pair[0] >= FLOOR
        and pair[1].tool.effects in HARMLESS
        and verb.stem in {stem(part) for part in name_words(pair[1].tool.name)}
    ]
    return [*named[:1], *(pair for pair in judged if pair not in named[:1])]


def _placeless(
    clause: Clause, judged: Sequence[tuple[float, Match]], steps: list[StepDraft]
) -> Choice | None:
    """Return the tool that the verb orders where it lacks no more than a place: "save the counts".

    A tool that lacks nothing, but does something else with the counts, is worse than a question.
    """
    acting = _acting(clause, judged[0][1], [match for _, match in judged[1:]])
    return _lacking(clause, acting, steps)


def _doubted(clause: Clause, judged: list[tuple[float, Match]]) -> Choice:
    """Return the best of the tools with what speaks against it."""
    score, best = judged[0]
    doubts = []
    doubts += _of_what_acts(clause, best, [match for _, match in judged[1:]])
    rivals = [match.tool.name for value, match in judged[1:] if _rivals(score, best, value, match)]
    second = max((value for value, _ in judged[1:2]), default=0.0)
    if score < SURE and score < 1.8 * max(second, 0.3):
        doubts.append(f"“{clause.text}” fits {best.tool.name} only weakly.")
    if rivals:
        doubts.append(f"“{clause.text}” could also mean {' or '.join(rivals)}.")
    if not speaks_of(clause, best):
        doubts.append(f"“{clause.text}” does not name what {best.tool.name} is about.")
    if clause.verb is not None and best.verb < _KNOWN and not _known(clause, best):
        doubts.append(f"“{clause.verb.text}” is not what {best.tool.name} is known to do.")
    if other_way(clause, best.profile):
        doubts.append(f"“{clause.text}” names another way than that of {best.tool.name}.")
    if _GIVEN_AWAY.match(clause.text) and not consumes(best.profile):
        doubts.append(f"“{clause.text}” hands something over, which {best.tool.name} does not.")
    if (particle := turned(clause, best.profile.phrasal)) is not None:
        doubts.append(f"“{particle}” in “{clause.text}” is not what {best.tool.name} is named for.")
    return Choice(best, tuple(doubts))


def _of_what_acts(clause: Clause, best: Match, others: Sequence[Match]) -> list[str]:
    """Doubt a tool that only looks at the things which the verb of a clause orders to be made.

    "Transfer 50 to Ann" says what `transfer_money` does, and what `list_transfers` is about.
    """
    verb = clause.verb
    acting = [match.tool.name for match in _acting(clause, best, others)]
    return [f"“{verb.text}” is what {' or '.join(acting)} does."] if verb and acting else []


def _acting(clause: Clause, best: Match, others: Sequence[Match]) -> list[Match]:
    """Return the tools that do what the verb of a clause orders, where the best only looks."""
    verb = clause.verb
    if verb is None or clause.question or best.tool.effects not in HARMLESS:
        return []
    if verb.stem in best.profile.verbs:
        return []
    return [
        match
        for match in others
        if match.tool.effects not in HARMLESS and verb.stem in match.profile.verbs
    ]


def _known(clause: Clause, best: Match) -> bool:
    """Whether no verb has to be known: a question, or "put … in my calendar" with its noun."""
    puts = clause.verb is not None and clause.verb.stem == "put" and best.verb > 0
    return clause.question or (puts and says_noun(clause, best, 0.75))


def _below(
    clause: Clause,
    ranked: list[Match],
    judged: list[tuple[float, Match]],
    steps: list[StepDraft],
) -> Choice | None:
    """Return a tool whose words say too little, if all else speaks for it; always with a doubt."""
    if judged and _accounted(clause, judged[0][1], steps):
        low = judged[0][1]
        return Choice(low, (f"“{clause.text}” fits {low.tool.name} only weakly.",))
    asked = _asked_of(clause, ranked, steps) if clause.question else None
    return asked or _lacking(clause, ranked, steps)


def _accounted(clause: Clause, match: Match, steps: list[StepDraft]) -> bool:
    """Whether a tool leaves nothing of a clause unsaid, though its words are those of many tools.

    In a catalogue of tools for tickets "ticket" tells little, and yet "show ticket 881" is plain.
    """
    binding = bind(match.profile, clause, steps)
    if binding.missing or binding.guessed or not says_noun(clause, match, 0.75):
        return False
    harmless = match.tool.effects in HARMLESS
    looks = clause.verb is None or clause.verb.stem in GENERAL
    if not ((harmless and looks) or match.verb >= 0.7) or match.score < _LEAST:
        return False
    return not leftovers(clause, match, binding, known_words(steps), steps)


def _asked_of(clause: Clause, matches: Sequence[Match], steps: list[StepDraft]) -> Choice | None:
    """Return the only harmless tool for the very thing that a question is about: "is M-4 on?"."""
    fitting = []
    for match in matches:
        if match.tool.effects not in HARMLESS:
            continue
        binding = bind(match.profile, clause, steps)
        given = [str(item.value) for item in clause.literals if item.kind is Kind.IDENTIFIER]
        said = {word.stem for word in clause.words}
        needed = [slot for slot in match.profile.slots if slot.required]
        if needed and all(
            slot.stems & said and str(binding.args.get(slot.name)) in given for slot in needed
        ):
            fitting.append(match)
    if len(fitting) != 1:
        return None
    found = fitting[0]
    return Choice(found, (f"“{clause.text}” asks something of what {found.tool.name} gives.",))


#: The score below which a tool is not taken even where it accounts for every word.
_LEAST = 0.35


def _doing(clause: Clause, judged: list[tuple[float, Match]]) -> list[tuple[float, Match]]:
    """Return what is left where the best tool speaks of the thing but does something else to it."""
    return [
        (score, match)
        for score, match in judged
        if score >= FLOOR
        and (match.verb >= 0.4 or clause.question)
        and not asks_other(clause, match)
    ]


def _guesswork(clause: Clause, best: Match, steps: list[StepDraft]) -> bool:
    """Whether nothing but a word taken on trust speaks for a tool: "call the supplier"."""
    if best.verb >= 1.0 or clause.literals or clause.question or speaks_of(clause, best):
        return False
    if any(slot.kind is SlotKind.QUERY for slot in best.profile.slots):
        return False
    binding = bind(best.profile, clause, steps)
    return not binding.refers and any("taken from its words" in doubt for doubt in binding.doubts)


def _lacking(clause: Clause, ranked: list[Match], steps: list[StepDraft]) -> Choice | None:
    """Return a tool that is clearly asked for but not told where to: "save it"."""
    loaded = known_words(steps)
    for match in ranked[:_TRIED]:
        binding = bind(match.profile, clause, steps)
        reached = reaches_somebody(clause, match.profile)
        told = _PLACES | (_SUBJECT if binding.refers else frozenset())
        told |= _MESSAGE if reached else frozenset()
        places = all(slot.kind in told for slot in binding.missing)
        carries = binding.refers or reached
        asked = match.verb >= 0.7 and carries and bool(binding.missing) and places
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


def nearest(clause: Clause, index: ToolIndex, limit: int = 3) -> list[str]:
    """Return the tools that come nearest to a clause."""
    return [match.tool.name for match in index.rank(clause)[:limit] if match.score > 0.1]
