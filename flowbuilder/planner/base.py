"""What every planner is: goal, tools and input schema in, plan events out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from flowbuilder.plan import Plan
from flowbuilder.planner.memory.recollection import Recollection
from flowbuilder.planner.retrieval import CoUse
from flowbuilder.policy import DEFAULT_POLICY, Policies
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonSchema, JsonValue


class PlanEventType(StrEnum):
    """The events of a plan's stream; `plan_completed` or `plan_failed` is the last."""

    STARTED = "plan_started"
    STEP_ADDED = "plan_step_added"
    REPAIRED = "plan_repaired"
    COMPLETED = "plan_completed"
    FAILED = "plan_failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanEvent:
    """One thing that happened while planning. `plan` is set on `plan_completed` alone.

    Data by type: started `{goal, planner, model}`; step_added `{step, position, problems}`;
    repaired `{round, problems, notes, changed, added, removed}`, where round 0 needed no model and
    the last three are ids of steps; completed `{plan}`; failed `{code, message, problems}`.
    """

    type: PlanEventType
    data: JsonObject = field(default_factory=dict)
    plan: Plan | None = None
    stream: str | None = None
    """The id of the plan that comes about. Not the planner says it but who asks it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanRequest:
    """What is to be planned."""

    id: str
    """UUID text, becomes the plan's id and the name of its event stream."""
    goal: str
    registry: ToolRegistry
    input: JsonValue = None
    """The run's input if it is known already; references to it are typed by its shape."""
    input_schema: JsonSchema | None = None
    flows: tuple[str, ...] = ()
    """Slugs of registered flows that `flow.run` may call."""
    pinned: tuple[str, ...] = ()
    """Names of tools to be shown whatever the goal says."""
    co_use: CoUse = field(default_factory=CoUse)
    """Which tools went together in plans of before."""
    memory: Recollection = field(default_factory=Recollection)
    """What runs of before have taught about such goals."""
    policies: Policies = (DEFAULT_POLICY,)
    """What needs a person, and what is refused. No planner can lower it."""
    catalogue: ToolRegistry | None = None
    """The whole catalogue, where `registry` holds only what the goal could need of it."""


class Planner(Protocol):
    """Turns a goal into a plan."""

    name: str
    """`rules` or `model`; stored with the plan."""

    def stream(self, request: PlanRequest) -> AsyncIterator[PlanEvent]:
        """Plan, telling each step as it is found.

        The last event is `plan_completed` (its plan may carry problems or questions) or
        `plan_failed`; a planner raises after a `plan_failed` event.

        Raises:
            PlanningError: No usable plan came out. NoFittingTool when a clause fits no tool.
            ModelError: The provider failed within its time limit and retries.
        """
        ...
