"""The parts of a plan as flows that its own flow calls."""

from __future__ import annotations

from typing import Any

from flowbuilder.client.session import Session
from flowbuilder.errors import NotFound
from flowbuilder.flow import Flow
from flowbuilder.plan import Plan


async def publish_parts(session: Session, plan: Plan, flow: Flow) -> Flow:
    """Store the flows of a plan's parts and return its flow so that it calls exactly these.

    The names of parts tell their content. So publishing them again changes nothing, and a part
    that somebody has changed meanwhile is not what runs.
    """
    if not plan.children:
        return flow
    pins: dict[str, tuple[str, int]] = {}
    for child in plan.children:
        assert child.plan.flow is not None
        inner = await publish_parts(session, child.plan, child.plan.flow)
        pins[child.step] = inner.flow, await _published(session, inner)
    return flow.model_copy(
        update={
            "steps": [
                step.model_copy(update={"args": _pinned(step.args, *pins[step.id])})
                if step.id in pins
                else step
                for step in flow.steps
            ]
        }
    )


def _pinned(args: dict[str, Any], slug: str, version: int) -> dict[str, Any]:
    return {**args, "flow": slug, "version": version}


async def _published(session: Session, flow: Flow) -> int:
    """Return the number of the version of this very content; it is made if there is none."""
    store = session.store
    try:
        await store.get_flow(flow.flow)
        known = await store.list_versions(flow.flow)
    except NotFound:
        known = []
    document = flow.document()
    for row in known:
        if row.content_hash == flow.content_hash() and row.document == document:
            return int(row.version or 0)
    made = await store.register_version(flow, session.registry)
    return int(made.version or 0)
