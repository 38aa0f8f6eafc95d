"""`flowbuilder worker` and `flowbuilder serve`: one signal asks them to stop, a second one does not
wait."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from flowbuilder.executor.database import Database
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.store import Store
from flowbuilder.flow import Flow
from flowbuilder.tools import ToolRegistry, tool
from tests.support.engine import Engine, done
from tests.support.waiting import eventually

WAIT = 60.0
#: `hold` goes on until there is a file; `block` holds up the event loop meanwhile.
TOOLS = """
import asyncio, os, pathlib, time
from flowbuilder import tool

def enter(folder):
    pathlib.Path(folder, "entered").write_text(str(os.getpid()))
    return pathlib.Path(folder, "gate")

@tool("signal.hold")
async def hold(folder: str) -> int:
    gate = enter(folder)
    while not gate.exists():
        await asyncio.sleep(0.01)
    return 0

@tool("signal.block")
async def block(folder: str) -> int:
    gate = enter(folder)
    while not gate.exists():
        time.sleep(0.01)
    return 0
"""


@tool("signal.hold")
def hold(folder: str) -> int:
    """Stand for the tool of the other process."""
    return 0


@tool("signal.block")
def block(folder: str) -> int:
    """Stand for the tool of the other process."""
    return 0


@contextmanager
def process(dsn: str, folder: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command with the tools, and a grace that no test could wait for."""
    (folder / "signal_tools.py").write_text(TOOLS)
    started = subprocess.Popen(
        [sys.executable, "-m", "flowbuilder.cli", *arguments, "--tools", "signal_tools"],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
            "FLOWBUILDER_DATABASE_URL": dsn,
            "FLOWBUILDER_AUTH": "local",
            "FLOWBUILDER_SHUTDOWN_GRACE": "1h",
            "FLOWBUILDER_LOG_LEVEL": "info",
            "FLOWBUILDER_DATA_DIR": str(folder),
        },
        stderr=subprocess.PIPE,
        # What is started in the background of a shell has been told to ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def said(process: subprocess.Popen[bytes], words: bytes) -> None:
    """Read what the process says until these words come."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"it ended without saying {words!r}")


async def start(store: Store, name: str, folder: Path) -> str:
    flow = Flow.model_validate(
        {"flow": "held", "steps": [{"id": "a", "tool": name, "args": {"folder": str(folder)}}]}
    )
    version = await store.register_version(flow, ToolRegistry([hold, block]))
    return (await store.start_run(version.id, None, timeout_seconds=600))[0].id


async def entered(folder: Path) -> None:
    await eventually((folder / "entered").exists, seconds=WAIT, what="no task was begun")


async def assert_given_back(database: Database, run_id: str) -> None:
    """Assert that another worker gets the task, and that it costs no attempt."""
    engine = Engine(database, ToolRegistry([hold, block]))
    await engine.join()

    async def is_free() -> bool:
        await engine.store.tick(engine.worker)
        (task,) = await engine.store.run_tasks(run_id)
        return task.status == "queued"

    await eventually(is_free, seconds=WAIT, what="the task was not given back")
    [task] = await engine.drain(done)
    assert task.attempt == 1
    assert (await engine.run(run_id)).status is RunStatus.COMPLETED


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_worker_leaves_at_the_second_signal(
    database: Database, dsn: str, tmp_path: Path, number: signal.Signals
) -> None:
    run_id = await start(Store(database), "signal.hold", tmp_path)
    with process(dsn, tmp_path, "worker") as worker:
        await entered(tmp_path)
        worker.send_signal(number)
        said(worker, b"a second signal does not wait")
        worker.send_signal(number)
        assert worker.wait(timeout=WAIT) == 128 + number
    await assert_given_back(database, run_id)


async def test_a_handler_that_holds_up_the_loop_does_not_hold_up_the_second_signal(
    database: Database, dsn: str, tmp_path: Path
) -> None:
    run_id = await start(Store(database), "signal.block", tmp_path)
    with process(dsn, tmp_path, "worker") as worker:
        await entered(tmp_path)
        for number in (signal.SIGINT, signal.SIGTERM):  # two of a kind might arrive as one
            worker.send_signal(number)
        assert worker.wait(timeout=WAIT) == 128 + signal.SIGTERM
    await assert_given_back(database, run_id)


async def test_a_worker_lets_what_runs_end_at_the_first_signal(
    database: Database, dsn: str, tmp_path: Path
) -> None:
    run_id = await start(Store(database), "signal.hold", tmp_path)
    with process(dsn, tmp_path, "worker") as worker:
        await entered(tmp_path)
        worker.send_signal(signal.SIGTERM)
        (tmp_path / "gate").touch()
        assert worker.wait(timeout=WAIT) == 0
    row = await Store(database).get_run(run_id)
    assert (row.status, row.output) == (RunStatus.COMPLETED, {"a": 0})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_service_leaves_at_the_second_signal(
    database: Database, dsn: str, tmp_path: Path, number: signal.Signals
) -> None:
    run_id = await start(Store(database), "signal.hold", tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with process(dsn, tmp_path, "serve", "--port", str(port), "--worker") as service:
        await entered(tmp_path)
        await eventually(lambda: _answers(port), seconds=WAIT)
        service.send_signal(number)
        said(service, b"Shutting down")
        service.send_signal(number)
        assert service.wait(timeout=WAIT) == 128 + number
    await assert_given_back(database, run_id)


async def _answers(port: int) -> bool:
    async with httpx.AsyncClient() as client:
        try:
            return (await client.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
        except httpx.HTTPError:
            return False
