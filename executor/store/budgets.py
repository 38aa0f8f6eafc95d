"""Budgets of runs: what is left, what is counted beside tasks, and what tools have cost so far."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from psycopg.types.json import Jsonb

from flowbuilder.budget import NAMES, Budget, BudgetUse, Spending
from flowbuilder.costs import Interval, ToolHistory
from flowbuilder.executor import queries
from flowbuilder.executor.store.base import StoreBase, as_uuid


class BudgetStore(StoreBase):
    """What runs may cost and have cost."""

    async def run_budget(self, run_id: str) -> BudgetUse | None:
        """Read the budget that a run belongs to, and what is used of it; None when it has none."""
        row = await self._one(queries.SHOW_BUDGET, self.workspace, as_uuid(run_id))
        return None if row["budget"] is None else _use(row["budget"])

    async def spend_budget(
        self, run_id: str, spending: Spending | None = None, *, replans: int = 0
    ) -> bool:
        """Count what was spent for a run outside its tasks; False when it has no budget.

        A run that is over its budget by that fails.

        Raises:
            NotFound: `run_not_found`.
            Conflict: `budget_exceeded`: its budget has no room for so many re-plans; nothing was
                counted.
        """
        spent = Jsonb((spending or Spending()).as_json())
        row = await self._one(queries.SPEND_BUDGET, self.workspace, as_uuid(run_id), spent, replans)
        return bool(row["counted"])

    async def tool_history(
        self, tools: Iterable[str], *, runs: int = 200
    ) -> dict[str, ToolHistory]:
        """Read what calls of tools (`name@version`) took in the newest runs, by tool."""
        found = await self._all(queries.TOOL_HISTORY, self.workspace, list(tools), runs)
        return {row["tool"]: _history(row) for row in found}


def _use(row: dict[str, Any]) -> BudgetUse:
    limits: dict[str, Any] = {name: row[f"max_{name}"] for name in NAMES}
    unknown = row["usd"] == 0 and row["unpriced_tokens"] > 0
    return BudgetUse(
        budget=Budget(**limits),
        tokens=row["tokens"],
        unpriced_tokens=row["unpriced_tokens"],
        usd=None if unknown else float(row["usd"]),
        seconds=float(row["seconds"]),
        steps=row["steps"],
        replans=row["replans"],
        root_run_id=str(row["root_id"]),
    )


def _history(row: dict[str, Any]) -> ToolHistory:
    return ToolHistory(
        calls=row["calls"],
        seconds=_interval(row["seconds"]),
        attempts=row["attempts"] or 1.0,
        failed=row["failed"] or 0.0,
        spent=row["spent"],
        tokens=_interval(row["tokens"]),
        usd=_interval(row["usd"]),
    )


def _interval(quantiles: list[float] | None) -> Interval | None:
    return None if quantiles is None or None in quantiles else Interval(*quantiles)
