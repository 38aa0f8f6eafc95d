"""Consuming a queue: every message is handled by one consumer, and stays until it was handled."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from contextlib import suppress
from typing import Self

from flowbuilder.errors import DatabaseError, FlowBuilderError, NotFound
from flowbuilder.executor.courier import Courier
from flowbuilder.executor.listener import Listener, pause
from flowbuilder.executor.messages import Message, QueueReader
from flowbuilder.executor.store.subscriptions import SubscriptionStore
from flowbuilder.types import JsonObject

log = logging.getLogger(__name__)


class Consumer(QueueReader):
    """An iterator over the messages of a queue that takes them out.

    A message is acknowledged (deleted) when the next one is asked for, or when an `async with`
    block around the loop is left without an exception. One whose handling failed comes back after
    the visibility timeout, and until then nothing else of its stream is given to anybody, so that
    the order of a stream holds. A lost connection does not end the iteration.
    """

    def __init__(
        self,
        store: SubscriptionStore,
        listener: Listener,
        courier: Courier,
        queue: str,
        *,
        seconds: float,
        batch: int,
        poll_seconds: float,
    ) -> None:
        super().__init__(listener, queue, poll_seconds=poll_seconds)
        self._store = store
        self._courier = courier
        self._seconds = seconds
        self._batch = batch
        self._taken: deque[tuple[Message, float]] = deque()
        self._current: Message | None = None
        self._handled: list[int] = []
        self._last = 0

    def progress(self) -> JsonObject:
        """Return how far the consumer is, as `Messages.progress` does; it does not know its lag."""
        return {
            "queue": self.queue,
            "last_id": self._last,
            "buffered": len(self._taken),
            "lag_ms": None,
            "interrupted": self._failures > 0,
        }

    async def __anext__(self) -> Message:
        if self._stop_hearing is None and not self._closed:
            self._stop_hearing = self._listener.hear(self.queue, lambda _: self._wake.set())
        self._settle()
        while not self._closed:
            await self._delete_handled()
            while self._taken:
                message, until = self._taken.popleft()
                if time.monotonic() < until:  # else somebody else may have it by now
                    self._current, self._last = message, max(self._last, message.id)
                    return message
            await self._refill()
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        if kind is None:
            await self.acknowledge()
        await self.aclose()

    async def acknowledge(self) -> None:
        """Say that the message given out last was handled, before the next one is asked for."""
        self._settle()
        await self._delete_handled()

    async def aclose(self) -> None:
        """End the iteration, and give back at once what was taken and not given out."""
        self.close()
        now = time.monotonic()
        unread = [message.id for message, until in self._taken if now < until]
        self._taken.clear()
        with suppress(FlowBuilderError):  # else it comes back by itself
            if unread:
                await self._store.show_messages(self.queue, unread)

    def _settle(self) -> None:
        if self._current is not None:
            self._handled.append(self._current.id)
            self._current = None

    async def _delete_handled(self) -> None:
        """Delete what was handled; what cannot be deleted now is, before anything else is read."""
        if not self._handled:
            return
        try:
            await self._store.delete_messages(self.queue, self._handled)
        except FlowBuilderError as error:
            await self._interrupted(error)
        else:
            self._handled = []

    async def _refill(self) -> None:
        """Take what is there; when nothing is, wait until there may be something."""
        if self._handled:
            return
        self._wake.clear()
        try:
            began = time.monotonic()
            rows = await self._store.take_messages(
                self.queue, limit=self._batch, seconds=self._seconds
            )
        except FlowBuilderError as error:
            await self._interrupted(error)
            return
        if self._failures:
            log.warning("consuming %s goes on", self.queue, extra=self.progress())
            self._failures = 0
        for row in rows:
            self._taken.append((Message.taken(self.queue, row), began + self._seconds))
        if not rows:
            await self._wait()

    async def _wait(self) -> None:
        self._courier.look()  # there may be no worker that delivers
        with suppress(TimeoutError):
            async with asyncio.timeout(self._poll_seconds):
                await self._wake.wait()

    async def _interrupted(self, error: FlowBuilderError) -> None:
        """Pause after a failure.

        Raises:
            NotFound: `queue_not_found`: there is no such queue (any more).
        """
        if isinstance(error, DatabaseError) and error.code == "schema_missing":
            raise NotFound(
                f"there is no queue {self.queue}",
                code="queue_not_found",
                hint="Subscribe first: notifications.subscribe(channel, queue=…).",
            ) from error
        if not self._failures:
            log.warning("consuming %s is interrupted: %s", self.queue, error, extra=self.progress())
        self._failures += 1
        await asyncio.sleep(pause(self._failures))
