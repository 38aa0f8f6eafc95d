"""The steps in the text of an answer, with where each of them ends."""

from __future__ import annotations

import json
from dataclasses import dataclass

from flowbuilder.types import JsonObject

_BLANKS = " \t\r\n"


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A step, and how many characters of the answer have been written when it is whole."""

    step: JsonObject
    end: int


def steps_in(text: str) -> list[Written]:
    """Return the steps of `{"tasks": [step, …]}` as far as they can be read, in order.

    What stands before the list and behind what cannot be read is left out, as a reader of a
    stream would.
    """
    key = text.find('"tasks"')
    start = text.find("[", key) if key >= 0 else -1
    found: list[Written] = []
    if start < 0:
        return found
    decoder = json.JSONDecoder()
    at = start + 1
    while True:
        while at < len(text) and text[at] in _BLANKS + ",":
            at += 1
        if at >= len(text) or text[at] != "{":
            return found
        try:
            step, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return found
        found.append(Written(step=step, end=at))
