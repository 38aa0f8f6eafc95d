"""Goals that are to be reached again and again: a plan is for one run, a schedule repeats it."""

from __future__ import annotations

import re

_OFTEN = re.compile(
    r"\b(?:(?:every|each) (?:other |\d+ )?(?:minute|hour|day|night|morning|evening|weekday|week"
    r"|weekend|month|quarter|year|(?:mon|tues|wednes|thurs|fri|satur|sun)day)s?"
    r"|hourly|daily|nightly|weekly|monthly|quarterly|yearly)\b",
    re.IGNORECASE,
)


def repeating_hint(text: str) -> str | None:
    """Say how something is repeated, where a text asks for that; None where it does not."""
    often = _OFTEN.search(text)
    if often is None:
        return None
    return (
        f"A plan is for one run: leave “{often[0]}” out of the goal, and give the flow a schedule "
        "(`flowbuilder triggers add`)."
    )
