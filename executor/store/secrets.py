"""Sealed secrets: what is stored of them, which is never a value."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from flowbuilder.executor.rows import read
from flowbuilder.executor.store.base import StoreBase, as_name, as_uuid
from flowbuilder.secrecy.binding import Binding
from flowbuilder.secrecy.envelope import Envelope, Place

_PUT: Final = (
    b"select flowbuilder.put_secret(%s, %s, %s::uuid, %s, %s::text[], %s::text[], %s, %s, %s, %s,"
    b" %s) as done"
)
_WRAP: Final = b"select flowbuilder.wrap_secret(%s::uuid, %s, %s, %s) as done"
_LIST: Final = b"select * from flowbuilder.secrets where workspace_id = %s order by name"
_GET: Final = b"select * from flowbuilder.secrets where workspace_id = %s and name = %s"
_DELETE: Final = (
    b"delete from flowbuilder.secrets where workspace_id = %s and name = %s returning name"
)
_OF_RUN: Final = b"select * from flowbuilder.secrets_of_run(%s)"
_SEALED_OTHERWISE: Final = (
    b"select * from flowbuilder.secrets where key_id <> %s order by workspace_id, name limit 500"
)
#: Changes whenever a secret was set or deleted; a plain scan of a table that is always small.
_STATE: Final = b"select count(*) as count, max(updated_at) as newest from flowbuilder.secrets"


@dataclass(frozen=True, kw_only=True, slots=True)
class SecretRow:
    """A secret as it is stored: everything but its value, which only a master key opens."""

    workspace_id: str
    name: str
    id: str
    version: int
    hosts: list[str]
    """Where it may be sent to."""
    tools: list[str]
    """Which tools may read it."""
    description: str | None
    created_at: datetime
    updated_at: datetime
    updated_by: str | None
    envelope: Envelope = field(repr=False)

    @property
    def place(self) -> Place:
        """What the envelope is bound to."""
        return Place(workspace=self.workspace_id, id=self.id, name=self.name, version=self.version)

    @property
    def binding(self) -> Binding:
        """Who may have it."""
        return Binding(hosts=tuple(self.hosts), tools=tuple(self.tools))


def _secret(row: dict[str, Any]) -> SecretRow:
    envelope = Envelope(
        key_id=row["key_id"], wrapped=bytes(row["wrapped"]), sealed=bytes(row["sealed"])
    )
    return read(
        SecretRow, row, envelope=envelope, workspace_id=str(row["workspace_id"]), id=str(row["id"])
    )


class SecretStore(StoreBase):
    """Reads and writes sealed secrets."""

    async def put_secret(
        self,
        place: Place,
        envelope: Envelope,
        binding: Binding,
        *,
        description: str | None,
        actor: str | None,
    ) -> bool:
        """Store a version. False: another one was stored meanwhile."""
        row = await self._one(
            _PUT,
            *(self.workspace, place.name, place.id, place.version),
            *(list(binding.hosts), list(binding.tools), description),
            *(envelope.key_id, envelope.wrapped, envelope.sealed, actor),
        )
        return bool(row["done"])

    async def wrap_secret(self, place: Place, envelope: Envelope) -> bool:
        """Store a data key that was wrapped anew. False: the version is gone."""
        row = await self._one(_WRAP, place.id, place.version, envelope.key_id, envelope.wrapped)
        return bool(row["done"])

    async def secrets(self) -> list[SecretRow]:
        """Return the secrets of the workspace by name."""
        return [_secret(row) for row in await self._all(_LIST, self.workspace)]

    async def find_secret(self, name: str) -> SecretRow | None:
        """Return the secret of a name, if there is one."""
        rows = await self._all(_GET, self.workspace, as_name(name))
        return _secret(rows[0]) if rows else None

    async def delete_secret(self, name: str) -> bool:
        """Delete a secret. False: there is none."""
        return bool(await self._all(_DELETE, self.workspace, as_name(name)))

    async def secrets_of_run(self, run_id: str) -> list[SecretRow]:
        """Return the secrets of the workspace that a run belongs to."""
        return [_secret(row) for row in await self._all(_OF_RUN, as_uuid(run_id))]

    async def secrets_under_other_keys(self, key_id: str) -> list[SecretRow]:
        """Return up to 500 secrets, of all workspaces, that another master key has wrapped."""
        return [_secret(row) for row in await self._all(_SEALED_OTHERWISE, key_id)]

    async def secrets_state(self) -> tuple[int, datetime | None]:
        """Return how many secrets there are in all workspaces, and when one was set last."""
        row = await self._one(_STATE)
        return row["count"], row["newest"]
