"""What a clause says about rows and columns: besides comparisons, totals, grouping, order."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from flowbuilder.planner.rules.lexicon import stem
from flowbuilder.planner.rules.table_comparisons import ComparingWords
from flowbuilder.planner.rules.table_patterns import (
    BY,
    COLUMNS,
    COUNT,
    DOWN,
    EXTREME,
    FUNCTION_WORDS,
    LAST,
    LIMIT,
    MEASURE,
    MEASURES,
    NO_GROUP,
    ON,
    PAIRED,
    TOKEN,
    UP,
)

#: Columns with names of a letter: the first of several that are listed, or any after the first.
_LETTERS = re.compile(
    r"\b(?:columns|fields)\s+(?:called\s+|named\s+)?\w\b|[,\s]and\s+a$", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class MeasureWish:
    """One number to be computed of a column: `word` is what the goal calls it."""

    function: str
    field: str | None
    word: str


class TableWords(ComparingWords):
    """A clause read as words about a table."""

    def measures(self) -> list[MeasureWish]:
        """Return what is to be computed."""
        found: list[tuple[int, MeasureWish]] = []
        for function, pattern in MEASURE:
            for match in pattern.finditer(self.text):
                field = match.group("field")
                word = re.split(r"\s", match.group("word"))[0].lower()
                ranks = function in ("max", "min") and self.limit() is not None
                ranks = ranks or (self.extreme is not None and function in ("max", "min"))
                if self._is_column(field) and not ranks:
                    wish = MeasureWish(function=function, field=self.name(field), word=word)
                    found.append((match.start(), wish))
        for match in PAIRED.finditer(self.text):
            function = next(
                name for name, words in MEASURES if re.fullmatch(words, match.group("word"), re.I)
            )
            following = [wish for place, wish in found if place >= match.end()]
            if following and all(wish.function != function for _, wish in found):
                word = match.group("word").lower()
                found.append((match.start(), replace(following[0], function=function, word=word)))
        if COUNT.search(self.text):
            found.append((999, MeasureWish(function="count", field=None, word="count")))
        return [wish for _, wish in sorted(found, key=lambda pair: pair[0])]

    def _groups(self, text: str) -> bool:
        return stem(text) not in NO_GROUP

    def _is_column(self, text: str) -> bool:
        return bool(TOKEN.fullmatch(text)) or (
            stem(text) not in NO_GROUP and text.lower() not in FUNCTION_WORDS
        )

    def by(self) -> list[str]:
        """Return the columns after "by", "per", "for each"."""
        found: list[str] = []
        for match in BY.finditer(self.text):
            for part in re.split(r"\s*,\s*|\s+and\s+(?:by\s+)?", match.group("fields")):
                if self._groups(part) and self.name(part) not in found:
                    found.append(self.name(part))
        return found or ([self.extreme] if self.extreme is not None else [])

    @property
    def extreme(self) -> str | None:
        """The column of "the row with the highest price"; None if no row is picked so."""
        match = EXTREME.search(self.text)
        return self.name(match.group("field")) if match else None

    @property
    def extreme_of_several(self) -> str | None:
        """The words "the rows with the highest price", of which nobody says how many they are."""
        match = EXTREME.search(self.text)
        return match.group() if match and match.group("many") else None

    @property
    def descending(self) -> bool | None:
        """Largest first, smallest first, or not said."""
        if last := LAST.search(self.text):
            return last.group("low") is not None
        down, up = DOWN.search(self.text), UP.search(self.text)
        if down and up:
            return down.start() < up.start()
        return True if down else False if up else None

    def limit(self) -> int | None:
        """Return N of "top N", "the 3 cheapest", "first ten"."""
        match = LIMIT.search(self.text)
        if not match:
            picked = EXTREME.search(self.text)
            return 1 if picked and not picked.group("many") else None
        value = self.value(match.group("n") or match.group("m"))
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def columns(self) -> list[str]:
        """Return the columns listed after "columns", "only", "select"."""
        match = COLUMNS.search(self.text)
        if not match:
            match = re.search(
                r"(?P<fields>(?:⟦\d+⟧|\w+)(?:\s*,\s*(?:⟦\d+⟧|\w+))*(?:,?\s+and\s+(?:⟦\d+⟧|\w+))?)\s+(?:columns?|fields?)\b",
                self.text,
                re.IGNORECASE,
            )
        if not match:
            return []
        parts = re.split(r"\s*,\s*(?:and\s+)?|\s+and\s+", match.group("fields"))
        cleaned = [re.sub(r"^the\s+", "", part) for part in parts]
        letters = _LETTERS.search(match.group()) is not None  # "columns a and b": "a" is a name
        return [
            self.name(part)
            for part in cleaned
            if part and (self._is_column(part) or (letters and part.lower() == "a"))
        ]

    def on(self) -> list[str]:
        """Return the columns two tables share: "on customer_id", "by id"."""
        return [
            self.name(match.group("field"))
            for match in ON.finditer(self.text)
            if self._is_column(match.group("field"))
        ][:1]
