"""Tools that spend, and one that waits to be told to stop."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from flowbuilder import Context, Fail, Tool, tool


@tool("spend.some")
async def some(context: Context, tokens: int = 0, usd: float | None = None) -> dict[str, Any]:
    """Spend, and say what was left before."""
    left = {"tokens": context.tokens_left, "usd": context.usd_left}
    context.spend(tokens=tokens, usd=usd)
    return left


@tool("spend.failing")
async def failing(context: Context, tokens: int) -> None:
    """Spend, for nothing."""
    context.spend(tokens=tokens)
    raise Fail("it went wrong")


@tool("spend.process", process=True)
def in_process(context: Context, tokens: int) -> int:
    """Spend in another process, in two parts."""
    context.spend(tokens=tokens - 1, usd=0.5)
    context.spend(tokens=1, usd=0.25)
    return tokens


@tool("spend.crashing", process=True)
def crashing(context: Context, tokens: int) -> None:
    """Spend in a process that ends before it has answered."""
    context.spend(tokens=tokens)
    os._exit(3)


@tool("spend.with_row", transactional=True, effects="write")
async def with_row(context: Context, tokens: int) -> int:
    """Spend in a transaction."""
    context.spend(tokens=tokens)
    return tokens


@tool("spend.nonsense")
async def nonsense(context: Context, tokens: Any) -> None:
    """Spend what is no number."""
    context.spend(tokens=tokens)


class Sleeper:
    """A tool that goes on until it is told to stop."""

    def __init__(self) -> None:
        self.began = asyncio.Event()
        self.stopped = asyncio.Event()

    def tool(self) -> Tool:
        """Return it."""

        @tool("spend.sleep")
        async def sleep() -> None:
            self.began.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.stopped.set()

        return sleep


TOOLS = (some, failing, in_process, crashing, with_row, nonsense)
