"""Random programs with random budgets, spending at random: none goes further over its budget than
what was under way, whatever fails, is repeated, reported twice or lost.

The seed of a failure is in its message; `FLOWBUILDER_TEST_SEED=n` tries that one alone, and
`FLOWBUILDER_TEST_ROUNDS=n` so many times as many programs.
"""

from __future__ import annotations

import os
import random
from dataclasses import replace

import pytest

from flowbuilder.budget import Budget, Spending
from flowbuilder.executor.database import Database
from flowbuilder.executor.records import LeasedTask, Outcome, TaskKind
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.terms import Terms
from flowbuilder.flow import Flow
from flowbuilder.types import JsonObject
from tests.support.engine import Engine, done, failed, flow_of, retry

BLOCKS = 3
PER_BLOCK = 20 * int(os.environ.get("FLOWBUILDER_TEST_ROUNDS", "1"))
ONLY = os.environ.get("FLOWBUILDER_TEST_SEED")
#: The most that one attempt spends.
DEAREST = 40


def program(dice: random.Random) -> Flow:
    """Return a flow of steps and maps that depend on each other, some of them forgiving."""
    steps: list[JsonObject] = []
    for number in range(dice.randint(1, 7)):
        step: JsonObject = {
            "id": f"s{number}",
            "on_error": dice.choice(["fail", "continue", "skip"]),
            "retry": {"max_attempts": 2},
        }
        if number and dice.random() < 0.7:
            step["depends_on"] = [f"s{dice.randrange(number)}"]
        if dice.random() < 0.4:
            step["for_each"] = list(range(dice.randint(0, 9)))
        if dice.random() < 0.2:
            step["compensate"] = {"tool": "other"}
        steps.append(step)
    output: JsonObject | None = {"done": True} if dice.random() < 0.3 else None
    return flow_of(*steps, output=output)


class Trial:
    """One run, worked on by one worker that does what comes to its mind."""

    def __init__(self, database: Database, seed: int) -> None:
        self.dice = random.Random(seed)
        self.engine = Engine(database)
        self.slots = self.dice.randint(1, 4)
        self.tokens = self.dice.randint(0, 300)
        self.steps = self.dice.randint(0, 30)
        self.held: list[LeasedTask] = []
        self.undone = 0

    async def go(self) -> None:
        await self.engine.join(max_claims=1000)
        terms = Terms(budget=Budget(tokens=self.tokens, steps=self.steps))
        run = await self.engine.start(program(self.dice), terms=terms)
        for _ in range(300):
            await self.turn()
            if (await self.engine.run(run)).status.terminal:
                break
        await self.check(run)

    async def turn(self) -> None:
        told = [self.outcome(task) for task in self.held if self.dice.random() < 0.7]
        if self.dice.random() < 0.1:
            told += told  # a report that is made twice in one call
        reported = {outcome.key for outcome in told}
        self.held = [task for task in self.held if task.key not in reported]
        free = max(self.slots - len(self.held), 0)
        answer = await self.engine.exchange(told, held=self.held, free=free)
        if told and self.dice.random() < 0.1:  # and one in another
            answer.tasks.extend((await self.engine.exchange(told, held=self.held, free=0)).tasks)
        known = {task.key: task for task in [*self.held, *answer.tasks]}
        self.undone += sum(1 for task in answer.tasks if task.kind is TaskKind.COMPENSATE)
        self.held = [task for key, task in known.items() if key not in answer.lost]
        if not self.held and not answer.ready:
            await self.engine.jump(31)
            await self.engine.join(max_claims=1000)
            await self.engine.store.tick()

    def outcome(self, task: LeasedTask) -> Outcome:
        chance = self.dice.random()
        told = failed(task) if chance < 0.1 else retry(task) if chance < 0.2 else done(task)
        if task.kind is TaskKind.FINISH:  # it calls no tool
            return told
        tokens = self.dice.choice([0, 10, 10, DEAREST])
        spending = Spending.of(tokens, self.dice.choice([0.0, 0.01, None]))
        return replace(told, spent=spending.as_json())

    async def check(self, run: str) -> None:
        row = await self.engine.run(run)
        assert row.status.terminal
        use = await self.engine.store.run_budget(run)
        assert use is not None
        assert use.tokens <= self.tokens + DEAREST * (self.slots + self.undone)
        assert use.steps <= self.steps
        if use.tokens > self.tokens:
            assert row.status is RunStatus.FAILED
        starts = [text for text in await self.engine.trace(run) if text.startswith("task_started")]
        assert len({*starts}) <= self.steps + self.undone
        await self.engine.store.tick()
        await self.engine.at_rest()


@pytest.mark.parametrize("block", range(BLOCKS))
async def test_none_spends_more_than_its_budget_and_what_was_under_way(
    database: Database, block: int
) -> None:
    seeds = range(block * PER_BLOCK, (block + 1) * PER_BLOCK)
    for seed in seeds if ONLY is None else [int(ONLY)]:
        trial = Trial(database, seed)
        try:
            await trial.go()
        except BaseException as error:
            error.add_note(f"FLOWBUILDER_TEST_SEED={seed}")
            raise
