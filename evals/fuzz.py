"""The safety fuzzer: random policies, flows, hostile data, people and hands in the database.

Many runs at once on the real engine; afterwards an oracle of its own (`fuzz_oracle`) says of each
effect whether it was allowed. The same seed gives the same policies, flows and answers; which task
comes first is left to chance.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from flowbuilder.client import FlowBuilder
from flowbuilder.errors import DatabaseError, DatabaseUnavailable, ExecutionError, FlowBuilderError
from flowbuilder.evals.fuzz_flows import (
    CHILDREN,
    PEOPLE,
    Program,
    child_document,
    random_policy,
    random_program,
)
from flowbuilder.evals.fuzz_oracle import Agreement, Question, Story, canonical, violations
from flowbuilder.evals.fuzz_tampering import tamper
from flowbuilder.evals.fuzz_tools import ACTS, INJECTIONS, Deeds
from flowbuilder.evals.scratch import open_scratch
from flowbuilder.executor.records import ApprovalRow
from flowbuilder.flow import Flow
from flowbuilder.settings import Settings
from flowbuilder.toolkit import load_registry
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject

#: Runs that go on at the same time, under one policy.
BATCH = 100
#: Rounds in which people are asked; after that, time decides.
_ROUNDS = 6
_SETTLE_SECONDS = 120.0
_MONTH = 30 * 86_400
_OPEN = b"""
    select (select count(*) from flowbuilder.tasks where status in ('queued', 'running'))
         + (select count(*) from flowbuilder.outbox) as open"""
_CHILDREN = b"""
    select parent_run_id as parent, flow from flowbuilder.runs
    where parent_run_id = any (%s::uuid[])"""
_LATER = b"""
    update flowbuilder.clock set offset_by = offset_by + interval '2 days' returning single"""
#: Decisions and starts under way at once.
_AT_ONCE = 6
#: Another policy takes the place of the first in so many batches of a hundred.
_CHANGES = 0.4


@dataclass(frozen=True, kw_only=True, slots=True)
class FuzzReport:
    """What a fuzzing came to."""

    seed: int
    runs: int
    counts: dict[str, int]
    """What happened how often."""
    violations: tuple[str, ...]
    """Effects that were not allowed, in words."""
    seconds: float

    def as_json(self) -> JsonObject:
        """Return the report as JSON."""
        counts: JsonObject = dict(sorted(self.counts.items()))
        return {
            "seed": self.seed,
            "runs": self.runs,
            "violations": list(self.violations),
            "counts": counts,
            "seconds": round(self.seconds, 1),
        }


@dataclass(kw_only=True, slots=True)
class _Fuzzing:
    fb: FlowBuilder
    deeds: Deeds
    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)
    past: set[str] = field(default_factory=set)
    """Runs of earlier batches: a question that was tampered with may be left of one."""


async def fuzz(
    settings: Settings,
    *,
    runs: int,
    seed: int = 0,
    batch: int = BATCH,
    told: Callable[[int, Sequence[str]], None] = lambda done, violations: None,
) -> FuzzReport:
    """Fuzz so many runs on a scratch database.

    Args:
        settings: The database, when one is set, should be nobody else's.
        runs: How many runs are started; their child runs come on top.
        seed: Of everything that is random.
        batch: Runs under one policy.
        told: Hears after each batch how many runs there were, and the violations by then.

    Raises:
        DatabaseError: No usable database.
        ExecutionError: The engine did not come to rest (fuzzing_stuck).
    """
    began = time.monotonic()
    deeds = Deeds(seed=seed)
    starter = load_registry(settings, [])
    kept = [starter.require(name) for name in ("flow.run", "human.approve")]
    async with open_scratch(settings) as scratch:
        registry = ToolRegistry([*deeds.tools(), *kept])
        builder = FlowBuilder.connect(settings=scratch.settings, registry=registry, worker=True)
        async with builder as fb:
            work = _Fuzzing(fb=fb, deeds=deeds, seed=seed)
            for name in CHILDREN:
                await fb.save_flow(child_document(name))
            done = 0
            while done < runs:
                size = min(batch, runs - done)
                await _batch(work, done, size)
                done += size
                told(done, work.found)
    return FuzzReport(
        seed=seed,
        runs=runs,
        counts=dict(work.counts),
        violations=tuple(work.found),
        seconds=time.monotonic() - began,
    )


async def _batch(work: _Fuzzing, first: int, size: int) -> None:
    """Start runs under one policy, let people decide, and judge what was done."""
    random = Random(f"{work.seed}:{first}")
    story = Story()
    story.programs.update({f"flow:{name}": child_document(name) for name in CHILDREN})
    work.deeds.effects.clear()
    work.deeds.late = False
    await _set_policy(work, story, random_policy(random))
    programs = [
        random_program(Random(f"{work.seed}:program:{number}"), number)
        for number in range(first, first + size)
    ]
    await _each(_start(work, story, program) for program in programs)
    await work.fb.notifications.announce(list(story.programs)[len(CHILDREN) :], ready=True)
    changes_at = random.randrange(_ROUNDS) if random.random() < _CHANGES else -1
    for round_ in range(_ROUNDS):
        await _settled(work)
        if round_ == changes_at:
            await _set_policy(work, story, random_policy(random))
        if round_ == 1:
            await _tell_events(work, story, random)
        asked = [row for row in await work.fb.approvals(limit=1000) if row.run_id not in work.past]
        await _each(_answer(work, story, row, Random(random.random())) for row in asked)
        await work.fb.notifications.announce([row.run_id for row in asked], ready=True)
    await _settled(work)
    await _let_time_decide(work)
    await _judge(work, story)


async def _each(steps: Iterable[Awaitable[None]]) -> None:
    """Do things beside each other, a few at a time."""
    few = asyncio.Semaphore(_AT_ONCE)

    async def one(step: Awaitable[None]) -> None:
        async with few:
            await step

    await asyncio.gather(*(one(step) for step in steps))


async def _set_policy(work: _Fuzzing, story: Story, document: JsonObject | None) -> None:
    if document is None:
        await work.fb.policy.clear()
    else:
        await work.fb.policy.set(document)
    story.policies.append(document)
    work.deeds.epoch = len(story.policies) - 1


async def _start(work: _Fuzzing, story: Story, program: Program) -> None:
    """Start a run past every check of the client: workers are on their own."""
    store, registry = work.fb.store, work.fb.tools
    flow = Flow.model_validate(program.document)
    version = await store.register_version(flow, registry, origin="dynamic")
    started = await store.start_runs(
        version.id,
        [{"own": "our own words"}],
        timeout_seconds=_MONTH,
        plan_id=str(uuid.uuid4()) if program.planned else None,
    )
    run_id = started.runs[0][0]
    story.programs[run_id] = program.document
    if program.planned:
        story.planned.add(run_id)
    work.counts["runs"] += 1
    work.counts["planned runs"] += program.planned


async def _settled(work: _Fuzzing) -> None:
    """Wait until nothing moves: everything that is open waits for a person, an event or time."""
    give_up = time.monotonic() + _SETTLE_SECONDS
    quiet = 0
    while quiet < 2:
        [row] = await work.fb.store.database.fetch_all(_OPEN)
        quiet = quiet + 1 if row["open"] == 0 else 0
        if time.monotonic() > give_up:
            raise ExecutionError("the engine does not come to rest", code="fuzzing_stuck")
        await asyncio.sleep(0.01)


async def _tell_events(work: _Fuzzing, story: Story, random: Random) -> None:
    for run_id, program in story.programs.items():
        if any(step["tool"] == "event.listen" for step in program["steps"]):
            await work.fb.emit("told", key=run_id, payload=random.choice(INJECTIONS))


async def _answer(work: _Fuzzing, story: Story, row: ApprovalRow, random: Random) -> None:
    """Do what a person does, well or ill, or what somebody does behind their back."""
    if row.run_id not in story.programs:
        await _learn_child(work, story, row.run_id)
    story.questions[row.id] = Question(
        run_id=row.run_id,
        step_id=row.step_id,
        task_id=row.task_id,
        kind=row.kind,
        by=tuple(row.by),
        shown=json.dumps(row.args),
    )
    work.counts["questions seen"] += 1
    named = [name for name in row.by if name.startswith("user:")]
    roles = len(named) < len(row.by) or not row.by
    person = random.choice([*named, *(PEOPLE if roles else ())])
    chance = random.random()
    if chance < 0.1:
        work.counts["silences"] += 1
    elif chance < 0.2:
        work.counts["rejections"] += 1
        with suppress(FlowBuilderError):
            await work.fb.reject(row.id, by=person)
    elif chance < 0.4 and row.kind == "gate":
        await _tampered(work, story, row, person, random)
    elif chance < 0.5 and row.tool.partition("@")[0] in ACTS:
        args: Any = row.args
        await _agree(work, story, row, person, {**args, **_edit(random)})
    else:
        await _agree(work, story, row, person, None)


async def _agree(
    work: _Fuzzing, story: Story, row: ApprovalRow, person: str, edits: JsonObject | None
) -> None:
    meant = canonical(row.args if edits is None else edits)
    said = Agreement(approval_id=row.id, person=person, args=meant)
    story.agreements.append(said)  # the effect may come before the answer
    try:
        await work.fb.approve(row.id, by=person, edits=edits)
        work.counts["agreements" if edits is None else "edits"] += 1
    except FlowBuilderError as error:
        work.counts[f"decisions refused: {error.code}"] += 1
        if not isinstance(error, DatabaseError):  # else it may have been taken all the same
            _take_back(story, said)


async def _tampered(
    work: _Fuzzing, story: Story, row: ApprovalRow, person: str, random: Random
) -> None:
    shown = canonical(row.args)
    said = Agreement(approval_id=row.id, person=person, args=shown)
    story.agreements.append(said)
    try:
        done = await tamper(work.fb.store.database, work.fb.store.workspace, row, person, random)
    except FlowBuilderError as error:
        if not isinstance(error, DatabaseUnavailable):
            _take_back(story, said)
        return
    if not done.decided:
        _take_back(story, said)
    work.counts["tamperings"] += 1
    work.counts[f"tampered: {done.kind}"] += 1


def _take_back(story: Story, said: Agreement) -> None:
    """Forget this agreement, and no earlier one that says the same."""
    story.agreements[:] = [item for item in story.agreements if item is not said]


def _edit(random: Random) -> JsonObject:
    return random.choice(
        [
            {"to": "eve@evil.example"},
            {"to": "bob@ours.example", "amount": 1},
            {"amount": 10_000},
            {"text": "fine"},
        ]
    )


async def _let_time_decide(work: _Fuzzing) -> None:
    """Let every deadline of a question pass, and end what is open even then."""
    work.deeds.late = True
    await work.fb.store.database.fetch_all(_LATER)
    for _ in range(3):
        await work.fb.store.tick()
        await work.fb.notifications.announce([], ready=True)
        await _settled(work)
    while True:
        left = [
            run
            for status in ("running", "queued")
            for run in await work.fb.runs(status=status, limit=1000)
        ]
        for run in left:
            with suppress(FlowBuilderError):
                await run.cancel(reason="the fuzzing is over")
        await _settled(work)
        if not left:
            return


async def _learn_child(work: _Fuzzing, story: Story, run_id: str) -> None:
    row = await work.fb.store.get_run(run_id)
    assert row.parent_run_id is not None
    if row.parent_run_id not in story.programs:
        await _learn_child(work, story, row.parent_run_id)
    story.parents[run_id] = row.parent_run_id
    story.programs[run_id] = child_document(row.flow)
    work.counts["child runs"] += 1


async def _judge(work: _Fuzzing, story: Story) -> None:
    effects = list(work.deeds.effects)
    started = await work.fb.store.database.fetch_all(_CHILDREN, (_ids(story),))
    story.children.update((str(row["parent"]), row["flow"]) for row in started)
    for effect in effects:
        if effect.run_id not in story.programs:
            await _learn_child(work, story, effect.run_id)
        work.counts["effects"] += 1
    agreed = {canonical([q.run_id, q.task_id]) for q in story.questions.values()}
    work.counts["effects that were asked for"] += sum(
        canonical([item.run_id, item.task_id]) in agreed for item in effects
    )
    ids = _ids(story)
    for row in (await work.fb.store.ended_runs(ids)).values():
        if row is not None:
            work.counts[f"runs {row.status.value}"] += 1
    await _count_failures(work, ids)
    work.past.update(ids)
    for item in violations(effects, story):
        work.found.append(f"{item.why}: {item.effect}")


def _ids(story: Story) -> list[str]:
    return [name for name in story.programs if not name.startswith("flow:")]


async def _count_failures(work: _Fuzzing, ids: list[str]) -> None:
    """Count why tasks have failed: what the guard has kept from happening is among it."""
    statement = b"""
        select error ->> 'code' as code, count(*) as many from flowbuilder.tasks
        where run_id = any (%s::uuid[]) and error is not null group by 1"""
    for row in await work.fb.store.database.fetch_all(statement, (ids,)):
        work.counts[f"tasks failed: {row['code']}"] += row["many"]
