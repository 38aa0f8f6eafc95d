"""Insert the steps that a goal leaves unsaid: load what a literal names, parse what was loaded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.binding import bind
from flowbuilder.planner.rules.bridges import Bridge, loader, parser
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.composition import Composition
from flowbuilder.planner.rules.literals import Literal
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.outputs import StepDraft, referenced
from flowbuilder.planner.rules.reading import NOBODY, SILENCE, gives_records
from flowbuilder.planner.rules.slots import SlotKind
from flowbuilder.planner.rules.table_arguments import works_on_records


def load(
    plan: Composition,
    profiles: Sequence[Profile],
    literals: Sequence[Literal],
    clause: Clause,
    wanted_by: Profile | None,
) -> bool:
    """Insert a loading step for each literal; return whether all could be loaded."""
    done = True
    for literal in literals:
        if any(step.origin == literal.value for step in plan.steps):
            continue
        bridge = loader(literal, profiles, wanted_by or NOBODY)
        if bridge is None:
            done = False
            continue
        alone = replace(
            clause, text=literal.text, start=literal.start, end=literal.end, words=(),
            literals=(literal,), approval=False, conditions=(),
        )  # fmt: skip
        step = plan.add(bridge.profile, alone, bind(bridge.profile, alone, []))
        step.attempts = clause.attempts
        _tell(plan, bridge, f"to load {literal.text}")
        if wanted_by is not None and works_on_records(wanted_by):
            parse(plan, profiles, step)
    return done


def parse_for(plan: Composition, profiles: Sequence[Profile], wanted_by: Profile) -> None:
    """Insert parsing steps for the loaded tables that a tool works on."""
    slots = [slot for slot in wanted_by.slots if slot.kind is SlotKind.RECORDS and slot.required]
    fresh = [step for step in plan.steps if not step.sink and not step.silent]
    for step in fresh[-max(len(slots), 1) :]:
        if not gives_records(step):
            _parse_once(plan, profiles, step)


def parse_all(plan: Composition, profiles: Sequence[Profile]) -> None:
    """Insert parsing steps for all loaded tables that nothing has parsed yet."""
    for step in list(plan.steps):
        _parse_once(plan, profiles, step)


def _parse_once(plan: Composition, profiles: Sequence[Profile], step: StepDraft) -> None:
    pattern = f"steps.{step.id}" + r"\b"
    parsed = any(re.search(pattern, str(other.args)) for other in plan.steps)
    if step.format and not parsed:
        parse(plan, profiles, step)


def parse(plan: Composition, profiles: Sequence[Profile], step: StepDraft) -> StepDraft | None:
    """Insert the step that parses what a step has loaded, and return it, if a tool can."""
    bridge = parser(step, profiles)
    if bridge is None:
        return None
    slot = next(slot for slot in bridge.profile.slots if slot.required)
    found = referenced(slot, step, step.clause or SILENCE)
    if found is None:
        return None
    added = plan.add(bridge.profile, None, Binding(args={slot.name: found}))
    _tell(plan, bridge, f"to parse what {step.id} reads")
    return added


def _tell(plan: Composition, bridge: Bridge, purpose: str) -> None:
    plan.notes.append(f"A step {bridge.profile.tool.name} was added {purpose}.")
    if bridge.rivals:
        plan.doubts.append(f"{' or '.join(bridge.rivals)} would do as well {purpose}.")
