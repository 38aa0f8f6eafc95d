"""Values keep the order of their keys wherever they travel or rest, and what no reader could take
is refused where it comes in."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from flowbuilder.errors import FlowBuilderError, InvalidValue
from flowbuilder.executor.records import LeasedTask, Outcome, TaskKind
from flowbuilder.types import JsonObject, JsonValue
from tests.support.engine import Engine, done, flow_of, waiting

#: jsonb would give back `{"b": …, "aa": …, "ccc": …}`: by length, then by bytes.
ORDERED: JsonObject = {"ccc": 1, "b": {"z": 0, "é": [], "a": None}, "aa": [{"y": 1.0, "x": 2}]}


def text(value: object) -> str:
    """Write a value so that the order of its keys counts."""
    return json.dumps(value)


async def data(engine: Engine, run: str, type: str) -> list[JsonObject]:
    return [event.data for event in await engine.store.events(run) if event.type == type]


async def test_input_output_and_events_keep_their_order(engine: Engine) -> None:
    run = await engine.start(
        flow_of(
            {"id": "zz", "args": {"given": "${{ input }}"}},
            {"id": "a", "args": {"all": "${{ steps.zz }}"}},
            {"id": "last", "depends_on": ["a"]},
        ),
        ORDERED,
    )
    seen = await engine.drain(lambda task: done(task, ORDERED))
    assert text(seen[0].input) == text(ORDERED)
    assert text(seen[1].outputs) == text({"zz": ORDERED})
    row = await engine.run(run)
    assert (text(row.input), text(row.output)) == (text(ORDERED), text({"last": ORDERED}))
    assert [text(step.output) for step in await engine.store.run_steps(run)] == [text(ORDERED)] * 3
    assert [text(task.output) for task in await engine.store.run_tasks(run)] == [text(ORDERED)] * 3
    [started] = await data(engine, run, "workflow_started")
    assert text(started["input"]) == text(ORDERED)
    results = [event["result"] for event in await data(engine, run, "task_completed")]
    assert text(results) == text([ORDERED] * 3)
    [ended] = await data(engine, run, "workflow_completed")
    assert text(ended["final_result"]) == text({"last": ORDERED})


async def test_the_last_steps_come_in_the_order_of_the_flow(engine: Engine) -> None:
    run = await engine.start(flow_of({"id": "ccc"}, {"id": "b"}, {"id": "aa"}))
    await engine.drain(done)
    assert text((await engine.run(run)).output) == text({"ccc": None, "b": None, "aa": None})


@pytest.mark.parametrize("source", ["${{ input.items }}", [ORDERED, ORDERED], "${{ steps.first }}"])
async def test_elements_of_maps_and_their_joined_results_keep_their_order(
    engine: Engine, source: JsonValue
) -> None:
    flow = flow_of(
        {"id": "first"},
        {"id": "m", "for_each": source, "depends_on": ["first"], "args": {"row": "${{ item }}"}},
        output={"z": "${{ steps.m }}", "a": "${{ steps.first }}"},
    )
    run = await engine.start(flow, {"items": [ORDERED, ORDERED]})

    def decide(task: LeasedTask) -> Outcome:
        if task.kind is TaskKind.FINISH:
            assert text(task.outputs) == text({"first": [ORDERED] * 2, "m": [ORDERED] * 2})
            assert text(task.definition["output"]) == text(flow.output)
            return done(task, {"z": task.outputs["m"], "a": 1})
        return done(task, task.item if task.step_id == "m" else [ORDERED, ORDERED])

    seen = await engine.drain(decide)
    assert [text(task.item) for task in seen if task.step_id == "m"] == [text(ORDERED)] * 2
    assert text((await engine.run(run)).output) == text({"z": [ORDERED, ORDERED], "a": 1})


async def test_arguments_stay_as_they_were_written_shown_and_edited(engine: Engine) -> None:
    def gate(task: LeasedTask) -> Outcome:
        if task.approved:
            return done(task, task.args)
        return waiting(
            task, kind="approval", approval_kind="gate", args=task.definition["args"],
            args_hash="x", by=["user:ada"], deadline_seconds=60,
        )  # fmt: skip

    edited = dict(reversed(ORDERED.items()))
    for value in (None, edited):
        run = await engine.start(flow_of({"id": "send", "args": ORDERED}))
        (asking,) = await engine.drain(gate)
        assert text(asking.definition["args"]) == text(ORDERED)
        (approval,) = await engine.store.approvals()
        assert text(approval.args) == text(ORDERED)
        decided = await engine.store.decide(approval.id, approve=True, by="user:ada", value=value)
        assert text(decided.value) == text(value)
        await engine.drain(gate)
        used = ORDERED if value is None else edited
        assert text((await engine.run(run)).output) == text({"send": used})
        [asked] = await data(engine, run, "approval_requested")
        [told] = await data(engine, run, "approval_decided")
        assert (text(asked["args"]), text(told["value"])) == (text(ORDERED), text(value))


@pytest.mark.parametrize("kind", ["input", "decision"])
async def test_what_a_person_answers_keeps_its_order(engine: Engine, kind: str) -> None:
    run = await engine.start(flow_of({"id": "ask"}))
    schema: JsonObject = {"type": "object", "properties": {"zz": {}, "a": {}}, "required": ["zz"]}
    await engine.drain(
        lambda t: waiting(t, kind="approval", approval_kind=kind, args=ORDERED, schema=schema)
    )
    (approval,) = await engine.store.approvals()
    assert (text(approval.args), text(approval.schema)) == (text(ORDERED), text(schema))
    await engine.store.decide(approval.id, approve=True, by="user:ada", value=ORDERED)
    decision = {"approved": True, "by": "user:ada", "comment": None, "value": ORDERED}
    expected = ORDERED if kind == "input" else decision
    assert text((await engine.run(run)).output) == text({"ask": expected})


async def test_a_child_runs_input_and_output_keep_their_order(engine: Engine) -> None:
    child = await engine.store.register_version(flow_of({"id": "x"}, slug="child"), engine.registry)
    run = await engine.start(flow_of({"id": "call"}))

    def decide(task: LeasedTask) -> Outcome:
        if task.step_id == "x":
            return done(task, ORDERED)
        return waiting(task, kind="run", version_id=child.id, flow="child", input=ORDERED)

    for _ in range(2):
        await engine.drain(decide)
        await engine.store.tick()
    (row,) = await engine.store.list_runs(flow="child")
    assert text(row.input) == text(ORDERED)
    assert text((await engine.run(run)).output) == text({"call": {"x": ORDERED}})
    await engine.at_rest()


async def test_drafts_versions_and_plans_keep_their_order(engine: Engine) -> None:
    flow = flow_of({"id": "a", "args": ORDERED}, slug="kept", output=ORDERED)
    draft = flow.document()
    assert text((await engine.store.create_flow(draft)).draft) == text(draft)
    version = await engine.store.register_version(flow, engine.registry)
    assert text((await engine.store.get_version("kept")).document) == text(draft)
    again = await engine.store.register_version(flow, engine.registry)
    assert again.id == version.id
    turned = flow_of({"id": "a", "args": dict(reversed(ORDERED.items()))}, slug="kept")
    other = await engine.store.register_version(turned, engine.registry)
    assert (other.version, text(other.document)) == (2, text(turned.document()))

    plan: JsonObject = {
        "status": "ready", "id": "00000000-0000-0000-0000-00000000abcd", "goal": "g", "flow": draft,
    }  # fmt: skip
    await engine.store.save_plan(plan)
    accepted = await engine.store.accept_plan(str(plan["id"]), None)
    assert text(accepted.document) == text({**plan, "status": "accepted"})
    event = await engine.store.append_plan_event(str(plan["id"]), "plan_step_added", ORDERED)
    assert text(event.data) == text(ORDERED)


async def test_the_same_input_in_another_order_is_the_same_input(engine: Engine) -> None:
    version = await engine.store.register_version(flow_of({"id": "a"}), engine.registry)
    runs = [
        await engine.store.start_run(version.id, value, timeout_seconds=60, idempotency_key="k")
        for value in (ORDERED, dict(reversed(ORDERED.items())))
    ]
    assert [created for _, created in runs] == [True, False]
    assert text(runs[1][0].input) == text(ORDERED)


# -- what json takes and nobody could read --------------------------------------------------

_EXCHANGE = b"select flowbuilder.exchange(%s::uuid, '[]', %s::json, 10, 30)"
_START = b"select flowbuilder.start_runs(%s, %s::uuid, array[%s::json], array[null], 60)"
_DECIDE = b"select flowbuilder.decide(%s, %s::uuid, true, 'ada', null, %s::json, null)"
_PLAN_EVENT = b"select flowbuilder.append_plan_event(%s, %s::uuid, 'plan_started', %s::json)"
UNREADABLE = [r'"\u0000"', r'{"a": ["x\u0000y"]}', r'{"\u0000": 1}', r'"\ud800"', r'["\ude00"]',
              "1e200000"]  # fmt: skip


@pytest.mark.parametrize("value", UNREADABLE)
async def test_what_could_not_be_read_again_is_refused_at_every_entry(
    engine: Engine, value: str
) -> None:
    database, workspace = engine.database, engine.store.workspace
    version = await engine.store.register_version(flow_of({"id": "a"}), engine.registry)
    await engine.start(flow_of({"id": "a"}))
    await engine.drain(lambda t: waiting(t, kind="approval", approval_kind="input"))
    (approval,) = await engine.store.approvals()
    plan = "00000000-0000-0000-0000-00000000abcd"
    await engine.store.save_plan({"id": plan, "goal": "g", "status": "ready"})
    for statement, values in (
        (_START, (workspace, version.id, value)),
        (_DECIDE, (workspace, approval.id, value)),
        (_PLAN_EVENT, (workspace, plan, value)),
    ):
        with pytest.raises(InvalidValue) as refused:
            await database.fetch_all(statement, values)
        assert refused.value.code == "value_refused"
    assert len(await engine.store.list_runs()) == 1
    assert (await engine.store.get_approval(approval.id)).decided_at is None


REPORTS: list[Callable[[str], str]] = [
    lambda value: f'"kind": "completed", "output": {value}',
    lambda value: f'"kind": "failed", "error": {{"code": {value}}}',
    lambda value: f'"kind": "waiting", "wait": {{"kind": "time", "seconds": 1, "x": {value}}}',
    lambda value: f'"kind": "completed", "unknown": {value}',
]


@pytest.mark.parametrize("value", UNREADABLE[:5])
@pytest.mark.parametrize("report", REPORTS)
async def test_a_report_that_could_not_be_read_again_changes_nothing(
    engine: Engine, value: str, report: Callable[[str], str]
) -> None:
    run = await engine.start(flow_of({"id": "a"}))
    (task,) = (await engine.exchange()).tasks
    before = (await engine.run(run)).last_seq
    bad = f'[{{"task_id": {task.task_id}, "fence": {task.fence}, {report(value)}}}]'
    with pytest.raises(InvalidValue) as refused:
        await engine.database.fetch_all(_EXCHANGE, (engine.worker, bad))
    assert refused.value.code == "value_refused"
    assert (await engine.run(run)).last_seq == before
    await engine.exchange([done(task, 1)])
    assert (await engine.run(run)).output == {"a": 1}
    await engine.at_rest()


@pytest.mark.parametrize("outcomes", ["{}", "[1]", '"x"', '[{"task_id": "x"}]'])
async def test_a_report_that_is_none_is_refused(engine: Engine, outcomes: str) -> None:
    with pytest.raises(FlowBuilderError):
        await engine.database.fetch_all(_EXCHANGE, (engine.worker, outcomes))


async def test_a_wait_that_is_no_object_is_refused(engine: Engine) -> None:
    await engine.start(flow_of({"id": "a"}))
    (task,) = (await engine.exchange()).tasks
    for wait in ("null", "1", "[]", '{"kind": "time"}', '{"kind": "time", "seconds": "soon"}'):
        bad = (
            f'[{{"task_id": {task.task_id}, "run_id": "{task.run_id}", "fence": {task.fence}, '
            f'"kind": "waiting", '
            f'"wait": {wait}}}]'
        )
        with pytest.raises(InvalidValue):
            await engine.database.fetch_all(_EXCHANGE, (engine.worker, bad))
