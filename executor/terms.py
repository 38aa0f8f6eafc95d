"""What bounds runs and tools: the terms of a run, and the limits on tools."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from flowbuilder.budget import Budget, Spending
from flowbuilder.limits import Priority, Rate
from flowbuilder.types import JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """What holds for a run from its start on; child runs have them from their parent."""

    priority: Priority = Priority.NORMAL
    max_elements: int = 100_000
    max_tasks: int = 200_000
    max_open_runs: int = 100_000
    budget: Budget | None = None
    spent: Spending | None = None
    """What the budget is charged with from the beginning: planning."""
    max_replans: int = 0
    """How often the rest of it may be planned anew; not for its child runs."""
    replan_seconds: float = 600.0
    """How long a failed step waits for that."""

    def as_json(self) -> JsonObject:
        """Return them as the SQL function takes them."""
        terms: JsonObject = {
            "priority": self.priority.rank,
            "max_elements": self.max_elements,
            "max_tasks": self.max_tasks,
            "max_open_runs": self.max_open_runs,
        }
        if self.budget is not None:
            spent = (self.spent or Spending()).as_json()
            terms["budget"] = {**self.budget.as_json(), "spent": spent}
        if self.max_replans:
            terms["replanning"] = {"most": self.max_replans, "seconds": self.replan_seconds}
        return terms


@dataclass(frozen=True, kw_only=True, slots=True)
class LimitRow:
    """A limit on tools, and what is under it."""

    pattern: str
    """A tool's name, the beginning of names as in `http.*`, or `*`."""
    source: Literal["tool", "administrator"]
    """Who said it: the tool's declaration, or an administrator, whose word counts instead."""
    concurrency: int | None
    rate: Rate | None
    running: int
    waiting: int
    """Tasks that it keeps back."""
    next_at: datetime | None
    """When its rate lets the next task start; None: at once."""
    updated_at: datetime
    updated_by: str | None
