"""What is sent when: ends at once, news of what goes on together, work not over and over."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from flowbuilder.executor.announcer import EVENTS_CHANNEL, WORK_CHANNEL, Announcer
from flowbuilder.executor.database import Database


class _Sent:
    """Stands in for the database: keeps what would be notified."""

    def __init__(self) -> None:
        self.statements: list[list[tuple[str, str]]] = []
        self._more = asyncio.Event()

    async def fetch_one(self, _: bytes, parameters: Sequence[Any]) -> dict[str, Any]:
        self.statements.append(list(zip(*parameters, strict=True)))
        self._more.set()
        await asyncio.sleep(0)
        return {"sent": 1, "subscribed": False}

    @property
    def channels(self) -> list[list[str]]:
        return [[channel for channel, _ in statement] for statement in self.statements]

    async def statement(self, number: int) -> list[tuple[str, str]]:
        while len(self.statements) < number:
            self._more.clear()
            await self._more.wait()
        return self.statements[number - 1]


@pytest.fixture
def sent() -> _Sent:
    return _Sent()


@pytest.fixture
def announcer(sent: _Sent) -> Announcer:
    return Announcer(cast(Database, sent), sender="me", subscribed=lambda: None)


async def test_work_is_announced_at_once_and_then_once_for_all_that_follows(
    announcer: Announcer, sent: _Sent
) -> None:
    announcer.signal([], ready=True)
    assert await sent.statement(1) == [(WORK_CHANNEL, "me ")]
    for _ in range(100):
        announcer.signal([], ready=True, backlog=True)
        await asyncio.sleep(0)
    await sent.statement(2)
    await announcer.close()
    assert sent.channels == [[WORK_CHANNEL], [WORK_CHANNEL]]


async def test_an_end_does_not_wait_for_the_time_of_work(
    announcer: Announcer, sent: _Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowbuilder.executor.announcer._WORK_SECONDS", 0.5)
    announcer.signal([], ready=True)
    await sent.statement(1)
    announcer.signal([], ready=True, backlog=True)
    announcer.signal(["run-1"])
    assert await sent.statement(2) == [(EVENTS_CHANNEL, "me run-1")]
    assert await sent.statement(3) == [(WORK_CHANNEL, "me ")]
    await announcer.close()


async def test_news_of_what_goes_on_are_sent_together(announcer: Announcer, sent: _Sent) -> None:
    for name in ("a", "b", "a"):
        announcer.signal([name], going_on=[name])
    assert await sent.statement(1) == [(EVENTS_CHANNEL, "me a+,b+")]
    await announcer.close()
    assert len(sent.statements) == 1


async def test_who_waits_for_it_is_answered_when_it_is_sent(
    announcer: Announcer, sent: _Sent
) -> None:
    for _ in range(2):
        await announcer.announce([], ready=True)
        assert sent.channels[-1] == [WORK_CHANNEL]
    assert len(sent.statements) == 2
    await announcer.close()


async def test_closing_sends_what_is_held_back(announcer: Announcer, sent: _Sent) -> None:
    announcer.signal([], ready=True)
    await sent.statement(1)
    announcer.signal([], ready=True, backlog=True)
    await announcer.close()
    assert sent.channels == [[WORK_CHANNEL], [WORK_CHANNEL]]
