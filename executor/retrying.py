"""What a retry of a run takes over and what it runs again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flowbuilder.executor.states import StepStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class StepAgain:
    """A step that a retry runs again."""

    step: str
    tool: str
    """`name@version`."""
    status: StepStatus
    """What it had come to in the old run."""
    started: bool
    """Whether the old run had begun to execute it: then its effects may happen a second time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Retried:
    """A retry, or what one would be."""

    run_id: str | None
    """The new run; None when nothing was started."""
    created: bool
    """Whether this call started it; False when an idempotency key found it."""
    reused: tuple[str, ...]
    """Steps whose results were taken over, in the order of the flow."""
    again: tuple[StepAgain, ...]


def retried(answer: Mapping[str, Any]) -> Retried:
    """Read the answer of the SQL function `retry_run`."""
    return Retried(
        run_id=answer["run_id"],
        created=answer["created"],
        reused=tuple(answer["reused"]),
        again=tuple(
            StepAgain(
                step=step["step"],
                tool=step["tool"],
                status=StepStatus(step["status"]),
                started=step["started"],
            )
            for step in answer["again"]
        ),
    )
