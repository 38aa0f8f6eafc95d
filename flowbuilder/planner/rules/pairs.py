"""Named values for a parameter that takes an object: "with species "Gentoo" and year 2009"."""

from __future__ import annotations

import re
from typing import Any

from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.lexicon import listed
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.slots import Slot

_OBJECTS = listed("input inputs parameters params variables arguments values")
_LEAD = re.compile(
    r"(?:^|[\s,])"
    r"(?P<more>(?:and\s+|then\s+|,\s*)*(?:again|once more|another time|a second time)\s+)?"
    r"(?P<with>(?:with|where|using|and|for)\s+)(?:the\s+)?"
    r"(?P<name>[A-Za-z_]\w*)\s+(?:(?:of|is|as|set to|=)\s+|=\s*)?$",
    re.IGNORECASE,
)
#: Nouns before a literal that name what is called, not a value given to it.
_CALLED = listed("flow workflow tool process")


def bind_pairs(profile: Profile, clause: Clause, binding: Binding) -> None:
    """Give an object parameter the values that the clause names; "again with" makes another."""
    for slot in profile.slots:
        if slot.name in binding.args or not _takes_object(slot):
            continue
        groups = _groups(clause, binding)
        if groups:
            binding.args[slot.name] = groups[0]
        if len(groups) > 1:
            binding.repeats[slot.name] = list(groups)


def _takes_object(slot: Slot) -> bool:
    return slot.name in _OBJECTS and slot.schema.get("type") != "string" and not slot.many


def _groups(clause: Clause, binding: Binding) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = []
    for item in clause.literals:
        found = _LEAD.search(clause.text[: max(item.start - clause.start, 0)])
        if found is None or found.group("name").lower() in _CALLED:
            continue
        name = found.group("name")
        if not groups or found.group("more") or name in groups[-1]:
            groups.append({})
        groups[-1][name] = item.value
        binding.used.append((clause.start + found.start(), item.end))
    return groups
