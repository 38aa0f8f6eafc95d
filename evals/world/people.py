"""Simulated people: who decides what runs ask, by a rule that a test can read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from flowbuilder.client import FlowBuilder
from flowbuilder.errors import FlowBuilderError
from flowbuilder.executor.records import ApprovalRow
from flowbuilder.types import JsonObject, JsonValue

#: Who decides when a step asks anybody.
DECIDER = "user:eval"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a person says."""

    verdict: Literal["approve", "reject", "silence"]
    edits: JsonObject | None = None
    """The arguments as they are to be used instead."""
    value: JsonValue = None
    """What is given when a value is asked for."""


#: A person who is asked; sees what a real one would see.
Person = Callable[[ApprovalRow], Answer]


def agreeing(asked: ApprovalRow) -> Answer:
    """Agree to everything."""
    return Answer(verdict="approve")


def refusing(asked: ApprovalRow) -> Answer:
    """Refuse everything."""
    return Answer(verdict="reject")


def silent(asked: ApprovalRow) -> Answer:
    """Say nothing."""
    return Answer(verdict="silence")


def answering(*values: JsonValue) -> Person:
    """Return a person who agrees, and gives these values in order where one is asked for."""
    left = list(values)

    def answer(asked: ApprovalRow) -> Answer:
        value = left.pop(0) if asked.kind == "input" and left else None
        return Answer(verdict="approve", value=value)

    return answer


async def decide_all(fb: FlowBuilder, run_id: str, person: Person, told: set[str]) -> int:
    """Have a person decide what a run asks; `told` collects what was shown. Returns how many."""
    decided = 0
    for asked in await fb.approvals(run_id=run_id):
        if asked.id in told:
            continue
        told.add(asked.id)
        said = person(asked)
        if said.verdict == "silence":
            continue
        by = asked.by[0] if asked.by else DECIDER
        try:
            if said.verdict == "reject":
                await fb.reject(asked.id, by=by)
            else:
                await fb.approve(asked.id, by=by, edits=said.edits, value=said.value)
        except FlowBuilderError:
            continue  # it was decided or had expired meanwhile, or the value does not fit
        decided += 1
    return decided
