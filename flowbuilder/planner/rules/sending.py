"""A file that is sent as a request's body: as the JSON that it holds, or as the text that it is.

A parameter that takes any value would send its text as one JSON string.
"""

from __future__ import annotations

from collections.abc import Sequence

from flowbuilder.planner.document import mention_of
from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.composition import Composition
from flowbuilder.planner.rules.loading import parse
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.outputs import StepDraft, main_field, output_fields, reference
from flowbuilder.planner.rules.slots import Slot


def send_as_it_is(
    plan: Composition, profiles: Sequence[Profile], profile: Profile, binding: Binding
) -> None:
    """Have JSON parsed before it is sent, and put other texts where texts go."""
    for slot in profile.slots:
        given = binding.args.get(slot.name)
        source = _file(plan.steps, given) if _takes_json(slot) else None
        if source is None:
            continue
        text = next((one for one in profile.slots if _takes_text(one, binding)), None)
        if source.format == "json":
            parsed = _parsed(plan, profiles, source)
            field = None if parsed is None else main_field(parsed.profile)
            if parsed is not None and field is not None:
                binding.args[slot.name] = reference(parsed, field.name)
        elif text is not None:
            binding.args[text.name] = binding.args.pop(slot.name)


def _takes_json(slot: Slot) -> bool:
    any_value = not {"type", "anyOf", "$ref"} & slot.schema.keys()
    return any_value and "json" in f"{slot.name} {slot.schema.get('description')}".lower()


def _takes_text(slot: Slot, binding: Binding) -> bool:
    """Whether it takes the text of a request in the place of a value."""
    kinds = [slot.schema, *slot.schema.get("anyOf", ())]
    texts = any(kind.get("type") == "string" for kind in kinds)
    return texts and slot.name == "body" and slot.name not in binding.args


def _file(steps: Sequence[StepDraft], given: object) -> StepDraft | None:
    """Return the step whose loaded text is given, all of it."""
    for step in steps if isinstance(given, str) else ():
        for item in output_fields(step.profile) if step.origin and step.format else ():
            if item.type == "string" and item.name and given == reference(step, item.name):
                return step
    return None


def _parsed(plan: Composition, profiles: Sequence[Profile], source: StepDraft) -> StepDraft | None:
    """Return the step that parses a loaded text, which is added where there is none."""
    there = [
        step
        for step in plan.steps
        if step.clause is None and mention_of(source.id).search(str(step.args))
    ]
    return there[0] if there else parse(plan, profiles, source)
