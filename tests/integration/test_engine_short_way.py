"""On a quiet system a start (`start_at_once`) and an outcome (`pass_on`, `pass_element`) go a
shorter way: it writes and hands out what the long one does, and leaves to that whatever needs more
judgement."""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from flowbuilder.budget import Budget
from flowbuilder.errors import DatabaseError
from flowbuilder.executor.records import Exchange, LeasedTask, Outcome, Room, Verdict
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.terms import Terms
from flowbuilder.flow import Flow
from flowbuilder.limits import Priority
from tests.support.budgeting import start as start_with_budget
from tests.support.engine import Engine, done, failed, flow_of, retry, skipped, waiting

#: All that is written about one run, without the numbers and times that differ between two.
WRITTEN = b"""
select (select jsonb_agg(to_jsonb(r) - '{id,version_id,idempotency_key}'::text[])
        from flowbuilder.runs r where r.id = %(run)s) as run,
       (select jsonb_agg(to_jsonb(s) - '{run_id,node_id}'::text[] order by s.position)
        from flowbuilder.run_steps s where s.run_id = %(run)s) as steps,
       (select jsonb_agg(to_jsonb(t) - '{id,run_id,node_id,message_id}'::text[]
                         || jsonb_build_object('message', t.message_id is not null) order by t.id)
        from flowbuilder.tasks t where t.run_id = %(run)s) as tasks,
       (select jsonb_agg(to_jsonb(e) - '{id,stream,run_id,task_id}'::text[] order by e.seq)
        from flowbuilder.events e where e.run_id = %(run)s) as events,
       (select count(*) from flowbuilder.leases l join flowbuilder.tasks t on t.id = any (l.tasks)
        where t.run_id = %(run)s) as leases,
       (select jsonb_agg(to_jsonb(o) - '{id,run_id,task_id}'::text[]) from flowbuilder.outbox o)
        as outbox"""

Step = dict[str, Any]
CHAIN: list[Step] = [{"id": "a"}, {"id": "b", "args": {"x": "${{ steps.a.y }}"}}, {"id": "c"}]
CHAIN[2]["depends_on"] = ["b"]


async def brief(engine: Engine, outcomes: list[Outcome], *, free: int = 10) -> Exchange:
    """Make an exchange as a worker does mostly: without saying what it holds."""
    return await engine.exchange(outcomes, held=None, free=free)


async def written(engine: Engine, run: str) -> dict[str, Any]:
    row = await engine.database.fetch_one(WRITTEN, {"run": run})
    assert row is not None
    return {
        name: re.sub(r"('(?:task_id|failed_task)': )\d+", r"\1TASK", str(value).replace(run, "RUN"))
        for name, value in row.items()
    }


Decide = Callable[[LeasedTask], Outcome]


async def begin(
    engine: Engine, flow: Flow, *, free: int = 10, **options: Any
) -> tuple[str, list[LeasedTask]]:
    """Start a run as a program with a worker does; return its id and the tasks handed out."""
    version = await engine.store.register_version(flow, engine.registry)
    room = Room(worker_id=engine.worker, free=free, lease_seconds=30)
    given = {"timeout_seconds": 3600, "room": room, **options}
    started = await engine.store.start_runs(version.id, [{"n": 3}], **given)
    [(run, _)] = started.runs
    return run, started.tasks


async def play(engine: Engine, flow: Flow, decide: Decide, slots: int = 10) -> dict[str, Any]:
    """Run a flow, its outcomes one by one; return what is written about it, and handed out."""
    run, held = await begin(engine, flow, free=slots)
    given = [(shown(task, run), False, False) for task in held]
    for _ in range(100):
        if not held:
            held = (await brief(engine, [], free=slots)).tasks
        if not held:
            break
        answer = await brief(engine, [decide(held.pop(0))], free=slots - len(held))
        given += [(shown(task, run), answer.ready, answer.elsewhere) for task in answer.tasks]
        held += answer.tasks
    return {**await written(engine, run), "given": given}


def shown(task: LeasedTask, run: str) -> str:
    """Write down all that a worker is told, without the numbers that differ."""
    same = replace(task, task_id=0, node_id=0, version_id="")
    return str(same).replace(run, "RUN")


def plain(task: LeasedTask) -> Outcome:
    return done(task, {"y": task.step_id})


def _odd(**by_step: Callable[[LeasedTask], Outcome]) -> Decide:
    return lambda task: by_step.get(str(task.step_id), plain)(task)


FLOWS: dict[str, tuple[Flow, Decide]] = {
    "a chain": (flow_of(*CHAIN), plain),
    "one step": (flow_of({"id": "a"}), plain),
    "the input": (
        flow_of(
            {"id": "a", "args": {"x": "${{ input.n }}"}},
            {"id": "b", "args": {"x": "${{ input.n }}", "y": "${{ steps.a.y }}"}},
        ),
        plain,
    ),
    "two steps back": (
        flow_of(*CHAIN[:2], {"id": "c", "args": {"x": "${{ steps.a.y }}", "y": "${{ steps.b }}"}}),
        plain,
    ),
    "a condition at first": (
        flow_of({"id": "a", "when": "input.n == 3"}, {"id": "b", "depends_on": ["a"]}),
        plain,
    ),
    "a map at first": (
        flow_of({"id": "a", "for_each": [1, 2], "args": {"x": "${{ item }}"}}),
        plain,
    ),
    "a limit at first": (flow_of({"id": "a", "limit": {"concurrency": 1}}), plain),
    "a tool nobody has at first": (flow_of({"id": "a", "tool": "other"}), plain),
    "no value": (flow_of(*CHAIN[:1], {"id": "b", "depends_on": ["a"]}), done),
    "an output": (flow_of(*CHAIN, output="${{ steps.c.y }}"), plain),
    "a fan": (
        flow_of({"id": "a"}, {"id": "b", "depends_on": ["a"]}, {"id": "c", "depends_on": ["a"]}),
        plain,
    ),
    "a join": (flow_of({"id": "a"}, {"id": "b"}, {"id": "c", "depends_on": ["a", "b"]}), plain),
    "the first of two": (
        flow_of(
            {"id": "a"},
            {"id": "b"},
            {"id": "c", "depends_on": ["a", "b"], "trigger_rule": "one_success"},
        ),
        plain,
    ),
    "whatever became of it": (
        flow_of({"id": "a"}, {"id": "b", "depends_on": ["a"], "trigger_rule": "all_done"}),
        plain,
    ),
    "a condition": (
        flow_of(
            {"id": "a"},
            {"id": "b", "depends_on": ["a"], "when": "steps.a.y == 'a'"},
            {"id": "c", "depends_on": ["b"]},
        ),
        _odd(b=skipped),
    ),
    "a map": (
        flow_of(
            {"id": "a"},
            {"id": "b", "for_each": "${{ steps.a }}", "args": {"x": "${{ item }}"}},
            {"id": "c", "depends_on": ["b"]},
        ),
        _odd(a=lambda task: done(task, [1, 2, 3])),
    ),
    "a long map": (
        flow_of(
            {"id": "a", "for_each": [*range(60)], "args": {"x": "${{ item }}"}},
            {"id": "b", "depends_on": ["a"]},
        ),
        lambda task: done(task, {"y": task.index}),
    ),
    "a narrow map": (
        flow_of({"id": "a", "for_each": [1, 2, 3, 4], "concurrency": 2}, {"id": "b"}),
        plain,
    ),
    "a map of what it refers to": (
        flow_of(
            {"id": "a"},
            {
                "id": "b",
                "for_each": [1, 2, 3, 4],
                "args": {"x": "${{ steps.a.y }}", "y": "${{ input.n }}"},
            },
        ),
        plain,
    ),
    "two maps": (
        flow_of({"id": "a", "for_each": [1, 2, 3]}, {"id": "b", "for_each": [1, 2, 3]}),
        plain,
    ),
    "a map whose elements fail": (
        flow_of({"id": "a", "for_each": [*range(6)], "on_error": "continue"}),
        lambda task: failed(task) if task.index in (1, 5) else plain(task),
    ),
    "a map whose elements try again": (
        flow_of({"id": "a", "for_each": [*range(6)]}),
        lambda task: retry(task) if task.attempt == 1 and task.index == 2 else plain(task),
    ),
    "an empty map": (
        flow_of({"id": "a"}, {"id": "b", "for_each": "${{ steps.a }}"}),
        _odd(a=lambda task: done(task, [])),
    ),
    "a failure": (flow_of(*CHAIN), _odd(b=failed)),
    "a retry": (
        flow_of(*CHAIN),
        _odd(b=lambda task: retry(task) if task.attempt == 1 else plain(task)),
    ),
    "a limit": (
        flow_of({"id": "a"}, {"id": "b", "depends_on": ["a"], "limit": {"concurrency": 1}}),
        plain,
    ),
    "a tool nobody has": (
        flow_of({"id": "a"}, {"id": "b", "depends_on": ["a"], "tool": "other"}),
        plain,
    ),
    "a wait": (
        flow_of(*CHAIN),
        _odd(b=lambda task: waiting(task, kind="time", seconds=60)),
    ),
}


#: The clock stands, so that what is written at different times can be compared.
STAND = b"""
create or replace function flowbuilder.now() returns timestamptz language sql stable
set search_path = '' as $$ select timestamptz '2026-01-01 00:00:00+00' $$"""
#: Either way, closed.
NO_LONG_WAY = b"""
create or replace function flowbuilder.take_turn(
    p_worker uuid, p_tools text[], p_held jsonb, p_said json, p_outcomes flowbuilder.outcome[],
    p_free integer, p_lease interval, p_budgets boolean
) returns json language plpgsql as $$ begin raise exception 'this is the long way'; end $$"""
NO_SHORT_START = b"""
create or replace function flowbuilder.start_at_once(
    r flowbuilder.runs, p_worker uuid, p_tools text[], p_lease interval
) returns json language sql as $$ select null::json $$"""
NO_LONG_START = b"""
create or replace function flowbuilder.add_runs(
    p_runs uuid[], p_inputs json[], p_keys text[], r flowbuilder.runs
) returns uuid[] language plpgsql as $$ begin raise exception 'this is the long way'; end $$"""
NO_SHORT_WAY = b"""
create or replace function flowbuilder.short_way(
    p_worker uuid, o flowbuilder.outcome, p_tools text[], p_free integer, p_lease interval
) returns json language sql as $$ select null::json $$"""
DEFINED = b"""
select pg_get_functiondef('flowbuilder.short_way'::regproc) as short_way,
       pg_get_functiondef('flowbuilder.start_at_once'::regproc) as start_at_once"""


@pytest.mark.parametrize("slots", [1, 3, 10])
@pytest.mark.parametrize("name", FLOWS)
async def test_both_ways_write_the_same(name: str, slots: int, engine: Engine) -> None:
    flow, decide = FLOWS[name]
    await engine.database.execute(STAND)
    await engine.join(tools=["work@1"])
    short_way = await engine.database.fetch_one(DEFINED)
    assert short_way is not None
    await engine.database.execute(NO_SHORT_WAY)
    await engine.database.execute(NO_SHORT_START)
    long = await play(engine, flow, decide, slots)
    await engine.database.execute(b"delete from flowbuilder.outbox")
    for definition in short_way.values():
        await engine.database.execute(str(definition).encode())
    assert await play(engine, flow, decide, slots) == long


@pytest.mark.parametrize("name", ["a chain", "one step", "no value"])
async def test_it_goes_the_short_way(name: str, engine: Engine) -> None:
    flow, decide = FLOWS[name]
    await engine.join()
    await engine.database.execute(NO_LONG_WAY)
    await engine.database.execute(NO_LONG_START)
    run, held = await begin(engine, flow)
    while held:
        answer = await brief(engine, [decide(held[0])])
        held = answer.tasks
    assert answer.ended == ("00000000-0000-0000-0000-000000000001", await engine.run(run))
    assert answer.ended[1].status is RunStatus.COMPLETED


def _mapped(count: int) -> Flow:
    return flow_of({"id": "a", "for_each": [*range(count)], "args": {"x": "${{ item }}"}})


@pytest.mark.parametrize("slots", [1, 3, 30])
async def test_elements_go_the_short_way(slots: int, engine: Engine) -> None:
    await engine.join()
    run = await engine.start(_mapped(30))
    held = (await brief(engine, [], free=slots)).tasks
    await engine.database.execute(NO_LONG_WAY)
    for _ in range(24):  # with the twenty-fifth further ones would come
        answer = await brief(engine, [plain(held.pop(0))], free=slots - len(held))
        assert len(answer.tasks) == (0 if slots == 30 else 1)
        held += answer.tasks
    await engine.consistent()
    with pytest.raises(DatabaseError, match="the long way"):
        await brief(engine, [plain(held[0])], free=1)
    assert (await engine.trace(run)).count("task_completed a") == 24


async def _queue_one_before(engine: Engine) -> None:
    await engine.start(flow_of({"id": "z"}, slug="another"), terms=Terms(priority=Priority.HIGH))


async def _suspect_a_task(engine: Engine) -> None:
    await engine.database.execute(
        b"insert into flowbuilder.suspects select max(id), 1 from flowbuilder.tasks"
    )


async def _claim_too_often(engine: Engine) -> None:
    await engine.database.execute(
        b"update flowbuilder.tasks set claims = 100 where status = 'queued'"
    )


async def _limit_a_tool(engine: Engine) -> None:
    await engine.store.set_limit("other", concurrency=3, rate=None)


async def _pause(engine: Engine) -> None:
    [row] = await engine.store.list_runs(limit=10)
    await engine.store.pause_run(row.id)


@pytest.mark.parametrize(
    ("change", "free"),
    [
        (_queue_one_before, 1),
        (_suspect_a_task, 1),
        (_claim_too_often, 1),
        (_limit_a_tool, 1),
        (_pause, 1),
        (None, 2),
    ],
)
async def test_it_leaves_elements_to_others_that_need_more_judgement(
    change: Callable[[Engine], Awaitable[None]] | None, free: int, engine: Engine
) -> None:
    await engine.join()
    await engine.start(_mapped(5))
    [task] = (await brief(engine, [], free=1)).tasks
    if change is not None:
        await change(engine)
    await engine.database.execute(NO_LONG_WAY)
    with pytest.raises(DatabaseError, match="the long way"):
        await brief(engine, [plain(task)], free=free)


async def test_the_last_element_goes_the_long_way(engine: Engine) -> None:
    await engine.join()
    await engine.start(_mapped(2))
    first, last = (await brief(engine, [])).tasks
    await engine.database.execute(NO_LONG_WAY)
    assert (await brief(engine, [plain(first)])).verdicts == {first.key: Verdict.ACCEPTED}
    with pytest.raises(DatabaseError, match="the long way"):
        await brief(engine, [plain(last)])


async def _queue_another(engine: Engine) -> None:
    await engine.start(flow_of({"id": "z"}, slug="another"))


async def _give_a_budget(engine: Engine) -> None:
    await start_with_budget(engine, flow_of({"id": "z"}, slug="budgeted"), steps=5)


@pytest.mark.parametrize("change", [_queue_another, _give_a_budget, _limit_a_tool, _pause])
async def test_it_leaves_to_others_what_needs_more_judgement(
    change: Callable[[Engine], Awaitable[None]], engine: Engine
) -> None:
    await engine.join()
    await engine.start(FLOWS["a chain"][0])
    [task] = (await brief(engine, [])).tasks
    await change(engine)
    await engine.database.execute(NO_LONG_WAY)
    with pytest.raises(DatabaseError, match="the long way"):
        await brief(engine, [plain(task)])


async def _use_its_key(engine: Engine) -> None:
    await begin(engine, FLOWS["a chain"][0], free=0, idempotency_keys=["once"])
    await brief(engine, [])


async def _limit_runs(engine: Engine) -> None:
    await engine.store.set_admission(None, concurrency=5, rate=None)


async def _nothing(engine: Engine) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (_queue_another, {}),
        (_limit_a_tool, {}),
        (_limit_runs, {}),
        (_use_its_key, {"idempotency_keys": ["once"]}),
        (_nothing, {"free": 0}),
        (_nothing, {"terms": Terms(budget=Budget.read({"steps": 5}))}),
    ],
)
async def test_it_leaves_starts_to_others_that_need_more_judgement(
    change: Callable[[Engine], Awaitable[None]], options: dict[str, Any], engine: Engine
) -> None:
    await engine.join()
    await change(engine)
    await engine.database.execute(NO_LONG_START)
    with pytest.raises(DatabaseError, match="the long way"):
        await begin(engine, FLOWS["a chain"][0], **options)


async def test_a_key_is_used_once(engine: Engine) -> None:
    await engine.join()
    run, held = await begin(engine, FLOWS["a chain"][0], idempotency_keys=["once"])
    assert await begin(engine, FLOWS["a chain"][0], idempotency_keys=["once"]) == (run, [])
    assert [task.step_id for task in held] == ["a"]
    await engine.consistent()


async def test_the_row_of_a_large_run_is_not_sent_along(engine: Engine) -> None:
    await engine.join()
    _, [task] = await begin(engine, FLOWS["one step"][0])
    random_text = random.Random(1).randbytes(10_000).hex()
    assert (await brief(engine, [done(task, random_text)])).ended is None


async def test_a_worker_without_room_gets_nothing(engine: Engine) -> None:
    await engine.join()
    run = await engine.start(FLOWS["a chain"][0])
    [task] = (await brief(engine, [])).tasks
    assert (await brief(engine, [plain(task)], free=0)).tasks == []
    [b] = (await brief(engine, [])).tasks
    assert b.step_id == "b"
    assert (await engine.trace(run))[-1] == "task_started b"


async def test_the_same_report_twice_is_taken_once(engine: Engine) -> None:
    await engine.join()
    run = await engine.start(FLOWS["one step"][0])
    [task] = (await brief(engine, [])).tasks
    for verdict in (Verdict.ACCEPTED, Verdict.ALREADY):
        assert (await brief(engine, [plain(task)])).verdicts == {task.key: verdict}
    await engine.at_rest()
    assert (await engine.trace(run)).count("workflow_completed") == 1


async def test_a_late_report_of_another_attempt_is_fenced(engine: Engine) -> None:
    first = await engine.join()
    await engine.start(FLOWS["a chain"][0])
    [task] = (await brief(engine, [])).tasks
    await engine.jump(31)
    await engine.join()
    await engine.store.tick(engine.worker)
    [again] = (await brief(engine, [])).tasks
    second, engine.worker = engine.worker, first
    assert (await brief(engine, [plain(task)])).verdicts == {task.key: Verdict.FENCED}
    engine.worker = second
    assert (await brief(engine, [plain(again)])).verdicts == {again.key: Verdict.ACCEPTED}
    await engine.consistent()
