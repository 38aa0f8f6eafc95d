"""`flowbuilder workspaces`: what is kept apart from what, and who is in it."""

from __future__ import annotations

from typing import Annotated

import typer

from flowbuilder.cli.failures import OK, perform
from flowbuilder.cli.options import Options
from flowbuilder.cli.users import doer

COLUMNS = {
    "slug": "workspace",
    "members": "members",
    "id": "id",
    "created_at": "since",
    "archived_at": "archived",
}
MEMBERS = {"user": "user", "roles": "roles", "disabled": "shut out", "added_by": "added by"}
Place = Annotated[str, typer.Argument(metavar="WORKSPACE", help="Its name or id.")]
User = Annotated[str, typer.Argument(metavar="USER", help="The user's name.")]

workspaces_app = typer.Typer(help="Workspaces and their members.", no_args_is_help=True)


@workspaces_app.command("list")
def list_(context: typer.Context) -> None:
    """List all workspaces."""
    perform(context.obj.printer(), _list(context.obj))


@workspaces_app.command("add")
def add(
    context: typer.Context,
    slug: Annotated[str, typer.Argument(metavar="NAME", help="Lower-case letters and hyphens.")],
    admin: Annotated[
        str | None, typer.Option("--admin", help="The user who is to administer it.")
    ] = None,
) -> None:
    """Make a workspace."""
    perform(context.obj.printer(), _add(context.obj, slug, admin))


@workspaces_app.command("archive")
def archive(context: typer.Context, workspace: Place) -> None:
    """Let no runs be started in a workspace any more; what runs goes on."""
    perform(context.obj.printer(), _archive(context.obj, workspace, archived=True))


@workspaces_app.command("restore")
def restore(context: typer.Context, workspace: Place) -> None:
    """Let runs be started in an archived workspace again."""
    perform(context.obj.printer(), _archive(context.obj, workspace, archived=False))


@workspaces_app.command("members")
def members(context: typer.Context, workspace: Place) -> None:
    """List who is in a workspace."""
    perform(context.obj.printer(), _members(context.obj, workspace))


@workspaces_app.command("set")
def set_(
    context: typer.Context,
    workspace: Place,
    user: User,
    role: Annotated[
        list[str], typer.Option("--role", help="member, builder, approver or admin; repeatable.")
    ],
) -> None:
    """Say what a user is in a workspace, instead of whatever they were."""
    perform(context.obj.printer(), _set(context.obj, workspace, user, role))


@workspaces_app.command("remove")
def remove(context: typer.Context, workspace: Place, user: User) -> None:
    """Take a user out of a workspace."""
    perform(context.obj.printer(), _remove(context.obj, workspace, user))


async def _list(options: Options) -> int:
    async with options.connect() as builder:
        found = await builder.accounts.workspaces()
    options.printer().rows(found, COLUMNS, "")
    return OK


async def _add(options: Options, slug: str, admin: str | None) -> int:
    async with options.connect() as builder:
        row = await builder.accounts.create_workspace(slug, admin=admin, by=doer())
    options.printer().rows([row], COLUMNS, "")
    return OK


async def _archive(options: Options, workspace: str, *, archived: bool) -> int:
    async with options.connect() as builder:
        place = await builder.accounts.find_workspace(workspace)
        row = await builder.accounts.archive_workspace(place, archived=archived, by=doer())
    options.printer().rows([row], COLUMNS, "")
    return OK


async def _members(options: Options, workspace: str) -> int:
    async with options.connect() as builder:
        place = await builder.accounts.find_workspace(workspace)
        found = await builder.accounts.members(place)
    options.printer().rows(found, MEMBERS, "Nobody is in this workspace.")
    return OK


async def _set(options: Options, workspace: str, user: str, roles: list[str]) -> int:
    async with options.connect() as builder:
        place = await builder.accounts.find_workspace(workspace)
        await builder.accounts.set_member(place, user, roles, by=doer())
        found = await builder.accounts.members(place)
    options.printer().rows([row for row in found if row["user"] == user], MEMBERS, "")
    return OK


async def _remove(options: Options, workspace: str, user: str) -> int:
    async with options.connect() as builder:
        place = await builder.accounts.find_workspace(workspace)
        await builder.accounts.remove_member(place, user, by=doer())
    options.printer().say(f"{user} is no longer in {workspace}", "dim")
    return OK
