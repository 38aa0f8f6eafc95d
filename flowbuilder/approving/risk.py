"""How much is at stake in a call: by what its tool does, and by whose words reach it."""

from __future__ import annotations

from enum import StrEnum

from flowbuilder.policy import Taint
from flowbuilder.tools import Effects


class Risk(StrEnum):
    """Shown to who decides. What is high is never agreed to by a deadline that passes."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


def risk_of(effects: Effects, taint: Taint) -> Risk:
    """Return the risk of a call.

    High is what cannot be undone, and what writes or sends words of outsiders.
    """
    if effects is Effects.IRREVERSIBLE:
        return Risk.HIGH
    if effects in (Effects.WRITE, Effects.EXTERNAL):
        return Risk.HIGH if taint is Taint.TEXT else Risk.MEDIUM
    return Risk.MEDIUM if taint is Taint.TEXT else Risk.LOW
