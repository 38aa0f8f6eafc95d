"""Keys, by which programs work in a workspace as one of its members."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from flowbuilder.api.body import body_schema, json_body
from flowbuilder.api.dependencies import Caller, Principal, Users, as_uuid
from flowbuilder.api.identities import KeyList, KeyOut, NewKeyBody, NewKeyOut
from flowbuilder.api.problem_documents import documented
from flowbuilder.client.roles import Role
from flowbuilder.executor.records import DEFAULT_WORKSPACE

router = APIRouter(prefix="/api-keys", tags=["keys"])

_DAY = 86_400


@router.get("", summary="List keys")
async def list_keys(accounts: Users, caller: Caller) -> KeyList:
    """Return the caller's keys in the workspace; administrators see everybody's."""
    found = await accounts.keys(_place(caller), user=_owner(caller))
    return KeyList(items=[KeyOut.model_validate(one) for one in found])


@router.post(
    "",
    summary="Create a key",
    status_code=201,
    responses=documented(400, 404, 413, 415),
    openapi_extra=body_schema("NewKeyBody"),
)
async def create_key(
    accounts: Users,
    caller: Caller,
    body: Annotated[NewKeyBody, Depends(json_body(NewKeyBody))],
) -> NewKeyOut:
    """Make a key that does what its scopes say and the caller may do, at any moment.

    Its text is in this answer and nowhere else.
    """
    made = await accounts.create_key(
        _place(caller),
        caller.user,
        name=body.name,
        scopes=body.scopes,
        seconds=None if body.days is None else float(body.days * _DAY),
        by=caller.doer(),
    )
    return NewKeyOut.model_validate({**made.row, "key": made.text})


@router.delete("/{key_id}", summary="Revoke a key", status_code=204, responses=documented(404))
async def revoke_key(
    accounts: Users,
    caller: Caller,
    key_id: Annotated[str, Path(description="The key's id, a UUID.")],
) -> None:
    """Revoke a key; from now on it counts nowhere. Once more changes nothing."""
    known = as_uuid(key_id, "key")
    await accounts.revoke_key(_place(caller), known, user=_owner(caller), by=caller.doer())


def _place(caller: Principal) -> str:
    return caller.workspace or DEFAULT_WORKSPACE


def _owner(caller: Principal) -> str | None:
    return None if caller.holds(Role.ADMIN) else caller.user
