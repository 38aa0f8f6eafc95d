"""Conditional requests: nobody replaces or deletes a flow that has changed since they read it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import Header, Response

from flowbuilder.api.schemas import FlowOut
from flowbuilder.client import FlowBuilder, FlowHandle
from flowbuilder.errors import Conflict, ExecutionError, NotFound
from flowbuilder.executor.records import FlowRow

IfMatch = Annotated[
    str | None, Header(description="Only if the flow still has one of these ETags, or any: `*`.")
]
IfNoneMatch = Annotated[
    str | None, Header(description="Only if the flow has none of these ETags; `*`: is not there.")
]
_TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e]*)"\s*')


class PreconditionFailed(ExecutionError):
    """It has changed since it was read."""

    default_code = "precondition_failed"


def etag(revision: str) -> str:
    """Return the ETag of a revision."""
    return f'"{revision}"'


def names(header: str | None, revision: str, *, weak: bool = True) -> bool:
    """Say whether a header names a revision, or any by `*`; weak ETags count when asked for."""
    if header is None:
        return False
    if header.strip() == "*":
        return True
    tags = [_TAG.fullmatch(part) for part in header.split(",")]
    return any(tag and tag[2] == revision and (weak or not tag[1]) for tag in tags)


def tagged(handle: FlowHandle, response: Response) -> FlowOut:
    """Return the answer for a flow and put its ETag into the headers."""
    response.headers["ETag"] = etag(handle.row.revision)
    return FlowOut.of(handle.row)


async def present(builder: FlowBuilder, slug: str) -> FlowRow | None:
    """Return a flow as it is now, None when there is none."""
    try:
        return (await builder.get_flow(slug)).row
    except NotFound:
        return None


def checked_match(
    row: FlowRow | None, if_match: str | None, if_none_match: str | None
) -> str | None:
    """Return the revision that a change is bound to, None when it is to none.

    Raises:
        PreconditionFailed: The headers speak of another state than this.
    """
    if if_match is not None:
        if row is None or not names(if_match, row.revision, weak=False):
            raise _changed()
        return row.revision
    if row is not None and names(if_none_match, row.revision):
        raise _changed()
    return None


@contextmanager
def stale_refused() -> Iterator[None]:
    """Say of a change that came meanwhile what is said of one that came before."""
    try:
        yield
    except Conflict as error:
        if error.code != "draft_changed":
            raise
        raise _changed() from None


def _changed() -> PreconditionFailed:
    return PreconditionFailed(
        "The flow is not the one of the condition any more.",
        hint="Read it again; its ETag is another one after every change.",
    )
