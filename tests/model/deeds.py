"""What workers say, as it changes the mirror."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

from tests.model.growing import Growing
from tests.model.rows import (
    DECISION_SECONDS,
    EVENT_SECONDS,
    LEASE,
    MAX_CLAIMS,
    NAP_SECONDS,
    RETRY_SECONDS,
    Approval,
    Report,
    Run,
    Task,
    Verdict,
    Worker,
)
from tests.model.slots import Slots

#: Deeds that give a task back, that let it wait, and that end it: done in this order.
RETURNS = ("retry", "retry later", "release")
WAITS = ("nap", "gate", "question", "child", "hear a", "hear b", "hear b or not")
#: Deeds that wait for an event: its key, and whether the wait may end without it.
LISTENS = {"hear a": ("a", False), "hear b": ("b", False), "hear b or not": ("b", True)}
#: As in the architecture: a lease is extended once more than a third of it is used up.
_FRESH = LEASE * 0.67


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What an exchange must answer."""

    verdicts: list[Verdict]
    handed: set[int]
    """`id()` of the tasks that are handed out."""
    lost: list[int]
    """Places in the list of what was held."""
    ready: bool
    """Whether more could be claimed."""


class Work(Growing):
    """A mirror that workers talk to."""

    def __init__(self) -> None:
        super().__init__()
        self.slots = Slots(self)

    # -- workers ------------------------------------------------------------------------------

    def join(self, worker: str) -> None:
        self.workers[worker] = Worker(heard=self.now)

    def stop(self, worker: str) -> None:
        if self.workers[worker].status == "live":
            self._retire([worker], "stopped")

    def _retire(self, gone: Collection[str], status: str) -> None:
        for one in gone:
            self.workers[one].status = status
        for task in self.all_tasks():
            if task.status == "running" and task.worker in gone:
                self.requeue(task)

    def all_tasks(self) -> Iterable[Task]:
        return (task for run in self.runs for task in run.tasks)

    def progress(self, worker: str, task: Task | None, fence: int) -> bool:
        if task is None or not _holds(worker, task, fence):
            return False
        task.run.tell("task_progress")
        return True

    # -- the exchange ---------------------------------------------------------------------------

    def exchange(
        self,
        worker: str,
        reports: Sequence[Report],
        held: Sequence[tuple[Task | None, int]] | None,
        *,
        free: int,
        fence_of: Callable[[Task], int],
        blocked: Callable[[Task], bool],
    ) -> Turn:
        """Do an exchange; the fences afterwards say what was claimed in it, and what a limit keeps
        from the queue."""
        plain = [r for r in reports if r.deed == "complete" and _is_plain(worker, r)]
        self._complete(plain)
        runs = list(dict.fromkeys(r.task.run for r in plain if r.task is not None))
        claimed = self._claim(worker, free, fence_of, runs)
        for run in runs:
            self.settle(run)
        closed = {id(r) for r in plain}
        verdicts = [_verdict(worker, r, closed=id(r) in closed) for r in reports]
        accepted = [
            r for r, verdict in zip(reports, verdicts, strict=True)
            if verdict == "accepted" and id(r) not in closed
        ]  # fmt: skip
        self._apply([_spent(r) for r in accepted])
        self.finish([
            (task, "failed", "poison", None)
            for task in claimed if task.claims > MAX_CLAIMS and not task.over
        ])  # fmt: skip
        handed, lost = self._hold(worker, held, claimed)
        ready = any(_claimable(task) and not blocked(task) for task in self.all_tasks())
        return Turn(verdicts=verdicts, handed=handed, lost=lost, ready=ready)

    def _complete(self, plain: Sequence[Report]) -> None:
        ended = []
        for report in plain:
            assert report.task is not None
            report.task.end("completed", report.value)
            report.task.run.tell("task_completed")
            ended.append(report.task)
        self.count(ended)
        for run in dict.fromkeys(task.run for task in ended):
            self.release(run, tasked_only=True)

    def _claim(
        self, worker: str, free: int, fence_of: Callable[[Task], int], ended: Sequence[Run]
    ) -> list[Task]:
        """Take what the fences say was claimed: only what may be, and as much as there is room.

        Of what may take its worker down, a worker gets one when it holds none.
        """
        one = int(not any(t.worker == worker and _is_suspect(t) for t in self.all_tasks()))
        claimed = self._take(worker, fence_of)
        suspects = sum(map(_is_suspect, claimed))
        assert suspects <= one, f"{suspects} suspects at once"
        for run in ended:
            self.conclude(run)
        claimed += self._take(worker, fence_of)  # finishing tasks
        left = [
            t for t in self.all_tasks()
            if _claimable(t) and self.slots.has_room(t) and (suspects < one or not _is_suspect(t))
        ]  # fmt: skip
        assert len(claimed) <= free, f"{len(claimed)} tasks claimed, room was for {free}"
        assert len(claimed) == free or not left, (
            f"room for {free}, {len(claimed)} claimed, but there are {[t.place for t in left]}"
        )
        return claimed

    def _take(self, worker: str, fence_of: Callable[[Task], int]) -> list[Task]:
        taken = [
            task for task in self.all_tasks() if _claimable(task) and fence_of(task) > task.fence
        ]
        for task in taken:
            task.fence, task.claims, task.attempt = (
                task.fence + 1,
                task.claims + 1,
                task.attempt + 1,
            )
            task.status, task.worker, task.lease = "running", worker, self.now + LEASE
            task.sent, task.due, task.started = False, None, self.now
            if task.does and task.claims <= MAX_CLAIMS:
                task.run.tell("task_started")
        self.slots.take(taken)
        return taken

    def _apply(self, reports: Sequence[Report]) -> None:
        for report in reports:
            if report.deed in RETURNS:
                self._give_back(report)
        for report in reports:
            if report.deed in WAITS and report.task is not None:
                self._suspend(report.task, report.deed)
        self._listen([r.task for r in reports if r.task is not None and r.deed in LISTENS])
        self.finish([
            (r.task, *_ENDINGS[r.deed], r.value)
            for r in reports if r.task is not None and r.deed in _ENDINGS
        ])  # fmt: skip

    def _give_back(self, report: Report) -> None:
        task = report.task
        assert task is not None
        task.queue(due=self.now + RETRY_SECONDS if report.deed == "retry later" else None)
        task.claims = 0
        if report.deed == "release":
            task.attempt -= 1
        elif task.does:
            task.run.tell("task_retrying")

    def _suspend(self, task: Task, deed: str) -> None:
        task.status, task.wait, task.claims, task.lease = "waiting", deed, 0, None
        task.run.tell("task_waiting")
        if deed == "nap":
            task.due = self.now + NAP_SECONDS
        elif deed == "child":
            task.due = None
            self.outbox.append(("start_child", task.run, task))
        elif deed in LISTENS:
            task.due = self.now + EVENT_SECONDS
        else:
            task.due = self.now + DECISION_SECONDS
            task.run.tell("approval_requested")
            self.approvals.append(Approval(
                task=task, kind=deed, granted_by_silence=deed == "question", end=task.due,
            ))  # fmt: skip

    def _listen(self, tasks: Sequence[Task]) -> None:
        """Let waits that have begun look for their events, twice if they find nothing."""
        self.hear(tasks)
        still = [task.run for task in tasks if task.status == "waiting"]
        self.outbox += [("await_event", run, None) for run in dict.fromkeys(still)]

    def hear(self, tasks: Iterable[Task]) -> int:
        """Complete those of the tasks whose event is there; how many."""
        heard = []
        for task in tasks:
            if task.status != "waiting" or task.wait not in LISTENS or task.due is None:
                continue
            found = self.emitted.get(LISTENS[task.wait][0])
            if found and found.at < task.due and found.until > task.started:
                heard.append((task, "completed", None, found.payload))
        self.finish(heard)
        return len(heard)

    def _hold(
        self, worker: str, held: Sequence[tuple[Task | None, int]] | None, claimed: Sequence[Task]
    ) -> tuple[set[int], list[int]]:
        mine = [t for t in self.all_tasks() if t.status == "running" and t.worker == worker]
        fresh = [t for t in claimed if t.claims <= MAX_CLAIMS]
        if held is None:
            return {id(task) for task in fresh if task.status == "running"}, []
        known = {id(task) for task, fence in held if task is not None and task.fence == fence}
        new = {id(task) for task in fresh}
        unheard = [task for task in mine if id(task) not in known | new]
        lost = [
            place for place, (task, fence) in enumerate(held)
            if task is None or not _holds(worker, task, fence)
        ]  # fmt: skip
        for task in mine:
            if id(task) in new:
                continue
            assert task.lease is not None
            if task.lease < self.now + _FRESH:
                task.lease = self.now + LEASE
        if self.workers[worker].heard < self.now - 3:  # written down every three seconds
            self.workers[worker].heard = self.now
        handed = {id(task) for task in [*fresh, *unheard] if task.status == "running"}
        return handed, lost


_ENDINGS = {
    "complete": ("completed", None),
    "fail": ("failed", "boom"),
    "exhaust": ("failed", "flaky"),
    "skip": ("skipped", None),
}


def _claimable(task: Task) -> bool:
    return task.status == "queued" and task.sent and task.run.status in ("queued", "running")


def _is_suspect(task: Task) -> bool:
    """Whether it was lost with so many workers that it may be why."""
    lost = task.claims - (task.status == "running")
    return task.status in ("queued", "running") and lost * 2 >= MAX_CLAIMS


def _holds(worker: str, task: Task, fence: int) -> bool:
    return task.status == "running" and task.worker == worker and task.fence == fence


def _is_plain(worker: str, report: Report) -> bool:
    task = report.task
    return task is not None and task.kind == "step" and _holds(worker, task, report.fence)


def _verdict(worker: str, report: Report, *, closed: bool) -> Verdict:
    task = report.task
    if closed:
        return "accepted"
    if task is None or task.fence != report.fence or task.worker != worker:
        return "fenced"
    if task.status == "cancelled":
        return "fenced"
    return "accepted" if task.status == "running" else "already"


def _spent(report: Report) -> Report:
    """A retry of the last try is a failure."""
    task = report.task
    assert task is not None
    if report.deed in ("retry", "retry later") and task.attempt >= task.tries:
        return Report(task=task, fence=report.fence, deed="exhaust")
    return report
