"""Limits on tools and steps, in the mirror: what may start, and that it always does in the end.

Which of the tasks that wait for a place gets it is read off the fences; here is judged whether
there was a place. Each limit of a step belongs to the step's name, so that all flows mean the same.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flowbuilder.types import JsonObject
from tests.model.mirror import Mirror
from tests.model.rows import Plan, Task

Slot = tuple[str, ...]
SPAN = 10
"""The seconds of every rate."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """How many run at once, how many start in a span of time; and the first start that counts."""

    concurrency: int | None = None
    starts: int | None = None
    since: int = 0

    def rate(self) -> str | None:
        return None if self.starts is None else f"{self.starts}/{SPAN}s"


_OF_STEPS = (
    Limit(concurrency=1),
    Limit(concurrency=1),
    Limit(starts=2),
    Limit(concurrency=2, starts=3),
)


def limit_of(plan: Plan) -> Limit:
    """Return the limit of a step that has one."""
    return _OF_STEPS[int(plan.name[1:]) % len(_OF_STEPS)]


def is_keyed(plan: Plan) -> bool:
    """Whether each value of a key has the step's limit for itself."""
    return int(plan.name[1:]) % len(_OF_STEPS) == 1


def policy_of(plan: Plan) -> JsonObject:
    """Return the `limit` of a step's document."""
    limit = limit_of(plan)
    policy: JsonObject = {}
    if limit.concurrency is not None:
        policy["concurrency"] = limit.concurrency
    if limit.starts is not None:
        policy["rate"] = limit.rate()
    if is_keyed(plan):
        policy["key"] = "${{ input }}" if plan.elements is None else "${{ item }}"
    return policy


class Slots:
    """What is limited, and what has started under it."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self.tools: dict[str, Limit] = {}
        """What an administrator said of a pattern."""
        self._starts: list[tuple[int, Slot]] = []
        self.used = False
        """Whether anything was ever limited."""

    def set(self, pattern: str, *, concurrency: int | None, starts: int | None) -> Limit:
        self.used = True
        self.tools[pattern] = Limit(
            concurrency=concurrency, starts=starts, since=len(self._starts)
        )  # fmt: skip
        return self.tools[pattern]

    def clear(self, pattern: str) -> bool:
        return self.tools.pop(pattern, None) is not None

    def of(self, task: Task) -> dict[Slot, Limit]:
        """Return the places that a task takes while it runs."""
        if task.plan is None or not task.does:
            return {}
        tool = "other" if task.kind == "compensate" else task.plan.tool
        slots: dict[Slot, Limit] = {
            ("tool", pattern): limit for pattern, limit in self.tools.items()
            if pattern in (tool, "*")
        }  # fmt: skip
        if task.plan.limited and task.kind == "step":
            key = json.dumps(task.item) if is_keyed(task.plan) else ""
            slots["step", task.run.flow, task.plan.name, key] = limit_of(task.plan)
        return slots

    def has_room(self, task: Task) -> bool:
        """Whether all that a task needs has room for it, as far as can be known."""
        running = self._running()
        return not any(
            (limit.concurrency is not None and running[slot] >= limit.concurrency)
            or (limit.starts is not None and self._started(slot) >= limit.starts)
            for slot, limit in self.of(task).items()
        )

    def take(self, tasks: Sequence[Task]) -> None:
        """Let tasks start that are running by now: none of their slots may have too many."""
        now = self._mirror.now
        places = {slot: limit for task in tasks for slot, limit in self.of(task).items()}
        self.used = self.used or bool(places)
        self._starts += [(now, slot) for task in tasks for slot in self.of(task)]
        running = self._running()
        for slot, limit in places.items():
            assert limit.concurrency is None or running[slot] <= limit.concurrency, (
                f"{running[slot]} run under {slot}: {limit}"
            )
            started = self._started(slot, limit.since)
            assert limit.starts is None or started <= limit.starts, (
                f"{started} have started under {slot}: {limit}"
            )

    def _running(self) -> Counter[Slot]:
        return Counter(slot for task in self._tasks() for slot in self.of(task))

    def _tasks(self) -> Iterable[Task]:
        return (t for run in self._mirror.runs for t in run.tasks if t.status == "running")

    def _started(self, slot: Slot, since: int = 0) -> int:
        """Count what has started within the last span, of the starts from this one on."""
        begin = self._mirror.now - SPAN
        return sum(one == slot and at > begin for at, one in self._starts[since:])
