"""Workspaces, their members and the keys that programs work in them with."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.types.json import Jsonb

from flowbuilder.errors import NotFound
from flowbuilder.executor import account_queries as queries
from flowbuilder.executor.store.base import StoreBase, as_uuid
from flowbuilder.executor.store.users import Doer
from flowbuilder.limits import Quotas
from flowbuilder.types import JsonObject


class WorkspaceStore(StoreBase):
    """Typed calls about workspaces; each names the one that it is about."""

    async def create_workspace(
        self, slug: str, *, admin: str | None, quotas: Quotas, by: Doer
    ) -> str:
        """Make a workspace that may use so much, and return its id.

        Raises:
            Conflict: `workspace_exists`.
            NotFound: `user_not_found`: nobody is called `admin`.
        """
        given = (slug, admin, by.as_json(), Jsonb(quotas.as_json()))
        return str((await self._one(queries.CREATE_WORKSPACE, *given))["id"])

    async def workspaces(
        self, *, user_id: str | None = None, name: str | None = None
    ) -> list[JsonObject]:
        """Read workspaces by slug: all, those of a user, or the one of this slug or id."""
        found = await self._all(queries.WORKSPACES, user_id, name)
        return [row["answer"] for row in found]

    async def find_workspace(self, name: str) -> str:
        """Return the id of the workspace of this slug or id. Raises: NotFound."""
        found = await self.workspaces(name=name)
        if not found:
            raise NotFound(f"there is no workspace {name[:80]!r}", code="workspace_not_found")
        return str(found[0]["id"])

    async def archive_workspace(self, workspace_id: str, *, archived: bool, by: Doer) -> None:
        """Let no runs be started in a workspace any more, or again."""
        await self._one(queries.ARCHIVE_WORKSPACE, workspace_id, archived, by.as_json())

    async def set_member(
        self, workspace_id: str, user: str, roles: Sequence[str], *, by: Doer
    ) -> None:
        """Say what a user is in a workspace; no role at all takes the membership away.

        Raises:
            NotFound: `user_not_found`, `member_not_found`.
            Conflict: `last_admin`.
        """
        await self._one(queries.SET_MEMBER, workspace_id, user, list(roles), by.as_json())

    async def members(self, workspace_id: str) -> list[JsonObject]:
        """Read the members of a workspace by name."""
        return [row["answer"] for row in await self._all(queries.MEMBERS, workspace_id)]

    async def create_key(
        self,
        workspace_id: str,
        user: str,
        *,
        name: str,
        prefix: str,
        hash: bytes,
        scopes: Sequence[str],
        seconds: float | None,
        by: Doer,
    ) -> str:
        """Keep a key of a member and return its id. Raises: NotFound (`member_not_found`)."""
        row = await self._one(
            queries.CREATE_KEY,
            workspace_id,
            user,
            name,
            prefix,
            hash,
            list(scopes),
            seconds,
            by.as_json(),
        )
        return str(row["id"])

    async def keys(
        self, workspace_id: str, *, user: str | None = None, key_id: str | None = None
    ) -> list[JsonObject]:
        """Read keys, newest first: of a workspace, of one user there, or the one of this id."""
        key = None if key_id is None else as_uuid(key_id)
        return [row["answer"] for row in await self._all(queries.KEYS, workspace_id, user, key)]

    async def revoke_key(
        self, workspace_id: str, key_id: str, *, user: str | None = None, by: Doer
    ) -> None:
        """Revoke a key at once. Raises: NotFound (`key_not_found`)."""
        await self._one(queries.REVOKE_KEY, workspace_id, as_uuid(key_id), user, by.as_json())
