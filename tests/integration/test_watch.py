"""`flowbuilder watch`: changed files start a flow, and what leads out of the folder does not."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flowbuilder.errors import InvalidValue
from flowbuilder.triggers.files import watched
from tests.support.api import connect
from tests.support.triggering import publish

ROOT = Path(__file__).parents[2]
FLOW: dict[str, Any] = {
    "flow": "count",
    "input": {"type": "object", "required": ["path"], "properties": {"path": {}, "more": {}}},
    "steps": [{"id": "text", "tool": "file.read", "args": {"path": "${{ input.path }}"}}],
    "output": "${{ steps.text }}",
}


def test_what_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for one in (inside, outside, inside / "deep"):
        one.mkdir()
    (outside / "secret.txt").write_text("secret")
    (inside / "deep" / "own.txt").write_text("own")
    (inside / "link.txt").symlink_to(outside / "secret.txt")
    (inside / "way").symlink_to(outside)
    (inside / "own.txt").symlink_to(inside / "deep" / "own.txt")
    (inside / "loop.txt").symlink_to(inside / "loop.txt")
    os.mkfifo(inside / "pipe.txt")
    folder = watched(inside)

    def judged(name: str) -> str | None:
        found = folder.judge(str(inside / name))
        return None if found is None else found.refused or str(found.path)

    assert judged("link.txt") == judged("way/secret.txt") == "it leads out of the folder"
    assert judged("../out/secret.txt") == "it leads out of the folder"
    assert judged("pipe.txt") == "it is no regular file"
    assert judged("own.txt") == str(inside / "deep" / "own.txt")
    for nothing in ("loop.txt", "gone.txt", "deep", "own.txt"):  # the last is as it was
        assert judged(nothing) is None
    (inside / "deep" / "own.txt").write_text("other")
    assert judged("deep/own.txt") == str(inside / "deep" / "own.txt")


def test_one_file_or_some_names_are_watched(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv", "c.txt"):
        (tmp_path / name).write_text("x")
    (tmp_path / "to-a.csv").symlink_to(tmp_path / "a.csv")
    one, some = watched(tmp_path / "to-a.csv"), watched(tmp_path, "*.csv")
    names = ("a.csv", "b.csv", "c.txt")
    assert [one.judge(str(tmp_path / name)) is not None for name in names] == [True, False, False]
    assert [some.judge(str(tmp_path / name)) is not None for name in names] == [True, True, False]
    with pytest.raises(InvalidValue) as missing:
        watched(tmp_path / "nothing")
    assert missing.value.code == "path_missing"


async def test_changes_are_told_of_once_they_rest(tmp_path: Path) -> None:
    stop = asyncio.Event()
    folder = watched(tmp_path)
    seen: list[str] = []

    async def write() -> None:
        for number in range(20):
            (tmp_path / "grows.txt").write_text("x" * number)
        (tmp_path / "other.txt").write_text("y")
        (tmp_path / "brief.txt").write_text("z")
        (tmp_path / "brief.txt").unlink()

    begun = asyncio.Event()

    async def look() -> None:
        rest = timedelta(milliseconds=200)
        changes = folder.changes(rest, begun.set, stop_event=stop, force_polling=False)
        async for changed in changes:
            seen.append(changed.path.name)
            if len(seen) == 2:
                stop.set()

    looking = asyncio.create_task(look())
    await begun.wait()
    await write()
    async with asyncio.timeout(30):
        await looking
    assert sorted(seen) == ["grows.txt", "other.txt"]


@asynccontextmanager
async def watching(dsn: str, folder: Path, *words: str) -> AsyncIterator[Process]:
    """The command as a process, which has begun to watch."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "flowbuilder.cli", "watch", str(folder), "--flow", "count"),
        *("--json", "--database-url", dsn, "--debounce", "100ms", *words),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "FLOWBUILDER_AUTH": "local"},
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def line(process: Process) -> Any:
    assert process.stdout is not None
    async with asyncio.timeout(60):
        text = await process.stdout.readline()
    if not text:
        assert process.stderr is not None
        pytest.fail((await process.stderr.read()).decode())
    return json.loads(text)


async def test_files_start_runs_on_the_command_line(dsn: str, tmp_path: Path) -> None:
    from flowbuilder.client import FlowBuilder

    async with FlowBuilder.connect(dsn, worker=False) as opened:
        await publish(opened, FLOW)
    words = ("--runs", "2", "--input", '{"more": 0}', "--worker")
    async with watching(dsn, tmp_path, *words) as process:
        assert (await line(process))["type"] == "watching"
        (tmp_path / "link.txt").symlink_to("/etc/hostname")
        (tmp_path / "a.txt").write_text("hello")
        told = [await line(process) for _ in range(2)]
        assert sorted(item["type"] for item in told) == ["refused", "started"]
        (tmp_path / "b.txt").write_text("bye")
        told += [await line(process)]
        assert await process.wait() == 0
    started = {item["path"]: item["run_id"] for item in told if item["type"] == "started"}
    assert started.keys() == {"a.txt", "b.txt"}
    async with connect(dsn) as builder:
        for path, run_id in started.items():
            run = await builder.get_run(run_id)
            assert run.row.input == {"more": 0, "path": path}
            trigger = await run.trigger()
            assert trigger is not None
            assert (trigger.kind, trigger.detail) == ("file", path)
