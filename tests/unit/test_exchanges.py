"""When a worker's exchanges may overlap, and when one must be alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar, cast

from flowbuilder.executor.exchanges import Exchanges
from flowbuilder.executor.records import Exchange, Outcome, OutcomeKind, Verdict
from flowbuilder.executor.slots import Slots, Work
from flowbuilder.executor.store import Store
from tests.support.waiting import eventually

T = TypeVar("T")


class SlowStore:
    """A store whose answers come when the test says so."""

    def __init__(self) -> None:
        self.database = self
        self.asked: list[tuple[object, asyncio.Event]] = []
        """What was told to be held, and the event that lets the answer come."""

    async def within(self, _: float, call: Coroutine[Any, Any, T]) -> T:
        return await call

    async def exchange(
        self, _: str, *, held: object, outcomes: list[Outcome], **rest: object
    ) -> Exchange:
        answer = asyncio.Event()
        self.asked.append((held, answer))
        await answer.wait()
        return Exchange(tasks=[], verdicts={one.key: Verdict.ACCEPTED for one in outcomes})


@asynccontextmanager
async def turning(exchanges: Exchanges, *, check: bool = False) -> AsyncIterator[None]:
    """Make an exchange besides, which has ended at the end of the block."""
    turn = asyncio.create_task(exchanges.turn(check=check))
    yield
    await turn


async def test_nothing_overlaps_with_an_exchange_that_says_what_is_held() -> None:
    """An answer under way would bring tasks that seem unknown here, and they would run twice."""
    store = SlowStore()
    slots = Slots(4, cast(Work, None), ended=lambda: None)
    exchanges = Exchanges(
        cast(Store, store),
        slots,
        worker_id="one",
        lease=timedelta(seconds=15),
        check_every=timedelta(seconds=1),
        begin=lambda task: None,
        extended=lambda: None,
        answered=lambda answer: None,
        piled_up=lambda: None,
    )
    async with turning(exchanges):
        await eventually(lambda: len(store.asked) == 1)
        async with turning(exchanges, check=True):
            await asyncio.sleep(0)
            assert len(store.asked) == 1, "it does not wait for the one under way"
            store.asked[0][1].set()
            await eventually(lambda: len(store.asked) == 2)
            assert [held is None for held, _ in store.asked] == [True, False]
            late = Outcome(task_id=7, run_id="r", fence=1, kind=OutcomeKind.COMPLETED)
            slots.outcomes[late.key] = late
            assert not exchanges.second_due
            assert not exchanges.due
            store.asked[1][1].set()
    assert exchanges.due, "what has come meanwhile is for the next one"


async def test_a_worker_that_ends_does_not_ask_for_what_it_will_not_take() -> None:
    class Laden(SlowStore):
        async def exchange(self, _: str, **rest: object) -> Exchange:
            return Exchange(tasks=[], verdicts={}, ready=True)

    exchanges = Exchanges(
        cast(Store, Laden()),
        Slots(4, cast(Work, None), ended=lambda: None),
        worker_id="one",
        lease=timedelta(seconds=15),
        check_every=timedelta(hours=1),
        begin=lambda task: None,
        extended=lambda: None,
        answered=lambda answer: None,
        piled_up=lambda: None,
    )
    exchanges.closed = True
    await exchanges.turn()
    assert not exchanges.due
