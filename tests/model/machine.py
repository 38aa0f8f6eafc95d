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
from flowbuilder.executor.records import LeasedTask, TaskKind
from flowbuilder.executor.session_lock import lock_key
from flowbuilder.executor.terms import Terms
from flowbuilder.limits import Priority
from flowbuilder.types import JsonValue
from tests.model.flows import Sketch, sketches
from tests.model.outcomes import DEEDS, outcome_of, possible
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
from tests.model.rows import (
    DECISION_SECONDS,
    HOLD_SECONDS,
    LEASE,
    MAX_CLAIMS,
    NAP_SECONDS,
    RETRY_SECONDS,
    RUN_SECONDS,
    UNDOING_SECONDS,
    Report,
    Task,
    Worker,
)
from tests.model.stage import CHILD, Stage
from tests.model.world import World

MOST_RUNS, MOST_WORKERS = 4, 3

JUMPS = (0, 0, 1, RETRY_SECONDS, NAP_SECONDS, LEASE // 2, LEASE, DECISION_SECONDS, 61)
VERBS = ("pause", "pause", "resume", "resume", "resume", "cancel")
VALUES: tuple[JsonValue, ...] = (0, [], [1, None], None, False, {"a": ""})
PLACE = st.integers(0, 30)
Shift: TypeAlias = tuple[int, list[tuple[str, JsonValue]], int, str]
#: Who works, what comes of the tasks in hand, room for how many more; whether it says what it holds
#: (`full`) or not (`brief`), and whether the answer arrives (`lost`: it does not).
SHIFTS: st.SearchStrategy[Shift] = st.tuples(
    PLACE,
    st.lists(st.tuples(st.sampled_from(DEEDS), st.sampled_from(VALUES)), min_size=3, max_size=4),
    st.sampled_from([3, 5, 1, 8, 2, 0]),
    st.sampled_from(["full", "brief", "brief", "lost"]),
)
SOME = st.lists(SHIFTS, min_size=3, max_size=5)


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
        self.world.child = CHILD
        self.ids: dict[int, str] = {}
        """Of runs, by `id()` of those of the mirror."""
        self.asked: dict[int, str] = {}
        """Ids of approvals, in the same way."""
        self.hands: list[Hand] = []
        self.leases: list[tuple[Hand, LeasedTask]] = []
        """All that were ever handed out."""
        self.agreed = True
        self.known: dict[int, Task] = {}
        """The tasks of the mirror by the ids of their rows."""
        self.seen: Picture = {}
        self.store, self.run_ = self.stage.engine.store, self.stage.run
        self.join()

    @initialize(sketch=sketches())
    def begin(self, sketch: Sketch) -> None:
        self.start(sketch, Priority.NORMAL, held=False)

    # -- the rules ----------------------------------------------------------------------------

    @precondition(lambda self: sum(w.status == "live" for w in self.live()) < MOST_WORKERS)
    @rule()
    def join(self) -> None:
        name = str(uuid.uuid5(uuid.NAMESPACE_OID, f"worker {len(self.hands)}"))
        self.stage.control.execute("select pg_advisory_lock(%s::bigint)", (lock_key(name),))
        self.run_(self.stage.engine.join(worker=name, max_claims=MAX_CLAIMS))
        self.world.join(name)
        self.hands.append(Hand(name))
        self.wait(0, 1)  # as a worker does before it asks for work: it may be the first with a tool

    @precondition(lambda self: len(self.world.runs) < MOST_RUNS)
    @rule(
        sketch=sketches(), priority=st.sampled_from(Priority), held=st.sampled_from([False, True])
    )
    def start(self, sketch: Sketch, priority: Priority, held: bool) -> None:
        terms, flow = Terms(priority=priority), sketch.flow("model")
        if held:
            version = self.run_(self.store.register_version(flow, self.stage.engine.registry))
            run_id, _ = self.run_(self.store.start_held_run(
                version.id, None, owner="ann", hold_seconds=HOLD_SECONDS,
                timeout_seconds=RUN_SECONDS, terms=terms,
            ))  # fmt: skip
        else:
            run_id = self.run_(
                self.stage.engine.start(flow, timeout_seconds=RUN_SECONDS, terms=terms)
            )
        run = self.world.start(
            sketch.plans, named_output=sketch.output is not None, priority=priority.rank,
            holds={"ann": self.world.now + HOLD_SECONDS} if held else None,
        )  # fmt: skip
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

    @rule(shifts=SOME)
    def work_again(self, shifts: list[Shift]) -> None:
        self._work(shifts)

    @rule(shifts=SOME, seconds=st.sampled_from(JUMPS))
    def work_later(self, shifts: list[Shift], seconds: int) -> None:
        self.wait(seconds, 2)
        self._work(shifts)

    def _work(self, shifts: list[Shift]) -> None:
        if not self.live():
            self.join()
        for who, deeds, free, manner in shifts:
            hand = self.hand(who, live=True)
            reports: list[tuple[LeasedTask, str, JsonValue]] = []
            keep: list[LeasedTask] = []
            for number, task in enumerate(hand.held):
                deed, value = deeds[number % len(deeds)]
                deed = possible(task, deed, self.mirrored(task))
                if deed == "keep":
                    keep.append(task)
                else:
                    reports.append((task, deed, value))
            self.turn(hand, reports, keep, free=free, manner=manner)

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
        deed = possible(task, deed, self.mirrored(task))
        if self.world.workers[hand.name].status != "live":
            with pytest.raises(StaleTask):
                self.run_(self.say(hand, [(task, deed, 0)], [], free=3))
            self.stage.told["refused"] += 1
            self.agree()
            return
        keep = [one for one in hand.held if one.key != task.key]
        self.turn(hand, [(task, deed, 0)], keep, free=0, manner="full")

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
            assert self.seen["stale"] == 0, "a place that nobody uses is taken"
            self.run_(self.stage.engine.consistent())

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
        assert written == self.world.progress(hand.name, self.mirrored(task), task.fence)
        self.agree()

    def teardown(self) -> None:
        """Nobody comes any more: every run ends by its deadline (I1), and nothing is left (I6)."""
        if not self.agreed:
            return
        for seconds in (RUN_SECONDS, 2 * UNDOING_SECONDS, 2 * UNDOING_SECONDS):
            self.wait(seconds + 1, 2)  # some are undone first, and children had their time too
        assert all(run.over for run in self.world.runs)
        picture = of_database(self.seen)
        assert (picture["messages"], picture["outbox"]) == (0, [])
        assert (self.seen["uses"], self.seen["waiting"]) == (0, 0), "a place was leaked"
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

    def mirrored(self, task: LeasedTask) -> Task | None:
        """Return a task of the mirror; None: it was withdrawn, or pruned with its run."""
        found = self.known[task.task_id]
        here = any(found.run is run for run in self.world.runs)
        return found if here and any(found is one for one in found.run.tasks) else None

    def row_of(self, task: Task) -> int:
        place = (self.ids[id(task.run)], name_of(task), task.element)
        return int(tasks_of(self.seen)[place]["id"])

    async def say(
        self,
        hand: Hand,
        reports: list[tuple[LeasedTask, str, JsonValue]],
        keep: list[LeasedTask] | None,
        *,
        free: int,
    ) -> Any:
        self.stage.engine.worker = hand.name
        outcomes = [outcome_of(task, deed, value, self.stage.child.id)
                    for task, deed, value in reports]  # fmt: skip
        return await self.stage.engine.exchange(outcomes, held=keep, free=free, lease=LEASE)

    def turn(
        self,
        hand: Hand,
        reports: list[tuple[LeasedTask, str, JsonValue]],
        keep: list[LeasedTask],
        *,
        free: int,
        manner: str,
    ) -> None:
        """Make an exchange, and compare the answer too."""
        held = None if manner == "brief" else keep
        answer = self.run_(self.say(hand, reports, held, free=free))
        before, self.seen = self.seen, self.run_(look(self.stage.database))
        assert not (wrong := out_of_order(before, self.seen)), "\n".join(wrong)
        rows = tasks_of(self.seen)

        def fence_of(task: Task) -> int:
            place = (self.ids[id(task.run)], name_of(task), task.element)
            return int(rows[place]["fence"]) if place in rows else task.fence

        def blocked(task: Task) -> bool:
            place = (self.ids[id(task.run)], name_of(task), task.element)
            return place in rows and bool(rows[place]["blocked"])

        said = [Report(task=self.mirrored(task), fence=task.fence, deed=deed, value=value)
                for task, deed, value in reports]  # fmt: skip
        turn = self.world.exchange(
            hand.name, said,
            None if held is None else [(self.mirrored(task), task.fence) for task in held],
            free=free, fence_of=fence_of, blocked=blocked,
        )  # fmt: skip
        self.agree(look_again=False)
        verdicts = [answer.verdicts[task.key].value for task, _, _ in reports]
        assert verdicts == turn.verdicts
        assert {id(self.mirrored(task)) for task in answer.tasks} == turn.handed
        assert sorted(answer.lost) == sorted(keep[place].key for place in turn.lost)
        # Where a place was given back, it is worth looking whether somebody waits for it.
        assert answer.ready == turn.ready or (answer.ready and self.world.slots.used)
        self.stage.told.update(verdicts)
        self.stage.told.update(f"said {deed}" for _, deed, _ in reports)
        self.stage.told["lost"] += len(answer.lost)
        self.leases += [(hand, task) for task in answer.tasks]
        hand.held = [task for task in keep if task.key not in answer.lost]
        if manner != "lost":
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
        for task in self.world.all_tasks():
            task.row = ids[id(task)]
            self.known[task.row] = task
        blocked = {task["id"] for task in self.seen["tasks"] if task["blocked"]}
        self.stage.told["blocked"] += len(blocked)
        wrong = differences(of_database(self.seen), of_mirror(self.world, self.ids, ids, blocked))
        assert not wrong, "\n".join(wrong)
        self.stage.told.update(run.status for run in self.world.runs if run.over)
        self.stage.told["undone"] += sum(run.undone is not None for run in self.world.runs)
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
