"""Queues of other systems get the events that they are bound to: all, once committed, in order."""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections import deque
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from flowbuilder import FlowBuilder, Settings
from flowbuilder.errors import Conflict, DatabaseError, InvalidValue, NotFound
from flowbuilder.executor import subscriptions
from flowbuilder.executor.consumer import Consumer
from flowbuilder.executor.database import Database
from flowbuilder.executor.messages import Message
from flowbuilder.executor.notifications import Notifications
from flowbuilder.types import JsonObject
from tests.support.engine import Engine, done, failed, flow_of
from tests.support.waiting import eventually

#: So long that no test passes by polling, and so short that one may.
NEVER, OFTEN = timedelta(hours=1), timedelta(milliseconds=50)
SECONDS = 30
CHANNELS = ("workflow_events", "task_events", "approval_events", "plan_events")

_TRIGGERS = b"""
    select tgname from pg_trigger
    where tgrelid = 'flowbuilder.events'::regclass and tgname = 'events_route'"""


@pytest.fixture
async def notifications(database: Database) -> AsyncIterator[Notifications]:
    async with Notifications(database, poll_interval=OFTEN) as opened:
        yield opened


@pytest.fixture
async def fb(dsn: str) -> AsyncIterator[FlowBuilder]:
    async with FlowBuilder.connect(dsn, settings=Settings(), worker=True) as opened:
        yield opened


async def take(messages: Consumer, count: int) -> list[Message]:
    async with asyncio.timeout(SECONDS):
        return [await anext(messages) for _ in range(count)]


async def held(database: Database, queue: str) -> list[Any]:
    """Return the messages of a queue in the order of their numbers."""
    rows = await database.fetch_all(
        f'select message from pgmq."q_{queue}" order by msg_id'.encode()
    )
    return [row["message"] for row in rows]


async def deliver(notifications: Notifications) -> None:
    while await notifications._courier.deliver():
        pass


async def log_of(engine: Engine, run_id: str) -> list[Any]:
    """Return the events of a run as other systems are to get them."""
    return [same_time(event.as_json()) for event in await engine.store.events(run_id)]


def same_time(event: Any) -> Any:
    return {**event, "at": datetime.fromisoformat(event["at"])}


async def one_run(engine: Engine, **step: Any) -> str:
    run_id = await engine.start(flow_of({"id": "a", **step}), {"n": 0})
    await engine.drain(lambda task: done(task, {"zero": 0, "no": False, "none": None, "e": []}))
    return run_id


# -- what is delivered ------------------------------------------------------------------------


async def test_a_queue_gets_every_event_of_its_channels_as_the_stream_has_it(
    engine: Engine, notifications: Notifications, database: Database
) -> None:
    for channel in CHANNELS:
        assert await notifications.subscribe(channel, queue="observer") == "observer"
    runs = [await one_run(engine) for _ in range(3)]
    await deliver(notifications)
    got = [same_time(event) for event in await held(database, "observer")]
    for run_id in runs:
        assert [event for event in got if event["stream"] == run_id] == await log_of(engine, run_id)
    completed = next(event for event in got if event["type"] == "task_completed")
    assert completed["data"]["result"] == {"zero": 0, "no": False, "none": None, "e": []}


async def test_events_of_a_plan_have_a_channel_of_their_own(fb: FlowBuilder) -> None:
    queue = await fb.notifications.subscribe("plan_events")
    plan = await fb.plan("Read examples/data/penguins.csv and save it as out/copy.csv")
    async with fb.notifications.messages(queue) as messages:
        [first] = await take(messages, 1)
    assert (queue, first.payload["type"]) == ("plan_events", "plan_started")
    assert first.payload["stream"] == plan.id


async def test_a_pattern_picks_types_of_events(
    engine: Engine, notifications: Notifications, database: Database
) -> None:
    await notifications.subscribe("task_events", queue="bad", pattern="task_events.task_failed")
    await notifications.subscribe("workflow_events", queue="ends", pattern="workflow_events.*ed")
    await notifications.subscribe("task_events", queue="both", pattern="task_events")
    await notifications.subscribe("task_events", queue="both", pattern="task_events.task_failed")
    await engine.start(flow_of({"id": "a"}, {"id": "b", "on_error": "continue"}))
    await engine.drain(lambda task: failed(task) if task.step_id == "b" else done(task))
    await deliver(notifications)
    assert [event["type"] for event in await held(database, "bad")] == ["task_failed"]
    assert [event["type"] for event in await held(database, "ends")] == [
        "workflow_started",
        "workflow_completed",
    ]
    types = [event["type"] for event in await held(database, "both")]
    assert sorted(types) == ["task_completed", "task_failed", "task_started", "task_started"]


async def test_any_program_can_bind_a_queue_by_pgmq_alone(
    engine: Engine, notifications: Notifications, database: Database
) -> None:
    await database.execute(b"select pgmq.create('Foreign')")
    await database.execute(b"select pgmq.bind_topic('#.task_completed', 'Foreign')")
    run_id = await one_run(engine)
    await deliver(notifications)
    [row] = await database.fetch_all(b"select * from pgmq.read('Foreign', 30, 10)")
    assert (row["message"]["type"], row["message"]["run_id"]) == ("task_completed", run_id)
    assert row["headers"]["topic"] == "task_events.task_completed"
    [found] = await notifications.subscriptions()
    assert (found.queue, found.pattern, found.workspace_id) == ("Foreign", "#.task_completed", None)
    await database.execute(b"select pgmq.drop_queue('Foreign')")
    assert await notifications.subscriptions() == []
    assert await database.fetch_all(_TRIGGERS) == []


async def test_grouped_reads_of_pgmq_keep_the_order_of_each_run(
    engine: Engine, notifications: Notifications, database: Database
) -> None:
    await notifications.subscribe("task_events", queue="q")
    runs = [await one_run(engine) for _ in range(2)]
    await deliver(notifications)
    read = b"select message from pgmq.read_grouped('q', 30, 1)"
    first = await database.fetch_all(read)
    second = await database.fetch_all(read)  # not of the run that somebody is at
    got = [(row["message"]["run_id"], row["message"]["seq"]) for row in first + second]
    assert got == [(run_id, 2) for run_id in runs]


async def test_what_a_backup_leaves_out_is_made_again(
    notifications: Notifications, database: Database
) -> None:
    await database.execute(b"drop trigger flowbuilder_watch on pgmq.topic_bindings")
    await notifications.subscribe("task_events", queue="q")
    await database.execute(b"select pgmq.drop_queue('q')")
    assert await database.fetch_all(_TRIGGERS) == []


async def test_without_a_subscription_nothing_is_there_to_cost_anything(
    engine: Engine, notifications: Notifications, database: Database
) -> None:
    assert await database.fetch_all(_TRIGGERS) == []
    await database.execute(b"select pgmq.create('logs')")
    await database.execute(b"select pgmq.bind_topic('logs.*', 'logs')")  # not about events
    assert await database.fetch_all(_TRIGGERS) == []
    await notifications.subscribe("task_events", queue="one")
    await notifications.subscribe("task_events", queue="two")
    await one_run(engine)
    assert await notifications.unsubscribe("one") == ["task_events.*"]
    assert len(await database.fetch_all(_TRIGGERS)) == 1
    assert await notifications.unsubscribe("two", drop=True) == ["task_events.*"]
    assert await database.fetch_all(_TRIGGERS) == []
    await one_run(engine)
    assert await database.fetch_all(b"select * from flowbuilder.deliveries") == []
    assert (
        await database.fetch_all(b"select queue_name from pgmq.meta where queue_name = 'two'") == []
    )


async def test_what_is_rolled_back_is_not_delivered(
    engine: Engine, notifications: Notifications, database: Database
) -> None:
    await notifications.subscribe("workflow_events", queue="q")
    run_id = await engine.start(flow_of({"id": "a"}))
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as connection:
            await connection.execute(
                "select flowbuilder.change_run(%s, %s, 'cancel', null, null)",
                (engine.store.workspace, run_id),
            )
            raise ZeroDivisionError
    await engine.drain(done)
    await deliver(notifications)
    types = [event["type"] for event in await held(database, "q")]
    assert types == ["workflow_started", "workflow_completed"]


async def test_one_workspace_does_not_get_the_events_of_another(
    engine: Engine, notifications: Notifications, database: Database
) -> None:
    other = str(uuid.uuid4())
    await database.execute(
        b"insert into flowbuilder.workspaces (id, slug) values (%s, 'other')", (other,)
    )
    await notifications.subscribe("task_events", queue="ours")
    async with Notifications(database, workspace=other) as theirs:
        await theirs.subscribe("task_events", queue="theirs")
        with pytest.raises(Conflict) as taken:
            await theirs.subscribe("task_events", queue="ours")
        assert taken.value.code == "queue_taken"
        with pytest.raises(NotFound):
            await theirs.unsubscribe("ours")
        assert [one.queue for one in await theirs.subscriptions()] == ["theirs"]
    await one_run(engine)
    await deliver(notifications)
    assert len(await held(database, "ours")) == 2
    assert await held(database, "theirs") == []


async def test_streams_stay_in_order_whoever_delivers(
    engine: Engine, notifications: Notifications, database: Database
) -> None:
    await notifications.subscribe("task_events", queue="q")
    steps: list[JsonObject] = [{"id": "s0"}]
    steps += [{"id": f"s{n}", "depends_on": [f"s{n - 1}"]} for n in range(1, 6)]
    engines = [Engine(database) for _ in range(4)]
    for one in engines:
        await one.join()
    others = [Notifications(database) for _ in range(3)]

    async def work(one: Engine) -> list[str]:
        runs = [await one.start(flow_of(*steps)) for _ in range(3)]
        await one.drain(done)
        return runs

    async def carry(one: Notifications) -> None:
        while not finished.is_set():
            await one._courier.deliver()

    finished = asyncio.Event()
    carrying = [asyncio.create_task(carry(one)) for one in (notifications, *others)]
    try:
        runs = [run for some in await asyncio.gather(*map(work, engines)) for run in some]
    finally:
        finished.set()
        await asyncio.gather(*carrying)
    for one in engines:
        await one.drain(done)
    await deliver(notifications)
    got = await held(database, "q")
    for run_id in runs:
        numbers = [event["seq"] for event in got if event["run_id"] == run_id]
        expected = [e.seq for e in await engine.store.events(run_id) if e.type.startswith("task_")]
        assert numbers == expected != []


async def test_subscribing_in_the_middle_of_work_misses_nothing_from_then_on(
    engine: Engine, notifications: Notifications, database: Database
) -> None:
    steps: list[JsonObject] = [{"id": "a"}, {"id": "b", "depends_on": ["a"]}]
    engines = [Engine(database) for _ in range(4)]
    for one in engines:
        await one.join()
    working = True

    async def work(one: Engine) -> list[str]:
        runs = []
        while working:
            runs.append(await one.start(flow_of(*steps)))
            await one.drain(done)
        return runs

    tasks = [asyncio.create_task(work(one)) for one in engines]
    for number in range(6):  # every time the trigger is made, or dropped
        subscribing = partial(engine.store.subscribe, f"q{number}", "#", largest=None)
        await subscriptions._patiently(subscribing)
        before = await _events(database)
        await eventually(lambda: _more_than(database, before + 20))  # noqa: B023
        if number < 5:
            await notifications.unsubscribe(f"q{number}", drop=number % 2 == 0)
    working = False
    runs = [run for some in await asyncio.gather(*tasks) for run in some]
    await engine.drain(done)
    await deliver(notifications)
    got: dict[str, list[int]] = {run_id: [] for run_id in runs}
    for event in await held(database, "q5"):
        got[event["stream"]].append(event["seq"])
    complete = 0
    for run_id, numbers in got.items():
        last = [event.seq for event in await engine.store.events(run_id)][-len(numbers) or 99 :]
        assert numbers == last
        complete += numbers[:1] == [1]
    assert complete > 0


async def _events(database: Database) -> int:
    [row] = await database.fetch_all(b"select count(*) as n from flowbuilder.events")
    return int(row["n"])


async def _more_than(database: Database, count: int) -> bool:
    return await _events(database) > count


# -- queues that are in trouble ------------------------------------------------------------------


async def test_a_queue_that_was_broken_fails_no_run_and_gets_its_events_later(
    engine: Engine, notifications: Notifications, database: Database,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    await notifications.subscribe("task_events", queue="broken")
    await notifications.subscribe("task_events", queue="sound")
    await database.execute(b"alter table pgmq.q_broken rename to q_away")
    run_id = await one_run(engine)
    assert (await engine.store.get_run(run_id)).status == "completed"
    await deliver(notifications)
    await deliver(notifications)
    assert len(await held(database, "sound")) == 2
    broken, sound = await notifications.subscriptions()
    assert (broken.pending, broken.messages, sound.error) == (2, None, None)
    assert "q_broken" in (broken.error or "")
    assert len([one for one in caplog.records if "takes no events" in one.message]) == 1
    await database.execute(b"alter table pgmq.q_away rename to q_broken")
    await engine.jump(60)
    await deliver(notifications)
    assert [event["seq"] for event in await held(database, "broken")] == [
        event["seq"] for event in await held(database, "sound")
    ]
    assert [one.error for one in await notifications.subscriptions()] == [None, None]


async def test_a_locked_queue_holds_up_neither_runs_nor_other_queues(
    engine: Engine, notifications: Notifications, database: Database
) -> None:
    await notifications.subscribe("task_events", queue="locked")
    await notifications.subscribe("task_events", queue="sound")
    async with database.transaction() as stuck:
        await stuck.execute("lock table pgmq.q_locked in access exclusive mode")
        run_id = await one_run(engine)
        assert (await engine.store.get_run(run_id)).status == "completed"
        await deliver(notifications)
        assert len(await held(database, "sound")) == 2
    await engine.jump(60)
    await deliver(notifications)
    assert len(await held(database, "locked")) == 2


async def test_a_queue_that_nobody_reads_is_bounded_and_reported(
    engine: Engine, notifications: Notifications, database: Database
) -> None:
    await notifications.subscribe("task_events", queue="q", largest=5)
    for _ in range(6):
        await one_run(engine)
    await deliver(notifications)
    [full] = await notifications.subscriptions()
    assert (full.messages, full.pending, full.largest) == (5, 7, 5)
    health: Any = await notifications.health()
    assert health["subscriptions"] == [full.as_json() | {"oldest_seconds": pytest.approx(
        health["subscriptions"][0]["oldest_seconds"])}]  # fmt: skip
    async with notifications.messages("q", batch=2) as messages:
        got = await take(messages, 12)  # reading makes room
    seen = [(m.payload["run_id"], m.payload["seq"]) for m in got]
    assert len(set(seen)) == 12
    assert [s for _, s in seen] == [2, 3] * 6
    [empty] = await notifications.subscriptions()
    assert (empty.messages, empty.pending) == (0, 0)


async def test_retention_forgets_what_a_full_queue_was_still_to_get(
    engine: Engine, notifications: Notifications, database: Database
) -> None:
    await notifications.subscribe("task_events", queue="q", largest=1)
    await one_run(engine)
    await one_run(engine)
    await deliver(notifications)
    await engine.jump(3600)
    await engine.store.prune(older_than_seconds=60, dry_run=True)
    assert (await notifications.subscriptions())[0].pending == 3
    await engine.store.prune(older_than_seconds=60)
    [left] = await notifications.subscriptions()
    assert (left.messages, left.pending) == (1, 0)


async def test_events_of_any_size_are_in_the_queue_and_ids_in_the_notification(
    engine: Engine, notifications: Notifications, database: Database
) -> None:
    await notifications.subscribe("task_events", queue="q", pattern="task_events.task_completed")
    listening = await database.dedicated()
    await listening.execute("listen q")
    text = "ü" * 400_000
    for _ in range(12):  # more than goes in one call
        await engine.start(flow_of({"id": "a"}))
    await engine.drain(lambda task: done(task, text))
    await deliver(notifications)
    got = await held(database, "q")
    assert [event["data"]["result"] == text for event in got] == [True] * 12
    async for heard in listening.notifies(timeout=SECONDS, stop_after=2):
        said = json.loads(heard.payload)
        assert said.keys() == {"queue", "msg_id", "first"}
    assert said["msg_id"] == 12
    await listening.close()


async def test_a_long_transaction_makes_subscribing_fail_and_nobody_wait(
    engine: Engine,
    notifications: Notifications,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with database.transaction() as writing:
        await writing.execute("lock table flowbuilder.events in row exclusive mode")
        monkeypatch.setattr(subscriptions, "_PATIENCE_SECONDS", 0.0)
        with pytest.raises(DatabaseError) as refused:
            await notifications.subscribe("task_events", queue="q")
        assert refused.value.code == "lock_timeout"
        assert await notifications.subscriptions() == []
        await one_run(engine)
    monkeypatch.undo()
    await notifications.subscribe("task_events", queue="q")
    async with database.transaction() as dumping:
        await dumping.execute("lock table flowbuilder.events in access share mode")
        await notifications.unsubscribe("q")  # the trigger stays, and finds nobody
        await one_run(engine)
    assert await held(database, "q") == []
    assert await database.fetch_all(b"select * from flowbuilder.deliveries") == []
    await notifications.subscribe("task_events", queue="q")
    await notifications.unsubscribe("q")
    assert await database.fetch_all(_TRIGGERS) == []


# -- reading ---------------------------------------------------------------------------------


async def test_a_subscriber_that_was_down_catches_up(
    engine: Engine, notifications: Notifications, database: Database
) -> None:
    await notifications.subscribe("task_events", queue="q")
    runs = [await one_run(engine) for _ in range(30)]
    async with (
        Notifications(database, poll_interval=OFTEN) as later,
        later.messages("q") as messages,
    ):
        got = await take(messages, 60)
    assert [m.payload["run_id"] for m in got] == [run for run in runs for _ in range(2)]


async def test_a_message_stays_until_the_next_one_is_asked_for(
    engine: Engine, notifications: Notifications, database: Database
) -> None:
    await notifications.subscribe("task_events", queue="q")
    await one_run(engine)
    await deliver(notifications)
    messages = notifications.messages("q")
    await take(messages, 1)
    assert len(await held(database, "q")) == 2
    await take(messages, 1)
    assert len(await held(database, "q")) == 1
    await messages.acknowledge()
    assert await held(database, "q") == []


async def test_what_failed_comes_back_first_and_holds_up_only_its_own_stream(
    engine: Engine, notifications: Notifications, database: Database
) -> None:
    await notifications.subscribe("task_events", queue="q")
    first, second = await one_run(engine), await one_run(engine)
    await deliver(notifications)
    with pytest.raises(RuntimeError):
        async with notifications.messages("q", batch=1) as messages:
            async for _ in messages:
                raise RuntimeError("cannot handle it")
    async with notifications.messages("q") as messages:
        got = await take(messages, 2)
        assert [m.payload["run_id"] for m in got] == [second, second]
        await messages.acknowledge()
        await database.execute(b"select pgmq.set_vt('q', msg_id, 0) from pgmq.q_q")
        got = await take(messages, 2)
    assert [(m.payload["run_id"], m.payload["seq"], m.reads) for m in got] == [
        (first, 2, 2),
        (first, 3, 1),
    ]
    assert await held(database, "q") == []


async def test_leaving_gives_back_at_once_what_was_not_looked_at(
    engine: Engine, notifications: Notifications
) -> None:
    await notifications.subscribe("task_events", queue="q")
    for _ in range(3):
        await one_run(engine)
    async with notifications.messages("q") as messages:
        await take(messages, 1)
    async with notifications.messages("q") as messages:
        got = await take(messages, 5)
    assert [m.payload["seq"] for m in got] == [3, 2, 3, 2, 3]


async def test_a_message_whose_time_is_over_is_read_again(
    engine: Engine, notifications: Notifications, database: Database
) -> None:
    await notifications.subscribe("task_events", queue="q")
    await one_run(engine)
    await deliver(notifications)
    messages = notifications.messages("q")
    await take(messages, 1)
    # the time of the second one, which was read with it, is over
    messages._taken = deque((message, 0.0) for message, _ in messages._taken)
    await database.execute(b"select pgmq.set_vt('q', msg_id, 0) from pgmq.q_q")
    [second] = await take(messages, 1)
    assert (second.payload["seq"], second.reads) == (3, 2)


async def test_consumers_share_a_queue_and_each_stream_keeps_its_order(
    engine: Engine, notifications: Notifications
) -> None:
    await notifications.subscribe("task_events", queue="q")
    runs = [await one_run(engine) for _ in range(20)]
    seen: list[tuple[str, int]] = []

    async def consume() -> None:
        async with notifications.messages("q", batch=3) as messages:
            async for message in messages:
                seen.append((str(message.payload["run_id"]), int(str(message.payload["seq"]))))

    consumers = [asyncio.create_task(consume()) for _ in range(3)]
    await eventually(lambda: len(seen) >= 40)
    for consumer in consumers:
        consumer.cancel()
    await asyncio.gather(*consumers, return_exceptions=True)
    for run_id in runs:
        assert [seq for run, seq in seen if run == run_id] == [2, 3]


async def test_lost_connections_lose_no_message(
    engine: Engine, notifications: Notifications, database: Database
) -> None:
    await notifications.subscribe("task_events", queue="q")
    count = 10
    got: list[Message] = []

    async def consume(dsn: str) -> None:
        async with (
            await Database.open(dsn, application_name="subscriber") as mine,
            Notifications(mine, poll_interval=OFTEN) as theirs,
            theirs.messages("q", visibility_timeout=5) as messages,
        ):
            while len({(m.payload["run_id"], m.payload["seq"]) for m in got}) < 2 * count:
                got.append(await anext(messages))

    consuming = asyncio.create_task(consume(database.dsn))
    for _ in range(count):
        await one_run(engine)
        await deliver(notifications)
        await database.execute(
            b"select pg_terminate_backend(pid) from pg_stat_activity"
            b" where application_name in ('subscriber', 'flowbuilder-listen')"
            b" and datname = current_database()"
        )
    async with asyncio.timeout(SECONDS):
        await consuming
    first_time = dict.fromkeys((m.payload["run_id"], m.payload["seq"]) for m in got)
    assert [seq for _, seq in first_time] == [2, 3] * count
    await eventually(lambda: _empty(database))


async def _empty(database: Database) -> bool:
    return await held(database, "q") == []


async def test_a_notification_wakes_a_consumer_before_it_polls(
    engine: Engine, database: Database
) -> None:
    async with (
        Notifications(database, poll_interval=NEVER) as sender,
        Notifications(database, poll_interval=NEVER) as receiver,
    ):
        await sender.subscribe("task_events", queue="q")
        messages = receiver.messages("q")
        taking = asyncio.create_task(take(messages, 2))
        await eventually(lambda: "q" in receiver._listener._live)
        run_id = await one_run(engine)
        await sender.announce([run_id])  # as a worker does after each exchange
        assert [m.payload["run_id"] for m in await taking] == [run_id, run_id]


async def test_closing_ends_consumers(notifications: Notifications) -> None:
    await notifications.subscribe("task_events", queue="q")
    messages = notifications.messages("q")
    reading = asyncio.create_task(take(messages, 1))
    await eventually(lambda: "q" in notifications._listener._live)
    await notifications.close()
    with pytest.raises(StopAsyncIteration):
        await anext(messages)
    results = await asyncio.gather(reading, return_exceptions=True)
    assert isinstance(results[0], RuntimeError | StopAsyncIteration)


async def test_a_worker_delivers_by_itself_and_health_tells_of_consumers(fb: FlowBuilder) -> None:
    await fb.notifications.subscribe("workflow_events", queue="q")
    run = await fb.execute_dynamic(
        {"flow": "f", "steps": [{"id": "a"}]}, functions={"a": lambda: 1}
    )
    await run.result(timeout=60)
    async with fb.notifications.messages("q") as messages:
        got = await take(messages, 2)
        health: Any = await fb.notifications.health()
    assert [m.payload["type"] for m in got] == ["workflow_started", "workflow_completed"]
    assert [(one["queue"], one["last_id"]) for one in health["listeners"]] == [("q", got[-1].id)]


async def test_a_process_that_ends_delivers_first(dsn: str, database: Database) -> None:
    for number in range(5):
        async with FlowBuilder.connect(dsn, settings=Settings(), worker=True) as fb:
            await fb.notifications.subscribe("workflow_events", queue="q")
            run = await fb.execute_dynamic(
                {"flow": "f", "steps": [{"id": "a"}]}, functions={"a": lambda: 1}
            )
            await run.result(timeout=60)
        assert len(await held(database, "q")) == 2 * (number + 1)


async def test_unlisten_ends_consumers(notifications: Notifications) -> None:
    await notifications.subscribe("task_events", queue="q")
    one, other = notifications.messages("q"), notifications.messages("other")
    await notifications.unlisten("q")
    assert (one.closed, other.closed) == (True, False)
    with pytest.raises(StopAsyncIteration):
        await anext(one)


async def test_a_queue_that_is_not_there_is_said(notifications: Notifications) -> None:
    with pytest.raises(NotFound) as missing:
        await anext(notifications.messages("nowhere"))
    assert missing.value.code == "queue_not_found"


@pytest.mark.parametrize(
    ("given", "code", "pointer"),
    [
        ({"channel": "nonsense"}, "channel_unknown", "/channel"),
        ({"channel": None}, "channel_unknown", "/channel"),
        ({"channel": "task_events", "pattern": "approval_events.*"}, "pattern_invalid", "/pattern"),
        ({"channel": "task_events", "pattern": "task_events2"}, "pattern_invalid", "/pattern"),
        ({"channel": "task_events", "pattern": "task_events.**"}, "pattern_invalid", "/pattern"),
        ({"channel": "task_events", "pattern": "task_events.a b"}, "pattern_invalid", "/pattern"),
        ({"channel": "task_events", "pattern": "task_events.'"}, "pattern_invalid", "/pattern"),
        ({"channel": "task_events", "pattern": 5}, "pattern_invalid", "/pattern"),
        ({"channel": "task_events", "pattern": "task_events." + "x" * 250}, "pattern_invalid",
         "/pattern"),
        ({"channel": "task_events", "queue": "A b"}, "queue_invalid", "/queue"),
        ({"channel": "task_events", "queue": "flowbuilder_tasks"}, "queue_reserved", "/queue"),
        ({"channel": "task_events", "largest": 0}, "value_invalid", "/largest"),
    ],
)  # fmt: skip
async def test_bad_subscriptions_are_refused(
    notifications: Notifications, given: Any, code: str, pointer: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        await notifications.subscribe(**given)
    assert (refused.value.pointer, refused.value.code) == (pointer, code)
    assert await notifications.subscriptions() == []


async def test_a_pgmq_without_topics_is_said(
    notifications: Notifications, database: Database
) -> None:
    await database.execute(b"alter function pgmq.bind_topic rename to bind_topic_later")
    with pytest.raises(InvalidValue) as refused:
        await notifications.subscribe("task_events")
    assert refused.value.code == "topics_missing"


async def test_what_is_not_subscribed_cannot_be_unsubscribed(notifications: Notifications) -> None:
    await notifications.subscribe("task_events", queue="q")
    for queue, pattern in (("other", None), ("q", "task_events.task_failed")):
        with pytest.raises(NotFound) as missing:
            await notifications.unsubscribe(queue, pattern=pattern)
        assert missing.value.code == "subscription_not_found"
    with pytest.raises(InvalidValue):
        notifications.messages("q", batch=0)
    with pytest.raises(InvalidValue):
        notifications.messages("q", visibility_timeout="soon")


async def test_each_delivery_is_logged_with_channel_size_and_times(
    engine: Engine, notifications: Notifications, caplog: pytest.LogCaptureFixture
) -> None:
    await notifications.subscribe("task_events", queue="q")
    await one_run(engine)
    with caplog.at_level(logging.INFO, logger="flowbuilder.executor"):
        await deliver(notifications)
        await deliver(notifications)
        await notifications.send_with_notify("mine", {"text": "ü"})
    [said] = [vars(one) for one in caplog.records if one.message == "events delivered"]
    assert (said["channel"], said["queue"], said["messages"], said["msg_id"]) == ("q", "q", 2, 2)
    assert said["bytes"] > 0 and said["notified"] is True
    assert said["ms"] >= said["store_ms"] > 0 and said["notify_ms"] > 0
    [sent] = [vars(one) for one in caplog.records if one.message == "message sent"]
    assert (sent["channel"], sent["bytes"]) == ("mine", len('{"text":"ü"}'.encode()))
    assert sent["ms"] >= sent["store_ms"] > 0
