"""The example subscribers hear of real runs, as programs of their own."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from flowbuilder import FlowBuilder, Settings

ROOT = Path(__file__).parents[2]
PROGRAMS = ROOT / "examples" / "subscribers"
SECONDS = 60


@pytest.fixture
async def fb(dsn: str) -> AsyncIterator[FlowBuilder]:
    async with FlowBuilder.connect(dsn, settings=Settings(), worker=True) as opened:
        yield opened


@asynccontextmanager
async def watching(name: str, dsn: str, count: int) -> AsyncIterator[Process]:
    """Start a program that ends after so many events, and wait until it watches."""
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROGRAMS / f"{name}.py"),
        str(count),
        stdout=PIPE,
        env={**os.environ, "FLOWBUILDER_DATABASE_URL": dsn, "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
    )
    try:
        assert program.stdout is not None
        async with asyncio.timeout(SECONDS):
            assert await program.stdout.readline() == b"watching\n"
            yield program
    finally:
        if program.returncode is None:
            program.kill()
            await program.wait()


async def said(program: Process) -> list[str]:
    """Return what a program printed until it ended by itself."""
    async with asyncio.timeout(SECONDS):
        out, _ = await program.communicate()
    assert program.returncode == 0
    return out.decode().splitlines()


def fails() -> None:
    raise ValueError("no luck")


async def test_workflow_observer_sees_runs_start_and_end(fb: FlowBuilder, dsn: str) -> None:
    async with watching("workflow_observer", dsn, 4) as program:
        document = {"flow": "f", "steps": [{"id": "a"}]}
        runs = [await fb.execute_dynamic(document, functions={"a": lambda: 1}) for _ in range(2)]
        lines = [line.split() for line in await said(program)]
    for run in runs:
        assert [words[2] for words in lines if words[1] == run.id] == [
            "workflow_started",
            "workflow_completed",
        ]
    assert await unread(fb, "workflow_observer") == 0


async def test_task_failures_hears_of_failures_only_and_of_those_it_missed(
    fb: FlowBuilder, dsn: str
) -> None:
    steps: list[Any] = [
        {"id": "good"},
        {"id": "bad", "on_error": "continue", "retry": {"max_attempts": 1}},
    ]
    document = {"flow": "f", "steps": steps}
    functions = {"good": lambda: 1, "bad": fails}
    async with watching("task_failures", dsn, 1) as program:
        run = await fb.execute_dynamic(document, functions=functions)
        assert await said(program) == [
            f"bad failed in run {run.id}: ValueError: no luck (exception, tries: 1)"
        ]
    run = await fb.execute_dynamic(document, functions=functions)
    await run.result(timeout=SECONDS)
    async with watching("task_failures", dsn, 1) as program:  # the failure is there already
        [line] = await said(program)
        assert run.id in line
    assert await unread(fb, "task_failures") == 0


async def test_approval_bell_rings_for_who_is_asked(fb: FlowBuilder, dsn: str) -> None:
    steps: list[Any] = [{"id": "pay", "approval": {"by": ["role:cashier"]}}]
    async with watching("approval_bell", dsn, 1) as program:
        run = await fb.execute_dynamic({"flow": "f", "steps": steps}, functions={"pay": lambda: 1})
        question, command = await said(program)
    (approval,) = await fb.approvals()
    assert question.startswith("\arole:cashier: ") and command.endswith(approval.id)
    await run.cancel()
    assert await unread(fb, "approval_bell") == 0


async def unread(fb: FlowBuilder, queue: str) -> int | None:
    [found] = [one for one in await fb.notifications.subscriptions() if one.queue == queue]
    return found.messages


def test_every_subscriber_is_tested_and_described() -> None:
    names = [path.stem for path in PROGRAMS.glob("*.py")]
    tests, readme = Path(__file__).read_text(), (ROOT / "examples" / "README.md").read_text()
    assert len(names) == 3
    assert [n for n in names if f'watching("{n}"' not in tests or f"{n}.py" not in readme] == []
