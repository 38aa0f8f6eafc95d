"""Clauses that only go on with the one before them: "sort by age, *then by name*"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.lexicon import stems
from flowbuilder.planner.rules.outputs import StepDraft
from flowbuilder.planner.rules.table_patterns import BY, DOWN, UP
from flowbuilder.planner.rules.tables import TableWords

_SORTING = stems("sort order rank arrange")
_FURTHER = re.compile(r"\s*(?:and\s+)?(?:then\s+|after\s+that\s+)?by\s+\S", re.IGNORECASE)


def continued(clauses: Iterable[Clause]) -> list[Clause]:
    """Return clauses in order; a further column to sort by is a part of the one that sorts."""
    result: list[Clause] = []
    for clause in clauses:
        if result and _sorts(result[-1]) and _FURTHER.match(clause.text) and not clause.negated:
            result[-1] = _joined(result[-1], clause)
        else:
            result.append(clause)
    return result


def _sorts(clause: Clause) -> bool:
    verb = clause.verb
    sorts = verb is not None and verb.stem in _SORTING
    return sorts and not clause.negated and bool(TableWords(clause).by())


def _joined(first: Clause, further: Clause) -> Clause:
    return replace(
        first,
        text=f"{first.text}{' ' * (further.start - first.end)}{further.text}",
        end=further.end,
        words=(*first.words, *further.words),
        literals=(*first.literals, *further.literals),
        approval=first.approval or further.approval,
        conditions=(*first.conditions, *further.conditions),
    )


def sorted_both_ways(step: StepDraft) -> Iterator[str]:
    """Say that a direction stands beside one of several columns, and may be meant for it alone."""
    text = step.clause.text if step.clause is not None else ""
    columns = step.args.get("by")
    if not isinstance(columns, list) or len(list(BY.finditer(text))) < 2:
        return
    said = DOWN.search(text) or UP.search(text)
    if said is not None and "descending" in {slot.name for slot in step.profile.slots}:
        yield f"“{said.group()}” may be about one of the columns that {step.id} sorts by"
