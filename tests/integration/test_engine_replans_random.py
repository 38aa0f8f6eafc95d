"""Random programs whose steps fail and are planned anew at random, while the rest goes on."""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import Any

import pytest

from flowbuilder.errors import Conflict, InvalidTransition
from flowbuilder.executor.records import LeasedTask, Outcome
from flowbuilder.executor.states import RunStatus
from flowbuilder.executor.store.replanning import Claim
from flowbuilder.executor.terms import Terms
from flowbuilder.flow import Flow
from flowbuilder.graph import dependencies, descendants
from tests.support.engine import Engine, done, failed, flow_of
from tests.support.replanning import TOOLS, known, replaced, started

ROUNDS = int(os.environ.get("FLOWBUILDER_TEST_ROUNDS", "1"))
SEEDS = range(int(os.environ.get("FLOWBUILDER_TEST_SEED", "0")) or 12 * ROUNDS)


class Program:
    """One run, with a generator that says what happens to it."""

    def __init__(self, engine: Engine, seed: int) -> None:
        self.engine, self.chance = engine, random.Random(seed)
        self.outputs: dict[str, str] = {}
        self.undone: Counter[str] = Counter()

    def flow(self) -> Flow:
        """Return a random graph, some steps of which are maps or can be undone."""
        steps = []
        for number in range(self.chance.randint(2, 8)):
            before = [f"s{n}" for n in range(number) if self.chance.random() < 0.35]
            step: dict[str, Any] = {"id": f"s{number}", "depends_on": before}
            if self.chance.random() < 0.25:
                step["for_each"] = list(range(self.chance.randint(0, 4)))
            if self.chance.random() < 0.2:
                step["compensate"] = {"tool": "other"}
            if self.chance.random() < 0.2:
                rules = ["none_failed", "all_done", "one_success"]
                step["trigger_rule"] = self.chance.choice(rules)
            steps.append(step)
        return flow_of(*steps)

    def decide(self, task: LeasedTask) -> Outcome:
        """Let a task succeed or fail."""
        name = task.step_id or ""
        if name.startswith("compensate:"):
            self.undone[name] += 1
            return done(task)
        if self.chance.random() < 0.25:
            return failed(task, f"no {name}")
        return done(task, {"of": name, "n": self.chance.randint(0, 9)})

    async def remember(self, run: str) -> None:
        """Hold what has completed against what it was before: it never changes."""
        rows = await self.engine.database.fetch_all(
            b"""select step_id, output::text as output from flowbuilder.run_steps
                where run_id = %s::uuid and status = 'completed'""",
            (run,),
        )
        now = {row["step_id"]: row["output"] for row in rows}
        for name, output in self.outputs.items():
            assert now.get(name) == output, name
        self.outputs = now

    async def replan(self, claim: Claim) -> None:
        """Replace failed steps, leave some out with all behind them, add one now and then."""
        context = await known(self.engine, claim)
        flow = Flow.model_validate(context.document)
        status = {step.id: step.status.value for step in context.steps}
        if self.chance.random() < 0.15:
            await self.engine.store.refuse_replan(claim, {"code": "no_way", "message": "none"})
            return
        gone: set[str] = set()
        new: list[Any] = []
        for step in flow.steps:
            if status[step.id] != "failed" or step.id in gone:
                continue
            behind = {step.id, *descendants(dependencies(flow), [step.id])}
            free = all(status[name] in ("failed", "pending") for name in behind)
            if free and len(behind) < len(flow.steps) and self.chance.random() < 0.4:
                gone |= behind
            else:
                new.append({"id": step.id, "tool": "other", "depends_on": step.depends_on})
        new = [step for step in new if step["id"] not in gone]
        if self.chance.random() < 0.3:
            before = [name for name in status if name not in gone and self.chance.random() < 0.5]
            new.append({"id": f"x{claim.number}", "depends_on": before})
        await replaced(self.engine, claim, *new, without=sorted(gone), context=context)

    async def go(self) -> str:
        """Work the program off; returns the run."""
        engine, chance = self.engine, self.chance
        run = await started(engine, self.flow(), terms=Terms(max_replans=3, replan_seconds=3600))
        held: list[LeasedTask] = []
        claim: Claim | None = None
        for _ in range(200):
            if (await engine.run(run)).status.terminal:
                return run
            reported = [task for task in held if chance.random() < 0.6]
            held = [task for task in held if task not in reported]
            outcomes = [self.decide(task) for task in reported]
            answer = await engine.exchange(outcomes, held=held, free=chance.randint(0, 3))
            held += [task for task in answer.tasks if task.key not in {old.key for old in held}]
            held = [task for task in held if task.key not in answer.lost]
            await engine.consistent()
            await self.remember(run)
            claim = claim or await engine.store.claim_replan(
                "planner", tools=TOOLS, lease_seconds=20
            )
            if claim is not None and chance.random() < 0.5:
                try:
                    await self.replan(claim)
                except Conflict as error:
                    assert error.code in ("run_changed", "replan_lost")
                claim = None
                await engine.jump(21)  # what was not finished is anybody's
                await engine.consistent()
                await self.remember(run)
            await self._disturb(run)
        raise AssertionError("it does not end")

    async def _disturb(self, run: str) -> None:
        chance, store = self.chance, self.engine.store
        try:
            if chance.random() < 0.1:
                await store.pause_run(run)
            if chance.random() < 0.4:
                await store.resume_run(run)
            if chance.random() < 0.01:
                await store.cancel_run(run)
        except InvalidTransition:
            pass
        await store.tick()


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_fails_and_is_planned_anew(engine: Engine, seed: int) -> None:
    for number in range(6):
        program = Program(engine, seed * 1000 + number)
        run = await program.go()
        await engine.join()
        await engine.at_rest()
        await engine.trace(run)
        row = await engine.run(run)
        tasks = await engine.store.run_tasks(run)
        good = Counter(
            (task.step_id, task.index)
            for task in tasks
            if task.status.value == "completed" and task.kind.value == "step"
        )
        status = {step.step_id: step.status.value for step in await engine.store.run_steps(run)}
        for name, state in status.items():
            if state == "completed":  # once, however often it was planned anew
                assert all(n == 1 for (step, index), n in good.items()
                           if step == name and index is None)  # fmt: skip
        assert all(count == 1 for count in program.undone.values())
        if row.status is RunStatus.COMPLETED:
            assert set(status.values()) <= {"completed", "skipped"}
        replans = await engine.store.replans(run)
        assert len(replans) <= 3
        assert all(item.status != "open" for item in replans)
