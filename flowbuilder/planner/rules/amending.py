"""Clauses that only add to the step before: "create a ticket and assign it to Ben"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from flowbuilder.planner.rules.binding import bind
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.composition import Composition
from flowbuilder.planner.rules.slots import Slot, SlotKind

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
    found |= {} if not pointing else _named_last(clause, step.profile.slots, found)
    for slot in step.profile.slots:
        meant = _says(clause, slot) if pointing else _orders(clause, slot)
        if slot.name in found and slot.name not in step.args and meant:
            step.args[slot.name] = found[slot.name]
            plan.doubts.append(f"“{clause.text}” was taken as the {slot.name} of {step.id}.")
            return True
    return False


#: A plain name at the end, which only the parameter's verb tells from other words.
_LAST = re.compile(
    r"\b(?:it|them)\s+(?:to|as|with)\s+"
    r"(?!(?:me|us|him|her|them|it|this|that|someone|somebody|everyone|nobody)\b)"
    r"(?P<name>\w[\w.@'’-]*)\W*$",
    re.IGNORECASE,
)
_NAMES = frozenset({SlotKind.NAME, SlotKind.CODE, SlotKind.EMAIL})


def _named_last(clause: Clause, slots: Sequence[Slot], found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the one name at a clause's end for the parameter of its verb: "assign it to ben"."""
    last = _LAST.search(clause.text)
    meant = [
        slot for slot in slots if slot.kind in _NAMES and not slot.many and _orders(clause, slot)
    ]
    if last is None or len(meant) != 1 or meant[0].name in found or clause.literals:
        return {}
    return {meant[0].name: last.group("name")}


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
