"""When a worker's exchanges may overlap, and when one must be alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pytest

from flowbuilder.errors import DatabaseUnavailable
from flowbuilder.executor.exchanges import Exchanges
from flowbuilder.executor.records import Exchange, LeasedTask, Outcome, OutcomeKind, Verdict
from flowbuilder.executor.slots import Key, Slots, Work
from flowbuilder.executor.store import Store
from tests.support.exchanging import exchanges_over
from tests.support.waiting import eventually

T = TypeVar("T")


class SlowStore:
    """A store whose answers come when the test says so."""

    def __init__(self) -> None:
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
    exchanges = exchanges_over(store, slots, check_every=timedelta(seconds=1))
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

    exchanges = exchanges_over(
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
    exchanges = exchanges_over(store, slots, check_every=timedelta(hours=1))
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
    exchanges = exchanges_over(store, slots, check_every=timedelta(hours=1))
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
    exchanges = exchanges_over(store, slots, check_every=timedelta(hours=1))
    slots.since = 0.0
    async with turning(exchanges, check=True):
        await eventually(lambda: len(store.asked) == 1)
        exchanges.hasten()
        store.asked[0][1].set()
    assert exchanges.check_at < asyncio.get_running_loop().time() + 60


class Holding(SlowStore):
    """A store that says what is leased to the worker and not known to it, and what is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.unheard: list[LeasedTask] = []
        self.lost: list[Key] = []
        self.refuses = False

    async def exchange(self, _: str, *, held: object, **rest: object) -> Exchange:
        self.asked.append((held, asyncio.Event()))
        if self.refuses:
            raise DatabaseUnavailable("the test cut the connection")
        return Exchange(tasks=self.unheard, verdicts={}, lost=self.lost, touched=["r"])


class Running(Slots):
    """Slots with attempts that the test makes up."""

    def __init__(self, *keys: Key) -> None:
        super().__init__(4, cast(Work, None), ended=lambda: None)
        self.keys = keys
        self.stopped: list[Key] = []

    def __len__(self) -> int:
        return 16 if self.keys else 0

    def known(self) -> list[Key]:
        return list(self.keys)

    def knows(self, key: Key) -> bool:
        return key in self.keys

    def drop(self, keys: Iterable[Key] | None = None) -> list[str]:
        self.stopped += keys or ()
        return ["dropped"]


class Many(Slots):
    """Slots of which so many are taken."""

    def __init__(self, running: int) -> None:
        super().__init__(200, cast(Work, None), ended=lambda: None)
        self._count = running

    def __len__(self) -> int:
        return self._count


def leased(number: int) -> LeasedTask:
    return cast(LeasedTask, SimpleNamespace(key=(number, 1), run_id="r"))


async def settled(store: Holding, slots: Slots, answered: list[Exchange]) -> Exchanges:
    """Return exchanges that have said what is held once, alone."""
    hour = timedelta(hours=1)
    exchanges = exchanges_over(store, slots, check_every=hour, answered=answered.append)
    assert not beside_now(exchanges)
    await exchanges.turn(check=True)
    assert beside_now(exchanges)
    answered.clear()
    return exchanges


def beside_now(exchanges: Exchanges) -> bool:
    return exchanges.checks_beside


async def test_what_is_held_is_said_beside_an_exchange_under_way() -> None:
    store, slots, answers = Holding(), Running((1, 1), (2, 1)), list[Exchange]()
    exchanges = await settled(store, slots, answers)
    store.lost = [(2, 1)]
    exchanges.hasten()
    exchanges.begin_check()
    assert not exchanges.check_due
    slow = SlowStore()
    exchanges._store = cast(Store, slow)
    async with turning(exchanges):
        await eventually(lambda: len(slow.asked) == 1)
        exchanges._store = cast(Store, store)
        await exchanges.check()
        assert store.asked[-1][0] == [(1, 1), (2, 1)]
        assert slots.stopped == [(2, 1)]
        assert [(one.tasks, one.touched) for one in answers] == [([], ["dropped"])]
        slow.asked[0][1].set()


async def test_what_stays_unknown_is_asked_for_by_an_exchange_alone() -> None:
    """Once it may be in an answer that is under way; a second time that answer was lost."""
    store, answers = Holding(), list[Exchange]()
    exchanges = await settled(store, Running((1, 1)), answers)
    store.unheard = [leased(1), leased(7)]
    await exchanges.check()
    assert beside_now(exchanges)
    store.unheard = [leased(8)]
    await exchanges.check()
    assert beside_now(exchanges), "another one"
    await exchanges.check()
    assert not beside_now(exchanges)
    assert exchanges.check_due
    assert all(not answer.tasks for answer in answers), "it never brings work"


async def test_after_a_failure_what_is_held_is_said_alone() -> None:
    store = Holding()
    exchanges = await settled(store, Running((1, 1)), [])
    store.refuses = True
    exchanges.begin_check()
    with pytest.raises(DatabaseUnavailable):
        await exchanges.check()
    assert not beside_now(exchanges)
    assert exchanges.check_due
    store.refuses = False
    await exchanges.turn(check=True)
    assert beside_now(exchanges)
    assert not exchanges.check_due


@pytest.mark.parametrize(("held", "beside"), [(0, False), (15, False), (16, True), (200, True)])
async def test_of_little_an_exchange_says_it_besides(held: int, beside: bool) -> None:
    exchanges = exchanges_over(SlowStore(), Many(held), check_every=timedelta(hours=1))
    exchanges._store = cast(Store, Holding())
    await exchanges.turn(check=True)
    assert beside_now(exchanges) is beside


@pytest.mark.parametrize(
    ("running", "sent", "second"),
    [(50, 0, True), (50, 1, True), (16, 1, True), (50, 2, False), (50, 9, False), (15, 1, False)],
)
async def test_what_ends_alone_among_many_is_enough_for_a_second_exchange(
    running: int, sent: int, second: bool
) -> None:
    """Elsewhere it waits for more, which are then reported together."""

    store, slots = SlowStore(), Many(running)
    exchanges = exchanges_over(store, slots, check_every=timedelta(hours=1))
    for number in range(sent + 1):
        late = Outcome(task_id=number, run_id=f"r{number}", fence=1, kind=OutcomeKind.COMPLETED)
        if number == sent:
            async with turning(exchanges):
                await eventually(lambda: len(store.asked) == 1)
                assert not exchanges.second_due
                slots.outcomes[late.key] = late
                assert exchanges.second_due is second
                store.asked[0][1].set()
        else:
            slots.outcomes[late.key] = late
    assert store.reported == [sent]
