"""Starts that come at the same time go together; look-ups are shared by those who came before."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from flowbuilder.client.batching import AT_ONCE, MOST, StartBatches
from flowbuilder.client.coalescing import Shared
from flowbuilder.errors import Conflict, DatabaseUnavailable
from flowbuilder.executor.records import Started
from flowbuilder.types import JsonValue

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Sent:
    """Remembers the calls; holds them back while closed; refuses some inputs."""

    def __init__(self, *, refuse: Sequence[JsonValue] = ()) -> None:
        self.calls: list[list[JsonValue]] = []
        self.open = asyncio.Event()
        self.refuse = list(refuse)
        self.away = False

    async def __call__(self, inputs: Sequence[JsonValue], keys: Sequence[str | None]) -> Started:
        self.calls.append(list(inputs))
        await self.open.wait()
        if self.away:
            raise DatabaseUnavailable("away")
        if any(value in self.refuse for value in inputs):
            raise Conflict("no", code="idempotency_mismatch")
        runs = [(f"run-{value}", True) for value in inputs]
        return Started(runs=runs, at=NOW, deadline_at=NOW, tasks=[], queued=True)


async def begin(
    batches: StartBatches, sent: Sent, *values: JsonValue, key: str | None = None
) -> list[asyncio.Task[Started]]:
    """Ask for starts one after the other, so that the first calls are under way."""
    tasks = []
    for value in values:
        tasks.append(asyncio.create_task(batches.start("kind", value, key, sent)))
        for _ in range(3):
            await asyncio.sleep(0)
    return tasks


async def test_what_comes_while_calls_are_under_way_goes_together() -> None:
    batches, sent = StartBatches(), Sent()
    tasks = await begin(batches, sent, 0, False, "", None, [])
    assert sent.calls == [[0], [False]]
    sent.open.set()
    runs = [(await task).runs for task in tasks]
    assert sent.calls == [[0], [False], ["", None, []]]
    names = ("0", "False", "", "None", "[]")
    assert runs == [[(f"run-{name}", True)] for name in names]


async def test_what_is_not_alike_goes_apart() -> None:
    batches, sent, other = StartBatches(), Sent(), Sent()
    asked = [
        asyncio.create_task(batches.start(kind, n, None, send))
        for kind, send in ((1, sent), (2, other))
        for n in range(4)
    ]
    await asyncio.sleep(0)
    sent.open.set()
    other.open.set()
    await asyncio.gather(*asked)
    assert (sent.calls, other.calls) == ([[0], [1], [2, 3]], [[0], [1], [2, 3]])


async def test_one_that_is_refused_takes_none_with_it() -> None:
    batches, sent = StartBatches(), Sent(refuse=[3])
    tasks = await begin(batches, sent, 0, 1, 2, 3, 4)
    sent.open.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(answer, Conflict) for answer in answers] == [False] * 3 + [True, False]
    assert sent.calls[2:] == [[2, 3, 4], [2], [3], [4]]


async def test_when_nobody_knows_whether_they_began_nothing_is_sent_again() -> None:
    batches, sent = StartBatches(), Sent()
    tasks = await begin(batches, sent, 0, 1, 2, 3)
    sent.away = True
    sent.open.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(answer) for answer in answers} == {DatabaseUnavailable}
    assert len(sent.calls) == AT_ONCE + 1


async def test_a_key_is_never_twice_in_one_call() -> None:
    batches, sent = StartBatches(), Sent()
    tasks = await begin(batches, sent, 0, 1, 2, 3, key="k")
    sent.open.set()
    await asyncio.gather(*tasks)
    assert sorted(map(len, sent.calls)) == [1, 1, 1, 1]


async def test_no_call_is_longer_than_a_statement_should_be() -> None:
    batches, sent = StartBatches(), Sent()
    tasks = await begin(batches, sent, 0, 0)
    tasks += [asyncio.create_task(batches.start("kind", n, None, sent)) for n in range(MOST + 5)]
    large = "x" * 600_000
    tasks += [asyncio.create_task(batches.start("kind", large, None, sent)) for _ in range(2)]
    await asyncio.sleep(0)
    sent.open.set()
    await asyncio.gather(*tasks)
    assert [len(call) for call in sent.calls] == [1, 1, MOST, 6, 1]


async def test_who_goes_away_is_left_out_or_harms_nobody() -> None:
    batches, sent = StartBatches(), Sent()
    tasks = await begin(batches, sent, 0, 1, 2, 3)
    tasks[0].cancel()
    tasks[2].cancel()
    await asyncio.sleep(0)
    sent.open.set()
    answers = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [
        asyncio.CancelledError, Started, asyncio.CancelledError, Started]  # fmt: skip
    assert sent.calls == [[0], [1], [3]]


async def test_a_shared_look_begins_after_whoever_it_answers() -> None:
    shared, begun, gates = Shared(), 0, [asyncio.Event() for _ in range(3)]

    async def look() -> int:
        nonlocal begun
        begun += 1
        mine = begun
        await gates[mine - 1].wait()
        return mine

    first = asyncio.create_task(shared.ask("a", look))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert begun == 1
    others = [asyncio.create_task(shared.ask("a", look)) for _ in range(5)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert begun == 1
    others[0].cancel()
    gates[0].set()
    gates[1].set()
    assert await first == 1
    answers = await asyncio.gather(*others, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [2] * 4
    gates[2].set()
    assert await shared.ask("a", look) == 3
    assert await shared.ask("b", lambda: asyncio.sleep(0, "other")) == "other"


async def test_a_shared_look_that_fails_fails_for_its_askers_alone() -> None:
    shared = Shared()

    async def fail() -> int:
        raise Conflict("no")

    answers = await asyncio.gather(
        *[shared.ask("a", fail) for _ in range(3)], return_exceptions=True
    )
    assert {type(answer) for answer in answers} == {Conflict}
    with pytest.raises(Conflict):
        await shared.ask("a", fail)
    assert await shared.ask("a", lambda: asyncio.sleep(0, 0)) == 0
