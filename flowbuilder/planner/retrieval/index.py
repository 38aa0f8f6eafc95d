"""An inverted index over tools: which hold a stem, and how much it says about them.

What a posting holds depends on its tool alone, so that adding tools one by one ends in the same
index as building it at once. How rare a stem is, is counted when it is asked for.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Iterable, Mapping, Sequence

from flowbuilder.planner.retrieval.vocabulary import Profile, profile
from flowbuilder.tools import Tool

#: BM25's k1 and b, and the weight of a tool's words that counts as usual.
_SATURATION, _LENGTH_WEIGHT, _USUAL_WEIGHT = 0.9, 0.7, 25.0
#: What the impact of a stem can never reach.
FULL = _SATURATION + 1
#: A stem of more than so many tools, and of more than this share of them, finds none by itself.
_COMMON, _COMMON_SHARE = 64, 0.05


class Index:
    """The tools of one registry by their words, and by what they give."""

    def __init__(self) -> None:
        self.profiles: dict[str, Profile] = {}
        self.givers: dict[str, set[str]] = {}
        """Names of tools by the key of a field that they give."""
        self.names: dict[str, set[str]] = {}
        """Names of tools by how they are written in lower case."""
        self._postings: dict[str, dict[str, float]] = {}

    def update(self, tools: Iterable[Tool]) -> None:
        """Make the index one of exactly these tools, at the cost of those that changed."""
        wanted = {tool.name: tool for tool in tools}
        for name in [name for name in self.profiles if name not in wanted]:
            self._remove(name)
        for name, tool in wanted.items():
            present = self.profiles.get(name)
            if present is not None and present.tool is tool:
                continue
            if present is not None:
                self._remove(name)
            self._add(profile(tool))

    def rarity(self, stem: str) -> float:
        """Return how much it says that a tool holds a stem: near 0 if nearly all do."""
        holders = len(self._postings.get(stem, ()))
        return math.log(1 + (len(self.profiles) - holders + 0.5) / (holders + 0.5))

    def holders(self, stem: str) -> Mapping[str, float]:
        """Return the names of the tools that hold a stem, each with an impact of 0 to `FULL`."""
        return self._postings.get(stem, {})

    def candidates(
        self, stems: Sequence[str], most: int, among: Collection[str] | None = None
    ) -> list[str]:
        """Return the names of the tools that fit some stems best, best first, ties by name."""
        known = sorted((len(self._postings[s]), s) for s in stems if s in self._postings)
        common = max(_COMMON, _COMMON_SHARE * len(self.profiles))
        scores: dict[str, float] = {}
        for holders, stem in known:
            impacts, rarity = self._postings[stem], self.rarity(stem)
            if holders > common and len(scores) >= most:
                for name in impacts.keys() & scores.keys():
                    scores[name] += rarity * impacts[name]
            else:
                for name, impact in impacts.items():
                    if among is None or name in among:
                        scores[name] = scores.get(name, 0.0) + rarity * impact
        best = heapq.nsmallest(most, ((-score, name) for name, score in scores.items()))
        return [name for _, name in best]

    def _add(self, found: Profile) -> None:
        name = found.tool.name
        self.profiles[name] = found
        length = sum(found.weights.values()) / _USUAL_WEIGHT
        slack = _SATURATION * (1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * length)
        for stem, weight in found.weights.items():
            self._postings.setdefault(stem, {})[name] = FULL * weight / (weight + slack)
        for key in found.gives:
            self.givers.setdefault(key, set()).add(name)
        self.names.setdefault(name.lower(), set()).add(name)

    def _remove(self, name: str) -> None:
        found = self.profiles.pop(name)
        for stem in found.weights:
            held = self._postings[stem]
            del held[name]
            if not held:
                del self._postings[stem]
        for key in found.gives:
            _discard(self.givers, key, name)
        _discard(self.names, name.lower(), name)


def _discard(named: dict[str, set[str]], key: str, name: str) -> None:
    names = named[key]
    names.discard(name)
    if not names:
        del named[key]
