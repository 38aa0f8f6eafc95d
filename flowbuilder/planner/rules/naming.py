"""Values that a parameter's own noun points out: "the *billing* service", "host *web3*"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.fitting import KEPT_NOUNS
from flowbuilder.planner.rules.lexicon import Word, lexicon, listed, name_words, stem, stems, words
from flowbuilder.planner.rules.literals import Kind
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.phrases import Candidate
from flowbuilder.planner.rules.slots import Slot, SlotKind
from flowbuilder.planner.rules.table_patterns import ROWS


def noun_of(slot: Slot, item: Candidate, clause: Clause) -> list[tuple[int, int]]:
    """Return the place of the noun before a JSON value: "with the *JSON* {…}" says what it is."""
    return [
        (word.start, word.end)
        for word in clause.words
        if item.kind is Kind.JSON
        and word.stem in slot.stems
        and not clause.text[word.end - clause.start : item.start - clause.start].strip(" :")
    ]


_NAMED_KINDS = frozenset({SlotKind.NAME, SlotKind.CODE})
_FOLDERS = stems("folder directory dir")
#: Parts of a parameter's name that stand beside any noun.
_GENERIC = stems("name id identifier number code title no ref key of the to from in")
#: Words that tell one thing from another without being its name.
_DESCRIBING = listed(
    "new old same other another current previous next last first second third whole entire main "
    "only own right wrong different given certain specific particular correct proper single "
    "running broken failing failed dead live slow fast big small large little good bad best worst "
    "different following above below remaining missing affected important urgent active inactive "
    "following relevant respective appropriate entire complete latest newest oldest early late "
    "full empty open closed free busy high low top bottom big great long short more most less no "
    "any some each every all both several many few two three four five six seven eight nine ten"
)
_PLAIN_GAP = re.compile(r"\s+")
_TOKEN = re.compile(
    r"\s+(?P<value>[A-ZÀ-Þ][\w'’-]*[a-zß-ÿ](?:\s+[A-ZÀ-Þ][\w'’-]*[a-zß-ÿ])+"
    r"|(?=[\w.-]*[A-Z\d])[\w.-]*\w)"
)


def named_by_noun(
    slot: Slot, profile: Profile, clause: Clause, used: Sequence[tuple[int, int]]
) -> tuple[str, int, int] | None:
    """Return the value that a parameter's noun points out, with the place of both.

    None for parameters whose noun the clause does not say, or says without a name.
    """
    nouns = slot.stems - _GENERIC
    folder = slot.kind is SlotKind.PATH and bool(slot.stems & _FOLDERS)
    if not (slot.kind in _NAMED_KINDS or folder) or not nouns or slot.many:
        return None
    said = words(clause.text, start=clause.start)
    tool_words = {stem(part) for part in name_words(profile.tool.name)} - nouns
    options = {stem(str(option)) for other in profile.slots for option in other.options}
    for index, word in enumerate(said):
        if word.stem not in nouns or _taken(word, used):
            continue
        before = _modifiers(said[:index], word, clause, used, tool_words | options)
        if before:
            part = word.stem in KEPT_NOUNS or word.text[:1].isupper()
            start, end = before[0].start, word.end if part else before[-1].end
            text = clause.text[start - clause.start : end - clause.start]
            return text, start, word.end
        after = _TOKEN.match(clause.text, word.end - clause.start)
        after = after or _lower_name(profile, clause, word)
        if after and not _inside(clause.start + after.start("value"), used):
            return after.group("value"), word.start, clause.start + after.end()
    return None


_LIMITS = listed("count limit number top n amount max_results how_many quantity size results")


def counted_things(profile: Profile, clause: Clause, binding: Binding) -> None:
    """Set an optional number of results from a count of the tool's noun: "*6* attractions"."""
    own = {stem(part) for part in name_words(profile.tool.name)}
    limits = [
        slot
        for slot in profile.slots
        if slot.kind is SlotKind.NUMBER and slot.name in _LIMITS and slot.name not in binding.args
    ]
    for item in clause.literals if len(limits) == 1 else ():
        after = words(clause.text[max(item.end - clause.start, 0) :])[:2]
        plural = any(word.stem in own and word.lower.endswith("s") for word in after)
        if item.kind is Kind.NUMBER and plural and not _inside(item.start, binding.used):
            binding.args[limits[0].name] = item.value
            binding.used.append((item.start, item.end))
            return


_LOWER = re.compile(
    r"\s+(?P<value>[a-z][\w-]{2,})(?=\s*$|\s*[,.;!?]|\s+(?:to|from|into|in|on|at|for|with|and|by|as|"
    r"of|out|off|via|over|during|since|between|until|within|before|after|about|through|than)\b)"
)


_CONTAINERS = stems("table bucket collection index sheet queue database dataset")


def _lower_name(profile: Profile, clause: Clause, noun: Word) -> re.Match[str] | None:
    """Return a lower-case name right after its noun: "the bucket *nightly*", "branch *hotfix*"."""
    found = _LOWER.match(clause.text, noun.end - clause.start)
    if found is None or (noun is clause.verb) or noun.lower.endswith("s"):
        return None
    known = lexicon()
    said = stem(found.group("value"))
    common = said in known.fillers or said in known.references or said in known.things
    if noun.stem in _CONTAINERS and found.group("value").endswith("s") and said not in ROWS:
        common = False  # "the table invoices": what it holds is its name
    return None if common or said in profile.weights else found


def _modifiers(
    before: Sequence[Word],
    noun: Word,
    clause: Clause,
    used: Sequence[tuple[int, int]],
    reserved: set[str],
) -> list[Word]:
    """Return the one or two words right before a noun that name which one is meant."""
    found: list[Word] = []
    right = noun.start
    verb = clause.verb
    for word in reversed(before[-3:]):
        gap = clause.text[word.end - clause.start : right - clause.start]
        if not _PLAIN_GAP.fullmatch(gap) and gap != "-":
            break
        if verb is not None and word.start < verb.end:
            break
        proper = word.text[:1].isupper()
        if _taken(word, used) or word.stem in reserved:
            break
        filler = word.stem in lexicon().fillers and word.lower != "back"
        if filler and not (proper and found):
            break
        if word.lower in _DESCRIBING and not proper:
            return []
        found.insert(0, word)
        right = word.start
    return found if len(found) <= 2 else []


def _taken(word: Word, used: Sequence[tuple[int, int]]) -> bool:
    return _inside(word.start, used)


def _inside(place: int, used: Sequence[tuple[int, int]]) -> bool:
    return any(start <= place < end for start, end in used)
