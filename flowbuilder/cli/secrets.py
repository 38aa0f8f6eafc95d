"""`flowbuilder secrets`: set, list and delete secrets, and change the master key."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowbuilder.cli.failures import OK, perform
from flowbuilder.cli.options import Options
from flowbuilder.errors import InvalidValue

if TYPE_CHECKING:
    from flowbuilder.executor.store.secrets import SecretRow

COLUMNS = {
    "name": "name",
    "version": "version",
    "hosts": "may be sent to",
    "tools": "may be read by",
    "description": "for",
    "updated_at": "set at",
    "updated_by": "by",
}
_LONGEST_INPUT = 200_000
Name = Annotated[str, typer.Argument(metavar="NAME", help="As in secret://NAME.")]

secrets_app = typer.Typer(
    help="Values that flows name as secret://NAME; they are never shown again.",
    invoke_without_command=True,
)


@secrets_app.callback()
def secrets(context: typer.Context) -> None:
    """List the secrets, without their values."""
    if context.invoked_subcommand is None:
        perform(context.obj.printer(), _list(context.obj))


@secrets_app.command("list")
def list_secrets(context: typer.Context) -> None:
    """List the secrets, without their values."""
    perform(context.obj.printer(), _list(context.obj))


@secrets_app.command("set")
def set_secret(
    context: typer.Context,
    name: Name,
    hosts: Annotated[
        list[str] | None, typer.Option("--host", help="May be sent to this host; repeatable.")
    ] = None,
    tools: Annotated[
        list[str] | None, typer.Option("--tool", help="May be read by this tool; repeatable.")
    ] = None,
    description: Annotated[str | None, typer.Option("--for", help="What it is for.")] = None,
) -> None:
    """Set a secret; its value is asked for, or read from standard input. It is no argument."""
    perform(context.obj.printer(), _set(context.obj, name, hosts, tools, description))


@secrets_app.command("delete")
def delete_secret(context: typer.Context, name: Name) -> None:
    """Delete a secret."""
    perform(context.obj.printer(), _delete(context.obj, name))


@secrets_app.command("rotate-key")
def rotate_key(context: typer.Context) -> None:
    """Make a new master key in the key file and drop the old ones; values stay as they are."""
    perform(context.obj.printer(), _rotate(context.obj))


async def _list(options: Options) -> int:
    async with options.connect() as builder:
        rows = await builder.secrets.list()
    options.printer().rows([_shown(row) for row in rows], COLUMNS, "There is no secret.")
    return OK


async def _set(
    options: Options,
    name: str,
    hosts: list[str] | None,
    tools: list[str] | None,
    description: str | None,
) -> int:
    from flowbuilder.client.approvals import local_user

    value = _asked_for(name)
    async with options.connect() as builder:
        row = await builder.secrets.set(
            name,
            value,
            hosts=hosts or (),
            tools=tools or (),
            description=description,
            by=local_user(),
        )
    options.printer().rows([_shown(row)], COLUMNS, "")
    return OK


async def _delete(options: Options, name: str) -> int:
    async with options.connect() as builder:
        await builder.secrets.delete(name)
    options.printer().say(f"the secret {name} is deleted", "dim")
    return OK


async def _rotate(options: Options) -> int:
    async with options.connect() as builder:
        wrapped = await builder.secrets.rotate_key()
    options.printer().rows([{"wrapped": wrapped}], {"wrapped": "secrets under the new key"}, "")
    return OK


def _asked_for(name: str) -> str:
    """Return a value that is on no command line: those are seen by every process and kept."""
    if sys.stdin.isatty():
        value: str = typer.prompt(f"Value of {name}", hide_input=True)
        return value
    text = sys.stdin.read(_LONGEST_INPUT + 1)
    if len(text) > _LONGEST_INPUT:
        raise InvalidValue("the value is too large", pointer="/value", code="secret_invalid")
    return text.rstrip("\r\n")


def _shown(row: SecretRow) -> dict[str, Any]:
    """Return a row without what is sealed."""
    return {
        **{name: getattr(row, name) for name in COLUMNS},
        "created_at": row.created_at.isoformat(),
        "updated_at": row.updated_at.isoformat(),
    }
