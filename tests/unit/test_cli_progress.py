"""Watching a map of many elements: an event costs the same, however many there were before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from flowbuilder.cli.output import Printer
from flowbuilder.cli.progress import RunView, StepState
from flowbuilder.cli.watching import Watch
from flowbuilder.executor.events import EventRow
from flowbuilder.executor.states import TaskStatus
from flowbuilder.flow import Flow

ELEMENTS = 5000
FLOW = Flow.model_validate(
    {"flow": "demo", "steps": [{"id": "rate", "tool": "text.stats", "for_each": "${{ input }}"}]}
)


class _Unread(dict[str, str]):
    """Tasks that may be looked up one by one, never all of them."""

    def values(self) -> Any:
        raise AssertionError("all tasks are read for one event")

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("all tasks are read for one event")


def _event(type: str, task: int) -> EventRow:
    return EventRow(
        stream="s", seq=1, type=type, run_id="s", step_name="rate", task_id=str(task), attempt=1,
        at=datetime(2026, 1, 1, tzinfo=UTC), actor=None, data={"index": task, "duration_ms": 0},
    )  # fmt: skip


def _step(view: RunView) -> StepState:
    return view.steps["rate"]


def test_no_event_looks_at_all_the_tasks() -> None:
    view = RunView(Printer(as_json=True), FLOW, "run-1")
    step = _step(view)
    step.tasks = _Unread()
    for task in range(ELEMENTS):
        step.take(_event("task_started", task))
    assert (step.state, step.done) == ("running", 0)
    for task in range(ELEMENTS):
        step.take(_event("task_completed", task))
        assert step.state == ("completed" if task == ELEMENTS - 1 else "running")
    assert step.done == len(step.tasks) == ELEMENTS


def test_the_state_of_a_map_is_what_its_tasks_are_in() -> None:
    step = _step(RunView(Printer(as_json=True), FLOW, "run-1"))
    seen = []
    for type, task in (
        ("task_started", 1),
        ("task_waiting", 1),
        ("task_started", 2),
        ("task_retrying", 2),
        ("task_completed", 1),
        ("task_started", 2),
        ("task_failed", 2),
        ("task_completed", 2),
        ("task_skipped", 3),
    ):
        step.take(_event(type, task))
        seen.append((step.state, step.done))
    assert seen == [
        ("running", 0),
        ("waiting", 0),
        ("running", 0),
        ("waiting", 0),
        ("retrying", 1),
        ("running", 1),
        ("failed", 1),
        ("completed", 2),
        ("skipped", 2),
    ]


@dataclass
class _Run:
    """A run with tasks, which it gives in pages."""

    states: list[TaskStatus]
    pages: int = 0
    id: str = field(default="run-1")

    async def tasks(self, *, limit: int = 1000, after: int = 0) -> list[Any]:
        self.pages += 1
        found = list(enumerate(self.states, 1))[after : after + limit]
        return [SimpleNamespace(id=str(number), status=status) for number, status in found]


@pytest.mark.parametrize(
    ("last", "active"),
    [(TaskStatus.RUNNING, True), (TaskStatus.QUEUED, True), (TaskStatus.WAITING, False)],
)
async def test_what_goes_on_behind_the_first_page_of_tasks_is_seen(
    last: TaskStatus, active: bool
) -> None:
    run = _Run([TaskStatus.COMPLETED] * 2500 + [last])
    watch = Watch(cast(Any, None), Printer(as_json=True), cast(Any, run))
    assert await watch._is_active() is active
