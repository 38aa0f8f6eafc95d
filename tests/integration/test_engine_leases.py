"""Who may write: leases, fences, lost replies, dead workers, poison."""

from __future__ import annotations

import asyncio

import pytest

from flowbuilder.errors import Conflict, InvalidTransition, NotFound, StaleTask
from flowbuilder.executor.records import Outcome, OutcomeKind
from flowbuilder.executor.states import RunStatus
from tests.support.engine import Engine, done, flow_of, retry
from tests.support.waiting import eventually


async def test_the_same_report_twice_counts_once(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}, {"id": "b"}))
    task, other = (await engine.exchange()).tasks
    first = await engine.exchange([done(task, 1)], held=[other])
    again = await engine.exchange([done(task, 2)], held=[other])
    assert (first.verdicts[task.key], again.verdicts[task.key]) == ("accepted", "already")
    assert (await engine.trace(run)).count("task_completed a") == 1
    assert (await engine.store.run_steps(run))[0].output == 1


async def test_what_a_lost_reply_handed_out_is_handed_out_again(engine: Engine) -> None:
    await engine.start(flow_of({"id": "a"}))
    lost = await engine.exchange()
    again = await engine.exchange()
    assert [task.key for task in again.tasks] == [task.key for task in lost.tasks]
    nothing = await engine.exchange(held=again.tasks)
    assert nothing.tasks == []


async def test_an_expired_lease_lets_another_worker_take_over_and_fences_the_first(
    engine: Engine,
) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    (task,) = (await engine.exchange(lease=5)).tasks
    late = engine.worker
    await engine.jump(6)
    await engine.join()
    assert (await engine.exchange()).tasks == []
    assert (await engine.store.tick()).touched == [run]
    (taken,) = (await engine.exchange()).tasks
    assert (taken.task_id, taken.fence) == (task.task_id, task.fence + 1)
    engine.worker, winner = late, engine.worker
    answer = await engine.exchange([done(task, "late")], free=0)
    assert answer.verdicts[task.key] == "fenced"
    engine.worker = winner
    await engine.exchange([done(taken, "right")])
    assert (await engine.run(run)).output == {"a": "right"}
    await engine.at_rest()


async def test_held_leases_are_extended_and_lost_ones_named(engine: Engine) -> None:
    await engine.start(flow_of({"id": "a"}))
    (task,) = (await engine.exchange(lease=10)).tasks
    for _ in range(5):
        await engine.jump(6)
        answer = await engine.exchange(held=[task], lease=10)
        assert (answer.lost, answer.tasks) == ([], [])
    await engine.jump(11)
    await engine.store.tick()
    holder = engine.worker
    await engine.join()
    assert len((await engine.exchange()).tasks) == 1
    engine.worker = holder
    assert (await engine.exchange(held=[task], free=0)).lost == [task.key]


async def test_a_worker_that_was_given_up_is_refused(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    (task,) = (await engine.exchange()).tasks
    await engine.store.stop_worker(engine.worker)
    with pytest.raises(StaleTask) as refused:
        await engine.exchange([done(task)])
    assert refused.value.code == "worker_dead"
    await engine.join()
    (again,) = (await engine.exchange()).tasks
    assert (again.attempt, again.fence) == (1, 2)
    await engine.exchange([done(again)])
    assert (await engine.run(run)).status is RunStatus.COMPLETED


async def test_a_worker_whose_session_is_gone_is_dead_at_the_second_look(engine: Engine) -> None:
    await engine.start(flow_of({"id": "a"}))
    session = await engine.database.dedicated()
    key = int.from_bytes(bytes.fromhex(engine.worker.replace("-", "")[:16]), "big", signed=True)
    await session.execute(b"select pg_advisory_lock(%s)", (key,))
    await engine.exchange()
    await engine.store.tick()  # sees the lock
    await engine.jump(5)
    await engine.store.tick()
    assert [row.status for row in await engine.store.workers()] == ["live"]
    await session.close()
    await eventually(lambda: _unlocked(engine))
    await engine.store.tick()  # suspect
    assert [row.status for row in await engine.store.workers()] == ["live"]
    await engine.jump(1.5)
    await engine.store.tick()
    assert [row.status for row in await engine.store.workers()] == ["dead"]
    await engine.join()
    assert len((await engine.exchange()).tasks) == 1


async def _unlocked(engine: Engine) -> bool:
    row = await engine.database.fetch_one(
        b"select flowbuilder.is_locked(%s::uuid) as locked", (engine.worker,)
    )
    assert row is not None
    return not row["locked"]


async def test_a_task_that_takes_its_workers_down_fails_as_poison(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    for _ in range(3):
        await engine.join(max_claims=3)
        assert len((await engine.exchange(lease=5)).tasks) == 1
        await engine.jump(6)
        await engine.store.tick()
    await engine.join(max_claims=3)
    assert (await engine.exchange()).tasks == []
    row = await engine.run(run)
    assert row.error is not None
    assert row.error["code"] == "poison"
    await engine.at_rest()


async def test_work_handed_back_costs_no_attempt(engine: Engine) -> None:
    await engine.start(flow_of({"id": "a", "retry": {"max_attempts": 1}}))
    for _ in range(3):
        (task,) = (await engine.exchange()).tasks
        assert task.attempt == 1
        back = task.outcome(OutcomeKind.RELEASED)
        answer = await engine.exchange([back], free=0)
        assert answer.ready


async def test_a_delayed_retry_waits_in_the_table_until_it_is_due(engine: Engine) -> None:
    await engine.start(flow_of({"id": "a"}))
    (task,) = (await engine.exchange()).tasks
    answer = await engine.exchange([retry(task, delay=60)])
    assert (answer.tasks, answer.next_due_seconds) == ([], 60)
    assert (await engine.store.queue_depth())["messages"] == 0
    due = (await engine.store.tick()).next_due_seconds
    assert due is not None
    assert 50 < due <= 60
    await engine.jump(61)
    await engine.exchange(free=0)
    assert (await engine.store.tick()).ready
    assert [again.attempt for again in (await engine.exchange()).tasks] == [2]


async def test_a_worker_gets_only_tasks_of_its_tools(engine: Engine) -> None:
    await engine.start(flow_of({"id": "a", "tool": "other"}, {"id": "b", "tool": "work"}))
    await engine.join(tools=["work@1"])
    assert [task.step_id for task in (await engine.exchange()).tasks] == ["b"]


async def test_a_run_past_its_deadline_fails(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}), timeout_seconds=30)
    await engine.jump(31)
    await engine.store.tick()
    row = await engine.run(run)
    assert row.error is not None
    assert row.error["code"] == "deadline_exceeded"
    await engine.at_rest()


async def test_many_clients_with_one_idempotency_key_start_one_run(engine: Engine) -> None:
    version = await engine.store.register_version(flow_of({"id": "a"}), engine.registry)
    started = await asyncio.gather(
        *(
            engine.store.start_run(version.id, {"n": 1}, timeout_seconds=60, idempotency_key="once")
            for _ in range(20)
        )
    )
    assert len({run.id for run, _ in started}) == 1
    assert [created for _, created in started].count(True) == 1
    with pytest.raises(Conflict) as refused:
        await engine.store.start_run(
            version.id, {"n": 2}, timeout_seconds=60, idempotency_key="once"
        )
    assert refused.value.code == "idempotency_mismatch"


async def test_cancel_pause_and_resume_follow_the_state_table(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    await engine.store.pause_run(run, actor="user:ada")
    assert (await engine.exchange()).tasks == []
    with pytest.raises(InvalidTransition):
        await engine.store.pause_run(run)
    await engine.store.resume_run(run)
    (task,) = (await engine.exchange()).tasks
    await engine.store.cancel_run(run, reason="enough")
    assert (await engine.exchange(held=[task])).lost == [task.key]
    with pytest.raises(InvalidTransition):
        await engine.store.cancel_run(run)
    assert await engine.trace(run) == [
        "workflow_started",
        "workflow_paused",
        "workflow_resumed",
        "task_started a",
        "task_cancelled a",
        "workflow_cancelled",
    ]
    for unknown in ("00000000-0000-0000-0000-00000000dead", "no id", ""):
        with pytest.raises(NotFound):
            await engine.store.get_run(unknown)
    await engine.at_rest()


async def test_workers_at_once_complete_every_task_exactly_once(engine: Engine) -> None:
    runs = [
        await engine.start(
            flow_of({"id": "m", "for_each": "${{ input }}"}, {"id": "z", "depends_on": ["m"]}),
            list(range(25)),
        )
        for _ in range(6)
    ]

    async def work() -> None:
        mine = Engine(engine.database)
        await mine.join()
        outcomes: list[Outcome] = []
        while True:
            answer = await mine.exchange(outcomes, free=4)
            outcomes = [done(task, task.item) for task in answer.tasks]
            open_ = [row for row in await mine.store.list_runs() if not row.status.terminal]
            if not outcomes and not open_:
                return

    await asyncio.gather(*(work() for _ in range(4)))
    for run in runs:
        trace = await engine.trace(run)
        assert trace.count("task_completed m") == 25
        assert trace.count("task_completed z") == 1
        assert trace[-1] == "workflow_completed"
    await engine.at_rest()


async def test_rows_of_leases_are_passed_only_when_nobody_can_add_to_them(engine: Engine) -> None:
    """A call that commits late may have taken a low number."""
    for _ in range(3):
        await engine.start(flow_of({"id": "a"}))
    (first,) = (await engine.exchange(free=1)).tasks
    async with engine.database.transaction() as late:
        leased = await late.execute(_LEASE, (engine.worker,))
        assert leased.rowcount == 1
        await engine.database.execute(_COUNT_ON)
        await engine.exchange([done(first)], free=0)
        assert await _passed(engine) == 0
    again = (await engine.exchange(free=0)).tasks  # its answer was not heard
    assert len(again) == 1
    assert await _passed(engine) == 2  # the row of the late call
    (third,) = (await engine.exchange(held=again, free=1)).tasks
    assert await _passed(engine) == 2
    await engine.exchange([done(again[0])], held=[third], free=0)
    await engine.database.execute(_COUNT_ON)
    answer = await engine.exchange(free=0)
    assert [task.task_id for task in answer.tasks] == [third.task_id]
    assert await _passed(engine) > 5000
    await engine.jump(100)
    await engine.join()
    assert (await engine.store.tick()).touched == [third.run_id]


_LEASE = b"select flowbuilder.exchange(%s, null, '[]', 1, 30)"
_COUNT_ON = b"""
select setval('flowbuilder.leases_id_seq', nextval('flowbuilder.leases_id_seq') + 5000)
"""


async def _passed(engine: Engine) -> int:
    row = await engine.database.fetch_one(
        b"select leases_from as n from flowbuilder.workers where id = %s", (engine.worker,)
    )
    assert row is not None
    return int(row["n"])


async def lose_all(engine: Engine) -> set[str | None]:
    """Claim as much as there is room for, and be gone; returns which steps went with the worker."""
    await engine.join(max_claims=4)
    tasks = (await engine.exchange(free=4, lease=5)).tasks
    await engine.jump(6)
    await engine.store.tick()
    return {task.step_id for task in tasks}


async def test_what_was_lost_with_its_worker_again_and_again_is_claimed_alone(
    engine: Engine,
) -> None:
    run = await engine.start(flow_of({"id": "a"}, {"id": "b"}, {"id": "c"}))
    assert [await lose_all(engine) for _ in range(2)] == [{"a", "b", "c"}] * 2
    fresh = await engine.start(flow_of({"id": "d"}, {"id": "e"}))
    await engine.join(max_claims=4)
    first = (await engine.exchange(free=4)).tasks
    assert len(first) == 3 and {"d", "e"} < {task.step_id for task in first}
    held = [task for task in first if task.step_id not in ("d", "e")]
    reports = [done(task) for task in first if task not in held]
    assert (await engine.exchange(reports, held=held, free=4)).tasks == []
    (waits, _, _) = (await engine.store.why(run)).reasons
    assert waits.code == "queued" and "lost with 2 workers" in waits.message
    await engine.join(max_claims=4)
    second = (await engine.exchange(free=4)).tasks
    assert len(second) == 1 and second[0].step_id != held[0].step_id
    # Whoever came through is no suspect any more.
    third = (await engine.exchange([done(second[0])], free=4)).tasks
    assert len(third) == 1 and third[0].step_id not in (held[0].step_id, second[0].step_id)
    await engine.exchange([done(third[0])])
    await engine.jump(60)
    await engine.finish_everything()
    for one in (run, fresh):
        assert (await engine.run(one)).status is RunStatus.COMPLETED
    await engine.store.tick()
    assert await engine.database.fetch_all(b"select * from flowbuilder.suspects") == []
    await engine.at_rest()


async def test_what_is_claimed_alone_keeps_to_the_limits_too(engine: Engine) -> None:
    await engine.store.set_limit("work", concurrency=3, rate=None)
    await engine.start(flow_of({"id": "a"}, {"id": "b"}, {"id": "c"}))
    for _ in range(2):
        assert await lose_all(engine) == {"a", "b", "c"}
    await engine.join(max_claims=4)
    seen = set()
    while tasks := (await engine.exchange(free=4)).tasks:
        assert len(tasks) == 1
        seen.add(tasks[0].step_id)
        await engine.exchange([done(tasks[0])], free=0)
    assert seen == {"a", "b", "c"}
    await engine.at_rest()
