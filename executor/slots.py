"""What a worker has under way: its attempts, and their outcomes until the database has them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from flowbuilder.executor.context import ProgressReporter, TaskContext
from flowbuilder.executor.failures import describe
from flowbuilder.executor.records import LeasedTask, Outcome, OutcomeKind, Verdict

log = logging.getLogger(__name__)

Key = tuple[int, int]

#: How long a handler may take to clean up after it was told to stop, before it is left alone.
CLEAN_UP_SECONDS = 2.0


class Work(Protocol):
    """What is done with a task."""

    async def run(self, task: LeasedTask, context: TaskContext) -> Outcome:
        """Work on it. Raises nothing but CancelledError."""

    def overrun(self, task: LeasedTask) -> Outcome:
        """Return what an attempt ended with whose handler does not stop at its time limit."""


class _Attempt:
    """An attempt under way."""

    __slots__ = ("began", "context", "lost", "progress", "stopped", "task", "work")

    def __init__(self, task: LeasedTask, context: TaskContext, progress: ProgressReporter) -> None:
        self.began = time.monotonic()
        self.task = task
        self.context = context
        self.progress = progress
        self.work: asyncio.Task[None] | None = None
        self.stopped = False
        self.lost = False
        """Its outcome interests nobody any more."""

    def stop(self, *, lost: bool) -> None:
        self.stopped = True
        self.lost = self.lost or lost
        self.context.cancel()
        if self.work is not None:
            self.work.cancel()


class Slots:
    """Runs as many attempts at once as there are slots; every outcome is kept until it is settled.

    Nothing here waits for a handler: one that does not stop when it is told to is left alone.
    """

    def __init__(self, size: int, work: Work, *, ended: Callable[[], None]) -> None:
        self.size = size
        self._work = work
        self._ended = ended
        self._running: dict[Key, _Attempt] = {}
        self._reporting: dict[Key, Outcome] = {}
        self.outcomes: dict[Key, Outcome] = {}
        """What is to be reported."""

    def __len__(self) -> int:
        return len(self._running)

    @property
    def free(self) -> int:
        """How many further tasks may begin."""
        return max(self.size - len(self._running), 0)

    @property
    def oldest(self) -> float | None:
        """When the attempt began that has been under way for longest (monotonic time)."""
        for attempt in self._running.values():  # in the order in which they began
            return attempt.began
        return None

    def held(self) -> list[Key]:
        """Return what is leased to this worker and not reported yet. Safe from any thread."""
        return list(self._running)

    def known(self) -> list[Key]:
        """Return whose attempts are under way, or ended and not settled yet."""
        return [*self._running, *self.outcomes, *self._reporting]

    def knows(self, key: Key) -> bool:
        """Whether an attempt is under way, or its outcome is not settled yet."""
        return key in self._running or key in self.outcomes or key in self._reporting

    def begin(self, task: LeasedTask, context: TaskContext, progress: ProgressReporter) -> None:
        """Begin an attempt, unless it is known already."""
        key = task.key
        if self.knows(key):
            progress.close()
            return
        attempt = self._running[key] = _Attempt(task, context, progress)
        attempt.work = asyncio.create_task(self._attend(attempt), name="flowbuilder-task")

    def take(self, limit: int | None = None) -> list[Outcome]:
        """Return outcomes that are to be reported; until settled they are under way.

        With a limit, those of whole runs until there are so many: an exchange that reports about
        a run waits for another one that does.
        """
        if limit is None or len(self.outcomes) <= limit:
            taken, self.outcomes = self.outcomes, {}
        else:
            taken = {}
            by_run: dict[str, list[Key]] = {}
            for key, outcome in self.outcomes.items():
                by_run.setdefault(outcome.run_id, []).append(key)
            for keys in by_run.values():
                if len(taken) >= limit:
                    break
                taken.update((key, self.outcomes.pop(key)) for key in keys)
        self._reporting.update(taken)
        return list(taken.values())

    def settle(self, verdicts: Mapping[Key, Verdict]) -> None:
        """Forget outcomes that the database has judged."""
        for key, verdict in verdicts.items():
            self._reporting.pop(key, None)
            self.outcomes.pop(key, None)
            if verdict is Verdict.FENCED:
                log.info("task %d: a late outcome changed nothing", key[0])

    def put_back(self, outcomes: Iterable[Outcome]) -> None:
        """Keep outcomes for the next report: this one failed."""
        for outcome in outcomes:
            if self._reporting.pop(outcome.key, None) is not None:
                self.outcomes.setdefault(outcome.key, outcome)

    def replace(self, outcome: Outcome) -> None:
        """Report this instead of the outcome that is under way for the same attempt."""
        self._reporting.pop(outcome.key, None)
        self.outcomes[outcome.key] = outcome

    def drop(self, keys: Iterable[Key] | None = None) -> list[str]:
        """Stop attempts, all by default, whose outcome interests nobody any more.

        Return the ids of their runs.
        """
        runs: list[str] = []
        for key in self.held() if keys is None else keys:
            if (attempt := self._running.get(key)) is not None:
                attempt.stop(lost=True)
                runs.append(attempt.task.run_id)
        return runs

    def forget(self) -> None:
        """Drop everything: attempts and outcomes."""
        self.drop()
        self.outcomes.clear()
        self._reporting.clear()

    async def drain(self) -> None:
        """Wait until no attempt is under way."""
        while self._running:
            await asyncio.wait([a.work for a in self._running.values() if a.work is not None])

    async def release(self) -> None:
        """Stop what runs, so that it is handed back."""
        for attempt in list(self._running.values()):
            attempt.stop(lost=False)
        try:
            async with asyncio.timeout(CLEAN_UP_SECONDS):
                await self.drain()
        except TimeoutError:
            self.give_up(grace=0)

    def give_up(self, *, grace: float = CLEAN_UP_SECONDS) -> None:
        """Leave handlers alone that should have ended `grace` seconds ago."""
        for attempt in list(self._running.values()):
            if attempt.context.overdue(grace):
                log.warning("task %d: its handler does not stop", attempt.task.task_id)
                released = attempt.task.outcome(OutcomeKind.RELEASED)
                self._end(
                    attempt, released if attempt.stopped else self._work.overrun(attempt.task)
                )

    async def _attend(self, attempt: _Attempt) -> None:
        try:
            outcome = await self._work.run(attempt.task, attempt.context)
        except asyncio.CancelledError:
            outcome = attempt.task.outcome(OutcomeKind.RELEASED)
        except Exception as error:  # a task without an outcome would stand still for ever
            log.exception("task %d: its attempt could not be judged", attempt.task.task_id)
            outcome = attempt.task.outcome(OutcomeKind.FAILED, error=describe(error))
        self._end(attempt, outcome)

    def _end(self, attempt: _Attempt, outcome: Outcome) -> None:
        key = attempt.task.key
        if self._running.get(key) is not attempt:
            return  # it was left alone before
        del self._running[key]
        attempt.progress.close()
        if not attempt.lost:
            self.outcomes[key] = attempt.context.charged(outcome)
        self._ended()
