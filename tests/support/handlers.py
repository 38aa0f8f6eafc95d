"""Tools that behave badly in every way a handler can; importable, so that processes find them."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path
from typing import Any

from flowbuilder.errors import InvalidValue, ModelError
from flowbuilder.tools import Context, Fail, Retry, Tool, Wait, tool

#: What `text.double` was called with.
CALLED: list[str] = []


class Untellable(Exception):
    """An error whose own text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Recursive(Exception):
    """An error that refers to itself and cannot be pickled."""

    def __init__(self) -> None:
        super().__init__(lambda: None)
        self.problems = [self]


class HalfMade(Retry):
    """A wish for another attempt that forgot to say when."""

    def __init__(self) -> None:
        """Leave everything out."""


class Odd(Retry):
    """A wish for another attempt at no time."""

    def __init__(self) -> None:
        super().__init__("odd")
        self.after = "soon"  # type: ignore[assignment]


@tool("echo.value")
async def echo(value: Any) -> Any:
    """Give back what came in."""
    return value


@tool("echo.plain")
def echo_plain(value: Any) -> Any:
    """Give back what came in, from a thread."""
    return value


@tool("echo.process", process=True)
def echo_process(value: Any) -> Any:
    """Give back what came in, from a process."""
    return value


@tool("text.double")
def double(text: str) -> str:
    """Write a text twice, and remember it."""
    CALLED.append(text)
    return text * 2


_RAISED: dict[str, Any] = {
    "value": lambda: ValueError("it is wrong"),
    "untellable": Untellable,
    "recursive": Recursive,
    "exit": lambda: SystemExit(3),
    "interrupt": KeyboardInterrupt,
    "cancelled": asyncio.CancelledError,
    "stop": lambda: StopIteration(1),
    "timeout": lambda: TimeoutError("the other side"),
    "nul": lambda: ValueError("a\0b\ud800"),
    "fail": lambda: Fail("never", code="wrong_account"),
    "retry": lambda: Retry("later", after=7),
    "at once": lambda: Retry("now", after=0),
    "in words": lambda: Retry("soon", after="1m30s"),
    "in the past": lambda: Retry("now", after=-5),
    "no time": lambda: Retry("some day", after="some day"),
    "too late": lambda: Retry("some day", after=1e300),
    "half made": HalfMade,
    "odd": Odd,
    "invalid": lambda: InvalidValue("no such colour", pointer="/colour", code="colour_unknown"),
    "model": lambda: ModelError("overloaded", retryable=True),
    "model_final": lambda: ModelError("no such model", retryable=False),
}


@tool("raise.async")
async def raise_async(kind: str) -> None:
    """Raise something on the event loop."""
    raise _RAISED[kind]()


@tool("raise.plain")
def raise_plain(kind: str) -> None:
    """Raise something in a thread."""
    raise _RAISED[kind]()


@tool("raise.process", process=True)
def raise_process(kind: str) -> None:
    """Raise something in a process."""
    raise _RAISED[kind]()


@tool("bad.output")
def bad_output(kind: str) -> Any:
    """Return what no JSON can hold."""
    deep: Any = 1
    for _ in range(50):
        deep = [deep]
    values = {
        "nan": float("nan"),
        "infinity": [float("inf")],
        "nul": {"a": "x\0"},
        "surrogate": "\ud800",
        "deep": deep,
        "large": "x" * 2_000_000,
        "object": object(),
        "huge": 2**70,
    }
    return values[kind]


@tool("typed.output")
def typed_output() -> int:
    """Promise a number and return a text."""
    return "seven"  # type: ignore[return-value]


@tool("hang.async")
async def hang_async(mark: str) -> None:
    """Wait for ever, and write a mark when cancelled."""
    try:
        await asyncio.Event().wait()
    finally:
        Path(mark).write_text("stopped")  # noqa: ASYNC240 - a few bytes, for a test


@tool("hang.plain")
def hang_plain(mark: str, context: Context) -> None:
    """Wait in a thread until the context says to stop, and write a mark."""
    while not context.cancelled:
        time.sleep(0.005)
    Path(mark).write_text("stopped")


@tool("hang.process", process=True)
def hang_process(mark: str) -> None:
    """Write the process's id and wait for ever."""
    Path(mark).write_text(str(os.getpid()))
    while True:
        time.sleep(60)


@tool("crash.process", process=True)
def crash_process() -> None:
    """End the process at once, as a fault in native code would."""
    sys.stdout.flush()
    os._exit(7)


@tool("chatty.process", process=True)
def chatty_process(context: Context) -> dict[str, Any]:
    """Print, report progress, and tell what the context says."""
    print("this must not disturb the answer")
    context.progress(0.5, "half")
    return {"step": context.step_id, "key": context.idempotency_key, "attempt": context.attempt}


@tool("wait.kind")
def wait_kind(kind: str, value: Any = None) -> Wait:
    """Ask to wait."""
    if kind == "time":
        return Wait.for_time(value)
    if kind == "approval":
        return Wait.for_approval("really?", data=value, by=("user:ada",))
    if kind == "input":
        return Wait.for_approval("how many?", schema={"type": "integer"})
    if kind == "event":
        return Wait.for_event(**value)
    return Wait.for_run("child", value)


TOOLS: list[Tool] = [item for item in list(globals().values()) if isinstance(item, Tool)]
