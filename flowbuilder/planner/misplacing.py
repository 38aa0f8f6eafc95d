"""Find receivers that stand where only others are meant: a channel where mail is sent."""

from __future__ import annotations

from flowbuilder.errors import Fix, Problem
from flowbuilder.planner.argument_names import PHONES
from flowbuilder.planner.coercion import texts_of
from flowbuilder.planner.literals import (
    ARGUMENTS,
    CHANNEL,
    EMAIL,
    HANDLE,
    PHONE,
    Literal,
    hint_for,
    takers,
)
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject

#: Arguments that name a member of a chat, a room or a mailbox, but never a phone.
_NO_PHONES = (ARGUMENTS["handle"] | ARGUMENTS["channel"] | {"email", "mail"}) - (
    ARGUMENTS["phone number"]
)


def misplaced(document: JsonObject, registry: ToolRegistry) -> list[tuple[int, str, Literal]]:
    """Return each receiver that stands where only others are meant: step, argument and literal.

    A channel or a handle where mail is sent, a phone number where a member of a chat is named, an
    e-mail address where a phone is.
    """
    steps = document.get("steps")
    found = []
    for index, step in enumerate(steps if isinstance(steps, list) else []):
        given = step.get("args") if isinstance(step, dict) else None
        mails = isinstance(step, dict) and "mail" in str(step.get("tool")).lower()
        for name, value in (given if isinstance(given, dict) else {}).items():
            for text in texts_of(value):
                literal = _receiver(text.strip(), name, mails=mails)
                if literal and (literal.kind != "phone number" or takers(literal, registry)):
                    found.append((index, name, literal))
    return found


def _receiver(text: str, name: str, *, mails: bool) -> Literal | None:
    if mails and name in ARGUMENTS["e-mail address"]:
        if CHANNEL.fullmatch(text):
            return Literal(kind="channel", text=text)
        if HANDLE.fullmatch(text):
            return Literal(kind="handle", text=text)
    if name in _NO_PHONES and PHONE.fullmatch(text):
        return Literal(kind="phone number", text=text)
    if name in PHONES and EMAIL.fullmatch(text):
        return Literal(kind="e-mail address", text=text)
    return None


def misplaced_receivers(document: JsonObject, registry: ToolRegistry) -> list[Problem]:
    """Return a problem for each receiver that cannot be reached by the step it stands in."""
    return [_misplaced(*place, registry) for place in misplaced(document, registry)]


def _misplaced(index: int, name: str, literal: Literal, registry: ToolRegistry) -> Problem:
    return Problem(
        code="literal_misplaced",
        pointer=f"/steps/{index}/args/{name}",
        message=f"the {literal.kind} {literal.text} cannot be the {name} here",
        hint=hint_for(literal, registry),
        fix=Fix.MODEL,
    )
