"""What a run that grows leaves in the tables: no more definitions of steps than it has steps."""

from __future__ import annotations

from flowbuilder.executor.states import RunStatus
from flowbuilder.types import JsonObject
from tests.support.engine import Engine, done, failed, flow_of
from tests.support.growing import grow


async def _nodes(engine: Engine, run_id: str) -> list[list[int]]:
    """Return, for each version of a run's own from the oldest on, the positions it has rows of."""
    rows = await engine.database.fetch_all(
        b"select v.step_count, array_remove(array_agg(s.position order by s.position), null) as at"
        b" from flowbuilder.flow_versions v"
        b" left join flowbuilder.version_steps s on s.version_id = v.id"
        b" where v.run_id = %s::uuid group by v.id order by v.step_count",
        (run_id,),
    )
    return [row["at"] for row in rows]


async def test_the_definitions_pass_from_version_to_version(engine: Engine) -> None:
    undo: JsonObject = {"tool": "work", "args": {"x": "${{ steps.s1 }}"}}
    run = await engine.start(flow_of({"id": "s0"}, {"id": "s1", "compensate": undo}))
    before = await engine.database.fetch_all(
        b"select position, node_id from flowbuilder.run_steps order by position"
    )
    await grow(engine, run, {"id": "s2", "depends_on": ["s0"]})
    first = await engine.database.fetch_all(
        b"select position, node_id from flowbuilder.run_steps order by position"
    )
    for number in range(3, 9):
        await grow(engine, run, {"id": f"s{number}", "depends_on": ["s0", f"s{number - 1}"]})
    last = await engine.database.fetch_all(
        b"select position, node_id from flowbuilder.run_steps order by position"
    )
    assert await _nodes(engine, run) == [[]] * 6 + [[-3, *range(9)]]
    assert [row["node_id"] for row in first[:2]] != [row["node_id"] for row in before]
    assert last[:3] == first
    await engine.consistent()
    seen = await engine.drain(done)
    assert [task.step_id for task in seen] == [f"s{number}" for number in range(9)]
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    assert (await engine.run(run)).output == {"s1": None, "s8": None}
    await engine.at_rest()


async def test_two_retries_of_one_version_grow_each_by_itself(engine: Engine) -> None:
    origin = await engine.start(flow_of({"id": "a"}))
    await grow(engine, origin, {"id": "b", "depends_on": ["a"]})
    await engine.drain(lambda task: failed(task) if task.step_id == "b" else done(task))
    retries = [str((await engine.store.retry_run(origin)).run_id) for _ in range(2)]
    await engine.database.execute(
        b"update flowbuilder.runs set finished_at = finished_at - interval '50 days', "
        b"created_at = created_at - interval '50 days' where id = %s::uuid",
        (origin,),
    )
    await engine.store.prune(older_than_seconds=40 * 86400.0)
    for name, run in zip("cd", retries, strict=True):
        await grow(engine, run, {"id": name, "depends_on": ["b"]})
        await grow(engine, run, {"id": f"{name}2", "depends_on": ["b", name]})
    await engine.consistent()
    await engine.drain(done)
    for name, run in zip("cd", retries, strict=True):
        assert (await engine.run(run)).output == {f"{name}2": None}
        steps = [step.step_id for step in await engine.store.run_steps(run)]
        assert steps == ["a", "b", name, f"{name}2"]
    await engine.at_rest()
