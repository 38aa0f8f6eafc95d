"""One call an element: "for each row, …"."""

from __future__ import annotations

import re
from collections.abc import Iterator

from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.lexicon import name_words, stem, stems, words
from flowbuilder.planner.rules.outputs import (
    Field,
    StepDraft,
    consumes,
    output_fields,
    reference,
)
from flowbuilder.planner.rules.slots import Slot, SlotKind, resolve
from flowbuilder.planner.rules.table_arguments import works_on_records
from flowbuilder.types import JsonSchema


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
    element = _element_schema(source, item)
    owned = _owned(clause, element)
    _fill_in(step, source, element)
    for slot in step.profile.slots:
        value = step.args.get(slot.name)
        missing = slot in binding.missing
        referring = isinstance(value, str) and "${{ steps." in value
        if owned and referring and slot.kind in _CONTENT:
            step.args[slot.name] = _EARLIER.sub("${{ item." + owned + " }}", str(value))
        elif missing or (referring and f"steps.{source.id}." in str(value)):
            step.args[slot.name] = _element(slot, clause, item)
    binding.missing = [slot for slot in binding.missing if slot.name not in step.args]
    binding.doubts += _doubts(step, clause, element, owned)


_CONTENT = frozenset({SlotKind.TEXT, SlotKind.ANY, SlotKind.RECORDS, SlotKind.OBJECT})
_EARLIER = re.compile(r"\$\{\{ steps\.[^}]*\}\}")
_OWNED = re.compile(
    r"\b(?:its|their|his|her|(?:the|each|that|every) \w+['’]s)\s+(?P<field>[A-Za-z_]+)", re.I
)
_ROWS = stems("row record line entry person customer name url link")


_PLACEHOLDER = re.compile(r"<(\w+)>|(?<!\{)\{(\w+)\}")


def placeholders(step: StepDraft) -> list[str]:
    """Return what stands in a path for something else: the `<team>` of `teams/<team>.csv`."""
    return [
        found.group()
        for slot in step.profile.slots
        if slot.kind is SlotKind.PATH and isinstance(step.args.get(slot.name), str)
        for found in _PLACEHOLDER.finditer(step.args[slot.name])
    ]


def _fill_in(step: StepDraft, source: StepDraft, element: JsonSchema) -> None:
    """Put the element's field in the place of each placeholder that names one."""
    fields = element.get("properties") or {}

    def filled(match: re.Match[str]) -> str:
        name = match.group(1) or match.group(2)
        if name in fields:
            return "${{ item." + name + " }}"
        if "key" in fields and name == source.args.get("by"):
            return "${{ item.key }}"
        return match.group()

    for slot in step.profile.slots:
        value = step.args.get(slot.name)
        if slot.kind is SlotKind.PATH and isinstance(value, str):
            step.args[slot.name] = _PLACEHOLDER.sub(filled, value)


def _element_schema(source: StepDraft, item: Field) -> JsonSchema:
    definitions = source.profile.tool.output_schema.get("$defs") or {}
    items = item.schema.get("items")
    return resolve(items, definitions) if isinstance(items, dict) else {}


def _owned(clause: Clause, element: JsonSchema) -> str | None:
    """Return the field of an element that a clause speaks of: "its records"."""
    found = _OWNED.search(clause.text)
    if found is None:
        return None
    said = stem(found.group("field").lower())
    return next((name for name in element.get("properties") or {} if stem(name) == said), None)


def _doubts(
    step: StepDraft, clause: Clause, element: JsonSchema, owned: str | None
) -> Iterator[str]:
    """Say what in a map gives every element the same, or speaks of something else."""
    said = _OWNED.search(clause.text)
    if said is not None and owned is None:
        yield f"“{said.group()}” is no known field of an element"
    if any("${{ steps." in str(value) for value in step.args.values()):
        yield "every call gets the same earlier result"
    if not any("${{ item" in str(value) for value in step.args.values()):
        yield "no call gets anything of its element"
    for slot in step.profile.slots:
        value = step.args.get(slot.name)
        if slot.kind is SlotKind.PATH and consumes(step.profile) and "${{" not in str(value):
            yield f"every call has the same {slot.name}, {value}"
    grouped = {"key", "records"} <= set(element.get("properties") or {})
    noun = stem(words(clause.each or "")[-1].lower) if words(clause.each or "") else ""
    if grouped and noun in _ROWS:
        yield f"“{clause.each}” was taken as one call a group"


def _element(slot: Slot, clause: Clause, item: Field) -> str:
    """Return what of an element goes into a parameter: a named field, or all of it."""
    inner = item.schema.get("items")
    if isinstance(inner, dict) and inner.get("type") == "string":
        return "${{ item }}"
    said = [word.lower for word in words(clause.text)]
    for name in (slot.name, *name_words(slot.name)):
        if name in said or slot.kind in (SlotKind.EMAIL, SlotKind.PHONE, SlotKind.URL):
            return "${{ item." + (slot.kind.value if slot.kind is SlotKind.EMAIL else name) + " }}"
    if slot.kind is not SlotKind.TEXT or not {"type", "anyOf"} & slot.schema.keys():
        return "${{ item }}"  # also where any value will do: a record stays one
    each = stem(words(clause.each or "row")[-1].text).capitalize()
    return f"{each}: ${{{{ item }}}}"
