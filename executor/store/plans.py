"""Plans and their events."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.types.json import Json

from flowbuilder.errors import NotFound
from flowbuilder.executor import queries, rows
from flowbuilder.executor.events import EventRow
from flowbuilder.executor.records import PlanRow
from flowbuilder.executor.store.base import StoreBase, as_uuid
from flowbuilder.types import JsonObject


class PlanStore(StoreBase):
    """What planners proposed."""

    async def save_plan(self, document: JsonObject) -> PlanRow:
        """Insert or replace a plan, given as `Plan.as_json()`.

        Raises:
            NotFound: `plan_not_found`: the id is that of another workspace's plan.
        """
        found = await self._all(
            queries.SAVE_PLAN,
            document["id"],
            self.workspace,
            document["goal"],
            document["status"],
            Json(document),
        )
        return rows.plan(_first(found, document["id"]))

    async def store_plan(
        self, document: JsonObject, events: Sequence[tuple[str, JsonObject]]
    ) -> bool:
        """Insert a plan, given as `Plan.as_json()`, and its events, both or neither.

        Events are types with their data. False, and nothing stored: the id is taken.
        """
        listed = [{"type": type, "data": data} for type, data in events]
        row = await self._one(
            queries.STORE_PLAN,
            self.workspace,
            document["id"],
            document["goal"],
            document["status"],
            Json(document),
            Json(listed),
        )
        return bool(row["stored"])

    async def get_plan(self, plan_id: str) -> PlanRow:
        """Read a plan.

        Raises:
            NotFound: `plan_not_found`.
        """
        found = await self._all(queries.GET_PLAN, self.workspace, as_uuid(plan_id))
        return rows.plan(_first(found, plan_id))

    async def list_plans(self, *, limit: int = 50, before: str | None = None) -> list[PlanRow]:
        """Read plans, newest first; with `before` those behind this one in that order."""
        known = None if before is None else as_uuid(before)
        found = await self._all(queries.LIST_PLANS, self.workspace, known, limit)
        return [rows.plan(row) for row in found]

    async def accept_plan(self, plan_id: str, run_id: str | None) -> PlanRow:
        """Mark a plan accepted and remember the run that executes it.

        Raises:
            NotFound: `plan_not_found`.
        """
        run = None if run_id is None else as_uuid(run_id)
        found = await self._all(queries.ACCEPT_PLAN, run, self.workspace, as_uuid(plan_id))
        return rows.plan(_first(found, plan_id))

    async def append_plan_event(self, plan_id: str, type: str, data: JsonObject) -> EventRow:
        """Write one event of a stored plan's stream.

        Raises:
            NotFound: `plan_not_found`.
        """
        found = await self._all(
            queries.APPEND_PLAN_EVENT, self.workspace, as_uuid(plan_id), type, Json(data)
        )
        return rows.read(EventRow, _first(found, plan_id))

    async def tools_together(self, *, runs: int = 1000) -> list[list[str]]:
        """Read the tools (`name@version`) of each graph that the newest runs carried to the end.

        A graph counts once, however often it ran; one with a single tool not at all.
        """
        found = await self._all(queries.TOOLS_TOGETHER, self.workspace, runs)
        return [list(row["tools"]) for row in found]


def _first(found: Sequence[rows.Row], plan_id: object) -> rows.Row:
    if not found:
        raise NotFound(f"there is no plan {plan_id}", code="plan_not_found")
    return found[0]
