"""Groups that are only made to be measured: "group the orders by region and sum the amount".

Tools that measure by a column group by themselves, and a list of groups has none of the columns of
the rows. So both clauses are one order: sum the amount by region.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from flowbuilder.planner.document import mention_of
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.lexicon import stems
from flowbuilder.planner.rules.literals import Kind
from flowbuilder.planner.rules.outputs import StepDraft, output_fields
from flowbuilder.planner.rules.slots import SlotKind, resolve
from flowbuilder.planner.rules.table_arguments import condition_slot, works_on_records
from flowbuilder.planner.rules.tables import TableWords

_GROUPING = stems("group bucket categorize categorise cluster")
_GROUPED = re.compile(r"\bgroups?\b", re.IGNORECASE)
#: Says of a measure that it is made of every group, which is said by then.
_EACH_GROUP = re.compile(
    r"\b(?:(?:in|of|for|per|within|from|by)\s+)?(?:each|every|per|the)\s+(?:of\s+the\s+)?groups?\b",
    re.IGNORECASE,
)


def regrouped(clauses: Sequence[Clause]) -> list[Clause]:
    """Return clauses in order; of one that groups and one that measures groups, one is made.

    Not where a later one speaks of the groups: those have to be there then.
    """
    result: list[Clause] = []
    for place, clause in enumerate(clauses):
        rest = clauses[place + 1 :]
        measured = _without_group(clause)
        if (
            result
            and _groups(result[-1])
            and _measures(measured)
            and not any(_GROUPED.search(other.text) for other in rest)
        ):
            result[-1] = _joined(result[-1], measured)
        else:
            result.append(clause)
    return result


def _groups(clause: Clause) -> bool:
    plain = not (clause.negated or clause.approval or clause.conditions or clause.question)
    verb = clause.verb
    return plain and verb is not None and verb.stem in _GROUPING and bool(TableWords(clause).by())


def _measures(clause: Clause) -> bool:
    words = TableWords(clause)
    elsewhere = any(item.kind in (Kind.PATH, Kind.URL) for item in clause.literals)
    return not clause.negated and not elsewhere and bool(words.measures()) and not words.by()


def _without_group(clause: Clause) -> Clause:
    """Return a clause without "in each group"."""
    found = _EACH_GROUP.search(clause.text)
    if found is None:
        return clause
    start, end = found.start() + clause.start, found.end() + clause.start
    blank = " " * (found.end() - found.start())
    rows = clause.text[: found.start()] + blank + clause.text[found.end() :]
    words = tuple(word for word in clause.words if not start <= word.start < end)
    return replace(clause, text=rows, words=words, each=None)


def _joined(groups: Clause, measures: Clause) -> Clause:
    """Return the order to measure by what is grouped by."""
    gap = measures.start - groups.end
    return replace(
        measures,
        text=f"{groups.text};{' ' * (gap - 1)}{measures.text}",
        start=groups.start,
        words=(*measures.words, *(word for word in groups.words if word is not groups.verb)),
        literals=(*groups.literals, *measures.literals),
        later=groups.later,
        extra=(*groups.extra, *measures.extra),
    )


def taken_as_rows(steps: Sequence[StepDraft]) -> Iterator[str]:
    """Say which step looks for columns in a list of groups."""
    for step in steps:
        wanted = set(_columns(step)) if works_on_records(step.profile) else set()
        for other in steps:
            fields = _fields_of_groups(other)
            if fields and other is not step and mention_of(other.id).search(str(step.args)):
                missing = ", ".join(f"“{name}”" for name in sorted(wanted - fields))
                if missing:
                    yield f"{step.id} takes groups, which have no {missing}"


def _fields_of_groups(step: StepDraft) -> set[str]:
    """Return the fields of the groups that a step gives; none where it gives no groups."""
    definitions = step.profile.tool.output_schema.get("$defs") or {}
    for item in output_fields(step.profile):
        inner = item.schema.get("items")
        element = resolve(inner, definitions) if isinstance(inner, dict) else {}
        names = set(element.get("properties") or {})
        if {"key", "records"} <= names:
            return names
    return set()


def _columns(step: StepDraft) -> Iterator[str]:
    """Yield the columns that a step's arguments name."""
    conditions = condition_slot(step.profile)
    for slot in step.profile.slots:
        value = step.args.get(slot.name)
        if slot is conditions and isinstance(value, dict):
            yield from value
        elif slot.kind is SlotKind.COLUMN:
            names = value if isinstance(value, list) else [value]
            yield from (name.lstrip("-") for name in names if isinstance(name, str))
        else:
            yield from _measured(value)


def _measured(value: Any) -> Iterator[str]:
    for measure in value.values() if isinstance(value, dict) else ():
        if isinstance(measure, dict) and isinstance(measure.get("of"), str):
            yield measure["of"]
