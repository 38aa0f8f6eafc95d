"""The server's side of a connection, as far as a stream has to know it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

#: In a request's `extensions`: a function that closes its connection at once, with whatever was
#: not sent yet. To close it in order, everything that was written would have to be taken first.
ABORT = "flowbuilder.abort"


#: What is still taken of a body that nobody wants, when the answer to it ends the connection: bytes
#: and seconds.
LINGER_BYTES = 262_144
LINGER_SECONDS = 1.0


class Wire(H11Protocol):
    """uvicorn's protocol, which tells the application how to close the connection at once.

    An answer that ends the connection before the request's body has come is followed by a moment in
    which the body is taken and thrown away. Closed at once, a connection with something unread is
    reset, and the client may lose the answer with it (RFC 9112, section 9.6).
    """

    def connection_made(  # type: ignore[override]  # as uvicorn narrows it
        self, transport: asyncio.Transport
    ) -> None:
        """Begin to serve a connection."""
        super().connection_made(transport)
        app: ASGIApp = self.app

        async def told(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[ABORT] = transport.abort
            await app(scope, receive, self._lingering(receive, send))

        self.app = told

    def _lingering(self, receive: Receive, send: Send) -> Send:
        closes = False

        async def sent(message: Message) -> None:
            nonlocal closes
            if message["type"] == "http.response.start":
                closes = (b"connection", b"close") in message.get("headers", ())
            elif closes and not message.get("more_body") and self._expects_body():
                await send({**message, "more_body": True})
                await _throw_away(receive)
                message = {"type": "http.response.body"}
            await send(message)

        return sent

    def _expects_body(self) -> bool:
        """Whether the client is sending a body, and not only asking whether it may."""
        cycle = self.cycle
        return cycle.more_body and not cycle.waiting_for_100_continue


async def _throw_away(receive: Receive) -> None:
    left = LINGER_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while left > 0:
                message = await receive()
                if not message.get("more_body"):
                    return
                left -= len(message["body"])
