"""Sums with one side from an earlier step: "250 times *that rate*", "the total plus 5"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.outputs import StepDraft, main_field, reference, sources
from flowbuilder.planner.rules.slots import SlotKind

_SIGNS = {"times": "*", "multiplied by": "*", "plus": "+", "minus": "-", "divided by": "/"}
_SIGN = r"(?P<sign>times|multiplied\s+by|plus|minus|divided\s+by|[-+*/])"
_NUMBER = r"(?P<number>\d+(?:\.\d+)?)"
_GIVEN = r"(?:it|(?:that|this|the)(?:\s+(?!\d)\w+){0,2})"
_SUM = re.compile(rf"\b{_NUMBER}\s*{_SIGN}\s*{_GIVEN}\s*$", re.IGNORECASE)
_TURNED = re.compile(rf"\b{_GIVEN}\s+{_SIGN}\s*{_NUMBER}\s*$", re.IGNORECASE)


def bind_sum(profile: Profile, clause: Clause, steps: list[StepDraft], binding: Binding) -> None:
    """Write a sum of a number and what a step gives, where the tool reckons expressions."""
    open_slots = [
        slot
        for slot in profile.slots
        if slot.kind is SlotKind.EXPRESSION and slot.name not in binding.args
    ]
    found = _SUM.search(clause.text) or _TURNED.search(clause.text)
    given = _value(steps, clause)
    if len(open_slots) != 1 or found is None or given is None:
        return
    sign = _SIGNS.get(re.sub(r"\s+", " ", found.group("sign").lower()), found.group("sign"))
    first = found.start("number") < found.start("sign")
    sides = (found.group("number"), given) if first else (given, found.group("number"))
    binding.args[open_slots[0].name] = f"{sides[0]} {sign} {sides[1]}"
    binding.refers = True
    binding.used.append((clause.start + found.start(), clause.start + found.end()))


def _value(steps: Sequence[StepDraft], clause: Clause) -> str | None:
    """Return the reference to the one value of the step that is meant."""
    for step in sources([*steps], clause):
        main = main_field(step.profile)
        if main is not None and main.type in ("number", "integer", "string", None):
            return reference(step, main.name)
    return None
