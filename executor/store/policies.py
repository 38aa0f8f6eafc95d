"""Policies, and what a worker reads to hold a call against one."""

from __future__ import annotations

from psycopg.types.json import Json

from flowbuilder.errors import NotFound
from flowbuilder.executor import queries, rows
from flowbuilder.executor.records import PolicyRow
from flowbuilder.executor.store.base import StoreBase
from flowbuilder.types import JsonObject


class PolicyStore(StoreBase):
    """What a workspace has said of the effects of its runs."""

    async def set_policy(
        self, document: JsonObject | None, *, actor: str | None = None, base: int | None = None
    ) -> PolicyRow:
        """Set the policy of the workspace; None takes back what was said before.

        Raises:
            Conflict: The newest policy is not that of the id `base`, 0 for none (`policy_changed`).
        """
        given = None if document is None else Json(document)
        row = await self._one(queries.SET_POLICY, self.workspace, given, actor, base)
        return rows.read(PolicyRow, row)

    async def policy(self) -> PolicyRow | None:
        """Read the newest policy of the workspace, None if there never was one."""
        found = await self._all(queries.NEWEST_POLICY, self.workspace)
        return rows.read(PolicyRow, found[0]) if found else None

    async def policies(self, *, limit: int = 50) -> list[PolicyRow]:
        """Read what was said in the workspace, newest first."""
        found = await self._all(queries.LIST_POLICIES, self.workspace, limit)
        return [rows.read(PolicyRow, row) for row in found]

    async def policy_by_id(self, policy_id: int) -> PolicyRow:
        """Read a policy of any workspace. Raises: NotFound (`policy_not_found`)."""
        found = await self._all(queries.POLICY_BY_ID, policy_id)
        if not found:
            raise NotFound(f"there is no policy {policy_id}", code="policy_not_found")
        return rows.read(PolicyRow, found[0])

    async def guarded_version(self, version_id: str) -> tuple[JsonObject, frozenset[str]]:
        """Read the document of a version of any workspace, and which steps were declared untrusted.

        Raises:
            NotFound: `version_not_found`.
        """
        found = await self._all(queries.GUARDED_VERSION, version_id)
        if not found:
            raise NotFound("there is no such version", code="version_not_found")
        return found[0]["document"], frozenset(found[0]["outside"])
