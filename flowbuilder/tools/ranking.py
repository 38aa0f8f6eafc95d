"""Lexical ranking of tools against a text: BM25 over name, keywords, examples and summary."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence

from flowbuilder.tools.contract import Tool

_WORD = re.compile(r"[a-z0-9]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SATURATION = 1.2  # BM25 k1: how soon a repeated word stops counting
_LENGTH_WEIGHT = 0.5  # BM25 b: how much a long description costs
_NAME_WEIGHT, _KEYWORD_WEIGHT, _TEXT_WEIGHT = 3, 2, 1
_STOP_WORDS = frozenset(
    _WORD.findall(
        "a an and any are as at be by each every for from have i if in into is it its me my of on "
        "or our out please some so than that the their them then there these this those to up us "
        "was we what which who will with would you your"
    )
)
_ENDINGS = (
    "ization",
    "ations",
    "ation",
    "ingly",
    "ments",
    "ment",
    "ings",
    "ing",
    "ies",
    "ied",
    "ers",
    "er",
    "es",
    "ed",
    "s",
    "e",
    "y",
)
_SHORTEST_STEM = 3


def words(text: str) -> list[str]:
    """Return the stems of a text's words, stop words left out."""
    lowered = _CAMEL.sub(" ", text).lower()
    return [stem(word) for word in _WORD.findall(lowered) if word not in _STOP_WORDS]


def stem(word: str) -> str:
    """Cut one common English ending: `averages`, `averaged` and `averaging` meet."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST_STEM:
            cut = word[: -len(ending)]
            return cut[:-1] if len(cut) > _SHORTEST_STEM and cut[-1] == cut[-2] else cut
    return word


class Ranking:
    """The word statistics of a fixed list of tools."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        self._tools = list(tools)
        self._counts = [_counts(tool) for tool in self._tools]
        self._lengths = [sum(counts.values()) for counts in self._counts]
        self._mean = sum(self._lengths) / len(self._lengths) if self._lengths else 1.0
        self._holders = Counter(word for counts in self._counts for word in counts)

    def best(self, text: str, limit: int) -> list[tuple[Tool, float]]:
        """Return at most `limit` tools with a score above zero, best first."""
        asked = set(words(text))
        scored = [
            (tool, self._score(asked, counts, length))
            for tool, counts, length in zip(self._tools, self._counts, self._lengths, strict=True)
        ]
        fitting = [pair for pair in scored if pair[1] > 0]
        return sorted(fitting, key=lambda pair: (-pair[1], pair[0].name))[: max(limit, 0)]

    def _score(self, asked: set[str], counts: Counter[str], length: int) -> float:
        norm = 1 - _LENGTH_WEIGHT + _LENGTH_WEIGHT * length / self._mean
        return sum(
            self._rarity(word)
            * counts[word]
            * (_SATURATION + 1)
            / (counts[word] + _SATURATION * norm)
            for word in asked & counts.keys()
        )

    def _rarity(self, word: str) -> float:
        holders = self._holders[word]
        return math.log(1 + (len(self._tools) - holders + 0.5) / (holders + 0.5))


def _counts(tool: Tool) -> Counter[str]:
    counts: Counter[str] = Counter()
    for weight, text in (
        (_NAME_WEIGHT, tool.name.replace("_", " ")),
        (_KEYWORD_WEIGHT, " ".join(tool.keywords)),
        (_TEXT_WEIGHT, tool.summary),
        (_TEXT_WEIGHT, " ".join(tool.examples)),
    ):
        for word in words(text):
            counts[word] += weight
    return counts
