"""`flowbuilder users`: who may log in. Whoever holds the database may do all of this."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from flowbuilder.cli.failures import OK, perform
from flowbuilder.cli.options import Options

if TYPE_CHECKING:
    from flowbuilder.client import FlowBuilder
    from flowbuilder.executor.store.users import Doer

COLUMNS = {
    "name": "name",
    "admin": "administrator",
    "has_password": "password set",
    "disabled": "shut out",
    "workspaces": "workspaces",
}
Name = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.")]
Place = Annotated[str, typer.Option("--workspace", help="The workspace, by name or id.")]

users_app = typer.Typer(help="Who may log in to the service.", no_args_is_help=True)


def doer() -> Doer:
    """Return who is at the command line, as the log names them."""
    from flowbuilder.client.approvals import local_user
    from flowbuilder.executor.store.users import Doer

    return Doer(actor=local_user(), channel="cli")


@users_app.command("list")
def list_(context: typer.Context) -> None:
    """List users, with what they are in which workspace."""
    perform(context.obj.printer(), _list(context.obj))


@users_app.command("add")
def add(
    context: typer.Context,
    name: Name,
    admin: Annotated[
        bool, typer.Option("--admin", help="Administrator of the installation and the workspace.")
    ] = False,
    workspace: Place = "default",
    role: Annotated[
        list[str] | None,
        typer.Option("--role", help="member, builder, approver or admin; repeatable."),
    ] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Make a user and print the one-time link by which they set their password."""
    roles = role or (["admin"] if admin else ["member"])
    perform(
        context.obj.printer(),
        _add(context.obj, name, workspace, roles, admin=admin, from_stdin=password_stdin),
    )


@users_app.command("invite")
def invite(context: typer.Context, name: Name) -> None:
    """Print a one-time link by which a user sets a new password; older links count no more."""
    perform(context.obj.printer(), _invite(context.obj, name))


@users_app.command("change")
def change(
    context: typer.Context,
    name: Name,
    admin: Annotated[
        bool | None, typer.Option("--admin/--no-admin", help="Administrator of the installation.")
    ] = None,
    disabled: Annotated[
        bool | None, typer.Option("--disable/--enable", help="Shut out at once, or let in again.")
    ] = None,
) -> None:
    """Make or unmake an administrator, shut a user out or let them in again."""
    perform(context.obj.printer(), _change(context.obj, name, admin, disabled))


async def _list(options: Options) -> int:
    async with options.connect() as builder:
        found = await builder.accounts.users()
    options.printer().rows(found, COLUMNS, "There are no users.")
    return OK


async def _add(
    options: Options,
    name: str,
    workspace: str,
    roles: list[str],
    *,
    admin: bool,
    from_stdin: bool,
) -> int:
    from flowbuilder.client.roles import checked_roles

    checked_roles(roles)
    password = sys.stdin.readline().rstrip("\r\n") if from_stdin else None
    async with options.connect() as builder:
        place = await builder.accounts.find_workspace(workspace)
        await builder.accounts.add_user(name, admin=admin, password=password, by=doer())
        await builder.accounts.set_member(place, name, roles, by=doer())
        if password is None:
            return await _link(options, builder, name)
    printer = options.printer()
    if printer.as_json:
        printer.line({"type": "user", "name": name})
    printer.say(f"{name} can log in")
    return OK


async def _invite(options: Options, name: str) -> int:
    async with options.connect() as builder:
        return await _link(options, builder, name)


async def _link(options: Options, builder: FlowBuilder, name: str) -> int:
    invitation = await builder.accounts.invite(name, by=doer())
    settings, printer = builder.settings, options.printer()
    link = f"http://{settings.host}:{settings.port}/api/v1/auth/invitation#{invitation.token}"
    until = invitation.expires_at.isoformat()
    if printer.as_json:
        printer.line(
            {
                "type": "invitation",
                "name": name,
                "token": invitation.token,
                "link": link,
                "expires_at": until,
            }
        )
    printer.say(f"{name} sets the password here, once, until {until}:")
    printer.say(link)
    return OK


async def _change(options: Options, name: str, admin: bool | None, disabled: bool | None) -> int:
    async with options.connect() as builder:
        row = await builder.accounts.change_user(name, admin=admin, disabled=disabled, by=doer())
    options.printer().rows([row], COLUMNS, "")
    return OK
