"""Rows that a clause speaks of in passing, which a step before its own has to pick out.

"Write the orders above 100 to big.csv" filters first, "the first 5 rows" takes the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flowbuilder.planner.rules.binding import bind
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.composition import Composition
from flowbuilder.planner.rules.literals import Kind
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.outputs import StepDraft, tabular
from flowbuilder.planner.rules.reading import without
from flowbuilder.planner.rules.slots import SlotKind
from flowbuilder.planner.rules.table_arguments import condition_slot, limits, works_on_records
from flowbuilder.planner.rules.tables import TableWords


def narrowing(
    clause: Clause, profile: Profile, profiles: Sequence[Profile], steps: list[StepDraft]
) -> Profile | None:
    """Return the tool that picks out the rows, where the clause's own one, `profile`, cannot."""
    if not steps or not tabular(steps):
        return None
    fitting: list[Profile] = []
    if _compares(clause, profile):
        fitting = [one for one in profiles if condition_slot(one) and works_on_records(one)]
    if len(fitting) != 1 and _takes_some(clause, profile):
        fitting = [one for one in profiles if limits(one)]
    return fitting[0] if len(fitting) == 1 else None


def _compares(clause: Clause, profile: Profile) -> bool:
    return condition_slot(profile) is None and bool(TableWords(clause).comparisons())


def _takes_some(clause: Clause, profile: Profile) -> bool:
    if any(slot.kind is SlotKind.NUMBER for slot in profile.slots) or not works_on_records(profile):
        return False
    words = TableWords(clause)
    return words.limit() is not None and words.extreme is None


def narrow(plan: Composition, clause: Clause, profile: Profile) -> Clause:
    """Add the step that picks out the rows; return the clause without what it has taken care of."""
    table = [item for item in clause.literals if item.kind not in (Kind.PATH, Kind.EMAIL)]
    narrowed = replace(clause, literals=tuple(table), approval=False, conditions=())
    binding = bind(profile, narrowed, plan.steps)
    plan.ask_for(plan.add(profile, narrowed, binding), binding.missing)
    plan.doubts += [f"In “{clause.text}”: {doubt}." for doubt in binding.doubts]
    plan.notes.append(
        f"A step {profile.tool.name} was added for the rows that “{clause.text}” speaks of."
    )
    return without(clause, binding.used)
