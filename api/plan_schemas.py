"""What answers about plans look like: plans, reviews, differences, repairs."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from flowbuilder.api.schemas import Json, Out, ProblemOut, Time
from flowbuilder.executor.records import PlanRow
from flowbuilder.plan import Plan, PlanStatus


class PlanOut(BaseModel):
    """A plan, to be judged before it is accepted."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    id: str
    goal: str
    status: PlanStatus
    planner: str
    """`rules`, or `model`."""
    model: str | None
    certain: bool
    """False when the planner chose between near equals."""
    certain_once_answered: bool
    """Nothing but its questions keeps it from being certain."""
    flow: dict[str, Any] | None
    """The `flow.v1` document."""
    input: Json
    notes: list[str]
    problems: list[ProblemOut]
    questions: list[dict[str, Any]]
    estimate: dict[str, Any] | None
    """What running it will take: `tokens`, `cost_usd` (null: the price is not known), `seconds`,
    `steps`, `effects`, each `{low, likely, high}`, and what was assumed."""
    usage: dict[str, Any]
    children: list[dict[str, Any]]
    """The parts of a large goal, flows of their own: `{step, input_schema, output_schema, plan}`,
    each plan with its own `children`."""
    parent: str | None
    """The plan that this one was made of, by an answer or an edit."""
    revision: int
    """How many plans there were for this goal, with this one."""
    answers: dict[str, Any]
    """What was answered so far, by the questions' ids."""
    edits: list[str]
    """The words by which it was changed, in order."""
    changes: str | None
    """The stored flow that accepting it makes a new version of."""
    base: dict[str, Any] | None
    """The document before; null for the first plan of a goal."""
    diff: dict[str, Any] | None
    """What differs from the document before."""

    @classmethod
    def of(cls, plan: Plan) -> PlanOut:
        """Return the answer for a plan."""
        return cls.model_validate(plan.as_json())


class PlanSummary(Out):
    """A plan in a list."""

    id: str
    goal: str
    status: str
    run_id: str | None
    created_at: Time

    @classmethod
    def of(cls, row: PlanRow) -> PlanSummary:
        """Return the summary of a row."""
        return cls.model_validate(row)


class PlanList(Out):
    """The newest plans first."""

    items: list[PlanSummary]
    next_cursor: str | None
    """Hand this back as `cursor` for the page after; null on the last."""


class ReviewOut(BaseModel):
    """A plan as a person judges it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    plan_id: str
    goal: str
    status: PlanStatus
    certain: bool
    revision: int
    summary: str
    """What it does, in plain words."""
    steps: list[dict[str, Any]]
    """`{id, tool, does, effects, means, after, approval, why}` of each step."""
    graph: dict[str, str]
    """The graph as a tree of `text`, and as `mermaid`."""
    estimate: dict[str, Any] | None
    """As in the plan."""
    notes: list[str]
    questions: list[dict[str, Any]]
    problems: list[ProblemOut]
    diff: dict[str, Any] | None
    """What differs from the version before; null for the first."""


class DiffOut(BaseModel):
    """What leads from one version of a flow to another."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    slug: str
    base: int
    """The older version; 0 for none."""
    version: int
    added: list[dict[str, Any]]
    """Whole steps, as they are in the newer version."""
    removed: list[dict[str, Any]]
    changed: list[dict[str, Any]]
    """`{id, was?, fields: [{pointer, old?, new?}]}` of each step; `was`: it was renamed."""
    fields: list[dict[str, Any]]
    """What differs outside the steps."""
    reordered: bool
    empty: bool
    text: str
    """The same to read."""


class RepairOut(BaseModel):
    """A document after what needs no decision was mended."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    valid: bool
    document: dict[str, Any]
    """The mended document; the given one where nothing was to be mended."""
    changes: list[dict[str, Any]]
    """`{code, pointer, before?, after?}` of each change, in order."""
    problems: list[ProblemOut]
    """What is still to be said of it."""
