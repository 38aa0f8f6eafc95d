"""Schedules at work: what fires, once, what does not and why, and how they are steered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from typer.testing import CliRunner

from flowbuilder.cli.app import app
from flowbuilder.cli.options import hoist
from flowbuilder.client import FlowBuilder
from flowbuilder.errors import Conflict, InvalidValue, NotFound
from flowbuilder.executor.scheduler import Scheduler
from flowbuilder.settings import Settings
from tests.support.api import connect
from tests.support.triggering import FLOW, STRICT, jump, publish, set_clock
from tests.support.waiting import eventually

BEGIN = "2030-03-04 05:59:00+00"


@pytest.fixture
async def builder(dsn: str) -> AsyncIterator[FlowBuilder]:
    async with connect(dsn) as opened:
        await set_clock(opened.store.database, BEGIN)
        await publish(opened)
        await publish(opened, STRICT)
        yield opened


async def add(builder: FlowBuilder, name: str = "hourly", **more: Any) -> Any:
    given = {"flow": "echo", "cron": "0 * * * *", "input": {"value": "${{ run.tick }}"}, **more}
    return await builder.schedules.add(name, **given)


async def shown(builder: FlowBuilder, name: str = "hourly") -> Any:
    """A schedule as it is kept."""
    return await builder.schedules.get(name)


async def fire(builder: FlowBuilder, seconds: float = 0) -> list[Any]:
    """Let time pass, let a scheduler look, and return what the new runs were given."""
    await jump(builder.store.database, seconds)
    runs = await Scheduler(builder.store, builder.settings).round()
    rows: list[Any] = [(await builder.get_run(run)).row for run in runs]
    return [row.input["value"] for row in rows]


async def test_a_schedule_fires_at_its_ticks(builder: FlowBuilder) -> None:
    row = await add(builder)
    assert row.next_at.isoformat() == "2030-03-04T06:00:00+00:00"
    assert await fire(builder) == []
    assert await fire(builder, 61) == ["2030-03-04T06:00:00Z"]
    assert await fire(builder) == []
    assert await fire(builder, 3600) == ["2030-03-04T07:00:00Z"]
    row = await shown(builder)
    assert (row.fires, row.last_result, row.last_error) == (2, "started", None)
    assert row.last_tick_at.isoformat() == "2030-03-04T07:00:00+00:00"
    assert row.next_at.isoformat() == "2030-03-04T08:00:00+00:00"
    run = await builder.get_run(row.last_run_id)
    trigger = await run.trigger()
    assert trigger is not None
    assert (trigger.kind, trigger.name, trigger.tick_at) == ("schedule", "hourly", row.last_tick_at)
    [kept] = await builder.store.database.fetch_all(
        b"select actor from flowbuilder.runs where id = %s::uuid", (run.id,)
    )
    assert kept == {"actor": "schedule:hourly"}
    assert await (await builder.execute("echo", {"value": 1})).trigger() is None


async def test_a_worker_fires_what_is_due_by_itself(builder: FlowBuilder) -> None:
    await add(builder)
    async with builder.worker():
        await jump(builder.store.database, 61)

        async def fired() -> bool:
            return (await builder.schedules.get("hourly")).fires == 1

        await eventually(fired)
        row = await shown(builder)
        result = await (await builder.get_run(str(row.last_run_id))).result(timeout=60)
    assert result == "2030-03-04T06:00:00Z"


async def test_one_switch_keeps_back_a_process_and_another_one_all(dsn: str) -> None:
    settings = Settings(database_url=dsn, schedules=False)
    async with FlowBuilder.connect(settings=settings, worker=True) as builder:
        assert builder._session.workers[0]._maintenance._scheduler is None


async def test_many_schedulers_fire_each_tick_once(builder: FlowBuilder) -> None:
    for number in range(5):
        await add(builder, f"s{number}", missed="all", missed_limit=5)
    everybody = [Scheduler(builder.store, builder.settings) for _ in range(8)]
    for _ in range(3):
        await jump(builder.store.database, 2 * 3600)
        await asyncio.gather(*(scheduler.round() for scheduler in everybody))
    given: dict[str, list[Any]] = {}
    for run in await builder.runs(limit=1000):
        trigger = await run.trigger()
        assert trigger is not None
        given.setdefault(trigger.name, []).append(trigger.tick_at)
    assert given.keys() == {f"s{number}" for number in range(5)}
    for ticks in given.values():
        assert len(ticks) == len(set(ticks)) == 6


@pytest.mark.parametrize(
    ("missed", "fired"),
    [
        ("skip", []),
        ("once", ["2030-03-04T16:00:00Z"]),
        ("all", [f"2030-03-04T{hour}:00:00Z" for hour in (14, 15, 16)]),
    ],
)
async def test_missed_ticks_become_what_the_schedule_says(
    builder: FlowBuilder, missed: str, fired: list[str]
) -> None:
    await add(builder, missed=missed, missed_limit=3)
    assert await fire(builder, 10.5 * 3600) == fired
    row = await shown(builder)
    assert row.next_at.isoformat() == "2030-03-04T17:00:00+00:00"
    assert row.missed_at is not None
    assert row.last_result == ("started" if fired else "missed")
    assert len(await fire(builder, 1900)) == 1


async def test_a_tick_is_skipped_while_the_run_before_goes_on(builder: FlowBuilder) -> None:
    await add(builder, overlap="skip", missed="all", missed_limit=5)
    assert len(await fire(builder, 61)) == 1
    assert await fire(builder, 3600) == []
    row = await shown(builder)
    assert (row.last_result, row.fires) == ("overlapped", 1)
    assert row.last_error is not None
    assert row.last_error["run_id"] == row.last_run_id
    codes = [reason.code for reason in (await builder.schedules.why("hourly")).reasons]
    assert {"run_still_open", "overlapped", "not_due", "no_worker"} == set(codes)
    await (await builder.get_run(str(row.last_run_id))).cancel()
    # of several at once only the last: they would overlap each other
    assert await fire(builder, 3 * 3600) == ["2030-03-04T10:00:00Z"]
    await add(builder, "allowing", overlap="allow")
    for _ in range(2):
        assert len(await fire(builder, 3600)) == 1


async def test_a_paused_schedule_starts_nothing_and_misses_nothing(builder: FlowBuilder) -> None:
    await add(builder, missed="all")
    paused = await builder.schedules.pause("hourly", by="user:ada")
    assert (paused.next_at, paused.paused_by) == (None, "user:ada")
    assert await fire(builder, 5 * 3600) == []
    why = await builder.schedules.why("hourly")
    assert why.reasons[0].code == "paused"
    assert "user:ada" in why.reasons[0].message
    again = await builder.schedules.change("hourly", cron="30 * * * *")
    assert again.next_at is None
    resumed = await builder.schedules.resume("hourly")
    assert resumed.next_at is not None
    assert resumed.next_at.isoformat() == "2030-03-04T11:30:00+00:00"
    assert await builder.schedules.resume("hourly") == resumed
    assert await fire(builder, 3600) == ["2030-03-04T11:30:00Z"]


async def test_after_a_restore_all_are_held_by_one_switch(builder: FlowBuilder) -> None:
    await add(builder, missed="once")
    await add(builder, "other", missed="skip")
    held = await builder.schedules.hold(reason="restored", by="user:ada")
    assert held.reason == "restored"
    assert await fire(builder, 3 * 3600) == []
    why = await builder.schedules.why("hourly")
    assert why.reasons[0].code == "held"
    assert "restored" in why.reasons[0].message
    assert "overdue" in [reason.code for reason in why.reasons]
    # also whoever has read what is due before
    await builder.schedules.release()
    [due, *_] = await builder.store.due_schedules()
    await builder.schedules.hold()
    assert await Scheduler(builder.store, builder.settings).fire(due) is None
    assert (await builder.schedules.release()).held_at is None
    assert await fire(builder) == ["2030-03-04T08:00:00Z"]


async def test_what_cannot_start_says_why_and_goes_on_later(builder: FlowBuilder) -> None:
    await add(builder)
    await builder.archive_flow("echo")
    assert await fire(builder, 61) == []
    row = await shown(builder)
    assert (row.last_result, (row.last_error or {})["code"]) == ("failed", "flow_archived")
    codes = [reason.code for reason in (await builder.schedules.why("hourly")).reasons]
    assert codes[0] == "flow_archived"
    await builder.restore_flow("echo")
    assert len(await fire(builder, 3600)) == 1
    await builder.delete_flow("echo")
    assert await fire(builder, 3600) == []
    assert ((await builder.schedules.get("hourly")).last_error or {})["code"] == "flow_not_found"
    assert (await builder.schedules.why("hourly")).reasons[0].code == "flow_not_found"
    # the newest version wants something else
    await publish(builder, {**STRICT, "flow": "echo"})
    assert await fire(builder, 3600) == []
    assert ((await builder.schedules.get("hourly")).last_error or {})["code"] == "input_invalid"
    lines = await builder.store.database.fetch_all(
        b"select action, actor, details ->> 'code' as code from flowbuilder.audit_log order by id"
    )
    assert [(line["action"], line["code"]) for line in lines] == [
        ("schedule.failed", "flow_archived"),
        ("schedule.failed", "flow_not_found"),
        ("schedule.failed", "input_invalid"),
    ]
    assert {line["actor"] for line in lines} == {"schedule:hourly"}


async def test_a_start_that_is_refused_for_now_is_tried_again(builder: FlowBuilder) -> None:
    await add(builder)
    await builder.execute("echo", {"value": 1})
    tight = builder.settings.model_copy(update={"max_open_runs": 1})
    await jump(builder.store.database, 61)
    assert await Scheduler(builder.store, tight).round() == []
    row = await shown(builder)
    assert (row.last_result, (row.last_error or {})["code"]) == ("refused", "too_many_runs")
    assert row.tick_at is not None
    assert row.tick_at.isoformat() == "2030-03-04T06:00:00+00:00"
    assert "tried again" in (await builder.schedules.why("hourly")).reasons[1].message
    assert await fire(builder, 11) == ["2030-03-04T06:00:00Z"]


async def test_a_version_is_pinned_or_the_newest(builder: FlowBuilder) -> None:
    await add(builder, "pinned", version=1)
    await add(builder, "newest")
    await publish(builder, {**FLOW, "description": "new"})
    assert len(await fire(builder, 61)) == 2
    versions = {
        name: (
            await builder.get_run(str((await builder.schedules.get(name)).last_run_id))
        ).row.version
        for name in ("pinned", "newest")
    }
    assert versions == {"pinned": 1, "newest": 2}


async def test_a_change_works_out_the_next_tick_anew(builder: FlowBuilder) -> None:
    row = await add(builder, timezone="Asia/Kolkata")
    assert row.next_at.isoformat() == "2030-03-04T06:30:00+00:00"
    changed = await builder.schedules.change(row.id, timezone="UTC", input={"value": None}, by="a")
    assert changed.next_at is not None
    assert changed.next_at.isoformat() == "2030-03-04T06:00:00+00:00"
    assert await fire(builder, 61) == [None]
    with pytest.raises(InvalidValue) as refused:
        await builder.schedules.change(row.id, nothing=1)
    assert refused.value.code == "unknown_key"
    with pytest.raises(InvalidValue):
        await builder.schedules.change(row.id, cron="* * * * * *")
    with pytest.raises(Conflict) as archived:
        await builder.archive_flow("strict")
        await builder.schedules.change(row.id, flow="strict")
    assert archived.value.code == "flow_archived"
    # a tick that has its run gets no second one, however often it is named
    await builder.store.database.execute(
        b"update flowbuilder.schedules set tick_at = last_tick_at, next_at = last_tick_at"
    )
    assert await fire(builder) == []
    assert (await builder.schedules.get(row.id)).fires == 1


async def test_who_is_gone_is_not_found(builder: FlowBuilder) -> None:
    row = await add(builder)
    await fire(builder, 61)
    await builder.schedules.remove("hourly")
    for call in (
        builder.schedules.get("hourly"),
        builder.schedules.get(row.id),
        builder.schedules.pause(row.id),
        builder.schedules.resume(row.id),
        builder.schedules.remove(row.id),
        builder.schedules.why(row.id),
        builder.schedules.change(row.id, cron="* * * * *"),
    ):
        with pytest.raises(NotFound) as missing:
            await call
        assert missing.value.code == "schedule_not_found"
    assert await fire(builder, 3600) == []
    assert len(await builder.runs()) == 1


async def test_what_has_started_a_run_goes_with_it(builder: FlowBuilder) -> None:
    await add(builder)
    await fire(builder, 61)
    [run] = await builder.runs()
    await run.cancel()
    await jump(builder.store.database, 3600)
    assert (await builder.prune("1m")).runs == 1
    rows = await builder.store.database.fetch_all(b"select * from flowbuilder.run_triggers")
    assert rows == []


@pytest.mark.parametrize("value", [0, False, "", None, [], {}])
async def test_nothing_in_the_input_is_lost(builder: FlowBuilder, value: Any) -> None:
    row = await add(builder, input={"value": value})
    assert row.input == {"value": value}
    assert await fire(builder, 61) == [value]


async def test_one_that_cannot_be_worked_out_stops_no_other(builder: FlowBuilder) -> None:
    await add(builder, "broken")
    await add(builder, "sound")
    await builder.store.database.execute(
        b"update flowbuilder.schedules set timezone = 'Nowhere/Land' where name = 'broken'"
    )
    assert await fire(builder, 61) == ["2030-03-04T06:00:00Z"]
    # it stands in nobody's way, and is looked at again
    assert await builder.store.due_schedules() == []
    codes = [reason.code for reason in (await builder.schedules.why("broken")).reasons]
    assert "schedule_broken" in codes
    await builder.store.database.execute(
        b"update flowbuilder.schedules set timezone = 'UTC' where name = 'broken'"
    )
    assert await fire(builder, 50) == []
    await builder.schedules.change("broken", missed="once")
    assert await fire(builder, 3600) == ["2030-03-04T07:00:00Z"] * 2


def said(dsn: str, *words: str, code: int = 0, command: str = "triggers") -> list[dict[str, Any]]:
    import json

    result = CliRunner().invoke(app, hoist(["--json", "--database-url", dsn, command, *words]))
    assert result.exit_code == code, result.output
    return [json.loads(text) for text in result.stdout.splitlines()]


def test_a_run_shows_what_has_started_it_on_the_command_line(dsn: str) -> None:
    async def prepare() -> str:
        async with connect(dsn) as opened:
            await set_clock(opened.store.database, BEGIN)
            await publish(opened)
            await add(opened)
            await fire(opened, 61)
            return str((await shown(opened)).last_run_id)

    (told,) = said(dsn, asyncio.run(prepare()), command="show")
    assert told["trigger"]["kind"] == "schedule"
    assert told["trigger"]["tick_at"] == "2030-03-04T06:00:00+00:00"


def test_triggers_on_the_command_line(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def prepare() -> None:
        async with connect(dsn) as opened:
            await publish(opened)

    asyncio.run(prepare())
    monkeypatch.setenv("FLOWBUILDER_SECRET_KEY", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
    assert said(dsn) == said(dsn, "list") == []
    given = ("--flow", "echo", "--input", '{"value": 0}')
    (made,) = said(
        dsn, "add", "daily", "--cron", "0 6 * * *", "--timezone", "Europe/Berlin", *given
    )
    assert (made["kind"], made["timezone"], made["input"]) == (
        "schedule",
        "Europe/Berlin",
        {"value": 0},
    )
    (hook,) = said(dsn, "add", "orders", "--webhook", "--flow", "echo", "--key", "value")
    assert hook["secret"].startswith("whsec_")
    assert hook["path"].startswith("/hooks/")
    listed = said(dsn)
    assert [row["name"] for row in listed] == ["daily", "orders"]
    assert all("secret" not in row for row in listed)
    for name in ("daily", "orders"):
        (paused,) = said(dsn, "pause", name)
        assert paused["paused_at"]
        (resumed,) = said(dsn, "resume", name)
        assert resumed["paused_at"] is None
    (why,) = said(dsn, "why", "daily")
    assert [reason["code"] for reason in why["reasons"]] == ["no_worker", "not_due"]
    (held,) = said(dsn, "hold", "--reason", "restored")
    assert held["reason"] == "restored"
    (why,) = said(dsn, "why", "daily")
    assert why["reasons"][0]["code"] == "held"
    (released,) = said(dsn, "release")
    assert released["held_at"] is None
    (rotated,) = said(dsn, "rotate", "orders", "--overlap", "0s")
    assert rotated["secret"] != hook["secret"]
    assert said(dsn, "remove", hook["id"]) == []
    assert [row["name"] for row in said(dsn, "list")] == ["daily"]
    for words, error in (
        (["pause", "orders"], "trigger_not_found"),
        (["why", "orders"], "schedule_not_found"),
        (["add", "x", "--flow", "echo", "--cron", "@daily"], "cron_invalid"),
        (["add", "x", "--flow", "nobody", "--cron", "0 6 * * *"], "flow_not_found"),
    ):
        (line,) = said(dsn, *words, code=1)
        assert line["error"]["code"] == error
    (line,) = said(dsn, "add", "x", "--flow", "echo", code=2)
    assert line["error"]["code"] == "usage"
    (line,) = said(dsn, "add", "x", "--flow", "echo", "--webhook", "--cron", "* * * * *", code=2)
    assert line["error"]["code"] == "usage"
