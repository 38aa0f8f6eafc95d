"""A service that is told to stop: with open streams and running tasks, by real processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from flowbuilder.client import FlowBuilder
from flowbuilder.executor.states import RunStatus
from tests.support.api import all_in
from tests.support.waiting import eventually

_ROOT = Path(__file__).parents[2]
STREAMS = 100
TASKS = 50
#: No measure of anything: whatever takes longer hangs.
LONGEST = 120
GRACE = 8

TOOLS = '''
import asyncio
from pathlib import Path
from flowbuilder import tool

@tool("stop.hold", effects="read")
async def hold(folder: str, index: int) -> int:
    """Note that it has begun, and wait for the gate."""
    with open(Path(folder, f"begun-{index}"), "a") as file:
        file.write("x")
    while not Path(folder, "gate").exists():
        await asyncio.sleep(0.02)
    return index
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "stop_tools.py").write_text(TOOLS)
    return tmp_path


@contextmanager
def service(dsn: str, folder: Path, *, worker: bool = False, **given: str) -> Iterator[Service]:
    """A `flowbuilder serve` of its own, killed at the end if it is still there."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "flowbuilder.cli", "serve", "--port", str(port)),
            "--worker" if worker else "--no-worker",
        ],
        env={
            **os.environ,
            "PYTHONPATH": f"{_ROOT}{os.pathsep}{folder}",
            "FLOWBUILDER_DATABASE_URL": dsn,
            "FLOWBUILDER_AUTH": "local",
            "FLOWBUILDER_TOOLS": "stop_tools",
            "FLOWBUILDER_CONCURRENCY": str(TASKS),
            "FLOWBUILDER_SHUTDOWN_GRACE": f"{GRACE}s",
            "FLOWBUILDER_DATA_DIR": str(folder),
            **given,
        },
        stderr=subprocess.DEVNULL,
    )
    try:
        yield Service(process, f"http://127.0.0.1:{port}")
    finally:
        process.kill()
        process.wait()


class Service:
    """A process that serves."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.process = process
        self.url = url

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def status(self, path: str) -> int | None:
        """The status of an answer; None when nobody answers."""
        with contextlib.suppress(httpx.HTTPError):
            async with httpx.AsyncClient() as client:
                return (await client.get(f"{self.url}{path}")).status_code
        return None

    async def ready(self) -> None:
        async def is_ready() -> bool:
            return await self.status("/readyz") == 200

        await eventually(is_ready, seconds=LONGEST, what="the service does not come up")

    async def gone(self) -> int:
        await eventually(
            lambda: self.process.poll() is not None, seconds=LONGEST, what="it does not end"
        )
        code = self.process.returncode
        assert code is not None
        return code


class Follower:
    """A client that follows a run by one connection after the other."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self.said: list[dict[str, Any]] = []
        self.texts: list[str] = []

    @property
    def last(self) -> int:
        return max((one["id"] for one in self.said if one["id"] is not None), default=0)

    async def follow(self, client: httpx.AsyncClient) -> None:
        """Read until the service ends the stream, in order."""
        headers = {"Accept": "text/event-stream"}
        if self.last:
            headers["Last-Event-ID"] = str(self.last)
        self.texts.append("")
        async with client.stream(
            "GET", f"/api/v1/runs/{self.run_id}/events", headers=headers
        ) as answer:
            assert answer.status_code == 200
            whole, rest = "", ""
            async for text in answer.aiter_text():
                self.texts[-1] += text
                whole, _, rest = (rest + text).rpartition("\n\n")
                self.said += all_in(whole)
            assert not rest


@asynccontextmanager
async def following(
    service: Service, followers: list[Follower]
) -> AsyncIterator[asyncio.Future[Any]]:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=service.url, timeout=None, limits=limits) as client:
        tasks = asyncio.gather(*(one.follow(client) for one in followers))
        yield tasks


def document(folder: Path) -> dict[str, Any]:
    step = {
        "id": "hold",
        "tool": "stop.hold",
        "for_each": list(range(TASKS)),
        "concurrency": TASKS,
        "args": {"folder": str(folder), "index": "${{ item }}"},
    }
    return {"flow": "held", "steps": [step], "output": "${{ steps.hold }}"}


def begun(folder: Path) -> int:
    return len(list(folder.glob("begun-*")))


def begun_once(folder: Path) -> bool:
    return all(file.read_text() == "x" for file in folder.glob("begun-*"))


async def post_run(service: Service, folder: Path) -> str:
    async with httpx.AsyncClient(base_url=service.url) as client:
        made = await client.post("/api/v1/runs", json={"document": document(folder)})
        assert made.status_code == 201, made.text
        return str(made.json()["id"])


def assert_sent_away(followers: list[Follower]) -> None:
    for one in followers:
        assert "event: end" not in one.texts[-1]
        assert one.texts[-1].rstrip().rpartition("\n")[2].startswith("retry: ")


def assert_whole(followers: list[Follower]) -> None:
    for one in followers:
        numbers = [said["id"] for said in one.said if said["id"] is not None]
        assert numbers == list(range(1, len(numbers) + 1))
        assert one.said[-1]["event"] == "end"
        last = [said["event"] for said in one.said if said["id"] is not None][-1]
        assert last == "workflow_completed"


@pytest.mark.parametrize("ends", [False, True], ids=["handed-back", "finished"])
async def test_a_service_stops_with_open_streams_and_running_tasks(
    dsn: str, folder: Path, ends: bool
) -> None:
    """All streams are told to come back, what runs is finished or given back, nothing is lost."""
    with service(dsn, folder, worker=True) as first:
        await first.ready()
        run_id = await post_run(first, folder)
        followers = [Follower(run_id) for _ in range(STREAMS)]
        async with following(first, followers) as reading:
            await eventually(lambda: begun(folder) == TASKS, seconds=LONGEST)
            await eventually(lambda: all(one.last > TASKS for one in followers), seconds=LONGEST)
            first.terminate()
            if ends:
                (folder / "gate").touch()
            await reading
        # a run that ends within the notice ends its streams, too
        assert_sent_away([one for one in followers if one.said[-1]["event"] != "end"])
        assert ends or all(one.said[-1]["event"] != "end" for one in followers)
        assert await first.gone() == 0
        async with FlowBuilder.connect(dsn, worker=False) as builder:
            run = await builder.get_run(run_id)
            tasks = await run.tasks()
            expected = "completed" if ends else "queued"
            assert {task.status.value for task in tasks if task.step_id == "hold"} == {expected}
    (folder / "gate").touch()
    with service(dsn, folder, worker=True) as second:
        await second.ready()
        behind = [one for one in followers if one.said[-1]["event"] != "end"]
        async with following(second, behind) as reading:
            await reading
        assert_whole(followers)
        second.terminate()
        assert await second.gone() == 0
    async with FlowBuilder.connect(dsn, worker=False) as builder:
        run = await builder.get_run(run_id)
        assert (run.row.status, run.row.output) == (RunStatus.COMPLETED, list(range(TASKS)))
        assert {task.attempt for task in await run.tasks() if task.step_id == "hold"} == {1}


async def test_a_service_without_a_worker_stops_with_open_streams(dsn: str, folder: Path) -> None:
    """A client that takes nothing holds nobody up, and the run knows nothing of it."""
    with service(dsn, folder) as first, service(dsn, folder, worker=True) as other:
        await first.ready()
        await other.ready()
        run_id = await post_run(first, folder)
        followers = [Follower(run_id) for _ in range(STREAMS)]
        async with following(first, followers) as reading:
            await eventually(lambda: all(one.last > TASKS for one in followers), seconds=LONGEST)
            with stalled(first, run_id):
                first.terminate()
                await reading
                assert_sent_away(followers)
                assert await first.gone() == 0
        (folder / "gate").touch()
        async with following(other, followers) as reading:
            await reading
        assert_whole(followers)
    assert begun_once(folder)


@contextmanager
def stalled(service: Service, run_id: str) -> Iterator[None]:
    """A client that asks for a stream and takes nothing of it."""
    host, _, port = service.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as stuck:
        lines = [f"GET /api/v1/runs/{run_id}/events HTTP/1.1", f"Host: {host}"]
        stuck.sendall("\r\n".join([*lines, "Accept: text/event-stream", "", ""]).encode())
        yield


async def test_it_is_not_ready_before_it_stops_to_listen(dsn: str, folder: Path) -> None:
    with service(
        dsn, folder, FLOWBUILDER_SHUTDOWN_NOTICE="1h", FLOWBUILDER_SHUTDOWN_GRACE="4h"
    ) as first:
        await first.ready()
        first.terminate()

        async def is_not_ready() -> bool:
            return await first.status("/readyz") == 503

        await eventually(is_not_ready, seconds=LONGEST)
        assert await first.status("/healthz") == 200
        assert await first.status("/api/v1/runs") == 200
        assert first.process.poll() is None
        first.terminate()
        assert await first.gone() == 128 + signal.SIGTERM
