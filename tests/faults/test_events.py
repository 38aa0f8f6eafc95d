"""Emitters and waits that meet: nothing is missed, exactly one of event and deadline ends a wait,
and nobody stands in anybody's way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from flowbuilder.errors import InvalidTransition
from flowbuilder.executor.emitted import Emitted
from flowbuilder.executor.records import LeasedTask, Outcome
from flowbuilder.types import JsonObject, JsonValue
from tests.faults.harness.arena import Arena, flow, sized
from tests.support.engine import Engine, done, flow_of, plain_registry, waiting

NAMES = 3
LIFE = 3600.0
_DEADLOCK = "deadlock detected"


class Meeting:
    """One round: two runs, each with a map whose elements wait for the same few events."""

    def __init__(self, arena: Arena, number: int, *, timeout: float) -> None:
        self.arena = arena
        self.number = number
        self.timeout = timeout
        self.engines = [Engine(arena.database, plain_registry()) for _ in range(3)]
        self.runs: list[str] = []

    async def open(self) -> list[list[LeasedTask]]:
        """Start both runs, and let the workers take their tasks."""
        for engine in self.engines:
            await engine.join()
        for _ in range(2):
            each: JsonObject = {"id": "m", "for_each": list(range(2 * NAMES))}
            document = flow_of(each, output="${{ steps.m }}")
            self.runs.append(await self.engines[0].start(document, timeout_seconds=10**9))
        self.arena.acknowledged += self.runs
        return [(await engine.exchange(free=4)).tasks for engine in self.engines]

    def wait(self, task: LeasedTask) -> Outcome:
        """What a task waits for: elements 0 and 3 for the same event, and so on."""
        return waiting(
            task, kind="event", name=f"meeting.{self.number}", key=str((task.index or 0) % NAMES),
            timeout_seconds=self.timeout, on_timeout="null",
        )  # fmt: skip

    async def emit(self, key: int) -> Emitted:
        """Emit an event whose payload is its key."""
        name = f"meeting.{self.number}"
        return await self.arena.store.emit(name, str(key), key, keep_seconds=LIFE)

    async def close(self) -> list[JsonValue]:
        """End both runs, and return what each element got, None for nothing."""
        for _ in range(2):
            await self.arena.store.tick()
        await self.engines[0].join()
        await self.engines[0].drain(lambda task: done(task, task.outputs["m"]))
        rows = [await self.arena.store.get_run(run) for run in self.runs]
        return [value for row in rows for value in row.output]  # type: ignore[union-attr]


async def test_f44_events_and_waits_meet_at_every_moment(arena: Arena) -> None:
    """F44: waits are reported, looked after and cancelled while their events are emitted, each
    by several at once: every wait gets its event, the first one's, and no deadlock comes."""
    woken, rounds = 0, sized(40, 300)
    for number in range(rounds):
        meeting = Meeting(arena, number, timeout=3600)
        held = await meeting.open()
        doomed = await _doomed(meeting)
        calls: list[Coroutine[Any, Any, Any]] = [
            engine.exchange([meeting.wait(task) for task in tasks], free=0)
            for engine, tasks in zip(meeting.engines, held, strict=True)
        ]
        calls += [meeting.emit(key) for key in (*range(NAMES), *range(NAMES))]
        calls += [arena.store.tick(), arena.store.tick(), arena.store.cancel_run(doomed)]
        said = [answer for answer in await _at_once(arena, *calls) if isinstance(answer, Emitted)]
        assert Counter(one.already for one in said) == {True: NAMES, False: NAMES}
        woken += sum(one.woke for one in said)
        assert await meeting.close() == [n % NAMES for n in range(2 * NAMES)] * 2
    arena.fired("meeting", rounds)
    # Some waits were found by their event, others found it: both ways were gone.
    assert 0 < woken < rounds * 4 * NAMES
    await _at_the_end(arena)


async def _doomed(meeting: Meeting) -> str:
    """Return a run that waits for the same events, to be cancelled."""
    engine = Engine(meeting.arena.database, plain_registry())
    await engine.join()
    run = await engine.start(flow_of({"id": "w"}), timeout_seconds=10**9)
    meeting.arena.acknowledged.append(run)
    (task,) = (await engine.exchange(free=1)).tasks
    await engine.exchange([meeting.wait(task)], free=0)
    return run


async def test_f44_event_and_deadline_race_and_exactly_one_wins(arena: Arena) -> None:
    """F44: the clock jumps to the deadline while events are emitted and upkeep looks."""
    got = Counter[bool]()
    rounds = sized(40, 300)
    for number in range(rounds):
        meeting = Meeting(arena, number, timeout=3600)
        held = await meeting.open()
        for engine, tasks in zip(meeting.engines, held, strict=True):
            await engine.exchange([meeting.wait(task) for task in tasks], free=0)
        calls: list[Coroutine[Any, Any, Any]] = [
            meeting.engines[0].jump(3000),
            meeting.engines[1].jump(700),
            *(meeting.emit(key) for key in range(NAMES)),
            *(arena.store.tick() for _ in range(3)),
        ]
        said = [answer for answer in await _at_once(arena, *calls) if isinstance(answer, Emitted)]
        await meeting.engines[0].jump(1)
        values = await meeting.close()
        for one in said:
            theirs = values[int(one.key) :: NAMES]
            assert set(theirs) <= {int(one.key), None}
            assert theirs.count(int(one.key)) >= one.woke
            got.update(value is not None for value in theirs)
    arena.fired("race", rounds)
    assert all(got[won] for won in (True, False)), got
    await _at_the_end(arena)


async def test_f44_events_come_while_workers_are_killed(arena: Arena) -> None:
    """F44 with F2: events are emitted before and after their waits, while kill -9 takes workers
    that report waits or look after them."""
    workers = [arena.worker(concurrency=4) for _ in range(2)]
    await arena.joined(*workers)
    count, kills = sized(30, 300), sized(3, 30)
    keys = list(range(count))
    arena.dice.shuffle(keys)
    document = flow(
        "listener",
        [
            {"id": "w", "tool": "fault.listen", "args": {"name": "go", "key": "${{ input }}"}},
            {"id": "z", "tool": "fault.work", "args": {"value": "${{ steps.w }}"}},
        ],
        output="${{ steps.z }}",
    )
    for number in range(count):
        await arena.start(document, str(number))
        for key in keys[number : number + 1]:
            said = await arena.store.emit("go", str(key), {"n": key}, keep_seconds=LIFE)
            assert not said.already
        if number % (count // kills) == 0:
            victim = workers.pop(0)
            victim.kill()
            workers.append(arena.worker(concurrency=4))
    assert await arena.outputs(seconds=120) == [{"n": n} for n in range(count)]
    await arena.check()


async def _at_once(arena: Arena, *calls: Coroutine[Any, Any, Any]) -> list[Any]:
    """Let calls go off together, in any order; returns what they gave."""

    async def go(call: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await call
        except InvalidTransition as error:  # the event was faster than the cancel
            return error

    order = [go(call) for call in calls]
    arena.dice.shuffle(order)
    return await asyncio.gather(*order)


async def _at_the_end(arena: Arena) -> None:
    log = arena.server.cluster.log.read_text(encoding="utf-8", errors="replace")
    assert _DEADLOCK not in log
    await arena.check()
