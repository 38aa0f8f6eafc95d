"""The log of who did what; nothing in it is ever changed."""

from __future__ import annotations

from psycopg.types.json import Jsonb

from flowbuilder.executor import account_queries as queries
from flowbuilder.executor.store.base import StoreBase
from flowbuilder.executor.store.users import Doer
from flowbuilder.types import JsonObject

NEWEST = 2**63 - 1


class AuditStore(StoreBase):
    """Writes and reads lines of the log."""

    async def note(
        self,
        action: str,
        object: str | None,
        *,
        workspace_id: str | None,
        details: JsonObject,
        by: Doer,
    ) -> None:
        """Write a line."""
        await self._one(queries.NOTE, by.as_json(), workspace_id, action, object, Jsonb(details))

    async def audit(
        self, workspace_id: str | None, *, before: int = NEWEST, limit: int = 100
    ) -> list[JsonObject]:
        """Read the lines of a workspace (None: of the installation), newest first."""
        found = await self._all(queries.AUDIT, workspace_id, before, limit)
        return [row["answer"] for row in found]
