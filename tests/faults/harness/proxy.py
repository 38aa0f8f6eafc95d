"""A TCP proxy in front of PostgreSQL that breaks connections in every way a network can.

It reads the clients' messages, so that a fault can be aimed at one statement: `Rule`.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Literal, Self

Action = Literal["swallow_reply", "cut_before"]

_SSL, _GSS, _CANCEL = 80877103, 80877104, 80877102


class Rule:
    """What to do with a statement whose text holds `pattern` and its values `holding`.

    It applies to every `every`-th one, `times` times at most.

    swallow_reply: the server executes it, the client never hears of it and is cut off.
    cut_before: the client is cut off, the server never sees it.
    """

    def __init__(
        self,
        pattern: bytes,
        action: Action,
        *,
        holding: bytes = b"",
        times: int = 1,
        every: int = 1,
        application: str | None = None,
    ) -> None:
        self.pattern = pattern
        self.action = action
        self.holding = holding
        self.left = times
        self.every = every
        self._met = 0
        self.application = application
        self.fired = 0
        """How often it really happened: for swallow_reply, the server's good answer was seen."""
        self.refused = 0
        """Replies swallowed that were errors: nothing was committed there."""

    def meets(self, query: bytes, values: bytes, link: Link) -> bool:
        """Whether it applies to this statement; counts down when it does."""
        if self.left <= 0 or self.pattern not in query or self.holding not in values:
            return False
        if self.application is not None and link.application != self.application:
            return False
        self._met += 1
        if self._met % self.every:
            return False
        self.left -= 1
        return True


class Link:
    """One client's connection through the proxy."""

    def __init__(
        self, proxy: Proxy, client: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    ) -> None:
        self.proxy = proxy
        self.application = ""
        self.up = 0
        self.down = 0
        self.client_in, self.client_out = client
        self.server_out: asyncio.StreamWriter | None = None
        self._queries: dict[bytes, bytes] = {}
        self._swallowing: Rule | None = None
        self._swallowed = b""

    async def run(self) -> None:
        """Forward both ways until one side ends."""
        try:
            if not await self._greet():
                return
            server_in, self.server_out = await asyncio.open_connection(
                "127.0.0.1", self.proxy.target
            )
            self.server_out.write(self._startup)
            both = [
                asyncio.create_task(self._upwards(self.server_out)),
                asyncio.create_task(self._downwards(server_in)),
            ]
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for one in both:
                    one.cancel()
                await asyncio.gather(*both, return_exceptions=True)
        except (OSError, asyncio.IncompleteReadError):
            return
        finally:
            self.cut()

    def cut(self) -> None:
        """Break the connection on both sides, with a reset."""
        for writer in (self.client_out, self.server_out):
            if writer is not None:
                writer.transport.abort()

    async def _greet(self) -> bool:
        """Read the start-up packet; answer that there is no encryption. False: a cancel request."""
        while True:
            head = await self.client_in.readexactly(4)
            (length,) = struct.unpack("!I", head)
            body = await self.client_in.readexactly(length - 4)
            code = int.from_bytes(body[:4], "big")
            if code in (_SSL, _GSS):
                self.client_out.write(b"N")
                continue
            fields = body[4:].split(b"\0")
            pairs = dict(zip(fields[::2], fields[1::2], strict=False))
            self.application = pairs.get(b"application_name", b"").decode()
            self._startup = head + body
            return code != _CANCEL

    async def _upwards(self, server: asyncio.StreamWriter) -> None:
        while True:
            head = await self.client_in.readexactly(5)
            (length,) = struct.unpack("!I", head[1:])
            body = await self.client_in.readexactly(length - 4)
            await self.proxy.passable(self)
            rule = self._aimed_at(head[:1], body)
            if rule is not None and rule.action == "cut_before":
                rule.fired += 1
                return
            if rule is not None:
                self._swallowing = rule
            server.write(head + body)
            self.up += len(head) + len(body)
            await server.drain()

    def _aimed_at(self, kind: bytes, body: bytes) -> Rule | None:
        """Return the rule that applies to this message, which executes or prepares a statement."""
        query: bytes | None = None
        if kind == b"P":
            name, text, _ = body.split(b"\0", 2)
            self._queries[name] = text
        elif kind == b"B":
            _, name, _ = body.split(b"\0", 2)
            query = self._queries.get(name, b"")
        elif kind == b"Q":
            query = body
        if query is None:
            return None
        for pattern in self.proxy.executed:
            self.proxy.executed[pattern] += pattern in query
        return next((rule for rule in self.proxy.rules if rule.meets(query, body, self)), None)

    async def _downwards(self, server: asyncio.StreamReader) -> None:
        while data := await server.read(65536):
            if self._swallowing is not None:
                self._swallowed += data
                if self._swallowed[-6:-1] == b"Z\0\0\0\5":  # the server is through with it
                    failed = _has_error(self._swallowed)
                    self._swallowing.refused += failed
                    self._swallowing.fired += not failed
                    return
                continue
            await self.proxy.passable(self)
            self.client_out.write(data)
            self.down += len(data)
            await self.client_out.drain()


def _has_error(data: bytes) -> bool:
    """Whether one of the server's messages is an error."""
    while len(data) >= 5:
        (length,) = struct.unpack("!I", data[1:5])
        if data[:1] == b"E":
            return True
        data = data[1 + length :]
    return False


class Proxy:
    """Listens on a port of its own and forwards to the server's; its faults can be switched."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.rules: list[Rule] = []
        self.links: set[Link] = set()
        self.delay = 0.0
        """Seconds that every message and every answer is held back."""
        self.delayed = 0
        """How many messages and answers were held back."""
        self.swallowed = 0
        """How many messages and answers a black hole has swallowed or is holding."""
        self.executed: dict[bytes, int] = {}
        """How often statements that hold one of these texts were executed."""
        self.opened = 0
        """How many connections clients have opened."""
        self._refusing = False
        self._holes: list[Callable[[Link], bool]] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self, *, application: str | None = None) -> int:
        """Break the connections (of this application); returns how many."""
        hit = [link for link in self.links if application in (None, link.application)]
        for link in hit:
            link.cut()
        return len(hit)

    def partition(self, *, refuse: bool = True) -> int:
        """Cut every connection and refuse new ones until `heal`."""
        self._refusing = refuse
        return self.cut()

    def blackhole(self, meets: Callable[[Link], bool] = lambda _: True) -> None:
        """Swallow everything on these connections, also new ones: no reset, no answer."""
        self._holes.append(meets)

    def heal(self) -> None:
        """Forward again what comes; what black holes hold stays lost, their connections break."""
        for link in [link for link in self.links if any(hole(link) for hole in self._holes)]:
            link.cut()
        self._refusing = False
        self._holes.clear()
        self.delay = 0.0

    async def passable(self, link: Link) -> None:
        """Return when a message may pass; in a black hole it never does."""
        if self.delay:
            self.delayed += 1
            await asyncio.sleep(self.delay)
        if any(hole(link) for hole in self._holes):
            self.swallowed += 1
            await asyncio.Event().wait()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        if self._refusing:
            writer.transport.abort()
            return
        task = asyncio.create_task(self._serve(Link(self, (reader, writer))))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, link: Link) -> None:
        self.links.add(link)
        with suppress(ConnectionError):
            try:
                await link.run()
            finally:
                self.links.discard(link)
                link.cut()
