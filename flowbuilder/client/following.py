"""Following a stream of events page by page, for whoever reads it once for many."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from typing import TYPE_CHECKING

from flowbuilder.client.arguments import check_page
from flowbuilder.errors import Conflict, NotFound
from flowbuilder.executor.events import EventRow

if TYPE_CHECKING:
    from flowbuilder.client.session import Session

#: Events read in one go.
PAGE = 500


def at_once() -> float:
    """Return no pause at all."""
    return 0.0


async def follow_pages(
    session: Session, stream: str, *, after: int = 0, pause: Callable[[], float] = at_once
) -> AsyncGenerator[list[EventRow]]:
    """Yield the events of a run or plan with a number greater than `after`, as they come.

    Args:
        session: Whose.
        stream: Id of a run or plan.
        after: Number of the last event that is known.
        pause: Seconds that lie between two readings at least, so that what comes one by one is
            read together. Asked before each.

    Raises:
        NotFound: There is no run or plan of this id.
        InvalidValue: `after` is no number (page_invalid).
    """
    check_page(0, after)
    if not isinstance(stream, str):
        raise NotFound(f"there is no run {str(stream)[:80]}", code="run_not_found")
    poll = session.settings.poll_interval.total_seconds()
    with session.feed.watch(stream) as signal:
        while True:
            began = time.monotonic()
            if not (page := signal.take(after)):
                signal.clear()
                page = await session.events_after(stream, after, PAGE)
            if page:
                after = page[-1].seq
            elif await session.has_ended(stream, after):
                return
            signal.has_read(session.store.workspace, after)
            if page:
                yield page
                if page[-1].terminal:
                    return
            if len(page) < PAGE:
                await signal.wait(poll)
                await rest(began, pause())


async def rest(began: float, seconds: float) -> None:
    """Wait until so many seconds have passed since `began`, by the monotonic clock."""
    left = began + seconds - time.monotonic()
    if left > 0:
        await asyncio.sleep(left)


def pruned(first: int) -> Conflict:
    """Return the error of who asks for events that retention has deleted.

    `details.first` is the number of the first event that is left.
    """
    return Conflict(
        "Retention has deleted the events that come next; "
        f"the first one that is left is number {first}.",
        code="events_pruned",
        hint=f"Read on after {first - 1}: what lies before is gone.",
        details={"first": first},
    )
