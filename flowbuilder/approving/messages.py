"""What is told to people who are asked: the same few lines by every channel.

The arguments are not among them. They are shown where they are decided about, by who may do so, and
nothing that a model or an outsider has written can lead anywhere from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from flowbuilder.approving.showing import visible

_LONGEST = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What is told of an approval."""

    id: str
    flow: str
    step: str
    tool: str
    message: str | None
    risk: str
    reasons: tuple[str, ...]
    deadline_at: datetime
    then: str
    level: int = 0
    """Above 0: nobody has decided, so further people are asked."""
    link: str | None = None
    """By which whoever gets this decides."""


def subject(asked: Asked) -> str:
    """Return one line that says what is asked."""
    again = "Still to be decided" if asked.level else "Approval needed"
    return f"{again}: {_line(asked.flow)}, step {_line(asked.step)}"


def text(asked: Asked) -> str:
    """Return what is asked, and how to decide it."""
    lines = [
        subject(asked),
        "",
        f"Tool: {_line(asked.tool)}",
        f"Risk: {asked.risk}",
        *(f"Why: {_line(reason)}" for reason in asked.reasons),
        f"Message of the flow: {_line(asked.message)}" if asked.message else "",
        f"Deadline: {asked.deadline_at.isoformat(timespec='minutes')}",
        asked.then,
        "",
    ]
    if asked.link is not None:
        lines.append("This link is yours. It shows exactly what would be done, and counts once:")
        lines.append(asked.link)
    else:
        lines.append(f"To look at it and decide: flowbuilder approvals {asked.id}")
    kept = [line for place, line in enumerate(lines) if line or (place and lines[place - 1])]
    return "\n".join(kept) + "\n"


def _line(given: str) -> str:
    one = visible(" ".join(given.split()))
    return one if len(one) <= _LONGEST else f"{one[:_LONGEST]} ..."
