"""What an open FlowBuilder shares with the handles it gives out."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakValueDictionary

from flowbuilder.client.batching import StartBatches
from flowbuilder.client.ends import Ends
from flowbuilder.client.feed import Feed
from flowbuilder.client.following import follow_pages
from flowbuilder.client.functions import HeldFunctions
from flowbuilder.errors import DatabaseUnavailable, ExecutionError, NotFound
from flowbuilder.executor.events import EventRow
from flowbuilder.executor.notifications import Notifications
from flowbuilder.executor.observed import Ends as ObservedEnds
from flowbuilder.executor.observed import tell_decision
from flowbuilder.executor.records import ApprovalRow, Room, RunRow, Started, VersionRow
from flowbuilder.executor.store import Store
from flowbuilder.flow import Flow
from flowbuilder.metrics import RUNS_STARTED, TRIGGER
from flowbuilder.policy import Policies
from flowbuilder.settings import Settings
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonValue

if TYPE_CHECKING:
    from flowbuilder.client.appending import KnownDraft
    from flowbuilder.client.growing import KnownRun
    from flowbuilder.executor.database import Database
    from flowbuilder.executor.worker import Worker

T = TypeVar("T")

#: How long who follows a stream waits for a database that cannot be reached.
AWAY_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """A version that runs are started of."""

    version: VersionRow
    flow: Flow
    draft_at: datetime | None = None
    """When the flow's draft, which this version was published from, was changed last; None for
    a version that was asked for by itself."""

    @classmethod
    def of(cls, version: VersionRow) -> Head:
        """Return a version with its flow read from it."""
        return cls(version=version, flow=Flow.model_validate(version.document))


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
        server_answers: Callable[[], bool] = lambda: True,
        feed: Feed | None = None,
        ends: ObservedEnds | None = None,
    ) -> None:
        self.settings = settings
        self.registry = registry
        self.shared_registry = registry
        """The tools that every workspace has: without those of this one's own connections."""
        self.store = store
        self.notifications = notifications
        self.embedded = embedded
        """Whether the database is the embedded server."""
        self.server_answers = server_answers
        """False: the embedded server is dead and does not come back. Blocks for some seconds."""
        self.workers: list[Worker] = []
        """The workers inside this process, oldest first."""
        self.replans_open: set[Callable[[], None]] = set()
        """Called when a worker of this process has seen a run that is to be planned anew."""
        self.functions = HeldFunctions()
        """Functions given as steps, made into tools."""
        self.heads: dict[str, Head] = {}
        """What flows ran as last, by slug: the database says whether it still holds."""
        self.drafts: dict[str, KnownDraft] = {}
        """Drafts as this process has left them, by slug, the one changed last at the end."""
        self.growing: dict[str, KnownRun] = {}
        """What is known of the flows of runs that steps were added to, by run id."""
        self.known_policies: tuple[float, Policies] | None = None
        """The policies as they were read last, and when."""
        self.connected_mark: object = (None, None)
        """What the store said when the workspace's connections were read last, and when."""
        self.connected_at = float("-inf")
        self.equipped_mark: object = (None, None)
        """The same for the workers of this process, of all workspaces' connections."""
        self.feed = feed or Feed(notifications)
        self.ends_observed = ends or ObservedEnds(store)
        """Counts runs that have ended, where somebody wants to know."""
        self._ends = Ends(store.ended_runs)
        self._starts = StartBatches()
        self._draft_locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def within(self, workspace: str, database: Database) -> Session:
        """Return a session of another workspace, over the same tools and listener.

        `database` may be one workspace's view. No worker is lent first tasks: what starts there
        is queued, and any worker takes it.
        """
        return Session(
            settings=self.settings,
            registry=self.shared_registry,
            store=Store(database, workspace=workspace),
            notifications=self.notifications.for_workspace(workspace),
            embedded=self.embedded,
            server_answers=self.server_answers,
            feed=self.feed,
            ends=self.ends_observed,
        )

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
            InvalidValue: `after` is no number (page_invalid).
        """
        async with aclosing(follow_pages(self, stream, after=after)) as pages:
            async for page in pages:
                for event in page:
                    yield event

    async def events_after(self, stream: str, after: int, limit: int) -> list[EventRow]:
        """Read events; a database that is away for a while is waited for."""
        return await self.patiently(partial(self.store.events, stream, after=after, limit=limit))

    async def end_of(self, run_id: str, *, begun: float | None = None) -> RunRow:
        """Wait for the end of a run and return its row.

        `begun`: when the run was not started yet, in seconds of the monotonic clock. It is not
        read before there is news of it, if there would have been.

        Raises:
            NotFound: There is no such run.
        """
        poll = self.settings.poll_interval.total_seconds()
        with self.feed.watch_end(run_id) as signal:
            if begun is not None and self.feed.would_know_end(run_id, begun):
                await signal.wait(poll)
            while True:
                if signal.ended is not None and signal.ended[0] == self.store.workspace:
                    return signal.ended[1]
                signal.clear()
                row = await self.patiently(partial(self._ends.row, run_id))
                if row is not None:
                    return row
                await signal.wait(poll)

    async def patiently(self, read: Callable[[], Awaitable[T]]) -> T:
        """Read something; a database that is away for a while is waited for."""
        give_up = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                return await read()
            except DatabaseUnavailable:
                if time.monotonic() > give_up:
                    raise
                await asyncio.sleep(random.uniform(0.1, 0.5))

    async def has_ended(self, stream: str, seen: int) -> bool:
        """Whether a stream has nothing more to come after `seen`."""
        try:
            run = await self.store.get_run(stream)
        except NotFound:
            await self.store.get_plan(stream)  # a plan is stored with all of its events
            return True
        return run.status.terminal and run.last_seq <= seen

    async def start_run(
        self, version_id: str, input: JsonValue, *, key: str | None, **options: Any
    ) -> Started:
        """Start one run, together with others that are asked for at the same time."""

        async def send(inputs: Sequence[JsonValue], keys: Sequence[str | None]) -> Started:
            return await self.start_runs(version_id, inputs, idempotency_keys=keys, **options)

        kind = (version_id, *options.items())
        try:
            hash(kind)
        except TypeError:  # terms of one's own
            return await send([input], [key])
        return await self._starts.start(kind, input, key, send)

    async def start_runs(
        self, version_id: str, inputs: Sequence[JsonValue], **options: Any
    ) -> Started:
        """Start runs; a worker of this process gets first tasks with the answer. See the store."""

        async def start(room: Room | None) -> Started:
            return await self.store.start_runs(version_id, inputs, room=room, **options)

        worker = self.workers[0] if self.workers else None
        started = await (start(None) if worker is None else worker.lend_room(start))
        RUNS_STARTED.add(sum(created for _, created in started.runs), TRIGGER.get())
        begun = dict.fromkeys(task.run_id for task in started.tasks)
        self.notifications.signal(
            begun, going_on=begun, ready=started.queued, backlog=worker is not None
        )
        return started

    async def announce_run(self, run_id: str) -> None:
        """Tell those who watch the run, and workers that wait for something to do."""
        self.ends_observed.note([run_id])
        await self.notifications.announce([run_id], ready=True)

    async def announce_approval(self, approval: ApprovalRow) -> None:
        """Tell those who watch approvals and the run that a decision was given."""
        await tell_decision(self.store, approval)
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
