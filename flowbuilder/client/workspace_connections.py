"""Tools from elsewhere that a workspace connects by itself: `fb.workspace_connections`.

Web APIs by their OpenAPI document, and MCP servers at an address. Programs stand in the operator's
file alone (`client/connections.py`). Every request goes through the egress guard.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from flowbuilder.client.checking import check_actor
from flowbuilder.client.connections import StoredPins, offered_by, pin_as_shown, refresh
from flowbuilder.client.session import Session
from flowbuilder.errors import (
    Conflict,
    DefinitionError,
    ExecutionError,
    FlowBuilderError,
    InvalidValue,
    NotFound,
    SettingsError,
)
from flowbuilder.executor.store import Store
from flowbuilder.executor.store.connections import ConnectionRow
from flowbuilder.executor.store.pins import PinRow
from flowbuilder.secrecy.mentions import mentioned
from flowbuilder.secrecy.redaction import REDACTOR, SENSITIVE_KEYS
from flowbuilder.toolkit.connections import RESERVED, McpServer, OpenApi, connections_of
from flowbuilder.toolkit.imported.mcp_client import fingerprint
from flowbuilder.toolkit.imported.mcp_tools import tools_of
from flowbuilder.toolkit.imported.openapi import Imported, import_operations
from flowbuilder.tools import Context, Fail, Tool
from flowbuilder.types import JsonObject, JsonValue

log = logging.getLogger(__name__)

Kind = TypeVar("Kind", bound=BaseModel)

#: How old what a request sees of its workspace's connections may be.
LOOK_SECONDS = 1.0
#: How often a worker's process looks for connections that others have made.
EQUIP_SECONDS = 5.0
#: What documents gave, by their connection: one never changes.
_IMPORTED: dict[tuple[object, ...], Imported] = {}
_MOST_IMPORTED = 200
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
#: Where the document of a stored connection stands: with it.
_STORED = "stored"


class ConnectionFailed(ExecutionError):
    """What is connected cannot be asked."""

    default_code = "connection_failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionView:
    """A connection with its tools and, of an MCP server, what was approved of them."""

    row: ConnectionRow
    tools: tuple[Tool, ...]
    pins: tuple[PinRow, ...]
    left_out: Mapping[str, str]
    """Operations of a document that no tool could be made of, with the reasons."""


class WorkspaceConnections:
    """The connections of one workspace."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def list(self) -> list[ConnectionView]:
        """Return the connections by name."""
        return [await self._view(row) for row in await self._session.store.connections()]

    async def get(self, name: str) -> ConnectionView:
        """Return a connection. Raises: NotFound (`connection_not_found`)."""
        return await self._view(await self._row(name))

    async def add_openapi(
        self, name: str, document: JsonObject, definition: JsonObject, *, by: str | None = None
    ) -> ConnectionView:
        """Make a tool of every operation of an OpenAPI document.

        `definition`: `server`, and what else the operator's file says of one.

        Raises:
            InvalidValue: `connection_invalid`, `openapi_invalid`.
            Conflict: `connection_exists`, `too_many_connections`.
        """
        self._check(name, definition, by)
        _check_address(definition, "server", "@\\#?")
        parsed = _parsed(OpenApi, {**definition, "document": _STORED})
        found = await asyncio.to_thread(_imported, name, document, parsed)
        if not found.tools:
            why = "; ".join(f"{called}: {said}" for called, said in found.left_out.items())
            raise InvalidValue(
                f"no tool can be made of this document{f': {why}' if why else ''}"[:500],
                pointer="/document",
                code="openapi_invalid",
            )
        store = self._session.store
        row = await store.add_connection(name, "openapi", definition, document, actor=by)
        return await self._view(row)

    async def add_mcp(
        self, name: str, definition: JsonObject, *, by: str | None = None
    ) -> ConnectionView:
        """Connect an MCP server at an address; what it offers now counts as approved.

        Raises:
            InvalidValue: `connection_invalid`.
            Conflict: `connection_exists`, `too_many_connections`.
            ConnectionFailed: It cannot be asked, so nothing is connected.
        """
        self._check(name, definition, by)
        _check_address(definition, "url", "@\\#")
        server = _parsed(McpServer, definition)
        found = await self._ask(name, server)
        store = self._session.store
        row = await store.add_connection(name, "mcp", definition, None, actor=by)
        await self._pin(name, found, by)
        return await self._view(row)

    async def refresh(self, name: str) -> ConnectionView:
        """Ask an MCP server what it offers; what is not as it was approved is suspended.

        Raises:
            NotFound: `connection_not_found`.
            Conflict: `connection_not_asked`: a document says nothing new.
            ConnectionFailed: The server cannot be asked.
        """
        row, server = await self._mcp(name)
        try:
            await refresh(self._session.store, self._session.settings, name, server)
        except (Fail, ExecutionError) as error:
            raise _failed(error) from None
        return await self._view(row)

    async def approve(
        self, name: str, tool: str | None = None, *, by: str | None = None
    ) -> ConnectionView:
        """Approve an MCP server's tools, or one, as it describes them and as they were shown.

        Raises:
            NotFound: `connection_not_found`, `tool_unknown`.
            Conflict: `tool_changed`: it describes them otherwise now, which is shown from now on.
            Conflict, ConnectionFailed: As `refresh`.
        """
        check_actor(by, "who approves a tool")
        row, server = await self._mcp(name)
        found = await self._ask(name, server)
        if tool is not None and tool not in found:
            raise NotFound(f"{name} has no tool {tool[:80]!r}", code="tool_unknown")
        wanted = found if tool is None else {tool: found[tool]}
        await pin_as_shown(self._session.store, name, wanted, by)
        return await self._view(row)

    async def remove(self, name: str) -> None:
        """Forget a connection; steps that use its tools fail from now on. Raises: NotFound."""
        await self._session.store.remove_connection(name)

    def _check(self, name: str, definition: JsonObject, by: str | None) -> None:
        check_actor(by, "who connects something")
        if not _NAME.fullmatch(name):
            raise InvalidValue(
                "a connection's name has up to 40 lower-case letters, digits and underscores",
                pointer="/name",
                code="connection_invalid",
            )
        known = connections_of(self._session.settings)
        if name in RESERVED or name in {tool.partition(".")[0] for tool in self._built_in()}:
            raise Conflict(f"tools of flowbuilder are called {name}", code="connection_exists")
        if name in known.openapi or name in known.mcp:
            raise Conflict(f"the name {name} is taken", code="connection_exists")
        _check_headers(definition.get("headers"))

    def _built_in(self) -> Iterable[str]:
        return self._session.shared_registry.names()

    async def _row(self, name: str) -> ConnectionRow:
        found = await self._session.store.connections(name)
        if not found:
            raise NotFound(f"there is no connection {name[:80]!r}", code="connection_not_found")
        return found[0]

    async def _mcp(self, name: str) -> tuple[ConnectionRow, McpServer]:
        row = await self._row(name)
        if row.kind != "mcp":
            raise Conflict("only MCP servers are asked", code="connection_not_asked")
        return row, McpServer.model_validate(row.definition)

    async def _ask(self, name: str, server: McpServer) -> dict[str, JsonObject]:
        try:
            return await offered_by(self._session.store, self._session.settings, name, server)
        except (Fail, ExecutionError) as error:
            raise _failed(error) from None

    async def _pin(self, name: str, found: Mapping[str, JsonObject], by: str | None) -> None:
        for tool, descriptor in found.items():
            await self._session.store.pin_tool(
                name,
                tool,
                fingerprint=fingerprint(descriptor),
                descriptor=descriptor,
                replace=True,
                actor=by,
            )

    async def _view(self, row: ConnectionRow) -> ConnectionView:
        store = self._session.store
        pins = await store.tool_pins(row.name) if row.kind == "mcp" else []
        tools = await _readable(store, row)
        left_out = await _left_out(row)
        return ConnectionView(row=row, tools=tuple(tools), pins=tuple(pins), left_out=left_out)


def _failed(error: Exception) -> ConnectionFailed:
    code = getattr(error, "code", "connection_failed")
    return ConnectionFailed(REDACTOR.text(f"{code}: {error}"))


def _check_headers(headers: JsonValue) -> None:
    """Refuse a value of a secret where its name belongs. Raises: InvalidValue."""
    for name, value in headers.items() if isinstance(headers, dict) else ():
        if name.lower() in SENSITIVE_KEYS and not list(mentioned(value)):
            raise InvalidValue(
                "this header names a secret, such as `Bearer secret://name`; values are not stored",
                pointer=f"/headers/{name}",
                code="connection_invalid",
            )


def _check_address(definition: JsonObject, key: str, closed: str) -> None:
    """Refuse an address with these signs: what stands there is often a password.

    Raises:
        InvalidValue: `connection_invalid`.
    """
    address = str(definition.get(key))
    if any(sign in closed or not sign.isprintable() for sign in address):
        raise InvalidValue(
            f"an address has none of {' '.join(closed)}; keys go into headers, by reference",
            pointer=f"/{key}",
            code="connection_invalid",
        )


def _parsed(kind: type[Kind], definition: JsonObject) -> Kind:
    try:
        return kind.model_validate(definition)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise InvalidValue(
            str(first["msg"]).removeprefix("Value error, "),
            pointer="".join(f"/{part}" for part in first["loc"]),
            code="connection_invalid",
        ) from None


def _imported(name: str, document: JsonObject, connection: OpenApi) -> Imported:
    try:
        return import_operations(name, document, connection)
    except SettingsError as error:
        raise InvalidValue(error.message, pointer="/document", code="openapi_invalid") from None


# -- tools in processes ---------------------------------------------------------------------


async def offer_connections(session: Session, *, at_once: bool = True) -> None:
    """Bring the tools of a workspace's connections up to date in a session of it.

    Not `at_once`: what was looked at within the last second is let be.
    """
    if not at_once and time.monotonic() - session.connected_at < LOOK_SECONDS:
        return
    session.connected_at = time.monotonic()
    mark = await session.store.connections_mark()
    if mark == session.connected_mark:
        return
    tools: list[Tool] = []
    for row in await session.store.connections():
        tools += await _readable(session.store, row)
    session.registry = session.shared_registry.merged(tools)
    session.connected_mark = mark


async def equip_workers(session: Session) -> None:
    """Let the workers of this process have the tools of all workspaces' connections."""
    if not session.workers:
        return
    mark = await session.store.connections_mark(everywhere=True)
    if mark == session.equipped_mark:
        return
    tools: list[Tool] = []
    for row in await session.store.all_connections():
        tools += await _readable(Store(session.store.database, workspace=row.workspace_id), row)
    for worker in session.workers:
        fresh = [tool for tool in tools if not worker.has(tool.ref)]
        if fresh:
            await worker.add_functions(fresh)
    session.equipped_mark = mark


@asynccontextmanager
async def keep_equipped(session: Session) -> AsyncIterator[None]:
    """Look for new connections from time to time while the context is open."""

    async def look() -> None:
        while True:
            try:
                await equip_workers(session)
            except FlowBuilderError as error:
                log.warning("connections were not looked at: %s", error)
            await asyncio.sleep(EQUIP_SECONDS)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)


async def _readable(store: Store, row: ConnectionRow) -> list[Tool]:
    """Return the tools of a connection; one that makes none any more stands in no other's way."""
    try:
        return await _tools(store, row)
    except (InvalidValue, DefinitionError, SettingsError, ValidationError) as error:
        log.warning("the connection %s brings no tools: %s", row.name, type(error).__name__)
        return []


async def _tools(store: Store, row: ConnectionRow) -> list[Tool]:
    """Return the tools of a connection; each looks with every call whether it still is one."""
    made = await _made(store, row)
    return [replace(tool, handler=_checked(store, row, tool)) for tool in made]


async def _made(store: Store, row: ConnectionRow) -> list[Tool]:
    if row.kind == "mcp":
        server = McpServer.model_validate(row.definition)
        pins = await store.tool_pins(row.name)
        return tools_of(row.name, server, pins, StoredPins(store))
    return [replace(tool, version=row.id) for tool in (await _read_document(row)).tools]


async def _left_out(row: ConnectionRow) -> Mapping[str, str]:
    if row.kind != "openapi":
        return {}
    try:
        return (await _read_document(row)).left_out
    except (InvalidValue, SettingsError, ValidationError):
        return {}


async def _read_document(row: ConnectionRow) -> Imported:
    known = (row.workspace_id, row.name, row.id, row.created_at)
    found = _IMPORTED.get(known)
    if found is None:
        connection = OpenApi.model_validate({**row.definition, "document": _STORED})
        found = await asyncio.to_thread(_imported, row.name, row.document or {}, connection)
        if len(_IMPORTED) >= _MOST_IMPORTED:
            _IMPORTED.clear()
        _IMPORTED[known] = found
    return found


def _checked(store: Store, row: ConnectionRow, tool: Tool) -> Callable[..., Any]:
    """Return a handler that works for its own workspace, as long as this is connected."""

    async def handler(__flowbuilder_context: Context, **arguments: Any) -> JsonValue:
        workspace = await store.workspace_of_run(__flowbuilder_context.run_id)
        found = await store.connections(row.name) if workspace == row.workspace_id else []
        if not found or (row.kind == "openapi" and found[0].id != row.id):
            raise Fail(f"{row.name} is not connected any more", code="connection_removed")
        called = tool
        if found[0].id != row.id:  # the same tool of a server that was connected anew
            same = [one for one in await _made(store, found[0]) if one.ref == tool.ref]
            if not same:
                raise Fail(f"{row.name} does not offer this any more", code="connection_removed")
            called = same[0]
        value: JsonValue = await called.handler(__flowbuilder_context, **arguments)
        return value

    return handler
