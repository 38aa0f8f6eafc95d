"""Random programs, worked off by scripted workers in random order with replies lost, leases run
out, reports doubled and workers gone, come to what a simple interpreter says.

The seed of a failure is in its message; `FLOWBUILDER_TEST_SEED=n` tries that one alone, and
`FLOWBUILDER_TEST_ROUNDS=n` so many times as many programs.
"""

from __future__ import annotations

import os
import random
from collections import Counter, defaultdict
from contextlib import suppress

import pytest

from flowbuilder.errors import StaleTask
from flowbuilder.executor.database import Database
from flowbuilder.executor.events import EventRow
from flowbuilder.executor.records import LeasedTask, Outcome
from flowbuilder.executor.states import RunStatus
from flowbuilder.types import JsonObject
from tests.support.engine import Engine
from tests.support.programs import INPUT, Program, check_ending, make

BLOCKS = 4
PER_BLOCK = 20 * int(os.environ.get("FLOWBUILDER_TEST_ROUNDS", "1"))
ONLY = os.environ.get("FLOWBUILDER_TEST_SEED")
LEASE = 30.0


class Scripted:
    """A worker that does what the program says, and to which everything bad happens."""

    def __init__(self, engine: Engine, program: Program, dice: random.Random) -> None:
        self.engine = engine
        self.program = program
        self.dice = dice
        self.held: dict[tuple[int, int], LeasedTask] = {}
        self.unsure: list[Outcome] = []
        """Reported, but the reply was lost."""
        self.old: list[Outcome] = []
        self.accepted: Counter[int] = Counter()

    async def join(self) -> None:
        await self.engine.join(max_claims=1000)
        self.held, self.unsure, self.old = {}, [], []

    async def exchange(self) -> None:
        ended = [task for task in self.held.values() if self.dice.random() < 0.6]
        self.dice.shuffle(ended)
        outcomes = [*self.unsure, *(self.program.outcome(task, self.dice) for task in ended)]
        for task in ended:
            del self.held[task.key]
        if self.old and self.dice.random() < 0.2:
            outcomes.append(self.dice.choice(self.old))
        answer = await self.engine.exchange(
            outcomes,
            held=list(self.held.values()),
            free=self.dice.randint(0, 4),
            lease=LEASE,
        )
        completed = {o.task_id for o in outcomes if o.kind.value == "completed"}
        for key, verdict in answer.verdicts.items():
            # What was accepted before a reply was lost is `already` now.
            if verdict == "accepted" and key[0] in completed:
                self.accepted[key[0]] += 1
        if self.dice.random() < 0.15:
            self.unsure = outcomes
            return
        self.unsure = []
        self.old = (self.old + outcomes)[-5:]
        for key in answer.lost:
            self.held.pop(key, None)
        self.held |= {task.key: task for task in answer.tasks}

    async def leave(self) -> None:
        await self.engine.store.stop_worker(self.engine.worker)
        await self.join()


class Ordeal:
    """One program with all that happens to it."""

    def __init__(self, database: Database, seed: int) -> None:
        self.seed = seed
        self.dice = random.Random(seed)
        self.program = make(self.dice)
        self.engine = Engine(database)
        self.workers = [
            Scripted(Engine(database), self.program, self.dice)
            for _ in range(self.dice.randint(1, 3))
        ]
        self.run = ""

    async def go(self) -> None:
        for worker in self.workers:
            await worker.join()
        self.run = await self.engine.start(self.program.flow, INPUT, timeout_seconds=100_000_000)
        for _ in range(2000):
            if (await self.engine.run(self.run)).status.terminal:
                break
            await self._happen()
        else:
            raise AssertionError("the run does not end")
        await self._afterwards()

    async def _happen(self) -> None:
        store, dice = self.engine.store, self.dice
        roll = dice.random()
        if roll < 0.72:
            worker = dice.choice(self.workers)
            try:
                await worker.exchange()
            except StaleTask:  # so long without a word that it was buried
                await worker.join()
        elif roll < 0.84:
            await store.tick()
            await self.engine.consistent()
        elif roll < 0.90:
            for approval in await store.approvals(run_id=self.run):
                await store.decide(approval.id, approve=True, by="user:ada")
        elif roll < 0.94:
            await self.engine.jump(dice.choice([6, LEASE + 1]))
        elif roll < 0.96:
            await dice.choice(self.workers).leave()
        else:
            await self._pause_or_resume()

    async def _pause_or_resume(self) -> None:
        if (await self.engine.run(self.run)).status is RunStatus.PAUSED:
            await self.engine.store.resume_run(self.run)
        else:
            await self.engine.store.pause_run(self.run)
            await self.workers[-1].engine.store.tick()
            if (await self.engine.run(self.run)).status is RunStatus.PAUSED:
                await self.engine.store.resume_run(self.run)

    async def _afterwards(self) -> None:
        """Late reports and time change nothing any more."""
        before = await self.engine.run(self.run)
        for worker in self.workers:
            with suppress(StaleTask):
                await worker.exchange()
        await self.engine.jump(LEASE + 1)
        await self.engine.store.tick()
        assert await self.engine.run(self.run) == before

    async def check(self) -> None:
        await check_ending(self.engine, self.run, self.program)
        await self.engine.trace(self.run)
        self._check_events(await self.engine.store.events(self.run, limit=10_000))
        accepted = sum((worker.accepted for worker in self.workers), Counter[int]())
        assert not accepted or max(accepted.values()) == 1
        await self.engine.at_rest()

    def _check_events(self, events: list[EventRow]) -> None:
        """I2: a task completes once. I3: nothing starts before what it waits for has ended."""
        completed = Counter(
            event.task_id for event in events if event.type == "task_completed" and event.task_id
        )
        assert not completed or max(completed.values()) == 1
        seen: dict[str, list[int]] = defaultdict(list)
        for event in events:
            if event.step_name is not None and event.type != "task_cancelled":
                seen[event.step_name].append(event.seq)
        rules: dict[str, JsonObject] = {str(step["id"]): step for step in self.program.steps}
        for name, numbers in seen.items():
            over = [
                one in seen and max(seen[one]) < min(numbers) for one in self.program.before[name]
            ]
            rule = rules[name]["trigger_rule"]
            if rule in ("none_failed", "all_done"):
                assert all(over), f"{name} started before {self.program.before[name]} had ended"
            elif over:
                assert any(over), f"{name} started before any of {self.program.before[name]}"


@pytest.mark.parametrize("block", range(BLOCKS))
async def test_random_programs_come_to_what_the_interpreter_says(
    database: Database, block: int
) -> None:
    seeds = range(block * PER_BLOCK, (block + 1) * PER_BLOCK)
    for seed in [int(ONLY)] if ONLY is not None else seeds:
        ordeal = Ordeal(database, seed)
        try:
            await ordeal.go()
            await ordeal.check()
        except Exception as error:
            error.add_note(f"FLOWBUILDER_TEST_SEED={seed}, steps: {ordeal.program.steps}")
            raise
