"""Clauses that only add to the step before: "create a ticket and assign it to Ben"."""

from __future__ import annotations

import re

from flowbuilder.planner.rules.binding import bind
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.composition import Composition
from flowbuilder.planner.rules.slots import Slot

_POINTS = re.compile(r"\b(?:it|its|them|their)\b", re.IGNORECASE)
#: A shorter common beginning says nothing: "assign" and "assignee" share six letters.
_SHARED = 3


def amend(plan: Composition, clause: Clause) -> bool:
    """Give the latest step an argument that a clause adds to it; return whether it took one."""
    if not plan.steps:
        return False
    step = plan.steps[-1]
    pointing = _POINTS.search(clause.text) is not None
    found = bind(step.profile, clause, []).args
    for slot in step.profile.slots:
        meant = _says(clause, slot) if pointing else _orders(clause, slot)
        if slot.name in found and slot.name not in step.args and meant:
            step.args[slot.name] = found[slot.name]
            plan.doubts.append(f"“{clause.text}” was taken as the {slot.name} of {step.id}.")
            return True
    return False


def _says(clause: Clause, slot: Slot) -> bool:
    """Whether a word of the clause is, or begins, the parameter's name."""
    return any(_alike(word.stem, part) for word in clause.words for part in slot.stems)


def _orders(clause: Clause, slot: Slot) -> bool:
    """Whether the verb alone names the parameter: "attach receipts.zip"."""
    verb = clause.verb
    return verb is not None and any(_alike(verb.stem, part) for part in slot.stems)


def _alike(said: str, part: str) -> bool:
    shorter = min(len(said), len(part))
    return shorter >= _SHARED and (said.startswith(part) or part.startswith(said))
