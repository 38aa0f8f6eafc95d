"""Durations: what is read, what is written, and that nothing is lost between."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuilder import types
from flowbuilder.types import LONGEST, format_duration, parse_duration


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0s", 0),
        ("250ms", 0.25),
        ("1.5s", 1.5),
        ("90s", 90),
        ("1h30m", 5400),
        (" 1h 30m ", 5400),
        ("2d", 172_800),
        ("30s1m", 90),
        (0, 0),
        (2.5, 2.5),
        (timedelta(minutes=1), 60),
        (LONGEST, LONGEST.total_seconds()),
    ],
)
def test_durations_are_read(value: Any, seconds: float) -> None:
    assert parse_duration(value).total_seconds() == seconds


@pytest.mark.parametrize(
    "value",
    [
        "", "s", "5", "-1s", "1 day", "1e3s", "soon", "1s\n1", "\u0661s", "9" * 100 + "s", "99999d",
        -1, -0.001, 10**400, float("nan"), float("inf"), True, False, None, [], {}, b"1s",
        timedelta(seconds=-1), LONGEST + timedelta(seconds=1),
    ],
)  # fmt: skip
def test_what_is_no_duration_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="duration"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(0), "0s"),
        (timedelta(milliseconds=250), "250ms"),
        (timedelta(seconds=90), "90s"),
        (timedelta(minutes=5), "5m"),
        (timedelta(hours=36), "36h"),
        (timedelta(days=2), "2d"),
        (timedelta(microseconds=100), "0.100ms"),
    ],
)
def test_durations_are_written_in_the_largest_exact_unit(value: timedelta, text: str) -> None:
    assert format_duration(value) == text


@given(st.timedeltas(min_value=timedelta(0), max_value=LONGEST))
def test_what_is_written_is_read_back(value: timedelta) -> None:
    assert parse_duration(format_duration(value)) == value


@given(st.text() | st.floats() | st.integers() | st.from_regex(r"([0-9.]+(ms|s|m|h|d) ?)+"))
def test_anything_is_read_or_refused(value: Any) -> None:
    try:
        found = parse_duration(value)
    except ValueError:
        return
    assert timedelta(0) <= found <= LONGEST


def test_durations_that_are_alike_are_read_once_and_wrong_ones_are_told_each_time() -> None:
    types._seconds.cache_clear()
    assert {parse_duration("7m 3s") for _ in range(50)} == {timedelta(minutes=7, seconds=3)}
    assert types._seconds.cache_info().misses == 1
    for _ in range(2):
        with pytest.raises(ValueError, match="no duration"):
            parse_duration("soon")
    assert parse_duration(1) == parse_duration("1s")
