"""Values that a clause calls the same as before: "for *the same date and time*"."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.lexicon import stem, words
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.outputs import StepDraft, output_fields, reference

_SAME = re.compile(
    r"\b(?:at|on|in|for|with|to)?\s*the same\s+"
    r"(?P<things>[a-z]+(?:(?:\s*,\s*(?:and\s+)?|\s+and\s+)(?:the same\s+)?[a-z]+)*)",
    re.IGNORECASE,
)


def bind_same(clause: Clause, steps: Sequence[StepDraft], profile: Profile, found: Binding) -> None:
    """Take over what a clause calls the same: "for *the same date and time*"."""
    for match in _SAME.finditer(clause.text):
        said = {word.stem for word in words(match.group("things"))} - {stem("same")}
        taken: set[str] = set()
        for slot in profile.slots:
            if slot.name in found.args or not slot.stems & said:
                continue
            value = _given_before(slot.name, steps)
            if value is not None:
                found.args[slot.name] = value
                taken |= slot.stems & said
        if taken:
            found.used.append((clause.start + match.start(), clause.start + match.end()))


def _given_before(name: str, steps: Sequence[StepDraft]) -> object:
    for step in reversed(steps):
        if step.args.get(name) is not None:
            return step.args[name]
        if any(item.name == name for item in output_fields(step.profile)):
            return reference(step, name)
    return None
