"""The events of a run together with what its child runs ask people for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING

from flowbuilder.errors import FlowBuilderError
from flowbuilder.executor.events import EventRow
from flowbuilder.executor.records import ApprovalRow
from flowbuilder.executor.states import TaskStatus

if TYPE_CHECKING:
    from flowbuilder.client import FlowBuilder, Run

_ACTIVE = frozenset({TaskStatus.QUEUED, TaskStatus.RUNNING})
_ASKED = "approval_requested"


class Family:
    """A run that is watched, and the child runs below it as they are started."""

    def __init__(self, builder: FlowBuilder, run: Run) -> None:
        self._builder, self._run = builder, run
        self._children: dict[str, asyncio.Task[None]] = {}
        self._news: asyncio.Queue[EventRow | None] = asyncio.Queue()

    async def events(self, after: int) -> AsyncIterator[EventRow]:
        """Yield the run's events, and of its child runs the requests for an approval."""
        reading = asyncio.create_task(self._read(after))
        try:
            while (event := await self._news.get()) is not None:
                yield event
            await reading
        finally:
            for task in (reading, *self._children.values()):
                task.cancel()
                with suppress(asyncio.CancelledError, FlowBuilderError):
                    await task

    async def pending(self) -> list[ApprovalRow]:
        """Return the approvals that the runs wait for."""
        found: list[ApprovalRow] = []
        for run_id in (self._run.id, *self._children):
            found += await self._builder.approvals(run_id=run_id)
        return found

    async def is_active(self) -> bool:
        """Whether any task of the runs runs or waits in the queue, however many there are."""
        children = [await self._builder.get_run(run_id) for run_id in self._children]
        for run in (self._run, *children):
            after = 0
            while page := await run.tasks(after=after):
                if any(task.status in _ACTIVE for task in page):
                    return True
                after = int(page[-1].id)
        return False

    async def _read(self, after: int) -> None:
        try:
            if after:  # a child may have been started before
                for event in await self._run_events_before(after):
                    self._meet(event)
            async for event in self._run.events(after=after):
                self._meet(event)
                self._news.put_nowait(event)
        finally:
            self._news.put_nowait(None)

    async def _run_events_before(self, after: int) -> list[EventRow]:
        found: list[EventRow] = []
        while page := await self._builder.events(self._run.id, after=found[-1].seq if found else 0):
            found += [event for event in page if event.seq <= after]
            if page[-1].seq >= after:
                break
        return found

    async def _follow(self, run_id: str) -> None:
        run = await self._builder.get_run(run_id)
        async for event in run.events():
            self._meet(event)
            if event.type == _ASKED:
                self._news.put_nowait(event)

    def _meet(self, event: EventRow) -> None:
        """Follow a child run that an event tells of."""
        child = event.data.get("child_run_id")
        if isinstance(child, str) and child not in self._children:
            self._children[child] = asyncio.create_task(self._follow(child))
