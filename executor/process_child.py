"""The inside of a process that runs tools: reads jobs from a pipe, answers with plain data.

Only JSON, texts and waits go back. What a tool raised is described here, so that an exception
that cannot be pickled does no harm.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Literal

from flowbuilder.executor.context import TaskContext
from flowbuilder.executor.failures import describe, is_final
from flowbuilder.executor.records import LeasedTask
from flowbuilder.settings import Settings
from flowbuilder.strictjson import Limits
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
class Answer:
    """What comes back: `started` and `progress` on the way, then one of the others."""

    kind: Literal["started", "progress", "value", "wait", "error"]
    value: JsonValue = None
    wait: Wait | None = None
    error: JsonObject | None = None
    final: bool = False
    retry: bool = False
    after_seconds: float | None = None


def serve(pipe: Connection) -> None:
    """Run jobs until the pipe is closed or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with_parent, daemon=True).start()
    lock = threading.Lock()

    def send(answer: Answer) -> None:
        with lock:
            pipe.send(answer)

    while True:
        try:
            data = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        send(_run(data, send))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _run(data: bytes, send: Any) -> Answer:
    try:
        job: Job = pickle.loads(data)
        send(Answer(kind="started"))
        context = TaskContext(
            job.task,
            settings=job.settings,
            secrets=job.secrets,
            report=lambda progress: send(Answer(kind="progress", value=progress)),
        )
        result = bind(job.tool, job.args, context)()
        if isinstance(result, Wait):
            return Answer(kind="wait", wait=result)
        return Answer(kind="value", value=check_output(job.tool, result, limits=job.limits))
    except BaseException as error:
        return _error(error)


def _error(error: BaseException) -> Answer:
    after = error.after.total_seconds() if isinstance(error, Retry) and error.after else None
    return Answer(
        kind="error",
        error=describe(error),
        final=isinstance(error, Fail) or is_final(error),
        retry=isinstance(error, Retry),
        after_seconds=after,
    )
