"""`flowbuilder approval-channels` and `approval-delegations`: who is told, who stands in."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from flowbuilder.cli.failures import OK, UsageProblem, perform
from flowbuilder.cli.options import Options
from flowbuilder.cli.output import row_json

_CHANNELS = {
    "name": "channel",
    "kind": "kind",
    "address": "address",
    "webhook": "webhook",
    "user_name": "whose",
    "audience": "for",
}
_DELEGATIONS = {"id": "id", "of_user": "of", "to_user": "to", "ends_at": "until"}

channels_app = typer.Typer(help="Where approvals are told.", no_args_is_help=True)
delegations_app = typer.Typer(help="Who decides for whom, until when.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(metavar="NAME", help="What the channel is called.")]


@channels_app.command("list")
def list_channels(context: typer.Context) -> None:
    """List where approvals are told."""
    perform(context.obj.printer(), _list_channels(context.obj))


@channels_app.command("set")
def set_channel(
    context: typer.Context,
    name: Name,
    email: Annotated[str | None, typer.Option("--email", help="A mail address.")] = None,
    slack: Annotated[
        str | None, typer.Option("--slack", help="The secret with a webhook: secret://name.")
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", help="Whose it is: they get links to decide by.")
    ] = None,
    audience: Annotated[
        list[str] | None,
        typer.Option("--for", help="Told of what is asked of these: role:x, user:y; repeatable."),
    ] = None,
) -> None:
    """Tell approvals by mail, or by a webhook such as Slack's."""
    perform(
        context.obj.printer(), _set_channel(context.obj, name, email, slack, user, audience or [])
    )


@channels_app.command("drop")
def drop_channel(context: typer.Context, name: Name) -> None:
    """Tell nothing there any more."""
    perform(context.obj.printer(), _drop_channel(context.obj, name))


@delegations_app.command("list")
def list_delegations(context: typer.Context) -> None:
    """List the delegations that count now."""
    perform(context.obj.printer(), _list_delegations(context.obj))


@delegations_app.command("add")
def add_delegation(
    context: typer.Context,
    of: Annotated[str, typer.Argument(metavar="OF", help="Whose approvals.")],
    to: Annotated[str, typer.Argument(metavar="TO", help="Who decides them too.")],
    lasts: Annotated[str, typer.Option("--for", help="How long, such as 7d; at most 90d.")],
) -> None:
    """Let somebody decide what another one is asked for."""
    perform(context.obj.printer(), _add_delegation(context.obj, of, to, lasts))


@delegations_app.command("end")
def end_delegation(
    context: typer.Context,
    delegation: Annotated[str, typer.Argument(metavar="ID", help="The delegation's id.")],
) -> None:
    """End a delegation at once."""
    perform(context.obj.printer(), _end_delegation(context.obj, delegation))


async def _list_channels(options: Options) -> int:
    async with options.connect() as builder:
        records = [row_json(row) for row in await builder.approval_channels()]
    options.printer().rows(records, _CHANNELS, "Nobody is told anywhere.")
    return OK


async def _set_channel(
    options: Options,
    name: str,
    email: str | None,
    slack: str | None,
    user: str | None,
    audience: list[str],
) -> int:
    if (email is None) == (slack is None):
        raise UsageProblem("give --email or --slack")
    kind: Literal["email", "slack"] = "slack" if email is None else "email"
    async with options.connect() as builder:
        row = await builder.set_approval_channel(
            name, kind=kind, address=email, webhook=slack, user=user, audience=audience
        )
    options.printer().rows([row_json(row)], _CHANNELS, "")
    return OK


async def _drop_channel(options: Options, name: str) -> int:
    async with options.connect() as builder:
        await builder.drop_approval_channel(name)
    options.printer().say(f"nothing is told by {name} any more")
    return OK


async def _list_delegations(options: Options) -> int:
    async with options.connect() as builder:
        records = [row_json(row) for row in await builder.approval_delegations()]
    options.printer().rows(records, _DELEGATIONS, "Nobody stands in for anybody.")
    return OK


async def _add_delegation(options: Options, of: str, to: str, lasts: str) -> int:
    async with options.connect() as builder:
        row = await builder.delegate_approvals(to, of=of, lasts=lasts)
    options.printer().rows([row_json(row)], _DELEGATIONS, "")
    return OK


async def _end_delegation(options: Options, delegation: str) -> int:
    async with options.connect() as builder:
        await builder.end_delegation(delegation)
    options.printer().say("it is over")
    return OK
