"""A worker's loop: one round trip, `exchange`, after the other: outcomes out, tasks in.

What ends while a call is under way goes into the next one, so batches grow with the load and an
idle worker answers at once.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from flowbuilder.errors import FlowBuilderError, StaleTask
from flowbuilder.executor.exchanges import Exchanges, is_about_a_value
from flowbuilder.executor.listener import pause
from flowbuilder.executor.slots import Slots

log = logging.getLogger(__name__)

#: So many times longer does a worker wait that has nothing to do and nothing to look after.
_IDLE_POLLS = 10


class Rounds:
    """Makes exchanges when they are due, a second one beside under load, and rests between.

    Args:
        poll_interval: After which it looks by itself, hearing nothing.
        start_over: Joins again, once the database has given the worker up.
    """

    def __init__(
        self,
        exchanges: Exchanges,
        slots: Slots,
        *,
        poll_interval: timedelta,
        start_over: Callable[[], Awaitable[None]],
    ) -> None:
        self._exchanges = exchanges
        self._slots = slots
        self._poll_seconds = poll_interval.total_seconds()
        self._start_over = start_over
        self._wake = asyncio.Event()
        self._pile = asyncio.Event()
        self._check = asyncio.Event()
        self._look_at = 0.0

    def wake(self) -> None:
        """End the rest, if there is something to do by now."""
        self._wake.set()

    def assist_now(self) -> None:
        """Let a second exchange begin: it is due."""
        self._pile.set()

    async def serve(self) -> None:
        failures = 0
        while True:
            try:
                await self._round()
                failures = 0
            except StaleTask:
                await self._start_over()
            except FlowBuilderError as error:
                if not failures:
                    log.warning("an exchange failed, trying on: %s", error.message)
                failures += 1
                if is_about_a_value(error) and self._slots.outcomes:
                    await self._exchanges.isolate()
                else:
                    await asyncio.sleep(pause(failures))
            except Exception:  # a worker whose loop has ended would look alive and do nothing
                log.exception("the worker's loop failed, trying on")
                failures += 1
                await asyncio.sleep(pause(failures))
            await self._rest()

    async def _round(self) -> None:
        check = self._exchanges.check_due
        if check and self._exchanges.checks_beside:
            self._exchanges.begin_check()
            self._check.set()
            if not self._exchanges.due and time.monotonic() < self._next_turn:
                return
            check = False
        await self._exchanges.turn(check=check)
        self._look_at = self._next_look()

    async def check(self) -> None:
        """Say now and then what is held, beside exchanges. After a failure the next one does."""
        while True:
            await self._check.wait()
            self._check.clear()
            try:
                await self._exchanges.check()
            except Exception as error:
                log.debug("what is held could not be said, trying on: %s", error)
            self._wake.set()

    async def assist(self) -> None:
        """Make a second exchange while the first is under way and as much again waits for one.

        So the database works while handlers do. What goes wrong here is left to the first one.
        """
        while True:
            await self._pile.wait()
            self._pile.clear()
            try:
                while self._exchanges.second_due:
                    await self._exchanges.turn()
            except Exception as error:
                log.debug("an exchange failed, trying on: %s", error)
            self._wake.set()

    def attempt_ended(self) -> None:
        self._wake.set()
        if self._exchanges.second_due:
            self._pile.set()

    def _next_look(self) -> float:
        """Return when to look for work without having heard of any (monotonic time)."""
        interval = self._poll_seconds * random.uniform(0.8, 1.2)
        if self._exchanges.idle:  # upkeep looks at the queue besides
            interval *= _IDLE_POLLS
        return time.monotonic() + interval

    @property
    def _next_turn(self) -> float:
        """When to look at the latest: sooner where an exchange, the second one too, missed some."""
        return min(self._look_at, self._exchanges.again_at)

    async def _rest(self) -> None:
        """Wait for a finished task, news of work, or the time of a look or a check."""
        while True:
            while not self._exchanges.due:
                self._wake.clear()
                until = self._next_turn
                if len(self._slots):
                    until = min(until, self._exchanges.check_at)
                left = until - time.monotonic()
                try:
                    async with asyncio.timeout(left):
                        await self._wake.wait()
                except TimeoutError:
                    return
            if len(self._slots):
                await asyncio.sleep(0)  # what ends at the same moment goes along
            if self._exchanges.due:  # the second exchange may have taken it
                return
