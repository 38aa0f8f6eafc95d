"""The numbers that a text states: in figures, in words, as shares, and in another unit."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen"
)
_ONES = {word: number for number, word in enumerate(_SMALL.split())}
_TENS = {
    word: 10 * number
    for number, word in enumerate(
        ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), 2
    )
}
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
_SPOKEN: dict[str, float] = {
    **_ONES,
    **_TENS,
    **{word: number for number, word in enumerate(_ORDINALS.split(), 1)},
    "half": 0.5,
    "quarter": 0.25,
    "dozen": 12,
    "couple": 2,
    "pair": 2,
    "both": 2,
    "twice": 2,
    "single": 1,
    "once": 1,
    "double": 2,
    "triple": 3,
    "thrice": 3,
}
_POWERS: dict[str, float] = {
    "hundred": 100,
    "thousand": 1e3,
    "k": 1e3,
    "million": 1e6,
    "mln": 1e6,
    "m": 1e6,
    "billion": 1e9,
    "bn": 1e9,
    "b": 1e9,
    "trillion": 1e12,
}
_FIGURE = re.compile(
    r"(?P<figure>(?<![\w.])[-+−]?\d+(?:,\d{3})+(?:\.\d+)?"
    r"|(?<!\d)(?<!\d\.)[-−]?(?:(?<![a-z])\.)?\d+(?:\.\d+)?)"
    r"(?:\s*(?:e|[x×*]\s*10\s*(?:\^|\*\*)?)\s*\(?(?P<power>[-+−]?\d{1,3}(?!\d))\)?)?"
    r"(?:\s*/\s*(?P<under>\d+(?:\.\d+)?))?"
    r"\s*-?(?P<scale>hundred|thousand|million|billion|trillion|mln|bn|[kmb](?!\w))?"
    r"(?P<share>\s*(?:%|percent|per cent))?"
)
_POWER_OF_TEN = re.compile(r"10\s*(?:\^|\*\*)\s*\(?([-−]?\d{1,3})(?!\d)\)?")
_SCALES = ("hundred", "thousand", "million", "billion", "trillion")
_HIGHEST_POWER = 300
#: What a number may be multiplied by when it is told in another unit than it stands before.
_UNITS: tuple[tuple[str, tuple[float, ...]], ...] = (
    (r"hours?|hrs?|h", (60, 3600)),
    (r"min(?:ute)?s?", (60, 1 / 60)),
    (r"days?", (24, 1440, 86400)),
    (r"weeks?", (7,)),
    (r"months?", (1 / 12, 30)),
    (r"years?", (12, 365)),
    (r"decades?", (10,)),
    (r"dozens?", (12,)),
    (r"tons?|lit(?:er|re)s?", (1000,)),
    (r"cents?", (0.01,)),
    (r"feet|foot|ft", (12,)),
    (r"(?:m|milli)(?:m|met(?:er|re)s?|g|grams?|s|seconds?|v|volts?|a|amperes?|h|henr(?:y|ies)|l)",
     (1e-3, 0.1)),
    (r"(?:c|centi)(?:m|met(?:er|re)s?)", (0.01,)),
    (r"(?:k|kilo)(?:m|met(?:er|re)s?|g|grams?|w|watts?|j|joules?|v|volts?|hz|hertz|pa)", (1e3,)),
    (r"(?:µ|μ|u|micro)(?:m|met(?:er|re)s?|f|farads?|c|coulombs?|g|grams?|s|seconds?)", (1e-6,)),
    (r"(?:n|nano)(?:m|met(?:er|re)s?|f|farads?|c|coulombs?|s|seconds?)", (1e-9,)),
    (r"(?:mega|giga)\w+|mhz|mw|mj", (1e6, 1e9)),
    (r"m|met(?:er|re)s?", (100, 0.001)),
    (r"g|grams?", (0.001,)),
    (r"pi|π", (3.141592653589793, 3.14159, 3.1416, 3.14)),
)  # fmt: skip
_TOLD_IN = [
    (re.compile(rf"(?:\s*-?\s*)(?:{unit})(?![a-zµμ])"), factors) for unit, factors in _UNITS
]
#: One of something without a figure: "the next week", "per hour", "every month", "at rest".
_ONE_UNIT = re.compile(
    r"\b(?:an?|next|last|past|this|per|every|each|one)\s+(?P<unit>hour|minute|day|week|month|year|"
    r"decade|dozen)\b"
)
_IMPLIED: tuple[tuple[re.Pattern[str], tuple[float, ...]], ...] = (
    (re.compile(r"\b(?:rest|stationary|dropped|drops|origin|vacuum|none|nothing|free)\b"), (0,)),
    (re.compile(r"\bannual|\byearly|\bper year"), (1,)),
    (re.compile(r"\b(?:semi|bi)-?annual"), (2,)),
    (re.compile(r"\bquarterly"), (4,)),
    (re.compile(r"\bmonthly"), (12,)),
    (re.compile(r"\bweekly"), (52,)),
    (re.compile(r"\bdaily"), (365,)),
)
_STRICT = re.compile(
    r"\b(?P<how>less|fewer|under|below|more|over|above|greater)(?:\s+than)?\s+(?P<number>\d+)"
)


class Quantities:
    """The numbers of a text."""

    def __init__(self, text: str) -> None:
        lowered = text.lower()
        self._stated = {*_figures(lowered), *_spoken(lowered), *_implied(lowered)}

    def state(self, number: float) -> bool:
        """Whether a number is stated, whatever its sign, maybe in another unit."""
        try:
            wanted = abs(float(number))
        except OverflowError:
            return False
        return any(
            math.isclose(wanted, abs(one), rel_tol=1e-6, abs_tol=1e-15) for one in self._stated
        )


def _figures(text: str) -> Iterator[float]:
    for match in _FIGURE.finditer(text):
        parts = match["figure"].replace("−", "-")
        number = float(parts.replace(",", ""))
        yield number
        yield from (float(part) for part in parts.split(",")) if "," in parts else ()
        if match["power"] and abs(int(match["power"].replace("−", "-"))) < _HIGHEST_POWER:
            number *= 10.0 ** int(match["power"].replace("−", "-"))
            yield number
        if match["under"] and float(match["under"]):
            yield from (number / float(match["under"]), float(match["under"]))
        if match["scale"]:
            yield number * _POWERS[match["scale"].lower()]
        if match["share"]:
            yield number / 100
        yield from _converted(number, text, match.end("figure"))
    for match in _POWER_OF_TEN.finditer(text):
        power = int(match[1].replace("−", "-"))
        if abs(power) < _HIGHEST_POWER:
            yield 10.0**power


def _converted(number: float, text: str, end: int) -> Iterator[float]:
    """Yield a number in other units than the one that stands behind it."""
    for unit, factors in _TOLD_IN:
        if unit.match(text, end):
            yield from (number * factor for factor in factors)


def _implied(lowered: str) -> Iterator[float]:
    for words, numbers in _IMPLIED:
        if words.search(lowered):
            yield from numbers
    for match in _ONE_UNIT.finditer(lowered):
        yield 1.0
        yield from _converted(1.0, match["unit"], 0)
    for match in _STRICT.finditer(lowered):
        less = match["how"] in ("less", "fewer", "under", "below")
        yield float(match["number"]) + (-1 if less else 1)


def _spoken(lowered: str) -> Iterator[float]:
    """Yield each number in words, and those that words next to each other make together."""
    total, part, seen = 0.0, 0.0, False
    found = [(match.group(), match.end()) for match in re.finditer(r"[a-z]+", lowered)]
    for word, end in [*found, ("", 0)]:
        if word in _SPOKEN:
            yield _SPOKEN[word]
            yield from _converted(_SPOKEN[word], lowered, end)
            part, seen = part + _SPOKEN[word], True
        elif word in _SCALES:
            if word == "hundred":
                part = (part if seen else 1.0) * 100
            else:
                total, part = total + (part if seen else 1.0) * _POWERS[word], 0.0
            seen = True
            yield total + part
        elif seen and word != "and":
            yield total + part
            total, part, seen = 0.0, 0.0, False
