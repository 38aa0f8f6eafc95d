"""Holding a run open while steps are still being added to it."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from flowbuilder.client.checking import time_limit
from flowbuilder.client.session import Session
from flowbuilder.errors import FlowBuilderError, InvalidTransition, InvalidValue
from flowbuilder.types import JsonObject

#: A hold is renewed so many times before it would run out.
_RENEWALS = 3
LONGEST_TEXT = 500


@asynccontextmanager
async def hold(
    session: Session,
    run_id: str,
    *,
    reason: str | None = None,
    timeout: str | float = "1m",
    owner: str | None = None,
) -> AsyncIterator[str]:
    """Hold a run open while the context is; yields the owner's name. See `Run.hold`."""
    limit = time_limit(timeout)
    if limit is None:
        raise InvalidValue("a hold needs a deadline", pointer="/timeout", code="timeout_invalid")
    for name, text in (("reason", reason), ("owner", owner)):
        if text is not None and not _fits(text):
            raise InvalidValue(
                f"the {name} of a hold has 1 to {LONGEST_TEXT} characters",
                pointer=f"/{name}",
                code="hold_invalid",
            )
    seconds = limit.total_seconds()
    called = owner or f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
    await session.store.hold_run(run_id, owner=called, reason=reason, seconds=seconds)
    renewing = asyncio.create_task(_renew(session, run_id, called, reason, seconds))
    error: JsonObject | None = {
        "code": "plan_abandoned",
        "message": f"the run was held open ({reason or called}), but what was to come failed",
        "owner": called,
    }
    try:
        yield called
        error = None
    finally:
        renewing.cancel()
        with suppress(asyncio.CancelledError):
            await renewing
        await asyncio.shield(_release(session, run_id, called, error))


def _fits(text: object) -> bool:
    return isinstance(text, str) and 0 < len(text) <= LONGEST_TEXT and "\x00" not in text


async def _release(session: Session, run_id: str, owner: str, error: JsonObject | None) -> None:
    await session.store.release_hold(run_id, owner=owner, error=error)
    await session.announce_run(run_id)


async def _renew(
    session: Session, run_id: str, owner: str, reason: str | None, seconds: float
) -> None:
    """Move the deadline on, again and again; a database that is away is tried again."""
    while True:
        await asyncio.sleep(seconds / _RENEWALS)
        try:
            await session.store.hold_run(run_id, owner=owner, reason=reason, seconds=seconds)
        except InvalidTransition:
            return
        except FlowBuilderError:
            continue
