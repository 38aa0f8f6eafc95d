"""Runs whose steps are functions of a program, and the program is killed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.faults.harness.arena import Arena, sized


async def test_programs_are_killed_while_runs_call_their_functions(arena: Arena) -> None:
    """Nobody else has the functions: what had not called its function yet fails and says that it is
    gone, what had goes on elsewhere, nothing waits for ever, and no function is called twice."""
    survivor = arena.worker(concurrency=4)
    await arena.joined(survivor)
    for _ in range(sized(3, 30)):
        program = arena.worker(job="program")
        mark, wanted = arena.ledger.count("own"), arena.dice.randrange(5, 30)
        await arena.hold(
            lambda: arena.ledger.count("own") >= mark + wanted,  # noqa: B023
            what="the program starts nothing",
        )
        program.kill()
        await program.gone()
        arena.acknowledged += started_by(arena, program.orders.name)
    runs = await arena.ended(seconds=120)
    endings = Counter((run.error or {}).get("code", "completed") for run in runs)
    assert endings.keys() <= {"completed", "function_gone"}, endings
    arena.fired("run that lost its function", endings["function_gone"])
    called = Counter(entry.run for entry in arena.ledger.entries("own"))
    assert set(called.values()) == {1}
    for run in runs:
        if run.error is None:
            assert run.input == {"n": run.output} and called[run.id] == 1
    assert survivor.alive
    arena.figure(runs=len(runs), completed=endings["completed"])
    await arena.check()


def started_by(arena: Arena, name: str) -> list[str]:
    """Return the runs that a program was told of."""
    return Path(arena.folder, f"{name}.runs").read_text(encoding="utf-8").split()
