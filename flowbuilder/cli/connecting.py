"""`flowbuilder connections`: tools of connected MCP servers, and what was approved of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowbuilder.cli.failures import FAILED, OK, perform
from flowbuilder.cli.options import Options

if TYPE_CHECKING:
    from flowbuilder.executor.store.pins import PinRow

COLUMNS = {
    "server": "server",
    "tool": "tool",
    "version": "version",
    "status": "status",
    "reason": "because",
    "updated_by": "approved by",
}
Server = Annotated[str | None, typer.Argument(metavar="SERVER", help="Only this one.")]

connections_app = typer.Typer(
    help="Tools of connected MCP servers, and what was approved of them.",
    invoke_without_command=True,
)


@connections_app.callback()
def connections(context: typer.Context) -> None:
    """List the tools of connected servers."""
    if context.invoked_subcommand is None:
        perform(context.obj.printer(), _list(context.obj, None))


@connections_app.command("list")
def list_connections(context: typer.Context, server: Server = None) -> None:
    """List the tools of connected servers."""
    perform(context.obj.printer(), _list(context.obj, server))


@connections_app.command("refresh")
def refresh_connections(context: typer.Context, server: Server = None) -> None:
    """Ask the servers what they offer; what is not as it was approved is suspended."""
    perform(context.obj.printer(), _refresh(context.obj, server))


@connections_app.command("approve")
def approve_connection(
    context: typer.Context,
    server: Annotated[str, typer.Argument(metavar="SERVER", help="Whose tools.")],
    tool: Annotated[
        str | None, typer.Argument(metavar="TOOL", help="Only this one, as the server calls it.")
    ] = None,
) -> None:
    """Approve a server's tools as it describes them now."""
    perform(context.obj.printer(), _approve(context.obj, server, tool))


async def _list(options: Options, server: str | None) -> int:
    async with options.connect() as builder:
        rows = await builder.connections.list(server)
    return _show(options, rows)


async def _refresh(options: Options, server: str | None) -> int:
    async with options.connect() as builder:
        rows = await builder.connections.refresh(server)
    _show(options, rows)
    return FAILED if any(row.status == "suspended" for row in rows) else OK


async def _approve(options: Options, server: str, tool: str | None) -> int:
    from flowbuilder.client.approvals import local_user

    async with options.connect() as builder:
        rows = await builder.connections.approve(server, tool, by=local_user())
    return _show(options, rows)


def _show(options: Options, rows: list[PinRow]) -> int:
    shown: list[dict[str, Any]] = [
        {
            **{name: getattr(row, name) for name in COLUMNS},
            "description": row.descriptor.get("description"),
            "found": None if row.found is None else row.found.get("description"),
        }
        for row in rows
    ]
    options.printer().rows(shown, COLUMNS, "No MCP server is connected.")
    return OK
