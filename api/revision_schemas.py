"""What answers about plans taken further look like: reviews, differences, repairs."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from flowbuilder.api.schemas import ProblemOut
from flowbuilder.plan import PlanStatus


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
