"""Waiting in tests: for something to become true, never for a length of time."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable


async def eventually(
    condition: Callable[[], bool | Awaitable[bool]], *, seconds: float = 30, what: str = ""
) -> None:
    """Return as soon as the condition holds; fail when it never does."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                held = condition()
                if await held if inspect.isawaitable(held) else held:
                    return
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(what or "it did not come true") from None
