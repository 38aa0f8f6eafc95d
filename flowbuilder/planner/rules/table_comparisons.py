"""What a clause compares: columns with values, and with each other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.comparing import Comparison
from flowbuilder.planner.rules.joining import joined
from flowbuilder.planner.rules.lexicon import stem
from flowbuilder.planner.rules.literals import Kind, Literal, parse_number
from flowbuilder.planner.rules.table_patterns import (
    AGAINST,
    BARE,
    BETWEEN,
    COMPARING,
    COMPARISONS,
    EQUAL,
    EXCEPT,
    EXCEPTED,
    FUNCTION_WORDS,
    LACKING,
    MARK,
    NO_FIELD,
    NO_OTHER,
    OPPOSITE,
    OR_MORE,
    REMOVE,
    ROWS,
    TOKEN,
    TRAILING,
)
from flowbuilder.planner.rules.vague import plainly
from flowbuilder.types import JsonValue

#: What counts how often something is done, and compares nothing: "up to 3 *times*".
_HOW_OFTEN = re.compile(r"\s*(?:times|retries|attempts|tries)\b", re.IGNORECASE)


def _overlaps(match: re.Match[str], taken: list[tuple[int, int]]) -> bool:
    end = match.end("value" if "value" in match.re.groupindex else 0)
    return any(first < end and match.start("field") < last for first, last in taken)


class ComparingWords:
    """A clause read as words that compare columns of a table."""

    def __init__(self, clause: Clause, columns: frozenset[str] = frozenset()) -> None:
        self._columns = {name.lower(): name for name in columns}
        self._literals = [
            item
            for item in clause.literals
            if item.kind not in (Kind.PATH, Kind.URL, Kind.LANGUAGE, Kind.EMAIL)
        ]
        text = clause.text
        for index, item in reversed(list(enumerate(self._literals))):
            start, end = item.start - clause.start, item.end - clause.start
            text = f"{text[:start]}⟦{index}⟧{text[end:]}"
        for item in clause.literals:
            if item.kind in (Kind.PATH, Kind.URL, Kind.EMAIL):
                text = re.sub(
                    rf"(?:\b(?:of|in|from|to|into|as)\s+)?{re.escape(item.text)}", ", ", text
                )
        self.text = text

    def comparisons(self) -> list[Comparison]:
        """Return the comparisons of columns with values, turned round where rows are removed."""
        return self._joined[0]

    @cached_property
    def _joined(self) -> tuple[list[Comparison], bool]:
        """The comparisons, and whether one of them is enough."""
        found, either = joined(self._with_exception(self._found()), self.text)
        if self.removing:
            found = [self._turned(item) for item in found]
        return found, either is not self.removing

    def _found(self) -> list[Comparison]:
        found: list[Comparison] = []
        taken: list[tuple[int, int]] = []

        for match in BETWEEN.finditer(self.text):
            taken.append(match.span())
            found += [
                self._comparison(match, "gte", match.group("value")),
                self._comparison(match, "lte", match.group("upper")),
            ]
        for match in TRAILING.finditer(self.text):
            if stem(match.group("field")) not in ROWS:
                taken.append(match.span())
                operator = next(name for name in ("gte", "lte", "gt", "lt") if match.group(name))
                found.append(self._comparison(match, operator, match.group("value")))
        found += self._set_against(taken)
        for operator, pattern in COMPARISONS:
            for match in pattern.finditer(self.text):
                if not _overlaps(match, taken) and self._is_field(match.group("field")):
                    found += self._worded(operator, match, taken)
        for match in LACKING.finditer(self.text):
            inside = any(first < match.end() and match.start() < last for first, last in taken)
            joins = match.group("joined") is None or (found and self._is_field(match["field"]))
            if joins and not inside:
                taken.append(match.span())
                found.append(self._comparison(match, "lacking", None))
        found += self._equalities(taken)
        found += () if found else self._bare()
        return found

    def _with_exception(self, found: list[Comparison]) -> list[Comparison]:
        """Doubt an exception from rows that a comparison has picked already."""
        exception = EXCEPTED.search(self.text)
        if exception is None or all(item.start >= exception.start() for item in found):
            return found
        if all(item.start < exception.start() for item in found):
            return found
        doubt = f"“{exception.group()}” takes back a part of what is said before it"
        return [
            replace(item, doubt=doubt) if item.start >= exception.start() else item
            for item in found
        ]

    def _set_against(self, taken: list[tuple[int, int]]) -> Iterator[Comparison]:
        """Yield the comparisons of one column with another."""
        for operator, pattern in AGAINST:
            for match in pattern.finditer(self.text):
                field, value = match.group("field"), match.group("value")
                if _overlaps(match, taken) or not self._is_field(field):
                    continue
                left, right = self.name(field), self.name(value)
                sure = left.lower() in self._columns and right.lower() in self._columns
                if not sure and not self._may_be_column(operator, match):
                    continue
                taken.append(match.span())
                found = self._comparison(match, operator, value)
                quoted = TOKEN.fullmatch(value) and not self._is_name(value)
                if sure or match.group("noun"):
                    yield replace(found, other=self._columns.get(right.lower(), right))
                elif quoted:
                    yield replace(found, doubt=f"“{right}” may be another column")
                else:
                    yield replace(found, other=right, doubt=f"“{right}” was taken as a column")

    def _may_be_column(self, operator: str, match: re.Match[str]) -> bool:
        """Whether what something is compared with can be a column, and hardly a value."""
        value = match.group("value")
        named = self._is_field(value) and re.fullmatch(r"[A-Za-z_][\w. -]*", self.name(value))
        if not named or stem(value) in NO_OTHER or value.lower() in FUNCTION_WORDS:
            return False
        if match.group("noun"):
            return True
        return operator in ("gt", "gte", "lt", "lte") and not match.group("the")

    def _is_name(self, text: str) -> bool:
        token = TOKEN.fullmatch(text)
        return token is not None and self._literals[int(token.group(1))].kind is not Kind.QUOTED

    def _worded(
        self, operator: str, match: re.Match[str], taken: list[tuple[int, int]]
    ) -> Iterator[Comparison]:
        if operator in ("empty", "filled"):
            taken.append(match.span())
            yield self._comparison(match, "eq" if operator == "empty" else "ne", None)
        elif self._is_value(operator, match.group("value")):
            taken.append(match.span())
            yield self._comparison(match, operator, match.group("value"))

    def _equalities(self, taken: list[tuple[int, int]]) -> Iterator[Comparison]:
        if not MARK.search(self.text):
            return
        for match in EQUAL.finditer(self.text):
            inside = any(start < match.end() and match.start() < end for start, end in taken)
            if inside or not self._is_field(match.group("field")):
                continue
            found = self._comparison(match, "eq", match.group("value"))
            others = re.findall(r"⟦\d+⟧|[\w-]+", re.sub(r"\bor\b", " ", match.group("others")))
            if others:
                values: list[JsonValue] = [found.value, *(self.value(other) for other in others)]
                used = (*found.used, *self.used(match.group("others")))
                found = replace(found, operator="in", value=values, used=used)
            yield found

    def _bare(self) -> Iterator[Comparison]:
        """Return "those with status open", where no word stands between column and value."""
        for match in BARE.finditer(self.text):
            field, value = stem(match.group("field")), stem(match.group("value"))
            if field not in ROWS | NO_FIELD and value not in ROWS:
                yield self._comparison(match, "eq", match.group("value"))

    def unresolved(self) -> bool:
        """Whether a comparison is worded whose column could not be made out."""
        places = [(item.start, item.end) for item in self.comparisons()]
        return any(
            not any(start <= match.start() < end for start, end in places)
            for match in COMPARING.finditer(self.text)
        )

    def _is_field(self, text: str) -> bool:
        token = TOKEN.fullmatch(text)
        if token:
            kind = self._literals[int(token.group(1))].kind
            return kind in (Kind.IDENTIFIER, Kind.DOTTED, Kind.QUOTED)
        return stem(text) not in ROWS

    def _is_value(self, operator: str, text: str) -> bool:
        if operator in ("gt", "gte", "lt", "lte"):
            return bool(TOKEN.fullmatch(text)) or text[:1].isdigit() or text[:1] in "+-"
        return text.lower() not in ("and", "or")

    def _comparison(self, match: re.Match[str], operator: str, value: str | None) -> Comparison:
        more = match.groupdict().get("more")
        if more:
            operator = OR_MORE[more.split()[-1].lower()]
        used = [
            self._literals[int(token)].start
            for part in (match.group("field"), value or "", match.groupdict().get("value") or "")
            for token in TOKEN.findall(part)
        ]
        found = Comparison(
            field=self.name(match.group("field")),
            operator=operator,
            value=None if value is None else self.value(value),
            start=match.start(),
            end=match.end(),
            used=tuple(used),
        )
        how_often = _HOW_OFTEN.match(self.text, match.end())
        if how_often is not None:
            found = replace(found, doubt=f"“{how_often.group().strip()}” may say how often")
        return plainly(found, value)

    def _turned(self, item: Comparison) -> Comparison:
        opposite = OPPOSITE.get(item.operator)
        if opposite is None and item.operator != "lacking":
            return replace(item, unturned=True)
        return replace(item, operator=opposite) if opposite else item

    @property
    def removing(self) -> bool:
        """Whether the rows that are spoken of are to go."""
        if REMOVE.search(self.text):
            return not EXCEPT.search(self.text)
        return EXCEPTED.search(self.text) is not None

    @property
    def any_of(self) -> bool:
        """Whether one of several comparisons is enough.

        Where rows go for which two things hold, those stay for which one of them does not.
        """
        return self._joined[1]

    def name(self, text: str) -> str:
        """Return the column name that a word or a literal stands for."""
        token = TOKEN.fullmatch(text)
        return str(self._literals[int(token.group(1))].value) if token else text

    def value(self, text: str) -> JsonValue:
        """Return the JSON value that a word or a literal stands for."""
        token = TOKEN.fullmatch(text)
        if token:
            return self._literal_value(self._literals[int(token.group(1))])
        if re.fullmatch(r"[+-]?\d[\d,]*(?:\.\d+)?", text):
            return parse_number(text)
        said = text if text == "NO" else text.lower()  # a country, unlike "no"
        return {"true": True, "false": False, "yes": True, "no": False}.get(said, text)

    @staticmethod
    def _literal_value(literal: Literal) -> JsonValue:
        if literal.kind is Kind.DURATION:
            number = re.match(r"[\d.]+", literal.text)
            return parse_number(number.group()) if number else literal.value
        return literal.value

    def used(self, text: str) -> list[int]:
        """Return the start places of the literals inside a matched text."""
        return [self._literals[int(token)].start for token in TOKEN.findall(text)]
