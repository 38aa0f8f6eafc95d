"""Users of the installation."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response

from flowbuilder.api.body import body_schema, json_body
from flowbuilder.api.dependencies import Caller, Users
from flowbuilder.api.identities import InvitationOut, NewUserBody, UserBody, UserList, UserOut
from flowbuilder.api.problem_documents import documented

router = APIRouter(prefix="/users", tags=["users"])

Name = Annotated[str, Path(description="The user's name.")]


@router.get("", summary="List users")
async def list_users(accounts: Users) -> UserList:
    """Return every user, with what they are in which workspace."""
    return UserList(items=[UserOut.model_validate(one) for one in await accounts.users()])


@router.post(
    "",
    summary="Create a user",
    status_code=201,
    responses=documented(400, 409, 413, 415),
    openapi_extra=body_schema("NewUserBody"),
)
async def create_user(
    accounts: Users,
    caller: Caller,
    body: Annotated[NewUserBody, Depends(json_body(NewUserBody))],
    response: Response,
) -> UserOut:
    """Make a user without a password; an invitation lets them set one."""
    made = await accounts.add_user(body.name, admin=body.admin, by=caller.doer())
    response.headers["Location"] = f"/api/v1/users/{body.name}"
    return UserOut.model_validate(made)


@router.get("/{name}", summary="Show a user", responses=documented(404))
async def get_user(accounts: Users, name: Name) -> UserOut:
    """Return a user."""
    return UserOut.model_validate(await accounts.user(name))


@router.patch(
    "/{name}",
    summary="Change a user",
    responses=documented(400, 404, 409, 413, 415),
    openapi_extra=body_schema("UserBody"),
)
async def change_user(
    accounts: Users,
    caller: Caller,
    name: Name,
    body: Annotated[UserBody, Depends(json_body(UserBody))],
) -> UserOut:
    """Make or unmake an administrator of the installation, shut out or let in again.

    Whoever is shut out loses all sessions at once, and their keys do nothing.
    """
    changed = await accounts.change_user(
        name, admin=body.admin, disabled=body.disabled, by=caller.doer()
    )
    return UserOut.model_validate(changed)


@router.post(
    "/{name}/invitation", summary="Invite a user", status_code=201, responses=documented(404)
)
async def invite(accounts: Users, caller: Caller, name: Name) -> InvitationOut:
    """Make a one-time token by which the user sets the password; older ones count no more."""
    invitation = await accounts.invite(name, by=caller.doer())
    return InvitationOut(
        name=name,
        token=invitation.token,
        path=f"/api/v1/auth/invitation#{invitation.token}",
        expires_at=invitation.expires_at.isoformat(),
    )
