"""kill -9 of workers: nothing is lost, nothing completes twice, recovery is quick."""

from __future__ import annotations

import asyncio
import time

import pytest

from flowbuilder.types import JsonObject
from tests.faults.harness.arena import LONG, Arena, Worker, chain, fan, flow, sized
from tests.faults.harness.ledger import quantile

CONCURRENCY = 4


async def test_f1_a_worker_killed_in_the_middle_of_a_step(arena: Arena) -> None:
    """F1: SIGKILL at random points while many runs are under way; long: 200 runs."""
    workers = [arena.worker(concurrency=CONCURRENCY) for _ in range(2)]
    await arena.joined(*workers)
    kills, runs = sized(2, 20), sized(5, 10)

    def busy() -> list[Worker]:
        return [worker for worker in workers if arena.ledger.interrupted(worker.pid)]

    for _ in range(kills):
        mark = arena.ledger.count() + arena.dice.randint(1, 2 * runs)
        for _ in range(runs):
            await arena.start(chain(4, ms=20), 7)
        await arena.hold(lambda: arena.ledger.count() >= mark, what="they do not begin")  # noqa: B023
        await arena.hold(lambda: bool(busy()), what="nobody is in the middle of a step")
        victim = arena.dice.choice(busy() or workers)
        victim.kill()
        await victim.gone()
        workers.remove(victim)
        workers.append(arena.worker(concurrency=CONCURRENCY))
        await arena.joined(workers[-1])
    assert await arena.outputs(seconds=120) == [7] * len(arena.acknowledged)
    await arena.check()
    interrupted = sum(len(arena.ledger.interrupted(pid)) for pid in arena.kills)
    arena.fired("step interrupted by a kill", interrupted)
    arena.assert_extra_entries(at_most=kills * CONCURRENCY)
    times = arena.ledger.recoveries(arena.kills)
    assert len(times) == interrupted
    arena.figure(recovery_p95=round(quantile(times, 0.95), 2), recovery_worst=round(max(times), 2))
    if LONG:
        assert quantile(times, 0.95) <= 2.0
        assert max(times) <= workers[0].orders.lease + 1


async def test_f2_random_workers_are_killed_until_all_is_done(arena: Arena) -> None:
    """F2: kill -9 in a loop, a new worker for each victim; long: 10,000 steps, over 100 kills."""
    count, size = sized(3, 4), sized(4, 8)
    workers = [arena.worker(concurrency=size) for _ in range(count)]
    await arena.joined(*workers)
    for _ in range(sized(4, 100)):
        await _start_wide(arena)
    kills = await _kill_until_done(arena, workers, size, least=sized(5, 100))
    outputs = await arena.outputs(seconds=sized(60, 300))
    assert outputs == [list(range(sized(25, 99)))] * len(outputs)
    await arena.check()
    extra = arena.assert_extra_entries(at_most=kills * size)
    times = arena.ledger.recoveries(arena.kills)
    assert times, "no kill has interrupted anything"
    arena.figure(
        kills=kills,
        steps=len({entry.unit for entry in arena.ledger.entries()}),
        again=extra,
        recovery_p95=round(quantile(times, 0.95), 2),
        recovery_worst=round(max(times), 2),
    )
    if LONG:
        assert quantile(times, 0.95) <= 2.0
        assert max(times) <= workers[0].orders.lease + 1


async def _kill_until_done(arena: Arena, workers: list[Worker], size: int, *, least: int) -> int:
    """Kill somebody and replace him, again and again, while there is work; at least so often, and
    until one of them was at work."""
    kills = 0
    while (
        kills < least
        or not any(map(arena.ledger.interrupted, arena.kills))
        or await arena.persistently(lambda: _open_runs(arena))
    ):
        if not await arena.persistently(lambda: _open_runs(arena)):
            await _start_wide(arena)
        await asyncio.sleep(arena.dice.uniform(0.15, 0.35) if not LONG else 0.9)
        victim = arena.dice.choice(workers)
        workers.remove(victim)
        victim.kill()
        kills += 1
        workers.append(arena.worker(concurrency=size))
    return kills


async def _start_wide(arena: Arena) -> None:
    await arena.start(fan(sized(25, 99), ms=sized(30, 350)))


async def _open_runs(arena: Arena) -> bool:
    rows = await arena.database.fetch_all(
        b"select 1 from flowbuilder.runs where finished_at is null limit 1"
    )
    return bool(rows)


async def test_f3_every_worker_is_killed_at_once_and_one_comes(arena: Arena) -> None:
    """F3: nobody is left; one new worker does all the rest, each task once, and as fast as one that
    was always alone."""
    workers = [arena.worker(concurrency=CONCURRENCY)]
    await arena.joined(*workers)
    await arena.start(fan(sized(50, 300), ms=30))
    await arena.outputs()
    alone = _rate(arena, workers[0])
    workers += [arena.worker(concurrency=CONCURRENCY) for _ in range(2)]
    await arena.joined(*workers)
    mark = arena.ledger.count() + 20
    await arena.start(fan(sized(200, 1000), ms=30))
    await arena.hold(lambda: arena.ledger.count() >= mark, what="they do not begin")
    for worker in workers:
        worker.kill()
    for worker in workers:
        await worker.gone()
    interrupted = sum(len(arena.ledger.interrupted(worker.pid)) for worker in workers)
    assert interrupted > 0
    last = arena.worker(concurrency=CONCURRENCY)
    await arena.outputs()
    await arena.check()
    arena.assert_extra_entries(at_most=3 * CONCURRENCY)
    assert {entry.attempt for entry in arena.ledger.entries()} == {1}
    ratio = _rate(arena, last) / alone
    arena.figure(interrupted=interrupted, rate_alone=round(alone), rate_ratio=round(ratio, 2))
    if LONG:
        assert ratio >= 0.8


def _rate(arena: Arena, worker: Worker) -> float:
    """Return how many elements a second this worker has begun, from its first to its last."""
    times = [entry.at for entry in arena.ledger.entries("each") if entry.pid == worker.pid]
    return (len(times) - 1) / (times[-1] - times[0])


async def test_f3_what_a_killed_worker_held_goes_before_the_backlog(arena: Arena) -> None:
    """F3: while others have more than enough to do, what was interrupted is not put off."""
    gate = arena.folder / "gate"
    victim = arena.worker(concurrency=CONCURRENCY)
    await arena.joined(victim)
    await arena.start(fan(CONCURRENCY, tool="fault.hold", args={"gate": str(gate)}))
    await arena.hold(lambda: arena.ledger.count() == CONCURRENCY, what="it does not begin")
    victim.freeze()
    gate.touch()
    for _ in range(3):
        await arena.start(fan(200, ms=20))
    survivor = arena.worker(concurrency=CONCURRENCY)
    await arena.joined(survivor)
    victim.kill()
    await arena.outputs()
    await arena.check()
    interrupted = {entry.unit for entry in arena.ledger.interrupted(victim.pid)}
    assert len(interrupted) == CONCURRENCY
    later = [entry.unit for entry in arena.ledger.entries() if entry.pid == survivor.pid]
    last = max(later.index(unit) for unit in interrupted)
    arena.figure(begun_before=last, backlog=len(later))
    # Being found dead takes a second or two of the other one's work; the backlog takes longer.
    assert last < 0.9 * len(later)


async def test_f4_a_kill_between_the_effect_and_its_report(arena: Arena) -> None:
    """F4: the effect may happen again, and the handler can tell by the same idempotency key."""
    steps: list[JsonObject] = [
        {"id": "pay", "tool": "fault.effect", "args": {"die_first": True, "value": 5}}
    ]
    arena.worker(concurrency=1)
    await arena.start(flow("effect", steps, output="${{ steps.pay }}"))
    await arena.hold(lambda: not arena.workers[0].alive, what="it does not die")
    arena.fired("kill -9 after the effect")
    arena.worker(concurrency=1)
    assert await arena.outputs() == [5]
    await arena.check()
    rows = await arena.database.fetch_all(b"select key, attempt, pid from public.effects")
    assert len(rows) == 2 and len({row["pid"] for row in rows}) == 2
    assert len({row["key"] for row in rows}) == 1
    # Losing a worker costs no try.
    assert {row["attempt"] for row in rows} == {1}


async def test_f6_a_kill_between_the_claim_and_the_handler(arena: Arena) -> None:
    """F6: what was claimed and never begun is done by the next one, without costing a try."""
    first = arena.worker(concurrency=CONCURRENCY, crash="after_claim")
    await arena.start(fan(12, ms=1))
    await first.gone()
    arena.fired("kill -9 after the claim")
    assert arena.ledger.count() == 0, "a handler had begun"
    arena.worker(concurrency=CONCURRENCY)
    assert await arena.outputs() == [list(range(12))]
    await arena.check()
    assert {entry.attempt for entry in arena.ledger.entries()} == {1}
    arena.assert_extra_entries(at_most=0)


async def test_f7_a_kill_right_after_the_outcomes_were_committed(arena: Arena) -> None:
    """F7: completion and acknowledgement are one transaction: nothing runs again."""
    first = arena.worker(concurrency=1, crash="after_report")
    await arena.start(chain(4), 3)
    await first.gone()
    arena.fired("kill -9 after the report")
    reported = {entry.step for entry in arena.ledger.read() if entry.what == "exit"}
    assert reported, "nothing had been reported"
    arena.worker(concurrency=1)
    assert await arena.outputs() == [3]
    await arena.check()
    again = {entry.step for entry in arena.ledger.entries() if entry.pid != first.pid}
    assert not reported & again


async def test_f4_a_kill_between_the_handler_and_its_report(arena: Arena) -> None:
    """F4: what had ended and was not reported runs again, and completes once."""
    first = arena.worker(concurrency=CONCURRENCY, crash="before_report")
    await arena.start(fan(12, ms=1))
    await first.gone()
    arena.fired("kill -9 before the report")
    arena.worker(concurrency=CONCURRENCY)
    assert await arena.outputs() == [list(range(12))]
    await arena.check()
    assert arena.assert_extra_entries(at_most=CONCURRENCY) >= 1


@pytest.mark.parametrize("death", ["kill", "segfault", "exit"])
async def test_f33_a_step_that_takes_its_worker_down_every_time(arena: Arena, death: str) -> None:
    """F33: poison ends after so many claims; work that its workers hold besides gets through."""
    claims = sized(2, 5)
    die: JsonObject = {"id": "die", "tool": "fault.die", "args": {"death": death}}
    poison = await arena.start(flow("poison", [die]))
    innocent = await arena.start(fan(sized(12, 60), ms=60))
    arena.worker(concurrency=3, max_claims=claims)
    deaths = 0
    deadline = time.monotonic() + 60
    while not (await arena.store.get_run(poison)).status.terminal:
        assert time.monotonic() < deadline, "the poison is never given up"
        if not arena.workers[-1].alive:
            deaths += 1
            arena.worker(concurrency=3, max_claims=claims)
        await asyncio.sleep(0.01)
    arena.fired("death by a step", deaths)
    assert deaths == claims == arena.ledger.count("die")
    after = await arena.start(chain(3), 1)
    runs = {run.id: run for run in await arena.ended()}
    assert runs[after].output == 1
    assert runs[innocent].output == list(range(sized(12, 60)))
    error = runs[poison].error
    assert error is not None and error["code"] == "poison"
    await arena.check()
