"""The tools of the worker processes; each call writes to the ledger when it begins and ends."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import psycopg

from flowbuilder.tools import Context, Fail, Retry, Tool, ToolRegistry, Wait, tool
from tests.faults.harness.ledger import Ledger
from tests.support.waiting import eventually

#: Effects of handlers, without a unique key, so that what happens twice can be seen.
EFFECTS = "create table if not exists public.effects (key text, attempt integer, pid integer)"
_EFFECT = b"insert into public.effects values (%s, %s, %s)"
#: As a kill for want of memory, a bad pointer, and a library that thinks it is a program.
_DEATHS: dict[str, Callable[[], object]] = {
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "segfault": lambda: ctypes.string_at(0),
    "exit": lambda: os._exit(1),
}


class Twisted(Exception):
    """An error that refers to itself, cannot be pickled and has no text."""

    def __init__(self) -> None:
        super().__init__(lambda: None)
        self.problems = [self]

    def __str__(self) -> str:
        raise RuntimeError("no text")


def fault_registry(ledger: Ledger, dsn: str = "") -> ToolRegistry:
    """Return the tools, writing to this ledger; `dsn` is where effects go."""
    groups = (_working, _transactional, _slow, _scripted)
    made = [one for group in groups for one in group(ledger)]
    return ToolRegistry([*made, *_breaking(ledger, dsn)])


def _transactional(ledger: Ledger) -> list[Tool]:
    @tool("fault.within", effects="write", transactional=True)
    async def within(context: Context, value: Any = None, ms: float = 0) -> Any:
        """Write an effect in the transaction that completes the task."""
        ledger.write("enter", context)
        key = (context.idempotency_key, context.attempt, os.getpid())
        await context.connection.execute(_EFFECT, key)
        await asyncio.sleep(ms / 1000)
        ledger.write("exit", context)
        return value

    return [within]


def _working(ledger: Ledger) -> list[Tool]:
    @tool("fault.work")
    async def work(context: Context, value: Any = None, ms: float = 0) -> Any:
        ledger.write("enter", context)
        await asyncio.sleep(ms / 1000)
        ledger.write("exit", context)
        return value

    @tool("fault.hold")
    async def hold(context: Context, gate: str, value: Any = None, told: bool = False) -> Any:
        """Wait until the test makes a file; `told`: report progress then."""
        ledger.write("enter", context)
        await _opened(gate, context if told else None)
        ledger.write("exit", context)
        return value

    @tool("fault.stumble")
    async def stumble(context: Context, times: int, value: Any = None) -> Any:
        """Fail so often before it works."""
        ledger.write("enter", context)
        if context.attempt <= times:
            raise Retry("not yet", after=0.02)
        ledger.write("exit", context)
        return value

    @tool("fault.nap")
    async def nap(context: Context, seconds: float) -> Wait:
        ledger.write("enter", context)
        return Wait.for_time(seconds)

    @tool("fault.listen")
    async def listen(context: Context, name: str, key: str) -> Wait:
        ledger.write("enter", context)
        return Wait.for_event(name, key, timeout=600)

    @tool("fault.child")
    async def child(context: Context, flows: list[str], value: Any = None) -> Wait:
        """Leave the work to a child run, by turns of these flows for the elements of a map."""
        ledger.write("enter", context)
        return Wait.for_run(flows[(context.index or 0) % len(flows)], value)

    @tool("fault.progress")
    async def progress(context: Context, times: int) -> int:
        ledger.write("enter", context)
        for number in range(times):
            context.progress(number / times, str(number))
            await asyncio.sleep(0.01)
        ledger.write("exit", context)
        return times

    return [work, hold, stumble, nap, listen, child, progress]


async def _opened(gate: str, told: Context | None) -> None:
    """Wait until there is a file; whoever is told hears of it."""
    await eventually(Path(gate).exists, seconds=600)
    if told is not None:
        told.progress(1.0, "the gate is open")


def _slow(ledger: Ledger) -> list[Tool]:
    @tool("fault.plain")
    def plain(context: Context, ms: float, value: Any = None) -> Any:
        """Sleep in a thread."""
        ledger.write("enter", context)
        time.sleep(ms / 1000)
        ledger.write("exit", context)
        return value

    @tool("fault.block")
    async def block(context: Context, ms: float) -> None:
        """Hold up the event loop."""
        ledger.write("enter", context)
        time.sleep(ms / 1000)  # noqa: ASYNC251 - that is the fault
        ledger.write("exit", context)

    @tool("fault.gil")
    def gil(context: Context, ms: float) -> None:
        """Hold the interpreter's lock, as a loop in native code does."""
        ledger.write("enter", context)
        ctypes.PyDLL(None).usleep(int(ms * 1000))
        ledger.write("exit", context)

    return [plain, block, gil]


def _breaking(ledger: Ledger, dsn: str) -> list[Tool]:
    @tool("fault.die")
    async def die(context: Context, death: str) -> None:
        """Take the worker down, every time."""
        ledger.write("enter", context)
        _DEATHS[death]()

    @tool("fault.effect")
    async def effect(context: Context, die_first: bool = False, value: Any = None) -> Any:
        """Commit an effect elsewhere and, the first time, die before this can be reported."""
        ledger.write("enter", context)
        again = ledger.count(context.step_id) > 1
        with psycopg.connect(dsn) as connection:
            key = (context.idempotency_key, context.attempt, os.getpid())
            connection.execute(_EFFECT, key)
        if die_first and not again:
            os.kill(os.getpid(), signal.SIGKILL)
        ledger.write("exit", context)
        return value

    @tool("fault.raise")
    async def raise_(context: Context, kind: str) -> None:
        ledger.write("enter", context)
        raise {"twisted": Twisted, "exit": SystemExit, "keyboard": KeyboardInterrupt}[kind]()

    @tool("fault.output")
    async def output(context: Context, kind: str) -> Any:
        """Return what no JSON of PostgreSQL can hold."""
        ledger.write("enter", context)
        deep: Any = 1
        for _ in range(5000 if kind == "very_deep" else 40):
            deep = [deep]
        return {
            "nul": "a\0b",
            "surrogate": "\ud800",
            "nan": float("nan"),
            "infinity": float("-inf"),
            "deep": deep,
            "very_deep": deep,
            "large": "x" * 50_000_000 if kind == "large" else "",
            "object": object(),
        }[kind]

    return [die, effect, raise_, output]


def _scripted(ledger: Ledger) -> list[Tool]:
    @tool("fault.script")
    async def script(
        context: Context, stumbles: list[int], succeeds: list[bool], value: Any
    ) -> Any:
        """Do what a random program says, in the middle of an async sleep or at once."""
        ledger.write("enter", context)
        await _perform(context, stumbles, succeeds)
        ledger.write("exit", context)
        return value

    @tool("fault.await")
    async def await_(
        context: Context, stumbles: list[int], succeeds: list[bool], key: str, timeout: float,
        on_timeout: Literal["fail", "null"],
    ) -> Wait:  # fmt: skip
        """Do the same, then wait for an event instead of returning something."""
        ledger.write("enter", context)
        await _perform(context, stumbles, succeeds)
        return Wait.for_event("go", key, timeout=timeout, on_timeout=on_timeout)

    @tool("fault.undo")
    async def undo(
        context: Context, stumbles: int, succeeds: bool, value: Any, wanted: Any
    ) -> None:
        """Undo a step whose output must be as wanted."""
        ledger.write("enter", context)
        if context.attempt <= stumbles:
            raise Retry("as written", after=0.01)
        if not succeeds:
            raise Fail("as written")
        if json.dumps(value, sort_keys=True) != json.dumps(wanted, sort_keys=True):
            raise Fail(f"the output was {wanted}, and came as {value}")
        ledger.write("exit", context)

    return [script, await_, undo]


async def _perform(context: Context, stumbles: list[int], succeeds: list[bool]) -> None:
    place = context.index or 0
    await asyncio.sleep(0.002 * (place % 4))
    if context.attempt <= stumbles[place % len(stumbles)]:
        raise Retry("as written", after=0.01)
    if not succeeds[place % len(succeeds)]:
        raise Fail("as written")
