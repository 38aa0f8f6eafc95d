"""Two who believe to own the same task: one of them is right, the other changes nothing."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import pytest

from flowbuilder.errors import InvalidTransition, StaleTask
from flowbuilder.executor.database import Database
from flowbuilder.executor.records import Exchange, LeasedTask, Outcome, Verdict
from flowbuilder.flow import Flow
from flowbuilder.types import JsonObject
from tests.faults.harness.arena import Arena, sized
from tests.faults.harness.invariants import all_events
from tests.support.engine import (
    Engine,
    done,
    failed,
    flow_of,
    plain_registry,
    retry,
    waiting,
)

LEASE = 30.0
_LOCK_TASK = b"select from flowbuilder.tasks where id = %s for update"


class Pair:
    """A task that a first worker held until its lease was over, and perhaps a second has now."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.first = Engine(arena.database, plain_registry())
        self.second = Engine(arena.database, plain_registry())
        self.run = ""
        self.old: LeasedTask
        self.new: LeasedTask

    async def claim(self) -> None:
        """Let the first one claim, and its lease end."""
        await self.first.join()
        await self.second.join()
        self.run = await self.first.start(flow_of({"id": "a"}), timeout_seconds=10**9)
        self.arena.acknowledged.append(self.run)
        (self.old,) = (await self.first.exchange(lease=LEASE, free=1)).tasks
        await self.first.jump(LEASE + 1)

    async def claim_again(self) -> None:
        """Let the second one claim too."""
        (self.new,) = (await self.take_over()).tasks
        assert self.new.fence > self.old.fence

    async def take_over(self) -> Exchange:
        """Look after lapsed leases as the second one, and claim; again while it is in use."""
        await self.second.store.tick()
        while True:
            answer = await self.second.exchange(lease=LEASE, free=1)
            if answer.tasks or not answer.ready:
                return answer

    async def types(self) -> Counter[str]:
        """Count the run's events by type."""
        return Counter(event.type for event in await all_events(self.first.store, self.run))


async def test_f12_completions_come_twice_and_late(arena: Arena) -> None:
    """F12: accepted once; the same again is `already`, that of an old owner is `fenced`."""
    pair = Pair(arena)
    await pair.claim()
    await pair.claim_again()
    assert await _verdict(pair.first, done(pair.old, "old")) is Verdict.FENCED
    assert await _verdict(pair.second, done(pair.new, "new")) is Verdict.ACCEPTED
    row, events = await arena.store.get_run(pair.run), await all_events(arena.store, pair.run)
    assert await _verdict(pair.second, done(pair.new, "new")) is Verdict.ALREADY
    assert await _verdict(pair.first, failed(pair.old)) is Verdict.FENCED
    arena.fired("report that came too late or twice", 3)
    assert row.output == {"a": "new"}
    assert (row, events) == (
        await arena.store.get_run(pair.run),
        await all_events(arena.store, pair.run),
    )
    await arena.check()


async def test_f13_a_late_completion_races_the_next_claim(arena: Arena) -> None:
    """F13: either the completion wins and nobody gets the task, or it is fenced."""
    won = Counter[str]()
    for _ in range(sized(25, 500)):
        pair = Pair(arena)
        await pair.claim()
        late, next_ = await _at_once(
            arena,
            pair.first.exchange([done(pair.old, 1)], free=0),
            pair.take_over(),
        )
        verdict = late.verdicts[pair.old.key]
        assert verdict is (Verdict.FENCED if next_.tasks else Verdict.ACCEPTED)
        won["completion" if verdict is Verdict.ACCEPTED else "claim"] += 1
        for task in next_.tasks:
            assert await _verdict(pair.second, done(task, 2)) is Verdict.ACCEPTED
        types = await pair.types()
        assert (types["task_completed"], types["workflow_completed"]) == (1, 1)
    arena.fired("race", won.total())
    arena.figure(**{f"won by the {who}": count for who, count in won.items()})
    await arena.check()


@pytest.mark.parametrize("parked", ["completion", "sweep"])
async def test_f13_who_is_held_up_midway_does_not_act_on_an_old_look(
    arena: Arena, parked: str
) -> None:
    """F13: the one has looked and is held up before it writes, the other comes in between."""
    rounds = sized(5, 100)
    for _ in range(rounds):
        pair = Pair(arena)
        await pair.claim()
        complete: Coroutine[Any, Any, Any] = pair.first.exchange([done(pair.old, 1)], free=0)
        sweep: Coroutine[Any, Any, Any] = pair.second.store.tick()
        first, other = (complete, sweep) if parked == "completion" else (sweep, complete)
        async with arena.database.transaction() as obstacle:
            await obstacle.execute(_LOCK_TASK, (pair.old.task_id,))
            held_up = asyncio.ensure_future(first)
            await arena.hold(pair.first.somebody_waits, what=f"the {parked} is not held up")
            later = asyncio.ensure_future(other)
            if parked == "completion":
                await later  # it leaves alone what somebody else is just busy with
            else:
                await arena.hold(lambda: _waiting(arena, 2), what="the completion does not wait")
        answers = await asyncio.gather(held_up, later)
        answer = answers[0 if parked == "completion" else 1]
        wanted = Verdict.ACCEPTED if parked == "completion" else Verdict.FENCED
        assert answer.verdicts[pair.old.key] is wanted
        tasks = (await pair.take_over()).tasks
        assert len(tasks) == (parked == "sweep")
        for task in tasks:
            assert await _verdict(pair.second, done(task, 2)) is Verdict.ACCEPTED
        types = await pair.types()
        assert (types["task_completed"], types["workflow_completed"]) == (1, 1)
    arena.fired(f"{parked} held up", rounds)
    await arena.check()


async def _waiting(arena: Arena, count: int) -> bool:
    rows = await arena.database.fetch_all(
        b"select 1 from pg_stat_activity where wait_event_type = 'Lock'"
        b" and datname = current_database()"
    )
    return len(rows) >= count


async def test_f14_a_late_failure_races_the_completion(arena: Arena) -> None:
    """F14: from two owners at once; only the present one counts, and the counters count once."""
    rounds = sized(25, 300)
    for _ in range(rounds):
        pair = Pair(arena)
        await pair.claim()
        await pair.claim_again()
        late, right = await _at_once(
            arena,
            pair.first.exchange([failed(pair.old)], free=0),
            pair.second.exchange([done(pair.new, 1)], free=0),
        )
        assert late.verdicts[pair.old.key] is Verdict.FENCED
        assert right.verdicts[pair.new.key] is Verdict.ACCEPTED
        types = await pair.types()
        assert (types["task_completed"], types["task_failed"]) == (1, 0)
        await pair.first.consistent()
    arena.fired("race", rounds)
    await arena.check()


async def test_f51_everything_at_once_on_one_run(arena: Arena) -> None:
    """F51: completions, failures, a cancel, pauses and upkeep meet on the same run: no deadlock
    comes to anybody (the server looks for them after 100 ms)."""
    steps: list[JsonObject] = [
        {"id": "m", "for_each": list(range(8)), "on_error": "continue"},
        {"id": "z", "depends_on": ["m"]},
    ]
    for _ in range(sized(10, 100)):
        engines = [Engine(arena.database, plain_registry()) for _ in range(4)]
        for engine in engines:
            await engine.join()
        run_id = await engines[0].start(flow_of(*steps), timeout_seconds=10**9)
        arena.acknowledged.append(run_id)
        held = [(engine, (await engine.exchange(free=2)).tasks) for engine in engines]
        calls = [
            engine.exchange([done(tasks[0], 1), failed(tasks[1])], free=4)
            for engine, tasks in held
            if len(tasks) == 2
        ]
        store = arena.store
        verbs = [store.pause_run(run_id), store.tick(), store.resume_run(run_id), store.tick()]
        await _at_once(arena, *calls, *verbs)
        await _at_once(arena, store.cancel_run(run_id), store.tick(), engines[0].exchange())
    arena.fired("meeting", len(arena.acknowledged))
    log = arena.server.cluster.log.read_text(encoding="utf-8", errors="replace")
    assert "deadlock detected" not in log
    await arena.check()


async def test_f51_eight_clients_meet_on_a_few_runs(arena: Arena) -> None:
    """F51: completions, failures, retries, waits, events, progress, cancels, pauses and upkeep of
    eight clients at once; long: for a minute. Nobody meets a deadlock."""
    document = flow_of(
        {"id": "m", "for_each": list(range(6)), "on_error": "continue"},
        {"id": "w", "retry": {"max_attempts": 3}},
        {"id": "z", "depends_on": ["m", "w"], "trigger_rule": "all_done"},
    )
    end = time.monotonic() + sized(3, 60)
    deeds: Counter[str] = Counter()

    async def client(database: Database) -> None:
        dice, engine = random.Random(arena.dice.random()), Engine(database, plain_registry())
        await engine.join()
        while time.monotonic() < end:
            deed = dice.choice(["start", *["exchange"] * 4, "tick", "emit", "cancel", "pause"])
            deeds[deed] += await _do(arena, engine, dice, deed, document)

    async with await Database.open(arena.dsn, application_name="faults", size=8) as database:
        await asyncio.gather(*(client(database) for _ in range(8)))
    assert len(deeds) == 6
    arena.fired("deed", deeds.total())
    arena.figure(**deeds)
    log = arena.server.cluster.log.read_text(encoding="utf-8", errors="replace")
    assert "deadlock detected" not in log
    await Engine(arena.database, plain_registry()).finish_everything()
    await arena.check(seconds=120)


async def _do(arena: Arena, engine: Engine, dice: random.Random, deed: str, document: Flow) -> bool:
    """Do it to one of the open runs; False: somebody was faster."""
    store = engine.store
    open_runs = [one.id for one in await store.list_runs(limit=6) if not one.status.terminal]
    if deed == "start" or not open_runs:
        if len(open_runs) < 4:
            arena.acknowledged.append(await engine.start(document, timeout_seconds=10**9))
        return len(open_runs) < 4
    try:
        if deed == "exchange":
            tasks = (await engine.exchange(free=3, lease=dice.choice([0.05, 30]))).tasks
            await engine.exchange([_outcome(dice, task) for task in tasks], free=0)
        elif deed == "tick":
            await store.tick()
        elif deed == "emit":
            await store.emit("go", str(dice.randrange(3)), 0, keep_seconds=dice.choice([0.01, 9]))
        elif deed == "cancel" and dice.random() < 0.3:
            await store.cancel_run(dice.choice(open_runs))
        else:
            run_id = dice.choice(open_runs)
            await store.pause_run(run_id)
            await store.resume_run(run_id)
    except (InvalidTransition, StaleTask):
        return False
    return True


def _outcome(dice: random.Random, task: LeasedTask) -> Outcome:
    roll = dice.random()
    if roll < 0.2:
        return retry(task, delay=0.01)
    if roll < 0.35:
        return failed(task)
    if roll < 0.6 and task.kind == "step":
        key = str(dice.randrange(3))
        return waiting(
            task, kind="event", name="go", key=key, timeout_seconds=20, on_timeout="null"
        )
    return done(task, task.index)


async def _verdict(engine: Engine, outcome: Outcome) -> Verdict:
    answer = await engine.exchange([outcome], free=0)
    return answer.verdicts[(outcome.task_id, outcome.fence)]


async def _at_once(arena: Arena, *calls: Coroutine[Any, Any, Any]) -> list[Any]:
    """Let calls go off together, in any order; returns what they gave, in the order given."""
    answers: dict[int, Any] = {}

    async def go(number: int) -> None:
        try:
            answers[number] = await calls[number]
        except InvalidTransition as error:  # another one was faster
            answers[number] = error

    order = list(range(len(calls)))
    arena.dice.shuffle(order)
    await asyncio.gather(*(go(number) for number in order))
    return [answers[number] for number in range(len(calls))]
