"""`flowbuilder limits`: how much of which tools may run at once, and how often they start."""

from __future__ import annotations

from typing import Annotated

import typer

from flowbuilder.cli.failures import OK, perform
from flowbuilder.cli.options import Options
from flowbuilder.cli.output import row_json

COLUMNS = {
    "pattern": "tools",
    "concurrency": "at once",
    "rate": "starts",
    "source": "said by",
    "running": "running",
    "waiting": "waiting",
    "next_at": "next start",
}
Pattern = Annotated[
    str, typer.Argument(metavar="TOOLS", help="A tool's name, a beginning such as http.*, or *.")
]

limits_app = typer.Typer(
    help="Limit how much of a tool runs at once and how often it starts.",
    invoke_without_command=True,
)


@limits_app.callback()
def limits(context: typer.Context) -> None:
    """List the limits on tools, with what is under each of them now."""
    if context.invoked_subcommand is None:
        perform(context.obj.printer(), _show(context.obj))


@limits_app.command("list")
def list_limits(context: typer.Context) -> None:
    """List the limits on tools, with what is under each of them now."""
    perform(context.obj.printer(), _show(context.obj))


@limits_app.command("show")
def show_limit(context: typer.Context, pattern: Pattern) -> None:
    """Show the limit of exactly this name or pattern."""
    perform(context.obj.printer(), _show(context.obj, pattern))


@limits_app.command("set")
def set_limit(
    context: typer.Context,
    pattern: Pattern,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", min=1, help="Calls at once.")
    ] = None,
    rate: Annotated[str | None, typer.Option("--rate", help="Starts, as in 10/s or 5/1m.")] = None,
) -> None:
    """Set the limit of a tool or of all whose names fit; without options, lift what it declares."""
    perform(context.obj.printer(), _set(context.obj, pattern, concurrency, rate))


@limits_app.command("clear")
def clear_limit(context: typer.Context, pattern: Pattern) -> None:
    """Take back what was set; what the tool declares by itself counts again."""
    perform(context.obj.printer(), _clear(context.obj, pattern))


async def _show(options: Options, pattern: str | None = None) -> int:
    async with options.connect() as builder:
        limits = builder.limits
        found = await limits.list() if pattern is None else [await limits.get(pattern)]
    options.printer().rows([row_json(row) for row in found], COLUMNS, "No tool has a limit.")
    return OK


async def _set(options: Options, pattern: str, concurrency: int | None, rate: str | None) -> int:
    from flowbuilder.client.approvals import local_user

    async with options.connect() as builder:
        row = await builder.limits.set(pattern, concurrency=concurrency, rate=rate, by=local_user())
    options.printer().rows([row_json(row)], COLUMNS, "")
    return OK


async def _clear(options: Options, pattern: str) -> int:
    async with options.connect() as builder:
        await builder.limits.clear(pattern)
    options.printer().say(f"what was set for {pattern} is taken back", "dim")
    return OK
