"""What a planner is told of runs of before."""

from __future__ import annotations

from dataclasses import dataclass

from flowbuilder.types import JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """A goal whose plan ran to its end, both without their values."""

    goal: str
    plan: JsonObject
    """`{tasks: [...]}`, as a model writes plans."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recollection:
    """Examples and rules; empty where nothing was learnt, or nothing is to be."""

    examples: tuple[Example, ...] = ()
    rules: tuple[str, ...] = ()
    """Sentences that were adopted because no evaluation suite got worse by them."""

    def __bool__(self) -> bool:
        return bool(self.examples or self.rules)


def rule_text(kind: str, tool: str) -> str:
    """Return the rule that a lesson proposes. Nothing of a run is in it but the tool's name."""
    if kind == "rejected":
        return f"People have refused {tool}: use it only where the goal plainly asks for it."
    return (
        f"{tool} has failed for good in runs of before: use it only where no other tool does the "
        "same, and only with values that the goal or an earlier step gives."
    )
