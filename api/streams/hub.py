"""All streams of one process.

There is a channel for each run or workspace that is read, shared by all who read it, and one clock
that looks after readers who are silent or slow.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable
from contextlib import suppress

from flowbuilder.api.streams.channel import Channel, Pages
from flowbuilder.api.streams.reader import Reader
from flowbuilder.api.streams.rights import Rights
from flowbuilder.api.streams.sources import Source

log = logging.getLogger("flowbuilder.api")

#: Seconds a client gets to take the end of its stream when the service stops.
FAREWELL_SECONDS = 1.0
#: How long a channel is kept without a reader: who was cut off comes back soon.
LINGER_SECONDS = 3.0
_TICK_SECONDS = 1.0


class Open:
    """One response that is open: its reader, and how it is dropped."""

    def __init__(self, reader: Reader, drop: Callable[[], None]) -> None:
        self.reader = reader
        self.drop = drop


class Hub:
    """The channels of a process, and who reads them."""

    def __init__(self, *, heartbeat: float, patience: float) -> None:
        """`patience`: seconds after which a reader who takes nothing is dropped."""
        self.heartbeat = heartbeat
        self.rights = Rights()
        self.dropped = 0
        """Readers that were too slow."""
        self._patience = patience
        self._pages = Pages()
        self._channels: dict[Hashable, Channel] = {}
        self._idle_since: dict[Hashable, float] = {}
        self._open: set[Open] = set()
        self._clock: asyncio.Task[None] | None = None
        self._made = 0
        self._stopping = False

    @property
    def readers(self) -> int:
        """How many read at present."""
        return len(self._open)

    @property
    def encoded(self) -> int:
        """Frames that were made so far."""
        return self._made + sum(channel.encoded for channel in self._channels.values())

    def channel(
        self, key: Hashable, source: Callable[[], Source], *, last: int, ended: bool = False
    ) -> Channel:
        """Return the channel of a stream, which begins to be followed if nobody reads it yet.

        `last` and `ended` are how the caller has just found the stream.
        """
        channel = self._channels.get(key)
        if channel is not None and channel.failure is not None:
            self._forget(key)
            channel = None
        if channel is None:
            channel = Channel(key, source(), self._pages, last=last, ended=ended)
            self._channels[key] = channel
            self._idle_since[key] = time.monotonic()
            channel.start()
            self._begin()
        elif not channel.readers:
            self._idle_since[key] = time.monotonic()
        return channel

    def known(self, key: Hashable) -> Channel | None:
        """Return the channel of a stream that is followed already, and can be joined."""
        channel = self._channels.get(key)
        if channel is None or channel.failure is not None:
            return None
        if not channel.readers:
            self._idle_since[key] = time.monotonic()
        return channel

    def enter(self, channel: Channel, one: Open) -> None:
        """Let a reader hear of a channel's news; one that comes late is sent away at once."""
        one.reader.stopping = self._stopping
        channel.readers.add(one.reader)
        if self._channels.get(channel.key) is channel:
            self._idle_since.pop(channel.key, None)
        self._open.add(one)
        self._begin()

    def leave(self, channel: Channel, one: Open) -> None:
        """The reader has gone."""
        self._open.discard(one)
        channel.readers.discard(one.reader)
        if not channel.readers and self._channels.get(channel.key) is channel:
            self._idle_since[channel.key] = time.monotonic()

    def stop(self) -> None:
        """Send every reader away; clients resume elsewhere from the last number they saw."""
        self._stopping = True
        for one in self._open:
            one.reader.stopping = True
            one.reader.wake()
        if self._open:
            loop = asyncio.get_running_loop()
            loop.call_later(FAREWELL_SECONDS, self._drop_all)

    async def close(self) -> None:
        """Follow nothing any more."""
        if self._clock is not None:
            self._clock.cancel()
            with suppress(asyncio.CancelledError):
                await self._clock
            self._clock = None
        for key in list(self._channels):
            await self._take(key).close()

    # -- inside -----------------------------------------------------------------------------

    def _begin(self) -> None:
        if self._clock is None or self._clock.done():
            self._clock = asyncio.create_task(self._tick(), name="flowbuilder-streams")

    async def _tick(self) -> None:
        while self._open or self._channels:
            await asyncio.sleep(min(_TICK_SECONDS, self.heartbeat))
            now = time.monotonic()
            for one in list(self._open):
                since = one.reader.writing_since
                if since is not None and now - since > self._patience:
                    self.dropped += 1
                    log.info("a reader that takes nothing was dropped after %.0f s", now - since)
                    one.drop()
                else:
                    one.reader.glance(now)
            for key, since in list(self._idle_since.items()):
                if now - since > LINGER_SECONDS:
                    await self._take(key).close()

    def _take(self, key: Hashable) -> Channel:
        channel = self._channels.pop(key)
        self._idle_since.pop(key, None)
        self._made += channel.encoded
        return channel

    def _forget(self, key: Hashable) -> None:
        """Let a channel go that has failed; those who still read it are told so."""
        self._take(key)

    def _drop_all(self) -> None:
        for one in list(self._open):
            one.drop()
