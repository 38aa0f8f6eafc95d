"""A65: workers, messages, connections and clocks that are not what they were.

Kills, restarts, poolers and dead rows over many rounds are in `tests/faults`, and one worker of two
that is killed in `integration/test_worker_kill.py`; here each is tried once against the service.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator

import psycopg
import pytest

from flowbuilder import Context, tool
from tests.support.fortress import assert_healthy, fortress, one_step, over
from tests.support.tenants import Headers, Town
from tests.support.waiting import eventually

#: Calls by idempotency key, and those that are to go on.
CALLS: Counter[str] = Counter()
GO_ON: list[asyncio.Event] = []


@tool("slow.effect", effects="write")
async def slow_effect(context: Context) -> int:
    """Do something that shows, and wait to be let go."""
    CALLS[context.idempotency_key] += 1
    await GO_ON[-1].wait()
    return CALLS[context.idempotency_key]


@pytest.fixture
async def place(dsn: str) -> AsyncIterator[Town]:
    CALLS.clear()
    GO_ON.append(asyncio.Event())
    async with fortress(dsn, tools=[slow_effect]) as opened:
        yield opened


async def begun(place: Town, who: Headers) -> str:
    """Start a run of the slow tool, and return its id once the tool is at work."""
    body = {"document": one_step("slow.effect", {}), "input": {}}
    started = await place.call(who, "POST", "/runs", json=body)
    assert started.status_code == 201, started.text
    await eventually(lambda: sum(CALLS.values()) >= 1, what="the tool never began")
    return str(started.json()["id"])


async def events_of(place: Town, who: Headers, run_id: str) -> Counter[str]:
    page = (await place.call(who, "GET", f"/runs/{run_id}/events")).json()["items"]
    assert [one["seq"] for one in page] == list(range(1, len(page) + 1))
    return Counter(one["type"] for one in page)


@pytest.mark.parametrize("jump", ["1 hour", "-1 hour"])
async def test_a65_a_clock_that_jumps_by_an_hour(jump: str, place: Town) -> None:
    ada = await place.person("ada", "default", "builder")
    run_id = await begun(place, ada)
    await place.builder.store.database.execute(
        b"update flowbuilder.clock set offset_by = offset_by + %s::interval", (jump,)
    )
    GO_ON[-1].set()
    ada = await place.session("ada")  # the one before is over, where an hour has gone
    shown = await over(place, ada, run_id)
    told = await events_of(place, ada, run_id)
    assert told["task_completed"] + told["task_failed"] == 1, told
    assert told["workflow_completed"] + told["workflow_failed"] == 1, told
    assert shown["status"] == ("completed" if told["task_completed"] else "failed")
    await assert_healthy(place, ada)


async def test_a65_two_workers_and_one_message(place: Town) -> None:
    """A second worker meets the task of one that is at work: it does it no second time."""
    ada = await place.person("ada", "default", "builder")
    run_id = await begun(place, ada)
    async with place.builder.worker():
        await assert_healthy(place, ada)
        GO_ON[-1].set()
        assert (await over(place, ada, run_id))["output"] == 1
    assert set(CALLS.values()) == {1}
    assert (await events_of(place, ada, run_id))["task_completed"] == 1


async def test_a65_every_connection_is_cut(dsn: str, place: Town) -> None:
    ada = await place.person("ada", "default", "builder")
    run_id = await begun(place, ada)
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
    GO_ON[-1].set()

    async def has_ended() -> bool:
        answer = await place.call(ada, "GET", f"/runs/{run_id}")
        # a connection that was cut is found out by whoever takes it next
        assert answer.status_code in (200, 503), answer.text
        return answer.status_code == 200 and answer.json()["status"] == "completed"

    await eventually(has_ended, seconds=60, what="the run never ended")
    told = await events_of(place, ada, run_id)
    assert (told["task_completed"], told["workflow_completed"]) == (1, 1), told
    await assert_healthy(place, ada)


async def test_a65_messages_that_mean_nothing(dsn: str, place: Town) -> None:
    """Somebody writes into the queues by hand: no worker dies of it, and nothing stands still."""
    ada = await place.person("ada", "default", "builder")
    odd = ("{}", "null", "[]", '"x"', '{"task": "x"}', '{"task": -1}', '{"task": 1e300}',
           '{"task": 1.5}', '{"task": null}', '{"task": 999999999999999999}',
           '{"task": 9223372036854775808}')  # fmt: skip
    refused = 0
    with psycopg.connect(dsn, autocommit=True) as admin:
        for text in odd:
            try:
                admin.execute("select pgmq.send('flowbuilder_tasks', %s::jsonb)", (text,))
            except psycopg.errors.CheckViolation:
                refused += 1
    assert refused == 5
    await assert_healthy(place, ada)
