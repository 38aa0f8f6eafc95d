"""Who follows streams in a worker's own process: the worker hands over what its exchanges write."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from flowbuilder.executor.events import News
from flowbuilder.executor.records import RunRow
from flowbuilder.types import JsonObject

#: Streams that one exchange is asked for news of.
MOST_STREAMS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """Who follows a stream, and how far it is known to it."""

    stream: str
    workspace: str
    """Id of the workspace that it reads in."""
    after: int
    """Number of the last event that it knows."""

    def as_json(self) -> JsonObject:
        """Return it as the SQL function `exchange_and_tell` takes it."""
        return {"stream": self.stream, "workspace": self.workspace, "after": self.after}


class Readers(Protocol):
    """Those who follow streams here, as a worker knows them. Nothing here blocks."""

    def of(self, streams: Iterable[str]) -> list[Reader]:
        """Return who keeps up with these streams: of each, who has got furthest."""

    def tell(self, news: Iterable[News]) -> frozenset[str]:
        """Hand over news; return the streams whose readers need not hear of them again."""

    def run_ended(self, workspace: str, run: RunRow) -> None:
        """Hand over the row of a run that has just ended, with the id of its workspace."""


class NoReaders:
    """Nobody follows anything in this process."""

    def of(self, streams: Iterable[str]) -> list[Reader]:
        """Return nobody."""
        return []

    def tell(self, news: Iterable[News]) -> frozenset[str]:
        """Tell nobody."""
        return frozenset()

    def run_ended(self, workspace: str, run: RunRow) -> None:
        """Tell nobody."""
