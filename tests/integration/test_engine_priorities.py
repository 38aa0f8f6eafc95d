"""Who goes first: classes of priority, runs beside big maps; and how big a run may be."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from flowbuilder.errors import Conflict, InvalidValue
from flowbuilder.executor.records import LeasedTask, Outcome
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.terms import Terms
from flowbuilder.limits import Priority
from flowbuilder.types import JsonObject, JsonValue
from tests.support.engine import Engine, done, flow_of, retry, waiting

HIGH = Terms(priority=Priority.HIGH)
LOW = Terms(priority=Priority.LOW)


async def take(
    engine: Engine, outcomes: Sequence[Outcome] = (), *, free: int = 1
) -> list[LeasedTask]:
    """Report and lease without a word about what is held, so that nothing comes twice."""
    answer = await engine.store.exchange(
        engine.worker, held=None, outcomes=outcomes, free=free, lease_seconds=30
    )
    return answer.tasks


async def claimed(engine: Engine, free: int = 1) -> list[str]:
    """Return the runs of the next tasks."""
    return [task.run_id for task in await take(engine, free=free)]


async def test_higher_classes_are_claimed_first_in_each_class_the_older_run(engine: Engine) -> None:
    flow = flow_of({"id": "a"})
    wanted: dict[Priority, list[str]] = {}
    for _ in range(2):
        for terms in (LOW, Terms(), HIGH):
            run = await engine.start(flow, terms=terms)
            wanted.setdefault(terms.priority, []).append(run)
    order = [(await claimed(engine))[0] for _ in range(6)]
    assert order == [*wanted[Priority.HIGH], *wanted[Priority.NORMAL], *wanted[Priority.LOW]]
    assert (await engine.run(order[0])).priority is Priority.HIGH


@pytest.mark.parametrize("terms", [LOW, Terms(), HIGH])
async def test_a_map_of_any_class_is_served_at_once_when_nobody_else_waits(
    engine: Engine, terms: Terms
) -> None:
    flow = flow_of({"id": "m", "for_each": "${{ input }}"})
    run = await engine.start(flow, list(range(1200)), terms=terms)
    tasks = await take(engine, free=2000)
    assert len(tasks) == 1000
    assert len(await take(engine, [done(task) for task in tasks], free=2000)) == 200
    assert (await engine.run(run)).status is RunStatus.RUNNING


async def test_a_low_class_waits_an_hour_longer_and_no_more(engine: Engine) -> None:
    flow = flow_of({"id": "a"})
    low = await engine.start(flow, terms=LOW)
    await engine.jump(3500)
    await engine.join()
    normal = await engine.start(flow)
    assert await claimed(engine) == [normal]
    await engine.jump(200)
    await engine.join()
    late = await engine.start(flow)
    assert await claimed(engine, free=2) == [low, late]


async def test_a_worker_keeps_no_step_while_a_higher_class_waits(engine: Engine) -> None:
    low = await engine.start(flow_of({"id": "a"}, {"id": "b", "depends_on": ["a"]}), terms=LOW)
    (first,) = (await engine.exchange(free=1)).tasks
    urgent = await engine.start(flow_of({"id": "x"}), terms=HIGH)
    assert [task.run_id for task in await take(engine, [done(first)])] == [urgent]
    assert await claimed(engine) == [low]


async def test_what_nobody_here_can_do_keeps_no_step_back(engine: Engine) -> None:
    await engine.start(flow_of({"id": "x", "tool": "other"}), terms=HIGH)
    run = await engine.start(flow_of({"id": "a"}, {"id": "b", "depends_on": ["a"]}))
    await engine.join(tools=["work@1"])
    (first,) = (await engine.exchange(free=1)).tasks
    (second,) = (await engine.exchange([done(first)], free=1)).tasks
    assert (second.run_id, second.step_id) == (run, "b")


async def test_retries_requeued_and_resumed_tasks_keep_their_class(engine: Engine) -> None:
    flow = flow_of({"id": "a"})
    urgent = await engine.start(flow, terms=HIGH)
    normal = await engine.start(flow)
    (task,) = (await engine.exchange(free=1)).tasks
    assert task.run_id == urgent
    await engine.exchange([retry(task)], free=0)
    assert await claimed(engine) == [urgent]
    await engine.store.stop_worker(engine.worker)  # hands it back
    await engine.join()
    await engine.store.pause_run(urgent)
    await engine.store.resume_run(urgent)
    assert await claimed(engine, free=2) == [urgent, normal]


async def test_children_and_retries_have_the_priority_of_their_run(engine: Engine) -> None:
    child = await engine.store.register_version(flow_of({"id": "x"}, slug="child"), engine.registry)

    def decide(task: LeasedTask) -> Outcome:
        if task.step_id == "call":
            return waiting(task, kind="run", version_id=child.id, flow="child", input=None)
        return done(task)

    run = await engine.start(flow_of({"id": "call"}), terms=LOW)
    for _ in range(2):
        await engine.drain(decide)
        await engine.store.tick()
    (row,) = await engine.store.list_runs(flow="child")
    assert row.priority is Priority.LOW
    again = await engine.store.retry_run(run, from_step="call")
    assert (await engine.run(again.run_id or "")).priority is Priority.LOW


async def test_why_says_that_higher_priorities_go_first(engine: Engine) -> None:
    normal = await engine.start(flow_of({"id": "a"}))
    for _ in range(3):
        await engine.start(flow_of({"id": "a"}), terms=HIGH)
    (reason,) = (await engine.store.why(normal)).reasons
    assert (reason.code.value, reason.details["outranked"]) == ("outranked", 3)
    assert "behind 3 tasks of runs with a higher priority" in reason.message
    for _ in range(3):
        await claimed(engine)
    (reason,) = (await engine.store.why(normal)).reasons
    assert reason.code.value == "queued"


async def test_names_of_priorities_are_read_and_others_refused() -> None:
    assert [Priority.read(n) for n in ("high", 0, -1, Priority.LOW)] == [
        Priority.HIGH, Priority.NORMAL, Priority.LOW, Priority.LOW,
    ]  # fmt: skip
    for wrong in ("urgent", "", 2, True):
        with pytest.raises(InvalidValue) as refused:
            Priority.read(wrong)
        assert (refused.value.code, refused.value.pointer) == ("priority_unknown", "/priority")


# -- beside big maps ------------------------------------------------------------------------


async def test_a_short_run_passes_a_big_map(engine: Engine) -> None:
    big = await engine.start(flow_of({"id": "m", "for_each": list(range(3000))}, slug="big"))
    outcomes = [done(task) for task in (await engine.exchange(free=10)).tasks]
    outcomes = [done(task) for task in (await engine.exchange(outcomes, free=10)).tasks]
    short = await engine.start(
        flow_of(
            {"id": "a"}, {"id": "b", "depends_on": ["a"]}, {"id": "c", "depends_on": ["b"]},
            slug="short",
        )
    )  # fmt: skip
    for _ in range(4):
        answer = await engine.exchange(outcomes, free=10)
        assert len(answer.tasks) == 10
        outcomes = [done(task) for task in answer.tasks]
    assert (await engine.run(short)).status is RunStatus.COMPLETED
    await engine.store.cancel_run(big)
    await engine.at_rest()


async def test_a_short_run_passes_many_steps_that_became_ready_together(engine: Engine) -> None:
    steps: list[JsonObject] = [{"id": f"s{n}"} for n in range(200)]
    await engine.start(flow_of(*steps, slug="wide"))
    short = await engine.start(flow_of({"id": "a"}, slug="short"))
    tasks = (await engine.exchange(free=20)).tasks
    assert short in {task.run_id for task in tasks}
    assert len(tasks) == 20


async def test_two_big_maps_share_the_workers(engine: Engine) -> None:
    flow = flow_of({"id": "m", "for_each": list(range(2000))})
    first = await engine.start(flow)
    outcomes = [done(task) for task in (await engine.exchange(free=20)).tasks]
    second = await engine.start(flow)
    counts = dict.fromkeys((first, second), 0)
    for _ in range(60):
        answer = await engine.exchange(outcomes, free=20)
        for task in answer.tasks:
            counts[task.run_id] += 1
        outcomes = [done(task) for task in answer.tasks]
    assert min(counts.values()) > 400
    await engine.consistent()


async def test_elements_of_a_map_still_start_in_order(engine: Engine) -> None:
    await engine.start(flow_of({"id": "m", "for_each": list(range(100))}))
    seen = await engine.drain(done)
    assert [task.index for task in seen] == list(range(100))


# -- bounds ---------------------------------------------------------------------------------


async def test_elements_and_tasks_of_a_run_are_bounded(engine: Engine) -> None:
    maps = flow_of(
        {"id": "m", "for_each": "${{ input }}"},
        {"id": "n", "for_each": "${{ input }}", "depends_on": ["m"]},
    )
    run = await engine.start(maps, [1, 2, 3], terms=Terms(max_elements=2))
    row = await engine.run(run)
    assert row.error is not None
    assert (row.status, row.error["code"]) == (RunStatus.FAILED, "too_many_elements")
    assert "3 elements; the limit is 2" in str(row.error["message"])
    run = await engine.start(maps, [1, 2, 3], terms=Terms(max_tasks=5))
    await engine.drain(done)
    row = await engine.run(run)
    assert row.error is not None
    assert (row.error["code"], row.error["step"]) == ("too_many_tasks", "n")
    run = await engine.start(maps, [1, 2, 3], terms=Terms(max_tasks=6))
    await engine.drain(done)
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    await engine.at_rest()


async def test_open_runs_of_a_workspace_are_bounded(engine: Engine) -> None:
    flow, bound = flow_of({"id": "a"}), Terms(max_open_runs=3)
    runs = [await engine.start(flow, terms=bound) for _ in range(3)]
    with pytest.raises(Conflict) as refused:
        await engine.start(flow, terms=bound)
    assert refused.value.code == "too_many_runs"
    assert len(await engine.store.list_runs()) == 3
    version = await engine.store.register_version(flow, engine.registry)
    with pytest.raises(Conflict):
        await engine.store.start_runs(version.id, [1, 2], timeout_seconds=60, terms=bound)
    await engine.store.cancel_run(runs[0])
    run, _ = await engine.store.start_run(
        version.id, 7, timeout_seconds=60, terms=bound, idempotency_key="k"
    )
    again, created = await engine.store.start_run(
        version.id, 7, timeout_seconds=60, terms=bound, idempotency_key="k"
    )
    assert (again.id, created) == (run.id, False)  # nothing new: not refused
    with pytest.raises(Conflict) as refused:
        await engine.store.retry_run(runs[0])
    assert refused.value.code == "too_many_runs"


async def test_a_large_bound_is_held_by_what_was_counted_last(engine: Engine) -> None:
    """Batches of two are always looked at under this bound."""
    version = await engine.store.register_version(flow_of({"id": "a"}), engine.registry)
    bound = Terms(max_open_runs=1200)

    async def start(count: int) -> None:
        inputs: list[JsonValue] = [None] * count
        await engine.store.start_runs(version.id, inputs, timeout_seconds=3600, terms=bound)

    await start(2)  # counted, and from here on known
    for count in (800, 390, 8):
        await start(count)
    for _ in range(2):
        with pytest.raises(Conflict) as refused:
            await start(2)
        assert refused.value.code == "too_many_runs"
    await engine.exchange([done(task) for task in (await engine.exchange(free=500)).tasks])
    await start(500)  # by the old count these are too many: counted anew
    with pytest.raises(Conflict):
        await start(2)


async def test_a_child_beyond_the_bound_fails_the_task_that_asked(engine: Engine) -> None:
    child = await engine.store.register_version(flow_of({"id": "x"}, slug="child"), engine.registry)
    run = await engine.start(flow_of({"id": "call"}), terms=Terms(max_open_runs=1))
    await engine.drain(
        lambda t: waiting(t, kind="run", version_id=child.id, flow="child", input=None)
    )
    await engine.store.tick()
    row = await engine.run(run)
    assert row.error is not None
    assert row.error["code"] == "child_not_started"
    assert "may have 1 open runs" in str(row.error["message"])
    await engine.at_rest()
