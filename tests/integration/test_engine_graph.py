"""How runs move through their graph: order, maps, conditions, trigger rules, failures."""

from __future__ import annotations

import pytest

from flowbuilder.executor.records import LeasedTask, Outcome, TaskKind
from flowbuilder.executor.states import RunStatus
from flowbuilder.types import JsonValue
from tests.support.engine import Engine, done, failed, flow_of, retry, skipped


async def test_a_step_starts_only_after_what_it_depends_on_has_completed(engine: Engine) -> None:
    flow = flow_of(
        {"id": "a"},
        {"id": "b", "depends_on": ["a"]},
        {"id": "c", "depends_on": ["a"]},
        {"id": "d", "args": {"x": "${{ steps.b }}", "y": "${{ steps.c }}"}},
    )
    run = await engine.start(flow)
    seen = await engine.drain(lambda task: done(task, task.step_id))
    assert [task.step_id for task in seen] == ["a", "b", "c", "d"]
    assert seen[-1].outputs == {"b": "b", "c": "c"}
    assert (await engine.run(run)).output == {"d": "d"}
    await engine.at_rest()


@pytest.mark.parametrize("value", [0, False, "", None, [], {}, 0.5, "é\n", [None, 0]])
async def test_values_survive_as_they_are(engine: Engine, value: JsonValue) -> None:
    flow = flow_of({"id": "a"}, {"id": "b", "args": {"x": "${{ steps.a }}", "i": "${{ input }}"}})
    run = await engine.start(flow, value)
    seen = await engine.drain(lambda task: done(task, value))
    assert seen[1].outputs == {"a": value}
    assert seen[1].input == value
    row = await engine.run(run)
    assert row.input == value
    assert row.output == {"b": value}


async def test_a_map_makes_a_task_for_each_element_and_keeps_the_order(engine: Engine) -> None:
    items: list[JsonValue] = [3, None, False, {"k": []}, "x"]
    flow = flow_of(
        {"id": "a"},
        {"id": "m", "for_each": "${{ steps.a.items }}"},
        output="${{ steps.m }}",
    )
    run = await engine.start(flow)

    def decide(task: LeasedTask) -> Outcome:
        if task.kind is TaskKind.FINISH:
            return done(task, task.outputs["m"])
        return done(task, [task.index, task.item] if task.step_id == "m" else {"items": items})

    await engine.drain(decide)
    assert (await engine.run(run)).output == [[i, item] for i, item in enumerate(items)]
    await engine.at_rest()


async def test_a_concurrency_limit_bounds_the_elements_under_way(engine: Engine) -> None:
    flow = flow_of({"id": "m", "for_each": "${{ input }}", "concurrency": 2})
    run = await engine.start(flow, list(range(5)))
    sizes = []
    answer = await engine.exchange()
    while answer.tasks:
        sizes.append(len(answer.tasks))
        answer = await engine.exchange([done(task, task.item) for task in answer.tasks])
    assert sizes == [2, 2, 1]
    assert (await engine.run(run)).output == {"m": [0, 1, 2, 3, 4]}


async def test_an_empty_map_completes_at_once_and_so_does_what_follows(engine: Engine) -> None:
    flow = flow_of(
        {"id": "m", "for_each": "${{ input.list }}"}, {"id": "n", "for_each": "${{ steps.m }}"}
    )
    run = await engine.start(flow, {"list": []})
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    assert (await engine.run(run)).output == {"n": []}
    assert await engine.trace(run) == [
        "workflow_started",
        "task_completed m",
        "task_completed n",
        "workflow_completed",
    ]


@pytest.mark.parametrize("value", [None, 1, "text", {"a": 1}, False])
async def test_a_map_over_no_array_fails_the_run_and_says_why(
    engine: Engine, value: JsonValue
) -> None:
    run = await engine.start(flow_of({"id": "m", "for_each": "${{ input.v }}"}), {"v": value})
    row = await engine.run(run)
    assert row.status is RunStatus.FAILED
    assert row.error is not None
    assert (row.error["code"], row.error["step"]) == ("for_each_not_array", "m")


async def test_a_false_condition_skips_the_step_and_what_needs_it(engine: Engine) -> None:
    flow = flow_of(
        {"id": "a", "when": "false"},
        {"id": "b", "depends_on": ["a"]},
        {"id": "c", "depends_on": ["b"], "trigger_rule": "all_done"},
        {"id": "m", "for_each": "${{ steps.a }}", "trigger_rule": "none_failed"},
    )
    run = await engine.start(flow)
    seen = await engine.drain(lambda t: skipped(t) if t.step_id == "a" else done(t, 1))
    assert [task.step_id for task in seen] == ["a", "c"]
    assert (await engine.run(run)).output == {"c": 1, "m": []}
    reasons = {
        event.step_name: event.data["reason"]
        for event in await engine.store.events(run)
        if event.type == "task_skipped"
    }
    assert reasons == {"a": "condition", "b": "dependency"}
    await engine.at_rest()


async def test_the_condition_of_a_map_is_judged_before_its_elements(engine: Engine) -> None:
    flow = flow_of({"id": "m", "for_each": "${{ input }}", "when": "size(input) > 1"})
    run = await engine.start(flow, [1, 2])
    seen = await engine.drain(lambda t: done(t, True if t.kind is TaskKind.EXPAND else t.item))
    assert [(task.kind, task.item) for task in seen] == [
        (TaskKind.EXPAND, None),
        (TaskKind.STEP, 1),
        (TaskKind.STEP, 2),
    ]
    assert (await engine.run(run)).output == {"m": [1, 2]}


async def test_one_success_starts_at_the_first_and_is_skipped_after_none(engine: Engine) -> None:
    flow = flow_of(
        {"id": "a", "when": "true"},
        {"id": "b", "when": "true"},
        {"id": "c", "depends_on": ["a", "b"], "trigger_rule": "one_success"},
    )
    run = await engine.start(flow)
    await engine.drain(lambda t: skipped(t) if t.step_id == "a" else done(t))
    assert "task_completed c" in await engine.trace(run)
    other = await engine.start(flow)
    await engine.drain(skipped)
    assert "task_skipped c" in await engine.trace(other)
    assert (await engine.run(other)).status is RunStatus.COMPLETED


async def test_a_failure_ends_the_run_and_cancels_what_is_open(engine: Engine) -> None:
    flow = flow_of({"id": "a"}, {"id": "b"}, {"id": "c", "depends_on": ["a"]})
    run = await engine.start(flow)
    tasks = {task.step_id: task for task in (await engine.exchange()).tasks}
    await engine.exchange([failed(tasks["a"])], held=[tasks["b"]])
    row = await engine.run(run)
    assert row.status is RunStatus.FAILED
    assert row.error is not None
    assert (row.error["step"], row.error["code"], row.error["attempt"]) == ("a", "boom", 1)
    late = await engine.exchange([done(tasks["b"])])
    assert list(late.verdicts.values()) == ["fenced"]
    assert (await engine.trace(run))[-3:] == [
        "task_failed a",
        "task_cancelled b",
        "workflow_failed",
    ]
    await engine.at_rest()


@pytest.mark.parametrize(
    ("policy", "expected"), [("skip", {"c": "c"}), ("continue", {"b": None, "c": "c"})]
)
async def test_a_forgiven_failure_skips_the_step_or_completes_it_with_null(
    engine: Engine, policy: str, expected: JsonValue
) -> None:
    flow = flow_of(
        {"id": "a", "on_error": policy},
        {"id": "b", "args": {"x": "${{ steps.a }}"}},
        {"id": "c", "depends_on": ["a"], "trigger_rule": "all_done"},
    )
    run = await engine.start(flow)
    await engine.drain(
        lambda t: (
            failed(t) if t.step_id == "a" else done(t, t.outputs["a"] if t.step_id == "b" else "c")
        )
    )
    assert (await engine.run(run)).output == expected
    await engine.at_rest()


async def test_a_failed_element_fails_the_map_unless_that_is_forgiven(engine: Engine) -> None:
    def decide(task: LeasedTask) -> Outcome:
        return failed(task) if task.item == 2 else done(task, task.item)

    strict = await engine.start(flow_of({"id": "m", "for_each": "${{ input }}"}), [1, 2, 3])
    await engine.drain(decide)
    assert (await engine.run(strict)).status is RunStatus.FAILED
    kind = await engine.start(
        flow_of({"id": "m", "for_each": "${{ input }}", "on_error": "continue"}), [1, 2, 3]
    )
    await engine.drain(decide)
    assert (await engine.run(kind)).output == {"m": [1, None, 3]}
    await engine.at_rest()


async def test_attempts_end_where_the_policy_says(engine: Engine) -> None:
    flow = flow_of({"id": "a", "retry": {"max_attempts": 3}})
    run = await engine.start(flow)
    seen = await engine.drain(retry)
    assert [task.attempt for task in seen] == [1, 2, 3]
    assert [task.fence for task in seen] == [1, 2, 3]
    row = await engine.run(run)
    assert row.error is not None
    assert row.error["attempt"] == 3
    assert (await engine.trace(run)).count("task_retrying a") == 2
    assert (await engine.trace(run)).count("task_failed a") == 1


async def test_two_runs_do_not_see_each_other(engine: Engine) -> None:
    flow = flow_of({"id": "a", "args": {"x": "${{ input }}"}})
    runs = [await engine.start(flow, number) for number in range(5)]
    await engine.drain(lambda task: done(task, task.input))
    assert [(await engine.run(run)).output for run in runs] == [{"a": n} for n in range(5)]


async def test_the_same_content_is_the_same_version(engine: Engine) -> None:
    first = await engine.store.register_version(flow_of({"id": "a"}), engine.registry)
    again = await engine.store.register_version(flow_of({"id": "a"}), engine.registry)
    other = await engine.store.register_version(flow_of({"id": "b"}), engine.registry)
    assert (first.id, first.version) == (again.id, 1)
    assert other.version == 2
    assert [row.version for row in await engine.store.list_versions("test")] == [2, 1]
