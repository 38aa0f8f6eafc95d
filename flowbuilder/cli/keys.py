"""`flowbuilder keys`: by which programs use the service."""

from __future__ import annotations

from typing import Annotated

import typer

from flowbuilder.cli.failures import OK, perform
from flowbuilder.cli.options import Options
from flowbuilder.cli.users import Place, doer

COLUMNS = {
    "id": "id",
    "prefix": "begins with",
    "name": "name",
    "owner": "owner",
    "scopes": "scopes",
    "expires_at": "until",
    "last_used_at": "last used",
    "revoked_at": "revoked",
}
_DAY = 86_400

keys_app = typer.Typer(help="Keys by which programs use the service.", no_args_is_help=True)


@keys_app.command("list")
def list_(
    context: typer.Context,
    workspace: Place = "default",
    user: Annotated[str | None, typer.Option("--user", help="Only this user's.")] = None,
) -> None:
    """List the keys of a workspace."""
    perform(context.obj.printer(), _list(context.obj, workspace, user))


@keys_app.command("add")
def add(
    context: typer.Context,
    user: Annotated[str, typer.Argument(metavar="USER", help="Whose key it is.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="What it is for.")],
    scope: Annotated[
        list[str], typer.Option("--scope", help="read, run, build, approve, admin; repeatable.")
    ],
    workspace: Place = "default",
    days: Annotated[int, typer.Option("--days", min=1, max=3650, help="How long it counts.")] = 90,
) -> None:
    """Make a key and print it, this once."""
    perform(context.obj.printer(), _add(context.obj, workspace, user, name, scope, days))


@keys_app.command("revoke")
def revoke(
    context: typer.Context,
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key's id.")],
    workspace: Place = "default",
) -> None:
    """Revoke a key; it counts nowhere from now on."""
    perform(context.obj.printer(), _revoke(context.obj, workspace, key))


async def _list(options: Options, workspace: str, user: str | None) -> int:
    async with options.connect() as builder:
        place = await builder.accounts.find_workspace(workspace)
        found = await builder.accounts.keys(place, user=user)
    options.printer().rows(found, COLUMNS, "There are no keys.")
    return OK


async def _add(
    options: Options, workspace: str, user: str, name: str, scopes: list[str], days: int
) -> int:
    async with options.connect() as builder:
        place = await builder.accounts.find_workspace(workspace)
        made = await builder.accounts.create_key(
            place, user, name=name, scopes=scopes, seconds=float(days * _DAY), by=doer()
        )
    printer = options.printer()
    if printer.as_json:
        printer.line({**made.row, "key": made.text})
    printer.say(f"the key, shown this once, until {made.row['expires_at']}:")
    printer.say(made.text)
    return OK


async def _revoke(options: Options, workspace: str, key: str) -> int:
    async with options.connect() as builder:
        place = await builder.accounts.find_workspace(workspace)
        await builder.accounts.revoke_key(place, key, by=doer())
    options.printer().say(f"the key {key} is revoked", "dim")
    return OK
