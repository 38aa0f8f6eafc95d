"""The state machine is said in four places; they agree."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

import pytest

from flowbuilder.executor.database import Database
from flowbuilder.executor.records import Room
from flowbuilder.executor.states import (
    RUN_BEGINS,
    RUN_TRANSITIONS,
    TASK_BEGINS,
    TASK_TRANSITIONS,
    ApprovalStatus,
    RunStatus,
    StepStatus,
    TaskStatus,
)
from flowbuilder.types import JsonObject
from tests.support.engine import (
    Engine,
    done,
    failed,
    flow_of,
    plain_registry,
    retry,
    skipped,
    waiting,
)
from tests.support.transitions import NOTING, noted

ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"

_CHECKS = b"""
select c.relname as relation, pg_get_constraintdef(k.oid) as definition
from pg_constraint k join pg_class c on c.oid = k.conrelid
where k.contype = 'c' and k.connamespace = 'flowbuilder'::regnamespace
"""


@pytest.mark.parametrize(
    ("relation", "states"),
    [
        ("runs", RunStatus),
        ("run_steps", StepStatus),
        ("tasks", TaskStatus),
        ("approvals", ApprovalStatus),
    ],
)
async def test_the_check_of_a_table_lists_exactly_the_states_of_its_enum(
    database: Database, relation: str, states: type[StrEnum]
) -> None:
    checks = await database.fetch_all(_CHECKS)
    listings = [
        set(re.findall(r"'([a-z]+)'::text", check["definition"]))
        for check in checks
        if check["relation"] == relation and check["definition"].startswith("CHECK ((status = ANY")
    ]
    assert listings == [set(states)]


@pytest.mark.parametrize(
    ("entity", "transitions"), [("run", RUN_TRANSITIONS), ("task", TASK_TRANSITIONS)]
)
def test_the_diagram_draws_exactly_the_allowed_transitions(
    entity: str, transitions: dict[StrEnum, frozenset[StrEnum]]
) -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    drawn = re.findall(rf"{entity}_(\w+) --> {entity}_(\w+)", text)
    allowed = [
        (source.value, target.value) for source, all_ in transitions.items() for target in all_
    ]
    assert sorted(drawn) == sorted(allowed)


@pytest.mark.parametrize(("entity", "begins"), [("run", RUN_BEGINS), ("task", TASK_BEGINS)])
def test_the_diagram_begins_where_rows_do(entity: str, begins: frozenset[StrEnum]) -> None:
    text = ARCHITECTURE.read_text(encoding="utf-8")
    assert set(re.findall(rf"\[\*\] --> {entity}_(\w+)", text)) == {one.value for one in begins}


@pytest.mark.parametrize(("relation", "states"), [("runs", RunStatus), ("tasks", TaskStatus)])
async def test_what_has_ended_has_an_end_in_exactly_the_terminal_states(
    database: Database, relation: str, states: type[RunStatus] | type[TaskStatus]
) -> None:
    endings = [
        set(re.findall(r"'([a-z]+)'::text", check["definition"]))
        for check in await database.fetch_all(_CHECKS)
        if check["relation"] == relation and "finished_at IS NOT NULL) =" in check["definition"]
    ]
    assert endings == [{state.value for state in states if state.terminal}]


@pytest.fixture
async def noting(database: Database) -> Engine:
    """An engine on a database that takes note of every change of a state."""
    async with database.connection() as connection:
        await connection.execute(NOTING.encode())
    engine = Engine(database)
    await engine.join()
    return engine


async def test_what_the_engine_does_is_what_is_drawn(noting: Engine) -> None:
    """Between them, these scenes go along every arrow; none goes beside one."""
    for scene in (_endings, _at_once, _waits, _pauses, _cancels, _kept_back, _losses):
        await scene(noting)
    for relation, begins, transitions in (
        ("runs", RUN_BEGINS, RUN_TRANSITIONS),
        ("tasks", TASK_BEGINS, TASK_TRANSITIONS),
    ):
        allowed = {("", one.value) for one in begins} | {
            (source.value, target.value) for source, all_ in transitions.items() for target in all_
        }
        done_ = await noted(noting.database, relation)
        assert done_ - allowed == set()
        assert allowed - done_ == set()


async def _endings(engine: Engine) -> None:
    """Complete, fail, skip, retry; a task that follows begins as running."""
    flow = flow_of({"id": "a"}, {"id": "b", "depends_on": ["a"]}, {"id": "c", "when": "false"})
    run = await engine.start(flow)
    for _ in range(4):
        answer = await engine.exchange()
        reports = [
            skipped(t) if t.step_id == "c" else retry(t) if t.attempt == 1 else done(t)
            for t in answer.tasks
        ]
        await engine.exchange(reports)
        await engine.store.tick()
    await engine.drain(done)
    assert (await engine.run(run)).status is RunStatus.COMPLETED
    run = await engine.start(flow_of({"id": "a"}))
    await engine.drain(failed)
    assert (await engine.run(run)).status is RunStatus.FAILED


async def _at_once(engine: Engine) -> None:
    """Start a run whose first step the worker that asks can do: it begins as running."""
    version = await engine.store.register_version(flow_of({"id": "a"}), engine.registry)
    room = Room(worker_id=engine.worker, free=1, lease_seconds=30)
    started = await engine.store.start_runs(version.id, [None], timeout_seconds=60, room=room)
    await engine.exchange([done(task) for task in started.tasks])


async def _waits(engine: Engine) -> None:
    """Approve, reject, sleep; end while waiting."""
    gate: JsonObject = {
        "kind": "approval", "approval_kind": "gate", "args": {}, "args_hash": "x",
        "deadline_seconds": 60,
    }  # fmt: skip
    for approve in (True, False):
        run = await engine.start(flow_of({"id": "a"}))
        (task,) = (await engine.exchange()).tasks
        await engine.exchange([waiting(task, **gate)])
        (approval,) = await engine.store.approvals(run_id=run)
        await engine.store.decide(approval.id, approve=approve, by="user:ada")
        await engine.drain(done)
    run = await engine.start(flow_of({"id": "a"}, {"id": "b"}))
    first, second = (await engine.exchange()).tasks
    await engine.exchange([
        waiting(first, kind="time", seconds=5), waiting(second, kind="time", seconds=500)
    ])  # fmt: skip
    await engine.jump(6)
    await engine.store.tick()
    await engine.store.cancel_run(run)


async def _pauses(engine: Engine) -> None:
    """Pause before the beginning and after it; what is under way may end a paused run."""
    run = await engine.start(flow_of({"id": "a"}))
    await engine.store.pause_run(run)
    assert (await engine.run(run)).status is RunStatus.PAUSED
    await engine.store.cancel_run(run)
    for decide in (done, failed):
        run = await engine.start(flow_of({"id": "a"}, output="${{ steps.a }}"))
        (task,) = (await engine.exchange()).tasks
        if decide is done:
            (task,) = (await engine.exchange([done(task)])).tasks
        await engine.store.pause_run(run)
        await engine.store.resume_run(run)
        await engine.store.pause_run(run)
        await engine.exchange([decide(task)])
        assert (await engine.run(run)).status.terminal


async def _cancels(engine: Engine) -> None:
    """Cancel a run before it begins, and one with tasks in every state."""
    run = await engine.start(flow_of({"id": "a"}))
    await engine.store.cancel_run(run)
    flow = flow_of({"id": "m", "for_each": [1, 2, 3], "concurrency": 2})
    run = await engine.start(flow)
    (task,) = (await engine.exchange(free=1)).tasks
    answer = await engine.exchange([done(task)], free=1)
    assert len(answer.tasks) == 1
    await engine.store.cancel_run(run)
    run = await engine.start(flow)
    await engine.exchange(free=1)
    await engine.store.cancel_run(run)


async def _kept_back(engine: Engine) -> None:
    """Pause and resume a run that is not let in: it has not begun."""
    await engine.store.set_admission(None, concurrency=1, rate=None)
    await engine.start(flow_of({"id": "a"}))
    run = await engine.start(flow_of({"id": "a"}))
    await engine.store.pause_run(run)
    await engine.store.resume_run(run)
    await engine.store.clear_admission(None)
    await engine.drain(done)


async def _losses(engine: Engine) -> None:
    """Lose a worker, and the only one that has the function."""
    registry = plain_registry("function.f")
    flow = flow_of({"id": "a", "tool": "function.f"})
    version = await engine.store.register_version(
        flow, registry, origin="dynamic", owner=engine.worker
    )
    await engine.store.start_run(version.id, None, timeout_seconds=3600)
    await engine.store.stop_worker(engine.worker)
    for _ in range(2):
        await engine.store.tick()


def test_a_state_is_terminal_when_nothing_leads_out_of_it() -> None:
    assert {s for s in RunStatus if s.terminal} == {"completed", "failed", "cancelled"}
    assert {s for s in TaskStatus if s.terminal} == {
        "completed",
        "failed",
        "skipped",
        "cancelled",
    }
