"""Planning the runs of a scripted engine anew, as a re-planner would."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowbuilder.executor.records import VersionRow
from flowbuilder.executor.replacing import new_rest
from flowbuilder.executor.states import StepStatus
from flowbuilder.executor.store.replanning import Claim, ReplanContext
from flowbuilder.executor.terms import Terms
from flowbuilder.flow import Flow
from flowbuilder.types import JsonObject, JsonValue
from tests.support.engine import Engine

#: The names of the scripted engine's tools.
TOOLS = ("work", "other")
ALLOWED = Terms(max_replans=3, replan_seconds=600)


async def started(engine: Engine, flow: Flow, input: JsonValue = None, **rest: Any) -> str:
    """Start a run that may be planned anew."""
    rest.setdefault("terms", ALLOWED)
    return await engine.start(flow, input, **rest)


async def claimed(engine: Engine, owner: str = "planner", *, lease: float = 30) -> Claim:
    """Take the run that waits for a new plan."""
    claim = await engine.store.claim_replan(owner, tools=TOOLS, lease_seconds=lease)
    assert claim is not None
    return claim


async def known(engine: Engine, claim: Claim) -> ReplanContext:
    """Read what a re-planner is told."""
    context = await engine.store.replan_context(claim)
    assert context is not None
    return context


async def replaced(
    engine: Engine,
    claim: Claim,
    *steps: JsonObject,
    without: Sequence[str] = (),
    context: ReplanContext | None = None,
    **rest: Any,
) -> VersionRow:
    """Carry a run on with these steps in the place of those of their ids, or as new ones."""
    context = context or await known(engine, claim)
    before: Any = context.document["steps"]
    given = {str(step["id"]): {"tool": "work", **step} for step in steps}
    listed = [given.pop(step["id"], step) for step in before if step["id"] not in without]
    flow = Flow.model_validate({**context.document, "steps": [*listed, *given.values()], **rest})
    gone = {step.id for step in context.steps if step.status is StepStatus.FAILED}
    old = {step["id"] for step in before} - gone
    added: list[JsonValue] = [step.id for step in flow.steps if step.id not in old]
    return await engine.store.replan_run(
        claim,
        new_rest(context, flow, engine.registry, document=flow.document(), told={"added": added}),
        base=context.version_id,
        failed=sorted(gone),
        usage={"calls": 1},
    )
