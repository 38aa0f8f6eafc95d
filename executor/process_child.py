"""The inside of a process that runs tools: reads jobs from a pipe, answers with plain data.

Only JSON, texts and waits go back. What a tool raised is described here, so that an exception
that cannot be pickled does no harm. The program's own script is imported only for a tool that it
defines, as `__mp_main__`: what stands under `if __name__ == "__main__":` does not run again.
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
from dataclasses import dataclass
from multiprocessing import spawn
from multiprocessing.connection import Connection
from typing import Any, Literal

from flowbuilder.budget import Spending
from flowbuilder.executor.context import TaskContext
from flowbuilder.executor.failures import describe, is_final
from flowbuilder.executor.records import LeasedTask
from flowbuilder.secrecy import REDACTOR
from flowbuilder.settings import Settings
from flowbuilder.strictjson import Limits
from flowbuilder.telemetry import logs, printed
from flowbuilder.tools import Fail, Retry, Secrets, Tool, Wait, bind, check_output
from flowbuilder.types import JsonObject, JsonValue


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One call of a tool."""

    tool: Tool
    args: JsonObject
    task: LeasedTask
    settings: Settings
    secrets: Secrets
    limits: Limits


@dataclass(frozen=True, kw_only=True, slots=True)
class Parcel:
    """A pickled job and what has to be imported before it can be read."""

    job: bytes
    main: dict[str, Any] | None = None
    """The program's own script, as `multiprocessing.spawn.prepare` takes it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What comes back: `started`, `progress` and `spent` on the way, then one of the others."""

    kind: Literal["started", "progress", "spent", "value", "wait", "error"]
    value: JsonValue = None
    wait: Wait | None = None
    error: JsonObject | None = None
    final: bool = False
    retry: bool = False
    after_seconds: float | None = None
    spent: Spending | None = None


def serve(pipe: Connection, alive: Connection, preparation: dict[str, Any]) -> None:
    """Run jobs until the pipe is closed or the parent is gone, when `alive` ends."""
    spawn.prepare(preparation)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with_parent, args=(alive,), daemon=True).start()
    lock = threading.Lock()

    def send(answer: Answer) -> None:
        with lock:
            pipe.send(answer)

    with printed.without_secrets():
        while True:
            try:
                parcel: Parcel = pickle.loads(pipe.recv_bytes())
            except (EOFError, OSError):
                return
            send(_run(parcel, send))


def _end_with_parent(alive: Connection) -> None:
    try:
        alive.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


def _run(parcel: Parcel, send: Any) -> Answer:
    try:
        if parcel.main is not None:
            spawn.prepare(parcel.main)  # once: the second time it finds it there
        job: Job = pickle.loads(parcel.job)
        logs.configure(job.settings)
        logs.ATTEMPT.set((job.task.run_id, job.task.step_id, job.task.attempt))
        send(Answer(kind="started"))
        context = TaskContext(
            job.task,
            settings=job.settings,
            secrets=job.secrets,
            report=lambda progress: send(Answer(kind="progress", value=progress)),
            spent=lambda spending: send(Answer(kind="spent", spent=spending)),
        )
        result = bind(job.tool, job.args, context)()
        if isinstance(result, Wait):
            return Answer(kind="wait", wait=result)
        value = check_output(job.tool, result, limits=job.limits)
        return Answer(kind="value", value=REDACTOR.json(value))
    except BaseException as error:
        return _error(error)


def _error(error: BaseException) -> Answer:
    given = error.after if isinstance(error, Retry) else None
    after = None if given is None else given.total_seconds()
    return Answer(
        kind="error",
        error=describe(error),
        final=isinstance(error, Fail) or is_final(error),
        retry=isinstance(error, Retry),
        after_seconds=after,
    )
