"""Joins, wide maps and random programs with workers that die."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from functools import partial

from flowbuilder.executor.records import RunRow
from flowbuilder.types import JsonObject, JsonValue
from tests.faults.harness.arena import Arena, Worker, fan, flow, sized
from tests.faults.harness.scripts import BAD_CHILD, GOOD_CHILD, event_key, events_of, scripted
from tests.support.programs import INPUT, Program, expected, make
from tests.support.undoing import check_undone, same

#: Programs that are started at the same time.
_TOGETHER = 4
#: How the steps are called that undo others.
_UNDOING = "compensate:"
_CHILDREN = b"select count(*) as n from flowbuilder.runs where parent_run_id is not null"


async def test_f46_a_hundred_steps_end_at_one_barrier(arena: Arena) -> None:
    """F46: all of them are running when the barrier opens; the join begins once."""
    gate = arena.folder / "gate"
    workers = [arena.worker(concurrency=25) for _ in range(4)]
    await arena.joined(*workers)
    for _ in range(sized(1, 10)):
        gate.unlink(missing_ok=True)
        mark = arena.ledger.count("each")
        run_id = await arena.start(fan(100, tool="fault.hold", args={"gate": str(gate)}))
        await arena.hold(lambda: arena.ledger.count("each") == mark + 100, what="they wait")  # noqa: B023
        arena.fired("at the barrier", arena.ledger.count("each") - mark)
        gate.touch()
        await arena.outputs()
        joins = [entry for entry in arena.ledger.entries("join") if entry.run == run_id]
        assert len(joins) == 1
    await arena.check()
    arena.assert_extra_entries(at_most=0)


async def test_f47_a_wide_map_with_failures_under_kills(arena: Arena) -> None:
    """F47: one element in a hundred fails for good; the results keep their order and places."""
    width = sized(300, 10_000)
    wanted: list[JsonValue] = [n if n % 100 != 7 else None for n in range(width)]
    items: list[JsonValue] = [{"n": n, "times": 0 if n % 100 != 7 else 99} for n in range(width)]
    step: JsonObject = {
        "id": "each",
        "tool": "fault.stumble",
        "for_each": "${{ input }}",
        "args": {"value": "${{ item.n }}", "times": "${{ item.times }}"},
        "retry": {"max_attempts": 2, "base_delay": "10ms"},
        "on_error": "continue",
    }
    workers = [arena.worker(concurrency=8) for _ in range(2)]
    await arena.joined(*workers)
    await arena.start(flow("wide", [step], output="${{ steps.each }}"), items)
    kills = 0
    while arena.ledger.count() < width * 0.7:
        mark = arena.ledger.count()
        await arena.hold(lambda: arena.ledger.count() > mark + width // 8, what="no progress")  # noqa: B023
        await _replace(arena, workers, concurrency=8)
        kills += 1
    assert await arena.outputs(seconds=300) == [wanted]
    await arena.check()
    failing = len([item for item in wanted if item is None])
    arena.assert_extra_entries(at_most=failing + 8 * kills)


async def test_f48_f49_random_programs_with_workers_that_die(arena: Arena) -> None:
    """F48, F49: maps (empty ones, maps of maps and of parts), values through references, skips,
    trigger rules, retries, child runs, waits for events and compensation under kill -9 and crashes
    of the server: each program comes to what the interpreter says."""
    workers = [arena.worker(concurrency=8) for _ in range(3)]
    await arena.joined(*workers)
    for child in (GOOD_CHILD, BAD_CHILD):
        await arena.store.register_version(child, arena.registry)
    programs: dict[str, Program] = {}
    for begin in range(0, sized(240, 10_000), _TOGETHER):
        made = {
            number: make(random.Random(arena.seed * 100_000 + number), woven=True)
            for number in range(begin, begin + _TOGETHER)
        }
        await _emit(arena, made, when="early")
        started = await asyncio.gather(*(
            arena.start(
                scripted(one, expected(one), number), INPUT, timeout=10**6, key=f"random {number}"
            ) for number, one in made.items()
        ))  # fmt: skip
        await _emit(arena, made, when="late")
        programs |= dict(zip(started, made.values(), strict=True))
        if begin % sized(40, 100) == 0:
            await _replace(arena, workers, concurrency=8)
        if begin % sized(120, 1000) == sized(60, 500):
            await asyncio.to_thread(arena.server.stop, "immediate")
            arena.fired("crash of the server")
            await asyncio.to_thread(arena.server.start)
    runs = {run.id: run for run in await arena.ended(seconds=sized(60, 1800))}
    undoing: dict[str, set[str]] = {}
    for entry in arena.ledger.entries():
        if entry.step.startswith(_UNDOING):
            undoing.setdefault(entry.run, set()).add(entry.step.removeprefix(_UNDOING))
    undone = 0
    for run_id, program in programs.items():
        undone += await _assert_as_interpreted(
            arena, runs[run_id], program, undoing.pop(run_id, set())
        )
    assert not undoing and undone > 0
    children = await arena.database.fetch_one(_CHILDREN)
    assert children is not None and children["n"] > 0
    arena.figure(programs=len(programs), children=children["n"], undone=undone)
    await arena.check(seconds=600)


async def _emit(arena: Arena, made: Mapping[int, Program], *, when: str) -> None:
    for number, program in made.items():
        for name, payload in events_of(program, when=when).items():
            await arena.persistently(partial(
                arena.store.emit, "go", event_key(number, name), payload, keep_seconds=10**7
            ))  # fmt: skip


async def _assert_as_interpreted(
    arena: Arena, run: RunRow, program: Program, undoing: set[str]
) -> int:
    """Assert that a run came to what its program comes to; returns how many steps were undone."""
    ending = expected(program)
    told = f"seed {arena.seed}, run {run.id}, {run.error}: {program}"
    if ending.fatal:
        assert run.status.value == "failed" and run.error is not None, told
        assert run.error["step"] in ending.fatal, told
        try:
            return check_undone(program, ending, run.error, undoing)
        except AssertionError as error:
            raise AssertionError(f"{error}; undoing began for {undoing}; {told}") from error
    assert (run.status.value, run.error) == ("completed", None), told
    assert same(run.output, ending.output), told
    steps = await arena.store.run_steps(run.id)
    assert {one.step_id: one.status.value for one in steps} == ending.status, told
    outputs = {one.step_id: one.output for one in steps if one.status.value == "completed"}
    assert same(outputs, ending.outputs), told
    assert not undoing, told
    return 0


async def _replace(arena: Arena, workers: list[Worker], *, concurrency: int) -> None:
    """Kill somebody and start another one."""
    victim = workers.pop(arena.dice.randrange(len(workers)))
    victim.kill()
    workers.append(arena.worker(concurrency=concurrency))
    await victim.gone()
