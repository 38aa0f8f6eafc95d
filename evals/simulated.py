"""Cases of suites that bring a world: plans are carried out in it, beside their gold flows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from flowbuilder.errors import FlowBuilderError
from flowbuilder.evals.dataset import Case, Dataset
from flowbuilder.evals.evaluators import canonical
from flowbuilder.evals.world import (
    Fault,
    FaultInjector,
    FaultKind,
    Performance,
    Stage,
    World,
    answering,
    score,
)
from flowbuilder.plan import Plan

if TYPE_CHECKING:
    from flowbuilder.evals.runner import Observation


def world_of(dataset: Dataset, case: Case) -> World | None:
    """Return a new world for a case, None where its suite has none."""
    if dataset.world is None:
        return None
    faults = [
        Fault(tool=item.tool, kind=FaultKind(item.kind), times=item.times)
        for item in dataset.world.faults
    ]
    return World(dataset.tools_for(case), seed=dataset.world.seed, faults=FaultInjector(faults))


async def played(stage: Stage, case: Case, plan: Plan, seen: Observation) -> Observation:
    """Carry a plan out, its approvals given and its questions answered by the case.

    Where the case has a gold flow, that is carried out in the same world, and `executed` says how
    what the plan left behind compares.
    """
    try:
        found = await _performed(stage, case, plan)
    except FlowBuilderError as error:
        return replace(seen, reason=f"the run did not start: {error.code}: {error.message}")
    seen = replace(seen, ran=found.completed, output=found.output)
    if not found.completed:
        error_told = (found.error or {}).get("message") or found.status.value
        seen = replace(seen, reason=f"the run ended with {error_told}")
    gold_flow = case.expect.flow
    if gold_flow is None:
        return seen
    unsaid = plan.flow is None or plan.flow.output is None
    if unsaid:  # nobody says what comes out of a plan: then that is what its last steps give
        gold_flow = {key: part for key, part in gold_flow.items() if key != "output"}
    try:
        gold = await _performed(stage, case, gold_flow)
    except FlowBuilderError as error:
        return replace(seen, reason=f"the gold flow did not start: {error.message}")
    if unsaid:
        found, gold = _nameless(found), _nameless(gold)
    return replace(seen, executed=score(found, gold).findings())


def _nameless(played: Performance) -> Performance:
    """Return a performance with what its last steps gave in an order that no name counts for."""
    if not isinstance(played.output, dict):
        return played
    return replace(played, output=sorted(played.output.values(), key=canonical))


async def _performed(stage: Stage, case: Case, flow: Plan | dict[str, object]) -> Performance:
    return await stage.play(flow, case.input, person=answering(*case.answers))
