"""Random programs that are cancelled anywhere, retried from anywhere, and cancelled and retried
again come to what they come to undisturbed; and at every moment `why` has a reason to give.

The seed of a failure is in its message; `FLOWBUILDER_TEST_SEED=n` tries that one alone, and
`FLOWBUILDER_TEST_ROUNDS=n` so many times as many programs.
"""

from __future__ import annotations

import os
import random

import pytest

from flowbuilder.executor.database import Database
from flowbuilder.executor.records import Outcome
from flowbuilder.executor.states import RunStatus
from tests.support.engine import Engine
from tests.support.programs import INPUT, Program, check_ending, make

BLOCKS = 4
PER_BLOCK = 20 * int(os.environ.get("FLOWBUILDER_TEST_ROUNDS", "1"))
ONLY = os.environ.get("FLOWBUILDER_TEST_SEED")


class Trial:
    """One program and the chain of its runs."""

    def __init__(self, database: Database, seed: int) -> None:
        self.dice = random.Random(seed)
        self.program: Program = make(self.dice)
        self.engine = Engine(database)
        self.run = ""

    async def go(self) -> None:
        await self.engine.join(max_claims=1000)
        self.run = await self.engine.start(self.program.flow, INPUT, timeout_seconds=100_000_000)
        for _ in range(self.dice.randint(1, 3)):
            await self._work(self.dice.randint(0, 8))
            if not (await self.engine.run(self.run)).status.terminal:
                await self.engine.store.cancel_run(self.run)
            await self._retry()
        await self._work(1000)
        await self._check()

    async def _work(self, turns: int) -> None:
        store = self.engine.store
        outcomes: list[Outcome] = []
        for _ in range(turns):
            answer = await self.engine.exchange(outcomes, free=self.dice.randint(1, 4))
            outcomes = [self.program.outcome(task, self.dice) for task in answer.tasks]
            codes = [reason.code.value for reason in (await store.why(self.run)).reasons]
            assert "nothing_open" not in codes
            assert ("ended" in codes) == (await self.engine.run(self.run)).status.terminal
            if outcomes:
                continue
            if "ended" in codes:
                return
            for approval in await store.approvals(run_id=self.run):
                await store.decide(approval.id, approve=True, by="user:ada")
            await self.engine.jump(6)
            await store.tick()

    async def _retry(self) -> None:
        old = await self.engine.run(self.run)
        steps = await self.engine.store.run_steps(self.run)
        named = old.status is RunStatus.COMPLETED or self.dice.random() < 0.4
        step = self.dice.choice(steps).step_id if named else None
        found = await self.engine.store.retry_run(self.run, from_step=step)
        assert step is None or step in [again.step for again in found.again]
        assert len(found.reused) + len(found.again) == len(steps)
        new = await self.engine.store.run_steps(found.run_id or "")
        for before, after in zip(steps, new, strict=True):
            if before.step_id in found.reused:
                assert (after.status, after.output, after.error, after.skip_reason) == (
                    before.status, before.output, before.error, before.skip_reason,
                )  # fmt: skip
        await self.engine.consistent()
        self.run = found.run_id or ""

    async def _check(self) -> None:
        await check_ending(self.engine, self.run, self.program)
        await self.engine.trace(self.run)
        await self._check_order()
        await self.engine.at_rest()

    async def _check_order(self) -> None:
        """I3, with what was taken over: nothing starts before what it waits for has ended."""
        ended: set[str] = set()
        rules = {str(step["id"]): step["trigger_rule"] for step in self.program.steps}
        waits = ("none_failed", "all_done")
        for event in await self.engine.store.events(self.run, limit=10_000):
            name = event.step_name
            if name is None or event.type == "task_cancelled":
                continue
            if rules[name] in waits:
                assert ended >= set(self.program.before[name])
            if event.type in ("task_completed", "task_skipped", "task_failed"):
                ended.add(name)


@pytest.mark.parametrize("block", range(BLOCKS))
async def test_retried_programs_come_to_what_the_interpreter_says(
    database: Database, block: int
) -> None:
    seeds = range(10_000 + block * PER_BLOCK, 10_000 + (block + 1) * PER_BLOCK)
    for seed in [int(ONLY)] if ONLY is not None else seeds:
        trial = Trial(database, seed)
        try:
            await trial.go()
        except Exception as error:
            error.add_note(f"FLOWBUILDER_TEST_SEED={seed}, steps: {trial.program.steps}")
            raise
