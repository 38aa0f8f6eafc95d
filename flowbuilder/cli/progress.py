"""The state of a run as its events tell it, drawn as a live tree or told line by line."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from flowbuilder.cli.output import Printer, shorten
from flowbuilder.cli.replan_view import removed_steps, told_change, why_no_plan
from flowbuilder.executor.events import EventRow
from flowbuilder.flow import Flow, Step

_MARKS = {
    "pending": ("·", "dim"),
    "running": ("▸", "cyan"),
    "waiting": ("⏸", "yellow"),
    "retrying": ("↻", "yellow"),
    "completed": ("✓", "green"),
    "failed": ("✗", "red"),
    "skipped": ("–", "dim"),
    "cancelled": ("■", "dim"),
}
_STATES = {
    "task_started": "running",
    "task_completed": "completed",
    "task_failed": "failed",
    "task_retrying": "retrying",
    "task_skipped": "skipped",
    "task_cancelled": "cancelled",
    "task_waiting": "waiting",
}


@dataclass(kw_only=True, slots=True)
class StepState:
    """What is known of one step."""

    id: str
    tool: str
    mapped: bool = False
    state: str = "pending"
    note: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    tasks: dict[str, str] = field(default_factory=dict)
    """State by task id."""
    counts: Counter[str] = field(default_factory=Counter)
    """How many tasks are in each state."""

    def take(self, event: EventRow) -> None:
        """Change by one event of this step."""
        state = _STATES.get(event.type)
        if event.type == "task_progress":
            self.note = _progress_note(event.data)
        if state is None:
            return
        before = self.tasks.get(event.task_id or "")
        if before is not None:
            self.counts[before] -= 1
        self.tasks[event.task_id or ""] = state
        self.counts[state] += 1
        self.started = self.started or event.at
        self.ended = event.at
        self.note = _note(event)
        self.state = self._whole(state)

    def _whole(self, newest: str) -> str:
        """The state of a mapped step: what its tasks have in common, or that it still runs."""
        if not self.mapped:
            return newest
        for state in ("running", "waiting", "retrying", "failed"):
            if self.counts[state]:
                return state
        return newest

    @property
    def done(self) -> int:
        """How many tasks have ended well."""
        return self.counts["completed"]

    def seconds(self) -> float | None:
        """How long the step has taken so far."""
        if self.started is None or self.ended is None:
            return None
        return (self.ended - self.started).total_seconds()


class RunView:
    """Shows one run while it goes on; a context that owns the live part of the terminal."""

    def __init__(self, printer: Printer, flow: Flow, run_id: str) -> None:
        self.printer = printer
        self.run_id = run_id
        self.flow = flow
        self.steps = {step.id: _waiting(step) for step in flow.steps}
        self._live: Live | None = None
        self._began = time.monotonic()

    def __enter__(self) -> RunView:
        self.resume()
        return self

    def __exit__(self, *_: object) -> None:
        self.pause()

    def resume(self) -> None:
        """Draw the live tree (again); nothing on a pipe."""
        if self.printer.live and self._live is None:
            self._live = Live(
                get_renderable=self.tree, console=self.printer.out, refresh_per_second=8
            )
            self._live.start()

    def pause(self) -> None:
        """Leave the tree as it stands, so that a question can be asked below it."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def show(self, event: EventRow) -> None:
        """Take one event and show it."""
        if event.type == "step_added":
            added = Step.model_validate(event.data.get("step"))
            self.steps[added.id] = _waiting(added)  # it may stand in for one that has failed
        elif event.type == "plan_repaired":
            for item in removed_steps(event.data):
                self.steps.pop(item, None)
        elif event.type == "workflow_compensating":
            undone: Any = event.data.get("steps")
            for item in undone:
                name = f"compensate:{item['step']}"
                self.steps[name] = StepState(id=name, tool=item["tool"])
        step = self.steps.get(event.step_name or "")
        if step is not None:
            step.take(event)
        if self.printer.as_json:
            self.printer.line(event.as_json())
        elif self._live is None:
            text = self._plain(event, step)
            if text:
                self.printer.say(text)

    def tree(self) -> Tree:
        """Return the run and its steps, for the terminal."""
        tree = Tree(Text.assemble(("run ", "bold"), self.flow.slug, (f"  {self.run_id}", "dim")))
        for step in self.steps.values():
            tree.add(_branch(step))
        return tree

    def _plain(self, event: EventRow, step: StepState | None) -> str:
        at = f"{time.monotonic() - self._began:7.2f}s "
        if event.type == "plan_repaired":
            return f"{at}the plan is another one now: {told_change(event.data)}"
        if step is None:
            words = event.type.removeprefix("workflow_")
            return f"{at}run {words}" if event.type.startswith("workflow_") else ""
        if event.type == "task_started" and step.mapped:
            return ""
        index = event.data.get("index")
        name = step.id if index is None else f"{step.id}[{index}]"
        words = _words(event)
        mark = _MARKS[_STATES[event.type]][0] if event.type in _STATES else "·"
        return f"{at}{mark} {name} {words}" if words else ""


def _waiting(step: Step) -> StepState:
    """Return the state of a step that has not begun."""
    return StepState(id=step.id, tool=step.tool, mapped=step.for_each is not None)


def _branch(step: StepState) -> Any:
    mark, style = _MARKS[step.state]
    text = Text.assemble(
        (step.id, "bold" if step.state == "running" else ""), (f"  {step.tool}", "dim")
    )
    if step.mapped and step.tasks:
        text.append(f"  {step.done}/{len(step.tasks)}", "cyan")
    seconds = step.seconds()
    if step.state == "completed" and seconds is not None:
        text.append(f"  {seconds:.2f}s", "dim")
    if step.note:
        text.append(f"  {step.note}", style)
    if step.state == "running":
        row = Table.grid(padding=(0, 1))
        row.add_row(Spinner("dots", style=style), text)
        return row
    return Text.assemble((f"{mark} ", style), text)


def _words(event: EventRow) -> str:
    data = event.data
    if event.type == "task_started":
        return "started" + (f" (attempt {event.attempt})" if (event.attempt or 1) > 1 else "")
    if event.type == "task_completed":
        return f"completed in {_seconds(data.get('duration_ms'))}"
    if event.type == "approval_decided":
        return f"{data.get('decision')} by {data.get('by')}"
    if event.type in ("approval_requested", "approval_expired"):
        return event.type.replace("_", " ")
    if event.type == "task_progress":
        return _progress_note(data)
    if event.type == "step_added":
        return "added"
    if event.type == "workflow_replanning":
        return "a new plan for the rest is asked for"
    note = _note(event)
    words = event.type.removeprefix("task_")
    return f"{words}: {note}" if note else words


def _note(event: EventRow) -> str:
    data = event.data
    if event.type in ("task_failed", "task_retrying"):
        return error_text(data.get("error"))
    if event.type == "task_skipped":
        return {
            "condition": "its condition is false",
            "dependency": "what it needs was skipped",
        }.get(str(data.get("reason")), str(data.get("reason") or ""))
    if event.type == "task_waiting":
        return {"approval": "for a person", "time": "for a time", "run": "for a child run"}.get(
            str(data.get("kind")), ""
        )
    return ""


def error_text(error: object) -> str:
    """Return an event's error as one line."""
    if isinstance(error, dict):
        text = shorten(str(error.get("message") or error.get("code") or ""), 200)
        return f"{text}{why_no_plan(error)}"
    return shorten(str(error or ""), 200)


def _progress_note(data: dict[str, Any]) -> str:
    fraction, message = data.get("fraction"), data.get("message")
    parts = [f"{fraction:.0%}"] if isinstance(fraction, int | float) else []
    return " ".join([*parts, *([str(message)] if message else [])])


def _seconds(milliseconds: object) -> str:
    value = milliseconds if isinstance(milliseconds, int | float) else 0
    return f"{value / 1000:.2f}s"
