"""The parts that a model divides a goal into, read and judged."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.flow import STEP_ID_PATTERN
from flowbuilder.planner.evidence import Statement
from flowbuilder.planner.hierarchy.sections import sections
from flowbuilder.planner.literals import ARGUMENTS, Literal, literals
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

#: What a model calls the types, and their schemas.
TYPES: Mapping[str, JsonSchema] = {
    "text": {"type": "string"},
    "number": {"type": "number"},
    "flag": {"type": "boolean"},
    "list": {"type": "array"},
    "object": {"type": "object"},
}
_NAME: JsonSchema = {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,30}$"}
_ASK = re.compile(r"\s*ask\s*:\s*(.+)", re.IGNORECASE | re.DOTALL)
_SOURCE = re.compile(r"([A-Za-z_]\w*)\.([A-Za-z_]\w*)")
_LONGEST_GOAL = 4000
_MOST_MEMBERS = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Take:
    """A value that a part gets from outside."""

    name: str
    part: str | None = None
    """The part that gives it; None for the run's input, or where it is asked for."""
    member: str = ""
    question: str | None = None
    """What to ask the user."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Give:
    """A value that a part gives to others."""

    name: str
    type: str
    about: str = ""

    @property
    def schema(self) -> JsonSchema:
        """The JSON Schema of the value."""
        shape = dict(TYPES[self.type])
        return {**shape, "description": self.about} if self.about else shape


@dataclass(frozen=True, kw_only=True, slots=True)
class Subgoal:
    """A part of a goal, with the interface that its parent declares."""

    id: str
    goal: str
    takes: tuple[Take, ...] = ()
    gives: tuple[Give, ...] = ()
    after: tuple[str, ...] = ()

    @property
    def needs(self) -> set[str]:
        """The parts that this one waits for."""
        return {item.part for item in self.takes if item.part is not None} | set(self.after)


def decomposition_schema(most: int) -> JsonSchema:
    """Return the schema of a model's answer: `{"subgoals": [...]}`."""
    text: JsonSchema = {"type": "string", "minLength": 1, "maxLength": _LONGEST_GOAL}
    take = _object({"name": _NAME, "from": {"type": "string", "maxLength": 300}}, 2)
    give = _object({"name": _NAME, "type": {"enum": [*TYPES]}, "about": {"type": "string"}}, 2)
    names = {"type": "array", "items": _NAME, "maxItems": _MOST_MEMBERS}
    members = {"type": "array", "maxItems": _MOST_MEMBERS}
    part = _object(
        {
            "id": _NAME,
            "goal": text,
            "takes": {**members, "items": take},
            "gives": {**members, "items": give},
            "after": names,
        },
        2,
    )
    # one more than allowed can be said, so that it is refused and not cut off
    parts = {"type": "array", "items": part, "minItems": 1, "maxItems": most + 1}
    return _object({"subgoals": parts}, 1)


def _object(properties: dict[str, Any], required: int) -> JsonSchema:
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties][:required],
        "additionalProperties": False,
    }


def read_subgoals(answer: Any) -> list[Subgoal]:
    """Return the parts of an answer that fits `decomposition_schema`."""
    return [_subgoal(item) for item in answer["subgoals"]]


def _subgoal(item: JsonObject) -> Subgoal:
    raw: Any = item
    return Subgoal(
        id=raw["id"],
        goal=" ".join(raw["goal"].split()),
        takes=tuple(_take(take["name"], take["from"]) for take in raw.get("takes") or ()),
        gives=tuple(
            Give(name=give["name"], type=give["type"], about=(give.get("about") or "")[:200])
            for give in raw.get("gives") or ()
        ),
        after=tuple(dict.fromkeys(raw.get("after") or ())),
    )


def _take(name: str, source: str) -> Take:
    if asked := _ASK.fullmatch(source):
        return Take(name=name, question=" ".join(asked[1].split())[:500])
    plain = source.strip().removeprefix("${{").removesuffix("}}").strip().removeprefix("steps.")
    found = _SOURCE.fullmatch(plain)
    if found is None:
        return Take(name=name, part="", member=plain[:80])
    return Take(name=name, part=None if found[1] == "input" else found[1], member=found[2])


def judge_subgoals(
    parts: Sequence[Subgoal],
    goal: str,
    *,
    most: int,
    inputs: JsonSchema | None = None,
    given_input: JsonValue = None,
) -> list[Problem]:
    """Return everything that is wrong with parts; each pointer goes into the answer."""
    problems: list[Problem] = []
    if len(parts) > most:
        text = f"there are {len(parts)} parts, at most {most} are allowed"
        problems.append(_problem("too_many_subgoals", "/subgoals", text))
    given = {part.id: {item.name for item in part.gives} for part in parts}
    members = set((inputs or {}).get("properties") or {})
    seen: set[str] = set()
    for number, part in enumerate(parts):
        where = f"/subgoals/{number}"
        if part.id in seen or not re.fullmatch(STEP_ID_PATTERN, part.id):
            problems.append(_problem("subgoal_id", f"{where}/id", f"the id {part.id!r} is taken"))
        problems += _source_problems(part, where, given, seen, members)
        problems += _doubled(part, where)
        seen.add(part.id)
    return [*problems, *_literal_problems(parts, goal, given_input)]


def _source_problems(
    part: Subgoal,
    where: str,
    given: Mapping[str, set[str]],
    before: set[str],
    members: set[str],
) -> list[Problem]:
    problems = []
    for place, take in enumerate(part.takes):
        if take.question is not None:
            continue
        pointer = f"{where}/takes/{place}/from"
        if take.part is None:
            wrong = take.member not in members
            text = f"the run's input has no {take.member!r}"
        else:
            wrong = take.part not in before or take.member not in given.get(take.part, ())
            text = f"no earlier part {take.part!r} gives {take.member!r}"
        if wrong:
            problems.append(_problem("subgoal_source", pointer, text))
    unknown = [name for name in part.after if name not in before]
    problems += [
        _problem("subgoal_source", f"{where}/after", f"there is no earlier part {name!r}")
        for name in unknown
    ]
    return problems


def _doubled(part: Subgoal, where: str) -> list[Problem]:
    found = []
    for kind, names in (("takes", part.takes), ("gives", part.gives)):
        listed = [item.name for item in names]
        if len(set(listed)) < len(listed):
            found.append(_problem("subgoal_member", f"{where}/{kind}", "a name stands twice"))
    return found


def _literal_problems(parts: Sequence[Subgoal], goal: str, given_input: JsonValue) -> list[Problem]:
    """Return what the parts lost of the goal's addresses, numbers and quotations, or made up."""
    said = " ".join(part.goal for part in parts).lower()
    goal = "\n".join(item.text for item in sections(goal))  # the numbers of points are no values
    problems = [
        _problem("subgoal_lost", "/subgoals", f"no part says {text!r}, which the goal names")
        for text in dict.fromkeys(item.text for item in literals(goal))
        if text.lower() not in said
    ]
    stated = goal if given_input is None else f"{goal}\n{orjson.dumps(given_input).decode()}"
    evidence = Statement(stated)
    for number, part in enumerate(parts):
        problems += [
            _problem("subgoal_invented", f"/subgoals/{number}/goal", f"nobody named {item.text!r}")
            for item in literals(part.goal)
            if not _is_stated(item, stated, evidence)
        ]
    return problems


def _is_stated(item: Literal, stated: str, evidence: Statement) -> bool:
    """Whether somebody named a literal: an address letter by letter, a number in any words."""
    if item.text.lower() in stated.lower():
        return True
    if item.kind in ARGUMENTS and item.kind != "date":
        return False
    if item.kind == "number" and re.fullmatch(r"\d+(\.\d+)?", item.text):
        return evidence.supports(float(item.text), {})
    return evidence.supports(item.text, {})


def _problem(code: str, pointer: str, message: str) -> Problem:
    return Problem(
        code=code, pointer=pointer, message=message, severity=Severity.ERROR, fix=Fix.MODEL
    )
