"""Tasks that wait for events: before the wait, at the same moment, too late; exactly one wins."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from psycopg import AsyncConnection

from flowbuilder.errors import InvalidValue
from flowbuilder.executor.emitted import Emitted
from flowbuilder.executor.records import LeasedTask, Outcome
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.store import Store
from flowbuilder.types import JsonObject, JsonValue
from tests.support.engine import Engine, done, flow_of, waiting
from tests.support.waiting import eventually

EMIT = b"select flowbuilder.emit_event(%s, %s, %s, %s::json, null, 600)"
OTHER = "00000000-0000-0000-0000-000000000002"


def listen(
    task: LeasedTask, name: str = "order.paid", key: str = "7", **more: JsonValue
) -> Outcome:
    return waiting(task, kind="event", name=name, key=key, **{"timeout_seconds": 60, **more})


async def emit(
    engine: Engine, payload: JsonValue = None, name: str = "order.paid", key: str = "7",
    keep: float = 600,
) -> Emitted:  # fmt: skip
    return await engine.store.emit(name, key, payload, keep_seconds=keep, by="user:ada")


async def wait_in(engine: Engine, **wait: JsonValue) -> str:
    """Start a run whose only step waits, with its second look at the slot done."""
    run = await engine.start(flow_of({"id": "w"}))
    await engine.drain(lambda task: listen(task, **wait))  # type: ignore[arg-type]
    await engine.store.tick()
    return run


async def error_of(engine: Engine, run: str) -> JsonObject:
    row = await engine.run(run)
    assert row.status is RunStatus.FAILED
    assert row.error is not None
    return row.error


@pytest.mark.parametrize("payload", [0, False, "", None, [], {"amount": 12.5}])
async def test_an_event_completes_the_task_that_waits_with_its_payload(
    engine: Engine, payload: JsonValue
) -> None:
    run = await wait_in(engine)
    said = await emit(engine, payload)
    assert (said.already, said.woke, said.touched, said.emitted_by) == (False, 1, [run], "user:ada")
    assert said.expires_at - said.emitted_at == timedelta(seconds=600)
    assert (await engine.run(run)).output == {"w": payload}
    assert await engine.trace(run) == [
        "workflow_started",
        "task_started w",
        "task_waiting w",
        "task_completed w",
        "workflow_completed",
    ]
    told = (await engine.store.events(run))[2].data
    assert (told["kind"], told["event"], told["key"]) == ("event", "order.paid", "7")
    assert isinstance(told["until"], str)
    await engine.at_rest()


async def test_a_waiting_task_holds_no_slot_lease_or_message(engine: Engine) -> None:
    await wait_in(engine)
    depth = await engine.store.queue_depth()
    assert (depth["waiting"], depth["running"], depth["messages"]) == (1, 0, 0)
    await engine.at_rest()


async def test_f44_an_event_before_the_wait_ends_it_at_once(engine: Engine) -> None:
    """F44: in the very exchange that reports the wait, without any upkeep."""
    assert (await emit(engine, {"n": 1})).woke == 0
    run = await engine.start(flow_of({"id": "w"}, {"id": "next", "depends_on": ["w"]}))
    (task,) = (await engine.exchange()).tasks
    await engine.exchange([listen(task)], free=0)
    (follower,) = (await engine.exchange()).tasks
    await engine.exchange([done(follower)])
    assert follower.step_id == "next"
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    await engine.at_rest()


async def test_f44_an_event_that_is_being_emitted_as_the_wait_begins_is_not_missed(
    engine: Engine, dsn: str
) -> None:
    """F44: the emitter has looked for waits already, and has not committed yet."""
    run = await engine.start(flow_of({"id": "w"}))
    (task,) = (await engine.exchange()).tasks
    async with await AsyncConnection.connect(dsn) as emitter:
        await emitter.execute(EMIT, (engine.store.workspace, "order.paid", "7", '"now"'))
        await engine.exchange([listen(task)])
        assert (await engine.run(run)).status is RunStatus.RUNNING
        look = asyncio.create_task(engine.store.tick())
        await eventually(engine.somebody_waits)
        await emitter.commit()
    await look
    assert (await engine.run(run)).output == {"w": "now"}
    await engine.at_rest()


async def test_f44_an_event_that_meets_a_wait_looking_for_it_waits_its_turn(
    engine: Engine, dsn: str
) -> None:
    """F44: the wait has its slot first; the emitter waits for it, then finds the task."""
    run = await engine.start(flow_of({"id": "w"}))
    (task,) = (await engine.exchange()).tasks
    await engine.exchange([listen(task)])
    async with await AsyncConnection.connect(dsn) as looker:
        await looker.execute(b"select flowbuilder.relay()")
        emitting = asyncio.create_task(emit(engine, 0))
        await eventually(engine.somebody_waits)
        await looker.commit()
    assert (await emitting).woke == 1
    assert (await engine.run(run)).output == {"w": 0}
    await engine.at_rest()


async def test_f44_the_event_ends_a_wait_that_nobody_has_looked_after_yet(engine: Engine) -> None:
    """F44: what is known to wait can be woken, also before its second look."""
    run = await engine.start(flow_of({"id": "w"}))
    await engine.drain(listen)
    assert (await emit(engine, 1)).woke == 1
    await engine.store.tick()
    assert (await engine.run(run)).output == {"w": 1}
    await engine.at_rest()


async def test_f44_an_event_in_time_wins_though_upkeep_comes_after_the_deadline(
    engine: Engine, dsn: str
) -> None:
    """F44: every worker was away between the emission and the deadline."""
    run = await engine.start(flow_of({"id": "w"}))
    (task,) = (await engine.exchange()).tasks
    async with await AsyncConnection.connect(dsn) as emitter:
        await emitter.execute(EMIT, (engine.store.workspace, "order.paid", "7", "1"))
        await engine.exchange([listen(task, on_timeout="null")])
        await emitter.commit()
    await engine.jump(61)
    await engine.store.tick()
    assert (await engine.run(run)).output == {"w": 1}
    await engine.at_rest()


async def test_f44_an_event_after_the_deadline_changes_nothing_though_upkeep_has_not_looked(
    engine: Engine,
) -> None:
    """F44: the deadline counts, not when somebody notices it."""
    run = await wait_in(engine)
    await engine.jump(61)
    assert (await emit(engine, "late")).woke == 0
    assert (await engine.run(run)).status is RunStatus.RUNNING
    await engine.store.tick()
    error = await error_of(engine, run)
    assert error["code"] == "event_timeout"
    assert "order.paid 7" in str(error["message"])
    assert (await emit(engine)).woke == 0
    assert "task_completed w" not in await engine.trace(run)
    await engine.at_rest()


async def test_a_wait_may_end_with_null_when_nothing_came(engine: Engine) -> None:
    run = await wait_in(engine, on_timeout="null")
    await engine.jump(59)
    assert not (await engine.store.tick()).ready
    await engine.jump(2)
    await engine.store.tick()
    assert (await engine.run(run)).output == {"w": None}
    await engine.at_rest()


async def test_f44_deadline_and_event_at_once_exactly_one_wins(engine: Engine) -> None:
    """F44: emission and upkeep race before, at and after the moment in which the clock passes the
    deadline."""
    won = {"event": 0, "timeout": 0}
    for number in range(45):
        await engine.join()
        key, before, after = str(number), 2000.0 * (number % 3 == 0), 2000.0 * (number % 3 == 1)
        run = await wait_in(engine, key=key, timeout_seconds=1800, on_timeout="null")
        await engine.jump(before)
        said, *_ = await asyncio.gather(
            emit(engine, "there", key=key),
            engine.store.tick(),
            engine.jump(2000 - before - after),
            engine.store.tick(),
        )
        await engine.jump(after)
        await engine.store.tick()
        output = (await engine.run(run)).output
        assert output == {"w": "there" if said.woke else None}
        won["event" if said.woke else "timeout"] += 1
        trace = await engine.trace(run)
        assert trace.count("task_completed w") == 1
    assert all(won.values()), won
    await engine.at_rest()


async def test_one_event_wakes_every_wait_for_it_and_no_other(engine: Engine) -> None:
    same = [await wait_in(engine) for _ in range(3)]
    key, name = await wait_in(engine, key="8"), await wait_in(engine, name="order.sent")
    bare = await wait_in(engine, key="")
    said = await emit(engine, "x")
    assert (said.woke, sorted(said.touched)) == (3, sorted(same))
    for run in same:
        assert (await engine.run(run)).output == {"w": "x"}
    for run in (key, name, bare):
        assert (await engine.run(run)).status is RunStatus.RUNNING
    assert (await emit(engine, "y", key="")).touched == [bare]


async def test_another_workspace_hears_nothing(engine: Engine) -> None:
    await engine.database.execute(
        b"insert into flowbuilder.workspaces (id, slug) values (%s, 'other')", (OTHER,)
    )
    run = await wait_in(engine)
    stranger = Store(engine.database, workspace=OTHER)
    assert (await stranger.emit("order.paid", "7", 1, keep_seconds=60)).woke == 0
    assert (await engine.run(run)).status is RunStatus.RUNNING
    said = await emit(engine, 2)
    assert (said.already, said.woke) == (False, 1)


async def test_elements_of_a_map_wait_each_for_its_own_key(engine: Engine) -> None:
    run = await engine.start(
        flow_of({"id": "m", "for_each": "${{ input }}"}, output="${{ steps.m }}"), ["a", "b", "c"]
    )
    await engine.drain(lambda task: listen(task, key=str(task.item)))
    await engine.store.tick()
    for key in ("c", "a", "b"):
        assert (await emit(engine, key.upper(), key=key)).woke == 1
    await engine.drain(lambda task: done(task, task.outputs["m"]))
    assert (await engine.run(run)).output == ["A", "B", "C"]
    await engine.at_rest()


async def test_the_first_event_stands_and_another_says_already(engine: Engine) -> None:
    first = await emit(engine, {"n": 1})
    again = await engine.store.emit("order.paid", "7", {"n": 2}, keep_seconds=9000, by="user:eve")
    assert (again.already, again.emitted_by) == (True, "user:ada")
    assert (again.emitted_at, again.expires_at) == (first.emitted_at, first.expires_at)
    assert (await engine.run(await wait_in(engine))).output == {"w": {"n": 1}}


async def test_fifty_emit_the_same_event_at_once_one_stands(engine: Engine) -> None:
    run = await wait_in(engine)
    said = await asyncio.gather(*(emit(engine, number) for number in range(50)))
    (first,) = [number for number, one in enumerate(said) if not one.already]
    assert sum(one.woke for one in said) == 1
    assert (await engine.run(run)).output == {"w": first}


async def test_an_event_whose_life_is_over_is_none(engine: Engine) -> None:
    await emit(engine, "old", keep=30)
    await engine.jump(31)
    run = await wait_in(engine)
    assert (await engine.run(run)).status is RunStatus.RUNNING
    said = await emit(engine, "new")
    assert (said.already, said.woke) == (False, 1)
    assert (await engine.run(run)).output == {"w": "new"}


async def test_prune_forgets_events_whose_life_is_over(engine: Engine) -> None:
    await emit(engine, keep=30)
    await emit(engine, key="8", keep=90_000)
    await engine.jump(3600)
    assert (await engine.store.prune(older_than_seconds=7200)).emitted == 0
    dry = await engine.store.prune(older_than_seconds=60, dry_run=True)
    pruned = await engine.store.prune(older_than_seconds=60, page=1)
    assert (dry.emitted, pruned.emitted) == (1, 1)
    assert (await emit(engine, key="8")).already
    assert not (await emit(engine)).already


async def test_cancelling_ends_the_wait_and_leaves_nothing(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "w"}))
    await engine.drain(listen)
    await engine.store.cancel_run(run)
    await engine.store.tick()
    assert (await emit(engine)).woke == 0
    assert await engine.trace(run) == [
        "workflow_started",
        "task_started w",
        "task_waiting w",
        "task_cancelled w",
        "workflow_cancelled",
    ]
    await engine.at_rest()


async def test_a_paused_run_takes_its_event_and_goes_on_when_resumed(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "w"}, {"id": "next", "depends_on": ["w"]}))
    await engine.drain(listen)
    await engine.store.pause_run(run)
    assert (await emit(engine, 5)).woke == 1
    assert (await engine.exchange()).tasks == []
    await engine.store.resume_run(run)
    await engine.drain(done)
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    await engine.store.tick()
    await engine.at_rest()


async def test_the_deadline_of_the_run_ends_a_longer_wait(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "w"}), timeout_seconds=50)
    await engine.drain(lambda task: listen(task, timeout_seconds=10**6))
    await engine.jump(51)
    await engine.store.tick()
    assert (await error_of(engine, run))["code"] == "deadline_exceeded"
    assert (await emit(engine)).woke == 0
    await engine.at_rest()


async def test_on_error_says_what_a_timeout_means(engine: Engine) -> None:
    run = await engine.start(
        flow_of({"id": "w", "on_error": "continue"}, {"id": "next", "depends_on": ["w"]})
    )
    await engine.drain(listen)
    await engine.jump(61)
    await engine.store.tick()
    await engine.join()
    await engine.drain(done)
    assert (await engine.run(run)).status is RunStatus.COMPLETED


@pytest.mark.parametrize(
    "wait",
    [
        {},
        {"name": "order.paid"},
        {"key": "7"},
        {"name": "", "key": ""},
        {"name": "a b", "key": ""},
        {"name": "n" * 101, "key": ""},
        {"name": "n", "key": "k" * 501},
    ],
)
async def test_a_wait_for_no_possible_event_is_refused(engine: Engine, wait: JsonObject) -> None:
    await engine.start(flow_of({"id": "w"}))
    (task,) = (await engine.exchange()).tasks
    with pytest.raises(InvalidValue) as refused:
        await engine.exchange([waiting(task, kind="event", **wait)])
    assert refused.value.code == "bad_wait"
    await engine.exchange([done(task)])
    await engine.at_rest()


async def test_why_names_the_event_its_key_and_the_time(engine: Engine) -> None:
    run = await wait_in(engine, timeout_seconds=7200)
    reason = next(r for r in (await engine.store.why(run)).reasons if r.code == "waiting")
    assert reason.message == "Step w waits for event order.paid 7 for another 2h."
    assert reason.until is not None
    assert (reason.details["name"], reason.details["key"]) == ("order.paid", "7")


async def test_a_backlog_of_the_outbox_is_worked_off_without_a_pause(engine: Engine) -> None:
    for number in range(60):
        await engine.start(flow_of({"id": "w"}, slug=f"flow-{number}"))
    await engine.drain(lambda task: listen(task, key=task.run_id))
    first = await engine.store.tick()
    second = await engine.store.tick()
    assert first.next_due_seconds == 0
    assert second.next_due_seconds not in (0, None)
