"""What answers look like that are about what runs have taught."""

from __future__ import annotations

from typing import Any, Literal

from flowbuilder.api.schemas import Out, Time
from flowbuilder.client.memory import rule_of
from flowbuilder.executor.memories import LessonRow


class MemoryOut(Out):
    """What one run has taught."""

    id: str
    run_id: str
    plan_id: str
    goal: str
    planner: str
    tools: list[str]
    plan: dict[str, Any]
    """`{tasks: [...]}` with words such as `<address>` in the place of values."""
    outcome: Literal["completed", "failed", "cancelled"]
    failures: list[dict[str, Any]]
    """`{tool, code}` of what failed for good."""
    rejected: list[str]
    """Tools whose approval a person refused."""
    seconds: float | None
    tokens: int
    cost_usd: float | None
    learned_at: Time


class MemoryPage(Out):
    """Memories, newest first."""

    items: list[MemoryOut]
    next_cursor: str | None
    """Hand this back as `cursor` for the page after; null on the last."""


class PatternOut(Out):
    """A chain of tools, and how its runs have ended."""

    tools: list[str]
    runs: int
    completed: int
    failed: int
    rejected: int
    success_rate: float
    mean_seconds: float | None
    mean_tokens: float | None
    last_at: Time


class PatternList(Out):
    """Chains of tools, the most used first."""

    items: list[PatternOut]


class LessonOut(Out):
    """What went wrong with a tool, and the rule that would follow."""

    id: str
    kind: Literal["failed", "rejected"]
    tool: str
    code: str
    runs: int
    uses: int
    """Runs that were planned with the tool."""
    status: Literal["candidate", "adopted", "refused"]
    rule: str
    suite: str | None
    comparison: dict[str, Any] | None
    decided_by: str | None
    decided_at: Time | None

    @classmethod
    def of(cls, row: LessonRow) -> LessonOut:
        """Return the answer for a row."""
        shown = {name: getattr(row, name) for name in cls.model_fields if name != "rule"}
        return cls.model_validate({**shown, "rule": rule_of(row)})


class LessonList(Out):
    """Lessons, the most frequent first."""

    items: list[LessonOut]


class ForgottenOut(Out):
    """What was deleted."""

    memories: int
