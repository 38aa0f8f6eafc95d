"""Adding steps to the runs of a scripted engine."""

from __future__ import annotations

from flowbuilder.executor.graphs import compile_step
from flowbuilder.executor.records import VersionRow
from flowbuilder.executor.replacing import grown_places
from flowbuilder.flow import Flow
from flowbuilder.types import JsonObject
from tests.support.engine import Engine


async def grow(engine: Engine, run_id: str, step: JsonObject, *, base: str = "") -> VersionRow:
    """Add a step to a run; `base` is another version than the one that the run executes."""
    run = await engine.run(run_id)
    version = await engine.store.get_version_by_id(run.version_id)
    before = Flow.model_validate(version.document).document()
    listed = before["steps"]
    assert isinstance(listed, list)
    flow = Flow.model_validate({**before, "steps": [*listed, {"tool": "work", **step}]})
    return await engine.store.grow_run(
        run_id,
        base=base or version.id,
        document=flow.document(),
        content_hash=flow.content_hash(),
        compiled=compile_step(
            flow,
            len(flow.steps) - 1,
            engine.registry,
            places=grown_places(version, flow.steps[-1].id),
        ),
        actor="user:ada",
    )
