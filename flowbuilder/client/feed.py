"""Wake-ups for those who follow streams: one listener, however many watch."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

from flowbuilder.executor.notifications import Notifications, StreamsCallback
from flowbuilder.executor.records import RunRow

#: How long it is still listened after the last watcher has gone: the next one comes soon, where one
#: run is waited for after the other, and beginning to listen costs two reads.
_LINGER_SECONDS = 1.0
#: Ends that are remembered.
_MOST_ENDS = 10_000


class Signal:
    """Something may be new; waiting for it never takes longer than the polling interval."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.ended: tuple[str, RunRow] | None = None
        """The workspace and the row of the run waited for, once a worker of this process has ended
        it and had the row at hand."""

    def set(self) -> None:
        """Wake who waits."""
        self._event.set()

    def clear(self) -> None:
        """Forget what was heard: it is read now."""
        self._event.clear()

    async def wait(self, seconds: float) -> None:
        """Return when something may be new, or after this time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()


class Feed:
    """Hands notifications about streams to those who watch them."""

    def __init__(self, notifications: Notifications) -> None:
        self._events = _Watchers(notifications.on_events)
        self._ends = _Ends(notifications.on_ends)

    def watch(self, stream: str) -> AbstractContextManager[Signal]:
        """Give a signal that is set whenever the stream may have new events."""
        return self._events.watch(stream)

    def watch_end(self, stream: str) -> AbstractContextManager[Signal]:
        """Give a signal that is set whenever the stream may have ended."""
        return self._ends.watch(stream)

    def would_know_end(self, stream: str, begun: float) -> bool:
        """Whether the end of a stream would have been heard of, and was not.

        `begun`: when the stream had not begun yet, in seconds of the monotonic clock.
        """
        return self._ends.since < begun and stream not in self._ends.ended

    def run_ended(self, workspace: str, run: RunRow) -> None:
        """Hand the row of a run that has just ended to those who wait for it."""
        for signal in self._ends.watching(run.id):
            signal.ended = (workspace, run)


class _Watchers:
    """Signals by stream, for one kind of news; listens while there are any, and a little longer."""

    def __init__(self, subscribe: Callable[[StreamsCallback], Callable[[], None]]) -> None:
        self._subscribe = subscribe
        self._signals: dict[str, set[Signal]] = {}
        self._stop: Callable[[], None] | None = None
        self._leaving: asyncio.TimerHandle | None = None

    @contextmanager
    def watch(self, stream: str) -> Iterator[Signal]:
        signal = Signal()
        self._signals.setdefault(stream, set()).add(signal)
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None
        if self._stop is None:
            self._stop = self._subscribe(self._heard)
        try:
            yield signal
        finally:
            watchers = self._signals[stream]
            watchers.discard(signal)
            if not watchers:
                del self._signals[stream]
            if not self._signals and self._stop is not None:
                loop = asyncio.get_running_loop()
                self._leaving = loop.call_later(_LINGER_SECONDS, self._leave)

    def watching(self, stream: str) -> Iterable[Signal]:
        """Return the signals of those who watch a stream."""
        return self._signals.get(stream, ())

    def _leave(self) -> None:
        self._leaving = None
        if self._stop is not None:
            self._stop()
            self._stop = None

    def _heard(self, streams: frozenset[str] | None) -> None:
        """Wake those who watch these streams; everybody when something may have been missed."""
        wanted = self._signals.keys() if streams is None else streams & self._signals.keys()
        for stream in list(wanted):
            for signal in self._signals.get(stream, ()):
                signal.set()


class _Ends(_Watchers):
    """Who waits for ends, and what is known of ends while it is listened."""

    def __init__(self, subscribe: Callable[[StreamsCallback], Callable[[], None]]) -> None:
        super().__init__(subscribe)
        self.ended: set[str] = set()
        """What may have ended since then."""
        self.since = math.inf
        """From when on every end was heard of, in seconds of the monotonic clock."""

    def _leave(self) -> None:
        super()._leave()
        self.since = math.inf

    def _heard(self, streams: frozenset[str] | None) -> None:
        if streams is None or len(self.ended) > _MOST_ENDS:
            self.since = time.monotonic()
            self.ended.clear()
        self.ended |= streams or frozenset()
        super()._heard(streams)
