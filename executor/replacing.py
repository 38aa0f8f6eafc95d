"""The rest of a run made anew: which steps stay where they are, and where the others stand."""

from __future__ import annotations

from typing import Any

from flowbuilder.executor.graphs import UNDOING_PREFIX, compile_output, compile_steps, in_order
from flowbuilder.executor.records import VersionRow
from flowbuilder.executor.states import StepStatus
from flowbuilder.executor.store.replanning import NewRest, ReplanContext
from flowbuilder.flow import Flow
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject


def new_rest(
    context: ReplanContext,
    flow: Flow,
    registry: ToolRegistry,
    *,
    document: JsonObject,
    told: JsonObject,
) -> NewRest:
    """Compile what a run is to execute from here on.

    A step that is there and has not failed keeps its position, and if it is as it was also the
    tools that it is pinned to. Every other one gets a position that no task of the run has had.

    Args:
        context: The run as it is.
        flow: The whole flow, with all that has started as it was.
        registry: The tools; those of steps that stay need not be among them.
        document: The flow's document, as it is to be stored.
        told: What the run's stream is told of it.

    Raises:
        DefinitionError: A tool of a new step is not registered (unknown_tool).
    """
    places, following = _places(context, flow)
    kept = _unchanged(context, document)
    pins = {step.id: step.tool for step in context.steps if step.id in kept}
    undoing = {
        name: tool
        for name, tool in context.undoing.items()
        if name.removeprefix(UNDOING_PREFIX) in kept
    }
    return NewRest(
        document=document,
        content_hash=flow.content_hash(),
        compiled=compile_steps(flow, registry, places=places, pins={**pins, **undoing}),
        output=compile_output(flow, places=places),
        places={"steps": {**places}, "next": following},
        told=told,
    )


def places_of(document: JsonObject, places: JsonObject | None) -> tuple[dict[str, int], int]:
    """Return where the steps of a version stand, and the first position that is free."""
    found: Any = places
    if found is not None:
        return dict(found["steps"]), int(found["next"])
    flow = Flow.model_validate(document)
    return in_order(flow), len(flow.steps)


def grown_places(base: VersionRow, step_id: str) -> dict[str, int] | None:
    """Return where the steps stand with one more at the end; None: in their order."""
    if base.places is None:
        return None
    places, following = places_of(base.document, base.places)
    return {**places, step_id: following}


def _places(context: ReplanContext, flow: Flow) -> tuple[dict[str, int], int]:
    _, following = places_of(context.document, context.places)
    standing = {
        step.id: step.place for step in context.steps if step.status is not StepStatus.FAILED
    }
    places: dict[str, int] = {}
    for step in flow.steps:
        if step.id in standing:
            places[step.id] = standing[step.id]
        else:
            places[step.id] = following
            following += 1
    return places, following


def _unchanged(context: ReplanContext, document: JsonObject) -> set[str]:
    """Return the steps that the new document says the same of, and that have not failed."""
    before: Any = context.document["steps"]
    after: Any = document["steps"]
    old = {step["id"]: step for step in before}
    standing = {step.id for step in context.steps if step.status is not StepStatus.FAILED}
    return {step["id"] for step in after if step["id"] in standing and old.get(step["id"]) == step}
