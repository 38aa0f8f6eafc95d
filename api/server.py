"""The HTTP server around the application: listens, and stops in order within its grace."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI

from flowbuilder.api.app import create_app
from flowbuilder.api.events import FAREWELL_SECONDS
from flowbuilder.api.problems import problem_response
from flowbuilder.api.streams.wire import Wire
from flowbuilder.client.stopping import leave
from flowbuilder.settings import Settings
from flowbuilder.tools import Tool

log = logging.getLogger("flowbuilder.api")

#: What is kept of the grace for handing work back and closing connections: seconds, or as a share.
_CLOSING_SECONDS = 2.0
_CLOSING_SHARE = 0.2
#: Of the grace, the notice takes this share at most.
_NOTICE_SHARE = 0.25


class Protocol(Wire):
    """HTTP whose unreadable requests get a problem document like every other one."""

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, and close the connection."""
        answer = problem_response(
            400, code="request_malformed", detail="This is no request that could be read."
        )
        headers = [*answer.raw_headers, (b"connection", b"close")]
        response = h11.Response(status_code=400, headers=headers, reason=b"Bad Request")
        for event in (response, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class Server(uvicorn.Server):
    """A server whose event streams end when it stops; their clients resume elsewhere.

    At the first signal it is not ready any more and its workers take nothing further; what runs has
    the grace to end. After the notice it stops to listen and sends the readers of streams away. A
    second signal ends the process at once.
    """

    def __init__(self, config: uvicorn.Config, app: FastAPI, settings: Settings) -> None:
        super().__init__(config)
        self._app = app
        self._grace = settings.shutdown_grace.total_seconds()
        self._notice = settings.shutdown_notice.total_seconds()
        self._asked_at: float | None = None  # by the monotonic clock
        self._listens_until = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop in order at the first signal, at once at the second one."""
        if self._asked_at is not None:
            leave(sig)
        self._app.state.streams.closing = True
        self._asked_at = time.monotonic()
        # nobody waits at a keyboard for requests to be sent elsewhere
        notice = min(self._notice, self._grace * _NOTICE_SHARE) if sig == signal.SIGTERM else 0.0
        self._listens_until = self._asked_at + notice
        if sig == signal.SIGINT:
            self._captured_signals.append(sig)  # so that the command ends as interrupted

    async def on_tick(self, counter: int) -> bool:
        """Look, ten times a second, whether it is time to stop."""
        if self._asked_at is not None:
            self._retire()
            self.should_exit = self.should_exit or time.monotonic() >= self._listens_until
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the open streams, then stop as any server does."""
        if self._asked_at is None:
            self._asked_at = time.monotonic()
        self._retire()
        self._app.state.streams.stop()
        self.config.timeout_graceful_shutdown = max(1, int(self._left()))
        loop = asyncio.get_running_loop()
        hang_up = loop.call_later(2 * FAREWELL_SECONDS, self._hang_up)
        try:
            await super().shutdown(sockets)
        finally:
            hang_up.cancel()

    def _retire(self) -> None:
        """Let the workers of this process stop, beside everything else."""
        state = self._app.state
        if state.retiring is None and state.owns_flowbuilder:
            stopping = state.flowbuilder.stop_workers(self._left())
            state.retiring = asyncio.create_task(stopping, name="flowbuilder-retiring")

    def _left(self) -> float:
        """Return the seconds that requests and tasks have left to end by themselves."""
        assert self._asked_at is not None
        closing = min(_CLOSING_SECONDS, self._grace * _CLOSING_SHARE)
        return max(0.0, self._asked_at + self._grace - closing - time.monotonic())

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
        http=Protocol,
        log_level=settings.log_level,
        log_config=None,  # lines go the way of all others
        access_log=False,  # ours shows no queries: api/observing.py
        # nothing is decided by what a client says about itself; a named proxy says who it is
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies or None,
        server_header=False,
        lifespan="on",
    )
    return Server(config, app, settings)


async def serve(
    settings: Settings | None = None,
    *,
    tools: Iterable[Tool | Callable[..., Any]] = (),
    worker: bool = False,
) -> None:
    """Serve until a signal says stop."""
    settings = settings or Settings.load()
    await make_server(create_app(settings, tools=tools, worker=worker), settings).serve()
