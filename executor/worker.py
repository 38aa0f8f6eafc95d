"""The worker: claims tasks, runs them, reports what they ended with.

Its loop is one round trip, `exchange`: outcomes out, tasks in. What ends while a call is under way
goes into the next one, so batches grow with the load and an idle worker answers at once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Self

from flowbuilder.errors import DatabaseError, FlowBuilderError, InvalidValue, StaleTask
from flowbuilder.executor.attempt import Attempts
from flowbuilder.executor.context import EnvironmentSecrets, ProgressReporter, TaskContext
from flowbuilder.executor.failures import clean_text
from flowbuilder.executor.lease import LeaseKeeper
from flowbuilder.executor.listener import pause
from flowbuilder.executor.notifications import Notifications
from flowbuilder.executor.records import Exchange, LeasedTask, Outcome, OutcomeKind
from flowbuilder.executor.session_lock import SessionLock
from flowbuilder.executor.store import Store
from flowbuilder.settings import Settings
from flowbuilder.tools import Tool, ToolRegistry
from flowbuilder.types import JsonObject

log = logging.getLogger(__name__)

Key = tuple[int, int]


class _Attempt:
    """An attempt under way."""

    def __init__(self, task: LeasedTask, context: TaskContext, work: asyncio.Task[None]) -> None:
        self.task = task
        self.context = context
        self.work = work
        self.lost = False
        """Its outcome interests nobody any more."""

    def stop(self, *, lost: bool) -> None:
        self.lost = self.lost or lost
        self.context.cancel()
        self.work.cancel()


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
    ) -> None:
        self.id = str(uuid.uuid4())
        """Random. It stays when the database has given the worker up: the functions that only this
        worker has are bound to it."""
        self.name = name or f"{socket.gethostname()}:{os.getpid()}"
        self._store = store
        self._settings = settings
        self._notifications = notifications
        self._secrets = EnvironmentSecrets(os.environ if environment is None else environment)
        self._attempts = Attempts(store, registry, settings)
        self._lease_seconds = settings.lease.total_seconds()
        self._running: dict[Key, _Attempt] = {}
        self._outcomes: dict[Key, Outcome] = {}
        self._wake = asyncio.Event()
        self._due = asyncio.Event()
        self._stopping = False
        self._missed = 0
        """Exchanges in a row that found work, but in somebody else's hands."""
        self._tasks: list[asyncio.Task[None]] = []
        self._lock = SessionLock(store.database)
        self._leases = LeaseKeeper(
            store.database.dsn,
            seconds=self._lease_seconds,
            held=self._held,
            lost=self._lost_elsewhere,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unhear: Callable[[], None] | None = None

    @property
    def running(self) -> int:
        """How many tasks are under way."""
        return len(self._running)

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
            await self._join()
        except BaseException:
            await self._lock.release()
            raise
        self._leases.start(self.id)
        self._unhear = self._notifications.on_work(self._heard_of_work)
        self._tasks = [
            asyncio.create_task(self._serve(), name="flowbuilder-worker"),
            asyncio.create_task(self._maintain(), name="flowbuilder-upkeep"),
        ]

    async def stop(self) -> None:
        """Claim nothing more, let handlers end within the grace, hand the rest back at once."""
        if not self._tasks:
            return
        self._stopping = True
        self._wake.set()
        try:
            async with asyncio.timeout(self._settings.shutdown_grace.total_seconds()):
                while self._running:
                    await asyncio.wait([attempt.work for attempt in self._running.values()])
        except TimeoutError:
            log.warning("%d tasks are handed back unfinished", len(self._running))
        serving, upkeep = self._tasks
        self._tasks = []
        upkeep.cancel()
        await self._hand_back()
        serving.cancel()
        await asyncio.gather(serving, upkeep, return_exceptions=True)
        self._drop(list(self._running))  # begun by an exchange that was under way
        if self._unhear is not None:
            self._unhear()
        self._leases.stop()
        await self._leave()
        await self._attempts.close()
        await self._lock.release()

    async def add_functions(self, tools: Iterable[Tool]) -> None:
        """Offer further tools, which only this worker has."""
        self._attempts.registry = self._attempts.registry.merged(tools)
        await self._register()
        self._wake.set()

    async def _join(self) -> None:
        """Become known as alive.

        Upkeep skips the rows of workers that are busy, so it looks at this one before there is
        work: a lock that nobody has ever seen would not be missed when the process is gone.
        """
        await self._lock.hold(self.id)
        await self._register()
        await self._upkeep()

    async def _register(self) -> None:
        await self._store.register_worker(
            self.id,
            name=self.name,
            pid=os.getpid(),
            host=socket.gethostname(),
            tools=self._offered(),
            concurrency=self._settings.concurrency,
            max_claims=self._settings.max_claims,
        )

    def _offered(self) -> list[str]:
        """Tools that need a model are left to workers that have one."""
        has_model = self._settings.model is not None
        return [tool.ref for tool in self._attempts.registry if has_model or not tool.needs_model]

    async def _hand_back(self) -> None:
        """Release what still runs, and wait until everything is reported."""
        for attempt in list(self._running.values()):
            attempt.stop(lost=False)
        if self._running:
            await asyncio.wait([attempt.work for attempt in self._running.values()], timeout=10)
        try:
            async with asyncio.timeout(10):
                while self._outcomes:
                    await self._exchange()
        except (TimeoutError, FlowBuilderError) as error:
            log.warning("%d outcomes could not be reported: %s", len(self._outcomes), error)

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(10):
                touched = await self._store.stop_worker(self.id)
                await self._notifications.announce(touched, ready=bool(touched))
        except (TimeoutError, FlowBuilderError) as error:
            log.warning("leaving was not recorded: %s", error)

    # -- the loop ---------------------------------------------------------------------------

    async def _serve(self) -> None:
        failures = 0
        while True:
            self._wake.clear()
            try:
                again = await self._exchange()
                failures = 0
            except StaleTask:
                await self._start_over()
                continue
            except FlowBuilderError as error:
                if not failures:
                    log.warning("an exchange failed, trying on: %s", error.message)
                failures += 1
                if _is_about_a_value(error) and self._outcomes:
                    await self._isolate()
                else:
                    await asyncio.sleep(pause(failures))
                continue
            except Exception:  # a worker whose loop has ended would look alive and do nothing
                log.exception("the worker's loop failed, trying on")
                failures += 1
                await asyncio.sleep(pause(failures))
                continue
            if self._outcomes or (again and not self._missed):
                continue
            await self._rest()

    async def _rest(self) -> None:
        """Wait for a finished task or news of work; look by itself now and then.

        Work that was there but in somebody else's hands is looked for again soon, then later.
        """
        interval = self._settings.poll_interval.total_seconds() * random.uniform(0.8, 1.2)
        if self._missed:
            interval = min(interval, 0.001 * 2 ** min(self._missed, 12))
        try:
            async with asyncio.timeout(interval):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _exchange(self, only: Sequence[Outcome] | None = None) -> bool:
        """Make one exchange. True when more work is there for free slots."""
        outcomes = list(self._outcomes.values()) if only is None else list(only)
        free = 0 if self._stopping else self._free()
        answer = await self._store.exchange(
            self.id,
            held=self._held(),
            outcomes=outcomes,
            free=free,
            lease_seconds=self._lease_seconds,
        )
        self._leases.extended()
        self._apply(answer)
        if outcomes or answer.tasks:
            self._notifications.signal(answer.touched, ready=answer.ready)
        if answer.next_due_seconds is not None:
            self._due.set()
        again = answer.ready and self._free() > 0
        self._missed = self._missed + 1 if again and not answer.tasks else 0
        return again

    def _apply(self, answer: Exchange) -> None:
        for key, verdict in answer.verdicts.items():
            self._outcomes.pop(key, None)
            if verdict == "fenced":
                log.info("task %d: a late outcome changed nothing", key[0])
        self._drop(answer.lost)
        for task in answer.tasks:
            if task.key not in self._running and task.key not in self._outcomes:
                self._begin(task)

    def _free(self) -> int:
        return max(self._settings.concurrency - len(self._running), 0)

    def _held(self) -> list[Key]:
        """What is this worker's, but for what it is reporting just now. Called from two threads."""
        return [key for key in list(self._running) if key not in self._outcomes]

    def _begin(self, task: LeasedTask) -> None:
        async def write(data: JsonObject) -> None:
            if await self._store.progress(self.id, task.task_id, task.fence, data):
                self._notifications.signal([task.run_id])

        progress = ProgressReporter(write)
        context = TaskContext(task, settings=self._settings, secrets=self._secrets, report=progress)
        work = asyncio.create_task(
            self._work(task, context, progress), name=f"flowbuilder-task-{task.task_id}"
        )
        self._running[task.key] = _Attempt(task, context, work)

    async def _work(
        self, task: LeasedTask, context: TaskContext, progress: ProgressReporter
    ) -> None:
        outcome: Outcome | None = None
        try:
            outcome = await self._attempts.run(task, context)
        except asyncio.CancelledError:
            outcome = task.outcome(OutcomeKind.RELEASED)
        finally:
            progress.close()
            attempt = self._running.pop(task.key)
            if outcome is not None and not attempt.lost:
                self._outcomes[task.key] = outcome
            self._wake.set()

    async def _isolate(self) -> None:
        """One value of a batch was refused: report one by one, the culprit fails."""
        for outcome in list(self._outcomes.values()):
            try:
                await self._exchange([outcome])
            except FlowBuilderError as refused:
                if not _is_about_a_value(refused):
                    return  # the loop meets the same error and knows what to do
                log.warning("task %d: the database refused its outcome", outcome.task_id)
                rejected = _rejected(outcome, refused)
                if outcome == rejected:  # even this: then it is not the value's fault
                    await asyncio.sleep(pause(1))
                self._outcomes[(outcome.task_id, outcome.fence)] = rejected

    async def _start_over(self) -> None:
        """The database has given this worker up: drop everything, and join again."""
        log.warning("worker %s was given up; it starts over", self.id)
        self._drop(list(self._running))
        self._outcomes.clear()
        failures = 0
        while True:
            try:
                await self._join()
                return
            except DatabaseError:
                failures += 1
                await asyncio.sleep(pause(failures))

    def _drop(self, keys: Iterable[Key]) -> None:
        for key in keys:
            attempt = self._running.get(key)
            if attempt is not None:
                attempt.stop(lost=True)

    def _lost_elsewhere(self, keys: list[Key]) -> None:
        """Called by the lease thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._drop, keys)

    def _heard_of_work(self) -> None:
        if self._free() > 0 and not self._stopping:
            self._wake.set()

    # -- upkeep -----------------------------------------------------------------------------

    async def _maintain(self) -> None:
        """Move what time moves; every worker does, and it does not matter who comes first."""
        interval = self._settings.poll_interval.total_seconds()
        while True:
            self._due.clear()
            wait = interval * random.uniform(0.8, 1.2)
            try:
                due = await self._upkeep()
                if due is not None:
                    wait = min(wait, max(due, 0.005))
            except FlowBuilderError as error:
                log.debug("upkeep failed, it comes round again: %s", error.message)
            except Exception:
                log.exception("upkeep failed, it comes round again")
            began = time.monotonic()
            try:
                async with asyncio.timeout(wait):
                    await self._due.wait()
            except TimeoutError:
                continue
            # A retry was set just now: look when the next thing is due, but not in a busy loop.
            await asyncio.sleep(max(0.005 - (time.monotonic() - began), 0))

    async def _upkeep(self) -> float | None:
        """Do one round and return the seconds until something is due, if anything is."""
        done = await self._store.tick(self.id)
        self._notifications.signal(done.touched, ready=done.ready)
        if done.ready:
            self._wake.set()
        return done.next_due_seconds


def _is_about_a_value(error: FlowBuilderError) -> bool:
    """Whether the database refused what it was given, not the whole statement at this moment."""
    return isinstance(error, InvalidValue) or error.code == DatabaseError.default_code


def _rejected(outcome: Outcome, error: FlowBuilderError) -> Outcome:
    return Outcome(
        task_id=outcome.task_id,
        run_id=outcome.run_id,
        fence=outcome.fence,
        kind=OutcomeKind.FAILED,
        error={"code": "outcome_rejected", "message": clean_text(error.message, 500)},
    )
