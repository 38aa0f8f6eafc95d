"""`event.emit` and `context.emit`: an event of a task, once, with the task's completion."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from flowbuilder import Context, FlowBuilder, RunFailed, Settings, tool
from flowbuilder.executor.transactions import Transactions
from flowbuilder.types import JsonObject, JsonValue

WAIT = 30.0
HOURLY = timedelta(hours=1)


@tool("emitter.twice", effects="write", transactional=True)
async def twice(key: str, context: Context) -> int:
    """Emit an event, and break at the first attempt."""
    await context.emit("tried", key, context.attempt, keep="1d")
    if context.attempt == 1:
        raise RuntimeError("broken after it was emitted")
    return context.attempt


@tool("emitter.plain", effects="write")
async def plain(context: Context) -> None:
    """Emit where no transaction is."""
    await context.emit("tried")


@pytest.fixture
async def fb(dsn: str, tmp_path: Path) -> AsyncIterator[FlowBuilder]:
    settings = Settings.load(data_dir=tmp_path, workspace_dir=tmp_path, poll_interval=HOURLY)
    async with FlowBuilder.connect(
        dsn, settings=settings, tools=[twice, plain], worker=True
    ) as opened:
        yield opened


def one_step(tool_name: str, args: JsonObject, **policies: Any) -> JsonObject:
    return {"flow": "emits", "steps": [{"id": "a", "tool": tool_name, "args": args, **policies}]}


def waiting(name: str, key: str = "") -> JsonObject:
    return one_step("event.wait", {"name": name, "key": key})


async def emitted(fb: FlowBuilder) -> list[tuple[str, str, Any, str]]:
    rows = await fb.store.database.fetch_all(
        b"select name, key, payload, emitted_by from flowbuilder.event_slots "
        b"where emitted_at is not null order by name, key"
    )
    return [(row["name"], row["key"], row["payload"], row["emitted_by"]) for row in rows]


@pytest.mark.parametrize("payload", [0, False, "", None, [], {"b": 1.5, "a": ["ü"]}])
async def test_a_waiting_run_goes_on_by_the_event_of_another(
    fb: FlowBuilder, payload: JsonValue
) -> None:
    waits = await fb.execute(waiting("order.paid", "7"))
    async for event in waits.events():
        if event.type == "task_waiting":
            break
    args: JsonObject = {"name": "order.paid", "key": "7", "payload": payload}
    emits = await fb.execute(one_step("event.emit", args))
    assert await emits.result(timeout=WAIT) == {"a": {"name": "order.paid", "key": "7"}}
    assert await waits.result(timeout=WAIT) == {"a": payload}
    assert await emitted(fb) == [("order.paid", "7", payload, f"run:{emits.id}")]


async def test_an_end_is_told_also_when_leases_are_looked_at_between_commit_and_report(
    fb: FlowBuilder, monkeypatch: pytest.MonkeyPatch
) -> None:
    [worker] = fb._session.workers
    run_in_transaction = Transactions.run

    async def looked_at(*args: Any, **options: Any) -> JsonValue:
        value = await run_in_transaction(*args, **options)
        await worker._exchanges.turn(check=True)  # tells that the task is this worker's no more
        return value

    monkeypatch.setattr(Transactions, "run", looked_at)
    waits = await fb.execute(waiting("order.paid", "7"))
    emits = await fb.execute(one_step("event.emit", {"name": "order.paid", "key": "7"}))
    assert await emits.result(timeout=WAIT) == {"a": {"name": "order.paid", "key": "7"}}
    assert await waits.result(timeout=WAIT) == {"a": None}


async def test_a_run_may_wait_for_what_it_emits_itself(fb: FlowBuilder) -> None:
    steps: list[JsonValue] = [
        {"id": "wait", "tool": "event.wait", "args": {"name": "own", "key": "${{ run.id }}"}},
        {
            "id": "emit",
            "tool": "event.emit",
            "args": {"name": "own", "key": "${{ run.id }}", "payload": [0]},
        },
    ]
    run = await fb.execute({"flow": "alone", "steps": steps, "output": "${{ steps.wait }}"})
    assert await run.result(timeout=WAIT) == [0]


async def test_an_emit_of_a_retried_attempt_counts_once(fb: FlowBuilder) -> None:
    waits = await fb.execute(waiting("tried", "x"))
    again = {"max_attempts": 2, "base_delay": "0s"}
    emits = await fb.execute(one_step("emitter.twice", {"key": "x"}, retry=again))
    assert await emits.result(timeout=WAIT) == {"a": 2}
    assert await waits.result(timeout=WAIT) == {"a": 2}  # of the attempt that was completed
    assert await emitted(fb) == [("tried", "x", 2, f"run:{emits.id}")]


async def test_a_failed_attempt_emits_nothing(fb: FlowBuilder) -> None:
    run = await fb.execute(one_step("emitter.twice", {"key": "x"}, retry={"max_attempts": 1}))
    with pytest.raises(RunFailed):
        await run.result(timeout=WAIT)
    run = await fb.execute(one_step("emitter.plain", {}, retry={"max_attempts": 1}))
    with pytest.raises(RunFailed) as failed:
        await run.result(timeout=WAIT)
    assert failed.value.error["code"] == "no_connection"
    assert await emitted(fb) == []


async def test_a_map_emits_for_each_element(fb: FlowBuilder) -> None:
    args: JsonObject = {"name": "seen", "key": "${{ item }}", "payload": "${{ index }}"}
    run = await fb.execute(one_step("event.emit", args, for_each=["a", "b", "a"]))
    await run.result(timeout=WAIT)
    run = await fb.execute(waiting("seen", "b"))
    assert await run.result(timeout=WAIT) == {"a": 1}
    assert [one[:3] for one in await emitted(fb)][1] == ("seen", "b", 1)
    assert {one[1] for one in await emitted(fb)} == {"a", "b"}


async def test_two_runs_that_emit_to_each_other_do_not_lock_each_other_out(
    fb: FlowBuilder,
) -> None:
    def steps(own: str, other: str) -> JsonObject:
        told: JsonObject = {"name": "told", "key": other, "payload": own}
        return {
            "flow": "pair",
            "steps": [
                {"id": "tell", "tool": "event.emit", "args": told},
                {"id": "hear", "tool": "event.wait", "args": {"name": "told", "key": own}},
            ],
            "output": "${{ steps.hear }}",
        }

    pairs = [
        (await fb.execute(steps(f"l{n}", f"r{n}")), await fb.execute(steps(f"r{n}", f"l{n}")))
        for n in range(10)
    ]
    for n, (left, right) in enumerate(pairs):
        assert await left.result(timeout=WAIT) == f"r{n}"
        assert await right.result(timeout=WAIT) == f"l{n}"


@pytest.mark.parametrize(
    ("args", "code"),
    [
        ({"name": "a b"}, "argument_invalid"),
        ({"name": "x", "key": "k" * 501}, "argument_invalid"),
        ({"name": "x", "keep": 0}, "duration_invalid"),
    ],
)
async def test_what_is_no_event_fails_the_step(
    fb: FlowBuilder, args: JsonObject, code: str
) -> None:
    given: JsonObject = {key: f"${{{{ input.{key} }}}}" for key in args}
    document: JsonObject = {"input": {"type": "object"}, **one_step("event.emit", given)}
    run = await fb.execute(document, args)
    with pytest.raises(RunFailed) as failed:
        await run.result(timeout=WAIT)
    assert failed.value.error["code"] == code
    assert await emitted(fb) == []
