"""Tools of MCP servers as they were approved, and those that are suspended."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from psycopg.types.json import Json

from flowbuilder.executor.rows import read
from flowbuilder.executor.store.base import StoreBase, as_name
from flowbuilder.types import JsonObject

_LIST: Final = b"""
    select * from flowbuilder.tool_pins
    where workspace_id = %s and (%s::text is null or server = %s) order by server, tool"""
_PIN: Final = b"select flowbuilder.pin_tool(%s, %s, %s, %s, %s, %s, %s)"
_SUSPEND: Final = b"select flowbuilder.suspend_tool(%s, %s, %s, %s, %s, %s)"


@dataclass(frozen=True, kw_only=True, slots=True)
class PinRow:
    """A tool of a server."""

    server: str
    tool: str
    """As the server calls it."""
    version: int
    """Rises when another description is approved."""
    fingerprint: str
    """SHA-256 of what was approved: name, description, schemas and annotations."""
    descriptor: JsonObject = field(repr=False)
    status: Literal["approved", "suspended"]
    reason: str | None
    """Why it is suspended."""
    found: JsonObject | None = field(repr=False)
    """What the server says now."""
    updated_at: datetime
    updated_by: str | None


def _pin(row: dict[str, Any]) -> PinRow:
    return read(PinRow, row)


class PinStore(StoreBase):
    """Reads and writes what was approved of servers' tools."""

    async def tool_pins(self, server: str | None = None) -> list[PinRow]:
        """Return what is known of the tools of a server, or of all."""
        name = None if server is None else as_name(server)
        return [_pin(row) for row in await self._all(_LIST, self.workspace, name, name)]

    async def pin_tool(
        self,
        server: str,
        tool: str,
        *,
        fingerprint: str,
        descriptor: JsonObject,
        replace: bool,
        actor: str | None,
    ) -> None:
        """Approve a tool as it is described; without `replace` only one that is not known yet."""
        await self._one(
            _PIN, self.workspace, server, tool, fingerprint, Json(descriptor), replace, actor
        )

    async def suspend_tool(
        self, server: str, tool: str, *, fingerprint: str, found: JsonObject, reason: str
    ) -> None:
        """Suspend a tool."""
        await self._one(_SUSPEND, self.workspace, server, tool, fingerprint, Json(found), reason)
