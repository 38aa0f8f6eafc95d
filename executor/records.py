"""Rows of the store as frozen values: what crosses the border between SQL and Python."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from flowbuilder.executor.approval_records import ApprovalRow as ApprovalRow
from flowbuilder.executor.events import News
from flowbuilder.executor.states import RunStatus, StepStatus, TaskStatus
from flowbuilder.limits import Priority
from flowbuilder.types import DEFAULT_WORKSPACE as DEFAULT_WORKSPACE
from flowbuilder.types import JsonObject, JsonValue


class TaskKind(StrEnum):
    """What a worker is asked to do."""

    STEP = "step"
    """Resolve the arguments and call the tool."""
    EXPAND = "expand"
    """Evaluate the `when` of a mapped step before its elements become tasks."""
    FINISH = "finish"
    """Resolve the flow's `output`."""
    COMPENSATE = "compensate"
    """Undo a completed step of a run that has failed: as a step's task, with a tool of its own."""


class OutcomeKind(StrEnum):
    """What an attempt ended with."""

    COMPLETED = "completed"
    FAILED = "failed"
    """Final: no further attempt."""
    RETRY = "retry"
    WAITING = "waiting"
    SKIPPED = "skipped"
    RELEASED = "released"
    """Handed back unstarted or interrupted by shutdown; costs no attempt."""


class Verdict(StrEnum):
    """What the database says to a reported outcome."""

    ACCEPTED = "accepted"
    ALREADY = "already"
    FENCED = "fenced"


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowRow:
    """A flow's head: the mutable draft and the newest published version."""

    slug: str
    description: str | None
    draft: JsonObject
    """The `flow.v1` document being built."""
    version: int | None
    """The newest published version; None while it was never published."""
    revision: str
    """Another one after each change of the draft."""
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None = None
    """Since when no run of it may be started."""

    @property
    def state(self) -> Literal["draft", "active", "archived"]:
        """A draft was never published; what is archived starts no runs."""
        if self.archived_at is not None:
            return "archived"
        return "draft" if self.version is None else "active"


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionRow:
    """An immutable flow version."""

    id: str
    slug: str
    version: int | None
    """Number within the flow, from 1; None for graphs that were executed without being saved."""
    content_hash: str
    document: JsonObject
    origin: Literal["published", "dynamic", "run"]
    created_at: datetime
    places: JsonObject | None = None
    """`{steps: {id: position}, next}` of a run's version that was planned anew; None: the steps
    stand in the order of the document."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRow:
    """A run."""

    id: str
    flow: str
    version: int | None
    version_id: str
    status: RunStatus
    input: JsonValue
    output: JsonValue
    error: JsonObject | None
    """`{code, message, step?, task_id?, attempt?}` of a failed run; of one that was undone also
    `compensated` (steps, in that order) and `not_compensated` (`{step, error}`); of one that was to
    be planned anew also `replan` (`{code, message}`): why it was not."""
    remaining_steps: int
    last_seq: int
    """Number of the newest event."""
    idempotency_key: str | None
    parent_run_id: str | None
    plan_id: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    deadline_at: datetime
    retry_of: str | None = None
    """The run that this one retries."""
    retry_from: str | None = None
    """The step that was named for it."""
    failure: JsonObject | None = None
    """Why it fails, from the moment on when what its steps have done is being undone."""
    priority: Priority = Priority.NORMAL


@dataclass(frozen=True, kw_only=True, slots=True)
class StepRow:
    """A step inside a run."""

    run_id: str
    position: int
    step_id: str
    tool: str
    status: StepStatus
    task_count: int | None
    """Tasks of the step; None until it has started."""
    remaining_tasks: int | None
    output: JsonValue
    error: JsonObject | None
    skip_reason: str | None
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskRow:
    """A task inside a run."""

    id: str
    run_id: str
    step_id: str | None
    index: int | None
    kind: TaskKind
    status: TaskStatus
    tool: str | None
    attempt: int
    fence: int
    worker_id: str | None
    available_at: datetime | None
    output: JsonValue
    error: JsonObject | None
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyRow:
    """A policy as it was set for a workspace."""

    id: int
    document: JsonObject | None
    """None: what was said before was taken back."""
    set_at: datetime
    set_by: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanRow:
    """A stored plan: `Plan.as_json()` plus when."""

    id: str
    goal: str
    status: str
    document: JsonObject
    created_at: datetime
    run_id: str | None
    """The run that executed it, once accepted and started."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerRow:
    """A worker as the database knows it."""

    id: str
    name: str
    pid: int
    host: str
    status: Literal["live", "stopped", "dead"]
    concurrency: int
    tools: list[str]
    started_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class LeasedTask:
    """A task handed to a worker, with everything needed to run it."""

    task_id: int
    fence: int
    run_id: str
    kind: TaskKind
    step_id: str | None
    """None for the finishing task of a run."""
    node_id: int | None
    """Names the definition: the same for the same step of the same version, None for a finishing
    task."""
    index: int | None
    item: JsonValue
    attempt: int
    claims: int
    definition: JsonObject
    """The step of the `flow.v1` document with all policies (`args`, `when`, `timeout`, `retry`,
    `approval`, `tool`, …); for a finishing task `{"output": …}`. Shared by all tasks of the step:
    not to be changed."""
    args: JsonObject | None
    """Approved arguments: to be used as they are, instead of resolving `definition.args`."""
    approved: bool
    """The step's approval was given: do not ask again."""
    run: JsonObject
    """`{id, flow, version, started_at}`, the reference root `run`."""
    input: JsonValue
    outputs: dict[str, JsonValue]
    """Outputs of the steps that the definition refers to; skipped ones are null."""
    skipped: list[str]
    """Which of them were skipped."""
    budget: JsonObject | None = None
    """`{tokens, usd}` that were left of the run's budget, null where it has no bound; None for a
    run without a budget."""
    version_id: str = ""
    """The version that the run executes."""
    workspace_id: str = DEFAULT_WORKSPACE
    """The workspace that the run belongs to."""
    guard: JsonObject | None = None
    """What policy has to know: `{policy, planned, marks}`; None: there is no policy, no plan, and
    nothing came from outside but what tools declare."""

    @property
    def key(self) -> tuple[int, int]:
        """`(task_id, fence)`: names this attempt to the database."""
        return (self.task_id, self.fence)

    def outcome(self, kind: OutcomeKind, **details: Any) -> Outcome:
        """Return what this attempt ends with; `details` are further fields of an Outcome."""
        return Outcome(
            task_id=self.task_id, run_id=self.run_id, fence=self.fence, kind=kind, **details
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """What a worker offers to a start: to have some of the first tasks leased to it at once."""

    worker_id: str
    free: int
    lease_seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Started:
    """The answer to a start of runs."""

    runs: list[tuple[str, bool]]
    """`(id, created)` in the order of the inputs."""
    at: datetime
    deadline_at: datetime
    tasks: list[LeasedTask]
    """What was leased to the worker that offered room."""
    queued: bool
    """Whether something waits in the queue."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a worker reports of one attempt."""

    task_id: int
    run_id: str
    fence: int
    kind: OutcomeKind
    output: JsonValue = None
    """completed: the result (an expand task: true)."""
    error: JsonObject | None = None
    """failed, retry: `{code, message, …}`."""
    reason: str | None = None
    """skipped: `condition`."""
    delay_seconds: float | None = None
    """retry: until the next attempt."""
    wait: JsonObject | None = None
    """waiting: `{kind: time, seconds}`, `{kind: approval, approval_kind, args, args_hash, message,
    schema, by, deadline_seconds, on_deadline}`, `{kind: run, version_id, flow, input}` or `{kind:
    event, name, key, timeout_seconds, on_timeout}`."""
    spent: JsonObject | None = None
    """`{tokens, unpriced_tokens, usd}`, if the attempt has spent anything."""

    @property
    def key(self) -> tuple[int, int]:
        """`(task_id, fence)`: names the attempt."""
        return (self.task_id, self.fence)

    def as_json(self) -> JsonObject:
        """Return the outcome as the SQL function takes it: what is not said is left out."""
        said: JsonObject = {
            "task_id": self.task_id,
            "run_id": self.run_id,
            "fence": self.fence,
            "kind": self.kind,
        }
        if self.spent is not None:
            said["spent"] = self.spent
        if self.kind is OutcomeKind.COMPLETED:
            said["output"] = self.output
            return said
        for name in ("error", "reason", "delay_seconds", "wait"):
            if (value := getattr(self, name)) is not None:
                said[name] = value
        return said


@dataclass(frozen=True, kw_only=True, slots=True)
class Exchange:
    """The answer to one `exchange`."""

    tasks: list[LeasedTask]
    verdicts: dict[tuple[int, int], Verdict]
    """One for each reported outcome, by `(task_id, fence)`."""
    lost: list[tuple[int, int]] = field(default_factory=list)
    """Held attempts that are no longer this worker's: stop their handlers."""
    touched: list[str] = field(default_factory=list)
    """Runs that may have got new events: whom to notify about."""
    going_on: frozenset[str] = frozenset()
    """Those of them that have surely not ended."""
    ready: bool = False
    """More work is visible in the queue than was handed out: wake the others."""
    elsewhere: bool = False
    """Work that this call has queued stands there, perhaps for others: they have other tools."""
    over: frozenset[str] = frozenset()
    """Runs that this call has stopped because they are over their budget."""
    ended: tuple[str, RunRow] | None = None
    """The workspace and the row of the run that this call has ended, where it is said: nobody here
    need read it."""
    news: list[News] = field(default_factory=list)
    """For readers in this process: all events from where they are up to those of this call."""
    next_due_seconds: float | None = None
    """Until the nearest delayed retry or end of a wait that this call set, or until a rate lets the
    next task start; 0 when other runs are to hear of something; None when there is nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Upkeep:
    """The answer to one `tick`: what time, dead workers and other runs' ends have moved."""

    touched: list[str]
    ready: bool
    next_due_seconds: float | None
    """Until the next timer, deadline or delayed retry; None when nothing is due."""
    queued: bool = False
    """Something can be seen in the queue."""
    undelivered: bool = False
    """Events are still to be put into queues of other systems."""
    schedules: bool = False
    """A schedule is due."""
    notices: bool = False
    """Somebody is to be told of an approval, or further people are to be asked."""
    replans: bool = False
    """A run is to be planned anew, and nobody is at it."""
