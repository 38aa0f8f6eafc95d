"""Tools of connected MCP servers as FlowBuilder offers them: `fb.connections`."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping

from flowbuilder.client.checking import check_actor
from flowbuilder.client.session import Session
from flowbuilder.errors import Conflict, FlowBuilderError, NotFound
from flowbuilder.executor.secret_desk import workspace_secrets
from flowbuilder.executor.store import Store
from flowbuilder.executor.store.pins import PinRow
from flowbuilder.secrecy.sources import EnvironmentSource
from flowbuilder.settings import Settings
from flowbuilder.toolkit.connections import McpServer, connections_of, secret_sources
from flowbuilder.toolkit.imported.mcp_client import fingerprint, list_tools
from flowbuilder.toolkit.imported.mcp_tools import CHANGED, GONE, NEW, tools_of
from flowbuilder.tools import Fail, Tool
from flowbuilder.types import JsonObject

log = logging.getLogger(__name__)

#: How long opening waits for a server that was never reached.
_FIRST_SECONDS = 20.0


class Connections:
    """What connected MCP servers offer, as it was approved and as they say it now.

    The first time a server of the operator's file is reached, its tools count as approved. From
    then on every change needs somebody's approval.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    async def refresh(self, server: str | None = None) -> list[PinRow]:
        """Ask servers what they offer, suspend what is not as it was approved, and return all.

        Raises:
            NotFound: No server of this name is connected (connection_not_found).
            Fail, ExecutionError: A server that was named cannot be asked.
        """
        session = self._session
        for name, connection in _chosen(session.settings, server).items():
            try:
                await refresh(session.store, session.settings, name, connection)
            except (Fail, FlowBuilderError) as error:
                if server is not None:
                    raise
                log.warning("the MCP server %s was not asked: %s", name, error)
        return await self.list(server)

    async def approve(
        self, server: str, tool: str | None = None, *, by: str | None = None
    ) -> list[PinRow]:
        """Approve a server's tools, or one, as the server describes them and as they were shown.

        They are offered in this process at once, in others from their next start on.

        Raises:
            NotFound: `connection_not_found`, or the server has no such tool (tool_unknown).
            Conflict: `tool_changed`: it describes them otherwise now, which is shown from now on.
            InvalidValue: `actor_invalid`.
            Fail, ExecutionError: The server cannot be asked.
        """
        check_actor(by, "who approves a tool")
        session = self._session
        connection = _chosen(session.settings, server)[server]
        offered = await offered_by(session.store, session.settings, server, connection)
        if tool is not None and tool not in offered:
            raise NotFound(f"{server} has no tool {str(tool)[:80]!r}", code="tool_unknown")
        wanted = offered if tool is None else {tool: offered[tool]}
        await pin_as_shown(session.store, server, wanted, by)
        await self._offer(server, connection)
        return await self.list(server)

    async def _offer(self, server: str, connection: McpServer) -> None:
        pins = await self.list(server)
        book = StoredPins(self._session.store)
        registry = self._session.registry
        fresh = [
            tool
            for tool in tools_of(server, connection, pins, book)
            if registry.get(tool.ref) is None
        ]
        for tool in fresh:
            registry.add(tool)
            self._session.shared_registry.add(tool)
        for worker in self._session.workers:
            await worker.add_functions(fresh)

    async def list(self, server: str | None = None) -> list[PinRow]:
        """Return what is known of the tools of a server, or of all."""
        return await self._session.store.tool_pins(server)


class StoredPins:
    """Approvals of tools as the store keeps them."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, server: str, tool: str) -> PinRow | None:
        """Return what is known of a tool."""
        rows = await self._store.tool_pins(server)
        return next((row for row in rows if row.tool == tool), None)

    async def suspend(self, server: str, tool: str, found: JsonObject, reason: str) -> None:
        """Take note that a tool is not to be used."""
        log.warning("the tool %.80s of %s is suspended: %s", tool, server, reason)
        await self._store.suspend_tool(
            server, tool, fingerprint=fingerprint(found), found=found, reason=reason
        )


async def mcp_tools(store: Store, settings: Settings) -> list[Tool]:
    """Return the tools of all connected servers; one that was never reached is asked now.

    A server that cannot be asked brings no tools, and a warning.

    Raises:
        SettingsError: `connections_invalid`.
    """
    tools: list[Tool] = []
    book = StoredPins(store)
    for name, connection in connections_of(settings).mcp.items():
        pins = await store.tool_pins(name)
        if not pins:
            try:
                async with asyncio.timeout(_FIRST_SECONDS):
                    pins = await refresh(store, settings, name, connection)
            except (Fail, FlowBuilderError, TimeoutError) as error:
                said = str(error) or f"no answer within {_FIRST_SECONDS:g} s"
                log.warning("the MCP server %s was not asked: %s", name, said)
        tools += tools_of(name, connection, pins, book)
    return tools


async def refresh(
    store: Store, settings: Settings, server: str, connection: McpServer
) -> list[PinRow]:
    """Hold what a server offers against what was approved, and return what is known then.

    Raises:
        Fail, ExecutionError: The server cannot be asked.
    """
    offered = await offered_by(store, settings, server, connection)
    known = {row.tool: row for row in await store.tool_pins(server)}
    book = StoredPins(store)
    for tool, descriptor in offered.items():
        row = known.get(tool)
        if not known:
            await store.pin_tool(
                server,
                tool,
                fingerprint=fingerprint(descriptor),
                descriptor=descriptor,
                replace=False,
                actor=None,
            )
        elif row is None:
            await book.suspend(server, tool, descriptor, NEW)
        elif row.status == "approved" and row.fingerprint != fingerprint(descriptor):
            await book.suspend(server, tool, descriptor, CHANGED)
    for tool in known.keys() - offered.keys():
        if known[tool].status == "approved":
            await book.suspend(server, tool, {}, GONE)
    return await store.tool_pins(server)


async def pin_as_shown(
    store: Store, server: str, wanted: Mapping[str, JsonObject], by: str | None
) -> None:
    """Approve tools as their server describes them, which is as they were shown.

    A server may know when it is looked at: what it says only now, nobody has agreed to.

    Raises:
        Conflict: `tool_changed`: what it says now is suspended, and shown from now on.
    """
    book, changed = StoredPins(store), list[str]()
    known = {row.tool: row for row in await store.tool_pins(server)}
    for tool, descriptor in wanted.items():
        row = known.get(tool)
        shown = [] if row is None else [row.descriptor, row.found or {}]
        if fingerprint(descriptor) not in map(fingerprint, shown):
            await book.suspend(server, tool, descriptor, NEW if row is None else CHANGED)
            changed.append(tool)
    if changed:
        raise Conflict(
            f"{server} describes {changed[0][:80]!r} otherwise than it was shown; look at it again",
            code="tool_changed",
        )
    for tool, descriptor in wanted.items():
        await store.pin_tool(
            server,
            tool,
            fingerprint=fingerprint(descriptor),
            descriptor=descriptor,
            replace=True,
            actor=by,
        )


async def offered_by(
    store: Store, settings: Settings, server: str, connection: McpServer
) -> dict[str, JsonObject]:
    """Return what a server offers now, as far as it is connected. Raises: as `list_tools`."""
    secrets = await workspace_secrets(
        store,
        settings,
        EnvironmentSource(os.environ),
        secret_sources(settings),
        tool=f"{server}.list",
    )
    found = await list_tools(connection, secrets, allow_private=settings.http_allow_private)
    return {
        name: descriptor
        for name, descriptor in found.items()
        if connection.tools is None or name in connection.tools
    }


def _chosen(settings: Settings, server: str | None) -> dict[str, McpServer]:
    servers = connections_of(settings).mcp
    if server is None:
        return dict(servers)
    if server not in servers:
        raise NotFound(
            f"no MCP server {str(server)[:80]!r} is connected", code="connection_not_found"
        )
    return {server: servers[server]}
