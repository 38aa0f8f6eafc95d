"""What all runs of one start have in common, and how long they may take."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from flowbuilder.budget import Spending
from flowbuilder.client.budgets import Bounds, budget_of, check_planning
from flowbuilder.client.checking import time_limit
from flowbuilder.errors import InvalidValue
from flowbuilder.executor.terms import Terms
from flowbuilder.flow import Flow
from flowbuilder.limits import Priority
from flowbuilder.settings import Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """What all runs of one start have in common."""

    timeout: str | float | None = None
    by: str | None = None
    plan_id: str | None = None
    exact: bool = False
    """Whether an idempotency key means this very version, or any of the same flow."""
    priority: Priority | str | int = Priority.NORMAL
    budget: Bounds = None
    spent: Spending | None = None
    """What planning has cost, which the budget is charged with."""
    replan: bool | None = None
    """Whether the rest may be planned anew when a step fails; None: as the settings say."""

    def terms(self, settings: Settings) -> Terms:
        """Return what holds for the runs.

        Raises:
            InvalidValue: `priority_unknown`, `budget_invalid`, `replan_invalid`.
            Conflict: Planning alone has cost too much (budget_exceeded).
        """
        budget = budget_of(self.budget, settings)
        check_planning(budget, self.spent)
        return Terms(
            budget=budget,
            spent=self.spent,
            max_replans=settings.max_replans if _wanted(self.replan, settings) else 0,
            replan_seconds=settings.replan_timeout.total_seconds(),
            priority=Priority.read(self.priority),
            max_elements=settings.max_elements,
            max_tasks=settings.max_tasks,
            max_open_runs=settings.max_open_runs,
        )


def _wanted(replan: object, settings: Settings) -> bool:
    if replan is None:
        return settings.replan
    if not isinstance(replan, bool):
        raise InvalidValue("replan is true or false", pointer="/replan", code="replan_invalid")
    return replan


def run_limit(start: Start, flow: Flow, settings: Settings) -> timedelta:
    """Return how long a run may take. Raises: InvalidValue (timeout_invalid)."""
    limit = time_limit(start.timeout) or flow.timeout or settings.run_timeout
    budget = budget_of(start.budget, settings)
    if budget is None or budget.seconds is None:
        return limit
    return timedelta(seconds=min(limit.total_seconds(), budget.seconds))
