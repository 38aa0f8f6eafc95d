"""Worker processes that begin within milliseconds: forked from a process that has all imports.

The nursery (`python -m tests.faults.harness.nursery`) reads one order per line and answers with
the process id. When its input ends, also because the tests were killed, it takes its workers and
the server with it: nothing is left behind.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from tests.faults.harness.server import is_alive
from tests.faults.harness.worker_process import Orders, work

ROOT = Path(__file__).parents[3]
_PR_SET_PDEATHSIG = 1


class Nursery:
    """The tests' side: starts workers, and forgets nobody."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.harness.nursery"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def guard(self, folder: Path) -> None:
        """Stop the server of this data folder and remove it, should the tests be killed."""
        self._ask({"guard": str(folder)})

    def spawn(self, orders: Orders) -> int:
        """Start a worker and return its process id."""
        return int(self._ask({"orders": orders.as_json()}))

    def close(self) -> None:
        """End everybody who is left."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(timeout=60)

    def _ask(self, order: dict[str, Any]) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the nursery has ended"
        return answer


def main() -> None:
    """Fork a worker for each line."""
    # The dead are collected by the kernel: a pid that is gone is gone.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    _warm_up()
    children: list[int] = []
    guarded: list[Path] = []
    for line in sys.stdin:
        order = json.loads(line)
        if "guard" in order:
            guarded.append(Path(order["guard"]))
            print("ok", flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            _become_worker(order["orders"])
        children.append(pid)
        print(pid, flush=True)
    for pid in filter(is_alive, children):
        os.kill(pid, signal.SIGKILL)
    for folder in reversed(guarded):
        _clear(folder)


def _become_worker(orders: dict[str, Any]) -> None:
    """Never return."""
    code = 1
    try:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.dup2(nothing, 1)
        log = Path(orders["folder"], f"{orders['name']}.log")
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), 2)
        work(Orders.from_json(orders))
        code = 0
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    os._exit(code)


def _warm_up() -> None:
    """Import what is imported late, once for all."""
    import flowbuilder.executor.calls
    import flowbuilder.executor.migrator  # noqa: F401

    asyncio.run(asyncio.sleep(0))


def _clear(folder: Path) -> None:
    """Stop the server of a data folder and remove what it wrote.

    Its programs may just be making the cluster or starting it: look again until nothing comes.
    """
    deadline = time.monotonic() + 10
    quiet = 0
    while quiet < 10 and time.monotonic() < deadline:
        try:
            text = (folder / "postgres" / "postmaster.pid").read_text(encoding="ascii")
            os.kill(int(text.split("\n", 1)[0]), signal.SIGQUIT)
        except (OSError, ValueError):
            pass
        quiet = 0 if folder.exists() else quiet + 1
        if folder.is_mount():
            subprocess.run(["umount", "-l", str(folder)], check=False)
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.1)


if __name__ == "__main__":
    main()
