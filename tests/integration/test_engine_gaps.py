"""Claims step over gaps of the queue, and never over a message."""

from __future__ import annotations

import os
import random

import pytest
from psycopg import Rollback
from psycopg.errors import SerializationFailure

from flowbuilder.executor.database import Database
from flowbuilder.executor.records import LeasedTask, Outcome, OutcomeKind
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.terms import Terms
from flowbuilder.limits import Priority
from tests.support.engine import Engine, done, flow_of, retry
from tests.support.gaps import gaps, make_gaps, nothing_hidden, raise_dust

CLASSES = [Terms(priority=priority) for priority in (Priority.LOW, Priority.NORMAL, Priority.HIGH)]
SEEDS = range(4 * int(os.environ.get("FLOWBUILDER_TEST_ROUNDS", "1")))
ONLY = os.environ.get("FLOWBUILDER_TEST_SEED")
ONE = flow_of({"id": "a"})
TWO = flow_of(
    {"id": "m", "for_each": "${{ input }}", "concurrency": 20}, {"id": "n", "depends_on": ["m"]}
)
#: A message that has no task, put where a writer who knows of these gaps puts it.
_ENTER = b"""
insert into pgmq.q_flowbuilder_tasks (vt, message)
select case when %(shut)s::tstzmultirange is null then p.at
       else flowbuilder.clear_place(p.at, %(shut)s::tstzmultirange) end, '{"task": 0}'
from (select flowbuilder.queue_place(flowbuilder.now() - interval '1 minute', 0, 0) as at) p
"""
_ENTERED = b"""
select exists (select from unnest(array[g.shut, g.empty]) r where q.vt <@ r) as inside
from pgmq.q_flowbuilder_tasks q, flowbuilder.queue_gaps g
where q.message ->> 'task' = '0'
"""
#: Messages that do not stand where they would without gaps.
_MOVED = b"""
select q.msg_id from pgmq.q_flowbuilder_tasks q
join flowbuilder.tasks t on t.message_id = q.msg_id join flowbuilder.runs r on r.id = t.run_id
where q.vt <> flowbuilder.queue_place(t.available_at, r.priority, t.element)
"""
_START = b"""
select flowbuilder.start_runs('00000000-0000-0000-0000-000000000001', %s, '{"[1, 2]", "[]"}',
    '{null, null}', 100000)
"""


@pytest.fixture
async def engine(database: Database) -> Engine:
    engine = Engine(database)
    await engine.join()
    return engine


async def take(engine: Engine, outcomes: list[Outcome], free: int) -> list[LeasedTask]:
    """Report and lease without a word about what is held."""
    answer = await engine.store.exchange(
        engine.worker, held=None, outcomes=outcomes, free=free, lease_seconds=30
    )
    return answer.tasks


async def test_without_dead_rows_there_are_no_gaps(engine: Engine) -> None:
    await engine.start(ONE)
    for _ in range(3):
        await engine.store.tick()
    assert await gaps(engine) == {
        "shut": "{}", "empty": "{}", "edge": "-infinity", "agreed": True, "made": False,
        "stretches": 1,
    }  # fmt: skip


async def test_gaps_go_when_the_dead_rows_are_cleared_away(engine: Engine) -> None:
    await make_gaps(engine)
    assert (await gaps(engine))["stretches"] > 1
    async with engine.database.connection() as connection:
        await connection.execute(b"vacuum pgmq.q_flowbuilder_tasks")
        await connection.execute(b"select pg_stat_force_next_flush()")
    await engine.store.tick()
    assert not (await gaps(engine))["made"] and (await gaps(engine))["stretches"] == 1


async def test_what_waited_before_is_found_and_parts_the_gaps(engine: Engine) -> None:
    started = [await engine.start(ONE, terms=terms) for terms in CLASSES]
    await engine.jump(60)
    await engine.join()
    await make_gaps(engine)
    await nothing_hidden(engine)
    order = [(await take(engine, [], 1))[0].run_id for _ in CLASSES]
    assert order == started[::-1]


async def test_classes_keep_their_order_whatever_is_shut(engine: Engine) -> None:
    wide = flow_of({"id": "m", "for_each": "${{ input }}"})
    await make_gaps(engine)
    started: dict[Priority, list[str]] = {}
    for _ in range(3):
        for terms in CLASSES:
            ids = started.setdefault(terms.priority, [])
            ids.append(await engine.start(ONE, terms=terms))
            ids.append(await engine.start(wide, list(range(30)), terms=terms))
        await raise_dust(engine)
        await engine.store.tick()
        await engine.jump(20)
        await engine.join(worker=engine.worker)
    await nothing_hidden(engine)
    order = [(await take(engine, [], 1))[0].run_id for _ in range(3 * 3 * 31)]
    assert await take(engine, [], 1) == []
    for number, priority in enumerate((Priority.HIGH, Priority.NORMAL, Priority.LOW)):
        of_class = order[number * 93 : (number + 1) * 93]
        assert set(of_class) == set(started[priority])
        # The first sixteen of a map go with the runs of one step, older ones first.
        first = list(dict.fromkeys(of_class))
        assert first == started[priority]


async def test_what_comes_back_stands_before_what_came_later(engine: Engine) -> None:
    runs = [await engine.start(ONE) for _ in range(4)]
    tasks = {task.run_id: task for task in await take(engine, [], 4)}
    await engine.jump(20)
    await engine.join(worker=engine.worker)
    late = await engine.start(ONE)
    await make_gaps(engine)
    await nothing_hidden(engine)
    released = tasks[runs[0]].outcome(OutcomeKind.RELEASED)
    await take(engine, [released, retry(tasks[runs[1]]), retry(tasks[runs[2]], delay=30)], 0)
    await nothing_hidden(engine)
    order = [(await take(engine, [], 1))[0].run_id for _ in range(3)]
    assert order == [runs[0], late, runs[1]]  # the second attempt is due from now on
    await engine.jump(60)  # the leases run out, and the delay is over
    await engine.join()
    assert set((await engine.store.tick()).touched) == {*runs, late}
    await nothing_hidden(engine)
    order = [(await take(engine, [], 1))[0].run_id for _ in range(5)]
    assert order == [runs[0], runs[3], late, runs[1], runs[2]]


async def test_maps_that_are_put_behind_a_gap_share_the_workers(engine: Engine) -> None:
    wide = flow_of({"id": "m", "for_each": "${{ input }}"})
    await make_gaps(engine)
    await engine.jump(2000)  # nobody did upkeep meanwhile, and what comes now falls into gaps
    await engine.join()
    runs = [await engine.start(wide, list(range(60))) for _ in range(2)]
    assert len(await engine.database.fetch_all(_MOVED)) > 30
    tasks = [(await take(engine, [], 1))[0] for _ in range(120)]
    for begin in range(32, 112, 20):
        served = [task.run_id for task in tasks[begin : begin + 20]]
        assert all(8 <= served.count(run) <= 12 for run in runs)
    for run in runs:
        indexes = [task.index for task in tasks if task.run_id == run]
        assert indexes == list(range(60))


async def test_a_resumed_run_comes_out_of_the_gap_that_it_left(engine: Engine) -> None:
    paused, other = [await engine.start(ONE) for _ in range(2)]
    await engine.store.pause_run(paused)
    await engine.jump(60)
    await engine.join()
    await make_gaps(engine)
    await engine.store.resume_run(paused)
    await nothing_hidden(engine)
    assert [(await take(engine, [], 1))[0].run_id for _ in range(2)] == [paused, other]


async def test_a_task_that_a_limit_kept_back_comes_out_of_a_gap(engine: Engine) -> None:
    await engine.store.set_limit("work", concurrency=1, rate=None)
    runs = [await engine.start(ONE) for _ in range(3)]
    (task,) = await take(engine, [], 3)
    await engine.jump(20)
    await engine.join(worker=engine.worker)
    await make_gaps(engine)
    order = [task.run_id]
    while found := await take(engine, [done(task)], 3):
        await nothing_hidden(engine)
        (task,) = found
        order.append(task.run_id)
    assert order == runs


@pytest.mark.parametrize("ticks", [0, 1, 2])
async def test_a_message_that_is_not_committed_yet_is_in_no_gap(engine: Engine, ticks: int) -> None:
    """However far upkeep has come when a transaction writes, and whatever of it that has seen."""
    await raise_dust(engine)
    for _ in range(ticks):
        await engine.store.tick()
    async with engine.database.transaction() as other:
        row = await (await other.execute(b"select flowbuilder.shut_places()::text as p")).fetchone()
        assert row is not None
        for _ in range(4):  # nobody waits for the writer, and nothing is given out as empty
            await engine.store.tick()
        await other.execute(_ENTER, {"shut": row["p"]})
        before = await gaps(engine)
        await engine.store.tick()
        assert await gaps(engine) == before
        assert before["agreed"] == (ticks == 2) and before["made"] == (ticks == 2)
    await nothing_hidden(engine)
    for _ in range(2):
        await engine.store.tick()
        await nothing_hidden(engine)
    assert (await gaps(engine))["made"]
    assert await engine.database.fetch_all(_ENTERED) == [{"inside": False}]


async def test_a_writer_that_gives_up_leaves_nothing(engine: Engine) -> None:
    await raise_dust(engine)
    with pytest.raises(RuntimeError):
        async with engine.database.transaction() as other:
            await other.execute(_ENTER, {"shut": None})
            for _ in range(3):
                await engine.store.tick()
            assert not (await gaps(engine))["made"]
            raise RuntimeError
    await engine.store.tick()
    assert (await gaps(engine))["made"]


async def test_one_transaction_takes_only_one_step(engine: Engine) -> None:
    """What it has shut itself, nobody else can know yet."""
    await raise_dust(engine)
    async with engine.database.transaction() as one:
        for _ in range(3):
            await one.execute(b"select flowbuilder.upkeep()")
        await engine.database.execute(_ENTER, {"shut": None})
    assert not (await gaps(engine))["made"]
    await engine.store.tick()
    assert (await gaps(engine))["made"]
    await nothing_hidden(engine)


async def test_a_writer_with_an_old_view_is_refused(engine: Engine) -> None:
    """In a transaction that sees the database as it was, an insert would believe old gaps."""
    async with engine.database.transaction() as old:
        await old.execute(b"set transaction isolation level repeatable read")
        await old.execute(b"select count(*) from flowbuilder.runs")
        await make_gaps(engine)
        with pytest.raises(SerializationFailure):
            await old.execute(b"select flowbuilder.shut_places()")
        raise Rollback


@pytest.mark.parametrize("seconds", [-7200, -90, 90, 7200])
async def test_the_clock_may_jump(engine: Engine, seconds: int) -> None:
    before = [await engine.start(ONE, terms=terms, timeout_seconds=1e5) for terms in CLASSES]
    await make_gaps(engine)
    await engine.jump(seconds)
    await engine.join()
    after = [await engine.start(ONE, terms=terms, timeout_seconds=1e5) for terms in CLASSES]
    await nothing_hidden(engine)
    await engine.store.tick()
    if seconds < 0:  # what had come is before its time again
        await engine.jump(-seconds)
        await engine.store.tick()
    await nothing_hidden(engine)
    await engine.join()
    assert {task.run_id for task in await take(engine, [], 9)} == {*before, *after}


async def test_new_work_finds_its_place_open_for_as_long_as_upkeep_comes(engine: Engine) -> None:
    await make_gaps(engine)
    for _ in range(10):
        await engine.jump(40)
        await engine.join()
        for terms in CLASSES:
            await engine.start(ONE, terms=terms)
        assert await engine.database.fetch_all(_MOVED) == []
        await engine.store.tick()
    assert (await gaps(engine))["made"]


async def test_elements_of_a_large_map_keep_their_order_whatever_is_shut(engine: Engine) -> None:
    wide = flow_of({"id": "m", "for_each": "${{ input }}"})
    await engine.start(wide, list(range(1200)))
    served: list[int | None] = []
    for _ in range(4):
        await engine.jump(5)
        await engine.join(worker=engine.worker)
        await make_gaps(engine)
        tasks = await take(engine, [], 50)
        served += [task.index for task in tasks]
        await take(engine, [done(task) for task in tasks], 0)
        assert await engine.database.fetch_all(_MOVED) == []
    async with engine.database.connection() as connection:
        await connection.execute(b"vacuum pgmq.q_flowbuilder_tasks")
        await connection.execute(b"select pg_stat_force_next_flush()")
    await engine.store.tick()
    assert not (await gaps(engine))["made"]
    while tasks := await take(engine, [], 100):
        served += [task.index for task in tasks]
        await take(engine, [done(task) for task in tasks], 0)
    assert served == list(range(1200))


class Chance:
    """Somebody who does anything in any order; writers commit late."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self.engine = engine
        self.dice = random.Random(seed)
        self.held: list[LeasedTask] = []

    async def act(self) -> None:
        """Do one thing."""
        deeds = (self.start, self.start, self.write_late, self.litter, self.jump, self.steer)
        await self.dice.choice([*deeds, self.work, self.work])()

    async def start(self) -> None:
        width = self.dice.choice([0, 1, 3, 40])
        await self.engine.start(TWO, list(range(width)), terms=self.dice.choice(CLASSES))

    async def write_late(self) -> None:
        version = await self.engine.store.register_version(TWO, self.engine.registry)
        async with self.engine.database.transaction() as late:
            await late.execute(_START, (version.id,))
            for _ in range(self.dice.randrange(4)):
                await self.engine.store.tick()

    async def litter(self) -> None:
        await raise_dust(self.engine, self.dice.choice([1100, 3000]))

    async def jump(self) -> None:
        await self.engine.jump(self.dice.choice([-3600, -5, 1, 31, 100, 4000]))
        await self.engine.join()
        self.held = []

    async def steer(self) -> None:
        rows = await self.engine.store.list_runs(limit=100)
        for row in self.dice.sample(rows, min(len(rows), 2)):
            if row.status is RunStatus.PAUSED:
                await self.engine.store.resume_run(row.id)
            elif not row.status.terminal:
                await self.engine.store.pause_run(row.id)

    async def work(self) -> None:
        self.dice.shuffle(self.held)
        ended, self.held = self.held[:5], self.held[5:]
        self.held += await take(self.engine, [self.end(task) for task in ended], 8)

    def end(self, task: LeasedTask) -> Outcome:
        """End an attempt somehow."""
        kind = self.dice.randrange(4)
        if kind == 0:
            return task.outcome(OutcomeKind.RELEASED)
        return retry(task, delay=self.dice.choice([0, 5, 90])) if kind == 1 else done(task)


@pytest.mark.parametrize("seed", [int(ONLY)] if ONLY else SEEDS)
async def test_random_work_among_gaps_is_all_done(engine: Engine, seed: int) -> None:
    chance = Chance(engine, seed)
    made = 0
    for _ in range(60):
        await chance.act()
        await engine.store.tick()
        await nothing_hidden(engine)
        made += (await gaps(engine))["made"]
    assert made > 5
    await engine.jump(8000)
    await engine.finish_everything()
    await engine.at_rest()
