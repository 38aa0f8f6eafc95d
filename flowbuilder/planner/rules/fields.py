"""Fields of an earlier output that a clause lists by name: "with *its subject and description*"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.instructions import is_instruction
from flowbuilder.planner.rules.lexicon import Word, lexicon, name_words, stem, words
from flowbuilder.planner.rules.literals import Kind
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.outputs import Field, StepDraft, output_fields, reference
from flowbuilder.planner.rules.referring import CARRIERS, CONTENT
from flowbuilder.planner.rules.slots import Slot, SlotKind

_OWNED = re.compile(r"\b(?:its|his|her|their|[\w-]+['’]s)\s+$", re.IGNORECASE)
_THE = re.compile(r"\b(?:the|both)\s+$", re.IGNORECASE)
_JOIN = re.compile(r"\s*(?:,|,?\s*\b(?:and|plus)\b)\s*(?:the\s+|its\s+|their\s+|his\s+|her\s+)?$")
_AS = re.compile(
    r"\s+(?:as|for)\s+(?:(?:the|its|a)\s+)?(?P<name>[a-z]+)\b(?!\s+of\b)", re.IGNORECASE
)
#: What names the thing anew: "the status of order 7".
_ANEW = re.compile(r"\s*(?:[:=]\s*|(?:of|for|from)\s+[^,.;]{0,24})?$")
_ADDRESSES = frozenset({Kind.EMAIL, Kind.PHONE, Kind.CHANNEL, Kind.PATH, Kind.URL})
_TITLES = frozenset({SlotKind.TITLE, SlotKind.NAME})
_NEAR = 0.6


@dataclass(frozen=True, slots=True)
class _Mention:
    """A field that a clause names, of which step, and where."""

    field: Field
    step: StepDraft
    start: int
    end: int

    @property
    def stems(self) -> frozenset[str]:
        return frozenset(stem(part) for part in name_words(self.field.name))

    @property
    def written(self) -> str:
        return reference(self.step, self.field.name)

    @property
    def line(self) -> str:
        label = self.field.name.replace("_", " ").capitalize()
        return f"{label}: {self.written}"


def bind_fields(
    profile: Profile, clause: Clause, steps: Sequence[StepDraft], binding: Binding
) -> None:
    """Give each field that a clause lists to the parameter of its name, the rest to the content."""
    found = _mentioned(clause, steps, binding)
    left = [one for one in found if not _give(one, profile, clause, binding)]
    if not found or not left:
        return
    taking = [
        slot
        for slot in _open(profile, binding)
        if slot.kind in CONTENT and (slot.required or slot.name in CARRIERS)
    ]
    if not taking or (len(found) == 1 and not taking[0].many):
        return  # one field alone is what any content refers to
    slot = min(taking, key=lambda one: not one.required)
    if slot.many:
        binding.args[slot.name] = [one.written for one in left]
    elif slot.schema.get("type") == "string":
        alone = len(left) == 1 and left[0].field.type == "string"
        binding.args[slot.name] = left[0].written if alone else "\n".join(o.line for o in left)
    else:
        return
    _take(left, binding)


def lists_fields(clause: Clause, steps: Sequence[StepDraft]) -> bool:
    """Whether a clause names fields of what an earlier step gave as that step's own."""
    return bool(_mentioned(clause, steps, Binding()))


def _take(mentions: Sequence[_Mention], binding: Binding) -> None:
    binding.used += [(one.start, one.end) for one in mentions]
    binding.refers = True


def _open(profile: Profile, binding: Binding) -> list[Slot]:
    return [
        slot for slot in profile.slots if slot.name not in binding.args and not is_instruction(slot)
    ]


def _give(mention: _Mention, profile: Profile, clause: Clause, binding: Binding) -> bool:
    """Give a field to the parameter that it is meant for by its name; return whether one is."""
    said = _AS.match(clause.text, mention.end - clause.start)
    meant = frozenset({stem(said.group("name"))}) if said is not None else mention.stems
    near = lexicon().nearness
    for slot in sorted(_open(profile, binding), key=lambda slot: slot.stems != meant):
        alike = slot.stems == meant or (
            slot.kind in _TITLES and any(near(a, b) >= _NEAR for a in meant for b in slot.stems)
        )
        if alike and _holds(slot, mention.field):
            binding.args[slot.name] = [mention.written] if slot.many else mention.written
            _take([mention], binding)
            if said is not None:
                binding.used.append((mention.end, clause.start + said.end()))
            return True
    return False


def _holds(slot: Slot, field: Field) -> bool:
    wanted = slot.schema.get("type")
    return wanted is None or field.type is None or wanted == field.type


def _mentioned(clause: Clause, steps: Sequence[StepDraft], binding: Binding) -> list[_Mention]:
    """Return the fields that a clause lists of the latest step that has them."""
    for step in reversed(steps):
        groups = list(_groups(clause, step, binding))
        if groups:
            return [one for group in groups for one in group]
    return []


def _groups(clause: Clause, step: StepDraft, binding: Binding) -> Iterator[list[_Mention]]:
    """Return the lists of a step's fields that a clause names as the step's own."""
    group: list[_Mention] = []
    for mention in _named(clause, step, binding):
        before = clause.text[: mention.start - clause.start]
        if group and _JOIN.fullmatch(clause.text, group[-1].end - clause.start, len(before)):
            group.append(mention)
            continue
        if _whole(group, clause):
            yield group
        leads = _OWNED.search(before) or _THE.search(before)
        group = [mention] if leads else []
    if _whole(group, clause):
        yield group


def _whole(group: Sequence[_Mention], clause: Clause) -> bool:
    """Whether a list speaks of what a step gave: "its subject", "the subject and the text"."""
    if not group:
        return False
    before = clause.text[: group[0].start - clause.start]
    after = group[-1].end - clause.start
    anew = any(
        item.start >= group[-1].end
        and _ANEW.fullmatch(clause.text, after, item.start - clause.start)
        for item in clause.literals
        if item.kind not in _ADDRESSES
    )
    return not anew and (len(group) > 1 or _OWNED.search(before) is not None)


def _named(clause: Clause, step: StepDraft, binding: Binding) -> Iterator[_Mention]:
    """Return the words of a clause that are names of a step's fields."""
    found = [
        word for word in words(clause.text, start=clause.start) if _free(word, clause, binding)
    ]
    fields = [item for item in output_fields(step.profile) if item.name]
    for place, word in enumerate(found):
        for item in fields:
            parts = [stem(part) for part in name_words(item.name)]
            run = found[place : place + len(parts)]
            if [one.stem for one in run] == parts:
                yield _Mention(item, step, word.start, run[-1].end)
                break


def _free(word: Word, clause: Clause, binding: Binding) -> bool:
    spans = [(item.start, item.end) for item in clause.literals] + binding.used
    return not any(start <= word.start < end for start, end in spans)
