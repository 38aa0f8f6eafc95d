"""One FlowBuilder for each workspace, behind the second wall: the database's row-level security.

The service looks up by workspace in every statement; that is the first wall. Here every statement
of a request is also sent as a role that sees the rows of one workspace only, over connections of
their own: were they shared with a worker's, the plans of the engine's functions would be made anew
at every change of role.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from flowbuilder.client.builder import FlowBuilder
from flowbuilder.executor.database import Database
from flowbuilder.executor.scoped import ScopedDatabase, check_role

#: Workspaces whose view (with what it remembers of flows) is kept.
MOST_VIEWS = 256


class Tenants:
    """Views of an open FlowBuilder, one for each workspace."""

    def __init__(self, builder: FlowBuilder) -> None:
        self.builder = builder
        self._guarded: Database | None = None
        self._opening = asyncio.Lock()
        self._views: OrderedDict[str, FlowBuilder] = OrderedDict()

    async def open(self) -> None:
        """Connect. Raises: DatabaseUnavailable, DatabaseError (`app_role_missing`)."""
        async with self._opening:
            if self._guarded is not None:
                return
            await check_role(self.builder.store.database)
            self._guarded = await Database.open(
                self.builder.store.database.dsn,
                size=self.builder.settings.pool_size,
                application_name="flowbuilder-api",
            )

    async def close(self) -> None:
        """Close the connections; views are of no use any more."""
        self._views.clear()
        if self._guarded is not None:
            await self._guarded.close()
            self._guarded = None

    async def of(self, workspace: str) -> FlowBuilder:
        """Return the view of a workspace (an id). Raises: as `open`."""
        if self._guarded is None:
            await self.open()
        view = self._views.get(workspace)
        if view is None:
            assert self._guarded is not None
            view = self.builder.within(workspace, ScopedDatabase(self._guarded, workspace))
            self._views[workspace] = view
            if len(self._views) > MOST_VIEWS:
                self._views.popitem(last=False)
        self._views.move_to_end(workspace)
        await view.look_for_connections(at_once=False)
        return view
