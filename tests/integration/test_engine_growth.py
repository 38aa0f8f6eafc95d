"""Steps added to runs that are under way: where they stand, what they wait for, and who wins."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from flowbuilder.errors import Conflict, InvalidTransition, NotFound
from flowbuilder.executor.records import LeasedTask, Outcome
from flowbuilder.executor.states import RunStatus
from flowbuilder.types import JsonObject
from tests.support.engine import Engine, done, failed, flow_of, retry, skipped, waiting
from tests.support.growing import grow


async def states(engine: Engine, run_id: str) -> dict[str, str]:
    return {step.step_id: step.status.value for step in await engine.store.run_steps(run_id)}


def echo(task: LeasedTask) -> Outcome:
    return done(task, task.step_id)


async def test_a_step_waits_for_what_is_open_and_not_for_what_has_ended(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}, {"id": "b"}))
    [a, b] = (await engine.exchange()).tasks
    await engine.exchange([done(a, "out")])
    version = await grow(engine, run, {"id": "c", "depends_on": ["a", "b"]})
    await engine.consistent()
    assert await states(engine, run) == {"a": "completed", "b": "running", "c": "pending"}
    assert (version.origin, version.version) == ("run", None)
    assert (await engine.run(run)).version == 1  # the one that it was started of
    [c] = (await engine.exchange([done(b)])).tasks
    assert c.step_id == "c"
    await engine.exchange([done(c, 0)])
    assert (await engine.run(run)).output == {"c": 0}
    trace = await engine.trace(run)
    assert trace[3:5] == ["task_completed a", "step_added c"]
    await engine.at_rest()


async def test_what_is_added_says_so_in_its_event(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    version = await grow(engine, run, {"id": "b", "args": {"n": "${{ steps.a }}"}})
    [event] = [e for e in await engine.store.events(run) if e.type == "step_added"]
    assert (event.step_name, event.actor) == ("b", "user:ada")
    assert event.data == {
        "workflow_id": run,
        "step_name": "b",
        "step": {"id": "b", "tool": "work", "args": {"n": "${{ steps.a }}"}},
        "version_id": version.id,
    }
    tasks = await engine.drain(lambda task: done(task, 7))
    assert tasks[-1].outputs == {"a": 7}
    assert (await engine.run(run)).output == {"b": 7}
    await engine.at_rest()


@pytest.mark.parametrize(
    ("ends", "rule", "then"),
    [
        (done, "all_success", "running"),
        (skipped, "all_success", "skipped"),
        (skipped, "none_failed", "running"),
        (skipped, "all_done", "running"),
        (skipped, "one_success", "skipped"),
        (done, "one_success", "running"),
    ],
)
async def test_a_trigger_rule_judges_what_has_ended_already(
    engine: Engine, ends: object, rule: str, then: str
) -> None:
    assert callable(ends)
    run = await engine.start(flow_of({"id": "a"}, {"id": "keeps_open"}))
    [a, _] = (await engine.exchange()).tasks
    await engine.exchange([ends(a)])
    await grow(engine, run, {"id": "b", "depends_on": ["a"], "trigger_rule": rule})
    assert (await states(engine, run))["b"] == then
    await engine.consistent()
    await engine.join()
    await engine.finish_everything()
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    await engine.at_rest()


@pytest.mark.parametrize("rule", ["all_success", "one_success"])
async def test_a_trigger_rule_judges_what_has_half_ended(engine: Engine, rule: str) -> None:
    run = await engine.start(flow_of({"id": "a"}, {"id": "b"}))
    [a, b] = (await engine.exchange()).tasks
    await engine.exchange([skipped(a)])
    await grow(engine, run, {"id": "c", "depends_on": ["a", "b"], "trigger_rule": rule})
    expected = {"all_success": "skipped", "one_success": "pending"}[rule]
    assert (await states(engine, run))["c"] == expected
    await engine.exchange([done(b)])
    await engine.drain(done)
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    await engine.at_rest()


@pytest.mark.parametrize("elements", [[1, 2, 3], []])
async def test_a_mapped_step_opens_at_once(engine: Engine, elements: list[int]) -> None:
    run = await engine.start(flow_of({"id": "a"}, {"id": "keeps_open"}))
    [a, b] = (await engine.exchange()).tasks
    given: JsonObject = {"items": [*elements]}
    await engine.exchange([done(a, given)])
    await grow(engine, run, {"id": "m", "for_each": "${{ steps.a.items }}"})
    await grow(
        engine, run, {"id": "w", "for_each": "${{ steps.a.items }}", "when": "size(steps.m) >= 0"}
    )
    await engine.consistent()
    outcomes = [done(b)]
    while True:
        answer = await engine.exchange(outcomes)
        outcomes = [done(task, task.item) for task in answer.tasks]
        if not outcomes and not answer.ready:
            break
    assert (await engine.run(run)).output == {"keeps_open": None, "w": elements}
    await engine.at_rest()


async def test_a_paused_run_grows_and_goes_on_when_it_is_resumed(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    await engine.store.pause_run(run)
    await grow(engine, run, {"id": "b"})
    assert (await engine.exchange()).tasks == []
    await engine.store.resume_run(run)
    assert len(await engine.drain(echo)) == 2
    assert (await engine.run(run)).output == {"a": "a", "b": "b"}
    await engine.at_rest()


async def test_the_finishing_task_is_taken_back(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}, output="${{ steps.a }}"))
    [a] = (await engine.exchange()).tasks
    [finish] = (await engine.exchange([done(a, 1)])).tasks
    await grow(engine, run, {"id": "b", "depends_on": ["a"]})
    answer = await engine.exchange([done(finish, 1)])
    assert answer.verdicts == {finish.key: "fenced"}
    assert (await engine.run(run)).status is RunStatus.RUNNING
    await engine.drain(lambda task: done(task, 2), rounds=5) if not answer.tasks else None
    outcomes = [done(task, 2) for task in answer.tasks]
    while outcomes:
        outcomes = [done(task, 2) for task in (await engine.exchange(outcomes)).tasks]
    assert (await engine.run(run)).output == 2
    await engine.at_rest()


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
async def test_a_run_that_has_ended_grows_no_more(engine: Engine, end: str) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    if end == "cancelled":
        await engine.store.cancel_run(run)
    else:
        await engine.drain(done if end == "completed" else failed)
    with pytest.raises(InvalidTransition, match=f"cannot add a step to a run that is {end}"):
        await grow(engine, run, {"id": "b"})
    assert await states(engine, run) == {"a": end}


async def test_a_stale_base_and_a_strange_run_are_refused(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    before = (await engine.run(run)).version_id
    await grow(engine, run, {"id": "b"})
    with pytest.raises(Conflict) as refused:
        await grow(engine, run, {"id": "c"}, base=before)
    assert refused.value.code == "run_changed"
    with pytest.raises(NotFound):
        await engine.store.grow_run(
            "no id", base=before, document={}, content_hash="", compiled=[{"position": 0}]
        )
    assert list(await states(engine, run)) == ["a", "b"]


async def test_the_flow_and_its_other_runs_stay_as_they_are(engine: Engine) -> None:
    flow = flow_of({"id": "a"})
    run, other = await engine.start(flow), await engine.start(flow)
    await grow(engine, run, {"id": "b"})
    assert (await engine.store.get_flow("test")).version == 1
    assert [row.version for row in await engine.store.list_versions("test")] == [1]
    assert (await engine.store.get_version("test")).document["steps"] == [
        {"id": "a", "tool": "work"}
    ]
    await engine.drain(done)
    assert await states(engine, other) == {"a": "completed"}
    assert (await engine.store.register_version(flow, engine.registry)).version == 1


async def test_an_idempotency_key_finds_a_run_that_has_grown(engine: Engine) -> None:
    for origin in ("published", "dynamic"):
        version = await engine.store.register_version(
            flow_of({"id": "a"}, slug=origin), engine.registry, origin=origin
        )
        options = {"timeout_seconds": 3600.0, "idempotency_key": origin, "exact": True}
        run, _ = await engine.store.start_run(version.id, None, **options)  # type: ignore[arg-type]
        await grow(engine, run.id, {"id": "b"})
        again, created = await engine.store.start_run(version.id, None, **options)  # type: ignore[arg-type]
        assert (again.id, created) == (run.id, False)


async def test_a_retry_runs_what_was_added_too(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    [a] = (await engine.exchange()).tasks
    await grow(engine, run, {"id": "b", "depends_on": ["a"]})
    [b] = (await engine.exchange([done(a, 1)])).tasks
    await engine.exchange([failed(b)])
    found = await engine.store.retry_run(run)
    assert (found.reused, [step.step for step in found.again]) == (("a",), ["b"])
    await engine.drain(lambda task: done(task, 2))
    new = await engine.run(str(found.run_id))
    assert (new.status, new.output) == (RunStatus.COMPLETED, {"b": 2})
    await engine.at_rest()


async def test_a_task_that_is_under_way_keeps_its_definition(engine: Engine) -> None:
    """Its node belongs to the version before, also when it comes back."""
    version = await engine.store.register_version(
        flow_of({"id": "a", "args": {"n": 0}}), engine.registry, origin="dynamic"
    )
    run = (await engine.store.start_run(version.id, None, timeout_seconds=10**7))[0].id
    [a] = (await engine.exchange()).tasks
    await grow(engine, run, {"id": "b", "depends_on": ["a"]})
    await engine.exchange([retry(a, 86400)])
    await engine.jump(3 * 86400)
    await engine.join()
    await engine.store.prune(older_than_seconds=0)
    await engine.store.tick()
    engine.store._definitions.clear()
    [a] = (await engine.exchange()).tasks
    assert a.definition["args"] == {"n": 0}
    [b] = (await engine.exchange([done(a)])).tasks
    await engine.exchange([done(b)])
    assert (await engine.run(run)).status is RunStatus.COMPLETED


async def test_versions_go_with_their_runs(engine: Engine) -> None:
    version = await engine.store.register_version(
        flow_of({"id": "a"}), engine.registry, origin="dynamic"
    )
    run, _ = await engine.store.start_run(version.id, None, timeout_seconds=3600)
    await grow(engine, run.id, {"id": "b"})
    await grow(engine, run.id, {"id": "c"})
    await engine.jump(7200)
    await engine.join()
    await engine.store.prune(older_than_seconds=0)  # open: it needs all of them
    await engine.store.tick()
    retried = await engine.store.retry_run(run.id)
    await engine.drain(done)
    assert (await engine.run(str(retried.run_id))).status is RunStatus.COMPLETED
    await engine.database.execute(
        b"update flowbuilder.runs set finished_at = finished_at - interval '50 days', "
        b"created_at = created_at - interval '50 days' where id = %s::uuid",
        (run.id,),
    )
    assert (await engine.store.prune(older_than_seconds=40 * 86400.0)).runs == 1
    assert list(await states(engine, str(retried.run_id))) == ["a", "b", "c"]
    await engine.jump(7200)
    await engine.store.prune(older_than_seconds=0)
    left = await engine.database.fetch_one(
        b"select (select count(*) from flowbuilder.flow_versions) as versions, "
        b"(select count(*) from flowbuilder.version_steps) as steps"
    )
    assert left == {"versions": 0, "steps": 0}


async def test_many_steps_are_added_while_workers_work(engine: Engine) -> None:
    """Each addition either finds the run open and is executed, or is refused: never half."""
    for number in range(6):
        run = await engine.start(flow_of({"id": "s0"}, slug=f"race-{number}"))
        added: list[str] = []

        async def add(run: str = run, added: list[str] = added) -> None:
            for place in itertools.count(1):
                try:
                    await grow(engine, run, {"id": f"s{place}", "depends_on": [f"s{place - 1}"]})
                except InvalidTransition:
                    return
                added.append(f"s{place}")
                if place == 8:
                    return

        await asyncio.gather(add(), engine.drain(echo, rounds=1000))
        await engine.drain(echo, rounds=1000)
        last = added[-1] if added else "s0"
        assert (await engine.run(run)).output == {last: last}
        assert (await engine.trace(run))[-1] == "workflow_completed"
    await engine.at_rest()


async def test_steps_added_at_once_all_stay(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))

    async def add(name: str) -> None:
        while True:
            try:
                await grow(engine, run, {"id": name})
                return
            except Conflict as error:
                assert error.code == "run_changed"

    names = [f"s{number}" for number in range(6)]
    await asyncio.gather(*map(add, names))
    await engine.consistent()
    await engine.drain(echo)
    assert (await engine.run(run)).output == {"a": "a", **{name: name for name in names}}
    await engine.at_rest()


async def test_a_waiting_run_grows(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    [a] = (await engine.exchange()).tasks
    await engine.exchange([waiting(a, kind="time", seconds=60)])
    await grow(engine, run, {"id": "b"})
    [b] = (await engine.exchange()).tasks
    await engine.exchange([done(b, 0)])
    await engine.jump(61)
    await engine.store.tick()
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    await engine.at_rest()
