"""The log of a workspace: the events of all its streams, in one order."""

from __future__ import annotations

from dataclasses import dataclass

from flowbuilder.executor import queries, rows
from flowbuilder.executor.events import EventRow
from flowbuilder.executor.store.base import StoreBase


@dataclass(frozen=True, kw_only=True, slots=True)
class LogState:
    """What a log holds: the numbers `first` to `last`; nothing when `last` is before `first`."""

    first: int
    last: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Numbered:
    """What one call of `number` did."""

    last: int
    more: bool
    """Whether another call would find something to do at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacedEvent:
    """An event and its number in the log of its workspace."""

    place: int
    event: EventRow


class WorkspaceLogStore(StoreBase):
    """Begins, numbers and reads the log of one workspace."""

    async def open(self) -> LogState:
        """Begin the log, or note that it is still read. For the owner of the database.

        Raises:
            DatabaseError: A long transaction that writes events stands in the way
                (`lock_timeout`); only where the log is not there yet.
        """
        answer = (await self._one(queries.OPEN_WORKSPACE_LOG, self.workspace))["answer"]
        return LogState(first=answer["first"], last=answer["last"])

    async def number(self, *, limit: int) -> Numbered | None:
        """Number what was committed; None without a log. For the owner of the database."""
        answer = (await self._one(queries.NUMBER_EVENTS, self.workspace, limit))["answer"]
        return None if answer is None else Numbered(last=answer["last"], more=answer["more"])

    async def read(self, *, after: int, limit: int) -> list[PlacedEvent]:
        """Read the events behind a number, in order; what retention deleted is left out."""
        found = await self._all(queries.WORKSPACE_EVENTS, self.workspace, after, limit)
        return [PlacedEvent(place=row.pop("place"), event=rows.event(row)) for row in found]
