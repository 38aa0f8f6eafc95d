"""When a worker's exchanges may overlap, and when one must be alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeVar, cast

import pytest

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
        self.reported: list[int] = []

    async def within(self, _: float, call: Coroutine[Any, Any, T]) -> T:
        return await call

    async def exchange(
        self, _: str, *, held: object, outcomes: list[Outcome], **rest: object
    ) -> Exchange:
        answer = asyncio.Event()
        self.asked.append((held, answer))
        self.reported.append(len(outcomes))
        await answer.wait()
        return Exchange(tasks=[], verdicts={one.key: Verdict.ACCEPTED for one in outcomes})


@asynccontextmanager
async def turning(exchanges: Exchanges, *, check: bool = False) -> AsyncIterator[None]:
    """Make an exchange besides, which has ended at the end of the block."""
    turn = asyncio.create_task(exchanges.turn(check=check))
    yield
    await turn


def exchanges_of(store: SlowStore, slots: Slots, *, check_every: timedelta) -> Exchanges:
    return Exchanges(
        cast(Store, store),
        slots,
        worker_id="one",
        lease=timedelta(seconds=15),
        check_every=check_every,
        begin=lambda task: None,
        extended=lambda: None,
        answered=lambda answer: None,
        piled_up=lambda: None,
    )


class Aged(Slots):
    """Slots that say since when the oldest attempt has been under way."""

    since: float | None = None

    @property
    def oldest(self) -> float | None:
        return self.since


async def test_nothing_overlaps_with_an_exchange_that_says_what_is_held() -> None:
    """An answer under way would bring tasks that seem unknown here, and they would run twice."""
    store = SlowStore()
    slots = Slots(4, cast(Work, None), ended=lambda: None)
    exchanges = exchanges_of(store, slots, check_every=timedelta(seconds=1))
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

    exchanges = exchanges_of(
        Laden(),
        Slots(4, cast(Work, None), ended=lambda: None),
        check_every=timedelta(hours=1),
    )
    exchanges.closed = True
    await exchanges.turn()
    assert not exchanges.due


async def checked(store: SlowStore, exchanges: Exchanges) -> None:
    async with turning(exchanges, check=True):
        await eventually(lambda: len(store.asked) == 1)
        store.asked.pop()[1].set()


async def test_news_hurry_a_check_for_what_has_been_under_way_for_a_while() -> None:
    store, slots = SlowStore(), Aged(4, cast(Work, None), ended=lambda: None)
    exchanges = exchanges_of(store, slots, check_every=timedelta(hours=1))
    assert exchanges.check_due, "the first one tells that nothing is held"
    await checked(store, exchanges)
    calm = exchanges.check_at
    before = calm - 3600
    exchanges.hasten()
    assert exchanges.check_at == calm, "nothing runs here that could be unwanted"
    slots.since = before + 10
    assert exchanges.check_at == pytest.approx(before + 10.05), "it has just begun"
    slots.since = before - 10
    assert exchanges.check_at == pytest.approx(before + 0.05), "but not twice at once"
    await checked(store, exchanges)
    assert exchanges.check_at > calm, "the news have been looked at"


@pytest.mark.parametrize(("running", "shares"), [(0, [30, 50]), (60, [30, 50]), (100, [50])])
async def test_of_many_outcomes_at_once_a_first_exchange_takes_a_third(
    running: int, shares: list[int]
) -> None:
    """Answers that come at the same time would leave the database without work in between."""

    class Busy(Slots):
        def __len__(self) -> int:
            return running

    store, slots = SlowStore(), Busy(100, cast(Work, None), ended=lambda: None)
    exchanges = exchanges_of(store, slots, check_every=timedelta(hours=1))
    for number in range(90):
        late = Outcome(task_id=number, run_id=f"r{number}", fence=1, kind=OutcomeKind.COMPLETED)
        slots.outcomes[late.key] = late
    async with turning(exchanges):
        await eventually(lambda: len(store.asked) == 1)
        if exchanges.second_due:
            async with turning(exchanges):
                await eventually(lambda: len(store.asked) == 2)
                store.asked[1][1].set()
        store.asked[0][1].set()
    assert store.reported == shares


async def test_news_that_come_during_a_check_are_looked_at_after_it() -> None:
    store, slots = SlowStore(), Aged(4, cast(Work, None), ended=lambda: None)
    exchanges = exchanges_of(store, slots, check_every=timedelta(hours=1))
    slots.since = 0.0
    async with turning(exchanges, check=True):
        await eventually(lambda: len(store.asked) == 1)
        exchanges.hasten()
        store.asked[0][1].set()
    assert exchanges.check_at < asyncio.get_running_loop().time() + 60
