"""The verbs beside work and steering: growth, holds, retry and prune, events and limits."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from flowbuilder.errors import Conflict, InvalidTransition
from flowbuilder.limits import Rate
from flowbuilder.types import JsonObject, JsonValue
from tests.model.flows import document_of, plans
from tests.model.machine import MOST_RUNS, PLACE, VALUES, EngineMachine
from tests.model.rows import EVENT_SECONDS, HOLD_SECONDS, Run
from tests.support.growing import grow

#: How long events are kept, and how long ago runs have ended that are pruned.
LIVES = (1, EVENT_SECONDS, 1000)
AGES = (0, 0, 1, 100)
OWNERS = ("ann", "bob")
MOST_STEPS = 6
LIMITS = st.sampled_from([(1, None), (2, None), (None, 1), (None, 2), (1, 2), (None, None)])


class WholeMachine(EngineMachine):
    """The machine with all verbs."""

    def chosen(self, place: int) -> Run:
        return self.world.runs[place % len(self.world.runs)]

    @precondition(lambda self: bool(self.world.runs))
    @rule(which=PLACE, data=st.data())
    def grow(self, which: int, data: st.DataObject) -> None:
        """Add a step to a run."""
        run = self.chosen(which)
        if len(run.steps) >= MOST_STEPS or run.flow == "child":
            return
        plan = data.draw(plans([*run.steps], limited=self.world.slots.used))
        call = grow(self.stage.engine, self.ids[id(run)], document_of(plan))
        if self.world.grow(run, plan):
            self.run_(call)
            self.stage.told["grown"] += 1
        else:
            with pytest.raises(InvalidTransition):
                self.run_(call)
        self.agree()

    @precondition(lambda self: bool(self.world.runs))
    @rule(which=PLACE, owner=st.sampled_from(OWNERS))
    def hold(self, which: int, owner: str) -> None:
        run = self.chosen(which)
        call = self.store.hold_run(self.ids[id(run)], owner=owner, seconds=HOLD_SECONDS)
        if self.world.hold(run, owner):
            self.run_(call)
            self.stage.told["held"] += 1
        else:
            with pytest.raises(InvalidTransition):
                self.run_(call)
        self.agree()

    @precondition(lambda self: any(run.holds for run in self.world.runs))
    @rule(which=PLACE, owner=st.sampled_from(OWNERS), error=st.sampled_from([None, None, "lost"]))
    def let_go(self, which: int, owner: str, error: str | None) -> None:
        held = [run for run in self.world.runs if run.holds]
        run = held[which % len(held)]
        given: JsonObject | None = None
        if error is not None:
            given = {"code": error, "message": "no more will come"}
        released = self.run_(self.store.release_hold(self.ids[id(run)], owner=owner, error=given))
        assert released == self.world.let_go(run, owner, error=error)
        self.stage.told["given up" if error else "let go"] += released
        self.agree()

    @precondition(lambda self: bool(self.world.runs) and len(self.world.runs) < MOST_RUNS + 2)
    @rule(which=PLACE, step=st.sampled_from([None, 0, 1, 2]))
    def retry(self, which: int, step: int | None) -> None:
        old = self.chosen(which)
        name = None if step is None else [*old.steps][step % len(old.steps)]
        call = self.store.retry_run(self.ids[id(old)], from_step=name)
        if not old.over:
            with pytest.raises(InvalidTransition):
                self.run_(call)
        elif (new := self.world.retry(old, name)) is None:
            with pytest.raises(Conflict):
                self.run_(call)
        else:
            answer = self.run_(call)
            assert answer.run_id is not None
            self.ids[id(new)] = answer.run_id
            again = self.world.again(old, name)
            assert {one.step for one in answer.again} == again
            assert {*answer.reused} == {*old.steps} - again
            self.stage.told["retried"] += 1
        self.agree()

    @rule(older=st.sampled_from(AGES))
    def prune(self, older: int) -> None:
        would = self.run_(self.store.prune(older_than_seconds=older, dry_run=True))
        pruned = self.run_(self.store.prune(older_than_seconds=older)).as_json()
        expected = self.world.prune(older)
        assert would.as_json() == pruned
        assert {key: pruned[key] for key in expected} == expected
        self.stage.told["pruned"] += expected["runs"]
        self.agree()

    @rule(key=st.sampled_from("ab"), value=st.sampled_from(VALUES), keep=st.sampled_from(LIVES))
    def emit(self, key: str, value: JsonValue, keep: int) -> None:
        said = self.run_(self.store.emit("go", key, value, keep_seconds=keep))
        assert (said.already, said.woke) == self.world.emit(key, value, keep=keep)
        self.stage.told["heard"] += said.woke
        self.agree()

    @rule(pattern=st.sampled_from(["work", "other", "*"]), limit=LIMITS)
    def limit(self, pattern: str, limit: tuple[int | None, int | None]) -> None:
        """Say how many tasks of a tool run at once, and how often one starts."""
        concurrency, starts = limit
        said = self.world.slots.set(pattern, concurrency=concurrency, starts=starts)
        rate = said.rate()
        self.run_(self.store.set_limit(
            pattern, concurrency=concurrency, rate=None if rate is None else Rate.read(rate)
        ))  # fmt: skip
        self.agree()

    @precondition(lambda self: bool(self.world.slots.tools))
    @rule(pattern=st.sampled_from(["work", "other", "*"]))
    def unlimit(self, pattern: str) -> None:
        cleared = self.run_(self.store.clear_limit(pattern))
        assert cleared == self.world.slots.clear(pattern)
        self.stage.told["unlimited"] += cleared
        self.agree()

    @precondition(lambda self: bool(self.world.runs))
    @rule(which=PLACE)
    def ask(self, which: int) -> None:
        """Ask why a run does not move: there is a reason, and never a fault of the engine."""
        run = self.chosen(which)
        codes = {reason.code for reason in self.run_(self.store.why(self.ids[id(run)])).reasons}
        assert codes and "nothing_open" not in codes
        assert ("ended" in codes) == run.over
