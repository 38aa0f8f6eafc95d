"""Insert the step that a clause leaves unsaid: whatever gives what its tool works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flowbuilder.planner.rules.binding import bind
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.composition import Composition
from flowbuilder.planner.rules.lexicon import name_words, stem, stems
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.outputs import output_fields, referenced
from flowbuilder.planner.rules.slots import SlotKind
from flowbuilder.tools import HARMLESS

_CONTENT = frozenset({SlotKind.TEXT, SlotKind.RECORDS, SlotKind.ANY, SlotKind.OBJECT})
#: Names of parameters that say nothing about where their value comes from.
_PLAIN = stems(
    "text content body message data rows records items list table input value document string "
    "title name query note notes description"
)


def supply(
    plan: Composition, profiles: Sequence[Profile], clause: Clause, wanted_by: Profile
) -> None:
    """Add the one tool that gives what is missing and finds all it needs in the clause.

    "Write a changelog for acme/api" with a tool that takes `commits`, and one that lists those of a
    repository.
    """
    binding = bind(wanted_by, clause, plan.steps)
    for slot in binding.missing:
        wanted = slot.stems - _PLAIN
        if slot.kind not in _CONTENT or not wanted:
            continue
        givers = [
            profile
            for profile in profiles
            if profile is not wanted_by and _gives(profile, wanted) and _told(profile, clause)
        ]
        if len(givers) != 1:
            continue
        alone = replace(clause, approval=False, conditions=())
        step = plan.add(givers[0], alone, bind(givers[0], alone, []))
        if referenced(slot, step, clause) is None:
            plan.steps.remove(step)
            continue
        name = givers[0].tool.name
        plan.doubts.append(
            f"A step {name} was added for the {slot.name} that “{clause.text}” needs."
        )


def _gives(profile: Profile, wanted: frozenset[str]) -> bool:
    """Whether a harmless tool's name or output speaks of what a parameter is named for."""
    if profile.tool.effects not in HARMLESS or profile.tool.needs_model:
        return False
    said = {stem(part) for part in name_words(profile.tool.name)}
    said |= {stem(part) for item in output_fields(profile) for part in name_words(item.name)}
    return bool(said & wanted)


def _told(profile: Profile, clause: Clause) -> bool:
    """Whether a clause gives a literal for all that a tool needs."""
    binding = bind(profile, clause, [])
    return bool(binding.used) and not binding.missing and not binding.guessed
