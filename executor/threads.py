"""Threads for plain functions.

A thread cannot be killed. One whose time is up is abandoned: its result is not waited for, its
place is given to a new thread, and it ends when its function returns.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """What a function ended with: a value, or anything it raised."""

    value: Any = None
    error: BaseException | None = None


class ThreadPool:
    """Reuses idle threads. How many work at once is bounded by who submits."""

    def __init__(self) -> None:
        self._idle: list[_Thread] = []
        self.abandoned = 0
        """Threads that were given up and have not ended yet."""

    async def run(self, call: Callable[[], Any]) -> Ended:
        """Run a function in a thread. Cancelled, the thread is abandoned."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Ended] = loop.create_future()
        thread = self._idle.pop() if self._idle else _Thread()
        context = contextvars.copy_context()

        def finish(ended: Ended) -> None:
            if thread.given_up:
                self.abandoned -= 1
                return
            self._idle.append(thread)
            if not future.done():
                future.set_result(ended)

        def report(ended: Ended) -> None:
            try:
                loop.call_soon_threadsafe(finish, ended)
            except RuntimeError:
                thread.jobs.put(None)  # the loop is closed: nobody wants the thread again

        thread.jobs.put(lambda: report(_guarded(context, call)))
        try:
            return await future
        except asyncio.CancelledError:
            if not future.done() or future.cancelled():
                self._abandon(thread)
            raise

    def close(self) -> None:
        """End the idle threads."""
        for thread in self._idle:
            thread.jobs.put(None)
        self._idle.clear()

    def _abandon(self, thread: _Thread) -> None:
        thread.given_up = True
        thread.jobs.put(None)
        self.abandoned += 1
        log.warning("a function did not end in time; %d threads are given up", self.abandoned)


class _Thread:
    """A thread that runs jobs until it gets None; a daemon, so it never keeps a process alive."""

    def __init__(self) -> None:
        self.jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self.given_up = False
        threading.Thread(target=self._work, name="flowbuilder-tool", daemon=True).start()

    def _work(self) -> None:
        while (job := self.jobs.get()) is not None:
            job()
            del job  # keep nothing of it alive while idle


def _guarded(context: contextvars.Context, call: Callable[[], Any]) -> Ended:
    try:
        return Ended(value=context.run(call))
    except BaseException as error:  # SystemExit in a tool must not end the thread
        return Ended(error=error)
