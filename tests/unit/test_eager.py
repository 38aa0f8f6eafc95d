"""Coroutines that are begun at once behave as if they were awaited."""

from __future__ import annotations

import asyncio

import pytest

from flowbuilder.executor.eager import Begun


async def plain(value: int) -> int:
    return value


async def slow(value: int, steps: list[str]) -> int:
    steps.append("begun")
    await asyncio.sleep(0)
    future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, value)
    got = await future
    steps.append("ended")
    return got


async def test_what_never_waits_has_ended() -> None:
    begun = Begun(plain(0))
    assert begun.ended
    assert begun.result == 0
    assert await begun == 0


async def test_what_waits_is_awaited_for_the_rest() -> None:
    steps: list[str] = []
    begun = Begun(slow(7, steps))
    assert (begun.ended, steps) == (False, ["begun"])
    assert await begun == 7
    assert steps == ["begun", "ended"]


async def test_errors_come_when_they_happen() -> None:
    async def fails(late: bool) -> None:
        if late:
            await asyncio.sleep(0)
        raise ValueError("so it is")

    with pytest.raises(ValueError, match="so it is"):
        Begun(fails(False))
    begun = Begun(fails(True))
    with pytest.raises(ValueError, match="so it is"):
        await begun


async def test_cancellation_and_time_limits_reach_what_waits() -> None:
    told: list[str] = []

    async def cleans_up() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            told.append("cancelled")
            await asyncio.sleep(0)
            told.append("cleaned up")
            raise
        return "never"

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await Begun(cleans_up())
    assert told == ["cancelled", "cleaned up"]


async def test_an_error_can_be_swallowed_and_waited_on() -> None:
    async def stubborn() -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return 5

    async def holder() -> int:
        return await Begun(stubborn())

    task = asyncio.create_task(holder())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == 5
