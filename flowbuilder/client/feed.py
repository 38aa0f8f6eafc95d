"""Wake-ups for those who follow streams: one listener, however many watch."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import islice
from operator import itemgetter

from flowbuilder.executor.events import EventRow, News
from flowbuilder.executor.notifications import Notifications
from flowbuilder.executor.readers import MOST_STREAMS, Reader
from flowbuilder.executor.records import RunRow
from flowbuilder.executor.wakeups import StreamsCallback

#: How long it is still listened after the last watcher has gone: the next one comes soon, where one
#: run is waited for after the other, and beginning to listen costs two reads.
_LINGER_SECONDS = 1.0
#: Ends that are remembered.
_MOST_ENDS = 10_000
#: Nothing more is handed over to who has not taken so many events yet.
_MOST_TOLD = 500


class Signal:
    """Something may be new; waiting for it never takes longer than the polling interval.

    Whoever says how far it has read may be handed what comes next.
    """

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self.unread = False
        """Whether something was heard that is still to be read."""
        self._told: list[EventRow] = []
        self.place: tuple[str, int] | None = None
        """The workspace that is read in, and the number of the last event read or handed over."""
        self.ended: tuple[str, RunRow] | None = None
        """The workspace and the row of the run waited for, once a worker of this process has ended
        it and had the row at hand."""

    def set(self) -> None:
        """Wake who waits: there may be something to read."""
        self.unread = True
        self._event.set()

    def clear(self) -> None:
        """Forget what was heard: it is read now."""
        self.unread = False
        self._event.clear()

    def has_read(self, workspace: str, after: int) -> None:
        """Take note that the events up to `after` are known; what comes next may be handed over."""
        known = 0 if self.place is None else self.place[1]
        self.place = (workspace, max(known, after))

    def offer(self, news: News) -> bool:
        """Hand over events; say whether nothing of them need be read."""
        if self.place is None or self.place[0] != news.workspace:
            return False
        known = self.place[1]
        if news.events[0].seq > known + 1 or len(self._told) > _MOST_TOLD:
            return False
        if fresh := [event for event in news.events if event.seq > known]:
            self._told += fresh
            self.place = (news.workspace, fresh[-1].seq)
            self._event.set()
        return True

    def take(self, after: int) -> list[EventRow]:
        """Return what was handed over and has a number greater than `after`."""
        told, self._told = self._told, []
        if not self.unread:
            self._event.clear()
        return [event for event in told if event.seq > after]

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

    def of(self, streams: Iterable[str]) -> list[Reader]:
        """Return who keeps up with these streams here: of each, who has got furthest."""
        readers = (self._furthest(stream) for stream in streams)
        return list(islice((one for one in readers if one is not None), MOST_STREAMS))

    def _furthest(self, stream: str) -> Reader | None:
        watching = self._events.watching(stream)
        places = [one.place for one in watching if one.place is not None and not one.unread]
        if not places:
            return None
        workspace, after = max(places, key=itemgetter(1))
        return Reader(stream=stream, workspace=workspace, after=after)

    def tell(self, news: Iterable[News]) -> frozenset[str]:
        """Hand over news; return their streams. Who cannot take them is woken to read them."""
        told = set[str]()
        for one in news:
            told.add(one.stream)
            for signal in self._events.watching(one.stream):
                if not signal.offer(one):
                    signal.set()
        return frozenset(told)

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
