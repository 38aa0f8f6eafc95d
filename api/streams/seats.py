"""How many streams are open at once: in this process, of one workspace, of one user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flowbuilder.api.problems import Unavailable
from flowbuilder.api.refusals import TooManyStreams
from flowbuilder.settings import Settings

#: Seconds after which a client that was refused may come again.
COME_AGAIN = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """Whose a stream is; None: of nobody, as where nobody logs in."""

    user: str | None = None
    workspace: str | None = None


NOBODY = Holder()


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """How many there may be."""

    process: int = 2000
    workspace: int = 1000
    user: int = 500

    @classmethod
    def of(cls, settings: Settings) -> Bounds:
        """Return the bounds that are set."""
        return cls(
            process=settings.max_streams,
            workspace=settings.max_streams_of_workspace,
            user=settings.max_streams_of_user,
        )


class Seats:
    """Counts open streams."""

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.taken = 0
        self._of_workspace: Counter[str] = Counter()
        self._of_user: Counter[str] = Counter()

    def check(self, holder: Holder) -> None:
        """Refuse a further stream beyond a bound.

        Raises:
            Unavailable: The process has no room (too_many_streams).
            TooManyStreams: The user or workspace has as many as may be.
        """
        if self.taken >= self.bounds.process:
            raise Unavailable(
                "This process holds as many event streams as it may; try again shortly.",
                code="too_many_streams",
            )
        if holder.user is not None and self._of_user[holder.user] >= self.bounds.user:
            raise TooManyStreams("you have", self.bounds.user, COME_AGAIN)
        if (
            holder.workspace is not None
            and self._of_workspace[holder.workspace] >= self.bounds.workspace
        ):
            raise TooManyStreams("the workspace has", self.bounds.workspace, COME_AGAIN)

    @contextmanager
    def take(self, holder: Holder) -> Iterator[None]:
        """Hold a place. Raises: as `check`."""
        self.check(holder)
        self._count(holder, 1)
        try:
            yield
        finally:
            self._count(holder, -1)

    def _count(self, holder: Holder, more: int) -> None:
        self.taken += more
        for counts, key in ((self._of_user, holder.user), (self._of_workspace, holder.workspace)):
            if key is not None:
                counts[key] += more
                if not counts[key]:
                    del counts[key]
