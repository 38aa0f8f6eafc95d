"""The server's side of a connection, as far as a stream has to know it."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

#: In a request's `extensions`: a function that closes its connection at once, with whatever was
#: not sent yet. To close it in order, everything that was written would have to be taken first.
ABORT = "flowbuilder.abort"


class Wire(H11Protocol):
    """uvicorn's protocol, which tells the application how to close the connection at once."""

    def connection_made(  # type: ignore[override]  # as uvicorn narrows it
        self, transport: asyncio.Transport
    ) -> None:
        """Begin to serve a connection."""
        super().connection_made(transport)
        app: ASGIApp = self.app

        async def told(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[ABORT] = transport.abort
            await app(scope, receive, send)

        self.app = told
