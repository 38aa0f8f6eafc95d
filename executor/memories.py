"""What finished runs have taught, as the database has it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from flowbuilder.types import JsonObject


@dataclass(frozen=True, kw_only=True, slots=True)
class EndedRun:
    """A run of a plan that nothing was learnt from yet."""

    run_id: str
    plan_id: str
    document: JsonObject
    """The plan as it was stored."""
    outcome: Literal["completed", "failed", "cancelled"]
    seconds: float | None
    """None: it was cancelled before it began."""
    failures: list[Any]
    """`{tool, code}` of what failed for good."""
    rejected: list[str]
    """Tools whose approval a person refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryRow:
    """What one run has taught."""

    id: str
    run_id: str
    plan_id: str
    goal: str
    """As the user wrote it."""
    planner: str
    tools: list[str]
    """In the order of the plan."""
    plan: JsonObject
    """`{tasks: [{id, tool, args, …}]}` with words such as `<address>` in the place of values."""
    outcome: Literal["completed", "failed", "cancelled"]
    failures: list[Any]
    rejected: list[str]
    seconds: float | None
    tokens: int
    """Of planning."""
    cost_usd: float | None
    """Of planning; None: not known."""
    learned_at: datetime
    number: int
    """Rises with each memory."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recalled:
    """A memory of a goal that has words in common with another one."""

    id: str
    goal: str
    tools: list[str]
    plan: JsonObject
    nearness: float
    """0 to 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PatternRow:
    """A chain of tools, and how its runs have ended."""

    tools: list[str]
    runs: int
    completed: int
    failed: int
    rejected: int
    success_rate: float
    mean_seconds: float | None
    mean_tokens: float | None
    last_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class LessonRow:
    """What went wrong with a tool, how often, and what was decided about it."""

    id: str
    kind: Literal["failed", "rejected"]
    tool: str
    code: str
    """Of the error; `rejected` where a person said no."""
    runs: int
    uses: int
    """Runs that were planned with the tool."""
    status: Literal["candidate", "adopted", "refused"]
    suite: str | None
    """What it was tried on."""
    comparison: JsonObject | None
    decided_by: str | None
    decided_at: datetime | None
