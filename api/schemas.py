"""What answers look like: plain models, read from the rows behind them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from flowbuilder.budget import BudgetUse
from flowbuilder.executor.records import (
    FlowRow,
    RunRow,
    StepRow,
    TaskRow,
    VersionRow,
)
from flowbuilder.executor.states import RunStatus, StepStatus, TaskStatus
from flowbuilder.executor.triggers import RunTrigger
from flowbuilder.limits import Priority

Time = Annotated[datetime, PlainSerializer(datetime.isoformat, return_type=str)]
#: Any JSON value. `JsonValue` itself is recursive, which makes an endless OpenAPI schema.
Json = Any


class Out(BaseModel):
    """An answer, read from the attributes of a row."""

    model_config = ConfigDict(from_attributes=True, frozen=True, use_attribute_docstrings=True)


class ProblemOut(Out):
    """One finding of validation."""

    code: str
    pointer: str
    message: str
    hint: str | None
    severity: Literal["error", "warning"]
    fix: Literal["auto", "model", "user"]


class ValidationOut(Out):
    """A document without errors; warnings may be among the problems."""

    valid: Literal[True] = True
    problems: list[ProblemOut]


class FlowOut(Out):
    """A flow: its draft and its newest version."""

    slug: str
    description: str | None
    version: int | None
    """Newest published version; null before the first."""
    state: Literal["draft", "active", "archived"]
    """A draft was never published; what is archived starts no runs."""
    draft: dict[str, Any]
    """The `flow.v1` document being built."""
    created_at: Time
    updated_at: Time
    archived_at: Time | None

    @classmethod
    def of(cls, row: FlowRow) -> FlowOut:
        """Return the answer for a row."""
        return cls.model_validate(row)


class FlowList(Out):
    """Every flow, by name."""

    items: list[FlowOut]


class VersionOut(Out):
    """An immutable version of a flow."""

    id: str
    slug: str
    version: int | None
    content_hash: str
    document: dict[str, Any]
    origin: Literal["published", "dynamic", "run"]
    created_at: Time

    @classmethod
    def of(cls, row: VersionRow) -> VersionOut:
        """Return the answer for a row."""
        return cls.model_validate(row)


class VersionList(Out):
    """The published versions of a flow, newest first."""

    items: list[VersionOut]


class RunOut(Out):
    """A run."""

    id: str
    flow: str
    version: int | None
    status: RunStatus
    input: Json
    output: Json
    error: dict[str, Any] | None
    """`{code, message, step?, task_id?, attempt?, compensated?, not_compensated?, replan?}` of a
    failed run."""
    failure: dict[str, Any] | None
    """Why the run fails, from the moment on when what its steps have done is being undone."""
    remaining_steps: int
    last_seq: int
    """Number of the newest event."""
    idempotency_key: str | None
    parent_run_id: str | None
    plan_id: str | None
    created_at: Time
    started_at: Time | None
    finished_at: Time | None
    deadline_at: Time
    retry_of: str | None
    """The run that this one retries."""
    retry_from: str | None
    """The step that was named for it."""
    priority: Priority
    by_reference: dict[str, str] = Field(default_factory=dict)
    """Where values are got that are too large for a list, by name; they are null here."""

    @classmethod
    def of(cls, row: RunRow) -> RunOut:
        """Return the answer for a row."""
        return cls.model_validate(row)


class StepOut(Out):
    """A step inside a run."""

    position: int
    step_id: str
    tool: str
    status: StepStatus
    task_count: int | None
    remaining_tasks: int | None
    output: Json
    error: dict[str, Any] | None
    skip_reason: str | None
    started_at: Time | None
    finished_at: Time | None
    by_reference: dict[str, str] = Field(default_factory=dict)
    """Where values are got that are too large for a list, by name; they are null here."""


class BudgetOut(Out):
    """What a run may cost, and what it has cost, its children and retries included."""

    limits: dict[str, float | int]
    """Bounds by name: `tokens`, `usd`, `seconds`, `steps`, `replans`."""
    spent: dict[str, float | int | None]
    """Under the same names, `usd` null when no price is known, and `unpriced_tokens`."""
    root_run_id: str
    """The run that the budget was given to."""


class RunTreeOut(Out):
    """A run with its child runs."""

    id: str
    flow: str
    version: int | None
    status: RunStatus
    created_at: str
    finished_at: str | None
    error: dict[str, Any] | None
    steps: list[dict[str, Any]]
    """`{step_id, tool, status, runs}`; `runs` are the child runs of a step, of the same shape."""


class RunTriggerOut(Out):
    """What has started a run, where that was no person."""

    kind: Literal["webhook", "schedule", "file"]
    trigger_id: str | None
    name: str
    tick_at: Time | None
    """Which tick of a schedule."""
    detail: str | None
    """The sender's id of a delivery, the path of a file."""


class RunDetail(RunOut):
    """A run with its steps."""

    steps: list[StepOut]
    budget: BudgetOut | None
    """Null for a run without one."""
    trigger: RunTriggerOut | None
    """What has started it; null where that was a person or another run."""

    @classmethod
    def with_steps(
        cls,
        row: RunRow,
        steps: list[StepRow],
        budget: BudgetUse | None = None,
        trigger: RunTrigger | None = None,
    ) -> RunDetail:
        """Return the answer for a run and its steps."""
        run = RunOut.of(row)
        return cls(
            **{name: getattr(run, name) for name in RunOut.model_fields},
            steps=[StepOut.model_validate(step) for step in steps],
            budget=None if budget is None else BudgetOut.model_validate(budget.as_json()),
            trigger=None if trigger is None else RunTriggerOut.model_validate(trigger),
        )


class RunPage(Out):
    """Runs, newest first."""

    items: list[RunOut]
    next_cursor: str | None
    """Hand this back as `cursor` for the page after; null on the last."""


class TaskOut(Out):
    """A task inside a run."""

    id: str
    run_id: str
    step_id: str | None
    index: int | None
    kind: str
    status: TaskStatus
    tool: str | None
    attempt: int
    worker_id: str | None
    available_at: Time | None
    output: Json
    error: dict[str, Any] | None
    started_at: Time | None
    finished_at: Time | None
    by_reference: dict[str, str] = Field(default_factory=dict)
    """Where values are got that are too large for a list, by name; they are null here."""

    @classmethod
    def of(cls, row: TaskRow) -> TaskOut:
        """Return the answer for a row."""
        return cls.model_validate(row)


class TaskPage(Out):
    """Tasks of a run, by id."""

    items: list[TaskOut]
    next_after: int | None
    """Hand this back as `after` for the page after; null on the last."""


class EventOut(Out):
    """An event of a run's or a plan's stream."""

    stream: str
    seq: int
    """1, 2, 3 … without gaps."""
    type: str
    run_id: str | None
    step_name: str | None
    task_id: str | None
    attempt: int | None
    at: str
    actor: str | None
    data: dict[str, Any]


class EventPage(Out):
    """Events in order."""

    items: list[EventOut]
    next_after: int
    """Hand this back as `after` for what comes later."""
    ended: bool
    """Whether the stream's last event is among the items or before them."""


class PlacedEventOut(EventOut):
    """An event, and its number in the log of its workspace."""

    place: int


class WorkspaceEventPage(Out):
    """Events of a workspace in order."""

    items: list[PlacedEventOut]
    next_after: int
    """Hand this back as `after` for what comes later."""
    first: int
    """The number of the oldest event that is left."""
    last: int
    """The number of the newest event when this was asked for."""


class AcceptOut(Out):
    """What became of a plan."""

    plan_id: str
    flow: FlowOut | None
    version: VersionOut | None = None
    """The new version, of a plan that changes a stored flow."""
    run: RunOut | None


class ToolOut(Out):
    """A tool that flows may name."""

    name: str
    version: int
    summary: str
    effects: Literal["pure", "read", "write", "external", "irreversible"]
    untrusted_output: bool
    needs_model: bool
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]


class ToolList(Out):
    """Every tool of this service, by name."""

    items: list[ToolOut]


class Health(Out):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(Out):
    """The process and its database can take work."""

    status: Literal["ready"] = "ready"
    database: Literal["ok"] = "ok"


class EmittedOut(Out):
    """What became of an emitted event."""

    name: str
    key: str
    already: bool
    """One of this name and key was there already; that one stands."""
    woke: int
    """Steps that waited for it and go on."""
    emitted_at: Time
    emitted_by: str | None
    expires_at: Time
    """Until then, steps that begin to wait get it at once."""
