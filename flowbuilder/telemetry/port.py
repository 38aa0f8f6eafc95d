"""A small port for probes and Prometheus: GET of a few exact paths, and nothing else.

It runs on the event loop that it tells about, so a loop that is stuck does not answer.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from flowbuilder.errors import SettingsError

log = logging.getLogger(__name__)

_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
_LONGEST_HEAD = 8192
#: Seconds that a request may take to be read and answered.
_PATIENCE = 10.0
#: Connections at once: those who look are few.
_MOST_CONNECTIONS = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What is sent back."""

    status: int = 200
    body: bytes
    media_type: str = "application/json"

    @classmethod
    def json(cls, status: int, members: Mapping[str, str]) -> Answer:
        """Return an answer with a JSON object."""
        return cls(status=status, body=json.dumps(dict(members)).encode())


Page = Callable[[], Awaitable[Answer]]


@asynccontextmanager
async def serve_pages(host: str, port: int, pages: Mapping[str, Page]) -> AsyncIterator[int]:
    """Serve the pages by their paths while the context is open; yields the port (0: any free one).

    Raises:
        SettingsError: `metrics_port_unusable`.
    """
    desk = _Desk(pages)
    try:
        server = await asyncio.start_server(desk.meet, host, port, limit=_LONGEST_HEAD)
    except OSError as error:
        raise SettingsError(
            f"The port for metrics and probes cannot be opened at {host}:{port}: {error.strerror}.",
            code="metrics_port_unusable",
            hint="Set FLOWBUILDER_METRICS_PORT to a free port, another one for each process.",
        ) from None
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await desk.close()


class _Desk:
    """Answers connections, one request each."""

    def __init__(self, pages: Mapping[str, Page]) -> None:
        self._pages = pages
        self._open: set[asyncio.Task[None]] = set()

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        task = asyncio.current_task()
        if task is None or len(self._open) >= _MOST_CONNECTIONS:
            writer.close()
            return
        self._open.add(task)
        try:
            async with asyncio.timeout(_PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                answer = await self._answer(head)
                writer.write(_encoded(answer, with_body=not head.startswith(b"HEAD ")))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asked is gone, or did not ask in our language
        finally:
            self._open.discard(task)
            writer.close()

    async def close(self) -> None:
        """Hang up on whoever is still being answered."""
        for task in self._open.copy():
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*self._open.copy(), return_exceptions=True)

    async def _answer(self, head: bytes) -> Answer:
        words = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        if len(words) != 3 or not words[2].startswith("HTTP/1."):
            return Answer.json(400, {"code": "bad_request"})
        if words[0] not in ("GET", "HEAD"):
            return Answer.json(405, {"code": "method_not_allowed"})
        page = self._pages.get(words[1].partition("?")[0])
        if page is None:
            return Answer.json(404, {"code": "not_found"})
        try:
            return await page()
        except Exception:
            log.exception("%s could not be answered", words[1])
            return Answer.json(500, {"code": "internal_error"})


def _encoded(answer: Answer, *, with_body: bool) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {_REASONS[answer.status]}",
        f"Content-Type: {answer.media_type}",
        f"Content-Length: {len(answer.body)}",
        "Cache-Control: no-store",
        "X-Content-Type-Options: nosniff",
        "Connection: close",
    ]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    return head + (answer.body if with_body else b"")
