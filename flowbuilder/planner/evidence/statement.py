"""What a user said, as evidence for the values of a plan: a value has some or is made up."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from flowbuilder.planner.evidence.implied import implied_words
from flowbuilder.planner.evidence.quantities import Quantities
from flowbuilder.planner.rules.lexicon import lexicon, stem
from flowbuilder.planner.rules.literals import find_literals
from flowbuilder.types import JsonValue

#: How much of a text's letters, small words aside, must stand in what was said.
_ENOUGH = 0.7
#: A text of more signs than this counts as said wherever its signs stand, blanks aside.
_SHORTEST_PIECE = 3
#: Words behind a comma that complete a place.
_COMPLETING = 3
_WORD = re.compile(r"[^\W_]+")
#: A run of signs that is no word, number or address.
_RUN = re.compile(r"\S{200,}")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?")
_SMALL = frozenset(
    _WORD.findall("a an and at by de for from in is it no of on or per s the to with")
)
_MONTHS = "january february march april may june july august september october november december"
_MONTH = {name[:3]: number for number, name in enumerate(_MONTHS.split(), 1)}
_DATE = re.compile(r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}")
#: Signs and short forms, and what they are short for.
_SHORT = {
    "$": "usd dollar", "€": "eur euro", "£": "gbp pound", "¥": "jpy yen cny yuan", "%": "percent",
    "°": "degree", "us": "united states usa america", "usa": "united states us america",
    "uk": "united kingdom britain", "nyc": "new york city", "la": "los angeles",
    "sf": "san francisco", "dc": "washington", "kg": "kilogram", "km": "kilometer",
    "c": "celsius", "f": "fahrenheit", "ny": "new york", "ca": "california",
    "dollar": "usd", "dollars": "usd", "euro": "eur", "euros": "eur", "pound": "gbp",
    "pounds": "gbp", "yen": "jpy",
}  # fmt: skip
_DESCRIBED_DEFAULT = re.compile(r"(?i)\bdefault(?:s|ed|ing)?\b[^.;]{0,80}")


class Statement:
    """The goal and what else the user gave, read for what it is evidence of."""

    def __init__(self, said: str) -> None:
        self._said = _plain(said)
        self._tight = _tight(said)
        self._goal = said

    def supports(self, value: JsonValue, shape: Mapping[str, Any]) -> bool:
        """Whether a value was said, or follows from its schema alone.

        What cannot be said in a word (true, false, null, an empty text) always is; of lists and
        objects each part has to be.
        """
        if value is None or isinstance(value, bool) or value in ("", [], {}):
            return True
        if _is_constant(value, shape):
            return True
        if isinstance(value, int | float):
            return self._quantities.state(value)
        if isinstance(value, str):
            return self._says(value)
        inner = shape.get("items")
        if isinstance(value, list):
            return all(
                self.supports(item, inner if isinstance(inner, Mapping) else {}) for item in value
            )
        known = shape.get("properties")
        fields = known if isinstance(known, Mapping) else {}
        return all(self.supports(item, fields.get(key) or {}) for key, item in value.items())

    def _says(self, value: str) -> bool:
        plain, tight = _plain(value), _tight(value)
        if f" {plain} " in f" {self._said} " or (
            (len(tight) > _SHORTEST_PIECE or not value.isascii()) and tight and tight in self._tight
        ):
            return True
        if not tight:
            return True  # signs alone: a separator
        if _NUMBER.fullmatch(value.strip()):
            return self._quantities.state(float(value))
        if _DATE.search(value):
            return all(self._dates_say(found) for found in _DATE.findall(value))
        if len(value) == 2 and value.isupper():
            return self._abbreviates(value)
        if (whole := _completed(value)) is not None and f" {_plain(whole)} " in f" {self._said} ":
            return True
        words = [word for word in plain.split() if word not in _SMALL] or plain.split()
        weight = {word: len(word) for word in words}
        held = sum(size for word, size in weight.items() if self._has(word))
        return held >= _ENOUGH * sum(weight.values())

    def _has(self, word: str) -> bool:
        if word.isdecimal():
            return word in self._words or self._quantities.state(float(word))
        known = self._stems
        if word in self._words or stem(word) in known:
            return True
        if any(part in self._words for part in _SHORT.get(word, "").split()):
            return True
        shared = max(5, len(word) - 3)
        return len(word) >= shared and any(
            len(other) >= shared and other[:shared] == word[:shared] for other in self._words
        )

    def _abbreviates(self, code: str) -> bool:
        """Whether two capitals are short for what was said: "IL" for Illinois."""
        named = re.findall(rf"\b{code[0]}[a-z]+", self._goal)
        return self._has(code.lower()) or any(
            name[1] == code[1].lower() or name[-1] == code[1].lower() for name in named
        )

    def _dates_say(self, date: str) -> bool:
        """Whether the day and the month of a date were said, its year too if it could be."""
        parts = [int(part) for part in re.findall(r"\d+", date)]
        named = re.findall(r"[a-z]{3,}", self._said)
        months = {_MONTH[word[:3]] for word in named if word[:3] in _MONTH}
        missing = [
            part for part in parts if part not in months and not self._quantities.state(part)
        ]
        return len(missing) == 0 or (len(missing) == 1 and missing[0] > 31)

    @cached_property
    def _quantities(self) -> Quantities:
        return Quantities(self._goal)

    @cached_property
    def _words(self) -> frozenset[str]:
        words = set(self._said.split())
        for item in (*words, *(sign for sign in "$€£¥%°" if sign in self._goal)):
            words.update(_SHORT.get(item, "").split())
            words.update(_plain(code) for code in _codes(item))
        for literal in find_literals(_RUN.sub(" ", self._goal)):
            words.update(_plain(f"{literal.value} {literal.unit or ''}").split())
        words.update(implied_words(self._said))
        said = self._said.split()
        words.update(
            "".join(part[0] for part in said[i : i + n])
            for n in (2, 3, 4)
            for i in range(len(said))
        )
        return frozenset(words)

    @cached_property
    def _stems(self) -> frozenset[str]:
        return frozenset(stem(word) for word in self._words)


def _completed(value: str) -> str | None:
    """Return the place that a text completes: "Manhattan" of "Manhattan, New York"."""
    place, comma, rest = value.partition(",")
    named = comma and len(_plain(place)) > _SHORTEST_PIECE and not re.search(r"\d", value)
    return place if named and place[:1].isupper() and len(rest.split()) <= _COMPLETING else None


def _codes(word: str) -> list[str]:
    """Return the codes of a language or a currency: `es` for Spanish."""
    known = lexicon()
    codes = (known.languages.get(word.capitalize()), known.currencies.get(word))
    return [code for code in codes if code is not None]


def _is_constant(value: JsonValue, shape: Mapping[str, Any]) -> bool:
    """Whether a value is the default of its schema, or the only one there is."""
    if "default" in shape and _same(shape["default"], value):
        return True
    if "const" in shape or len(shape.get("enum") or ()) == 1:
        return True
    told = _DESCRIBED_DEFAULT.search(str(shape.get("description") or ""))
    if told is None or isinstance(value, list | dict):
        return False
    return f" {_plain(str(value))} " in f" {_plain(told.group())} "


def _same(one: Any, other: JsonValue) -> bool:
    return type(one) is type(other) and bool(one == other)


def _plain(text: str) -> str:
    """Return the words of a text in lower case, without accents."""
    apart = unicodedata.normalize("NFKD", text)
    bare = "".join(sign for sign in apart if not unicodedata.combining(sign))
    return " ".join(_WORD.findall(bare.casefold().replace("_", " ")))


def _tight(text: str) -> str:
    bare = text.casefold().replace("**", "^").replace("²", "^2").replace("³", "^3")
    return re.sub(r"[^\w^+*/=<>-]|_", "", bare)
