"""Who watches a stream is woken; an end that would have been heard of needs no look."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest

from flowbuilder.client import feed as feed_module
from flowbuilder.client.feed import Feed, Signal
from flowbuilder.executor.events import EventRow, News
from flowbuilder.executor.notifications import Notifications
from flowbuilder.executor.readers import MOST_STREAMS, Reader
from flowbuilder.executor.records import RunRow
from flowbuilder.executor.wakeups import StreamsCallback


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


def told(first: int, last: int, *, stream: str = "a", workspace: str = "mine") -> News:
    """Return news of the events from `first` to `last`."""
    rows = [
        EventRow(
            stream=stream,
            seq=seq,
            type="task_started",
            run_id=stream,
            step_name="s",
            task_id="1",
            attempt=1,
            at=datetime.now(UTC),
            actor=None,
            data={},
        )
        for seq in range(first, last + 1)
    ]
    return News(stream=stream, workspace=workspace, events=rows)


def unread(signal: Signal) -> bool:
    return signal.unread


def taken(signal: Signal, after: int) -> list[int]:
    return [event.seq for event in signal.take(after)]


async def test_who_has_read_is_handed_what_comes_next_once(feed: Feed) -> None:
    with feed.watch("a") as signal:
        assert feed.of(["a"]) == [], "it has not said where it is"
        feed.tell([told(1, 2)])
        assert unread(signal)
        signal.clear()
        signal.has_read("mine", 2)
        assert feed.of(["a", "b"]) == [Reader(stream="a", workspace="mine", after=2)]
        assert feed.tell([told(3, 4)]) == {"a"}
        assert feed.of(["a"]) == [Reader(stream="a", workspace="mine", after=4)]
        assert feed.tell([told(3, 5)]) == {"a"}, "two answers that were under way at once"
        assert feed.tell([told(3, 4)]) == {"a"}, "the one that was asked first came last"
        assert not unread(signal)
        await signal.wait(60)
        assert taken(signal, 2) == [3, 4, 5]
        assert taken(signal, 5) == []


async def test_what_it_has_read_meanwhile_is_not_handed_over(feed: Feed) -> None:
    with feed.watch("a") as signal:
        signal.has_read("mine", 2)
        assert feed.tell([told(3, 6)]) == {"a"}
        signal.has_read("mine", 4)
        assert feed.of(["a"]) == [Reader(stream="a", workspace="mine", after=6)]
        assert taken(signal, 4) == [5, 6]


@pytest.mark.parametrize("other", [told(4, 5), told(3, 5, workspace="theirs")])
async def test_what_does_not_follow_or_is_of_others_is_not_handed_over(
    feed: Feed, other: News
) -> None:
    with feed.watch("a") as signal, feed.watch("b") as another:
        signal.has_read("mine", 2)
        feed.tell([other])
        assert (taken(signal, 2), signal.unread, another.unread) == ([], True, False)


async def test_who_lags_behind_reads_by_itself(news: _News, feed: Feed) -> None:
    with feed.watch("a") as ahead, feed.watch("a") as behind:
        ahead.has_read("mine", 5)
        behind.has_read("mine", 2)
        assert feed.of(["a"]) == [Reader(stream="a", workspace="mine", after=5)]
        feed.tell([told(6, 6)])
        assert (taken(ahead, 5), taken(behind, 2)) == ([6], [])
        assert (ahead.unread, behind.unread) == (False, True)


async def test_who_takes_nothing_is_handed_no_more(
    feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "_MOST_TOLD", 3)
    with feed.watch("a") as signal:
        signal.has_read("mine", 0)
        assert feed.tell([told(1, 4)]) == {"a"}
        assert feed.of(["a"])
        feed.tell([told(5, 5)])
        assert feed.of(["a"]) == [], "nothing is asked for it until it has read"
        assert taken(signal, 0) == [1, 2, 3, 4]
        assert unread(signal)
        signal.clear()
        feed.tell([told(5, 5)])
        assert (taken(signal, 4), signal.unread) == ([5], False)


async def test_what_else_was_heard_is_not_forgotten_over_what_was_handed_over(
    news: _News, feed: Feed
) -> None:
    with feed.watch("a") as signal:
        signal.has_read("mine", 0)
        feed.tell([told(1, 1)])
        news.say("a")
        assert taken(signal, 0) == [1]
        await signal.wait(60)
        signal.clear()
        feed.tell([told(2, 2)])
        assert taken(signal, 1) == [2]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await signal.wait(60)


async def test_of_many_streams_some_are_asked_for(feed: Feed) -> None:
    streams = [f"s{number}" for number in range(MOST_STREAMS + 5)]
    with ExitStack() as stack:
        for stream in streams:
            stack.enter_context(feed.watch(stream)).has_read("mine", 1)
        assert [reader.stream for reader in feed.of(streams)] == streams[:MOST_STREAMS]
