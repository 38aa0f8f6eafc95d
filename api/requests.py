"""What request bodies look like: strict models, in which nothing unknown has a place."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from flowbuilder.budget import MOST
from flowbuilder.flow import SLUG_PATTERN
from flowbuilder.plan import LONGEST_EDIT, LONGEST_GOAL
from flowbuilder.tools.eventnames import LONGEST_KEY, LONGEST_NAME, NAME_PATTERN

#: Any JSON value. `JsonValue` itself is recursive, which makes an endless OpenAPI schema.
Json = Any


class Body(BaseModel):
    """A request body: unknown keys are refused and no value is bent into another type."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True
    )


class BudgetBody(Body):
    """What a run may cost, its children and its retries included; beyond that it fails."""

    tokens: Annotated[int, Field(ge=0, le=MOST)] | None = None
    usd: Annotated[float, Field(ge=0, le=MOST)] | None = None
    seconds: Annotated[float, Field(ge=0, le=MOST)] | str | None = None
    """A number, or a text such as `10m`."""
    steps: Annotated[int, Field(ge=0, le=MOST)] | None = None
    """Tasks that may start: one for a step, and one for each element of a map."""
    replans: Annotated[int, Field(ge=0, le=MOST)] | None = None


class PlanBody(Body):
    """A goal to plan for."""

    goal: str = Field(min_length=1, max_length=LONGEST_GOAL)
    """What is to be done, in plain language."""
    input: Json = None
    """The run's input, if it is known already; references to it are typed by its shape."""
    input_schema: dict[str, Any] | None = None
    """JSON Schema of the run's input, when its values are not known yet."""
    pinned: Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=100)] = Field(
        default_factory=list
    )
    """Names of tools that the planner is to look at, whatever the goal says."""
    start: Literal["early"] | None = None
    """`early`: start the first steps while the plan is still written, and run the plan when it is
    valid and certain. Only with `Accept: text/event-stream`."""


class AnswersBody(Body):
    """Answers to a plan's questions."""

    answers: dict[str, Json] = Field(min_length=1)
    """A value of the question's type for each question's id; those left out stay open."""


class EditBody(Body):
    """What is to be different, in words."""

    words: str = Field(min_length=1, max_length=LONGEST_EDIT)
    """Such as `also mail it to ada@example.org`."""


class AcceptBody(Body):
    """What is to become of a plan."""

    input: Json = None
    """The run's input; without it the one that the plan found in its goal."""
    save: bool | Annotated[str, Field(pattern=SLUG_PATTERN)] = False
    """Save the plan's flow: true under its own name, or a name for it."""
    run: bool = True
    """Start a run. Of a plan that changes a stored flow this makes a new version instead, and a
    run only where it is asked for."""
    budget: BudgetBody | None = None
    """What planning and run may cost."""
    replan: bool | None = None
    """Whether the rest may be planned anew when a step of the run fails for good or is denied.
    Null: as this service is set."""

    @model_validator(mode="after")
    def _does_something(self) -> AcceptBody:
        if not self.run and self.save is False:
            raise ValueError("with neither `run` nor `save` nothing would happen")
        return self


class RunBody(Body):
    """What to run: exactly one of `flow`, `document` and `goal`."""

    flow: Annotated[str, Field(pattern=SLUG_PATTERN)] | None = None
    """Name of a stored flow."""
    document: dict[str, Any] | None = None
    """A `flow.v1` document that is run without being saved."""
    goal: Annotated[str, Field(min_length=1, max_length=LONGEST_GOAL)] | None = None
    """A goal that is planned and, when the plan is valid and certain, run at once."""
    version: Annotated[int, Field(ge=1, le=2_147_483_647)] | None = None
    """A version of `flow`. Without it a builder publishes and runs the present draft, other members
    run the newest version."""
    input: Json = None
    """The run's input."""
    priority: Literal["high", "normal", "low"] = "normal"
    """Which runs go first."""
    budget: BudgetBody | None = None
    """What the run may cost."""
    replan: bool | None = None
    """Whether the rest may be planned anew when a step of the run fails for good or is denied.
    Null: as this service is set."""

    @model_validator(mode="after")
    def _one_subject(self) -> RunBody:
        subjects = [self.flow, self.document, self.goal]
        if sum(subject is not None for subject in subjects) != 1:
            raise ValueError("exactly one of `flow`, `document` and `goal` is needed")
        if self.version is not None and self.flow is None:
            raise ValueError("`version` goes with `flow` only")
        return self


class CancelBody(Body):
    """Why a run is cancelled."""

    reason: Annotated[str, Field(max_length=2000)] | None = None


class RetryBody(Body):
    """From where a run is retried."""

    from_step: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Run this step and all behind it again, besides those without a result."""


class DecisionBody(Body):
    """A person's decision."""

    decision: Literal["approve", "reject"]
    by: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Who decides, such as `user:ada`; without it the caller."""
    comment: Annotated[str, Field(max_length=2000)] | None = None
    edits: dict[str, Any] | None = None
    """The whole arguments object, changed: for a step that waits before it runs."""
    value: Json = None
    """The value asked for: for `human.input`."""
    args_hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Hash of the arguments that the person saw; others than these are not approved."""

    @model_validator(mode="after")
    def _fits_the_decision(self) -> DecisionBody:
        if self.decision == "reject" and (self.edits is not None or self.value is not None):
            raise ValueError("`edits` and `value` go with an approval only")
        return self


class EventBody(Body):
    """An event, for steps that wait for one of its name and key."""

    name: str = Field(min_length=1, max_length=LONGEST_NAME, pattern=NAME_PATTERN)
    """Such as `order.paid`."""
    key: Annotated[str, Field(max_length=LONGEST_KEY)] | None = None
    """Which one of that name, such as an order's number."""
    payload: Json = None
    """What the waiting steps complete with."""
    keep: str | int | float | None = None
    """How long steps that wait later still get it, such as `7d`."""
    by: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Who or what emits it; without it the caller."""


class StepBody(Body):
    """A step to be added; its keys are those of a step of `flow.v1`."""

    id: str
    tool: str
    description: str | None = None
    args: dict[str, Any] = Field(default_factory=dict)
    depends_on: list[str] = Field(default_factory=list)
    for_each: str | list[Any] | None = None
    concurrency: int | None = None
    when: str | None = None
    retry: dict[str, Any] | None = None
    timeout: str | int | float | None = None
    on_error: Literal["fail", "skip", "continue"] = "fail"
    trigger_rule: Literal["all_success", "none_failed", "all_done", "one_success"] = "all_success"
    approval: dict[str, Any] | None = None
    compensate: dict[str, Any] | None = None
    limit: dict[str, Any] | None = None


class LimitBody(Body):
    """How much of a tool may run; with neither of the two, what the tool declares is lifted."""

    concurrency: int | None = None
    """Calls at once."""
    rate: str | None = None
    """Starts in a span of time, such as `10/s` or `5/1m`."""


class SubscriptionBody(Body):
    """Which events a queue is to get."""

    channel: str
    """`workflow_events`, `task_events`, `approval_events` or `plan_events`."""
    queue: str | None = None
    """Made when it is missing; by default it is named like the channel."""
    pattern: str | None = None
    """Which topics of the channel, such as `task_events.task_failed`; by default all."""
    largest: int | None = None
    """Messages that the queue may hold, 10,000 by default; what comes after waits outside."""


def bounds(budget: BudgetBody | None) -> dict[str, Any] | None:
    """Return what a budget bounds; None without one."""
    return None if budget is None else budget.model_dump(exclude_none=True)


class SecretBody(Body):
    """A secret's value and who may have it: at least one host or tool."""

    value: str
    """At least eight characters; never shown again."""
    hosts: list[str] = Field(default_factory=list)
    """Where it may be sent to, such as `api.example.org`, `*.example.org` or `localhost:8080`."""
    tools: list[str] = Field(default_factory=list)
    """Which tools may read it: a name, the beginning of names as in `mail.*`, or `*`."""
    description: str | None = None
    """What it is for."""
