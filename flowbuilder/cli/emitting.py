"""`flowbuilder emit`: events for steps that wait."""

from __future__ import annotations

from typing import Annotated

import typer

from flowbuilder.cli.failures import OK, UsageProblem, perform
from flowbuilder.cli.options import Options


def emit(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Such as order.paid.")],
    key: Annotated[
        str, typer.Option("--key", help="Which one of that name, such as an order's number.")
    ] = "",
    payload: Annotated[
        str | None,
        typer.Option("--payload", help="What it says: JSON, @file or @- for standard input."),
    ] = None,
    keep: Annotated[
        str | None,
        typer.Option("--keep", metavar="AGE", help="How long later waits get it, such as 7d."),
    ] = None,
) -> None:
    """Emit an event: every step that waits for its name and key goes on."""
    perform(context.obj.printer(), _emit(context.obj, name, key, payload, keep))


async def _emit(
    options: Options, name: str, key: str, payload: str | None, keep: str | None
) -> int:
    from flowbuilder.cli.sources import read_input
    from flowbuilder.client.approvals import local_user
    from flowbuilder.errors import InvalidValue

    printer = options.printer()
    value = read_input(payload, name="--payload")
    async with options.connect() as builder:
        try:
            done = await builder.emit(name, key, value, keep=keep, by=local_user())
        except InvalidValue as error:
            raise UsageProblem(error.message, hint=error.hint) from None
    if printer.as_json:
        printer.line({"type": "emitted", **done.as_json()})
        return OK
    label = f"{name} {key}" if key else name
    by = f" by {done.emitted_by}" if done.emitted_by else ""
    waits = "1 wait" if done.woke == 1 else f"{done.woke} waits"
    if done.already:
        printer.say(f"event {label} was emitted already{by} at {done.emitted_at:%Y-%m-%d %H:%M:%S}")
    else:
        printer.say(f"emitted {label}; it is kept until {done.expires_at:%Y-%m-%d %H:%M:%S}")
    printer.say(f"{waits} woken")
    return OK
