"""Fill keys and addresses from fields that earlier steps give: "mail *her*", "buy *the first*"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowbuilder.planner.document import MENTION
from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.lexicon import name_words, stem, stems, words
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.outputs import StepDraft, output_fields, reference
from flowbuilder.planner.rules.slots import Slot, SlotKind, resolve
from flowbuilder.types import JsonSchema

#: Parameters that name or address one thing or person.
KEYS = frozenset({SlotKind.EMAIL, SlotKind.PHONE, SlotKind.NAME, SlotKind.CODE, SlotKind.PLACE})
_PERSON = re.compile(r"\b(?:him|her|them)\b", re.IGNORECASE)
_OWNED = re.compile(r"\b(?:its|his|her|their|the|that|this)\s+(?P<noun>[a-z]+)\b", re.IGNORECASE)
_RANKED = re.compile(
    r"\bthe\s+(?P<rank>first|second|third|top|best|(?:most|least)\s+\w+"
    r"|(?!(?:rest|test|guest|request|interest|forest|west|east|latest)\b)[a-z]+est)\b"
    r"(?:\s+(?:one|result|hit|match|of (?:them|these|those)))?",
    re.IGNORECASE,
)
_PLACES = {"first": 0, "top": 0, "second": 1, "third": 2}
_MAILED = stems("email mail e-mail")
_PHONED = stems("phone mobile telephone tel cell")
_PEOPLE = stems(
    "person people user username assignee attendee participant guest invitee recipient contact "
    "owner engineer employee patient customer client member author handle login to who"
)
_HANDLES = stems("username user handle login account")
_ACCOUNTS = stems("username user assignee owner handle login account")
_LABELS = ("name", "title")
_GENERIC = stems("id name code number no key ref reference the of to")
#: What else an act upon a found thing needs in the way in which it was looked for.
_CARRIED = frozenset(
    {SlotKind.DATE, SlotKind.TIME, SlotKind.NUMBER, SlotKind.SPAN, SlotKind.PLACE, SlotKind.CODE}
)


@dataclass(frozen=True, slots=True)
class _Part:
    """A text inside an output: the path to it and the words of its last name."""

    path: str
    stems: frozenset[str]


def bind_earlier(
    profile: Profile, clause: Clause, steps: Sequence[StepDraft], binding: Binding
) -> None:
    """Bind open keys and addresses to the fields of what was found before."""
    if not steps:
        return
    for slot in profile.slots:
        if slot.name in binding.args or not slot.required or slot.kind not in KEYS:
            continue
        found = _of_person(slot, profile, clause, steps, binding)
        found = found or _of_element(slot, profile, clause, steps, binding)
        if found is not None:
            binding.args[slot.name] = [found] if slot.many else found
            binding.refers = True


def field_for(slot: Slot, profile: Profile, step: StepDraft, noun: str = "") -> list[str]:
    """Return the references to what a step gives for a parameter, those of a noun alone if any."""
    fields = output_fields(step.profile)
    parts = [part for item in fields if item.name for part in _parts(item.name, item.schema)]
    found = _fitting(slot, profile, parts, _says(step))
    owned = [part for part in found if noun and noun in part.stems]
    return [reference(step, part.path) for part in owned or found]


def _of_person(
    slot: Slot,
    profile: Profile,
    clause: Clause,
    steps: Sequence[StepDraft],
    binding: Binding,
) -> str | None:
    """Return the address or name of whom a pronoun or "its customer" speaks of."""
    meant = _PERSON.search(clause.text)
    owned = list(_OWNED.finditer(clause.text))
    for step in reversed(steps):
        known = _says(step)
        told = [one for one in owned if stem(one.group("noun").lower()) in known & _PEOPLE]
        if not told and meant is None:
            continue
        noun = stem(told[0].group("noun").lower()) if told else ""
        found = field_for(slot, profile, step, noun)
        if not found:
            continue
        others = [one for one in steps if one is not step and field_for(slot, profile, one, noun)]
        if len(found) > 1 or others:
            binding.doubts.append(f"{slot.name} was taken to be {found[0]}")
        span = told[0] if told else meant
        if span is not None:
            binding.used.append((clause.start + span.start(), clause.start + span.end()))
        return found[0]
    return None


def _of_element(
    slot: Slot,
    profile: Profile,
    clause: Clause,
    steps: Sequence[StepDraft],
    binding: Binding,
) -> str | None:
    """Return the key of an element of an earlier list: "the first", "the cheapest one"."""
    ranked = _RANKED.search(clause.text)
    if ranked is None or slot.many:
        return None
    rank = ranked.group("rank").lower()
    for step in reversed(steps):
        for path, element in _lists(step):
            parts = list(_parts("", element)) or [_Part("", frozenset())]
            found = _fitting(slot, profile, parts, _says(step))
            if not found:
                continue
            place = _PLACES.get(rank, 0)
            binding.used.append((clause.start + ranked.start(), clause.start + ranked.end()))
            if rank not in _PLACES and f"{rank} first" not in step.profile.tool.summary.lower():
                binding.doubts.append(f"“{ranked.group()}” was taken as the first of {step.id}")
            _carry(profile, step, binding)
            inner = f".{found[0].path}" if found[0].path else ""
            return "${{ " + f"steps.{step.id}{path}[{place}]{inner}" + " }}"
    return None


def _carry(profile: Profile, step: StepDraft, binding: Binding) -> None:
    """Take over what a thing was looked for with: the nights of the hotel that is reserved."""
    for slot in profile.slots:
        value = step.args.get(slot.name)
        if value is None or slot.name in binding.args or not slot.required:
            continue
        if slot.kind in _CARRIED:
            binding.args[slot.name] = value
            binding.doubts.append(f"{slot.name} was taken to be {value}")


def _lists(step: StepDraft) -> Iterator[tuple[str, JsonSchema]]:
    """Return the arrays of an output with the schema of their elements."""
    definitions: Mapping[str, Any] = step.profile.tool.output_schema.get("$defs") or {}
    for item in output_fields(step.profile):
        items = item.schema.get("items")
        if item.type == "array" and isinstance(items, dict):
            yield (f".{item.name}" if item.name else ""), resolve(items, definitions)


def _parts(name: str, schema: JsonSchema) -> Iterator[_Part]:
    """Return the texts and numbers of an object, one level deep, or the value itself."""
    properties = schema.get("properties") or {}
    if not properties and name:
        if schema.get("type") in ("string", "integer"):
            yield _Part(name, frozenset(stem(part) for part in name_words(name)))
        return
    for inner, part in properties.items():
        if isinstance(part, dict) and part.get("type") in ("string", "integer"):
            said = frozenset(stem(word) for word in name_words(f"{name}_{inner}".strip("_")))
            yield _Part(f"{name}.{inner}" if name else inner, said)


def _says(step: StepDraft) -> frozenset[str]:
    """Return the stems that say what a step's output is about."""
    tool = step.profile.tool
    said = {stem(part) for part in name_words(tool.name)}
    said |= {word.stem for word in words(tool.summary.split(". ")[0])}
    said |= {stem(part) for item in output_fields(step.profile) for part in name_words(item.name)}
    return frozenset(said)


def _fitting(
    slot: Slot, profile: Profile, parts: Sequence[_Part], about: frozenset[str]
) -> list[_Part]:
    """Return the parts that a parameter may be meant for, all of the best sort."""
    for wanted in _wanted(slot, profile):
        found = [part for part in parts if part.stems & wanted]
        if found:
            return found
    if slot.kind in (SlotKind.EMAIL, SlotKind.PHONE):
        return []
    telling = slot.stems - _GENERIC
    found = [part for part in parts if telling and part.stems & telling]
    found.sort(key=lambda part: not slot.stems <= part.stems)
    if found:
        return found[:1]
    if telling & about or (telling & _PEOPLE and about & _PEOPLE):
        labels = [*_LABELS, "id"] if slot.kind is not SlotKind.CODE else ["id", "code", "number"]
        named = [part for name in labels for part in parts if stem(name) in part.stems]
        return named[:1] or [part for part in parts if not part.path]
    return []


def _wanted(slot: Slot, profile: Profile) -> Iterator[frozenset[str]]:
    """Return the words of fields that hold what a parameter takes, the likeliest first."""
    said = {word.stem for word in words(profile.tool.summary)} | slot.described
    if slot.kind is SlotKind.EMAIL or (slot.stems & _PEOPLE and said & _MAILED):
        yield _MAILED
    elif slot.kind is SlotKind.PHONE:
        yield _PHONED
    elif slot.stems & _ACCOUNTS:
        yield _HANDLES


_ALONE = re.compile(r"\s*(?:$|[,.;]|(?:to|in|on|for|with|via|by|into|as)\b)", re.IGNORECASE)


def whole_list(clause: Clause, step: StepDraft, steps: Sequence[StepDraft]) -> str | None:
    """Say that a step gets all of a list where a clause speaks of one element: "the first one"."""
    ranked = _RANKED.search(clause.text)
    if ranked is None or _ALONE.match(clause.text, ranked.end()) is None:
        return None
    given = str(step.args)
    lists = [one for one in steps if one is not step and any(True for _ in _lists(one))]
    whole = any(f"steps.{one.id} " in given or f"steps.{one.id}." in given for one in lists)
    return f"“{ranked.group()}” in “{clause.text}” means one; {step.id} gets all" if whole else None


def sends_addressee(step: StepDraft) -> str | None:
    """Say that all that is known of whom a step addresses is also what it sends."""
    keys = [slot.name for slot in step.profile.slots if slot.kind in KEYS]
    addressed = {one for name in keys for one in MENTION.findall(str(step.args.get(name)))}
    for name, value in step.args.items():
        found = MENTION.findall(str(value))
        if name not in keys and len(found) > 1 and addressed & set(found):
            return f"{name} of {step.id} was taken to be all that is known of whom it addresses"
    return None
