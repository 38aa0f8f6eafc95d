"""What finished runs teach about tools that go together."""

from __future__ import annotations

from flowbuilder.client.session import Session
from flowbuilder.planner.retrieval import CoUse
from flowbuilder.planner.shortlist import WHOLE_CATALOGUE


async def learn_co_use(session: Session) -> CoUse:
    """Return which tools went together in finished runs of the workspace.

    Nothing, and without asking the database, over a catalogue that is shown whole.
    """
    if len(session.registry) <= WHOLE_CATALOGUE:
        return CoUse()
    return CoUse.learn(await session.store.tools_together())
