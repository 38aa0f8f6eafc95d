"""`@tool(process=True)` in scripts as people write them, run as programs of their own."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flowbuilder.executor.main_script import is_guarded, mentions_main
from tests.support.waiting import eventually

TOOL = """
import os
from flowbuilder import tool

@tool("work.square", process=True)
def square(n: int) -> list[int]:
    return [n * n, os.getpid()]
"""
TRACE = """
from pathlib import Path
with (Path(__file__).parent / "trace").open("a") as trace:
    trace.write("begun ")
"""
MAIN = """
import asyncio, json, os
from flowbuilder import FlowBuilder
from flowbuilder.errors import RunFailed

FLOW = {"flow": "one", "steps": [{"id": "a", "tool": "work.square", "args": {"n": 7}}],
        "output": "${{ steps.a }}"}

async def main():
    async with FlowBuilder.connect(tools=[square], worker=True) as fb:
        run = await fb.execute(FLOW)
        try:
            said = {"value": await run.result(), "pid": os.getpid()}
        except RunFailed:
            said = {"error": (await run.refresh()).error}
    print(json.dumps(said))
"""
GUARDED = '\nif __name__ == "__main__":\n    asyncio.run(main())\n'
BARE = "\nasyncio.run(main())\n"


def run(folder: Path, dsn: str, *parts: str, module: bool = False) -> dict[str, Any]:
    """Run a script made of these parts; return what it printed, and how often it ran."""
    (folder / "program.py").write_text("".join(parts))
    (folder / "squares.py").write_text(TOOL)
    line = ["-m", "program"] if module else [str(folder / "program.py")]
    done = subprocess.run(
        [sys.executable, *line],
        cwd=folder,
        env={**os.environ, "FLOWBUILDER_DATABASE_URL": dsn},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    [printed] = done.stdout.splitlines()
    said: dict[str, Any] = json.loads(printed)
    return {**said, "trace": (folder / "trace").read_text().split()}


def assert_worked(said: dict[str, Any]) -> None:
    assert said["value"][0] == 49
    assert said["value"][1] != said["pid"], "it ran in the same process"


@pytest.mark.parametrize("module", [False, True])
def test_a_guarded_script_works_and_its_guarded_part_runs_once(
    tmp_path: Path, dsn: str, module: bool
) -> None:
    guarded = "\nif __name__ == '__main__':\n" + "".join(
        f"    {line}\n" for line in (TRACE + BARE).splitlines() if line
    )
    said = run(tmp_path, dsn, TOOL, MAIN, guarded, module=module)
    assert_worked(said)
    assert said["trace"] == ["begun"]


@pytest.mark.parametrize("module", [False, True])
def test_a_script_without_a_guard_runs_once_and_hears_why_its_tool_cannot(
    tmp_path: Path, dsn: str, module: bool
) -> None:
    said = run(tmp_path, dsn, TRACE, TOOL, MAIN, BARE, module=module)
    assert said["trace"] == ["begun"]
    assert said["error"]["code"] == "script_unguarded"
    assert "work.square" in said["error"]["message"]
    assert "__main__" in said["error"]["hint"]


def test_a_tool_of_a_module_needs_no_guard_and_leaves_the_script_alone(
    tmp_path: Path, dsn: str
) -> None:
    said = run(tmp_path, dsn, TRACE, "\nfrom squares import square\n", MAIN, BARE)
    assert_worked(said)
    assert said["trace"] == ["begun"]


HANG = """
import asyncio, os, threading
from pathlib import Path
from flowbuilder import FlowBuilder, tool

@tool("work.hang", process=True)
def hang(place: str) -> None:
    (Path(place) / "new").write_text(str(os.getpid()))
    (Path(place) / "new").rename(Path(place) / "child")
    threading.Event().wait(600)

async def main():
    async with FlowBuilder.connect(tools=[hang], worker=True) as fb:
        step = {"id": "a", "tool": "work.hang", "args": {"place": os.getcwd()}}
        await (await fb.execute({"flow": "one", "steps": [step]})).result()
"""


def alive(pid: int) -> bool:
    """Whether a process still does something: a dead one nobody collects is a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks into /proc")
async def test_the_process_of_a_tool_ends_with_a_program_that_is_killed(
    tmp_path: Path, dsn: str
) -> None:
    (tmp_path / "program.py").write_text(HANG + GUARDED)
    program = await asyncio.create_subprocess_exec(
        sys.executable,
        str(tmp_path / "program.py"),
        cwd=tmp_path,
        env={**os.environ, "FLOWBUILDER_DATABASE_URL": dsn},
    )
    try:
        await eventually((tmp_path / "child").exists, seconds=60, what="it was not called")
        child = int((tmp_path / "child").read_text())
        assert alive(child)
    finally:
        program.kill()
        await program.wait()
    await eventually(lambda: not alive(child), seconds=60, what="it outlives the program")


@pytest.mark.parametrize(
    ("source", "guarded"),
    [
        ("if __name__ == '__main__': main()", True),
        ("if '__main__' == __name__ and True:\n    main()", True),
        ("if __name__ != '__mp_main__': main()", True),
        ("main()", False),
        ("'if __name__ == \"__main__\":'\nmain()", False),
        ("def f():\n    if __name__ == '__main__':\n        pass\nmain()", False),
        ("if __name__ == 'other': main()", False),
        ("this is no python", False),
        (b"\x00", False),
    ],
)
def test_what_counts_as_a_guard(source: str | bytes, guarded: bool) -> None:
    assert is_guarded(source) is guarded


def test_only_what_is_named_main_is_taken_for_the_script() -> None:
    assert not mentions_main(pickle.dumps("about __main__ and more"))
    assert mentions_main(pickle.dumps(("__main__", "square")))
