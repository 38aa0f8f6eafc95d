"""Joins, wide maps and random programs with workers that die."""

from __future__ import annotations

import asyncio
import random

from flowbuilder.flow import Flow
from flowbuilder.types import JsonObject, JsonValue
from tests.faults.harness.arena import Arena, Worker, fan, flow, sized
from tests.support.programs import INPUT, Program, expected, make


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
    """F48, F49: maps (empty ones, maps of maps), skips, trigger rules, retries under kill -9: each
    program comes to what the interpreter says."""
    workers = [arena.worker(concurrency=8) for _ in range(3)]
    await arena.joined(*workers)
    programs: dict[str, Program] = {}
    for number in range(sized(30, 10_000)):
        program = make(random.Random(arena.seed * 100_000 + number))
        run_id = await arena.start(_scripted(program, number), INPUT, timeout=10**6)
        programs[run_id] = program
        if number % sized(10, 100) == sized(9, 99):
            await _replace(arena, workers, concurrency=8)
            await asyncio.sleep(0.05)
    runs = {run.id: run for run in await arena.ended(seconds=sized(60, 900))}
    for run_id, program in programs.items():
        ending, run = expected(program), runs[run_id]
        told = f"seed {arena.seed}, run {run_id}: {program.steps}"
        if ending.fatal:
            assert run.status.value == "failed" and run.error is not None, told
            assert run.error["step"] in ending.fatal, told
        else:
            assert (run.status.value, run.error) == ("completed", None), told
            assert run.output == ending.output, told
            steps = await arena.store.run_steps(run_id)
            assert {one.step_id: one.status.value for one in steps} == ending.status, told
    arena.figure(programs=len(programs))
    await arena.check()


async def _replace(arena: Arena, workers: list[Worker], *, concurrency: int) -> None:
    """Kill somebody and start another one."""
    victim = workers.pop(arena.dice.randrange(len(workers)))
    victim.kill()
    workers.append(arena.worker(concurrency=concurrency))
    await victim.gone()


def _scripted(program: Program, number: int) -> Flow:
    """Return the program as a flow whose one tool follows the scripts by its arguments."""
    steps: list[JsonObject] = []
    for step in program.steps:
        script = program.scripts[str(step["id"])]
        args: JsonObject = {
            "stumbles": list(script.stumbles),
            "succeeds": list(script.succeeds),
            "value": script.value,
        }
        if "for_each" in step:
            args["item"] = "${{ item }}"
        changed = {**step, "tool": "fault.script", "args": args}
        if "when" in step:
            changed["when"] = "true" if script.condition else "false"
        steps.append(changed)
    output = {} if program.output is None else {"output": f"${{{{ steps.{program.output} }}}}"}
    return Flow.model_validate({"flow": f"random-{number}", "steps": steps, **output})
