"""A server that is killed under living processes: they start it again and go on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import psycopg

from flowbuilder import FlowBuilder, Settings
from flowbuilder.errors import DatabaseUnavailable
from flowbuilder.executor import embedded
from flowbuilder.executor.cluster import try_lock, unlock
from flowbuilder.executor.embedded import EmbeddedServer
from flowbuilder.types import JsonValue
from tests.support.waiting import eventually

READER = Path(__file__).parents[1] / "support" / "run_reader.py"
TASKS = 50
#: Only ends what hangs.
SECONDS = 60


def postmaster(data_dir: Path) -> int:
    try:
        return int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])
    except (FileNotFoundError, IndexError):
        return 0


def kill(data_dir: Path) -> int:
    pid = postmaster(data_dir)
    os.kill(pid, signal.SIGKILL)
    return pid


def is_up(data_dir: Path) -> bool:
    lock = try_lock(data_dir / "server.lock")
    if lock is not None:
        unlock(lock)
    return lock is None


def ask(dsn: str, query: bytes) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query).fetchone()
    return row[0] if row else None


def sum_of_rows(dsn: str) -> object:
    try:
        return ask(dsn, b"select sum(n) from kept")
    except psycopg.OperationalError:
        return None


def is_back(data_dir: Path, dsn: str, killed: int) -> bool:
    return postmaster(data_dir) not in (0, killed) and sum_of_rows(dsn) == 5


def restarted(users: Sequence[EmbeddedServer], turns: int) -> bool:
    return sum(user.restarts for user in users) >= turns


async def test_of_many_users_one_starts_a_killed_server_again_each_time(data_dir: Path) -> None:
    with ExitStack() as leaving:
        users = [leaving.enter_context(embedded.start(data_dir)) for _ in range(4)]
        dsn = users[0].dsn
        with psycopg.connect(dsn) as connection:
            connection.execute("create table kept (n int)")
            connection.execute("insert into kept values (0), (5)")
        pids = {postmaster(data_dir)}
        for turn in (1, 2):
            old = kill(data_dir)
            pids.add(old)
            back = partial(is_back, data_dir, dsn, old)
            await eventually(back, seconds=SECONDS, what="it stays dead")
            # Not killed again before whoever has started it has seen it.
            seen = partial(restarted, users, turn)
            await eventually(seen, seconds=SECONDS, what="nobody has started it again")
        pids.add(postmaster(data_dir))
        assert len(pids) == 3, "it was started once for each kill"
        await eventually(lambda: all(user.trouble is None for user in users), seconds=SECONDS)
        for user in users:
            assert user.answers()
            assert is_up(data_dir)
            user.stop()
    assert not is_up(data_dir)


async def test_a_server_on_a_socket_elsewhere_comes_back_there(short_dir: Path) -> None:
    folder = short_dir / ("x" * 120)
    with (
        embedded.start(folder, runtime_dir=short_dir / "run") as first,
        embedded.start(folder) as second,  # it was not told of that place
    ):
        first._supervisor.close(timeout=SECONDS)
        kill(folder)
        await eventually(lambda: second.restarts == 1, seconds=SECONDS)
        assert ask(first.dsn, b"select 1") == 1
        assert second.dsn == first.dsn


async def test_closing_in_the_middle_of_a_revival_hangs_nobody(data_dir: Path) -> None:
    for _ in range(3):
        server = embedded.start(data_dir)
        starting = try_lock(data_dir / "start.lock")  # as somebody who is just starting it
        assert starting is not None
        kill(data_dir)
        await eventually(lambda: not is_up(data_dir), seconds=SECONDS)
        stopping = asyncio.create_task(asyncio.to_thread(server.stop))
        await eventually(server._supervisor.stopping.is_set, seconds=SECONDS)
        unlock(starting)
        async with asyncio.timeout(SECONDS):
            await stopping
        assert not is_up(data_dir)


async def test_a_vanished_folder_is_not_replaced_by_an_empty_one(data_dir: Path) -> None:
    server = embedded.start(data_dir)
    aside = data_dir / "aside"
    (data_dir / "postgres").rename(aside)
    os.kill(int((aside / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    await eventually(lambda: server.trouble is not None, seconds=SECONDS)
    assert not server.answers()
    assert not (data_dir / "postgres").exists()
    assert "vanished" in (server.trouble or "")
    aside.rename(data_dir / "postgres")
    await eventually(lambda: server.restarts == 1, seconds=SECONDS, what="it is not tried again")
    assert server.trouble is None
    server.stop()


async def test_a_run_survives_the_server_and_every_process_sees_the_same(data_dir: Path) -> None:
    half, killed = threading.Event(), threading.Event()

    def work(n: int) -> JsonValue:
        if n == TASKS // 2:
            half.set()
        if n >= TASKS // 2:
            killed.wait(SECONDS)
        return n * n

    flow = {
        "flow": "many",
        "input": {"type": "array", "items": {"type": "integer"}},
        "steps": [{"id": "work", "for_each": "${{ input }}", "args": {"n": "${{ item }}"}}],
        "output": "${{ steps.work }}",
    }
    settings = Settings(data_dir=data_dir, concurrency=4)
    async with FlowBuilder.connect(settings=settings) as fb:
        reader = await asyncio.create_subprocess_exec(
            sys.executable, str(READER), str(data_dir), stdin=PIPE, stdout=PIPE
        )
        assert reader.stdin is not None and reader.stdout is not None
        assert await reader.stdout.readline() == b"ready\n"
        run = await fb.execute_dynamic(flow, list(range(TASKS)), functions={"work": work})
        reader.stdin.write(f"{run.id}\n".encode())
        assert await asyncio.to_thread(half.wait, SECONDS)
        old = kill(data_dir)
        killed.set()
        async with asyncio.timeout(SECONDS):
            while True:
                try:
                    result = await run.result()
                    break
                except DatabaseUnavailable:
                    continue
            said, _ = await reader.communicate()
        events = [event async for event in fb.follow(run.id)]
        assert postmaster(data_dir) not in (0, old)
    assert result == [n * n for n in range(TASKS)]
    here = [{"seq": one.seq, "type": one.type, "task": one.task_id} for one in events]
    assert json.loads(said) == here
    assert [one.seq for one in events] == list(range(1, len(events) + 1))
    completed = Counter(one.task_id for one in events if one.type == "task_completed")
    assert len(completed) == TASKS and set(completed.values()) == {1}
    assert reader.returncode == 0
    assert not is_up(data_dir)


async def test_closing_after_the_server_is_gone_for_good_hangs_nobody(data_dir: Path) -> None:
    begun = threading.Event()

    def work() -> None:
        begun.set()

    async with asyncio.timeout(SECONDS):
        fb = await FlowBuilder.connect(settings=Settings(data_dir=data_dir)).open()
        document = {"flow": "one", "steps": [{"id": "work"}]}
        await fb.execute_dynamic(document, functions={"work": work})
        assert await asyncio.to_thread(begun.wait, SECONDS)
        version = data_dir / "postgres" / "PG_VERSION"
        kept = version.read_text()
        version.write_text("13\n")
        kill(data_dir)
        # A worker alone waits ten seconds for each of its last words.
        async with asyncio.timeout(SECONDS / 3):
            await fb.close()
    assert not is_up(data_dir)
    version.write_text(kept)
