"""The HTTP server around the application: listens, and stops without waiting for streams."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from flowbuilder.api.app import create_app
from flowbuilder.api.events import FAREWELL_SECONDS, Streams
from flowbuilder.client.stopping import leave
from flowbuilder.settings import Settings
from flowbuilder.tools import Tool


class Server(uvicorn.Server):
    """A server whose event streams end when it stops; their clients resume elsewhere."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop in order at the first signal, at once at the second one."""
        if self.should_exit:
            leave(sig)
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the open streams, then stop as any server does."""
        app = self.config.app
        if isinstance(app, FastAPI):
            streams: Streams = app.state.streams
            streams.stop()
        loop = asyncio.get_running_loop()
        hang_up = loop.call_later(2 * FAREWELL_SECONDS, self._hang_up)
        try:
            await super().shutdown(sockets)
        finally:
            hang_up.cancel()

    def _hang_up(self) -> None:
        """Drop connections that are over, but whose client does not take what was sent."""
        for connection in list(self.server_state.connections):
            transport: object = getattr(connection, "transport", None)
            if isinstance(transport, asyncio.WriteTransport) and transport.is_closing():
                transport.abort()


def make_server(app: FastAPI, settings: Settings) -> Server:
    """Return a server for the application at the settings' host and port (0: any free one)."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_level=settings.log_level,
        access_log=settings.log_level in ("debug", "info"),
        timeout_graceful_shutdown=max(1, int(settings.shutdown_grace.total_seconds())),
        # nothing is decided by what a client says about itself; a named proxy says who it is
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
        server_header=False,
        lifespan="on",
    )
    return Server(config)


async def serve(
    settings: Settings | None = None,
    *,
    tools: Iterable[Tool | Callable[..., Any]] = (),
    worker: bool = False,
) -> None:
    """Serve until a signal says stop."""
    settings = settings or Settings.load()
    await make_server(create_app(settings, tools=tools, worker=worker), settings).serve()
