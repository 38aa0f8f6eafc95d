"""One call an element: "for each row, …"."""

from __future__ import annotations

from flowbuilder.planner.rules.binding import Binding
from flowbuilder.planner.rules.clauses import Clause
from flowbuilder.planner.rules.lexicon import name_words, stem, words
from flowbuilder.planner.rules.outputs import Field, StepDraft, output_fields, reference
from flowbuilder.planner.rules.slots import Slot, SlotKind
from flowbuilder.planner.rules.table_arguments import works_on_records


def map_over_elements(
    step: StepDraft, clause: Clause, steps: list[StepDraft], binding: Binding
) -> None:
    """Turn a step into a map over the latest list when its clause says "for each"."""
    if clause.each is None or works_on_records(step.profile):
        return
    earlier = [other for other in steps if other is not step and not other.sink]
    found = next(
        (
            (other, item)
            for other in reversed(earlier)
            for item in output_fields(other.profile)
            if item.type == "array"
        ),
        None,
    )
    if found is None:
        binding.doubts.append("it asks for one call an element, but no step gives a list")
        return
    source, item = found
    step.for_each = reference(source, item.name)
    for slot in step.profile.slots:
        value = step.args.get(slot.name)
        missing = slot in binding.missing
        if missing or (isinstance(value, str) and f"steps.{source.id}" in value):
            step.args[slot.name] = _element(slot, clause, item)
    binding.missing = [slot for slot in binding.missing if slot.name not in step.args]


def _element(slot: Slot, clause: Clause, item: Field) -> str:
    """Return what of an element goes into a parameter: a named field, or all of it."""
    inner = item.schema.get("items")
    if isinstance(inner, dict) and inner.get("type") == "string":
        return "${{ item }}"
    said = [word.lower for word in words(clause.text)]
    for name in (slot.name, *name_words(slot.name)):
        if name in said or slot.kind in (SlotKind.EMAIL, SlotKind.PHONE, SlotKind.URL):
            return "${{ item." + (slot.kind.value if slot.kind is SlotKind.EMAIL else name) + " }}"
    each = stem(words(clause.each or "row")[-1].text).capitalize()
    return f"{each}: ${{{{ item }}}}" if slot.kind is SlotKind.TEXT else "${{ item }}"
