"""Where the frames of a stream come from: a run's events, or those of a whole workspace."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol

from flowbuilder.api.streams import frames
from flowbuilder.api.streams.frames import Frame
from flowbuilder.client import FlowBuilder
from flowbuilder.client.following import pruned
from flowbuilder.client.workspace_log import WorkspaceLog
from flowbuilder.executor.events import EventRow
from flowbuilder.metrics import Deliveries


class Source(Protocol):
    """A stream of events with the numbers 1, 2, 3 …, of which the oldest may be gone.

    Both methods raise Conflict (`events_pruned`) where what comes next was deleted, and what the
    database raises.
    """

    async def read(self, after: int, limit: int) -> list[Frame]:
        """Return the frames behind a number that are there."""

    def follow(self, after: int, pause: Callable[[], float]) -> AsyncGenerator[list[Frame]]:
        """Yield the frames behind a number as they come, until the stream has ended.

        `pause`: seconds that lie between two looks at least.
        """


class RunSource:
    """The events of a run, as a workspace's client sees them."""

    def __init__(self, builder: FlowBuilder, run_id: str) -> None:
        self._builder = builder
        self._run_id = run_id

    async def read(self, after: int, limit: int) -> list[Frame]:
        """Return the events behind a number."""
        return _framed(await self._builder.events(self._run_id, after=after, limit=limit), after)

    async def follow(self, after: int, pause: Callable[[], float]) -> AsyncGenerator[list[Frame]]:
        """Yield the events behind a number, up to the run's last."""
        deliveries = Deliveries()
        pages = self._builder.follow_pages(self._run_id, after=after, pause=pause)
        async with aclosing(pages):
            async for page in pages:
                for event in page:
                    deliveries.note(event.at)
                yield _framed(page, after)
                after = page[-1].seq


def _framed(events: list[EventRow], after: int) -> list[Frame]:
    if events and events[0].seq != after + 1:
        raise pruned(events[0].seq)
    return [frames.frame(event) for event in events]


class WorkspaceSource:
    """The events of a workspace, which never ends."""

    def __init__(self, log: WorkspaceLog) -> None:
        self._log = log

    async def read(self, after: int, limit: int) -> list[Frame]:
        """Return the events behind a number."""
        found = await self._log.read(after, limit)
        return [frames.frame(row.event, row.place) for row in found]

    async def follow(self, after: int, pause: Callable[[], float]) -> AsyncGenerator[list[Frame]]:
        """Yield the events behind a number, for ever."""
        deliveries = Deliveries()
        async with aclosing(self._log.follow_pages(after=after, pause=pause)) as pages:
            async for page in pages:
                for row in page:
                    deliveries.note(row.event.at)
                yield [frames.frame(row.event, row.place) for row in page]
