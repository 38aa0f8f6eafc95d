"""Talking to an MCP server: listing its tools and calling one, within bounds of time and size.

Nothing that a server says about itself is believed: its descriptions are text, its annotations are
hints, and its questions to people are not answered.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from flowbuilder.errors import ExecutionError, FlowBuilderError
from flowbuilder.secrecy import Redactor, fill
from flowbuilder.strictjson import dumps
from flowbuilder.toolkit.connections import McpServer
from flowbuilder.toolkit.egress import EgressPolicy
from flowbuilder.toolkit.imported.mcp_wire import GuardedCalls, program_streams
from flowbuilder.tools import Fail
from flowbuilder.types import JsonObject

if TYPE_CHECKING:
    from mcp import Client

T = TypeVar("T")

MOST_TOOLS = 200
_MOST_PAGES = 20
_LARGEST_DESCRIPTOR = 131_072
#: What a fingerprint covers, as the protocol spells it.
_PINNED = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")


class Reveal(Protocol):
    """Where values of secrets come from."""

    async def fetch(self, name: str, *, url: str | None = None) -> str:
        """Return a value. Raises: NotFound, Fail."""
        ...


class _Noting:
    """Takes note of the values that are handed out."""

    def __init__(self, secrets: Reveal, given: Redactor) -> None:
        self._secrets, self._given = secrets, given

    async def fetch(self, name: str, *, url: str | None = None) -> str:
        """Return a value. Raises: NotFound, Fail."""
        value = await self._secrets.fetch(name, url=url)
        self._given.learn(value)
        return value


def fingerprint(descriptor: JsonObject) -> str:
    """Return the SHA-256 of a tool as its server describes it, 64 hex digits."""
    text = json.dumps(descriptor, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


async def list_tools(
    server: McpServer, secrets: Reveal, *, allow_private: bool
) -> dict[str, JsonObject]:
    """Return the descriptors of a server's tools by name.

    Raises:
        Fail: `mcp_too_large`, `egress_refused`, `secret_not_allowed`.
        ExecutionError: `mcp_unavailable`, `mcp_timeout`.
    """

    async def work(client: Client, given: Redactor) -> dict[str, JsonObject]:
        return await _listed(client, given)

    return await _talk(server, secrets, work, allow_private=allow_private)


async def call_tool(
    server: McpServer,
    secrets: Reveal,
    tool: str,
    arguments: JsonObject,
    *,
    judge: Callable[[dict[str, JsonObject]], None],
    allow_private: bool,
) -> Any:
    """List the server's tools, have them judged, and call one in the same conversation.

    Returns:
        The protocol's `CallToolResult`.

    Raises:
        What `judge` raises, and what `list_tools` raises.
    """

    async def work(client: Client, given: Redactor) -> Any:
        judge(await _listed(client, given))
        return await client.call_tool(tool, arguments)

    return await _talk(server, secrets, work, allow_private=allow_private)


async def _listed(client: Client, given: Redactor) -> dict[str, JsonObject]:
    """Return what a server says of its tools, without what it was `given`."""
    found: dict[str, JsonObject] = {}
    cursor: str | None = None
    for _ in range(_MOST_PAGES):
        page = await client.list_tools(cursor=cursor, cache_mode="bypass")
        for tool in page.tools:
            whole = tool.model_dump(mode="json", by_alias=True, exclude_none=True)
            pinned = {name: whole[name] for name in _PINNED if name in whole}
            descriptor = cast(JsonObject, given.json(pinned))
            if len(dumps(descriptor)) > _LARGEST_DESCRIPTOR:
                raise Fail(f"a tool of the server is described at a length of more than "
                           f"{_LARGEST_DESCRIPTOR} bytes", code="mcp_too_large")  # fmt: skip
            found[str(descriptor["name"])] = descriptor
        if len(found) > MOST_TOOLS:
            raise Fail(f"the server has more than {MOST_TOOLS} tools", code="mcp_too_large")
        cursor = page.next_cursor
        if cursor is None:
            return found
    raise Fail("the list of the server's tools does not end", code="mcp_too_large")


async def _talk(
    server: McpServer,
    secrets: Reveal,
    work: Callable[[Client, Redactor], Awaitable[T]],
    *,
    allow_private: bool,
) -> T:
    """Open a conversation, work in it, close it. Errors come out of the library's groups."""
    seconds = server.timeout.total_seconds()
    guard = GuardedCalls(EgressPolicy(allow_private=allow_private))
    given = Redactor()  # what a server was told has no place in what it says
    ended: list[T] = []
    raised: list[Exception] = []
    try:
        async with asyncio.timeout(seconds):
            async with _opened(server, _Noting(secrets, given), guard, seconds) as client:
                try:
                    ended.append(await work(client, given))
                except Exception as error:  # out of the groups that would wrap it
                    raised.append(error)
    except TimeoutError:
        raise ExecutionError(
            f"the MCP server did not answer within {seconds:g} s", code="mcp_timeout"
        ) from None
    except Exception as error:
        raised.append(error)
    if raised:
        raise _told(raised[0], guard, given)
    return ended[0]


@asynccontextmanager
async def _opened(
    server: McpServer, secrets: Reveal, guard: GuardedCalls, seconds: float
) -> AsyncIterator[Client]:
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client
    from mcp_types import Implementation

    async with AsyncExitStack() as stack:
        transport: Any
        if server.command is not None:
            environment = {
                name: await fill(value, secrets.fetch) for name, value in server.environment.items()
            }
            transport = program_streams(server.command, server.args, environment, server.directory)
        else:
            url = server.url or ""
            guard.policy.check_url(url)
            headers = await _headers(server, secrets, url, guard.policy.allow_private)
            client = await stack.enter_async_context(guard.client(headers, seconds))
            transport = streamable_http_client(url, http_client=client)
        info = Implementation(name="flowbuilder", version="1")
        opened = Client(
            transport, client_info=info, read_timeout_seconds=seconds, cache=None, mode="auto"
        )
        yield await stack.enter_async_context(opened)


async def _headers(
    server: McpServer, secrets: Reveal, url: str, allow_private: bool
) -> dict[str, str]:
    async def reveal(name: str) -> str:
        if not url.lower().startswith("https:") and not allow_private:
            raise Fail(f"the secret {name} is sent over https only", code="secret_not_allowed")
        return await secrets.fetch(name, url=url)

    return {name: await fill(value, reveal) for name, value in server.headers.items()}


def _told(error: Exception, guard: GuardedCalls, given: Redactor) -> Exception:
    """Return an error in our words: what was refused, else that the server failed."""
    inner: BaseException = error
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    if isinstance(inner, Fail | FlowBuilderError):
        return inner
    if guard.refused is not None:
        return guard.refused
    from mcp.shared.exceptions import MCPError

    if isinstance(inner, MCPError):
        return ExecutionError(
            f"the MCP server answered with an error: {given.text(str(inner))[:300]}",
            code="mcp_failed",
        )
    return ExecutionError(
        f"the MCP server cannot be used: {type(inner).__name__}", code="mcp_unavailable"
    )
