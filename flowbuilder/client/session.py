"""What an open FlowBuilder shares with the handles it gives out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from flowbuilder.client.feed import Feed
from flowbuilder.errors import ExecutionError, NotFound
from flowbuilder.executor.notifications import Notifications
from flowbuilder.executor.records import ApprovalRow, EventRow
from flowbuilder.executor.store import Store
from flowbuilder.settings import Settings
from flowbuilder.tools import Tool, ToolRegistry

if TYPE_CHECKING:
    from flowbuilder.executor.worker import Worker

#: Events read in one go.
PAGE = 500


class Session:
    """Settings, tools, store and notifications of one open FlowBuilder."""

    def __init__(
        self,
        *,
        settings: Settings,
        registry: ToolRegistry,
        store: Store,
        notifications: Notifications,
        embedded: bool,
    ) -> None:
        self.settings = settings
        self.registry = registry
        self.store = store
        self.notifications = notifications
        self.embedded = embedded
        """Whether the database is the embedded server."""
        self.workers: list[Worker] = []
        """The workers inside this process, oldest first."""
        self.functions: dict[tuple[str, str, Hashable], Tool] = {}
        """Functions given as steps, made into tools: by worker, step and function."""
        self.feed = Feed(notifications)
        self._draft_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def draft_lock(self, slug: str) -> asyncio.Lock:
        """Return the lock that keeps this process's changes of one draft in a row."""
        lock = self._draft_locks.get(slug)
        if lock is None:
            lock = self._draft_locks[slug] = asyncio.Lock()
        return lock

    async def follow(self, stream: str, *, after: int = 0) -> AsyncIterator[EventRow]:
        """Yield a stream's events with a number greater than `after`, up to the terminal one.

        Raises:
            NotFound: There is no run or plan of this id.
        """
        seen = after
        with self.feed.watch(stream) as signal:
            while True:
                signal.clear()
                page = await self.store.events(stream, after=seen, limit=PAGE)
                for event in page:
                    seen = event.seq
                    yield event
                    if event.terminal:
                        return
                if not page and await self._ended(stream, seen):
                    return
                if len(page) < PAGE:
                    await signal.wait(self.settings.poll_interval.total_seconds())

    async def _ended(self, stream: str, seen: int) -> bool:
        """Whether a stream has nothing more to come after `seen`."""
        try:
            run = await self.store.get_run(stream)
        except NotFound:
            await self.store.get_plan(stream)  # a plan is stored with all of its events
            return True
        return run.status.terminal and run.last_seq <= seen

    async def announce_run(self, run_id: str) -> None:
        """Tell those who watch the run, and workers that wait for something to do."""
        await self.notifications.announce([run_id], ready=True)

    async def announce_approval(self, approval: ApprovalRow) -> None:
        """Tell those who watch approvals and the run that a decision was given."""
        await self.announce_run(approval.run_id)


class Connected:
    """What the parts of FlowBuilder have in common: a session while it is open."""

    _opened: Session | None

    @property
    def _session(self) -> Session:
        if self._opened is None:
            raise ExecutionError(
                "this FlowBuilder is not open",
                code="not_open",
                hint="Write `async with FlowBuilder.connect() as fb:`, or await fb.open().",
            )
        return self._opened
