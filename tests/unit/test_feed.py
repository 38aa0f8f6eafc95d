"""Who watches a stream is woken; an end that would have been heard of needs no look."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest

from flowbuilder.client import feed as feed_module
from flowbuilder.client.feed import Feed
from flowbuilder.executor.notifications import Notifications, StreamsCallback
from flowbuilder.executor.records import RunRow


class _News:
    """Stands in for notifications: says what it is told to say."""

    def __init__(self) -> None:
        self.callbacks: list[StreamsCallback] = []
        self.stopped = asyncio.Event()

    def on_ends(self, callback: StreamsCallback) -> Callable[[], None]:
        def stop() -> None:
            self.callbacks.remove(callback)
            self.stopped.set()

        self.callbacks.append(callback)
        return stop

    on_events = on_ends

    def say(self, *streams: str) -> None:
        for callback in list(self.callbacks):
            callback(frozenset(streams) if streams else None)


@pytest.fixture
def news() -> _News:
    return _News()


@pytest.fixture
def feed(news: _News) -> Feed:
    return Feed(cast(Notifications, news))


async def test_an_end_is_known_only_since_it_is_listened(news: _News, feed: Feed) -> None:
    early = time.monotonic()
    assert not feed.would_know_end("a", early)
    with feed.watch_end("a"):
        assert not feed.would_know_end("a", time.monotonic())
        news.say()
        begun = time.monotonic()
        assert feed.would_know_end("a", begun)
        assert not feed.would_know_end("a", early)
        news.say("b")
        assert feed.would_know_end("a", begun)
        assert not feed.would_know_end("b", begun)


async def test_what_was_missed_is_not_known(news: _News, feed: Feed) -> None:
    with feed.watch_end("a"):
        news.say()
        begun = time.monotonic()
        news.say()
        assert not feed.would_know_end("a", begun)
        assert feed.would_know_end("a", time.monotonic())


async def test_ends_are_not_remembered_without_bound(
    news: _News, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "_MOST_ENDS", 3)
    with feed.watch_end("z"):
        news.say()
        begun = time.monotonic()
        news.say("a", "b", "c", "d")
        news.say("e")
        assert not feed.would_know_end("a", begun)
        assert not feed.would_know_end("z", begun)


async def test_it_is_still_listened_a_little_when_the_last_watcher_has_gone(
    news: _News, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "_LINGER_SECONDS", 0.01)
    with feed.watch_end("a"):
        news.say()
    assert len(news.callbacks) == 1
    await news.stopped.wait()
    assert not news.callbacks
    assert not feed.would_know_end("a", time.monotonic())


async def test_who_comes_soon_finds_it_listening(news: _News, feed: Feed) -> None:
    with feed.watch_end("a"):
        news.say()
    begun = time.monotonic()
    with feed.watch_end("b"):
        assert feed.would_know_end("b", begun)
    assert len(news.callbacks) == 1


async def test_who_watches_is_woken_by_its_stream_alone(news: _News, feed: Feed) -> None:
    with feed.watch("a") as one, feed.watch("b") as other:
        news.say("a")
        await one.wait(60)
        other.set()
        await other.wait(60)
        news.say()
        await asyncio.gather(one.wait(60), other.wait(60))


async def test_who_waits_is_handed_the_row_and_whose_it_is(feed: Feed) -> None:
    row = cast(RunRow, SimpleNamespace(id="a"))
    feed.run_ended("mine", row)
    with feed.watch_end("a") as waiting, feed.watch_end("b") as other:
        assert [waiting.ended, other.ended] == [None, None]
        feed.run_ended("mine", row)
        assert [waiting.ended, other.ended] == [("mine", row), None]
