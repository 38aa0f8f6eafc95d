"""A worker's loop: what one exchange has heard of, another one must not leave lying."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar, cast

import pytest

from flowbuilder.errors import DatabaseUnavailable
from flowbuilder.executor.exchanges import Exchanges
from flowbuilder.executor.records import Exchange, Outcome, OutcomeKind, Verdict
from flowbuilder.executor.rounds import Rounds
from flowbuilder.executor.slots import Slots, Work
from tests.support.exchanging import exchanges_over
from tests.support.waiting import eventually

T = TypeVar("T")
HOURLY = timedelta(hours=1)


class Asked:
    """A call of the database, which answers when the test says so."""

    def __init__(self) -> None:
        self._answer = asyncio.get_running_loop().create_future()

    def answer(self, *, ready: bool = False) -> None:
        self._answer.set_result(ready)

    def fail(self) -> None:
        self._answer.set_exception(DatabaseUnavailable("the test cut the connection"))

    async def wait(self) -> bool:
        return bool(await self._answer)


class SlowStore:
    """A store that keeps every call until the test answers it."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.answered: list[Exchange] = []
        """What the worker has taken in."""

    async def within(self, _: float, call: Coroutine[Any, Any, T]) -> T:
        return await call

    async def exchange(self, _: str, *, outcomes: list[Outcome], **rest: object) -> Exchange:
        asked = Asked()
        self.asked.append(asked)
        ready = await asked.wait()
        verdicts = {one.key: Verdict.ACCEPTED for one in outcomes}
        return Exchange(tasks=[], verdicts=verdicts, ready=ready)

    async def calls(self, count: int) -> list[Asked]:
        """Wait until so many calls were made, and return all of them."""
        await eventually(
            lambda: len(self.asked) >= count,
            seconds=10,
            what=f"{len(self.asked)} exchanges instead of {count}",
        )
        return self.asked


@asynccontextmanager
async def looping(store: SlowStore) -> AsyncIterator[tuple[Exchanges, Rounds, Slots]]:
    """A worker's loop over a store, which by itself looks for work once an hour."""
    slots = Slots(4, cast(Work, None), ended=lambda: None)

    async def start_over() -> None:
        raise AssertionError("nobody has given the worker up")

    exchanges = exchanges_over(store, slots, check_every=HOURLY, answered=store.answered.append)
    rounds = Rounds(exchanges, slots, poll_interval=HOURLY, start_over=start_over)
    tasks = [asyncio.create_task(one) for one in (rounds.serve(), rounds.assist())]
    (first,) = await store.calls(1)
    first.answer()
    await eventually(lambda: not exchanges.busy)
    store.asked.clear()
    store.answered.clear()
    try:
        yield exchanges, rounds, slots
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
async def test_work_that_a_second_exchange_has_missed_is_looked_for_again(
    order: tuple[int, int],
) -> None:
    store = SlowStore()
    async with looping(store) as (exchanges, rounds, slots):
        exchanges.hasten()
        rounds.wake()
        await store.calls(1)
        done = Outcome(task_id=7, run_id="r", fence=1, kind=OutcomeKind.WAITING)
        slots.outcomes[done.key] = done
        rounds.attempt_ended()
        calls = await store.calls(2)
        calls[order[0]].answer(ready=order[0] == 1)
        await eventually(lambda: len(store.answered) == 1)
        calls[order[1]].answer(ready=order[1] == 1)
        (await store.calls(3))[2].answer(ready=True)
        (await store.calls(4))[3].answer()
        await eventually(lambda: not exchanges.busy)
        assert len(store.asked) == 4, "nothing was missed by the last one"


async def test_work_heard_of_is_looked_for_again_after_an_exchange_that_failed() -> None:
    store = SlowStore()
    async with looping(store) as (exchanges, rounds, _):
        exchanges.hasten()
        rounds.wake()
        (await store.calls(1))[0].fail()
        (await store.calls(2))[1].answer()
        await eventually(lambda: not exchanges.busy)
        assert len(store.asked) == 2
