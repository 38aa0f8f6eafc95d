"""How MCP servers are reached: a program's pipes with bounds, or HTTP behind the egress guard."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import httpcore
import httpx

from flowbuilder.toolkit.egress import EgressPolicy, GuardedTransport
from flowbuilder.tools import Fail

if TYPE_CHECKING:
    import httpx2
    from mcp.client._transport import TransportStreams

#: One message of a server.
LARGEST_MESSAGE = 8_388_608
_STOP_SECONDS = 2.0


@asynccontextmanager
async def program_streams(
    command: str, args: list[str], environment: Mapping[str, str], directory: str | None
) -> AsyncIterator[TransportStreams]:
    """Run a program, which gets exactly this environment, and give its messages both ways.

    It stands in a process group of its own, which is ended with the context.

    Raises:
        OSError: It cannot be started.
    """
    from mcp.shared.message import SessionMessage

    process = await asyncio.create_subprocess_exec(
        command,
        *args,
        env=dict(environment),
        cwd=directory or "/",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        limit=LARGEST_MESSAGE,
    )
    heard_in, heard = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    said, said_out = anyio.create_memory_object_stream[SessionMessage](0)
    tasks = [
        asyncio.create_task(_hear(process, heard_in)),
        asyncio.create_task(_say(process, said_out)),
    ]
    try:
        yield heard, said
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for stream in (heard_in, heard, said, said_out):
            stream.close()
        await _end(process)


async def _hear(process: asyncio.subprocess.Process, out: Any) -> None:
    """Pass on a program's messages; one that is too large ends the conversation."""
    from mcp.shared.message import SessionMessage
    from mcp_types import jsonrpc_message_adapter

    assert process.stdout is not None
    with contextlib.suppress(anyio.ClosedResourceError, anyio.BrokenResourceError, ValueError):
        async with out:
            while line := await process.stdout.readline():  # ValueError: longer than the limit
                if not line.strip():
                    continue
                try:
                    message = jsonrpc_message_adapter.validate_json(line, by_name=False)
                except ValueError as error:
                    await out.send(error)
                else:
                    await out.send(SessionMessage(message))


async def _say(process: asyncio.subprocess.Process, given: Any) -> None:
    assert process.stdin is not None
    with contextlib.suppress(OSError, anyio.ClosedResourceError):
        async for item in given:
            text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
            process.stdin.write(text.encode() + b"\n")
            await process.stdin.drain()


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close the program's input, give it a moment, then end it and all that it has started."""
    assert process.stdin is not None
    process.stdin.close()
    # Its end is only seen when all that it has written is read.
    rest = asyncio.create_task(_drain(process))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):  # somebody else may hold its output open
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
            await rest
    rest.cancel()


async def _drain(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    while await process.stdout.read(65_536):
        pass


class GuardedCalls:
    """An httpx2 transport whose connections the egress guard opens, with bounded answers."""

    def __init__(self, policy: EgressPolicy) -> None:
        self.policy = policy
        self._inner = GuardedTransport(policy)
        self.refused: Fail | None = None
        """Why the last request went nowhere, which the MCP library would not say."""

    def client(self, headers: Mapping[str, str], seconds: float) -> httpx2.AsyncClient:
        """Return a client of this transport, which reads nothing from the environment."""
        import httpx2

        guard = self

        class Transport(httpx2.AsyncBaseTransport):
            async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
                return await guard.send(request)

            async def aclose(self) -> None:
                await guard._inner.aclose()

        return httpx2.AsyncClient(
            transport=Transport(),
            headers={**headers, "Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(seconds),
            trust_env=False,
            follow_redirects=False,
        )

    async def send(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request. Raises: httpx2.TransportError."""
        import httpx2

        try:
            url = self.policy.check_url(str(request.url))
            asked = httpx.Request(
                request.method,
                url,
                headers=[(name, value) for name, value in request.headers.raw],
                content=await request.aread(),
                extensions={"timeout": request.extensions.get("timeout", {})},
            )
            answer = await self._inner.handle_async_request(asked)
            if answer.headers.get("content-encoding", "identity").lower() != "identity":
                await answer.aclose()
                raise Fail("the server packs its answers unasked", code="mcp_refused")
        except Fail as error:
            self.refused = error
            raise httpx2.ConnectError(str(error)) from None
        except httpcore.TimeoutException as error:
            raise httpx2.ReadTimeout(str(error)) from None
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
            raise httpx2.ConnectError(str(error)) from None
        return httpx2.Response(
            status_code=answer.status_code,
            headers=answer.headers.raw,
            stream=self._bounded(answer),
            request=request,
        )

    def _bounded(self, answer: httpx.Response) -> httpx2.AsyncByteStream:
        import httpx2

        guard = self

        class Stream(httpx2.AsyncByteStream):
            async def __aiter__(self) -> AsyncIterator[bytes]:
                size = 0
                try:
                    assert isinstance(answer.stream, httpx.AsyncByteStream)
                    async for chunk in answer.stream:
                        size += len(chunk)
                        if size > LARGEST_MESSAGE:
                            guard.refused = Fail(
                                f"the server's answer is larger than {LARGEST_MESSAGE} bytes",
                                code="mcp_too_large",
                            )
                            raise httpx2.ReadError("the answer is too large")
                        yield chunk
                except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
                    raise httpx2.ReadError(str(error)) from None
                except httpcore.TimeoutException as error:
                    raise httpx2.ReadTimeout(str(error)) from None

            async def aclose(self) -> None:
                await answer.aclose()

        return Stream()
