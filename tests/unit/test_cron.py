"""Which moments cron expressions name, where clocks change too, and which ticks start runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest

from flowbuilder.errors import InvalidValue
from flowbuilder.triggers.cron import parse
from flowbuilder.triggers.due import Missed, Rules


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(expression: str, zone: str, begin: str, count: int) -> list[str]:
    """The next ticks as the clock on the wall shows them, with the distance from UTC."""
    from zoneinfo import ZoneInfo

    cron = parse(expression, zone)
    ticks = islice(cron.ticks(at(begin)), count)
    return [tick.astimezone(ZoneInfo(zone)).strftime("%d %H:%M %z") for tick in ticks]


def test_an_expression_is_five_fields_however_they_are_spaced() -> None:
    cron = parse("  30   6 * *  MON-fri ", "Europe/Berlin")
    assert (cron.expression, cron.zone) == ("30 6 * * MON-fri", "Europe/Berlin")
    assert cron.after(at("2026-01-02 05:30")) == at("2026-01-05 05:30")
    assert cron.after(at("2026-01-05 05:29:59.999")) == at("2026-01-05 05:30")


def test_leap_days_and_last_days_are_found() -> None:
    assert parse("0 0 29 2 *").after(at("2026-01-01")) == at("2028-02-29")
    assert parse("0 0 L * *").after(at("2026-02-01")) == at("2026-02-28")
    assert parse("0 0 29 2 */7").after(at("2026-01-01")) == at("2032-02-29")


# In Berlin 29 March 2026 has no hour from 2 to 3, and 25 October has it twice.
SPRING, AUTUMN = "2026-03-28 12:00", "2026-10-24 12:00"


def test_a_skipped_moment_counts_after_the_gap_once() -> None:
    assert local("30 2 * * *", "Europe/Berlin", SPRING, 2) == ["29 03:00 +0200", "30 02:30 +0200"]
    both = local("0,30 2,3 * * *", "Europe/Berlin", SPRING, 3)
    assert both == ["29 03:00 +0200", "29 03:30 +0200", "30 02:00 +0200"]


def test_a_doubled_moment_counts_the_first_time() -> None:
    assert local("30 2 * * *", "Europe/Berlin", AUTUMN, 2) == ["25 02:30 +0200", "26 02:30 +0100"]
    # also for who asks between the two
    between = local("30 2 * * *", "Europe/Berlin", "2026-10-25 00:45", 1)
    assert between == ["26 02:30 +0100"]
    later = local("45 2 * * *", "Europe/Berlin", "2026-10-25 01:10", 1)
    assert later == ["26 02:45 +0100"]


def test_what_goes_by_elapsed_time_goes_on_through_both() -> None:
    assert local("*/30 * * * *", "Europe/Berlin", "2026-03-29 00:29", 4) == [
        "29 01:30 +0100",
        "29 03:00 +0200",
        "29 03:30 +0200",
        "29 04:00 +0200",
    ]
    assert local("0 * * * *", "Europe/Berlin", "2026-10-24 23:30", 4) == [
        "25 02:00 +0200",
        "25 02:00 +0100",
        "25 03:00 +0100",
        "25 04:00 +0100",
    ]


@pytest.mark.parametrize("zone", ["America/Havana", "Africa/Cairo", "Asia/Beirut", "UTC"])
@pytest.mark.parametrize("expression", ["*/10 0 * * *", "0 0 * * *", "* * * * *", "15 0 * * *"])
def test_days_without_a_midnight_have_ticks_in_order(zone: str, expression: str) -> None:
    ticks = list(islice(parse(expression, zone).ticks(at("2026-01-01")), 800))
    assert ticks == sorted(set(ticks))
    longest = max(later - tick for tick, later in pairwise(ticks))
    # by elapsed time there is no such hour on that day
    assert longest <= timedelta(hours=48 if expression.startswith("*/") else 25)


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]
)
@pytest.mark.parametrize(
    "expression", ["*/20 * * * *", "30 2 * * *", "0,30 1-3 * * *", "5 */2 * * *"]
)
def test_the_last_ticks_are_those_that_going_through_all_gives(zone: str, expression: str) -> None:
    cron = parse(expression, zone)
    for day in ("2026-03-29 09:17", "2026-10-25 09:17", "2026-11-01 17:03"):
        until = at(day)
        after = until - timedelta(days=20)
        every = [tick for tick in islice(cron.ticks(after), 5000) if tick <= until]
        for most in (1, 3, 50):
            assert cron.latest(after, until, most) == every[-most:]


def test_years_of_missed_ticks_are_not_gone_through() -> None:
    cron = parse("* * * * *")
    seen = cron.latest(at("2000-01-01"), at("2026-01-01 00:00:30"), 3)
    assert seen == [at("2025-12-31 23:58"), at("2025-12-31 23:59"), at("2026-01-01 00:00")]


def rules(expression: str, missed: str, most: int = 10, jitter: float = 0) -> Rules:
    return Rules(
        key="one",
        cron=parse(expression),
        missed=Missed(missed),
        most=most,
        jitter=timedelta(seconds=jitter),
    )


TICK = at("2026-01-01 10:00")


@pytest.mark.parametrize("missed", list(Missed))
def test_a_tick_in_time_starts_one_run(missed: str) -> None:
    due = rules("0 * * * *", missed).due(TICK, TICK, TICK + timedelta(seconds=59))
    assert due.ticks == (TICK,)
    assert due.missed is None
    assert due.next_tick == due.next_at == at("2026-01-01 11:00")


def hours(*found: int) -> tuple[datetime, ...]:
    return tuple(at(f"2026-01-01 {hour:02}:00") for hour in found)


@pytest.mark.parametrize(
    ("missed", "now", "ticks", "passed"),
    [
        # nobody was there from before 10:00 on
        ("skip", "13:30", (), 13),
        ("once", "13:30", (13,), 12),
        ("all", "13:30", (11, 12, 13), 10),
        # the last of them is in time
        ("skip", "13:00:30", (13,), 12),
        ("once", "13:00:30", (13,), 12),
        ("all", "13:00:30", (11, 12, 13), 10),
        # one only, and that a minute late
        ("skip", "10:01", (), 10),
        ("once", "10:01", (10,), None),
        ("all", "10:01", (10,), None),
    ],
)
def test_what_becomes_of_missed_ticks(
    missed: str, now: str, ticks: tuple[int, ...], passed: int | None
) -> None:
    due = rules("0 * * * *", missed, 3).due(TICK, TICK, at(f"2026-01-01 {now}"))
    assert due.ticks == hours(*ticks)
    assert due.missed == (None if passed is None else hours(passed)[0])
    assert due.next_tick == hours(int(now[:2]) + 1)[0]


def test_a_bound_of_many_is_kept_over_years() -> None:
    due = rules("* * * * *", "all", 100).due(TICK, TICK, at("2046-01-01 00:00:01"))
    assert len(due.ticks) == 100
    assert due.ticks[-1] == at("2046-01-01 00:00")
    assert due.missed == due.ticks[0] - timedelta(minutes=1)
    assert due.next_tick == at("2046-01-01 00:01")


def test_the_jitter_of_a_tick_is_the_same_for_everybody() -> None:
    drawn = [
        rules("0 * * * *", "skip", jitter=600).begin(tick) - tick for tick in hours(*range(24))
    ]
    assert drawn == [
        rules("0 * * * *", "all", jitter=600).begin(tick) - tick for tick in hours(*range(24))
    ]
    assert len(set(drawn)) == 24
    assert all(timedelta(0) <= delay < timedelta(minutes=10) for delay in drawn)


def test_ticks_do_not_overtake_each_other_by_jitter() -> None:
    rules("0 * * * *", "skip", jitter=3599).check_jitter(TICK)
    rules("* * * * *", "skip").check_jitter(TICK)
    for expression in ("* * * * *", "0,5 * * * *", "0 * * * *"):
        with pytest.raises(InvalidValue, match="shorter"):
            rules(expression, "skip", jitter=3600).check_jitter(TICK)


def test_a_tick_whose_jitter_is_not_over_is_left_for_later() -> None:
    found = rules("0 * * * *", "all", jitter=3000)
    begins = found.begin(hours(11)[0])
    due = found.due(TICK, found.begin(TICK), begins - timedelta(seconds=1))
    assert due.ticks == (TICK,)
    assert (due.next_tick, due.next_at) == (hours(11)[0], begins)
