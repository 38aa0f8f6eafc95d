"""What workspaces have connected by themselves."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from psycopg.types.json import Json

from flowbuilder.errors import NotFound
from flowbuilder.executor.rows import read
from flowbuilder.executor.store.base import StoreBase, as_name
from flowbuilder.types import JsonObject

#: Connections of one workspace.
MOST_CONNECTIONS = 100

_ADD: Final = b"select flowbuilder.add_connection(%s, %s, %s, %s, %s, %s, %s) as id"
_LIST: Final = b"""
    select * from flowbuilder.connections
    where workspace_id = %s and (%s::text is null or name = %s) order by name"""
_ALL: Final = b"select * from flowbuilder.connections order by id"
_REMOVE: Final = b"""
    delete from flowbuilder.connections where workspace_id = %s and name = %s returning id"""
_MARK: Final = b"""
    select (select string_agg(c.id::text, ',' order by c.id) from flowbuilder.connections c
            where %s::uuid is null or c.workspace_id = %s::uuid) as ids,
           (select max(p.updated_at) from flowbuilder.connections c
            join flowbuilder.tool_pins p on p.workspace_id = c.workspace_id and p.server = c.name
            where %s::uuid is null or c.workspace_id = %s::uuid) as pinned_at"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionRow:
    """A connection of a workspace."""

    id: int
    workspace_id: str
    name: str
    kind: Literal["openapi", "mcp"]
    definition: JsonObject = field(repr=False)
    """As the operator's file would say it, without the document."""
    document: JsonObject | None = field(repr=False)
    created_at: datetime
    created_by: str | None


class ConnectionStore(StoreBase):
    """Reads and writes connections."""

    async def add_connection(
        self,
        name: str,
        kind: str,
        definition: JsonObject,
        document: JsonObject | None,
        *,
        actor: str | None,
    ) -> ConnectionRow:
        """Keep a connection.

        Raises:
            Conflict: `connection_exists` (in any workspace), `too_many_connections`.
        """
        stored = None if document is None else Json(document)
        given = (self.workspace, name, kind, Json(definition), stored, MOST_CONNECTIONS, actor)
        await self._one(_ADD, *given)
        return (await self.connections(name))[0]

    async def connections(self, name: str | None = None) -> list[ConnectionRow]:
        """Read the workspace's connections by name, or the one of this name."""
        wanted = None if name is None else as_name(name)
        found = await self._all(_LIST, self.workspace, wanted, wanted)
        return [read(ConnectionRow, row) for row in found]

    async def all_connections(self) -> list[ConnectionRow]:
        """Read the connections of all workspaces, oldest first; for workers."""
        return [read(ConnectionRow, row) for row in await self._all(_ALL)]

    async def connections_mark(self, *, everywhere: bool = False) -> object:
        """Return what is another value after every change of the workspace's connections."""
        place = None if everywhere else self.workspace
        row = await self._one(_MARK, place, place, place, place)
        return row["ids"], row["pinned_at"]

    async def remove_connection(self, name: str) -> None:
        """Forget a connection. Raises: NotFound (`connection_not_found`)."""
        if not await self._all(_REMOVE, self.workspace, as_name(name)):
            raise NotFound(
                f"there is no connection {as_name(name)[:80]!r}", code="connection_not_found"
            )
