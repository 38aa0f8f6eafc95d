"""One stream of events and everybody in this process who reads it.

The newest frames are kept in a ring, which one task fills. Who is further behind reads whole pages
that are kept for a while, so that many who begin at the same place read the database once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Hashable
from contextlib import aclosing
from typing import Protocol

from flowbuilder.api.problems import Unavailable
from flowbuilder.api.streams.batch import Batch
from flowbuilder.api.streams.frames import Frame
from flowbuilder.api.streams.sources import Source
from flowbuilder.client.following import pruned
from flowbuilder.errors import Conflict, FlowBuilderError

log = logging.getLogger("flowbuilder.api")

#: What a channel keeps of its newest frames.
RING_FRAMES = 2048
RING_BYTES = 1_048_576
#: Frames of a page; those of page n begin behind number n * PAGE.
PAGE = 500
#: What all kept pages of a process hold together.
PAGES_BYTES = 16_777_216
#: How much longer it waits for more to come for each reader, so that many get more at a time.
_PAUSE_PER_READER = 0.00005
_LONGEST_PAUSE = 0.02


class Woken(Protocol):
    """A reader, as its channel knows it."""

    def wake(self) -> None:
        """There is news, or the end."""


class Pages:
    """Pages of all channels of a process, those used longest ago going first."""

    def __init__(self, most_bytes: int = PAGES_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[Hashable, Batch] = OrderedDict()
        self._size = 0

    def get(self, key: Hashable) -> Batch | None:
        """Return a page that is kept."""
        if key in self._kept:
            self._kept.move_to_end(key)
        return self._kept.get(key)

    def keep(self, key: Hashable, page: Batch) -> None:
        """Keep a page, instead of what was kept of it before."""
        before = self._kept.pop(key, None)
        self._size += page.size - (before.size if before is not None else 0)
        self._kept[key] = page
        while self._size > self._most_bytes and len(self._kept) > 1:
            self._size -= self._kept.popitem(last=False)[1].size


class Channel:
    """A stream, its newest frames, and its readers."""

    def __init__(
        self, key: Hashable, source: Source, pages: Pages, *, last: int, ended: bool = False
    ) -> None:
        """`last`: the number of the newest event, from which on it is followed, unless `ended`."""
        self.key = key
        self.last = last
        """The number of the newest frame that is known."""
        self.ended = ended
        """Whether no frame comes behind the last one."""
        self.failure: FlowBuilderError | None = None
        """Why it is not followed any more."""
        self.readers: set[Woken] = set()
        self.encoded = 0
        """Frames that were made here."""
        self._source = source
        self._pages = pages
        self._ring = Batch(most=RING_FRAMES, most_bytes=RING_BYTES)
        self._reading: dict[int, asyncio.Task[Batch]] = {}
        self._following: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to follow the stream."""
        if not self.ended:
            self._following = asyncio.create_task(self._follow(), name="flowbuilder-stream")

    async def close(self) -> None:
        """Stop to follow it; who comes all the same is sent away to come again."""
        if not self.ended and self.failure is None:
            self.failure = Unavailable("This stream is not followed here any more.")
        tasks = [*self._reading.values(), *([self._following] if self._following else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def at_hand(self, seq: int) -> Frame | None:
        """Return what comes behind a number, if it is among the newest frames."""
        return self._ring.after(seq)

    async def behind(self, seq: int) -> Frame:
        """Return what comes behind a number that is not the last one.

        Raises:
            Conflict: It was deleted (events_pruned).
            FlowBuilderError: It cannot be read.
        """
        number = seq // PAGE
        page = self._pages.get((self.key, number))
        if page is None or page.last <= seq:
            page = await self._page(number)
        piece = page.after(seq)
        if piece is None:  # the page's own beginning was deleted
            found = await self._source.read(seq, PAGE)
            self.encoded += len(found)
            piece = Batch(found).after(seq)
        if piece is None:
            raise pruned(self.last + 1)
        return piece

    async def _page(self, number: int) -> Batch:
        """Read a page, once for all who want it now; whoever leaves does not take it from them."""
        task = self._reading.get(number)
        if task is None:
            task = self._reading[number] = asyncio.create_task(self._read(number))
            task.add_done_callback(lambda _: self._reading.pop(number, None))
        return await asyncio.shield(task)

    async def _read(self, number: int) -> Batch:
        try:
            frames = await self._source.read(number * PAGE, PAGE)
        except Conflict:
            return Batch()
        self.encoded += len(frames)
        page = Batch(frames)
        self._pages.keep((self.key, number), page)
        return page

    async def _follow(self) -> None:
        try:
            async with aclosing(self._source.follow(self.last, self._pause)) as batches:
                async for batch in batches:
                    self.encoded += len(batch)
                    self._ring.extend(batch)
                    self.last = self._ring.last
                    self._wake()
            self.ended = True
        except FlowBuilderError as error:
            self.failure = error
        except Exception:
            log.exception("the stream %s cannot be followed", self.key)
            self.failure = FlowBuilderError("Something went wrong inside.", code="internal_error")
        self._wake()

    def _pause(self) -> float:
        return min(_LONGEST_PAUSE, _PAUSE_PER_READER * len(self.readers))

    def _wake(self) -> None:
        for reader in list(self.readers):
            reader.wake()
