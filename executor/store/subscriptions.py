"""Queues of other systems that are bound to topics of events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from flowbuilder.executor import queries
from flowbuilder.executor.store.base import StoreBase, as_name
from flowbuilder.types import JsonObject

#: Events that one call puts into a queue, at most.
PAGE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Subscription:
    """One binding of a queue to a pattern of topics, and how far the queue is behind."""

    queue: str
    pattern: str
    workspace_id: str | None
    """None: bound by pgmq alone, so it gets the events of all workspaces."""
    bound_at: str
    largest: int
    """No more is put into the queue while it holds so many messages."""
    messages: int | None
    """In the queue, read or not, counted up to 100,000; None: the queue cannot be read."""
    pending: int
    """Events that the queue is still to get, counted up to 100,000."""
    oldest_seconds: float | None
    """The age of the oldest message."""
    error: str | None
    """Why the queue takes nothing, if it does not."""

    def as_json(self) -> JsonObject:
        """Return the subscription as JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """Events that were put into one queue in one go."""

    queue: str
    messages: int
    first: int | None
    last: int | None
    bytes: int
    """Of the events' data."""
    more: bool
    """Whether the queue is to get more, and has room."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivered:
    """What one call of `deliver` did."""

    sent: list[Sent]
    wrong: list[JsonObject]
    """`{queue, error, failures}` for each queue that did not take its events."""
    busy: bool
    """Somebody else was delivering."""

    @property
    def more(self) -> bool:
        """Whether another call would find something to do at once."""
        return any(one.more for one in self.sent)


class SubscriptionStore(StoreBase):
    """Bindings, deliveries, and the messages of subscribers' queues."""

    async def subscribe(self, queue: str, pattern: str, *, largest: int | None) -> None:
        """Bind a queue, made when it is missing.

        Raises:
            Conflict: The queue belongs to another workspace (`queue_taken`).
            InvalidValue: This pgmq has no topics (`topics_missing`).
            DatabaseError: A long transaction stands in the way (`lock_timeout`).
        """
        await self._all(queries.SUBSCRIBE, self.workspace, queue, pattern, largest)

    async def unsubscribe(self, queue: str, pattern: str | None) -> list[str]:
        """Take away one binding, or all of a queue; returns the patterns that were bound."""
        topics = None if pattern is None else as_name(pattern)
        row = await self._one(queries.UNSUBSCRIBE, self.workspace, queue, topics)
        return list(row["patterns"])

    async def drop_queue(self, queue: str) -> None:
        """Delete a queue with its messages."""
        await self._all(queries.DROP_QUEUE, queue)

    async def subscriptions(self) -> list[Subscription]:
        """Read the bindings, by queue and pattern."""
        row = await self._one(queries.SUBSCRIPTIONS, self.workspace)
        return [Subscription(**one) for one in row["answer"]]

    async def deliver(self, *, limit: int = PAGE) -> Delivered:
        """Put committed events into the queues that are bound to them."""
        answer: dict[str, Any] = (await self._one(queries.DELIVER, limit))["answer"]
        sent = [Sent(**one) for one in answer["sent"]]
        return Delivered(sent=sent, wrong=answer["wrong"], busy=answer["busy"])

    async def take_messages(
        self, queue: str, *, limit: int, seconds: float
    ) -> list[dict[str, Any]]:
        """Hide messages of a queue for a time and return them in the order of numbers.

        `{msg_id, enqueued_at, read_ct, message}` each; none of a stream that has a hidden one.
        """
        return await self._all(queries.TAKE_MESSAGES, queue, limit, seconds)

    async def delete_messages(self, queue: str, numbers: Sequence[int]) -> None:
        """Delete messages that were handled."""
        await self._all(queries.DELETE_MESSAGES, queue, list(numbers))

    async def show_messages(self, queue: str, numbers: Sequence[int]) -> None:
        """Let other consumers see messages again that were taken and not handled."""
        await self._all(queries.SHOW_MESSAGES, queue, list(numbers))
