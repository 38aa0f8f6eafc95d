"""Flows, deliveries and a clock for the tests of webhooks and schedules."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

import httpx

from flowbuilder.client import FlowBuilder
from flowbuilder.executor.database import Database
from flowbuilder.triggers.signing import sign
from tests.support.api import ECHO

#: Seals secrets in tests.
MASTER_KEY = base64.b64encode(bytes(range(32))).decode()
#: Gives back what it was given, whatever that is.
FLOW: dict[str, Any] = {
    "flow": "echo",
    "input": {"type": "object", "required": ["value"], "properties": {"value": {}}},
    "steps": [ECHO],
    "output": "${{ steps.echo }}",
}
#: Takes some of its input only.
STRICT: dict[str, Any] = {
    **FLOW,
    "flow": "strict",
    "input": {
        "type": "object",
        "required": ["value"],
        "properties": {"value": {"type": "integer"}},
    },
}


async def publish(builder: FlowBuilder, document: dict[str, Any] = FLOW) -> int:
    """Store and publish a flow; return the number of its version."""
    await builder.save_flow(document)
    return int((await builder.publish(document["flow"])).version or 0)


async def now(database: Database) -> datetime:
    """The present time by the database's clock."""
    row = await database.fetch_one(b"select flowbuilder.now() as now")
    assert row is not None
    found: datetime = row["now"]
    return found


async def set_clock(database: Database, moment: str) -> None:
    """Let the database's clock go on from a moment."""
    await database.execute(
        b"update flowbuilder.clock set offset_by = %s::timestamptz - clock_timestamp()", (moment,)
    )


async def jump(database: Database, seconds: float) -> None:
    """Move the database's clock."""
    await database.execute(
        b"update flowbuilder.clock set offset_by = offset_by + make_interval(secs => %s)",
        (seconds,),
    )


async def begin_minute(database: Database) -> None:
    """Move the database's clock on to the fifth second of a minute.

    What then jumps by a minute passes one tick of every minute, not now and then two.
    """
    await database.execute(
        b"update flowbuilder.clock set offset_by = offset_by"
        b" + date_trunc('minute', flowbuilder.now()) + interval '65 seconds' - flowbuilder.now()"
    )


def headers(
    secret: str, body: bytes, *, message_id: str = "msg_1", at: datetime | int
) -> dict[str, str]:
    """The headers of a signed delivery."""
    timestamp = at if isinstance(at, int) else int(at.timestamp())
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(secret, message_id, timestamp, body),
    }


async def send(
    client: httpx.AsyncClient,
    hook: dict[str, Any],
    payload: Any,
    *,
    message_id: str = "msg_1",
    at: datetime | int,
    **more: str,
) -> httpx.Response:
    """Deliver a signed payload to a webhook as `POST /webhooks` has answered it."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    signed = headers(hook["secret"], body, message_id=message_id, at=at)
    return await client.post(hook["path"], content=body, headers={**signed, **more})
