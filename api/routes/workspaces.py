"""Workspaces and their members."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Path

from flowbuilder.api.body import body_schema, json_body
from flowbuilder.api.dependencies import Caller, Principal, Users
from flowbuilder.api.identities import (
    MemberBody,
    MemberList,
    MemberOut,
    NewWorkspaceBody,
    WorkspaceList,
    WorkspaceOut,
)
from flowbuilder.api.problem_documents import documented
from flowbuilder.client.accounts import Accounts
from flowbuilder.errors import NotFound

router = APIRouter(prefix="/workspaces", tags=["workspaces"])

Workspace = Annotated[str, Path(description="The workspace's name or id.")]
Name = Annotated[str, Path(description="The user's name.")]


@router.get("", summary="List workspaces")
async def list_workspaces(accounts: Users, caller: Caller) -> WorkspaceList:
    """Return the workspaces that the caller is in; with a key, the key's."""
    return WorkspaceList(items=await _visible(accounts, caller))


@router.post(
    "",
    summary="Create a workspace",
    status_code=201,
    responses=documented(400, 404, 409, 413, 415),
    openapi_extra=body_schema("NewWorkspaceBody"),
)
async def create_workspace(
    accounts: Users,
    caller: Caller,
    body: Annotated[NewWorkspaceBody, Depends(json_body(NewWorkspaceBody))],
) -> WorkspaceOut:
    """Make a workspace with its first administrator, who says who else is in it."""
    admin = body.admin or (None if caller.local else caller.user)
    made = await accounts.create_workspace(body.slug, admin=admin, by=caller.doer())
    return WorkspaceOut.model_validate(made)


@router.get("/{workspace}", summary="Show a workspace", responses=documented(404))
async def get_workspace(accounts: Users, caller: Caller, workspace: Workspace) -> WorkspaceOut:
    """Return a workspace that the caller is in."""
    for one in await _visible(accounts, caller):
        if workspace in (one.slug, one.id):
            return one
    raise NotFound(f"there is no workspace {workspace[:80]!r}", code="workspace_not_found")


@router.post("/{workspace}/archive", summary="Archive a workspace", responses=documented(404))
async def archive_workspace(accounts: Users, caller: Caller, workspace: Workspace) -> WorkspaceOut:
    """Let no runs be started in the workspace. What runs goes on, everything stays readable."""
    return await _archived(accounts, caller, workspace, archived=True)


@router.post(
    "/{workspace}/restore",
    summary="Take a workspace out of the archive",
    responses=documented(404),
)
async def restore_workspace(accounts: Users, caller: Caller, workspace: Workspace) -> WorkspaceOut:
    """Let runs be started in the workspace again."""
    return await _archived(accounts, caller, workspace, archived=False)


@router.get("/{workspace}/members", summary="List members", responses=documented(404))
async def list_members(accounts: Users, caller: Caller, workspace: Workspace) -> MemberList:
    """Return who is in a workspace, by name."""
    found = await accounts.members(await _id(accounts, caller, workspace))
    return MemberList(items=[MemberOut.model_validate(one) for one in found])


@router.put(
    "/{workspace}/members/{name}",
    summary="Say what a user is in a workspace",
    responses=documented(400, 404, 409, 413, 415),
    openapi_extra=body_schema("MemberBody"),
)
async def set_member(
    accounts: Users,
    caller: Caller,
    workspace: Workspace,
    name: Name,
    body: Annotated[MemberBody, Depends(json_body(MemberBody))],
) -> MemberList:
    """Give a user these roles in the workspace instead of whatever they had; it counts at once."""
    place = await _id(accounts, caller, workspace)
    await accounts.set_member(place, name, body.roles, by=caller.doer())
    found = await accounts.members(place)
    return MemberList(items=[MemberOut.model_validate(one) for one in found])


@router.delete(
    "/{workspace}/members/{name}",
    summary="Take a user out of a workspace",
    status_code=204,
    responses=documented(404, 409),
)
async def remove_member(accounts: Users, caller: Caller, workspace: Workspace, name: Name) -> None:
    """End a membership; it counts at once, also for the user's keys."""
    place = await _id(accounts, caller, workspace)
    await accounts.remove_member(place, name, by=caller.doer())


async def _archived(
    accounts: Accounts, caller: Principal, workspace: str, *, archived: bool
) -> WorkspaceOut:
    place = await _id(accounts, caller, workspace)
    row = await accounts.archive_workspace(place, archived=archived, by=caller.doer())
    shown = WorkspaceOut.model_validate(row)
    return shown.model_copy(update={"roles": sorted(role.value for role in caller.roles)})


async def _visible(accounts: Accounts, caller: Principal) -> list[WorkspaceOut]:
    found = await accounts.workspaces(user_id=caller.user_id)
    shown = [WorkspaceOut.model_validate(one) for one in found]
    # a key is of one workspace, whatever else its owner is in
    return [one for one in shown if caller.key_id is None or one.id == caller.workspace]


async def _id(accounts: Accounts, caller: Principal, workspace: str) -> str:
    """Return the id of the workspace in the path: the caller's, as it was judged."""
    if caller.workspace is not None:
        return caller.workspace
    return await accounts.find_workspace(workspace)
