"""When an attempt is repeated."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuilder.executor.retry import delay, exhausted
from flowbuilder.flow import Backoff, RetryPolicy


def policy(
    backoff: Backoff, *, base: float = 1, most: float = 60, jitter: bool = False
) -> RetryPolicy:
    return RetryPolicy(
        backoff=backoff,
        base_delay=timedelta(seconds=base),
        max_delay=timedelta(seconds=most),
        jitter=jitter,
    )


def never() -> float:
    raise AssertionError("without jitter there is nothing random")


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        (Backoff.FIXED, [2, 2, 2, 2, 2, 2]),
        (Backoff.LINEAR, [2, 4, 6, 8, 10, 10]),
        (Backoff.EXPONENTIAL, [2, 4, 8, 10, 10, 10]),
    ],
)
def test_delays_grow_as_the_policy_says_up_to_its_cap(
    backoff: Backoff, delays: list[float]
) -> None:
    given = policy(backoff, base=2, most=10)
    assert [delay(given, attempt, never) for attempt in range(1, 7)] == delays


def test_jitter_spreads_a_delay_over_its_upper_half() -> None:
    spread = policy(Backoff.FIXED, base=10, jitter=True)
    assert delay(spread, 1, lambda: 0.0) == 5
    assert delay(spread, 1, lambda: 0.5) == 7.5


@given(
    backoff=st.sampled_from(Backoff),
    base=st.floats(0, 86400),
    most=st.floats(0, 86400),
    attempt=st.integers(-1, 10**9),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_no_policy_and_no_attempt_gives_a_delay_out_of_bounds(
    backoff: Backoff, base: float, most: float, attempt: int, chance: float
) -> None:
    bounded = policy(backoff, base=base, most=most, jitter=True)
    seconds = delay(bounded, attempt, lambda: chance)
    assert 0 <= seconds <= bounded.max_delay.total_seconds()


def test_the_last_attempt_is_the_one_the_policy_counts_to() -> None:
    three = RetryPolicy(max_attempts=3)
    assert [exhausted(three, attempt) for attempt in (1, 2, 3, 4)] == [False, False, True, True]
