"""Single starts that come at the same time begin in one transaction.

The first ones go at once. Those that come while two calls are under way go together into the next
one, as far as they are alike: of one version, by one caller, under the same terms. So the cost of a
transaction is shared by as many as there are, and nobody waits for a batch to fill.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import orjson

from flowbuilder.errors import Conflict, FlowBuilderError, InvalidValue, NotFound
from flowbuilder.executor.records import Started
from flowbuilder.types import JsonValue

#: Calls for one kind of start that are under way at once.
AT_ONCE = 2
#: Runs of one call, and bytes of their inputs: a statement has its time.
MOST = 200
MOST_BYTES = 1_048_576

#: Runs of one bulk start that begin in one transaction.
STARTED_AT_ONCE = 500
#: Bytes of their inputs, from which on there are no more: a statement has its time.
BYTES_AT_ONCE = 8 * 1_048_576

#: Starts a run for each input, with its idempotency key; all or none.
Send = Callable[[Sequence[JsonValue], Sequence[str | None]], Awaitable[Started]]


@dataclass(slots=True, eq=False)
class _Asked:
    input: JsonValue
    key: str | None
    size: int
    answer: asyncio.Future[Started]


@dataclass(slots=True)
class _Kind:
    """Starts that are alike."""

    send: Send
    waiting: deque[_Asked] = field(default_factory=deque)
    under_way: int = 0


def parts_of(inputs: Sequence[JsonValue]) -> Iterator[slice]:
    """Yield which inputs start together: as many as one statement takes in good time."""
    first = size = 0
    for place, value in enumerate(inputs):
        size += len(orjson.dumps(value))
        if place - first + 1 == STARTED_AT_ONCE or size >= BYTES_AT_ONCE:
            yield slice(first, place + 1)
            first, size = place + 1, 0
    if first < len(inputs):
        yield slice(first, len(inputs))


class StartBatches:
    """Puts starts together."""

    def __init__(self) -> None:
        self._kinds: dict[Hashable, _Kind] = {}
        self._calls: set[asyncio.Task[None]] = set()

    async def start(self, kind: Hashable, input: JsonValue, key: str | None, send: Send) -> Started:
        """Start one run; `send` starts any that are of this kind.

        Raises:
            FlowBuilderError: What `send` raises of this one alone, or of all when it is not known
                whether they have begun.
        """
        found = self._kinds.setdefault(kind, _Kind(send))
        if found.under_way < AT_ONCE and not found.waiting:
            found.under_way += 1
            try:  # as if there were no batches: a program that starts one run waits for no other
                return await send([input], [key])
            finally:
                self._ended(kind, found)
        answer: asyncio.Future[Started] = asyncio.get_running_loop().create_future()
        found.waiting.append(_Asked(input, key, len(orjson.dumps(input)), answer))
        self._go(kind, found)
        return await answer

    def _go(self, kind: Hashable, found: _Kind) -> None:
        while found.waiting and found.under_way < AT_ONCE:
            found.under_way += 1
            task = asyncio.create_task(self._call(kind, found))
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)
            if len(found.waiting) <= MOST:  # that one takes them
                return

    async def _call(self, kind: Hashable, found: _Kind) -> None:
        batch = _next(found.waiting)
        try:
            if batch:
                await _send(found.send, batch)
        finally:
            self._ended(kind, found)

    def _ended(self, kind: Hashable, found: _Kind) -> None:
        found.under_way -= 1
        if found.waiting:
            self._go(kind, found)
        elif not found.under_way:
            self._kinds.pop(kind, None)


def _next(waiting: deque[_Asked]) -> list[_Asked]:
    """Take the next ones. A key comes once: the second use of it has to find the first."""
    batch: list[_Asked] = []
    keys: set[str] = set()
    size = 0
    while waiting and len(batch) < MOST:
        one = waiting[0]
        if one.answer.cancelled():  # who asked has gone away
            waiting.popleft()
            continue
        if batch and (one.key in keys or size + one.size > MOST_BYTES):
            break
        batch.append(waiting.popleft())
        size += one.size
        if one.key is not None:
            keys.add(one.key)
    return batch


async def _send(send: Send, batch: Sequence[_Asked]) -> None:
    """Start a batch and answer each; when one of several is refused, each by itself."""
    try:
        started = await send([one.input for one in batch], [one.key for one in batch])
    except (Conflict, InvalidValue, NotFound) as error:  # nothing has begun
        if len(batch) == 1:
            _fail(batch, error)
            return
        for one in batch:
            await _send(send, [one])
    except FlowBuilderError as error:
        _fail(batch, error)
    except BaseException as error:
        _fail(batch, error)
        raise
    else:
        for one, run in zip(batch, started.runs, strict=True):
            if not one.answer.done():
                one.answer.set_result(replace(started, runs=[run]))


def _fail(batch: Sequence[_Asked], error: BaseException) -> None:
    for one in batch:
        if not one.answer.done():
            one.answer.set_exception(error)
