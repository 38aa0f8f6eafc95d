"""Which tools do what an invented name says, by the words of their names and summaries."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from math import log
from weakref import WeakKeyDictionary

from flowbuilder.likeness import like, plain
from flowbuilder.tools import HARMLESS, Tool, ToolRegistry

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
#: How much of what a name says a tool must speak of.
_COVERED = 0.72
_ENDINGS = ("isation", "ization", "izers", "isers", "izer", "iser", "ize", "ise", "ations",
            "ation", "ings", "ing", "ers", "ors", "ions", "ion", "ies", "ment", "ed", "er", "or",
            "es", "s", "al", "e")  # fmt: skip
_FILLERS = frozenset({"a", "an", "and", "by", "for", "from", "in", "of", "on", "or", "the", "to",
                      "tool", "with", "model", "step", "task"})  # fmt: skip
#: What a word counts that only the description has.
_TEXT_WEIGHT = 0.8
#: Words of a name that say more than what it converts from and to.
_MANY = 3
_MOST_REMEMBERED = 256
_CONVERTS = frozenset({"to", "2"})


@dataclass(frozen=True, slots=True)
class _Profile:
    name: frozenset[str]
    sides: tuple[str, str] | None
    text: frozenset[str]
    phrases: str
    """The stems of the description in order, spaces between them and around."""
    acronyms: frozenset[str]


class Likeness:
    """Finds the tools that an invented name may mean.

    None of them does anything to the world, misspelt ones excepted: an effect is never guessed.
    """

    def __init__(self, registry: ToolRegistry) -> None:
        self._names = registry.names()
        self._found: dict[str, list[str]] = {}
        harmless = (tool for tool in registry if tool.effects in HARMLESS)
        self._tools = {tool.name: _profile(tool) for tool in harmless}
        counts: Counter[str] = Counter()
        for profile in self._tools.values():
            counts.update(profile.name | profile.text)
        total = len(self._tools) + 1
        self._rarity = {word: log(1 + total / count) for word, count in counts.items()}
        self._unknown = log(1 + total)

    @classmethod
    def among(cls, registry: ToolRegistry) -> Likeness:
        """Return the likeness of a registry's tools, kept until the tools are others."""
        present = tuple([id(tool) for tool in registry])
        known = _KNOWN.get(registry)
        if known is None or known[0] != present:
            known = _KNOWN[registry] = (present, cls(registry))
        return known[1]

    def tools(self, name: str) -> list[str]:
        """Return the tools that say all that a name says, and nothing against it; best first.

        A misspelt name has one alone, whatever it does.
        """
        if name not in self._found:
            if len(self._found) >= _MOST_REMEMBERED:
                self._found.clear()
            near = name if name in self._names else like(name, self._names)
            self._found[name] = [near] if near is not None else self._telling(name)
        return self._found[name]

    def _telling(self, name: str, most: int = 4) -> list[str]:
        scored = [(self._score(name, item), other) for other, item in self._tools.items()]
        good = sorted((-score, other) for score, other in scored if score >= _COVERED)
        return [other for score, other in good[:most] if score <= good[0][0] + 0.25]

    def _score(self, name: str, profile: _Profile) -> float:
        if name.isupper() and plain(name) in profile.acronyms:
            return 1.0
        told = words(name)
        asked = frozenset(told)
        if len(told) > 1 and f" {' '.join(told)} " in profile.phrases:
            return 1.0
        sides = _sides(name)
        if sides is not None and sides != profile.sides and len(asked) < _MANY:
            return 0.0  # from text to speech is not from video to text
        if not asked & profile.name or (asked - profile.name and profile.name - asked):
            return 0.0  # an image's generation is not a text's
        found = self._sum(asked & profile.name)
        found += _TEXT_WEIGHT * self._sum(asked & (profile.text - profile.name))
        rest = self._sum(profile.name - asked)
        return found / self._sum(asked) - 0.05 * rest

    def _sum(self, stems: Iterable[str]) -> float:
        return sum(self._rarity.get(stem, self._unknown) for stem in stems)


#: By registry, with the tools that it had.
_KNOWN: WeakKeyDictionary[ToolRegistry, tuple[tuple[int, ...], Likeness]] = WeakKeyDictionary()


def words(text: str) -> list[str]:
    """Return the stems of a text's telling words; `fetchPages` has two."""
    found = [_stem(word.lower()) for word in _WORD.findall(text)]
    return [word for word in found if word not in _FILLERS]


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word.removesuffix(ending)
    return word


def _sides(name: str) -> tuple[str, str] | None:
    """Return what a name converts from and to: `Image-to-Text`."""
    found = [word.lower() for word in _WORD.findall(name)]
    at = next((place for place, word in enumerate(found) if word in _CONVERTS), 0)
    return (_stem(found[at - 1]), _stem(found[at + 1])) if 0 < at < len(found) - 1 else None


def _profile(tool: Tool) -> _Profile:
    said = " ".join([tool.summary, *tool.keywords, *tool.examples])
    stems = words(said)
    return _Profile(
        name=frozenset(words(tool.name)),
        sides=_sides(tool.name),
        text=frozenset(stems),
        phrases=f" {' '.join(stems)} ",
        acronyms=_acronyms(said),
    )


def _acronyms(text: str) -> frozenset[str]:
    """Return the initials of every three to five words in a row: OCR, NER."""
    initials = [word[0].lower() for word in re.findall(r"[A-Za-z]+", text)]
    runs: Iterable[str] = (
        "".join(initials[start : start + length])
        for length in (3, 4, 5)
        for start in range(len(initials) - length + 1)
    )
    return frozenset(runs)
