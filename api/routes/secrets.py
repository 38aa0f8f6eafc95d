"""Secrets: values go in, and only what they are for comes out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from flowbuilder.api.administration import SecretList, SecretOut
from flowbuilder.api.body import body_schema, json_body
from flowbuilder.api.dependencies import Builder, Caller
from flowbuilder.api.problem_documents import documented
from flowbuilder.api.requests import SecretBody

router = APIRouter(prefix="/secrets", tags=["secrets"])

Name = Annotated[str, Path(description="The secret's name, as in `secret://name`.")]


@router.get("", summary="List secrets")
async def list_secrets(builder: Builder) -> SecretList:
    """Return the names of the secrets and who may have them; their values are never shown."""
    return SecretList(items=[SecretOut.of(row) for row in await builder.secrets.list()])


@router.get("/{name}", summary="Show a secret", responses=documented(404))
async def get_secret(builder: Builder, name: Name) -> SecretOut:
    """Return what is known of a secret, but not its value."""
    return SecretOut.of(await builder.secrets.get(name))


@router.put(
    "/{name}",
    summary="Set a secret",
    responses=documented(400, 404, 409, 413, 415),
    openapi_extra=body_schema("SecretBody"),
)
async def set_secret(
    builder: Builder,
    caller: Caller,
    name: Name,
    body: Annotated[SecretBody, Depends(json_body(SecretBody))],
) -> SecretOut:
    """Set a secret, in the place of the one before; steps that begin from now on get it."""
    row = await builder.secrets.set(
        name,
        body.value,
        hosts=body.hosts,
        tools=body.tools,
        description=body.description,
        by=caller.name,
    )
    return SecretOut.of(row)


@router.delete("/{name}", summary="Delete a secret", status_code=204, responses=documented(404))
async def delete_secret(builder: Builder, name: Name) -> None:
    """Delete a secret; steps cannot have it any more."""
    await builder.secrets.delete(name)
