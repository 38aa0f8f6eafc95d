"""Adding steps to a draft one after another, each for the price of that step.

A session remembers the drafts that it changed last, with what validation knows of them. While a
draft is as it was left, a further step is judged by itself and written by itself. Whatever is in
doubt goes the long way: the draft is read, checked and written as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from flowbuilder.errors import Conflict
from flowbuilder.executor.records import FlowRow
from flowbuilder.flow import Flow
from flowbuilder.types import JsonObject
from flowbuilder.validation.growing import GrowingFlow

if TYPE_CHECKING:
    from flowbuilder.client.session import Session

#: Drafts that a session remembers.
MOST_DRAFTS = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownDraft:
    """A draft as this process has left it."""

    row: FlowRow
    flow: GrowingFlow


async def append(session: Session, slug: str, step: JsonObject) -> FlowRow | None:
    """Add a step to a draft that is known. None: nothing was done, it takes the long way.

    The caller holds the draft's lock.
    """
    known = session.drafts.pop(slug, None)  # what goes wrong here is not to be built upon
    stored = None if known is None else known.flow.add(step)
    if known is None or stored is None:
        return None
    try:
        row = await session.store.append_step(known.row, stored)
    except Conflict:
        return None
    session.drafts[slug] = replace(known, row=row)
    return row


def remember(session: Session, row: FlowRow, flow: Flow) -> None:
    """Keep a draft that was just checked and written, in the place of the oldest one."""
    session.drafts[row.slug] = KnownDraft(row=row, flow=growing_flow(session, flow))
    while len(session.drafts) > MOST_DRAFTS:
        del session.drafts[next(iter(session.drafts))]


def growing_flow(session: Session, flow: Flow) -> GrowingFlow:
    """Return a valid flow so that further steps can be judged by themselves."""
    settings = session.settings
    return GrowingFlow(
        flow,
        session.registry,
        max_steps=settings.max_steps,
        depth=settings.max_json_depth,
        value_bytes=settings.max_value_bytes,
    )
