"""Limits on tools and steps: how much runs at once, how often it starts, and no place leaks."""

from __future__ import annotations

import asyncio
import random

import pytest

from flowbuilder.executor.database import Database
from flowbuilder.executor.records import LeasedTask, OutcomeKind
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.terms import Terms
from flowbuilder.limits import Priority
from flowbuilder.types import JsonObject, JsonValue
from tests.support.engine import Engine, done, failed, flow_of, plain_registry, retry, waiting
from tests.support.limiting import SEEN, TOOLS, exchange, limit, many, recount, take


@pytest.fixture
async def engine(database: Database) -> Engine:
    engine = Engine(database, plain_registry(*TOOLS))
    await engine.join()
    return engine


# -- at once --------------------------------------------------------------------------------


async def test_no_more_of_a_tool_runs_at_once_than_its_limit(engine: Engine) -> None:
    await limit(engine, "work", concurrency=2)
    await engine.start(flow_of(many(6)))
    first = await take(engine)
    assert [task.index for task in first] == [0, 1]
    assert await take(engine) == []
    await recount(engine)
    (third,) = await take(engine, [done(first[0])])
    assert third.index == 2
    rest = await take(engine, [done(first[1]), done(third)])
    assert [task.index for task in rest] == [3, 4]
    (last,) = await take(engine, [done(task) for task in rest])
    assert await take(engine, [done(last)]) == []
    await recount(engine)
    await engine.at_rest()


async def test_what_is_not_limited_passes_what_is(engine: Engine) -> None:
    await limit(engine, "work", concurrency=1)
    await engine.start(flow_of(many(900), slug="slow"))
    other = await engine.start(flow_of({"id": "a", "tool": "other"}, slug="free"))
    tasks = await take(engine, free=4)
    assert [task.step_id for task in tasks] == ["m", "a"]
    assert tasks[1].run_id == other
    assert not (await exchange(engine, [done(tasks[1])], free=4)).ready  # nothing to look for
    (following,) = await take(engine, [done(tasks[0])], free=4)
    assert following.index == 1
    await engine.consistent()


async def test_a_ready_step_of_a_limited_tool_is_not_kept_past_its_limit(engine: Engine) -> None:
    await limit(engine, "work", concurrency=1)
    flow = flow_of({"id": "a", "tool": "other"}, {"id": "b", "depends_on": ["a"]})
    for _ in range(3):
        await engine.start(flow)
    firsts = await take(engine)
    seconds = await take(engine, [done(task) for task in firsts])
    assert [task.step_id for task in seconds] == ["b"]
    await recount(engine)
    await engine.drain(done)
    await engine.at_rest()


async def test_what_another_limit_keeps_back_leaves_its_place_to_others(engine: Engine) -> None:
    await limit(engine, "work", concurrency=2)
    one: JsonObject = {"id": "one", "limit": {"concurrency": 1}}
    a: JsonObject = {"id": "a"}
    b: JsonObject = {"id": "b"}
    for step in (one, a):
        await engine.start(flow_of(step, slug=str(step["id"])))
    first, second = await take(engine)
    for step in (one, b):
        await engine.start(flow_of(step, slug=str(step["id"])))
    assert await take(engine) == []
    taken = await take(engine, [done(second)])  # the one before it waits for the first
    assert [task.step_id for task in taken] == ["b"]
    await recount(engine)
    taken = await take(engine, [done(first)])
    assert [task.step_id for task in taken] == ["one"]
    await engine.consistent()


async def test_upkeep_finds_a_place_that_nobody_was_told_of(engine: Engine) -> None:
    await limit(engine, "work", concurrency=2)
    await engine.start(flow_of(many(3)))
    first, _ = await take(engine)
    assert await take(engine) == []
    await exchange(engine, [done(first)], free=0)
    await engine.database.execute(b"delete from flowbuilder.slot_news")
    await engine.store.tick()
    assert [task.index for task in await take(engine)] == [2]
    await recount(engine)


async def test_patterns_count_together_and_every_one_that_fits_holds(engine: Engine) -> None:
    await limit(engine, "http.*", concurrency=3)
    await limit(engine, "http.post", concurrency=1)
    await limit(engine, "*", concurrency=4)
    steps: list[JsonObject] = [
        {"id": f"{tool[5]}{n}", "tool": tool}
        for tool in ("http.post", "http.get", "mail.send")
        for n in range(3)
    ]
    await engine.start(flow_of(*steps))
    tasks = await take(engine)
    assert [task.step_id for task in tasks] == ["p0", "g0", "g1", "s0"]
    await recount(engine)
    seen = await engine.drain(done)
    assert len(seen) == 9  # engine.drain is told again of the four
    await engine.at_rest()


@pytest.mark.parametrize("way", ["fail", "retry", "release", "wait", "cancel", "run", "death"])
async def test_every_way_out_of_running_gives_the_place_back(engine: Engine, way: str) -> None:
    await limit(engine, "work", concurrency=1)
    run = await engine.start(flow_of({"id": "a", "retry": {"max_attempts": 2}}, slug="one"))
    (task,) = await take(engine)
    following = await engine.start(flow_of({"id": "a"}, slug="two"))
    assert await take(engine) == []
    reports = {
        "fail": [failed(task)],
        "retry": [retry(task, 1000)],
        "release": [task.outcome(OutcomeKind.RELEASED)],
        "wait": [waiting(task, kind="time", seconds=1000)],
    }
    if way in reports:
        await exchange(engine, reports[way], free=0)
    elif way == "cancel":
        await engine.store.cancel_run(run)
    elif way == "run":
        await engine.jump(4000)  # both are past their deadline
        await engine.store.tick()
        await engine.join()
        following = await engine.start(flow_of({"id": "a"}, slug="three"))
    else:
        await engine.store.stop_worker(engine.worker)
        await engine.join()
    await recount(engine, swept=way == "run")
    taken = await take(engine)
    expected = run if way in ("release", "death") else following
    assert [item.run_id for item in taken] == [expected]
    await recount(engine)


async def test_a_place_is_given_back_whatever_ended_its_task(engine: Engine) -> None:
    await limit(engine, "work", concurrency=1)
    await engine.start(flow_of(many(2, on_error="continue")))
    (task,) = await take(engine)
    await engine.database.execute(
        b"update flowbuilder.tasks set status = 'queued', lease_until = null, available_at = now()"
        b" + interval '1 hour' where id = %s",
        (task.task_id,),
    )
    await recount(engine)
    assert [item.index for item in await take(engine)] == [1]


async def test_what_waits_for_a_place_is_cancelled_paused_and_resumed(engine: Engine) -> None:
    await limit(engine, "work", concurrency=1)
    first = await engine.start(flow_of({"id": "a"}))
    runs = [await engine.start(flow_of({"id": "a"})) for _ in range(3)]
    (task,) = await take(engine)
    assert await take(engine) == []
    await engine.store.cancel_run(runs[0])
    await engine.store.pause_run(runs[1])
    (third,) = await take(engine, [done(task)])
    assert third.run_id == runs[2]
    assert await take(engine, [done(third)]) == []
    await engine.store.resume_run(runs[1])
    (second,) = await take(engine)
    assert second.run_id == runs[1]
    await take(engine, [done(second)])
    assert [(await engine.run(run)).status for run in (first, *runs)] == [
        RunStatus.COMPLETED, RunStatus.CANCELLED, RunStatus.COMPLETED, RunStatus.COMPLETED,
    ]  # fmt: skip
    await recount(engine)
    await engine.at_rest()


async def test_a_changed_limit_counts_at_once(engine: Engine) -> None:
    await limit(engine, "work", concurrency=1)
    await engine.start(flow_of(many(20)))
    assert len(await take(engine)) == 1
    assert await take(engine) == []
    await limit(engine, "work", concurrency=4)
    assert len(await take(engine)) == 3
    assert await engine.store.clear_limit("work")
    assert not await engine.store.clear_limit("work")
    assert len(await take(engine, free=30)) == 16


async def test_what_nobody_offers_keeps_nobody_from_the_place(engine: Engine) -> None:
    await limit(engine, "http.*", concurrency=1)
    (run,) = [await engine.start(flow_of({"id": "a", "tool": "http.get"}))]
    (task,) = await take(engine)
    await engine.start(flow_of({"id": "a", "tool": "http.post"}, slug="posting"))
    wanted = await engine.start(flow_of({"id": "a", "tool": "http.get"}, slug="getting"))
    assert await take(engine) == []
    await engine.join(tools=["http.get@1"], worker=engine.worker)
    (following,) = await take(engine, [done(task)])
    assert (run, following.run_id) == (task.run_id, wanted)
    await take(engine, [done(following)])
    await engine.join(worker=engine.worker)
    await engine.store.tick()
    (posted,) = await take(engine)
    assert posted.step_id == "a"


async def test_higher_classes_get_the_place_first(engine: Engine) -> None:
    await limit(engine, "work", concurrency=1)
    await engine.start(flow_of({"id": "a"}))
    (task,) = await take(engine)
    version = await engine.store.register_version(flow_of({"id": "a"}), engine.registry)
    runs = {}
    for name in ("low", "normal", "high"):
        run, _ = await engine.store.start_run(
            version.id, None, timeout_seconds=600, terms=Terms(priority=Priority(name))
        )
        runs[name] = run.id
    assert await take(engine) == []
    for name in ("high", "normal", "low"):
        (task,) = await take(engine, [done(task)])
        assert task.run_id == runs[name]


# -- per key --------------------------------------------------------------------------------


async def test_a_step_is_limited_for_each_value_of_its_key(engine: Engine) -> None:
    keyed: JsonObject = {"key": "${{ input.customer }}", "concurrency": 1}
    flow = flow_of({"id": "a", "limit": keyed}, slug="keyed")
    for customer in ("ada", "ada", "bob", None, None, 1, "1"):
        await engine.start(flow, {"customer": customer})
    tasks = await take(engine)
    version = await engine.store.get_version("keyed")
    values = [(await engine.run(task.run_id)).input for task in tasks]
    assert values == [{"customer": value} for value in ("ada", "bob", None, 1, "1")]
    await recount(engine)
    assert version.version == 1
    changed = flow_of({"id": "a", "limit": {**keyed, "concurrency": 2}}, slug="keyed")
    await engine.start(changed, {"customer": "bob"})  # a new version, the same key
    (second,) = await take(engine)
    assert (await engine.run(second.run_id)).input == {"customer": "bob"}
    seen = await engine.drain(done)
    assert len(seen) == 8
    await recount(engine)
    await engine.at_rest()


@pytest.mark.parametrize(
    ("key", "at_once"),
    [
        ("${{ item.host }}", 3),
        ("${{ item }}", 6),
        ("${{ steps.first.name }}", 1),
        ("${{ item.missing }}", 1),
        ("all", 1),
        (None, 1),
    ],
)
async def test_keys_come_from_elements_outputs_and_words(
    engine: Engine, key: str | None, at_once: int
) -> None:
    items: list[JsonValue] = [{"host": host, "n": n} for n, host in enumerate("aabbcc")]
    policy: JsonObject = {"concurrency": 1} if key is None else {"key": key, "concurrency": 1}
    flow = flow_of(
        {"id": "first", "tool": "other"},
        {"id": "m", "for_each": items, "limit": policy, "depends_on": ["first"]},
    )
    await engine.start(flow)
    (first,) = await take(engine)
    await take(engine, [done(first, {"name": "x"})])
    tasks = await take(engine)
    assert len(tasks) == at_once
    await recount(engine)


async def test_why_names_the_limit_and_who_holds_it(engine: Engine) -> None:
    await limit(engine, "work", concurrency=1)
    await engine.start(flow_of({"id": "a"}))
    await take(engine)
    run = await engine.start(flow_of({"id": "b"}))
    await take(engine)
    (reason,) = (await engine.store.why(run)).reasons
    assert reason.code.value == "limit_reached"
    assert reason.details["running"] == 1
    assert reason.message == (
        "Step b waits for the limit of tool work: 1 of at most 1 run, 1 wait."
    )
    flow = flow_of(
        {"id": "k", "tool": "other", "limit": {"key": "${{ input.who }}", "concurrency": 1}},
        slug="keyed",
    )
    for _ in range(2):
        run = await engine.start(flow, {"who": "ada"})
        await take(engine)
    (reason,) = (await engine.store.why(run)).reasons
    assert (reason.details["name"], reason.details["key"]) == ("keyed/k", '"ada"')
    assert 'for the limit of keyed/k for "ada"' in reason.message


# -- everything at once ---------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
async def test_places_equal_a_recount_under_reports_deaths_and_cancels(
    engine: Engine, seed: int
) -> None:
    chance = random.Random(seed)
    await limit(engine, "*", concurrency=7)
    await limit(engine, "http.*", concurrency=4, rate="30/10s")
    await limit(engine, "work", concurrency=2)
    flow = flow_of(
        {"id": "m", "tool": "http.get", "for_each": list(range(12)), "on_error": "continue",
         "limit": {"key": "${{ input }}", "concurrency": 2}},
        {"id": "n", "tool": "work", "for_each": list(range(4)), "depends_on": ["m"],
         "retry": {"max_attempts": 10}},  # so often nobody reports a retry by chance
        {"id": "o", "tool": "other", "depends_on": ["m"], "retry": {"max_attempts": 10}},
    )  # fmt: skip
    runs = [await engine.start(flow, number % 3, timeout_seconds=10_000_000) for number in range(8)]
    workers = {await engine.join(): list[LeasedTask]() for _ in range(3)}

    async def turn(worker: str) -> None:
        held = workers[worker]
        chance.shuffle(held)
        ending = [held.pop() for _ in range(chance.randint(0, len(held)))]
        reports = [
            chance.choices(
                [done(task), failed(task), retry(task, 5), task.outcome(OutcomeKind.RELEASED)],
                [8, 1 if task.step_id == "m" else 0, 1, 1],
            )[0]
            for task in ending
        ]
        answer = await exchange(engine, reports, free=max(0, 6 - len(held)), worker=worker)
        held += answer.tasks

    for step in range(400):
        if step == 12:
            await engine.store.cancel_run(runs[0])
        if step in (8, 20):
            worker = chance.choice(list(workers))
            await engine.store.stop_worker(worker)
            del workers[worker]
            workers[await engine.join()] = []
        await asyncio.gather(*(turn(worker) for worker in workers))
        await engine.database.execute(SEEN)
        await recount(engine, swept=chance.random() < 0.5)
        if step % 5 == 0:
            await engine.jump(2)
        rows = [await engine.run(run) for run in runs]
        if all(row.status.terminal for row in rows):
            break
    assert {row.status for row in rows} == {RunStatus.COMPLETED, RunStatus.CANCELLED}
    await recount(engine)
    await engine.at_rest()
    left = await engine.database.fetch_one(b"select count(*) as n from flowbuilder.slot_uses")
    assert left == {"n": 0}


async def test_what_ran_before_its_limit_was_set_counts(engine: Engine) -> None:
    await engine.start(flow_of(many(10)))
    running = await take(engine, free=4)
    await limit(engine, "work", concurrency=3)
    await recount_under(engine, 4)
    assert await take(engine, [done(running[0])]) == []
    assert len(await take(engine, [done(task) for task in running[1:3]])) == 2
    await recount_under(engine, 3)


async def recount_under(engine: Engine, running: int) -> None:
    (row,) = await engine.store.limits()
    assert row.running == running
