"""Values and errors that no database and no pickle can take: a typed failure, never a stuck run."""

from __future__ import annotations

import pytest

from flowbuilder import FlowBuilder
from flowbuilder.errors import FlowBuilderError
from flowbuilder.types import JsonObject
from tests.faults.harness.arena import Arena, chain, flow

OUTPUTS = ("nul", "surrogate", "nan", "infinity", "deep", "very_deep", "large", "object")


async def test_f34_outputs_that_cannot_be_stored(arena: Arena) -> None:
    """F34: every one fails its step with a code; work beside it goes on."""
    worker = arena.worker(concurrency=16)
    await arena.joined(worker)
    bad = {}
    for kind in OUTPUTS:
        step: JsonObject = {"id": "bad", "tool": "fault.output", "args": {"kind": kind}}
        bad[await arena.start(flow(f"bad-{kind.replace('_', '-')}", [step]))] = kind
        await arena.start(chain(2), 1)
    runs = {run.id: run for run in await arena.ended()}
    for run_id, kind in bad.items():
        run = runs.pop(run_id)
        assert run.status.value == "failed", kind
        assert run.error is not None
        assert run.error["code"] and run.error["step"] == "bad", kind
    arena.fired("bad output", arena.ledger.count("bad"))
    assert {run.output for run in runs.values()} == {1}
    assert worker.alive
    await arena.check()


@pytest.mark.parametrize("kind", ["nul", "surrogate", "nan", "deep", "large"])
async def test_f34_inputs_that_cannot_be_stored(arena: Arena, kind: str) -> None:
    """F34: refused at the start with an error of ours, and nothing of it is stored."""
    deep: object = 1
    for _ in range(20_000):
        deep = [deep]
    values = {
        "nul": "a\0b",
        "surrogate": "\ud800",
        "nan": float("nan"),
        "deep": deep,
        "large": "x" * 50_000_000,
    }
    opened = FlowBuilder.connect(arena.dsn, registry=arena.registry, worker=False)
    async with opened as builder:
        with pytest.raises(FlowBuilderError) as refused:
            await builder.execute(chain(1), {"value": values[kind]})  # type: ignore[dict-item]
    arena.fired(f"refused with {refused.value.code}")
    assert await arena.store.list_runs() == []
    await arena.check()


async def test_f35_errors_that_cannot_be_told(arena: Arena) -> None:
    """F35: recursive, without a text, or meant to end the process: stored, the worker lives."""
    worker = arena.worker()
    await arena.joined(worker)
    for kind in ("twisted", "exit", "keyboard"):
        step: JsonObject = {
            "id": "raise",
            "tool": "fault.raise",
            "args": {"kind": kind},
            "retry": {"max_attempts": 1},
        }
        await arena.start(flow(kind, [step]))
    runs = await arena.ended()
    assert {run.status.value for run in runs} == {"failed"}
    assert all(run.error and run.error["code"] for run in runs)
    arena.fired("hostile error", arena.ledger.count("raise"))
    await arena.start(chain(2), 1)
    await arena.check()
    assert {entry.pid for entry in arena.ledger.entries()} == {worker.pid}
