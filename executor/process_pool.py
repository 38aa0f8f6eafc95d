"""Processes for tools that must be killable: `@tool(process=True)`.

A process is reused while its calls end in time, and killed when one does not. It is an interpreter
of its own: unlike what `multiprocessing` starts it does not begin by importing the program's
script, which without an `if __name__ == "__main__":` would run a second time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing import Pipe, spawn
from multiprocessing.connection import Connection

from flowbuilder.budget import Spending
from flowbuilder.errors import DefinitionError, FlowBuilderError
from flowbuilder.executor.main_script import importable_main, mentions_main, preparation
from flowbuilder.executor.process_child import Answer, Job, Parcel
from flowbuilder.tools.labels import tool_label
from flowbuilder.types import JsonObject

log = logging.getLogger(__name__)

#: How long a new process may take to import what it needs.
_START_SECONDS = 60.0
#: The search path has to be there before anything of flowbuilder can be imported.
_PROGRAM = """\
import sys
from multiprocessing.connection import Connection
pipe, alive = (Connection(int(number)) for number in sys.argv[1:])
sys.path[:] = pipe.recv()
from flowbuilder.executor.process_child import serve
serve(pipe, alive, pipe.recv())
"""


class ProcessCrashed(FlowBuilderError):
    """The process of a tool ended before its function did."""

    default_code = "process_crashed"


class ProcessPool:
    """Keeps up to `size` idle processes; how many work at once is bounded by who submits."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._idle: list[_Child] = []
        self._all: set[_Child] = set()

    async def run(
        self,
        job: Job,
        *,
        limit: float,
        report: Callable[[JsonObject], None] | None = None,
        spent: Callable[[Spending], None] | None = None,
    ) -> Answer:
        """Run a tool in a process and return its last answer.

        The time that a new process needs to start does not count.

        Raises:
            TimeoutError: `limit` seconds were over; the process was killed.
            ProcessCrashed: The process ended by itself.
            DefinitionError: The tool or its arguments cannot reach another process.
        """
        data = _pickled(job)
        child = await self._take()
        keep = False
        try:
            await child.send(data)
            async with asyncio.timeout(_START_SECONDS):
                answer = await child.receive()
            if answer.kind == "started":
                async with asyncio.timeout(limit):
                    answer = await _last(child, report, spent)
            keep = True
            return answer
        finally:
            if keep and len(self._idle) < self._size:
                self._idle.append(child)
            else:
                self._drop(child)

    async def close(self) -> None:
        """Kill every process."""
        children = list(self._all)
        for child in children:
            self._drop(child)
        self._idle.clear()
        for child in children:
            await asyncio.to_thread(child.reader.join, 5.0)

    async def _take(self) -> _Child:
        while self._idle:
            child = self._idle.pop()
            if child.process.poll() is None:
                return child
            self._drop(child)
        child = await asyncio.to_thread(_Child, asyncio.get_running_loop())
        self._all.add(child)
        return child

    def _drop(self, child: _Child) -> None:
        self._all.discard(child)
        child.process.kill()


async def _last(
    child: _Child,
    report: Callable[[JsonObject], None] | None,
    spent: Callable[[Spending], None] | None,
) -> Answer:
    while True:
        answer = await child.receive()
        if answer.kind not in ("progress", "spent"):
            return answer
        if answer.spent is not None and spent is not None:
            spent(answer.spent)
        if report is not None and isinstance(answer.value, dict):
            report(answer.value)


class _Child:
    """One process and the thread that reads what it says."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._answers: asyncio.Queue[Answer | None] = asyncio.Queue()
        self._pipe, inside = Pipe()
        alive, self._life = Pipe(duplex=False)
        ends = (inside.fileno(), alive.fileno())
        line = spawn.get_command_line()  # with the options that this interpreter has
        self.process = subprocess.Popen(
            [*line[: line.index("-c")], "-c", _PROGRAM, *map(str, ends)],
            stdin=subprocess.DEVNULL,
            pass_fds=ends,
        )
        inside.close()
        alive.close()
        with contextlib.suppress(OSError):  # it has ended already: the reader will say so
            self._pipe.send(sys.path)
            self._pipe.send(preparation())
        self.reader = threading.Thread(
            target=self._read, args=(self._pipe,), name="flowbuilder-process", daemon=True
        )
        self.reader.start()

    async def send(self, data: bytes) -> None:
        # A pipe takes only some kilobytes before somebody reads.
        try:
            await asyncio.to_thread(self._pipe.send_bytes, data)
        except OSError:
            raise self._crashed() from None

    async def receive(self) -> Answer:
        answer = await self._answers.get()
        if answer is None:
            raise self._crashed()
        return answer

    def _read(self, pipe: Connection) -> None:
        answer: Answer | None = None
        try:
            while True:
                answer = pipe.recv()
                self._loop.call_soon_threadsafe(self._answers.put_nowait, answer)
        except (EOFError, OSError, RuntimeError, pickle.UnpicklingError):
            pass  # it ended, was killed in the middle of a word, or the loop is closed
        self.process.wait()
        self._life.close()
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._answers.put_nowait, None)
        pipe.close()

    def _crashed(self) -> ProcessCrashed:
        code = self.process.returncode
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return ProcessCrashed(f"the process of the tool ended with {how}")


def _pickled(job: Job) -> bytes:
    try:
        data = pickle.dumps(job)
        code = pickle.dumps((job.tool, job.secrets))
    except Exception as error:
        raise DefinitionError(
            f"{tool_label(job.tool.name)} cannot run in another process: {type(error).__name__}",
            code="tool_not_importable",
            hint="Define it with @tool(process=True) at the top of an importable module.",
        ) from None
    main = importable_main(tool_label(job.tool.name)) if mentions_main(code) else None
    return pickle.dumps(Parcel(job=data, main=main))
