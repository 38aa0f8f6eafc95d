"""People whom a goal only names, though a tool wants their address: "mail it to *Ann Lee*"."""

from __future__ import annotations

import re
from dataclasses import replace

from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.binding import bind
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.composition import Composition
from flowbuilder.planner.rules.earlier import field_for
from flowbuilder.planner.rules.inner import piece
from flowbuilder.planner.rules.lexicon import name_words
from flowbuilder.planner.rules.matching import Profile, ToolIndex
from flowbuilder.planner.rules.outputs import StepDraft, consumes
from flowbuilder.planner.rules.slots import Slot, SlotKind
from flowbuilder.toolkit import is_starter

_ADDRESSES = frozenset({SlotKind.EMAIL, SlotKind.PHONE})
_NAME = re.compile(
    r"[A-ZÀ-Þ][\w'’-]+(?:\s+(?:de|van|von|der|den|la|le|da|di|bin|al))*(?:\s+[A-ZÀ-Þ][\w'’-]+)+"
)


def look_up(plan: Composition, index: ToolIndex, clause: Clause, outer: Profile) -> Clause | None:
    """Add the step that finds a named person's address; return the clause with a pronoun.

    None unless the address is what is missing, the clause names one person, and just one harmless
    tool finds people by their name.
    """
    named = _names(clause)
    if len(named) != 1:
        return None
    said = clause.text[named[0][0] : named[0][1]]
    binding = bind(outer, clause, plan.steps)
    missing = [slot for slot in binding.missing if slot.kind in _ADDRESSES]
    missing += [slot for slot in outer.slots if is_no_number(slot, binding.args.get(slot.name))]
    if len(missing) != 1 or (missing[0].kind not in _ADDRESSES and said != _held(binding, missing)):
        return None
    finders = [profile for profile in index.profiles if _finds(profile, missing[0], outer)]
    if len(finders) != 1:
        return None
    start, end = named[0]
    inner = piece(clause, clause.start + start, clause.start + end)
    key = next(slot for slot in finders[0].slots if slot.required)
    args = {key.name: inner.text}
    if not any(one.profile is finders[0] and one.args == args for one in plan.steps):
        step = plan.add(finders[0], inner, Binding(args=dict(args)))
        step.sink = True  # it is asked for an address, and is not what is sent
        plan.notes.append(f"A step {finders[0].tool.name} was added for “{inner.text}”.")
    text = clause.text[:start] + "them".ljust(end - start) + clause.text[end:]
    kept = tuple(word for word in clause.words if not inner.start <= word.start < inner.end)
    return replace(clause, text=text, words=kept)


def _held(binding: Binding, slots: list[Slot]) -> object:
    return binding.args.get(slots[0].name)


_NUMBERS = frozenset({"number", "no", "nr", "id", "code"})


def is_no_number(slot: Slot, value: object) -> bool:
    """Whether somebody's name stands where a number or an id is wanted: "loans of *Ann Lee*"."""
    numbered = slot.kind is SlotKind.CODE and name_words(slot.name)[-1] in _NUMBERS
    return numbered and isinstance(value, str) and _NAME.fullmatch(value) is not None


def nameless(step: StepDraft) -> list[str]:
    """Say which numbers or ids of a step hold somebody's name."""
    return [
        f"“{step.args[slot.name]}” is a name, and {slot.name} of {step.id} is none"
        for slot in step.profile.slots
        if is_no_number(slot, step.args.get(slot.name))
    ]


def _names(clause: Clause) -> list[tuple[int, int]]:
    """Return the places of the names of people in a clause, counted in its text."""
    verb = clause.verb
    after = verb.end - clause.start if verb is not None else 0
    inside = [(item.start - clause.start, item.end - clause.start) for item in clause.literals]
    return [
        found.span()
        for found in _NAME.finditer(clause.text, after)
        if not any(start < found.end() and found.start() < end for start, end in inside)
    ]


def _finds(profile: Profile, wanted: Slot, outer: Profile) -> bool:
    """Whether a harmless tool gives such an address of whom it is given the name."""
    required = [slot for slot in profile.slots if slot.required]
    if consumes(profile) or is_starter(profile.tool) or len(required) != 1:
        return False
    if required[0].kind is not SlotKind.NAME or required[0].many:
        return False
    return bool(field_for(wanted, outer, StepDraft(id="found", profile=profile, clause=None)))
