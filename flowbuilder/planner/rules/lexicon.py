"""General English for matching goals with tools: stems, words, phrases and near synonyms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise
from typing import Any

import yaml

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:['’][A-Za-z]+)?|\d+(?:\.\d+)?|[^\W\d_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_IRREGULAR = {
    "sent": "send", "wrote": "write", "written": "write", "writing": "write", "got": "get",
    "found": "find", "took": "take", "made": "make", "paid": "pay", "told": "tell",
    "sold": "sell", "bought": "buy", "kept": "keep", "people": "person", "children": "child",
    "mice": "mouse", "data": "data", "summaries": "summary", "indices": "index", "news": "news",
    "analysis": "analysis", "status": "status", "address": "address", "does": "do",
    "chosen": "choose", "drawn": "draw", "drew": "draw", "spoken": "speak", "has": "have",
    "using": "use", "sms": "sms", "css": "css", "dns": "dns", "gps": "gps", "rss": "rss",
    "approval": "approve", "conversion": "convert", "extraction": "extract",
    "notification": "notify", "description": "describe", "reservation": "reserve",
    "calculation": "calculate", "calculator": "calculate", "converter": "convert",
    "translator": "translate", "translation": "translate", "transcription": "transcribe",
    "deletion": "delete", "removal": "remove", "schedule": "schedule", "payment": "pay",
}  # fmt: skip
#: Particles of verbs such as "boil … down" that may stand apart from their verb.
_PARTICLES = frozenset({"up", "down", "out", "off", "on", "away", "know", "aloud", "loud"})
#: Words after a particle that stands apart from its verb.
_AFTER_PARTICLE = frozenset({"and", "then", "at", "to", "for", "with", "by", "from", "before"})


@cache
def stem(word: str) -> str:
    """Return what a word shares with its other forms: `translating`, `translated` → `translat`."""
    text = word.lower().replace("’", "'").removesuffix("'s").removesuffix("n't")
    if _IRREGULAR.get(text) == text:
        return text
    text = _IRREGULAR.get(text, text)
    if len(text) <= 3 or not text.isascii():
        return text
    text = _without_plural(text)
    text = _without_ending(text)
    if len(text) > 5 and text.endswith("is"):
        text = text[:-2] + "iz"
    if len(text) > 3 and text.endswith("y"):
        text = text[:-1] + "i"
    return text


def _without_plural(text: str) -> str:
    if text.endswith("ies") and len(text) > 4:
        return text[:-3] + "y"
    if text.endswith(("sses", "shes", "ches", "xes", "zes")):
        return text[:-2]
    if text.endswith("s") and not text.endswith(("ss", "us", "is")):
        return text[:-1]
    return text


def _without_ending(text: str) -> str:
    for ending in ("ing", "ed"):
        base = text.removesuffix(ending)
        if base != text and len(base) > 2 and re.search("[aeiouy]", base):
            if len(base) > 3 and base[-1] == base[-2] and base[-1] not in "lsz":
                base = base[:-1]
            return base.removesuffix("e")
    if text.endswith("ation") and len(text) > 7:
        return text[:-3]
    return text.removesuffix("e") if len(text) > 3 else text


def stems(text: str) -> frozenset[str]:
    """Return the stems of words that are written with blanks between them."""
    return frozenset(stem(word) for word in text.split())


def listed(text: str) -> frozenset[str]:
    """Return words that are written with blanks between them, as they are."""
    return frozenset(text.split())


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a text, or a phrase that counts as one, with its place in the text."""

    text: str
    stem: str
    start: int
    end: int

    @property
    def lower(self) -> str:
        """The word in lower case."""
        return self.text.lower()


def words(text: str, *, start: int = 0) -> list[Word]:
    """Return the words of a text in order; `start` is added to their places."""
    return [
        Word(found.group(), stem(found.group()), start + found.start(), start + found.end())
        for found in _WORD.finditer(text)
    ]


def name_words(name: str) -> list[str]:
    """Return the lower-case parts of an identifier: `fromCurrency`, `from_currency`, `a.b`."""
    return [part.lower() for part in re.split(r"[\W_]+", _CAMEL.sub("_", name)) if part]


def phrase_stem(phrase: str) -> str:
    """Return the stems of a phrase's words joined by blanks."""
    return " ".join(word.stem for word in words(phrase))


@dataclass(frozen=True)
class Lexicon:
    """The word lists of `lexicon.yaml`, by stem."""

    actions: Mapping[str, Mapping[str, float]]
    """For each word: the words that can mean the same action, with a nearness of 0 to 1."""
    things: Mapping[str, Mapping[str, float]]
    phrases: Mapping[str, tuple[tuple[str, ...], ...]]
    """Phrases of several words by their first stem, the longest first."""
    fillers: frozenset[str]
    references: frozenset[str]
    pronouns: frozenset[str]
    currencies: Mapping[str, str]
    currency_codes: frozenset[str]
    currency_signs: Mapping[str, str]
    languages: Mapping[str, str]
    numbers: Mapping[str, int]

    def nearness(self, asked: str, offered: str) -> float:
        """Return how near two stems are: 1 the same, 0 unrelated."""
        if asked == offered or asked.replace(" ", "") == offered.replace(" ", ""):
            return 1.0  # "back up" is what "backup" is the noun for
        return max(
            self.actions.get(asked, {}).get(offered, 0.0),
            self.things.get(asked, {}).get(offered, 0.0),
        )

    def units(self, found: list[Word], more: frozenset[str] = frozenset()) -> list[Word]:
        """Return the words with known phrases joined: `add up`, `boil … down`.

        `more` are stems of phrasal verbs that count beside those of the lexicon: `shut down`.
        """
        units: list[Word] = []
        taken: set[int] = set()
        for index, word in enumerate(found):
            if index in taken:
                continue
            places = self._phrase_at(found, index, taken) or _phrasal(found, index, more)
            if places:
                taken.update(places)
                joined = " ".join(found[place].stem for place in places)
                text = " ".join(found[place].text for place in places)
                adjoining = places[-1] - places[0] == len(places) - 1
                end = found[places[-1]].end if adjoining else word.end
                units.append(Word(text, joined, word.start, end))
            else:
                units.append(word)
        return units

    def _phrase_at(self, found: list[Word], index: int, taken: set[int]) -> tuple[int, ...]:
        for phrase in self.phrases.get(found[index].stem, ()):
            run = found[index : index + len(phrase)]
            if tuple(word.stem for word in run) == phrase and _adjoining(run, phrase):
                return tuple(range(index, index + len(phrase)))
            if len(phrase) == 2 and phrase[1] in _PARTICLES:
                for later in range(index + 2, min(index + 12, len(found))):
                    if found[later].stem == phrase[1] and later not in taken:
                        if (
                            phrase[1] == "out"
                            and found[later + 1 : later + 2]
                            and (found[later + 1].stem == "loud")
                        ):
                            break
                        return (index, later)
        return ()


def _phrasal(found: list[Word], index: int, more: frozenset[str]) -> tuple[int, ...]:
    """Return the places of a phrasal verb: "shut it down", "check Mia in"."""
    for later in range(index + 1, min(index + 12, len(found))):
        if f"{found[index].stem} {found[later].stem}" in more and (
            later == index + 1 or _apart(found, later)
        ):
            return (index, later)
    return ()


def _apart(found: list[Word], place: int) -> bool:
    """Whether a particle apart from its verb is one, and no preposition: it leads nothing in."""
    following = found[place + 1 : place + 2]
    return not following or following[0].lower in _AFTER_PARTICLE


def _adjoining(run: list[Word], phrase: tuple[str, ...]) -> bool:
    """Whether a preposition belongs to its verb: "write to" is not in 'write "hi" to a.txt'."""
    return phrase[-1] not in ("to", "at", "for", "into", "in") or all(
        after.start - before.end <= 3 for before, after in pairwise(run)
    )


@lru_cache(maxsize=1)
def lexicon() -> Lexicon:
    """Return the lexicon, read once."""
    text = resources.files(__package__).joinpath("lexicon.yaml").read_text("utf-8")
    raw: dict[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    groups = [*raw["actions"], *raw["things"]]
    return Lexicon(
        actions=_neighbours(raw["actions"]),
        things=_neighbours(raw["things"]),
        phrases=_phrases(word for group in groups for word in group),
        fillers=frozenset(raw["fillers"]) | frozenset(stem(word) for word in raw["fillers"]),
        references=frozenset(stem(word) for word in raw["references"]),
        pronouns=frozenset(stem(word) for word in raw["pronouns"]),
        currencies=raw["currencies"],
        currency_codes=frozenset(raw["currency_codes"]),
        currency_signs=raw["currency_signs"],
        languages=raw["languages"],
        numbers=raw["number_words"],
    )


def _neighbours(groups: Iterable[list[str]]) -> dict[str, dict[str, float]]:
    """Relate the words of each group: the first is its head, the next four its core."""
    near: dict[str, dict[str, float]] = {}
    for group in groups:
        stems = [phrase_stem(word) for word in group]
        core = set(stems[:5])
        for word in stems:
            for other in stems:
                if other != word:
                    degree = 0.4
                    if stems[0] in (word, other):
                        degree = 0.75
                    elif word in core and other in core:
                        degree = 0.6
                    row = near.setdefault(word, {})
                    row[other] = max(row.get(other, 0.0), degree)
    return near


def _phrases(entries: Iterable[str]) -> dict[str, tuple[tuple[str, ...], ...]]:
    found: dict[str, set[tuple[str, ...]]] = {}
    for entry in entries:
        parts = tuple(word.stem for word in words(entry))
        if len(parts) > 1:
            found.setdefault(parts[0], set()).add(parts)
    return {
        first: tuple(sorted(phrases, key=lambda phrase: (-len(phrase), phrase)))
        for first, phrases in found.items()
    }
