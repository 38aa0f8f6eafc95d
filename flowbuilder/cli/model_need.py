"""Refusing a run that would wait for ever: nobody has the model that its steps need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from flowbuilder.cli.watching import live_workers
from flowbuilder.client.checking import called_flows
from flowbuilder.errors import ModelError, NotFound
from flowbuilder.flow import Flow, Step

if TYPE_CHECKING:
    from flowbuilder.client import FlowBuilder

_HINT = "Set FLOWBUILDER_MODEL, or add --local-model to fetch a small model and use that."


async def require_model(builder: FlowBuilder, flows: Iterable[Flow]) -> None:
    """Refuse flows of which steps need a model that nobody has who could run them.

    Where the database is shared, a worker with a model may come at any time: there a run waits.

    Raises:
        ModelError: `model_not_configured`.
    """
    if builder.settings.model or builder.settings.database_url is not None:
        return
    needing = await _needing_model(builder, [*flows])
    if not needing:
        return
    offered = {name for row in await live_workers(builder) for name in row.tools}
    for step in needing:
        tool = builder.tools.require(step.tool)
        if tool.ref not in offered:
            raise ModelError(
                f"Step {step.id} ({tool.name}) needs a language model, and none is configured; "
                "nothing was started.",
                code="model_not_configured",
                hint=_HINT,
            )


async def _needing_model(builder: FlowBuilder, waiting: list[Flow]) -> Sequence[Step]:
    """Return the steps that need a model, those of the flows that steps call among them."""
    found: list[Step] = []
    seen: set[str] = set()
    while waiting:
        flow = waiting.pop()
        for step in flow.steps:
            tool = builder.tools.get(step.tool)
            if tool is not None and tool.needs_model:
                found.append(step)
        for called in called_flows(flow.document()):
            if called in seen:
                continue
            seen.add(called)
            try:
                waiting.append((await builder.get_flow(called)).draft)
            except NotFound:
                continue  # whoever runs it says so
    return found
