"""A state machine of hypothesis that says every verb to the engine, in any order."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar, TypeAlias

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
)

from flowbuilder.errors import Conflict, InvalidTransition, StaleTask
from flowbuilder.executor.records import LeasedTask, Outcome, OutcomeKind, TaskKind
from flowbuilder.executor.session_lock import lock_key
from flowbuilder.executor.terms import Terms
from flowbuilder.limits import Priority
from flowbuilder.types import JsonObject, JsonValue
from tests.model.deeds import World
from tests.model.flows import Sketch, sketches
from tests.model.mirror import (
    DECISION_SECONDS,
    LEASE,
    MAX_CLAIMS,
    NAP_SECONDS,
    RETRY_SECONDS,
    RUN_SECONDS,
    Plan,
    Report,
    Task,
    Worker,
)
from tests.model.picture import (
    Picture,
    differences,
    look,
    name_of,
    of_database,
    of_mirror,
    out_of_order,
    tasks_of,
)
from tests.model.stage import Stage
from tests.support.engine import done, failed, retry, skipped, waiting

MOST_RUNS, MOST_WORKERS = 4, 3

_CHILD = Plan(
    name="x", before=(), rule="all_success", on_error="fail", max_attempts=2, when=False,
    elements=None, window=None,
)  # fmt: skip
DEEDS = (
    "keep", "complete", "complete", "complete", "fail", "retry", "retry later", "release", "skip",
    "nap", "gate", "question", "child",
)  # fmt: skip
JUMPS = (0, 0, 1, RETRY_SECONDS, NAP_SECONDS, LEASE // 2, LEASE, DECISION_SECONDS, 61)
VERBS = ("pause", "pause", "resume", "resume", "resume", "cancel")
VALUES: tuple[JsonValue, ...] = (0, [], [1, None], None, False, {"a": ""})
PLACE = st.integers(0, 30)
Shift: TypeAlias = tuple[int, list[tuple[str, JsonValue]], int, bool]
#: Who works, what comes of the tasks in hand, room for how many more, whether the answer arrives.
SHIFTS: st.SearchStrategy[Shift] = st.tuples(
    PLACE,
    st.lists(st.tuples(st.sampled_from(DEEDS), st.sampled_from(VALUES)), min_size=3, max_size=4),
    st.integers(0, 5),
    st.sampled_from([True, True, True, False]),
)
SOME = st.lists(SHIFTS, min_size=2, max_size=4)


class Hand:
    """A worker of the machine: what it believes to hold."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.held: list[LeasedTask] = []


class EngineMachine(RuleBasedStateMachine):
    """The engine and its mirror."""

    stage: ClassVar[Stage]

    def __init__(self) -> None:
        super().__init__()
        self.stage.clear()
        self.world = World()
        self.world.child = ([_CHILD], False)
        self.ids: dict[int, str] = {}
        """Of runs, by `id()` of those of the mirror."""
        self.asked: dict[int, str] = {}
        """Ids of approvals, in the same way."""
        self.hands: list[Hand] = []
        self.leases: list[tuple[Hand, LeasedTask]] = []
        """All that were ever handed out."""
        self.agreed = True
        self.seen: Picture = {}
        self.store, self.run_ = self.stage.engine.store, self.stage.run
        self.join()

    @initialize(sketch=sketches())
    def begin(self, sketch: Sketch) -> None:
        self.start(sketch, Priority.NORMAL)

    # -- the rules ----------------------------------------------------------------------------

    @precondition(lambda self: sum(w.status == "live" for w in self.live()) < MOST_WORKERS)
    @rule()
    def join(self) -> None:
        name = str(uuid.uuid5(uuid.NAMESPACE_OID, f"worker {len(self.hands)}"))
        self.stage.control.execute("select pg_advisory_lock(%s::bigint)", (lock_key(name),))
        self.run_(self.stage.engine.join(worker=name, max_claims=MAX_CLAIMS))
        self.world.join(name)
        self.hands.append(Hand(name))

    @precondition(lambda self: len(self.world.runs) < MOST_RUNS)
    @rule(sketch=sketches(), priority=st.sampled_from(Priority))
    def start(self, sketch: Sketch, priority: Priority) -> None:
        run_id = self.run_(self.stage.engine.start(
            sketch.flow("model"), timeout_seconds=RUN_SECONDS,
            terms=Terms(priority=priority),
        ))  # fmt: skip
        run = self.world.start(
            sketch.plans, named_output=sketch.output is not None, priority=priority.rank
        )
        self.ids[id(run)] = run_id
        self.agree()

    # Work comes more often than the rest, also where hypothesis leaves out most of the rules.
    @rule(shifts=SOME)
    def work(self, shifts: list[Shift]) -> None:
        self._work(shifts)

    @rule(shifts=SOME)
    def work_on(self, shifts: list[Shift]) -> None:
        self._work(shifts)

    @rule(shifts=SOME)
    def work_more(self, shifts: list[Shift]) -> None:
        self._work(shifts)

    def _work(self, shifts: list[Shift]) -> None:
        if not self.live():
            self.join()
        for who, deeds, free, heard in shifts:
            hand = self.hand(who, live=True)
            reports: list[tuple[LeasedTask, str, JsonValue]] = []
            keep: list[LeasedTask] = []
            for number, task in enumerate(hand.held):
                deed, value = deeds[number % len(deeds)]
                deed = _possible(task, deed, self.mirrored(task))
                if deed == "keep":
                    keep.append(task)
                else:
                    reports.append((task, deed, value))
            self.turn(hand, reports, keep, free=free, heard=heard)

    @precondition(lambda self: bool(self.leases))
    @rule(
        which=PLACE,
        who=st.sampled_from([None, 0, 1, 2]),
        deed=st.sampled_from(["complete", "fail", "retry", "release", "nap"]),
    )
    def late(self, which: int, who: int | None, deed: str) -> None:
        """Report an attempt of long ago, or somebody else's."""
        owner, task = self.leases[which % len(self.leases)]
        hand = owner if who is None else self.hand(who)
        deed = _possible(task, deed, self.mirrored(task))
        if self.world.workers[hand.name].status != "live":
            with pytest.raises(StaleTask):
                self.run_(self.say(hand, [(task, deed, 0)], [], free=3))
            self.stage.told["refused"] += 1
            self.agree()
            return
        keep = [one for one in hand.held if one.key != task.key]
        self.turn(hand, [(task, deed, 0)], keep, free=0, heard=True)

    @precondition(lambda self: bool(self.live()))
    @rule(who=PLACE, word=st.booleans())
    def leave(self, who: int, word: bool) -> None:
        """Stop, or be gone without a word."""
        hand = self.hand(who, live=True)
        if word:
            self.run_(self.store.stop_worker(hand.name))
            self.world.stop(hand.name)
        elif self.world.workers[hand.name].locked:
            self.world.workers[hand.name].locked = False
            key = lock_key(hand.name)
            self.stage.control.execute("select pg_advisory_unlock(%s::bigint)", (key,))
        self.agree()

    @rule(seconds=st.sampled_from(JUMPS), ticks=st.integers(0, 2))
    def wait(self, seconds: int, ticks: int) -> None:
        """Let time pass, and look after things, or not."""
        self.run_(self.stage.engine.jump(seconds))
        self.world.now += seconds
        for _ in range(ticks):
            self.run_(self.store.tick())
            self.world.tick()
            self.agree()

    @precondition(lambda self: bool(self.world.runs))
    @rule(which=PLACE, verb=st.sampled_from(VERBS))
    def steer(self, which: int, verb: str) -> None:
        run = self.world.runs[which % len(self.world.runs)]
        call = getattr(self.store, f"{verb}_run")(self.ids[id(run)])
        if getattr(self.world, verb)(run):
            self.run_(call)
        else:
            with pytest.raises(InvalidTransition):
                self.run_(call)
        self.agree()

    @precondition(lambda self: bool(self.world.approvals))
    @rule(which=PLACE, approve=st.booleans())
    def decide(self, which: int, approve: bool) -> None:
        approval = self.world.approvals[which % len(self.world.approvals)]
        call = self.store.decide(self.asked[id(approval)], approve=approve, by="user:ada")
        if self.world.decide(approval, approve=approve):
            self.run_(call)
        else:
            with pytest.raises(Conflict):
                self.run_(call)
        self.agree()

    @precondition(lambda self: bool(self.leases))
    @rule(which=PLACE)
    def progress(self, which: int) -> None:
        leases = [lease for lease in self.leases if lease[1].kind is TaskKind.STEP]
        if not leases:  # what only evaluates has no handler that could report progress
            return
        hand, task = leases[which % len(leases)]
        written = self.run_(self.store.progress(hand.name, task.task_id, task.fence, {}))
        mirrored = self.mirrored(task)
        assert written == self.world.progress(hand.name, mirrored, task.fence)
        self.agree()

    def teardown(self) -> None:
        """Nobody comes any more: every run ends by its deadline (I1), and nothing is left (I6)."""
        if not self.agreed:
            return
        self.wait(RUN_SECONDS + 1, 2)
        assert all(run.over for run in self.world.runs)
        picture = of_database(self.seen)
        assert (picture["messages"], picture["outbox"]) == (0, [])
        self.run_(self.stage.engine.at_rest())
        super().teardown()

    # -- what they need -------------------------------------------------------------------------

    def live(self) -> list[Worker]:
        return [worker for worker in self.world.workers.values() if worker.status == "live"]

    def hand(self, place: int, *, live: bool = False) -> Hand:
        hands = [
            hand for hand in self.hands
            if not live or self.world.workers[hand.name].status == "live"
        ]  # fmt: skip
        return hands[place % len(hands)]

    def mirrored(self, task: LeasedTask) -> Task:
        (found,) = (
            one for run in self.world.runs if self.ids[id(run)] == task.run_id
            for one in run.tasks
            if (name_of(one), one.element) == (
                f"{task.kind.value} {task.step_id}", -1 if task.index is None else task.index)
        )  # fmt: skip
        return found

    def row_of(self, task: Task) -> int:
        place = (self.ids[id(task.run)], name_of(task), task.element)
        return int(tasks_of(self.seen)[place]["id"])

    async def say(
        self,
        hand: Hand,
        reports: list[tuple[LeasedTask, str, JsonValue]],
        keep: list[LeasedTask],
        *,
        free: int,
    ) -> Any:
        self.stage.engine.worker = hand.name
        outcomes = [_outcome(task, deed, value, self.stage.child.id)
                    for task, deed, value in reports]  # fmt: skip
        return await self.stage.engine.exchange(outcomes, held=keep, free=free, lease=LEASE)

    def turn(
        self,
        hand: Hand,
        reports: list[tuple[LeasedTask, str, JsonValue]],
        keep: list[LeasedTask],
        *,
        free: int,
        heard: bool,
    ) -> None:
        """Make an exchange, and compare the answer too."""
        answer = self.run_(self.say(hand, reports, keep, free=free))
        before, self.seen = self.seen, self.run_(look(self.stage.database))
        assert not (wrong := out_of_order(before, self.seen)), "\n".join(wrong)
        rows = tasks_of(self.seen)

        def fence_of(task: Task) -> int:
            place = (self.ids[id(task.run)], name_of(task), task.element)
            return int(rows[place]["fence"]) if place in rows else task.fence

        said = [Report(task=self.mirrored(task), fence=task.fence, deed=deed, value=value)
                for task, deed, value in reports]  # fmt: skip
        turn = self.world.exchange(
            hand.name, said, [(self.mirrored(task), task.fence) for task in keep],
            free=free, fence_of=fence_of,
        )  # fmt: skip
        self.agree(look_again=False)
        verdicts = [answer.verdicts[task.key].value for task, _, _ in reports]
        assert verdicts == turn.verdicts
        assert {id(self.mirrored(task)) for task in answer.tasks} == turn.handed
        assert sorted(answer.lost) == sorted(keep[place].key for place in turn.lost)
        assert answer.ready == turn.ready
        self.stage.told.update(verdicts)
        self.stage.told.update(f"said {deed}" for _, deed, _ in reports)
        self.stage.told["lost"] += len(answer.lost)
        self.leases += [(hand, task) for task in answer.tasks]
        hand.held = [task for task in keep if task.key not in answer.lost]
        if heard:
            hand.held += answer.tasks
        else:
            self.stage.told["unheard"] += len(answer.tasks)

    def agree(self, *, look_again: bool = True) -> None:
        """Compare everything."""
        self.agreed = False
        if look_again:
            self.seen = self.run_(look(self.stage.database))
        self._name_children()
        rows = tasks_of(self.seen)
        missing = [
            task for task in self.world.all_tasks()
            if (self.ids[id(task.run)], name_of(task), task.element) not in rows
        ]  # fmt: skip
        assert not missing, f"tasks that should be there: {[task.place for task in missing]}"
        self._name_approvals()
        ids = {id(task): self.row_of(task) for task in self.world.all_tasks()}
        wrong = differences(of_database(self.seen), of_mirror(self.world, self.ids, ids))
        assert not wrong, "\n".join(wrong)
        self.stage.told.update(run.status for run in self.world.runs if run.over)
        self.agreed = True

    def _name_approvals(self) -> None:
        """A task asks for one thing at a time: what has no name yet is the new one."""
        known = set(self.asked.values())
        new = {row["task"]: row["id"] for row in self.seen["approvals"] if row["id"] not in known}
        for approval in self.world.approvals:
            if id(approval) not in self.asked and (row := self.row_of(approval.task)) in new:
                self.asked[id(approval)] = new[row]

    def _name_children(self) -> None:
        by_parent = {row["parent"]: row["id"] for row in self.seen["runs"] if row["parent"]}
        for run in self.world.runs:
            if id(run) not in self.ids:
                assert run.parent is not None
                self.ids[id(run)] = by_parent[self.row_of(run.parent)]


def _possible(task: LeasedTask, deed: str, mirrored: Task) -> str:
    """Only a whole step has a condition, and only its work waits; a child has no child."""
    if deed == "skip":
        conditional = mirrored.plan is not None and mirrored.plan.when and task.index is None
        return deed if conditional else "complete"
    if task.kind.value != "step" and deed in ("nap", "gate", "question", "child"):
        return "complete"
    if deed == "gate" and task.approved:
        return "complete"
    if deed == "child" and mirrored.run.parent is not None:
        return "complete"
    return deed


def _outcome(task: LeasedTask, deed: str, value: JsonValue, child: str) -> Outcome:
    if deed == "complete":
        return done(task, True if task.kind.value == "expand" else value)
    if deed == "fail":
        return failed(task)
    if deed in ("retry", "retry later"):
        return retry(task, delay=RETRY_SECONDS if deed == "retry later" else 0)
    if deed == "release":
        return task.outcome(OutcomeKind.RELEASED)
    if deed == "skip":
        return skipped(task)
    wait: JsonObject = {"kind": "time", "seconds": NAP_SECONDS}
    if deed == "child":
        wait = {"kind": "run", "version_id": child, "flow": "child", "input": None}
    elif deed != "nap":
        wait = {
            "kind": "approval", "approval_kind": "gate" if deed == "gate" else "decision",
            "args": {}, "args_hash": "x", "deadline_seconds": DECISION_SECONDS,
            "on_deadline": "reject" if deed == "gate" else "approve",
        }  # fmt: skip
    return waiting(task, **wait)
