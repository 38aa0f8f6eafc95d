"""Fill parameters from what earlier steps give, or from what "it" and "her" stand for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from flowbuilder.planner.document import MENTION, mention_of
from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.giving import makes
from flowbuilder.planner.rules.instructions import is_instruction
from flowbuilder.planner.rules.lexicon import lexicon, listed, name_words, stem, stems
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.outputs import (
    StepDraft,
    consumes,
    main_field,
    mentioned_field,
    output_fields,
    reference,
    referenced,
    sources,
)
from flowbuilder.planner.rules.slots import Slot, SlotKind

#: Optional text parameters that carry what is sent or shown, so that they are worth a reference.
CARRIERS = listed("body text message content data value json description records")
CONTENT = frozenset({SlotKind.TEXT, SlotKind.ANY, SlotKind.RECORDS, SlotKind.OBJECT})
#: Parameters that take words of the goal rather than a result.
WORDED = frozenset({SlotKind.QUERY, SlotKind.PLACE, SlotKind.NAME, SlotKind.TITLE, SlotKind.CODE})
_RECALLABLE = frozenset({SlotKind.CODE, SlotKind.NAME, SlotKind.PLACE})
#: Numbers that name one thing, so that "it" may stand for them.
_NUMBERED = listed("number id no order_id issue_number ticket_id")
_THAT_ONE = re.compile(
    r"\b(?:it|its|there|that one|the same(?: one)?|this one|his|her|their)\b", re.IGNORECASE
)


def bind_recalled(
    profile: Profile, clause: Clause, steps: Sequence[StepDraft], binding: Binding
) -> None:
    """Take what "it" names from an earlier step with the same parameter: "and restock it"."""
    if not _THAT_ONE.search(clause.text):
        _bind_person(profile, clause, steps, binding)
        return
    for slot in profile.slots:
        numbered = slot.kind is SlotKind.NUMBER and slot.integer and slot.name in _NUMBERED
        if slot.name in binding.args or not slot.required:
            continue
        if slot.kind not in _RECALLABLE and not numbered:
            continue
        for step in reversed(steps):
            value = step.args.get(slot.name)
            if value is not None and "${{" not in str(value):
                binding.args[slot.name] = value
                break
            if any(item.name == slot.name for item in output_fields(step.profile)):
                binding.args[slot.name] = reference(step, slot.name)
                binding.refers = True
                break
    _bind_person(profile, clause, steps, binding)


def bind_meant(
    profile: Profile, clause: Clause, steps: Sequence[StepDraft], binding: Binding
) -> None:
    """Take the thing that "its" speaks of though the step before calls it otherwise."""
    if not steps or not _THAT_ONE.search(clause.text):
        return
    for slot in profile.slots:
        if slot.name in binding.args or not slot.required or slot.kind not in _RECALLABLE:
            continue
        alike = [
            steps[-1].args.get(other.name)
            for other in steps[-1].profile.slots
            if other.kind is slot.kind and other.required
        ]
        named = [value for value in alike if isinstance(value, str) and "${{" not in value]
        if len(named) == 1:
            binding.args[slot.name] = named[0]
            binding.doubts.append(f"{slot.name} was taken to be {named[0]}")


def bind_inherited(profile: Profile, steps: Sequence[StepDraft], binding: Binding) -> None:
    """Take what is left unsaid from the step before: "mark ticket 5 as done and comment"."""
    for slot in profile.slots:
        numbered = slot.kind is SlotKind.NUMBER and slot.integer and slot.name in _NUMBERED
        if slot.name in binding.args or not slot.required:
            continue
        value = steps[-1].args.get(slot.name) if steps else None
        if (slot.kind in _RECALLABLE or numbered) and value is not None:
            binding.args[slot.name] = value
            binding.doubts.append(f"{slot.name} was taken to be {value}")


def bind_place(
    profile: Profile, clause: Clause, steps: Sequence[StepDraft], binding: Binding
) -> None:
    """Take the file or page that "it" is from the step that wrote or made it: "and upload it"."""
    if (
        not steps
        or takes_content(profile)
        or not re.search(r"\b(?:it|the (?:file|image|page|document))\b", clause.text, re.I)
    ):
        return
    for slot in profile.slots:
        if slot.name in binding.args or not slot.required or slot.kind not in _NAMED_PLACES:
            continue
        if stem(slot.name) in _GOALS or slot.many:
            continue
        for step in reversed(steps):
            kept = {item.name for item in step.profile.slots if item.kind is slot.kind}
            value = next((step.args[name] for name in step.args if name in kept), None)
            if isinstance(value, str) and "${{" not in value:
                binding.args[slot.name] = value
                binding.doubts.append(f"{slot.name} was taken to be {value}")
                break


_NAMED_PLACES = frozenset({SlotKind.PATH, SlotKind.URL})
_GOALS = stems("destination target output out to dest folder directory archive")


def _bind_person(
    profile: Profile, clause: Clause, steps: Sequence[StepDraft], binding: Binding
) -> None:
    """Take the name of a person looked up before: "assign it to her"."""
    if not re.search(r"\b(?:him|her)\b", clause.text, re.IGNORECASE):
        return
    for slot in profile.slots:
        if slot.name in binding.args or not slot.required or slot.kind is not SlotKind.NAME:
            continue
        for step in reversed(steps):
            if any(item.name == "name" for item in output_fields(step.profile)):
                binding.args[slot.name] = reference(step, "name")
                binding.refers = True
                return


_TELLING = stems("remind tell ask notify instruct remember alert nudge")
_TO_DO = re.compile(r"\b(?:me|us|him|her|them|everyone|\w+) to [a-z]{2,}", re.IGNORECASE)


def _says_what(slot: Slot, clause: Clause) -> bool:
    """Whether the message stands in the clause itself: "remind me to look at it"."""
    verb = clause.verb
    told = verb is not None and verb.stem in _TELLING
    return told and slot.kind is SlotKind.TEXT and _TO_DO.search(clause.text) is not None


def _open(slot: Slot, profile: Profile, clause: Clause, binding: Binding) -> bool:
    """Whether a result may go to a parameter; to an optional one only if it carries content."""
    if slot.name in binding.args or is_instruction(slot) or _says_what(slot, clause):
        return False
    return slot.required or (slot.kind in CONTENT and _carries(profile, slot, binding))


def bind_references(
    profile: Profile, clause: Clause, steps: list[StepDraft], binding: Binding, *, optional: bool
) -> None:
    """Bind content parameters to what earlier steps give."""
    taken: list[str] = []
    for slot in profile.slots:
        if slot.required is optional or not _open(slot, profile, clause, binding):
            continue
        worded = slot.kind in WORDED and not optional
        if worded and (not _points_back(clause, profile) or takes_content(profile)):
            continue
        if _bind_several(slot, clause, steps, binding):
            continue
        many = sum(other.kind is SlotKind.RECORDS and other.required for other in profile.slots)
        found_at = _addressed_last(sources(steps, clause), clause, binding)
        addressed = optional and binding.refers
        if addressed:
            clause = _unverbed(clause)
            found_at = _spoken_of(found_at, clause, binding)
        for step in _in_order(found_at, slot, many):
            if _writes_over(slot, profile, step, clause):
                continue
            found = referenced(slot, step, clause)
            if found is not None and found not in taken:
                binding.args[slot.name] = _shaped(slot, step, found)
                binding.refers = True
                taken.append(found)
                if addressed or (optional and _repeats(profile, step, clause)):
                    binding.doubts.append(f"{slot.name} was taken to be what {step.id} gives")
                break


def _writes_over(slot: Slot, profile: Profile, step: StepDraft, clause: Clause) -> bool:
    """Whether what a step has kept would be lost under something else that is to be kept.

    "Save the words" behind "save the counts as counts.txt" says no file; "append the words to it"
    points to one.
    """
    keeps = slot.kind is SlotKind.PATH and slot.writes and takes_content(profile)
    kept = consumes(step.profile) and takes_content(step.profile)
    return keeps and kept and _SAME_PLACE.search(clause.text) is None


_SAME_PLACE = re.compile(
    r"\b(?:there|back|append\w*|overwrite|replace|same"
    r"|(?:to|in|into|onto|over|at|of)\s+(?:it|this|that|(?:the|this|that)\s+(?:[a-z]+\s+)?"
    r"(?:file|document|page|note|list|log|report|table|text)))\b",
    re.IGNORECASE,
)


def _bind_several(slot: Slot, clause: Clause, steps: Sequence[StepDraft], binding: Binding) -> bool:
    """Bind a parameter to what several calls give; return whether that is meant."""
    several = _several(slot, clause, steps)
    if several is None:
        return False
    binding.args[slot.name] = several
    binding.refers = True
    binding.used += [
        (clause.start + found.start(), clause.start + found.end())
        for found in _BOTH.finditer(clause.text)
    ]
    return True


def _unverbed(clause: Clause) -> Clause:
    """Return a clause whose verb names no field: "email her the number"."""
    return replace(clause, words=tuple(word for word in clause.words if word is not clause.verb))


def _addressed_last(
    found: Iterable[StepDraft], clause: Clause, binding: Binding
) -> list[StepDraft]:
    """Return the sources; whoever is addressed is hardly what is sent: "mail it to her"."""
    given = str(binding.args)

    def addressed(step: StepDraft) -> bool:
        used = mention_of(step.id).search(given) is not None
        return used and mentioned_field(clause, step) is None

    return sorted(found, key=addressed)


def _spoken_of(found: Sequence[StepDraft], said: Clause, binding: Binding) -> list[StepDraft]:
    """Return the sources that a clause speaks of beside whom it addresses: "mail her *the id*"."""
    given = MENTION.findall(str(binding.args))
    things = [word for word in said.words if word.stem not in lexicon().fillers]
    pointed = _ITSELF.search(said.text) is not None
    others = [
        step
        for step in found
        if step.id not in given and (pointed or any(makes(word, [step]) for word in things))
    ]
    owned = [step for step in found if step.id in given and mentioned_field(said, step) is not None]
    return [*others, *owned]


#: What is sent, apart from whom it is sent to.
_ITSELF = re.compile(r"\b(?:it|this|that one|the same|the results?|the output)\b", re.IGNORECASE)


def _shaped(slot: Slot, step: StepDraft, found: str) -> str | list[str]:
    """Return a reference as a list of one where a parameter takes several and a step gives one."""
    if not slot.many or slot.kind is SlotKind.RECORDS:
        return found
    given = {reference(step, item.name): item.type for item in output_fields(step.profile)}
    return [found] if given.get(found) in ("string", "integer", "number") else found


def _in_order(found: Any, slot: Slot, many: int) -> list[StepDraft]:
    """Return the sources; for tools that take two tables the older one comes first."""
    listed = list(found)
    if many > 1 and slot.kind is SlotKind.RECORDS:
        usable = [step for step in listed if not step.sink]
        bridges = [step for step in usable if step.clause is None]  # they parse what others read
        parsed = {name for step in bridges for name in MENTION.findall(str(step.args))}
        usable = [step for step in usable if step.id not in parsed]
        tables = [step for step in usable if _gives_records(slot, step)]
        return list(reversed(tables[:many]))
    return listed


def _gives_records(slot: Slot, step: StepDraft) -> bool:
    blank = Clause(text="", start=0, end=0, words=(), literals=())
    return referenced(slot, step, blank) is not None


def _carries(profile: Profile, slot: Slot, binding: Binding) -> bool:
    """Whether an optional parameter is the one that takes what is sent along."""
    if binding.args.get("method") in _EMPTY_HANDED:
        return False
    if slot.name not in CARRIERS or (binding.refers and not _only_addressed(profile, binding)):
        return False
    filled = [item for item in profile.slots if item.kind in CONTENT and item.name in binding.args]
    return not filled


#: Requests that take nothing along.
_EMPTY_HANDED = ("DELETE", "GET", "HEAD", "OPTIONS")


def _repeats(profile: Profile, step: StepDraft, clause: Clause) -> bool:
    """Whether a step is sent what one like it was answered, and no word says so: "post to both"."""
    return profile is step.profile and not (
        _points_back(clause, profile) or _ITSELF.search(clause.text)
    )


def _only_addressed(profile: Profile, binding: Binding) -> bool:
    """Whether nothing but whom a thing is sent to comes from an earlier step: "mail *him* it"."""
    taken = [slot for slot in profile.slots if "${{" in str(binding.args.get(slot.name))]
    return bool(taken) and all(slot.kind in _ADDRESSES for slot in taken)


_ADDRESSES = frozenset({SlotKind.EMAIL, SlotKind.PHONE})


def takes_content(profile: Profile) -> bool:
    """Whether a tool is given what it keeps or sends, and not only where that is."""
    return any(slot.kind in CONTENT for slot in profile.slots)


def _points_back(clause: Clause, profile: Profile) -> bool:
    """Whether a clause speaks of a result; what the tool itself gets is none: "the weather"."""
    own = {stem(part) for part in name_words(profile.tool.name)}
    return any(word.stem in lexicon().references - own for word in clause.words)


_BOTH = re.compile(
    r"\b(?:both|them|these|those|the (?:two|three|four) \w+"
    r"|(?:all|the) (?:results|texts|outputs))\b",
    re.IGNORECASE,
)


def alike_steps(steps: Sequence[StepDraft]) -> list[StepDraft]:
    """Return the calls that the latest clause has led to, or those that share one verb."""
    latest = steps[-1].clause if steps else None
    if latest is None:
        return []
    if latest.cut_from is None:
        last = [step for step in steps if step.clause is latest]
        return [step for step in last if step.profile is last[-1].profile]
    last = [step for step in steps if step.clause and step.clause.cut_from == latest.cut_from]
    taken = {name for step in last for name in MENTION.findall(str(step.args))}
    return [step for step in last if step.id not in taken]


_TWO = re.compile(r"\b(?:both|the two)\b(?!\s+of\s+(?:my|our)\b)", re.IGNORECASE)


def _several(slot: Slot, clause: Clause, steps: Sequence[StepDraft]) -> Any:
    """Return what several calls of one clause give, for "save both results"; None if one is meant.

    Texts come one after the other, anything else as a list.
    """
    alike = alike_steps(steps)
    if len(alike) < 2 and _TWO.search(clause.text):
        alike = [step for step in steps if not (step.sink or step.silent)][-2:]
    content = slot.kind in (SlotKind.TEXT, SlotKind.ANY) and not slot.many
    if len(alike) < 2 or not content or not _BOTH.search(clause.text):
        return None
    found = [referenced(slot, step, clause) for step in alike]
    if any(value is None for value in found):
        return None
    main = main_field(alike[-1].profile)
    texts = slot.schema.get("type") == "string" or (main is not None and main.type == "string")
    return "\n\n".join(str(value) for value in found) if texts else found
