"""The flow document `flow.v1`: the one format of plans, files, versions, API and UI.

The models describe a document whose shape is right. Whether it makes sense (tools exist, no
cycles, references fit) is decided by `flowbuilder.validation`, which reports everything at once.
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any, Literal

import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from flowbuilder.limits import MOST_AT_ONCE, RATE_PATTERN, Rate
from flowbuilder.types import JsonObject, JsonSchema, format_duration, parse_duration

FORMAT = "flow.v1"
#: People who may be asked to agree to one thing.
MOST_VOTES = 20
#: Nobody is asked for longer than this.
LONGEST_APPROVAL = timedelta(days=30)
STEP_ID_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]{0,62}$"
SLUG_PATTERN = r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,79}$"
TOOL_PATTERN = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*(@[0-9]+)?$"

_DURATION_SCHEMA: JsonSchema = {
    "anyOf": [
        {"type": "string", "pattern": r"^ *([0-9]+(\.[0-9]+)? *(ms|s|m|h|d) *)+$"},
        {"type": "number", "minimum": 0},
    ],
    "description": "A time span: '250ms', '30s', '1h30m', or a number of seconds.",
}


def _time_limit(value: Any) -> timedelta:
    limit = parse_duration(value)
    if not limit:
        raise ValueError("a time limit is longer than nothing")
    return limit


def _approver(name: str) -> str:
    """Refuse what names nobody, so that nobody could ever decide."""
    who = name.removeprefix("role:").removeprefix("user:")
    if not who or who != who.strip() or not name.isprintable():
        raise ValueError("it names nobody: write role:approver or user:ada")
    return name


def _whole(value: Any) -> Any:
    """Refuse what pydantic would take for a number, but JSON Schema does not: true and texts."""
    if isinstance(value, bool | str):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(_DURATION_SCHEMA),
]
TimeLimit = Annotated[
    timedelta,
    BeforeValidator(_time_limit),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(_DURATION_SCHEMA),
]
RateText = Annotated[
    Rate,
    BeforeValidator(Rate.read),
    PlainSerializer(str, return_type=str),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": RATE_PATTERN,
            "description": "So many starts in a span of time: '10/s', '5/1m', '100/h'.",
        }
    ),
]
Whole = Annotated[int, BeforeValidator(_whole)]
Approver = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_approver)]
StepId = Annotated[str, Field(pattern=STEP_ID_PATTERN)]
Slug = Annotated[str, Field(pattern=SLUG_PATTERN)]


class TriggerRule(StrEnum):
    """When a step starts, judged by how the steps it depends on have ended."""

    ALL_SUCCESS = "all_success"
    NONE_FAILED = "none_failed"
    ALL_DONE = "all_done"
    ONE_SUCCESS = "one_success"


class OnError(StrEnum):
    """What a step's final failure means for the run."""

    FAIL = "fail"
    SKIP = "skip"
    CONTINUE = "continue"


class Backoff(StrEnum):
    """How the delay between attempts grows."""

    FIXED = "fixed"
    LINEAR = "linear"
    EXPONENTIAL = "exponential"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class RetryPolicy(_Model):
    """How often and how patiently an attempt is repeated."""

    max_attempts: Whole = Field(default=3, ge=1, le=100)
    """All attempts, the first included."""
    backoff: Backoff = Backoff.EXPONENTIAL
    base_delay: Duration = timedelta(seconds=1)
    max_delay: Duration = timedelta(minutes=5)
    jitter: bool = Field(default=True, strict=True)
    """Spread each delay over 50 to 100 % of its length, so that retries do not come in step."""


def _decision_time(value: Any) -> timedelta:
    limit = _time_limit(value)
    if limit > LONGEST_APPROVAL:
        raise ValueError("people are asked for 30 days at most")
    return limit


DecisionTime = Annotated[
    timedelta,
    BeforeValidator(_decision_time),
    PlainSerializer(format_duration, return_type=str),
    WithJsonSchema(_DURATION_SCHEMA),
]
ArgPointer = Annotated[str, Field(pattern=r"^(/([^~/]|~[01])*)+$", max_length=500)]


class Escalation(_Model):
    """Who may decide too, and is told, when nobody has decided for so long."""

    after: DecisionTime
    to: list[Approver] = Field(min_length=1, max_length=50)


class ApprovalPolicy(_Model):
    """Who must agree before a step runs with exactly the arguments they saw."""

    by: list[Approver] = Field(default_factory=list, max_length=50)
    """`role:approver`, `user:ada`, or empty for anyone who may approve in the workspace."""
    deadline: DecisionTime = timedelta(hours=24)
    """30 days at most."""
    on_deadline: Literal["reject", "approve"] = "reject"
    message: str | None = Field(default=None, max_length=2000)
    """What to tell the person; written by the flow's author, shown beside the arguments."""
    quorum: Whole = Field(default=1, ge=1, le=MOST_VOTES)
    """How many different people have to agree to the same arguments."""
    rejections: Whole = Field(default=1, ge=1, le=MOST_VOTES)
    """How many different people have to refuse to end it."""
    separate_duties: bool = Field(default=False, strict=True)
    """Not by who has started the run, or made or changed its flow last, or by their keys."""
    locked: list[ArgPointer] = Field(default_factory=list, max_length=50)
    """Arguments that edits must leave as they are: `/to`."""
    escalate: list[Escalation] = Field(default_factory=list, max_length=5)

    @model_validator(mode="after")
    def _escalates_in_order(self) -> ApprovalPolicy:
        times = [item.after for item in self.escalate]
        if any(later <= before for before, later in pairwise(times)):
            raise ValueError("each escalation comes later than the one before")
        return self


class Compensation(_Model):
    """What undoes a step that has completed, when its run fails later."""

    tool: Annotated[str, Field(pattern=TOOL_PATTERN, max_length=200)]
    args: dict[str, Any] = Field(default_factory=dict)
    """As a step's; references go to the step's own output and to the steps that it depends on."""
    retry: RetryPolicy = RetryPolicy()
    timeout: TimeLimit | None = None
    """Time limit of one attempt; None for the tool's own default."""
    approval: ApprovalPolicy | None = None

    def as_step(self, step_id: str) -> Step:
        """Return it as a step of its own, named as the one that it undoes."""
        return Step(
            id=step_id,
            tool=self.tool,
            args=self.args,
            retry=self.retry,
            timeout=self.timeout,
            approval=self.approval,
        )


class LimitPolicy(_Model):
    """How many tasks of a step run at once, and how often one starts, over all runs of the flow."""

    key: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    """Counts by the value of one reference, `${{ input.customer }}` or `${{ item.host }}`: each
    value has the limit for itself. Without a reference, or without a key, all count together."""
    concurrency: Annotated[int, Field(ge=1, le=MOST_AT_ONCE), BeforeValidator(_whole)] | None = None
    """How many tasks may run at once."""
    rate: RateText | None = None
    """How many may start in any span of so much time: `5/1m`."""


class Step(_Model):
    """One node of a flow: a tool, its arguments and its policies."""

    id: StepId
    tool: Annotated[str, Field(pattern=TOOL_PATTERN, max_length=200)]
    description: str | None = Field(default=None, max_length=2000)
    args: dict[str, Any] = Field(default_factory=dict)
    """JSON values; strings may hold references such as `${{ steps.fetch.items }}`."""
    for_each: str | list[Any] | None = None
    """A reference to an array, or a literal array: one task per element (`item`, `index`)."""
    concurrency: Annotated[int, Field(ge=1, le=10_000), BeforeValidator(_whole)] | None = None
    """How many tasks of a mapped step may run at once; None for no limit."""
    when: str | None = Field(default=None, min_length=1, max_length=2000)
    """A CEL condition over `input`, `steps`, `run`; false skips the step."""
    depends_on: list[StepId] = Field(default_factory=list, max_length=1000)
    """Explicit order. Steps named in references are depended on without being listed here."""
    retry: RetryPolicy = RetryPolicy()
    timeout: TimeLimit | None = None
    """Time limit of one attempt; None for the tool's own default."""
    on_error: OnError = OnError.FAIL
    trigger_rule: TriggerRule = TriggerRule.ALL_SUCCESS
    approval: ApprovalPolicy | None = None
    compensate: Compensation | None = None
    """How to undo the step. When the run fails, the compensations of its completed steps run one
    after another, the latest step's first."""
    limit: LimitPolicy | None = None
    """Over all runs of the flow, unlike `concurrency`."""


class Flow(_Model):
    """A named graph of steps. Immutable: every accepted change makes a new version."""

    format: Literal["flow.v1"] = "flow.v1"
    flow: Slug
    description: str | None = Field(default=None, max_length=4000)
    input: dict[str, Any] = Field(default_factory=lambda: {"type": "object"})
    """JSON Schema of the run's input."""
    steps: list[Step] = Field(default_factory=list)
    output: Any = None
    """A JSON value with references; null means the outputs of the steps nothing depends on."""
    timeout: TimeLimit | None = None
    """How long a run may take in all; None for the setting `run_timeout`."""

    @property
    def slug(self) -> str:
        """The flow's name, unique in its workspace."""
        return self.flow

    def step(self, step_id: str) -> Step | None:
        """Return the step with this id, or None."""
        return next((step for step in self.steps if step.id == step_id), None)

    def document(self) -> JsonObject:
        """Return the document as JSON, defaults left out: what is stored, hashed and shown."""
        document: JsonObject = self.model_dump(
            mode="json", exclude_defaults=True, exclude_none=False
        )
        document.setdefault("flow", self.flow)
        return {"format": FORMAT, **document}

    def content_hash(self) -> str:
        """Return the SHA-256 of the canonical document, 64 hex digits.

        Key order does not count, the order of steps does.
        """
        canonical = orjson.dumps(self.document(), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(canonical).hexdigest()


def flow_json_schema() -> JsonSchema:
    """Return the JSON Schema (2020-12) of `flow.v1`."""
    schema: JsonSchema = Flow.model_json_schema(mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = FORMAT
    return schema
