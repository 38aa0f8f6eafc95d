"""Limits on runs under kills, freezes and crashes: all are let in, never too many, no room lost."""

from __future__ import annotations

import asyncio

import psycopg

from flowbuilder.limits import Rate
from tests.faults.harness.arena import Arena, chain, fan, flow, sized

AT_ONCE, OF_THE_FLOW = 5, 2
#: The database itself writes down whom it lets in, and how many are in then: who lets one in holds
#: the gate, so what it counts is exact.
_WATCH = """
create table public.let_in (
    run_id uuid, flow text, not_before timestamptz, not_after timestamptz, here integer,
    of_flow integer);
create table public.overfull (flow text, level double precision);
create function public.note_admission() returns trigger language plpgsql as $$
begin
    insert into public.let_in
    select new.run_id, new.flow, now(), clock_timestamp(), count(*),
           count(*) filter (where flow = new.flow)
    from flowbuilder.admissions where state = 'admitted';
    return null;
end $$;
create trigger noted after insert or update on flowbuilder.admissions for each row
    when (new.state = 'admitted') execute function public.note_admission();
create function public.note_bucket() returns trigger language plpgsql as $$
begin
    insert into public.overfull values (new.flow, new.level);
    return null;
end $$;
create trigger noted after update on flowbuilder.admission_limits for each row
    when (new.level > new.rate_count + 0.001) execute function public.note_bucket();
"""
_MOST = b"""
select max(here) as here, max(of_flow) filter (where flow = 'chain') as of_flow from public.let_in
"""
_TIMES = b"""
select extract(epoch from not_before)::float8 as first,
       extract(epoch from not_after)::float8 as last
from public.let_in where flow = 'chain' order by not_after
"""
_UNDER_WAY = b"select count(*) as n from flowbuilder.admissions where state = 'admitted'"
_TWICE = b"select run_id from public.let_in group by run_id having count(*) > 1"


def watch(arena: Arena) -> None:
    with psycopg.connect(arena.dsn, autocommit=True) as connection:
        connection.execute(_WATCH.encode())


async def wear_down(arena: Arena, *, rounds: int, concurrency: int = 4) -> None:
    """Kill a worker, freeze one and crash the server, by turns, while runs wait to be let in."""
    workers = [arena.worker(concurrency=concurrency) for _ in range(3)]
    await arena.joined(*workers)
    for number in range(rounds):
        mark = arena.ledger.count()
        await arena.hold(lambda: arena.ledger.count() > mark + 4, what="no progress")  # noqa: B023
        victim = workers.pop(arena.dice.randrange(len(workers)))
        victim.kill()
        workers.append(arena.worker(concurrency=concurrency))
        if number % 4 == 1:
            await asyncio.to_thread(arena.server.stop, "immediate")
            arena.fired("crash of the server")
            await asyncio.to_thread(arena.server.start)


async def assert_room_for_all(arena: Arena, *, concurrency: int) -> None:
    """No room is lost: as many as the limit allows are under way at once, and one more waits."""
    gate = arena.folder / "room"
    step = fan(1, tool="fault.hold", args={"gate": str(gate)}).model_dump(mode="json")["steps"][0]
    mark = arena.ledger.count("each")
    for _ in range(concurrency + 1):
        await arena.start(flow("room", [step]))
    await arena.hold(lambda: arena.ledger.count("each") == mark + concurrency, what="room is lost")
    row = await arena.database.fetch_one(_UNDER_WAY)
    assert row == {"n": concurrency}
    gate.touch()


async def test_queued_runs_are_all_let_in_under_kills_and_crashes(arena: Arena) -> None:
    """A limit of the workspace and one of a flow, runs cancelled while they wait and while they
    work, workers killed, the server crashed: nobody is forgotten, and it was never too much."""
    watch(arena)
    await arena.store.set_admission(None, concurrency=AT_ONCE, rate=None)
    await arena.store.set_admission("chain", concurrency=OF_THE_FLOW, rate=None)
    wanted: dict[str, object] = {}
    doomed: list[str] = []
    for number in range(sized(24, 300)):
        wanted[await arena.start(chain(3, ms=20), number)] = number
        wanted[await arena.start(fan(4, ms=20))] = list(range(4))
        if number % 6 == 0:
            doomed.append(await arena.start(fan(4, ms=20)))
    waiting = sum(row.waiting for row in await arena.store.admissions() if row.flow is None)
    arena.fired("run kept back", waiting)
    steering = asyncio.create_task(_cancel(arena, doomed))
    await wear_down(arena, rounds=sized(4, 60))
    await steering
    runs = {run.id: run for run in await arena.ended(seconds=sized(120, 900))}
    assert {run: runs[run].output for run in wanted} == wanted
    assert {runs[run].status.value for run in doomed} <= {"cancelled", "completed"}
    most = await arena.database.fetch_one(_MOST)
    assert most == {"here": AT_ONCE, "of_flow": OF_THE_FLOW}
    assert await arena.database.fetch_all(_TWICE) == []
    await assert_room_for_all(arena, concurrency=AT_ONCE)
    await arena.check()
    assert await arena.database.fetch_all(b"select run_id from flowbuilder.admissions") == []
    arena.figure(runs=len(runs), kills=len(arena.kills), at_once=AT_ONCE)


async def _cancel(arena: Arena, doomed: list[str]) -> None:
    """Cancel some while they wait, others perhaps while they work."""
    for run_id in arena.dice.sample(doomed, len(doomed) // 2):
        await arena.persistently(lambda: arena.store.cancel_run(run_id))  # noqa: B023
        arena.fired("cancelled")
        await asyncio.sleep(arena.dice.uniform(0, 0.3))


async def test_a_rate_of_starts_holds_under_kills_and_crashes(arena: Arena) -> None:
    """No span of time lets more in than the bucket and what it gains, and nobody has to wait for
    tokens that were lost with a worker or a server."""
    watch(arena)
    count, span = 10, 1.0
    await arena.store.set_admission("chain", concurrency=None, rate=Rate(count=count, per=span))
    wanted = {await arena.start(chain(2, ms=5), number): number for number in range(sized(60, 600))}
    await wear_down(arena, rounds=sized(3, 40))
    runs = {run.id: run.output for run in await arena.ended(seconds=sized(120, 300))}
    assert runs == wanted
    times = await arena.database.fetch_all(_TIMES)
    assert len(times) == len(wanted)
    for first in range(len(times)):
        for last in range(first + count, len(times)):
            gained = (times[last]["last"] - times[first]["first"]) * count / span
            assert last - first + 1 <= count + gained + 1e-3, (first, last)
    assert await arena.database.fetch_all(b"select * from public.overfull") == []
    [limit] = await arena.store.admissions()
    assert (limit.running, limit.waiting) == (0, 0)
    await arena.check()
    assert await arena.database.fetch_all(b"select run_id from flowbuilder.admissions") == []
    arena.figure(runs=len(runs), kills=len(arena.kills))
