"""Arguments about tables: conditions, measures, columns, order, for any tool shaped like one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowbuilder.planner.rules.axes import axes, set_against
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.columns import SIGNS, as_cel, known_columns, takes_cel
from flowbuilder.planner.rules.comparing import Comparison
from flowbuilder.planner.rules.joining import twice
from flowbuilder.planner.rules.lexicon import listed, name_words, stem
from flowbuilder.planner.rules.literals import Kind
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.outputs import StepDraft
from flowbuilder.planner.rules.slots import Slot, SlotKind, resolve
from flowbuilder.planner.rules.table_patterns import NO_FIELD
from flowbuilder.planner.rules.tables import TableWords

_CONDITION_NAMES = listed("where condition conditions filter predicate criteria")
_OPERATOR_NAMES = ("operator", "op", "comparison", "comparator", "relation")
_OPERATOR_WORDS = {
    "gt": (">", "gt", "greater_than", "greater", "above", "more_than"),
    "gte": (">=", "gte", "ge", "at_least", "greater_or_equal"),
    "lt": ("<", "lt", "less_than", "less", "below"),
    "lte": ("<=", "lte", "le", "at_most", "less_or_equal"),
    "eq": ("=", "==", "eq", "equals", "equal", "is"),
    "ne": ("!=", "ne", "not_equal", "not_equals", "not"),
    "contains": ("contains", "includes", "like"),
    "starts_with": ("starts_with", "startswith", "prefix"),
    "ends_with": ("ends_with", "endswith", "suffix"),
    "in": ("in",),
    "not_in": ("not_in",),
}


@dataclass
class TableArguments:
    """Arguments found, what of the goal they used, and what a person should know."""

    values: dict[str, Any] = field(default_factory=dict)
    used: list[tuple[int, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    computed: dict[str, str] = field(default_factory=dict)
    doubts: list[str] = field(default_factory=list)


def condition_slot(profile: Profile) -> Slot | None:
    """Return the parameter that takes conditions on records, if the tool has one."""
    for slot in profile.slots:
        if slot.name in _CONDITION_NAMES:
            return slot
    names = {slot.name: slot for slot in profile.slots}
    if "value" not in names and "operator" not in names:
        return None
    return next((names[name] for name in _OPERATOR_NAMES if name in names), None)


def limits(profile: Profile) -> bool:
    """Whether a tool keeps so many of its records and does nothing else."""
    rows = [slot for slot in profile.slots if slot.kind is SlotKind.RECORDS]
    others = [slot for slot in profile.slots if slot.required and slot not in rows]
    return len(rows) == 1 and [slot.name in _LIMITS for slot in others] == [True]


_LIMITS = listed("limit n top count first number k amount rows_count size")


def _compares_columns(profile: Profile) -> bool:
    """Whether a tool compares a column of the file that it reads by itself."""
    kinds = {slot.kind for slot in profile.slots}
    return condition_slot(profile) is not None and (
        {SlotKind.COLUMN, SlotKind.PATH} <= kinds or {SlotKind.COLUMN, SlotKind.URL} <= kinds
    )


def works_on_records(profile: Profile) -> bool:
    """Whether a tool takes records."""
    return any(slot.kind is SlotKind.RECORDS for slot in profile.slots)


def table_arguments(
    profile: Profile, clause: Clause, before: list[StepDraft], columns: frozenset[str] = frozenset()
) -> TableArguments:
    """Fill the parameters that are about rows and columns.

    `columns` are those that the rows have where no step says it.
    """
    found = TableArguments()
    if not works_on_records(profile) and not _compares_columns(profile):
        return found
    table = TableWords(clause, known_columns(before) or columns)
    known = _computed_columns(before)
    _conditions(profile, table, clause, found, known)
    _against(profile, clause, found, known)
    _renames(profile, clause, found)
    for slot in profile.slots if works_on_records(profile) else ():
        if slot.name in found.values or ("rename" in found.values and _takes_columns(slot)):
            continue
        if _is_measures(profile, slot):
            _measures(slot, table, found, known)
        elif slot.kind in (SlotKind.COLUMN, SlotKind.NAME) or _takes_columns(slot):
            _columns(profile, slot, table, found, known)
        elif slot.kind is SlotKind.BOOLEAN and "descend" in {stem(part) for part in slot.stems}:
            if table.descending:
                found.values[slot.name] = True
        elif slot.kind is SlotKind.NUMBER and slot.name in _LIMITS:
            _limit(slot, table, clause, found)
        elif slot.kind is SlotKind.ENUM:
            _option(slot, table, found)
    return found


_RENAMED = re.compile(
    r"\brename\s+(?:the\s+)?(?:column|field)?\s*[\"“']?(?P<old>[A-Za-z_]\w*)[\"”']?\s+(?:to|into|as)\s+"
    r"[\"“']?(?P<new>[A-Za-z_]\w*)(?![\w./])",
    re.IGNORECASE,
)


def _renames(profile: Profile, clause: Clause, found: TableArguments) -> None:
    """Give a column its new name: "rename qty to quantity"."""
    named = _RENAMED.search(clause.text)
    if named is None or not any(slot.name == "rename" for slot in profile.slots):
        return
    found.values["rename"] = {named["old"]: named["new"]}
    places = [named.span("old"), named.span("new")]
    found.used += [(clause.start + start, clause.start + end) for start, end in places]


def _against(
    profile: Profile, clause: Clause, found: TableArguments, known: Mapping[str, str]
) -> None:
    """Set the two columns of a picture: "total by weekday"."""
    columns, places = set_against(profile, clause) or ({}, [])
    found.values |= {name: _resolved(value, known) for name, value in columns.items()}
    found.used += places


def _computed_columns(before: list[StepDraft]) -> dict[str, str]:
    return next((step.computed for step in reversed(before) if step.computed), {})


def _resolved(name: str, known: Mapping[str, str]) -> str:
    """Return a column's real name: "the total" may be the computed `total_amount`."""
    return name if name in known.values() else known.get(name.lower(), name)


def _conditions(
    profile: Profile, table: TableWords, clause: Clause, found: TableArguments,
    known: Mapping[str, str],
) -> None:  # fmt: skip
    slot = condition_slot(profile)
    if slot is None:
        return
    comparisons = table.comparisons()
    if not comparisons:
        return
    if any(item.operator == "lacking" for item in comparisons):
        found.doubts.append("a comparison in it names no value")
        return
    if any(item.unturned for item in comparisons):
        found.doubts.append("it would keep the rows that are to go")
        return
    if table.unresolved():
        found.doubts.append("a comparison in it names no column")
    found.doubts += [item.doubt for item in comparisons if item.doubt is not None]
    whole = slot.schema.get("type") != "string"
    if whole and (twice(comparisons) or any(item.other is not None for item in comparisons)):
        written = as_cel(comparisons, known, any_of=table.any_of) if takes_cel(slot) else None
        if written is None:
            found.doubts.append("it compares in a way that cannot be written")
            return
        found.values[slot.name] = written
    elif slot.name in _CONDITION_NAMES:
        found.values[slot.name] = (
            _as_object(comparisons, known) if whole else _as_text(comparisons, table, known)
        )
        _join(profile, table, len(comparisons), whole, found)
    else:
        _spread(profile, slot, comparisons, found, known)
    _mark_used(clause, comparisons, found)


def _join(
    profile: Profile, table: TableWords, count: int, whole: bool, found: TableArguments
) -> None:
    """Say that one of several conditions is enough, where a tool can be told so."""
    match = next((other for other in profile.slots if other.name == "match"), None)
    if not table.any_of or count < 2:
        return
    if match is not None and "any" in match.options:
        found.values["match"] = "any"
    elif whole:
        found.doubts.append("it joins its conditions by 'or'")


def _mark_used(clause: Clause, comparisons: list[Comparison], found: TableArguments) -> None:
    starts = {start for item in comparisons for start in item.used}
    found.used += [(item.start, item.end) for item in clause.literals if item.start in starts]
    for item in comparisons:
        words = {item.field.lower(), str(item.value).lower(), item.said}
        words |= (
            {str(part).lower() for part in item.value} if isinstance(item.value, list) else set()
        )
        found.used += [(word.start, word.end) for word in clause.words if word.lower in words]


def _as_object(comparisons: list[Comparison], known: Mapping[str, str]) -> dict[str, Any]:
    where: dict[str, Any] = {}
    for item in comparisons:
        row = where.setdefault(_resolved(item.field, known), {})
        row[item.operator] = item.value
    return where


def _as_text(comparisons: list[Comparison], table: TableWords, known: Mapping[str, str]) -> str:
    parts = []
    for item in comparisons:
        value = item.value
        written = (
            _resolved(item.other, known)
            if item.other is not None
            else "null"
            if value is None
            else str(value).lower()
            if isinstance(value, bool)
            else (f'"{value}"' if isinstance(value, str) else str(value))
        )
        sign = SIGNS.get(item.operator, item.operator)
        parts.append(f"{_resolved(item.field, known)} {sign} {written}")
    return (" or " if table.any_of else " and ").join(parts)


def _spread(
    profile: Profile, slot: Slot, comparisons: list[Comparison], found: TableArguments,
    known: Mapping[str, str],
) -> None:  # fmt: skip
    """Fill `column`, `operator`, `value` parameters from one comparison."""
    item = comparisons[0]
    if len(comparisons) > 1:
        found.doubts.append("it has several conditions and the tool takes one")
    words = _OPERATOR_WORDS.get(item.operator, (item.operator,))
    options = slot.options
    written = {re.sub(r"[\s-]+", "_", str(option).lower()): option for option in options}
    operator = next((written[word] for word in words if word in written), None)
    operator = operator if options else words[0]
    if operator is None:
        found.doubts.append(f"the tool has no operator for {item.operator!r}")
        return
    found.values[slot.name] = operator
    for other in profile.slots:
        if other.kind is SlotKind.COLUMN:
            found.values[other.name] = _resolved(item.field, known)
        elif other.name in ("value", "threshold", "target"):
            text_only = other.schema.get("type") == "string"
            found.values[other.name] = str(item.value) if text_only else item.value


def takes_measures(profile: Profile) -> bool:
    """Whether a tool computes named measures such as sums of columns."""
    return any(_is_measures(profile, slot) or _is_function(slot) for slot in profile.slots)


def measures_by(profile: Profile) -> bool:
    """Whether a tool measures rows by what they have in common."""
    grouped = any(
        slot.kind is SlotKind.COLUMN and "by" in name_words(slot.name) for slot in profile.slots
    )
    return grouped and works_on_records(profile) and takes_measures(profile)


def _is_function(slot: Slot) -> bool:
    """Whether a parameter chooses among sum, mean and the like."""
    names = {str(option).lower() for option in slot.options}
    return sum(bool(names & {key, *words}) for key, words in _SYNONYMS.items()) > 1


def _is_measures(profile: Profile, slot: Slot) -> bool:
    """Whether a parameter is an object of `{name: {fn, of}}`."""
    inner = slot.schema.get("additionalProperties")
    if not isinstance(inner, dict):
        return False
    definitions = profile.tool.input_schema.get("$defs") or {}
    return {"fn", "of"} <= set(resolve(inner, definitions).get("properties") or {})


def _measures(
    slot: Slot, table: TableWords, found: TableArguments, known: Mapping[str, str]
) -> None:
    wanted: dict[str, Any] = {}
    for wish in table.measures():
        column = _resolved(wish.field, known) if wish.field else None
        name = (
            f"{wish.word}_{re.sub(r'[^0-9A-Za-z_]+', '_', wish.field)}" if wish.field else "count"
        )
        wanted[name] = {"fn": wish.function, **({"of": column} if column else {})}
        found.computed.setdefault(wish.word, name)
        if wish.field:
            found.computed.setdefault(wish.field.lower(), name)
        for word in _SYNONYMS.get(wish.function, ()):
            found.computed.setdefault(word, name)
    if wanted:
        found.values[slot.name] = wanted


_SYNONYMS = {
    "sum": ("total", "sum", "totals", "amount"),
    "mean": ("average", "mean", "avg"),
    "count": ("count", "number", "frequency"),
    "max": ("maximum", "max", "highest"),
    "min": ("minimum", "min", "lowest"),
    "median": ("median",),
}


def _takes_columns(slot: Slot) -> bool:
    return slot.many and bool({"field", "column", "drop"} & slot.stems)


def _columns(
    profile: Profile, slot: Slot, table: TableWords, found: TableArguments, known: Mapping[str, str]
) -> None:
    names: list[str] = []
    if slot.name == "on":
        names = table.on()
    elif slot.name in ("by", "group_by", "groupby", "key", "keys", "sort_by", "order_by"):
        names = table.by()
    elif slot.name in ("left_on", "right_on", "rename"):
        return
    elif slot.many:
        dropping = bool(
            re.search(r"\b(?:drop|remove|without|leave out|exclude)\b", table.text, re.I)
        )
        if dropping is ("drop" in slot.stems):
            names = table.columns()
    else:
        names = _single_column(table)
    found.doubts += [f"“{name}” names no column" for name in names if stem(name) in NO_FIELD]
    resolved = [_resolved(name, known) for name in names]
    opposed = profile.takes_axes or axes(profile) is not None
    if opposed and resolved and resolved[0] in found.values.values():
        return
    if resolved:
        one = len(resolved) == 1 and not slot.many
        found.values[slot.name] = resolved[0] if one else resolved


def _single_column(table: TableWords) -> list[str]:
    """Return the column for a tool with `column` or `field`: what is summed or sorted by."""
    measured = [wish.field for wish in table.measures() if wish.field]
    return (measured or table.by() or table.columns())[:1]


def _limit(slot: Slot, table: TableWords, clause: Clause, found: TableArguments) -> None:
    limit = table.limit()
    if limit is None:
        return
    found.values[slot.name] = limit
    found.used += [
        (item.start, item.end)
        for item in clause.literals
        if item.kind is Kind.NUMBER and item.value == limit
    ]


def _option(slot: Slot, table: TableWords, found: TableArguments) -> None:
    """Choose among options such as `asc`/`desc` or `sum`/`mean` by the clause's words."""
    options = {str(option).lower(): option for option in slot.options}
    if {"asc", "desc"} <= set(options) or {"ascending", "descending"} <= set(options):
        if table.descending is not None:
            wanted = "desc" if table.descending else "asc"
            found.values[slot.name] = next(
                value for key, value in options.items() if key.startswith(wanted)
            )
        return
    for wish in table.measures():
        for word in (wish.function, wish.word, *_SYNONYMS.get(wish.function, ())):
            if word in options:
                found.values[slot.name] = options[word]
                return
