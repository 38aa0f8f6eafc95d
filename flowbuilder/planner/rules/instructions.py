"""Parameters that take an instruction in plain words, such as a model's prompt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.lexicon import listed
from flowbuilder.planner.rules.literals import Kind
from flowbuilder.planner.rules.matching import Profile
from flowbuilder.planner.rules.outputs import StepDraft, referenced, sources
from flowbuilder.planner.rules.slots import Slot, SlotKind
from flowbuilder.planner.rules.tables import TableWords

#: Names of parameters that take an instruction in plain words.
INSTRUCTION = listed("prompt instruction instructions")


def instruct(
    profile: Profile, clause: Clause, steps: list[StepDraft], args: Mapping[str, Any]
) -> tuple[dict[str, Any], bool]:
    """Give the clause itself to a prompt, with what it is about after it.

    Returns the arguments found and whether one of them refers to an earlier step.
    """
    found: dict[str, Any] = {}
    refers = False
    for slot in profile.slots:
        if is_instruction(slot):
            found[slot.name], refers = _prompt(profile, slot, clause, steps, args)
        elif slot.kind is SlotKind.OBJECT and slot.name == "schema" and slot.required:
            wanted = _schema(clause)
            if wanted is not None:
                found[slot.name] = wanted
    return found, refers


def instructs(profile: Profile) -> bool:
    """Whether a tool takes its instruction in plain words."""
    return any(is_instruction(slot) for slot in profile.slots)


def is_instruction(slot: Slot) -> bool:
    """Whether a parameter takes what is asked in plain words."""
    if slot.kind not in (SlotKind.TEXT, SlotKind.QUERY) or not slot.required:
        return False
    asks = slot.described <= {"the", "question"} and "question" in slot.described
    return asks or slot.name in INSTRUCTION


def _prompt(
    profile: Profile,
    slot: Slot,
    clause: Clause,
    steps: list[StepDraft],
    args: Mapping[str, Any],
) -> tuple[str, bool]:
    if slot.name not in INSTRUCTION:
        return _question(clause), False
    text = clause.text[:1].upper() + clause.text[1:] + "."
    others = [
        other
        for other in profile.slots
        if other is not slot and other.kind is SlotKind.TEXT and "${{" in str(args.get(other.name))
    ]
    if others:
        return text, False
    for step in sources(steps, clause):
        found = referenced(slot, step, clause)
        if found is not None:
            return f"{text}\n\n{found}", True
    return text, False


def _question(clause: Clause) -> str:
    """Return what a person is asked: "ask me for a name" becomes "Please give a name."."""
    quoted = next((item.value for item in clause.literals if item.kind is Kind.QUOTED), None)
    if isinstance(quoted, str):
        return quoted
    rest = _ASKING.sub("", clause.text).strip(" .?!")
    return f"Please give {rest}." if rest != clause.text.strip(" .?!") else f"{rest}?"


_ASKING = re.compile(
    r"^(?:ask|prompt|query|let|have)\s+(?:me|us|him|her|them|someone|somebody|a \w+|the \w+|my \w+)"
    r"\s+(?:for|to (?:enter|type|give|provide|choose|fill in)|enter|type|give|choose|about)\s+",
    re.IGNORECASE,
)


def _schema(clause: Clause) -> dict[str, Any] | None:
    """Return a schema with a text for each thing that is to be extracted."""
    names = TableWords(clause).columns() or _listed(clause)
    if not names:
        return None
    properties = {name: {"type": "string"} for name in names}
    return {"type": "object", "properties": properties, "required": list(properties)}


def _listed(clause: Clause) -> list[str]:
    """Return the nouns between the verb and the first preposition."""
    verb = clause.verb
    found: list[str] = []
    for word in clause.words:
        if verb is None or word.start <= verb.start:
            continue
        if word.lower in ("from", "of", "in", "out", "for"):
            break
        if word.lower not in ("the", "a", "an", "and", "all", "its", "their"):
            found.append(word.lower)
    return found
