"""What people see of an approval, and what holds for every decision: pure functions."""

from __future__ import annotations

from flowbuilder.approving.comparing import Change, changes, touched
from flowbuilder.approving.risk import Risk, risk_of
from flowbuilder.approving.showing import Shown, destinations, shown, visible

__all__ = [
    "Change",
    "Risk",
    "Shown",
    "changes",
    "destinations",
    "risk_of",
    "shown",
    "touched",
    "visible",
]
