"""What became of a run whose step has failed and that was to be planned anew."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter

from flowbuilder.api.dependencies import Builder, RunId
from flowbuilder.api.problem_documents import documented
from flowbuilder.api.schemas import Out, Time
from flowbuilder.client.runs import Run

router = APIRouter(prefix="/runs", tags=["runs"])


class ReplanOut(Out):
    """One time that a new plan for the rest of a run was asked for."""

    run_id: str
    number: int
    """Counts from 1."""
    step_id: str
    """The step that failed."""
    error: dict[str, Any]
    """What the run fails with if nothing comes of it."""
    status: Literal["open", "done", "refused", "cancelled"]
    tries: int
    """How many re-planners have been at it."""
    reason: dict[str, Any] | None
    """Why there is no new plan."""
    usage: dict[str, Any] | None
    """What planning took: calls of a model, tokens, cost."""
    version_id: str | None
    """The version that the run executes by the new plan."""
    requested_at: Time
    deadline_at: Time
    """When the run fails if there is no new plan."""
    decided_at: Time | None


class ReplanList(Out):
    """The re-plans of a run, in order."""

    items: list[ReplanOut]


@router.get("/{run_id}/replans", summary="List the re-plans of a run", responses=documented(404))
async def list_replans(builder: Builder, run_id: RunId) -> ReplanList:
    """Return each time that the rest of the run was to be planned anew, and what came of it."""
    run: Run = await builder.get_run(run_id)
    return ReplanList(items=[ReplanOut.model_validate(row) for row in await run.replans()])
