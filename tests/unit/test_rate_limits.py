"""Buckets of requests: how many they let through, when there is room again, what answers tell."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from flowbuilder.api.rate_limits import (
    MOST_BUCKETS,
    Buckets,
    RateLimits,
    SharedBuckets,
    Standing,
    limits_of,
    network_of,
)
from flowbuilder.api.refusals import TooManyRequests
from flowbuilder.client import FlowBuilder
from flowbuilder.errors import SettingsError
from flowbuilder.limits import Rate
from flowbuilder.settings import Settings


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_lets_a_burst_through_and_then_one_by_one() -> None:
    clock = Clock()
    buckets = Buckets("requests", Rate.read("4/2s"), clock=clock)
    assert [buckets.take("a").left for _ in range(4)] == [3, 2, 1, 0]
    refused = buckets.take("a")
    assert refused.left == 0
    assert refused.wait_seconds == pytest.approx(0.5)
    assert buckets.take("b").wait_seconds == 0
    clock.now += 0.5
    assert buckets.take("a").wait_seconds == 0
    assert buckets.take("a").wait_seconds == pytest.approx(0.5)
    clock.now += 3600
    assert [buckets.take("a").wait_seconds > 0 for _ in range(5)] == [False] * 4 + [True]


def test_who_is_refused_is_not_shut_out_for_longer() -> None:
    clock = Clock()
    buckets = Buckets("requests", Rate.read("1/1s"), clock=clock)
    buckets.take("a")
    assert {round(buckets.take("a").wait_seconds, 6) for _ in range(50)} == {1.0}


def test_no_more_callers_are_remembered_than_there_is_room_for() -> None:
    buckets = Buckets("requests", Rate.read("2/1d"), clock=Clock())
    for number in range(MOST_BUCKETS + 10):
        buckets.take(str(number))
    assert len(buckets._levels) == MOST_BUCKETS
    assert buckets.take("0").left == 1  # forgotten
    assert buckets.take(str(MOST_BUCKETS)).left == 0


class Store:
    """A bucket in a database, of so many tokens."""

    def __init__(self, tokens: int) -> None:
        self.store = self
        self.tokens = tokens
        self.asked: list[int] = []

    async def take_tokens(self, key: str, count: int, **_: Any) -> tuple[int, float]:
        self.asked.append(count)
        await asyncio.sleep(0)
        granted = min(count, self.tokens)
        self.tokens -= granted
        return granted, 0.0 if granted else 7.0


async def test_tokens_are_drawn_ahead_and_do_not_keep() -> None:
    clock, store = Clock(), Store(15)
    builder = cast(FlowBuilder, store)
    buckets = SharedBuckets("starts", Rate.read("100/s"), clock=clock)
    first = await asyncio.gather(*[buckets.take(builder, "a") for _ in range(10)])
    assert store.asked == [10]
    assert [one.wait_seconds for one in first] == [0.0] * 10
    again = await asyncio.gather(*[buckets.take(builder, "a") for _ in range(6)])
    assert [one.wait_seconds for one in again] == [0.0] * 5 + [7.0]
    store.tokens = 10
    assert (await buckets.take(builder, "a")).left == 9
    clock.now += 2
    store.tokens = 3
    assert (await buckets.take(builder, "a")).left == 2
    assert store.asked == [10, 10, 10, 10, 10]


async def test_a_slow_rate_draws_one_at_a_time() -> None:
    store = Store(2)
    buckets = SharedBuckets("plans", Rate.read("2/1m"), clock=Clock())
    for _ in range(3):
        standing = await buckets.take(cast(FlowBuilder, store), "a")
    assert store.asked == [1, 1, 1]
    assert standing.wait_seconds == 7.0


def test_headers_tell_the_policy_and_what_is_left() -> None:
    rate = Rate.read("300/1m")
    well = dict(Standing(name="plans", rate=rate, left=12).headers())
    assert well == {b"ratelimit-policy": b'"plans";q=300;w=60', b"ratelimit": b'"plans";r=12;t=60'}
    refused = dict(Standing(name="plans", rate=rate, left=0, wait_seconds=0.2).headers())
    assert refused[b"ratelimit"] == b'"plans";r=0;t=1'
    assert (refused[b"ratelimit-limit"], refused[b"ratelimit-remaining"]) == (b"300", b"0")
    assert refused[b"ratelimit-reset"] == b"1"


async def test_no_more_plans_are_made_at_once_than_allowed() -> None:
    limits = RateLimits(Settings(planning_at_once=2))
    async with limits.planning(), limits.planning():
        with pytest.raises(TooManyRequests) as refused:
            async with limits.planning():
                raise AssertionError("it was let through")
        assert refused.value.seconds > 0
    with pytest.raises(ValueError, match="broken"):
        async with limits.planning():
            raise ValueError("broken")
    async with limits.planning(), limits.planning():
        pass


@pytest.mark.parametrize(
    ("setting", "local", "limited"),
    [("auto", True, False), ("auto", False, True), ("on", True, True), ("off", False, False)],
)
def test_who_uses_the_service_alone_is_not_limited(
    setting: str, local: bool, limited: bool
) -> None:
    assert (limits_of(Settings(rate_limits=setting), local=local) is not None) is limited


@pytest.mark.parametrize("text", ["", "often", "0/s", "10", "5/40d", "-1/s", "1/0s"])
def test_a_rate_that_is_none_is_refused_when_settings_are_read(text: str) -> None:
    with pytest.raises(SettingsError, match="FLOWBUILDER_RATE_STARTS"):
        Settings.load(rate_starts=text)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::9", "2001:db8:1:2::"),
        ("unix", "unknown"),
        (None, "unknown"),
    ],
)
def test_a_network_of_one_customer_counts_as_one(address: str | None, network: str) -> None:
    assert network_of(address) == network
