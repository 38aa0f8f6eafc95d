"""A worker's exchanges with the database: what goes into which, and what is made of the answers.

Two may be under way at once, so that the database works while handlers do. Now and then a call
beside them says what is held; where little is, and after a lost answer, an exchange does that goes
alone.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta

from flowbuilder.errors import DatabaseError, FlowBuilderError, InvalidValue, StaleTask
from flowbuilder.executor.database import Database
from flowbuilder.executor.failures import clean_text
from flowbuilder.executor.listener import pause
from flowbuilder.executor.readers import Reader
from flowbuilder.executor.records import (
    Exchange,
    LeasedTask,
    Outcome,
    OutcomeKind,
    Room,
    Started,
)
from flowbuilder.executor.slots import Key, Slots
from flowbuilder.executor.store import Store

log = logging.getLogger(__name__)

#: Between two looks at whether what runs here is still wanted.
_SHORTEST_CHECK_SECONDS = 0.05
#: Half of the first wait before work in somebody else's hands is looked for again; each is twice as
#: long as the one before.
_FIRST_AGAIN_SECONDS = 0.001
#: So many attempts are many, so few outcomes that are reported few.
_MANY, _FEW = 16, 1
#: Fewer outcomes than this are not worth two exchanges.
_SMALLEST_SHARE = 16


class Exchanges:
    """Reports what ended and takes what there is room for.

    Args:
        connections: Where exchanges are made.
        worker_id: Whose exchanges these are.
        begin: Begins a leased task.
        extended: Hears that all leases held were extended.
        answered: Hears each answer.
        piled_up: Hears that a second exchange is due.
        sending: Gives the context in which outcomes are sent.
        readers: Gives those who follow runs here: what is new there comes with the answer.
    """

    def __init__(
        self,
        store: Store,
        slots: Slots,
        *,
        connections: Database,
        worker_id: str,
        lease: timedelta,
        check_every: timedelta,
        begin: Callable[[LeasedTask], None],
        extended: Callable[[], None],
        answered: Callable[[Exchange], None],
        piled_up: Callable[[], None],
        sending: Callable[[Sequence[Outcome]], AbstractContextManager[object]] = nullcontext,
        readers: Callable[[Iterable[str]], list[Reader]] = lambda _: [],
    ) -> None:
        self._store = store
        self._slots = slots
        self._connections = connections
        self._worker_id = worker_id
        self._lease_seconds = lease.total_seconds()
        self._check_seconds = check_every.total_seconds()
        self._begin = begin
        self._extended = extended
        self._answered = answered
        self._piled_up = piled_up
        self._sending = sending
        self._readers = readers
        self._under_way = 0
        self._asked = 0  # slots that answers under way may fill
        self._sent = 0  # outcomes in the one that began last
        self._quiet = asyncio.Condition()
        self._checking = False
        self._checked_at = 0.0
        self._check_at = 0.0
        self._sooner_at: float | None = None
        self._sure = False
        self._unknown: set[Key] = set()
        self._missed = 0  # exchanges in a row that found work, but in somebody else's hands
        self.again_at = math.inf
        """When to look again for work that was in somebody else's hands (monotonic time)."""
        self.more = True
        """There may be work for free slots."""
        self.closed = False
        """Nothing more is taken."""
        self.held = False
        """Nothing is taken at present: the host has too much to do."""
        self.idle = False
        """The last one had nothing to report, found nothing, and nothing is held."""

    @property
    def busy(self) -> bool:
        """Whether one is under way."""
        return self._under_way > 0

    @property
    def due(self) -> bool:
        """Whether it is time for one: a first at once, a second for as much as the first has."""
        return self.second_due if self._under_way else bool(self._slots.outcomes) or self._wants

    @property
    def second_due(self) -> bool:
        """Whether a second one is worth while: more waits than is to come from what runs.

        Where much runs and little of it ends, what does end waits for no answer about others.
        """
        if self._under_way != 1 or self._checking:
            return False
        running = len(self._slots)
        sparse = self._sent <= _FEW and running >= _MANY
        enough = 1 if sparse else max(running, 1)
        piled_up = len(self._slots.outcomes) >= enough
        return piled_up or (self._wants and self._free() == self._most)

    @property
    def check_at(self) -> float:
        """When to say next what is held (monotonic time).

        News do not hurry it before something has been under way for a moment: what has just begun
        will mostly have ended before it could be told that it is not wanted.
        """
        oldest = self._slots.oldest
        if self._sooner_at is None or oldest is None:
            return self._check_at
        return min(self._check_at, max(self._sooner_at, oldest + _SHORTEST_CHECK_SECONDS))

    @property
    def check_due(self) -> bool:
        """Whether it is time to say what is held."""
        return time.monotonic() >= self.check_at

    @property
    def _wants(self) -> bool:
        return self.more and not self.held and self._slots.free > 0

    @property
    def checks_beside(self) -> bool:
        """Whether what is held is said beside other exchanges: it is much, and no answer was lost.

        Of little an exchange says it besides, which takes no longer.
        """
        return self._sure and len(self._slots) >= _MANY

    def look(self) -> None:
        """Look for work soon."""
        self.more = True

    def hasten(self) -> None:
        """Look for work soon, and whether what runs here is still wanted."""
        self.more = True
        self._sooner_at = self._checked_at + _SHORTEST_CHECK_SECONDS

    async def quiet(self) -> None:
        """Wait until none is under way."""
        async with self._quiet:
            await self._quiet.wait_for(lambda: self._under_way == 0)

    async def turn(self, *, check: bool = False) -> None:
        """Make one exchange.

        With `check` also say what is held, alone: a task that another answer is just bringing
        would look as if this worker did not know of it.

        Raises:
            StaleTask: The worker was given up.
            FlowBuilderError: What was to be reported is kept for the next one.
        """
        async with self._alone() if check else nullcontext():
            outcomes = self._slots.take(None if check else self._share())
            try:
                await self._exchange(outcomes, check=check)
            except BaseException:
                self._doubt()
                self._slots.put_back(outcomes)
                raise

    def begin_check(self) -> None:
        """Take note that a check begins: until its end none is due."""
        self._check_at = math.inf
        self._sooner_at = None  # news that come from now on may be later than the answer

    async def check(self) -> None:
        """Say what is held beside other exchanges: none waits for it, and it brings no work.

        What is leased to this worker and not known here may be in an answer under way. If it still
        is not known at the next check, that answer was lost, and an exchange alone takes it in.

        Raises:
            FlowBuilderError: The next check is made by an exchange alone.
        """
        try:
            asked = self._store.exchange(
                self._worker_id,
                held=self._slots.known(),
                outcomes=(),
                free=0,
                lease_seconds=self._lease_seconds,
                by=self._connections,
            )
            answer = await self._connections.within(self._lease_seconds, asked)
        except BaseException:
            self._doubt()
            raise
        self._checked()
        unknown = {task.key for task in answer.tasks if not self._slots.knows(task.key)}
        if unknown & self._unknown:
            self._doubt()
        self._unknown = unknown
        self._answered(replace(answer, tasks=[], touched=self._slots.drop(answer.lost)))

    async def isolate(self) -> None:
        """One value of a batch was refused: report one by one, the culprit fails."""
        for outcome in self._slots.take():
            try:
                await self._exchange([outcome])
            except FlowBuilderError as refused:
                self._doubt()
                if not is_about_a_value(refused):
                    self._slots.put_back([outcome])
                    continue  # the next turn meets the same error
                log.warning("task %d: the database refused its outcome", outcome.task_id)
                rejected = _rejected(outcome, refused)
                if outcome == rejected:  # even this: then it is not the value's fault
                    await asyncio.sleep(pause(1))
                self._slots.replace(rejected)

    async def lend_room(self, start: Callable[[Room | None], Awaitable[Started]]) -> Started:
        """Make a call that leases its first tasks to this worker, as far as it has room."""
        free = self._free()
        room = Room(worker_id=self._worker_id, free=free, lease_seconds=self._lease_seconds)
        if not free or self._checking:
            return await start(None)
        try:
            async with self._counted(free):
                self._sent = self._slots.size
                started = await start(room)
                for task in started.tasks:
                    self._begin(task)
        except StaleTask:
            return await start(None)  # the worker's own loop hears of it too
        except BaseException:
            self._doubt()
            raise
        return started

    async def _exchange(self, outcomes: Sequence[Outcome], *, check: bool = False) -> None:
        free = self._free()
        self.more = False
        self.again_at = math.inf
        self._sent = len(outcomes)
        if check:
            self._sooner_at = None  # news that come from now on may be later than the answer
        async with self._counted(free):
            if self.second_due:
                self._piled_up()
            asked = self._store.exchange(
                self._worker_id,
                held=self._slots.held() if check else None,
                outcomes=outcomes,
                free=free,
                lease_seconds=self._lease_seconds,
                readers=self._readers(dict.fromkeys(one.run_id for one in outcomes)),
                by=self._connections,
            )
            # After the time of a lease nothing is this worker's any more, answer or not.
            with self._sending(outcomes):
                answer = await self._connections.within(self._lease_seconds, asked)
            self._slots.settle(answer.verdicts)
            if answer.lost:
                # What a transactional tool has just completed is among them; nobody else tells.
                answer = replace(answer, touched=[*answer.touched, *self._slots.drop(answer.lost)])
            for task in answer.tasks:
                self._begin(task)
        if check:
            self._sure = True
            self._checked()
        if answer.over:  # what still runs of these is not wanted any more
            self._check_at = self._checked_at + _SHORTEST_CHECK_SECONDS
        found = bool(answer.tasks)
        self.idle = check and not (found or outcomes or len(self._slots))
        if answer.ready and (found or not free) and not self.closed:
            self.more = True  # as soon as a slot is free, whether with an outcome or without
        if answer.ready and free and not found:
            self._missed += 1
            self.again_at = time.monotonic() + _FIRST_AGAIN_SECONDS * 2 ** min(self._missed, 12)
        elif self.again_at == math.inf:  # else another one has missed some since this one began
            self._missed = 0
        self._answered(answer)

    def _checked(self) -> None:
        self._checked_at = time.monotonic()
        self._check_at = self._checked_at + self._check_seconds
        self._extended()

    def _doubt(self) -> None:
        """An answer may have been lost, with tasks in it or with word of more.

        So look again, and say soon what is held, and alone.
        """
        self.more = True
        self._sure = False
        self._check_at = 0.0

    def _share(self) -> int:
        """How many outcomes to report at once: a third of them when nothing else goes on.

        The second exchange takes the others. Of two halves both answers would come at the same
        time, and database and handlers wait for each other; so they soon take turns.
        """
        if self._under_way or len(self._slots.outcomes) < len(self._slots):
            return max(self._most, _SMALLEST_SHARE)
        return max(len(self._slots.outcomes) // 3, _SMALLEST_SHARE)

    @property
    def _most(self) -> int:
        """How many slots one exchange may fill, so that there are some for a second one."""
        return (self._slots.size + 1) // 2

    def hold(self, held: bool) -> None:
        """Take nothing from now on, or take work again; what is under way goes on."""
        self.held = held
        if not held:
            self.hasten()

    def _free(self) -> int:
        if self.closed or self.held:
            return 0
        return max(min(self._slots.free - self._asked, self._most), 0)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Let none begin, and wait until none is under way. Only one caller at a time."""
        self._checking = True
        try:
            await self.quiet()
            yield
        finally:
            self._checking = False

    @asynccontextmanager
    async def _counted(self, asked: int) -> AsyncIterator[None]:
        """Count an exchange until its answer is taken in, and the slots that this may fill."""
        self._under_way += 1
        self._asked += asked
        try:
            yield
        finally:
            self._under_way -= 1
            self._asked -= asked
            async with self._quiet:
                self._quiet.notify_all()


def is_about_a_value(error: FlowBuilderError) -> bool:
    """Whether the database refused what it was given, not the whole statement at this moment."""
    return isinstance(error, InvalidValue) or error.code == DatabaseError.default_code


def _rejected(outcome: Outcome, error: FlowBuilderError) -> Outcome:
    return Outcome(
        task_id=outcome.task_id,
        run_id=outcome.run_id,
        fence=outcome.fence,
        kind=OutcomeKind.FAILED,
        error={"code": "outcome_rejected", "message": clean_text(error.message, 500)},
        spent=outcome.spent,
    )
