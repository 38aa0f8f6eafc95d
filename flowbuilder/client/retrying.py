"""Retrying a run: what is taken over, what runs again, and which side effects may repeat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flowbuilder.client.checking import checked_key, time_limit
from flowbuilder.client.session import Session
from flowbuilder.errors import InvalidValue
from flowbuilder.executor.retrying import Retried, StepAgain
from flowbuilder.executor.states import StepStatus
from flowbuilder.tools import HARMLESS, Effects
from flowbuilder.types import JsonObject, JsonValue


@dataclass(frozen=True, kw_only=True, slots=True)
class Repeat:
    """A step whose side effects may happen a second time."""

    step: str
    tool: str
    effects: Effects | None
    """None when this process does not have the tool and so cannot say."""
    status: StepStatus
    """What the step had come to in the old run."""

    def as_json(self) -> JsonObject:
        """Return it as JSON values."""
        effects = None if self.effects is None else self.effects.value
        return {
            "step": self.step,
            "tool": self.tool,
            "effects": effects,
            "status": self.status.value,
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Retrying:
    """What a retry does."""

    reused: tuple[str, ...]
    """Steps whose results are taken over, in the order of the flow."""
    again: tuple[str, ...]
    """Steps that run (again, or for the first time)."""
    repeats: tuple[Repeat, ...]
    """Those of them with effects beyond reading that the old run had begun to execute."""

    def as_json(self) -> JsonObject:
        """Return it as JSON values."""
        repeats: list[JsonValue] = [repeat.as_json() for repeat in self.repeats]
        return {"reused": [*self.reused], "again": [*self.again], "repeats": repeats}


async def retry(
    session: Session,
    run_id: str,
    *,
    from_step: str | None = None,
    timeout: str | float | None = None,
    **options: Any,
) -> Retried:
    """Retry a run, or (`dry_run`) only find out what that would do. Raises as `Run.retry`."""
    if from_step is not None and not isinstance(from_step, str):
        raise InvalidValue("a step is named by its id", pointer="/from_step", code="step_unknown")
    limit = time_limit(timeout)
    return await session.store.retry_run(
        run_id,
        from_step=from_step,
        timeout_seconds=None if limit is None else limit.total_seconds(),
        idempotency_key=checked_key(options.pop("idempotency_key", None)),
        actor=options.pop("by", None),
        **options,
    )


def retrying_of(session: Session, found: Retried) -> Retrying:
    """Add to what the database says of a retry what the tools' effects say."""
    return Retrying(
        reused=found.reused,
        again=tuple(step.step for step in found.again),
        repeats=tuple(repeat for step in found.again for repeat in _repeat(session, step)),
    )


def _repeat(session: Session, step: StepAgain) -> list[Repeat]:
    tool = session.registry.get(step.tool) or session.functions.named(step.tool)
    if not step.started or (tool is not None and tool.effects in HARMLESS):
        return []
    effects = None if tool is None else tool.effects
    return [Repeat(step=step.step, tool=step.tool, effects=effects, status=step.status)]
