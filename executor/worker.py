"""The worker: joins, claims tasks, runs them, reports what they ended with, and leaves.

What it consists of is put together here; its loop is in `rounds.py`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Self

from flowbuilder.errors import DatabaseError, FlowBuilderError
from flowbuilder.executor.approval_notices import ApprovalNotices
from flowbuilder.executor.attempt import Attempts
from flowbuilder.executor.clearing import Clearing
from flowbuilder.executor.context import EnvironmentSecrets, ProgressReporter, TaskContext
from flowbuilder.executor.exchanges import Exchanges
from flowbuilder.executor.holding import HostWatch
from flowbuilder.executor.lease import LeaseKeeper
from flowbuilder.executor.listener import pause
from flowbuilder.executor.maintenance import Maintenance
from flowbuilder.executor.notifications import Notifications
from flowbuilder.executor.observed import Ends, Observed
from flowbuilder.executor.readers import NoReaders, Readers
from flowbuilder.executor.records import (
    Exchange,
    LeasedTask,
    Room,
    Started,
    Upkeep,
)
from flowbuilder.executor.registration import Registration
from flowbuilder.executor.rounds import Rounds
from flowbuilder.executor.scheduler import Scheduler
from flowbuilder.executor.secret_desk import SecretDesk
from flowbuilder.executor.session_lock import SessionLock
from flowbuilder.executor.slots import CLEAN_UP_SECONDS, Key, Slots
from flowbuilder.executor.store import Store
from flowbuilder.executor.transactions import Transactions
from flowbuilder.metrics import WORKER_SLOTS, Values
from flowbuilder.secrecy.sources import SecretSource
from flowbuilder.settings import Settings
from flowbuilder.tools import Tool, ToolRegistry
from flowbuilder.types import JsonObject

log = logging.getLogger(__name__)

#: As many exchanges may be under way. They wait for nobody else's statements, and a session makes
#: them in a fraction of the time of its first one, for which it has to plan all their functions.
_OWN_CONNECTIONS = 2
#: Seconds beyond the grace for handing back and leaving. That takes milliseconds where the database
#: answers; where it does not, others hear from it that this worker is gone.
_LEAVING_SECONDS = 2.5


class Worker:
    """Runs tasks inside this process while it is open: `async with Worker(...)`."""

    def __init__(
        self,
        store: Store,
        registry: ToolRegistry,
        settings: Settings,
        *,
        notifications: Notifications,
        name: str | None = None,
        environment: Mapping[str, str] | None = None,
        secret_sources: Sequence[SecretSource] = (),
        ends: Ends | None = None,
        upkeep_done: Callable[[Upkeep], None] = lambda _: None,
        readers: Readers | None = None,
    ) -> None:
        """`upkeep_done` is called with what each round of upkeep has found.

        `readers`: who follows runs in this process. They are handed what ends here and what is
        written here, as far as it is at hand, before others are told of it.
        """
        self.id = str(uuid.uuid4())
        """Random. It stays when the database has given the worker up: the functions that only this
        worker has are bound to it."""
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"
        self._store = store
        self._settings = settings
        self._notifications = notifications
        self._secrets = EnvironmentSecrets(os.environ if environment is None else environment)
        self._attempts = Attempts(
            store,
            registry,
            settings,
            transactions=Transactions(store.database, self.id),
            secrets=SecretDesk(store, settings, self._secrets.source, secret_sources),
        )
        self._ends = ends or Ends(store)
        self._tell_upkeep = upkeep_done
        self._readers = readers or NoReaders()
        self._observed = Observed(self._attempts, store)
        self._slots = Slots(settings.concurrency, self._observed, ended=self._attempt_ended)
        self._leases = LeaseKeeper(
            store.database.dsn,
            seconds=settings.lease.total_seconds(),
            held=self._slots.held,
            lost=self._lost_elsewhere,
        )
        self._own = store.database.apart(_OWN_CONNECTIONS)
        self._exchanges = Exchanges(
            store,
            self._slots,
            connections=self._own,
            worker_id=self.id,
            lease=settings.lease,
            check_every=settings.poll_interval,
            begin=self._begin,
            extended=self._leases.extended,
            answered=self._answered,
            piled_up=self._piled_up,
            sending=self._observed.sending,
            readers=self._readers.of,
        )
        self._rounds = Rounds(
            self._exchanges,
            self._slots,
            poll_interval=settings.poll_interval,
            start_over=self._start_over,
        )
        self._maintenance = Maintenance(
            store,
            notifications,
            settings.poll_interval,
            worker_id=self.id,
            after=self._upkeep_done,
            scheduler=Scheduler(store, settings) if settings.schedules else None,
            notices=ApprovalNotices(
                store, settings, notifications, self._secrets.source, secret_sources
            ),
        )
        self._registration = Registration(
            store, settings, self._attempts, worker_id=self.id, name=self.name
        )
        self._clearing = Clearing(store, settings)
        self._watch = HostWatch(store, settings, worker_id=self.id, hold=self._hold)
        self._tasks: list[asyncio.Task[None]] = []
        self._lock = SessionLock(store.database)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unhear: Callable[[], None] | None = None
        self._unwatch: Callable[[], None] = lambda: None
        self._speaking = False

    @property
    def running(self) -> int:
        """How many tasks are under way."""
        return len(self._slots)

    @property
    def alive(self) -> bool:
        """Whether its loop goes round: an exchange or upkeep that ended for good would not."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    def _slot_states(self) -> Values:
        busy = float(len(self._slots))
        return {("busy",): busy, ("free",): float(self._slots.size) - busy}

    # -- life -------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Register and begin to claim tasks."""
        self._loop = asyncio.get_running_loop()
        try:
            await self._own.reach()
            await self._join()
        except BaseException:
            await self._lock.release()
            await self._own.close()
            raise
        self._leases.start(self.id)
        self._unwatch = WORKER_SLOTS.attach(self._slot_states)
        self._unhear = self._notifications.on_work(self._heard_of_work)
        self._tasks = [
            asyncio.create_task(self._rounds.serve(), name="flowbuilder-worker"),
            asyncio.create_task(self._rounds.assist(), name="flowbuilder-worker-2"),
            asyncio.create_task(self._rounds.check(), name="flowbuilder-check"),
            asyncio.create_task(self._maintenance.run(), name="flowbuilder-upkeep"),
            asyncio.create_task(self._clearing.run(), name="flowbuilder-clearing"),
        ]
        if self._watch.holding.wanted:
            self._tasks.append(asyncio.create_task(self._watch.run(), name="flowbuilder-host"))

    async def stop(self, grace: float | None = None) -> None:
        """Claim nothing more, let handlers end within the grace, hand the rest back at once.

        `grace`: seconds, instead of what is set.
        """
        if not self._tasks:
            return
        self._exchanges.closed = True
        self._rounds.wake()
        longest = self._settings.shutdown_grace.total_seconds() if grace is None else grace
        until = time.monotonic() + longest
        try:
            async with asyncio.timeout(longest):
                await self._drain()
        except TimeoutError:
            log.warning("%d tasks are handed back unfinished", len(self._slots))
        answers = await self._hand_back(until)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self._slots.drop()  # begun by an exchange that was under way
        self._unwatch()
        if self._unhear is not None:
            self._unhear()
        self._leases.stop()
        if answers:
            await self._leave()
        await self._attempts.close()
        await self._lock.release()
        await self._own.close()

    async def disconnect(self) -> None:
        """Close its own connections: the server is gone for good, and stopping waits for none."""
        await self._own.close()

    async def _drain(self) -> None:
        """Wait until nothing runs. An answer under way may bring tasks: they get their time too."""
        await self._slots.drain()
        while self._exchanges.busy:
            await self._exchanges.quiet()
            await self._slots.drain()

    def has(self, tool: str) -> bool:
        """Say whether this worker knows a tool, by `name@version`."""
        return self._attempts.registry.get(tool) is not None

    async def add_functions(self, tools: Iterable[Tool]) -> None:
        """Offer further tools, which only this worker has."""
        if await self._registration.add(tools):
            self._heard_of_work()

    async def remove_functions(self, refs: Collection[str]) -> None:
        """Offer these tools (`name@version`) no more."""
        await self._registration.remove(refs)

    async def _join(self) -> None:
        """Become known as alive, and be looked at.

        A lock that nobody has ever seen would not be missed when the process is gone.
        """
        await self._lock.hold(self.id)
        await self._registration.write()
        await self._maintenance.round()

    async def _hand_back(self, until: float) -> bool:
        """Release what still runs, and wait until everything is reported, at least for a moment.

        `until`: the end of the grace (monotonic time). Returns whether the database has answered.
        """
        wait = max(until - time.monotonic(), CLEAN_UP_SECONDS + _LEAVING_SECONDS)
        try:
            async with asyncio.timeout(wait):
                await self._exchanges.quiet()  # one that still asked for work would take it back
                await self._slots.release()
                while self._slots.outcomes or self._exchanges.busy:
                    if self._slots.outcomes:
                        await self._exchanges.turn()
                    else:
                        await asyncio.sleep(0.005)
        except (TimeoutError, FlowBuilderError) as error:
            log.warning("%d outcomes could not be reported: %s", len(self._slots.outcomes), error)
            return False
        return True

    async def _leave(self) -> None:
        try:
            # Who hangs is left behind: the driver waits long for a statement that is given up.
            await self._store.database.within(_LEAVING_SECONDS, self._tell_leaving())
        except FlowBuilderError as error:
            log.warning("leaving was not recorded: %s", error)

    async def _tell_leaving(self) -> None:
        touched = await self._store.stop_worker(self.id)
        await self._notifications.announce(touched, ready=bool(touched))

    # -- what it hears ----------------------------------------------------------------------

    def _attempt_ended(self) -> None:
        self._rounds.attempt_ended()

    def _piled_up(self) -> None:
        self._rounds.assist_now()

    async def lend_room(self, start: Callable[[Room | None], Awaitable[Started]]) -> Started:
        """Make a call that leases its first tasks to this worker, as far as it has room."""
        if not self._tasks:
            return await start(None)
        try:
            return await self._exchanges.lend_room(start)
        finally:
            if self._exchanges.due:  # not before, because of the call that was under way
                self._rounds.wake()

    def _answered(self, answer: Exchange) -> None:
        self._ends.heard(answer)
        if answer.ended is not None:
            self._readers.run_ended(*answer.ended)
        told = self._readers.tell(answer.news) if answer.news else frozenset()
        if answer.touched:
            self._speaking = True
            try:
                self._notifications.signal(
                    answer.touched,
                    going_on=answer.going_on,
                    ready=answer.ready or answer.elsewhere,
                    backlog=True,
                    told=told,
                )
            finally:
                self._speaking = False
        if answer.next_due_seconds is not None:
            self._maintenance.hasten(answer.next_due_seconds)

    def _begin(self, task: LeasedTask) -> None:
        async def write(data: JsonObject) -> None:
            if await self._store.progress(self.id, task.task_id, task.fence, data):
                self._notifications.signal([task.run_id], going_on=[task.run_id])

        progress = ProgressReporter(write)
        context = TaskContext(task, settings=self._settings, secrets=self._secrets, report=progress)
        self._slots.begin(task, context, progress)

    async def _start_over(self) -> None:
        """The database has given this worker up: drop everything, and join again."""
        log.warning("worker %s was given up; it starts over", self.id)
        self._slots.forget()
        failures = 0
        while True:
            try:
                await self._join()
                self._exchanges.hasten()  # what was announced meanwhile was not looked at
                return
            except DatabaseError:
                failures += 1
                await asyncio.sleep(pause(failures))

    def _lost_elsewhere(self, keys: list[Key]) -> None:
        """Called by the lease thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._slots.drop, keys)

    def _upkeep_done(self, done: Upkeep) -> None:
        self._ends.note(done.touched)
        self._slots.give_up()
        if done.ready:
            self._heard_of_work()
        elif done.queued:
            self._exchanges.look()
            self._rounds.wake()
        self._tell_upkeep(done)

    def _hold(self, held: bool) -> None:
        """Called by the watch of the host."""
        log.warning("the host is %s", "busy: nothing is taken" if held else "free again")
        self._exchanges.hold(held)
        self._rounds.wake()

    def _heard_of_work(self) -> None:
        if self._speaking:  # of what the answer has told this one already
            return
        self._exchanges.hasten()
        self._rounds.wake()
