"""Which tool a clause asks for: lexical match with synonyms, weighed by rarity and by types."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.lexicon import (
    Word,
    lexicon,
    name_words,
    phrase_stem,
    stem,
    stems,
    words,
)
from flowbuilder.planner.rules.literals import Kind, Literal
from flowbuilder.planner.rules.particles import named_phrasal, opposed, ordered_by_noun
from flowbuilder.planner.rules.slots import Slot, SlotKind, resolve, tool_slots
from flowbuilder.tools import HARMLESS, Tool

#: Literals that say by themselves what sort of parameter they are meant for.
ACCEPTS: dict[Kind, frozenset[SlotKind]] = {
    Kind.URL: frozenset({SlotKind.URL}),
    Kind.EMAIL: frozenset({SlotKind.EMAIL}),
    Kind.PHONE: frozenset({SlotKind.PHONE}),
    Kind.PATH: frozenset({SlotKind.PATH}),
    Kind.CHANNEL: frozenset({SlotKind.CHANNEL}),
    Kind.CURRENCY: frozenset({SlotKind.CURRENCY}),
    Kind.LANGUAGE: frozenset({SlotKind.LANGUAGE}),
    Kind.IDENTIFIER: frozenset({SlotKind.CODE, SlotKind.COLUMN}),
    Kind.EXPRESSION: frozenset({SlotKind.EXPRESSION}),
    Kind.DOTTED: frozenset({SlotKind.JSON_PATH}),
    Kind.DATE: frozenset({SlotKind.DATE, SlotKind.TIME}),
    Kind.TIME: frozenset({SlotKind.TIME, SlotKind.DATE}),
    Kind.DURATION: frozenset({SlotKind.SPAN}),
    Kind.DIMENSIONS: frozenset({SlotKind.NUMBER}),
    Kind.MONEY: frozenset({SlotKind.NUMBER}),
}
_BONUS = {
    Kind.EXPRESSION: 0.9,
    Kind.IDENTIFIER: 0.5,
    Kind.DATE: 0.35,
    Kind.TIME: 0.35,
    Kind.MONEY: 0.4,
    Kind.DURATION: 0.5,
    Kind.DIMENSIONS: 0.5,
}
#: Below this a match is no match.
FLOOR = 0.65
#: From here on a match may be called certain, if nothing comes near it.
SURE = 1.15
MARGIN = 1.2


@dataclass(frozen=True)
class Profile:
    """A tool as the matcher sees it."""

    tool: Tool
    slots: tuple[Slot, ...]
    weights: dict[str, float]
    """How much a word says about the tool, by stem."""
    verbs: frozenset[str]
    phrases: tuple[tuple[str, ...], ...] = ()
    """Keywords of several words, by stem."""
    told: frozenset[str] = frozenset()
    """Stems of the names of what it gives, for questions."""
    phrasal: frozenset[str] = frozenset()
    """Phrasal verbs that its name has, apart or as a noun: `shut down` for `host.shutdown`."""

    @property
    def reads(self) -> bool:
        """Whether it works on a text or on records that another tool may have to load."""
        return any(slot.kind in (SlotKind.TEXT, SlotKind.RECORDS) for slot in self.slots)

    @property
    def takes_axes(self) -> bool:
        """Whether two of its parameters name columns that are set against each other."""
        return {"x", "y"} <= {slot.name.split("_")[0] for slot in self.slots}

    def takes(self, kind: Kind) -> bool:
        """Whether a parameter is made for literals of this kind."""
        accepted = ACCEPTS.get(kind, frozenset())
        return any(slot.kind in accepted for slot in self.slots)


@dataclass(frozen=True)
class Match:
    """How well a tool fits a clause."""

    profile: Profile
    score: float
    verb: float
    """How near the clause's verb is to what the tool does, 0 to 1."""
    explained: frozenset[int]
    """Places of the words that the tool's own words account for."""

    @property
    def tool(self) -> Tool:
        """The tool."""
        return self.profile.tool


class ToolIndex:
    """The tools of one registry with the rarity of their words."""

    def __init__(self, tools: Iterable[Tool]) -> None:
        self.profiles = tuple(_profile(tool) for tool in tools)
        counts = Counter(word for profile in self.profiles for word in profile.weights)
        total = max(len(self.profiles), 1)
        self._rarity = {
            word: math.log(1 + total / count) / math.log(1 + total)
            for word, count in counts.items()
        }
        self._named = frozenset(
            stem(part) for profile in self.profiles for part in name_words(profile.tool.name)
        )
        self.verbs = frozenset(
            verb
            for profile in self.profiles
            for verb in (*profile.verbs, *profile.phrasal, *_named_pairs(profile))
        )

    def without(self, excluded: Profile, kinds: Iterable[Kind]) -> ToolIndex:
        """Return the index of the harmless tools but one, and but those for such literals.

        Rarity stays that of the whole.
        """
        unwanted = set(kinds)
        rest = copy(self)
        rest.profiles = tuple(
            profile
            for profile in self.profiles
            if profile is not excluded
            and profile.tool.effects in HARMLESS
            and not any(profile.takes(kind) for kind in unwanted)
        )
        return rest

    def rank(self, clause: Clause) -> list[Match]:
        """Return the tools by how well they fit a clause, best first, ties by name.

        What does the opposite is left out: "turn it off" never is `turn_on`.
        """
        content = _content(clause, self._named)
        found = [
            self._match(clause, content, profile)
            for profile in self.profiles
            if not opposed(clause, profile.phrasal)
        ]
        return sorted(found, key=lambda match: (-match.score, match.tool.name))

    def _match(self, clause: Clause, content: Sequence[Word], profile: Profile) -> Match:
        verb = clause.verb
        verb_fit, verb_score, explained = 0.0, 0.0, set()
        nouns = 0.0
        for word in content:
            best, fit = self._best(
                word.stem,
                profile,
                is_verb=word is verb and not clause.question,
                verbless=verb is None,
            )
            if clause.question and word.stem in profile.told:
                best, fit = max(best, _TOLD), max(fit, 0.55)
            if fit >= 0.55:
                explained.add(word.start)
            if verb is not None and word is verb:
                verb_fit, verb_score = fit, 1.2 * best
                if word.stem in profile.verbs and profile.weights[word.stem] == 1.0:
                    verb_score += 0.3
            else:
                nouns += best
        if verb is None:
            nouns *= 1.25
        score = verb_score + nouns / (1 + 0.25 * nouns)
        score += self._types(clause.literals, profile) + _phrase_bonus(clause, profile)
        if (
            profile.tool.effects not in HARMLESS
            and verb_fit < 0.45
            and not (verb is not None and verb.stem in PLAIN_VERBS and nouns >= 0.6)
        ):
            score -= 0.5  # what changes the world has to be asked for by a verb
        return Match(profile, score, verb_fit, frozenset(explained))

    def _best(
        self, word: str, profile: Profile, *, is_verb: bool, verbless: bool
    ) -> tuple[float, float]:
        best, fit = 0.0, 0.0
        for offered, near in _related(word, profile, is_verb=is_verb):
            role = 1.0 if near == 1.0 or not is_verb or offered in profile.verbs else 0.5
            if not is_verb and verbless and offered in profile.verbs:
                role = 1.3
            value = near * role * profile.weights[offered] * self._rarity[offered]
            best = max(best, value)
            fit = max(fit, near * min(role, 1.0) * min(1.0, profile.weights[offered] * 1.3))
        return best, fit

    def _types(self, literals: Sequence[Literal], profile: Profile) -> float:
        score = 0.0
        for literal in {item.kind: item for item in literals}.values():
            if literal.kind in ACCEPTS:
                weight = _BONUS.get(literal.kind, 0.7)
                if profile.takes(literal.kind):
                    score += weight
                elif not (literal.kind in _BRIDGED and profile.reads):
                    score -= (1.2 if literal.kind in _ADDRESSES else 0.4) * weight
        return score


#: Literals that another tool can turn into what is wanted: a file into its text.
_BRIDGED = frozenset({Kind.URL, Kind.PATH})
#: Literals that say where something is to be sent.
_ADDRESSES = frozenset({Kind.EMAIL, Kind.PHONE, Kind.CHANNEL})
#: Verbs that say little: the noun after them says what is to be done.
PLAIN_VERBS = stems("put make get do set take use run give have")
#: What a question gains by a word for something that a tool gives.
_TOLD = 0.75
_CONVERT = stem("convert")


def _phrase_bonus(clause: Clause, profile: Profile) -> float:
    """Reward a keyword of several words that stands in the clause as it is."""
    said = " ".join(word.stem for word in words(clause.text)) + " "
    return 0.5 if any(" ".join(phrase) + " " in said for phrase in profile.phrases) else 0.0


#: Nouns that say nothing unless a tool is named for them: "the result of the match".
_BLAND = stems("content contents result results output answer copy name")


def _content(clause: Clause, named: frozenset[str]) -> list[Word]:
    """Return the words of a clause that can tell tools apart."""
    known = lexicon()
    inside = [(item.start, item.end) for item in clause.literals if item.kind in _SILENT]
    kept = []
    for word in clause.words:
        if any(start <= word.start < end for start, end in inside):
            continue
        bland = word.stem in _BLAND and word.stem in named
        if word is clause.verb or bland or word.stem not in known.fillers:
            kept.append(word)
    return kept


_SILENT = frozenset({Kind.CURRENCY, Kind.LANGUAGE, Kind.DATE, Kind.TIME, Kind.NUMBER})


def _related(word: str, profile: Profile, *, is_verb: bool) -> Iterable[tuple[str, float]]:
    """Return the tool's words that a word may mean; a thing is seldom meant as what is done."""
    if word in profile.weights:
        yield word, 1.0
    known = lexicon()
    acts = 0.5 if word in _LISTED and not is_verb else 1.0
    for other, degree in known.actions.get(word, {}).items():
        if other in profile.weights:
            yield other, acts * degree
    for other, degree in known.things.get(word, {}).items():
        if other in profile.weights:
            yield other, degree
    for other in (f"{word}at", word.removesuffix("at")):  # "invite", "invitation"
        if other != word and other in profile.weights:
            yield other, 0.9


#: Verbs that are plain nouns anywhere but at a clause's beginning: "the guest list".
_LISTED = stems("list table record log file record order copy note")


def _named_pairs(profile: Profile) -> list[str]:
    """Return the pairs of a tool's name that order something together: "book room"."""
    parts = [stem(part) for part in name_words(profile.tool.name)]
    acts = lexicon().actions
    return [f"{first} {second}" for first, second in pairwise(parts) if first in acts]


def _profile(tool: Tool) -> Profile:
    weights: dict[str, float] = {}
    slots = tool_slots(tool)

    def add(text: str, weight: float) -> None:
        known = lexicon()
        for unit in (*known.units(words(text)), *words(text)):
            if unit.stem not in known.fillers or " " in unit.stem:
                weights[unit.stem] = max(weights.get(unit.stem, 0.0), weight)

    for slot in slots:
        add(" ".join(name_words(slot.name)), 0.45)
        add(str(slot.schema.get("description") or ""), 0.25)
        add(" ".join(map(str, slot.options)), 0.4)
    for example in tool.examples:
        add(example, 0.5)
    add(_first_sentence(tool.summary), 0.75)
    keywords = [part.strip() for keyword in tool.keywords for part in keyword.split(",")]
    for keyword in keywords:
        add(keyword, 0.7)
        weights[phrase_stem(keyword)] = 0.9
    names = name_words(tool.name)
    for part in names:
        weights[stem(part)] = 1.0
    if len(names) == 3 and names[1] in ("to", "2"):  # "html_to_text" converts
        weights[_CONVERT] = 0.9
    joined = {unit.stem for unit in lexicon().units(words(" ".join(names))) if " " in unit.stem}
    weights |= dict.fromkeys(joined, 1.0)
    opening = [word.stem for word in words(_first_sentence(tool.summary))[:1]]
    for word in opening:
        weights[word] = max(weights.get(word, 0.0), 0.9)
    verbs = _verbs(names, keywords) | {*opening} | ({_CONVERT} & weights.keys())
    verbs |= {unit for unit in joined if unit in lexicon().actions}
    apart = named_phrasal(names)
    weights |= dict.fromkeys(apart, 1.0)
    weights |= dict.fromkeys((verb.replace(" ", "") for verb in apart), 1.0)
    verbs |= ordered_by_noun(names, apart)
    phrases = (tuple(word.stem for word in words(keyword)) for keyword in keywords)
    several = tuple(phrase for phrase in phrases if len(phrase) > 1)
    return Profile(tool, slots, weights, frozenset(verbs), several, _told(tool), apart)


def _verbs(names: Sequence[str], keywords: Sequence[str]) -> set[str]:
    """Return the stems in a tool's name and keywords that say what it does."""
    known = lexicon()
    verbs = {
        stem(part)
        for place, part in enumerate(names)
        if stem(part) in known.actions
        if not (place and stem(names[0]) in known.actions and _is_plural(part))
    }
    if len(names) > 1:
        verbs = {verb for verb in verbs if verb not in known.things}
    return verbs | {phrase_stem(word) for word in keywords if phrase_stem(word) in known.actions}


def _is_plural(word: str) -> bool:
    """Whether a part of a name says what is acted upon: the `transfers` of `list_transfers`."""
    return len(word) > 3 and word.endswith("s") and not word.endswith("ss")


def _told(tool: Tool) -> frozenset[str]:
    """Return the stems of the fields that a harmless tool's output has."""
    if tool.effects not in HARMLESS:
        return frozenset()
    definitions: Mapping[str, Any] = tool.output_schema.get("$defs") or {}
    top = resolve(tool.output_schema, definitions)
    items = top.get("items")
    if isinstance(items, dict):
        top = resolve(items, definitions)
    names = top.get("properties") or ()
    return frozenset(stem(part) for name in names for part in name_words(name))


def _first_sentence(text: str) -> str:
    return text.split(". ")[0]
