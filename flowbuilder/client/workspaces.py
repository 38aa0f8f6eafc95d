"""Workspaces, their members, the keys of programs, and the log."""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowbuilder.client.roles import checked_roles, checked_scopes
from flowbuilder.errors import InvalidValue, NotFound
from flowbuilder.executor.store.audit import AuditStore
from flowbuilder.executor.store.users import Doer
from flowbuilder.executor.store.workspaces import WorkspaceStore
from flowbuilder.limits import Quotas
from flowbuilder.types import JsonObject

if TYPE_CHECKING:
    from flowbuilder.executor.database import Database

#: A user's name.
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,99}")
#: A key: what it is found by, and the rest, of which only a hash is kept.
KEY_PATTERN = re.compile(r"fb_([0-9a-f]{8})_[0-9a-f]{48}")
#: A workspace's name; one that reads as an id would be two workspaces' name.
WORKSPACE_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


@dataclass(frozen=True, kw_only=True, slots=True)
class NewKey:
    """A key; its text is never shown again."""

    id: str
    text: str
    row: JsonObject


class Workspaces:
    """What belongs to workspaces, besides flows and runs."""

    def __init__(self, database: Database, quotas: Quotas | None = None) -> None:
        """`quotas`: what a workspace may use that is made here."""
        self._quotas = quotas or Quotas()
        self._workspaces = WorkspaceStore(database)
        self._audit = AuditStore(database)

    async def create_workspace(
        self, slug: str, *, admin: str | None = None, by: Doer
    ) -> JsonObject:
        """Make a workspace, with its first administrator and what it may use.

        Raises:
            InvalidValue: `workspace_name_invalid`.
            Conflict: `workspace_exists`.
            NotFound: `user_not_found`.
        """
        if not WORKSPACE_PATTERN.fullmatch(slug) or _is_id(slug):
            raise InvalidValue(
                "a workspace's name has up to 63 lower-case letters, digits and hyphens, and is "
                "no UUID",
                pointer="/slug",
                code="workspace_name_invalid",
            )
        workspace_id = await self._workspaces.create_workspace(
            slug, admin=admin, quotas=self._quotas, by=by
        )
        return (await self._workspaces.workspaces(name=workspace_id))[0]

    async def workspaces(self, *, user_id: str | None = None) -> list[JsonObject]:
        """Return all workspaces by slug, or those that a user is in."""
        return await self._workspaces.workspaces(user_id=user_id)

    async def find_workspace(self, name: str) -> str:
        """Return the id of a workspace by its slug or id. Raises: NotFound."""
        return await self._workspaces.find_workspace(name)

    async def archive_workspace(
        self, workspace_id: str, *, archived: bool = True, by: Doer
    ) -> JsonObject:
        """Let no runs be started in a workspace, or again; what runs goes on. Returns it."""
        await self._workspaces.archive_workspace(workspace_id, archived=archived, by=by)
        return (await self._workspaces.workspaces(name=workspace_id))[0]

    async def set_member(
        self, workspace_id: str, user: str, roles: Iterable[str], *, by: Doer
    ) -> None:
        """Say what a user is in a workspace.

        Raises:
            InvalidValue: `role_unknown`, `role_missing`.
            NotFound: `user_not_found`.
            Conflict: `last_admin`.
        """
        await self._workspaces.set_member(
            workspace_id, known_name(user), checked_roles(roles), by=by
        )

    async def remove_member(self, workspace_id: str, user: str, *, by: Doer) -> None:
        """Take a user out of a workspace.

        Raises:
            NotFound: `member_not_found`, whether or not there is such a user elsewhere.
            Conflict: `last_admin`.
        """
        if not NAME_PATTERN.fullmatch(user):
            raise NotFound("there is no such member", code="member_not_found")
        await self._workspaces.set_member(workspace_id, user, [], by=by)

    async def members(self, workspace_id: str) -> list[JsonObject]:
        """Return the members of a workspace by name."""
        return await self._workspaces.members(workspace_id)

    async def create_key(
        self,
        workspace_id: str,
        user: str,
        *,
        name: str,
        scopes: Iterable[str],
        seconds: float | None,
        by: Doer,
    ) -> NewKey:
        """Make a key for a member of a workspace; it ends after so many seconds, if any.

        Raises:
            InvalidValue: `scope_unknown`, `scope_missing`.
            NotFound: `member_not_found`.
        """
        prefix = secrets.token_hex(4)
        text = f"fb_{prefix}_{secrets.token_hex(24)}"
        key_id = await self._workspaces.create_key(
            workspace_id,
            known_name(user),
            name=name,
            prefix=prefix,
            hash=hash_of(text),
            scopes=checked_scopes(scopes),
            seconds=seconds,
            by=by,
        )
        [row] = await self._workspaces.keys(workspace_id, key_id=key_id)
        return NewKey(id=key_id, text=text, row=row)

    async def keys(self, workspace_id: str, *, user: str | None = None) -> list[JsonObject]:
        """Return the keys of a workspace, newest first; with `user` only theirs."""
        return await self._workspaces.keys(workspace_id, user=user)

    async def revoke_key(
        self, workspace_id: str, key_id: str, *, user: str | None = None, by: Doer
    ) -> None:
        """Revoke a key, at once. Raises: NotFound (`key_not_found`)."""
        await self._workspaces.revoke_key(workspace_id, key_id, user=user, by=by)

    # -- the log ----------------------------------------------------------------------------

    @property
    def log(self) -> AuditStore:
        """The log of who did what."""
        return self._audit


def known_name(name: str) -> str:
    """Return what may be a user's name. Raises: NotFound (`user_not_found`): nobody's is this."""
    if not NAME_PATTERN.fullmatch(name):
        raise NotFound("there is no such user", code="user_not_found")
    return name


def hash_of(text: str) -> bytes:
    """Return what is kept of a token or key: they are random, so SHA-256 is enough."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _is_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
