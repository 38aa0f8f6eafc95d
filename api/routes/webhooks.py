"""Webhooks: made, changed and paused here; what they take comes in at `/hooks`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from flowbuilder.api.auth.changes import note_change
from flowbuilder.api.body import body_schema, json_body, optional_json_body
from flowbuilder.api.dependencies import Builder, Caller, as_uuid
from flowbuilder.api.problem_documents import documented
from flowbuilder.api.problems import Unavailable
from flowbuilder.api.trigger_schemas import (
    RotateBody,
    WebhookBody,
    WebhookList,
    WebhookMade,
    WebhookOut,
    WebhookPatch,
)
from flowbuilder.errors import SettingsError

router = APIRouter(prefix="/webhooks", tags=["triggers"])


def _webhook_id(webhook_id: Annotated[str, Path(description="The webhook's id, a UUID.")]) -> str:
    return as_uuid(webhook_id, "webhook")


WebhookId = Annotated[str, Depends(_webhook_id)]


@router.get("", summary="List webhooks")
async def list_webhooks(builder: Builder) -> WebhookList:
    """Return the webhooks by name, with what came of their last deliveries."""
    return WebhookList(items=[WebhookOut.of(row) for row in await builder.webhooks.list()])


@router.post(
    "",
    summary="Make a webhook",
    status_code=201,
    responses=documented(400, 404, 409, 413, 415),
    openapi_extra=body_schema("WebhookBody"),
)
async def add_webhook(
    request: Request,
    builder: Builder,
    caller: Caller,
    body: Annotated[WebhookBody, Depends(json_body(WebhookBody))],
) -> WebhookMade:
    """Make an address that starts a flow; its secret is shown this once."""
    await note_change(request, "webhook", body.name)
    try:
        made = await builder.webhooks.add(**body.model_dump(), by=caller.name)
    except SettingsError as error:
        raise _unsealed(error) from error
    return WebhookMade.made(made)


@router.get("/{webhook_id}", summary="Show a webhook", responses=documented(404))
async def get_webhook(builder: Builder, webhook_id: WebhookId) -> WebhookOut:
    """Return a webhook, but not its secret."""
    return WebhookOut.of(await builder.webhooks.get(webhook_id))


@router.patch(
    "/{webhook_id}",
    summary="Change a webhook",
    responses=documented(400, 404, 409, 413, 415),
    openapi_extra=body_schema("WebhookPatch"),
)
async def change_webhook(
    builder: Builder,
    caller: Caller,
    webhook_id: WebhookId,
    body: Annotated[WebhookPatch, Depends(json_body(WebhookPatch))],
) -> WebhookOut:
    """Change what the body names; `version: null` means the newest one again."""
    changes = body.model_dump(exclude_unset=True)
    changes = {name: value for name, value in changes.items() if value is not None or name in _NULL}
    return WebhookOut.of(await builder.webhooks.change(webhook_id, by=caller.name, **changes))


_NULL = ("version", "description")


@router.delete(
    "/{webhook_id}", summary="Delete a webhook", status_code=204, responses=documented(404)
)
async def remove_webhook(builder: Builder, webhook_id: WebhookId) -> None:
    """Delete a webhook with its secrets; its runs go on."""
    await builder.webhooks.remove(webhook_id)


@router.post(
    "/{webhook_id}/rotate",
    summary="Change a webhook's secret",
    responses=documented(400, 404, 409, 413, 415),
    openapi_extra=body_schema("RotateBody", required=False),
)
async def rotate_webhook(
    builder: Builder,
    caller: Caller,
    webhook_id: WebhookId,
    body: Annotated[RotateBody, Depends(optional_json_body(RotateBody))],
) -> WebhookMade:
    """Give a webhook a new secret, which is shown this once; the one before counts for a while."""
    try:
        made = await builder.webhooks.rotate(
            webhook_id, secret=body.secret, overlap=body.overlap, by=caller.name
        )
    except SettingsError as error:
        raise _unsealed(error) from error
    return WebhookMade.made(made)


@router.post("/{webhook_id}/pause", summary="Pause a webhook", responses=documented(404))
async def pause_webhook(builder: Builder, caller: Caller, webhook_id: WebhookId) -> WebhookOut:
    """Let a webhook's address be unknown until it is resumed."""
    return WebhookOut.of(await builder.webhooks.pause(webhook_id, by=caller.name))


@router.post("/{webhook_id}/resume", summary="Resume a webhook", responses=documented(404))
async def resume_webhook(builder: Builder, caller: Caller, webhook_id: WebhookId) -> WebhookOut:
    """Take deliveries again."""
    return WebhookOut.of(await builder.webhooks.resume(webhook_id, by=caller.name))


def _unsealed(error: SettingsError) -> Unavailable:
    return Unavailable(
        "This service has no master key to seal a secret with.", code=error.code, hint=error.hint
    )
