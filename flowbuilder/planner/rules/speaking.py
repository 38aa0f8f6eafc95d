"""Whether a clause speaks of what a tool is named for, and orders what it does."""

from __future__ import annotations

from itertools import pairwise

from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.instructions import instructs
from flowbuilder.planner.rules.lexicon import lexicon, name_words, stem, stems, words
from flowbuilder.planner.rules.literals import Kind
from flowbuilder.planner.rules.matching import (
    PLAIN_VERBS,
    Match,
    Profile,
)
from flowbuilder.planner.rules.slots import SlotKind
from flowbuilder.planner.rules.table_arguments import (
    works_on_records,
)
from flowbuilder.tools import HARMLESS

#: Verbs for having or seeing something, whatever a tool calls that.
GENERAL = PLAIN_VERBS | stems(
    "show tell see find look want need check know fetch retrieve bring return display list read "
    "obtain load open access view provide report request search pull grab fetch collect gather "
    "identify determine discover learn explore"
)


#: Nouns that as the verb of a clause order something to be sent.
_SENDING = stems("email mail message text phone call fax")


def asks_other(clause: Clause, best: Match) -> bool:
    """Whether a clause orders something that its best tool does not do: "encrypt the logs"."""
    verb = clause.verb
    if clause.question and best.tool.effects not in HARMLESS:
        return not instructs(best.profile)  # who asks whether a door is locked locks none
    if verb is None or clause.question or best.verb > 0.0 or verb.stem in GENERAL:
        return False
    if works_on_records(best.profile) or instructs(best.profile):
        return False
    noun = verb.stem in lexicon().things and verb.stem not in _SENDING
    return verb.start not in best.explained and not noun


def speaks_of(clause: Clause, best: Match) -> bool:
    """Whether the clause says one of the nouns that a tool is named for, or a word for it."""
    profile = best.profile
    parts = [stem(part) for part in name_words(profile.tool.name)]
    if not nouns(profile) or works_on_records(profile) or instructs(profile):
        return True
    verb = clause.verb
    if verb is not None and best.verb >= 1.0 and verb.stem in parts and verb.stem not in _COMMON:
        return True
    if verb is None and _does_by_noun(clause, best):
        return True
    if any(item in _option_stems(profile) for item in (word.stem for word in clause.words)):
        return True
    return says_noun(clause, best) or any(
        profile.takes(item.kind) for item in clause.literals if item.kind in _TELLING
    )


def _does_by_noun(clause: Clause, best: Match) -> bool:
    """Whether a noun says what a tool is named for doing: "a summary" of `text.summarize`."""
    acts = {stem(part) for part in name_words(best.tool.name)} & best.profile.verbs - _COMMON
    near = lexicon().nearness
    return any(near(word.stem, act) >= 0.75 for word in clause.words for act in acts)


def nouns(profile: Profile) -> list[str]:
    """Return the stems of the last parts of a tool's name that are no verbs."""
    parts = [stem(part) for part in name_words(profile.tool.name)]
    return [part for part in parts[-3:] if part not in profile.verbs and part not in _FAMILY]


def says_noun(clause: Clause, match: Match, least: float = 0.4) -> bool:
    """Whether a clause says a noun of a tool's name, or a word so near to it at least."""
    near = lexicon().nearness
    plain = words(clause.text)
    said = {word.stem for word in (*clause.words, *plain)}
    said |= {stem(one.lower + other.lower) for one, other in pairwise(plain)}  # "on call"
    return any(near(word, noun) >= least for word in said for noun in nouns(match.profile))


def names_whole(clause: Clause, profile: Profile) -> bool:
    """Whether a phrase says all that a tool is named for: "my workout history"."""
    said = {word.stem for word in words(clause.text)}
    own = nouns(profile)
    return bool(own) and all(noun in said for noun in own)


def _option_stems(profile: Profile) -> frozenset[str]:
    return stems(
        " ".join(
            str(option)
            for slot in profile.slots
            if slot.kind is SlotKind.ENUM and slot.required
            for option in slot.options
        )
    )


#: Verbs that many tools share, so that they tell nothing about what a tool is for.
_COMMON = GENERAL | stems(
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
