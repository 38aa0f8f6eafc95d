"""What answers look like that are about steering a run: why it stands still, what a retry does."""

from __future__ import annotations

from typing import Any, Literal

from flowbuilder.api.schemas import Out, RunOut, Time
from flowbuilder.client.retrying import Retrying
from flowbuilder.client.runs import RetriedRun
from flowbuilder.executor.diagnosis import ReasonCode, Why
from flowbuilder.executor.states import RunStatus, StepStatus


class RepeatOut(Out):
    """A step whose side effects may happen a second time."""

    step: str
    tool: str
    effects: Literal["write", "external", "irreversible"] | None
    """Null when this service does not have the tool."""
    status: StepStatus
    """What the step had come to in the old run."""


class RetryPlan(Out):
    """What a retry would do."""

    reused: list[str]
    """Steps whose results would be taken over."""
    again: list[str]
    """Steps that would run, again or for the first time."""
    repeats: list[RepeatOut]
    """Those of them with effects beyond reading that the run had begun to execute."""

    @classmethod
    def of(cls, said: Retrying) -> RetryPlan:
        """Return the answer for what the client says."""
        return cls.model_validate(said.as_json())


class RetryOut(RunOut):
    """The run that retries another one."""

    reused: list[str]
    """Steps whose results were taken over."""
    again: list[str]
    """Steps that run, again or for the first time."""
    repeats: list[RepeatOut]
    """Those of them with effects beyond reading that the old run had begun to execute."""

    @classmethod
    def retried(cls, run: RetriedRun) -> RetryOut:
        """Return the answer for a retry."""
        shown = RunOut.of(run.row)
        said = run.retrying
        return cls(
            **{name: getattr(shown, name) for name in RunOut.model_fields},
            reused=[*said.reused],
            again=[*said.again],
            repeats=[RepeatOut.model_validate(repeat.as_json()) for repeat in said.repeats],
        )


class ReasonOut(Out):
    """One reason why a run does not move."""

    code: ReasonCode
    message: str
    """For people, one sentence."""
    step: str | None
    task_id: str | None
    since: Time | None
    until: Time | None
    """When it ends, or something else happens: a deadline, the end of a lease."""
    details: dict[str, Any]


class WhyOut(Out):
    """Why a run does not move."""

    run_id: str
    flow: str
    status: RunStatus
    at: Time
    """By the database's clock."""
    deadline_at: Time
    reasons: list[ReasonOut]
    """Never empty; the most important one first."""

    @classmethod
    def of(cls, why: Why) -> WhyOut:
        """Return the answer for what the engine says."""
        return cls.model_validate(why)
