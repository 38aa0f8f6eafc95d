"""Subscriptions: queues of other systems get the events that they are bound to."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response

from flowbuilder.api.administration import SubscriptionList, SubscriptionOut, UnsubscribedOut
from flowbuilder.api.body import body_schema, json_body
from flowbuilder.api.dependencies import Builder
from flowbuilder.api.problem_documents import documented
from flowbuilder.api.requests import SubscriptionBody
from flowbuilder.client import FlowBuilder
from flowbuilder.errors import NotFound

router = APIRouter(prefix="/subscriptions", tags=["subscriptions"])

Queue = Annotated[str, Path(description="The queue's name.")]


@router.get("", summary="List subscriptions")
async def list_subscriptions(builder: Builder) -> SubscriptionList:
    """Return who is subscribed to what, and how far each queue is behind."""
    return SubscriptionList(items=await _all(builder))


@router.post(
    "",
    summary="Subscribe a queue",
    status_code=201,
    responses={
        200: {"model": SubscriptionOut, "description": "It was subscribed to this already."},
        **documented(400, 409, 413, 415),
    },
    openapi_extra=body_schema("SubscriptionBody"),
)
async def subscribe(
    builder: Builder,
    body: Annotated[SubscriptionBody, Depends(json_body(SubscriptionBody))],
    response: Response,
) -> SubscriptionOut:
    """Put every event of a channel that is committed from now on into a queue, too.

    The queue is made when it is missing. Subscribing again changes nothing but `largest`.
    """
    before = {(one.queue, one.pattern) for one in await _all(builder)}
    queue = await builder.notifications.subscribe(
        body.channel, queue=body.queue, pattern=body.pattern, largest=body.largest
    )
    pattern = body.pattern or f"{body.channel}.*"
    if (queue, pattern) in before:
        response.status_code = 200
    for one in await _all(builder):
        if (one.queue, one.pattern) == (queue, pattern):
            return one
    raise NotFound(
        f"the queue {queue} was unsubscribed in this moment", code="subscription_not_found"
    )


@router.delete("/{queue}", summary="Unsubscribe a queue", responses=documented(404))
async def unsubscribe(
    builder: Builder,
    queue: Queue,
    pattern: Annotated[
        str | None, Query(description="Only this subscription; default: all of the queue.")
    ] = None,
    drop: Annotated[bool, Query(description="Delete the queue, too, with its messages.")] = False,
) -> UnsubscribedOut:
    """Put no further events into a queue; what it holds stays there."""
    patterns = await builder.notifications.unsubscribe(queue, pattern=pattern, drop=drop)
    return UnsubscribedOut(queue=queue, patterns=patterns, dropped=drop)


async def _all(builder: FlowBuilder) -> list[SubscriptionOut]:
    found = await builder.notifications.subscriptions()
    return [SubscriptionOut.model_validate(one) for one in found]
