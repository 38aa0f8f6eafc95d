"""Subscriptions: queues of other systems get the events that they are bound to.

Four channels, a topic each type of event: `task_events.task_failed`. A queue is bound to a pattern
of topics by pgmq, so a program in any language may do it, too: `select pgmq.bind_topic(
'task_events.*', 'my_queue')`.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import random
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar

from flowbuilder.errors import DatabaseError, InvalidValue, NotFound
from flowbuilder.executor.consumer import Consumer
from flowbuilder.executor.courier import Courier
from flowbuilder.executor.listener import Listener
from flowbuilder.executor.queue_names import checked_count, checked_queue, checked_visibility
from flowbuilder.executor.store.subscriptions import Subscription, SubscriptionStore

log = logging.getLogger(__name__)

T = TypeVar("T")

#: What other systems may subscribe to; every type of event belongs to one of them.
CHANNELS = ("workflow_events", "task_events", "approval_events", "plan_events")
LARGEST_QUEUE = 1_000_000
_LONGEST_PATTERN = 255
_PATTERN = re.compile(r"[A-Za-z0-9_*#-]+(?:\.[A-Za-z0-9_*#-]+)*")
_TWO_WILDCARDS = re.compile(r"[*#]{2}")
#: The trigger on events is made between two transactions of workers; so long it is tried.
_PATIENCE_SECONDS = 10.0
_BUSY = ("lock_timeout", "transaction_conflict")


class Subscriptions:
    """The part of notifications that hands events to other systems."""

    def __init__(
        self, bindings: SubscriptionStore, listener: Listener, *, poll_seconds: float
    ) -> None:
        self._bindings = bindings
        self._listener = listener
        self._poll_seconds = poll_seconds
        self._courier = Courier(bindings, interval=poll_seconds)
        self._consumers: list[Consumer] = []

    def for_workspace(self, workspace: str) -> Self:
        """Return the same notifications for the subscriptions of another workspace."""
        twin = copy.copy(self)
        twin._bindings = SubscriptionStore(self._bindings.database, workspace=workspace)
        return twin

    async def subscribe(
        self,
        channel: str,
        *,
        queue: str | None = None,
        pattern: str | None = None,
        largest: int | None = None,
    ) -> str:
        """Put every event of a channel that is committed from now on into a queue, too.

        Each event arrives at least once, those of one run (or plan) in their order, as the
        envelope that `run.events()` has. Subscribing again changes nothing but `largest`.

        Args:
            channel: `workflow_events`, `task_events`, `approval_events` or `plan_events`.
            queue: Made when it is missing; by default it is named like the channel.
            pattern: Which topics of the channel, `*` for any word: `task_events.task_failed`.
                Default: all.
            largest: Messages that the queue may hold (10,000 by default). When it is full,
                further events wait outside, as numbers, until somebody reads.

        Returns:
            The queue's name.

        Raises:
            InvalidValue: `channel_unknown`, `queue_invalid`, `pattern_invalid`, `topics_missing`.
            Conflict: The queue belongs to another workspace (`queue_taken`).
            DatabaseError: A long transaction that writes events stands in the way
                (`lock_timeout`).
        """
        pattern = _checked_pattern(channel, pattern)
        name = checked_queue(channel if queue is None else queue)
        _check_largest(largest)
        await _patiently(lambda: self._bindings.subscribe(name, pattern, largest=largest))
        log.info("subscribed", extra={"channel": channel, "queue": name, "pattern": pattern})
        return name

    async def unsubscribe(
        self, queue: str, *, pattern: str | None = None, drop: bool = False
    ) -> list[str]:
        """Take away one binding of a queue, or all of them; what the queue holds stays there.

        Args:
            queue: The queue that was subscribed.
            pattern: Only this binding.
            drop: Delete the queue, too, with its messages.

        Returns:
            The patterns that were bound.

        Raises:
            NotFound: `subscription_not_found`.
        """
        checked_queue(queue)
        patterns = await _patiently(lambda: self._bindings.unsubscribe(queue, pattern))
        if not patterns:
            raise NotFound(
                f"the queue {queue} has no such subscription", code="subscription_not_found"
            )
        if drop:
            await self._bindings.drop_queue(queue)
        log.info("unsubscribed", extra={"queue": queue, "patterns": patterns, "dropped": drop})
        return patterns

    async def subscriptions(self) -> list[Subscription]:
        """Return who is subscribed to what, and how far each queue is behind."""
        return await self._bindings.subscriptions()

    def messages(
        self, queue: str, *, visibility_timeout: str | float = 30, batch: int = 20
    ) -> Consumer:
        """Return an iterator that takes messages out of a queue, each for one consumer only.

        A message is acknowledged when the next one is asked for; see `Consumer`. Any number of
        consumers may share a queue.

        Args:
            queue: A queue that was subscribed, or any other.
            visibility_timeout: After so long without acknowledgement a message comes back.
            batch: Messages read in one go.

        Raises:
            InvalidValue: `queue_invalid`, or a number out of range.
        """
        checked_queue(queue)
        seconds = checked_visibility(visibility_timeout)
        checked_count(batch, "batch", "/batch")
        consumer = Consumer(
            self._bindings,
            self._listener,
            self._courier,
            queue,
            seconds=seconds,
            batch=batch,
            poll_seconds=self._poll_seconds,
        )
        self._consumers = [one for one in self._consumers if not one.closed]
        self._consumers.append(consumer)
        return consumer

    def deliver_soon(self) -> None:
        """Deliver what somebody has left behind, at most once per poll interval."""
        self._courier.look()


async def _patiently(change: Callable[[], Awaitable[T]]) -> T:
    """Change bindings, again while others hold the locks that it takes."""
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return await change()
        except DatabaseError as error:
            if error.code not in _BUSY or time.monotonic() > give_up:
                raise
        await asyncio.sleep(random.uniform(0.05, 0.2))


def _check_largest(largest: Any) -> None:
    whole = isinstance(largest, int) and not isinstance(largest, bool)
    if largest is not None and not (whole and 1 <= largest <= LARGEST_QUEUE):
        raise InvalidValue(f"a queue holds 1 to {LARGEST_QUEUE:,} messages", pointer="/largest")


def _checked_pattern(channel: Any, pattern: Any) -> str:
    """Return the pattern to bind; all topics of the channel when there is none."""
    if channel not in CHANNELS:
        raise InvalidValue(
            f"there is no channel {str(channel)[:80]!r}",
            pointer="/channel",
            code="channel_unknown",
            hint=f"There are {', '.join(CHANNELS)}.",
        )
    if pattern is None:
        return f"{channel}.*"
    if (
        not isinstance(pattern, str)
        or len(pattern) > _LONGEST_PATTERN
        or not _PATTERN.fullmatch(pattern)
        or _TWO_WILDCARDS.search(pattern)
        or not f"{pattern}.".startswith(f"{channel}.")
    ):
        raise InvalidValue(
            f"{str(pattern)[:80]!r} is no pattern of topics of {channel}",
            pointer="/pattern",
            code="pattern_invalid",
            hint=f"Begin with {channel}. and go on with a type of event, or * for any: {channel}.*",
        )
    return pattern
