"""Wake-ups for those who follow streams: one listener, however many watch."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress

from flowbuilder.executor.notifications import Notifications, StreamsCallback


class Signal:
    """Something may be new; waiting for it never takes longer than the polling interval."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

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
        self._ends = _Watchers(notifications.on_ends)

    def watch(self, stream: str) -> AbstractContextManager[Signal]:
        """Give a signal that is set whenever the stream may have new events."""
        return self._events.watch(stream)

    def watch_end(self, stream: str) -> AbstractContextManager[Signal]:
        """Give a signal that is set whenever the stream may have ended."""
        return self._ends.watch(stream)


class _Watchers:
    """Signals by stream, for one kind of news; listens while there are any."""

    def __init__(self, subscribe: Callable[[StreamsCallback], Callable[[], None]]) -> None:
        self._subscribe = subscribe
        self._signals: dict[str, set[Signal]] = {}
        self._stop: Callable[[], None] | None = None

    @contextmanager
    def watch(self, stream: str) -> Iterator[Signal]:
        signal = Signal()
        self._signals.setdefault(stream, set()).add(signal)
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
                self._stop()
                self._stop = None

    def _heard(self, streams: frozenset[str] | None) -> None:
        """Wake those who watch these streams; everybody when something may have been missed."""
        wanted = self._signals.keys() if streams is None else streams & self._signals.keys()
        for stream in list(wanted):
            for signal in self._signals.get(stream, ()):
                signal.set()
