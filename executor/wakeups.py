"""Wake-ups of workers that wait for work, and of those who wait for events and ends."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeAlias, TypeVar

from flowbuilder.executor.announcer import EVENTS_CHANNEL, WORK_CHANNEL, Announcer
from flowbuilder.executor.listener import Heard, Listener, tell

#: Hears ids of runs and plans; None: look at everything.
StreamsCallback: TypeAlias = Callable[[frozenset[str] | None], None]
Callback = TypeVar("Callback", bound=Callable[..., None])


class Wakeups:
    """The part of notifications that wakes: in this process at once, elsewhere by NOTIFY."""

    def __init__(self, listener: Listener, announcer: Announcer, *, sender: str) -> None:
        """`sender`: what the announcer's payloads begin with."""
        self._listener = listener
        self._announcer = announcer
        self._sender = sender
        self._work_callbacks: list[Callable[[], None]] = []
        self._event_callbacks: list[StreamsCallback] = []
        self._end_callbacks: list[StreamsCallback] = []

    def signal(
        self,
        ids: Iterable[str],
        *,
        going_on: Collection[str] = (),
        ready: bool = False,
        backlog: bool = False,
        told: Collection[str] = (),
    ) -> None:
        """Announce new events of these runs or plans, and work when `ready`, without waiting.

        Those that surely have not ended are named in `going_on`. Of a `backlog` that somebody here
        sees to, others are not told again and again. Who listens in this process hears it at once,
        not by way of the database; those who follow the streams of `told` have the events already.
        """
        streams = frozenset(ids)
        self._tell_here(streams, ready, streams.difference(going_on), streams.difference(told))
        self._announcer.signal(streams, going_on=going_on, ready=ready, backlog=backlog)

    async def announce(self, ids: Iterable[str], *, ready: bool = False) -> None:
        """Announce as `signal` does, and return when it is sent. Never fails."""
        streams = frozenset(ids)
        self._tell_here(streams, ready, streams, streams)
        await self._announcer.announce(streams, ready=ready)

    def _tell_here(
        self,
        streams: frozenset[str],
        ready: bool,
        ended: frozenset[str],
        untold: frozenset[str],
    ) -> None:
        if ready:
            tell(WORK_CHANNEL, self._work_callbacks)
        if streams:  # also where nothing is left untold: somebody may read the whole workspace
            tell(EVENTS_CHANNEL, self._event_callbacks, untold)
        if ended:
            tell(EVENTS_CHANNEL, self._end_callbacks, ended)

    def on_work(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back whenever there may be work, until the returned function is called."""

        def heard(payload: str | None) -> None:
            if payload is None or self._from_others(payload) is not None:
                callback()

        return self._hear(WORK_CHANNEL, heard, self._work_callbacks, callback)

    def on_events(self, callback: StreamsCallback) -> Callable[[], None]:
        """Call back with the ids of runs and plans that have new events.

        Those are left out whose readers in this process were handed the events. None instead of
        ids: notifications may have been missed, look at everything. The callback must not block; it
        stays until the returned function is called.
        """

        def heard(payload: str | None) -> None:
            if payload is None:
                callback(None)
            elif (streams := self._from_others(payload)) is not None:
                callback(frozenset(one.removesuffix("+") for one in streams.split(",")))

        return self._hear(EVENTS_CHANNEL, heard, self._event_callbacks, callback)

    def on_ends(self, callback: StreamsCallback) -> Callable[[], None]:
        """Call back as `on_events` does, but only with what may have ended."""

        def heard(payload: str | None) -> None:
            if payload is None:
                callback(None)
            elif (streams := self._from_others(payload)) is not None:
                ended = frozenset(one for one in streams.split(",") if not one.endswith("+"))
                if ended:
                    callback(ended)

        return self._hear(EVENTS_CHANNEL, heard, self._end_callbacks, callback)

    def _hear(
        self, channel: str, heard: Heard, here: list[Callback], callback: Callback
    ) -> Callable[[], None]:
        """Listen to a channel, and to what this process announces itself."""
        here.append(callback)
        unhear = self._listener.hear(channel, heard)

        def stop() -> None:
            unhear()
            if callback in here:
                here.remove(callback)

        return stop

    def _from_others(self, payload: str) -> str | None:
        """Return what somebody else says; None for an echo of what this process said."""
        sender, _, said = payload.partition(" ")
        return None if sender == self._sender else said
