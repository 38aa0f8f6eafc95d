"""Commands about subscriptions: which queue of another system gets which events."""

from __future__ import annotations

from typing import Annotated

import typer

from flowbuilder.cli.failures import OK, perform
from flowbuilder.cli.options import Options
from flowbuilder.types import JsonObject

COLUMNS = {
    "queue": "queue",
    "pattern": "topics",
    "messages": "unread",
    "pending": "still to come",
    "error": "trouble",
}

subscriptions_app = typer.Typer(
    help="Queues of other systems that get events.", no_args_is_help=True
)
Queue = Annotated[str | None, typer.Option("--queue", help="Default: named like the channel.")]


@subscriptions_app.command("list")
def list_(context: typer.Context) -> None:
    """List the subscriptions and how far each queue is behind."""
    perform(context.obj.printer(), _list(context.obj))


@subscriptions_app.command("add")
def add(
    context: typer.Context,
    channel: Annotated[
        str,
        typer.Argument(
            metavar="CHANNEL", help="workflow_events, task_events, approval_events, plan_events."
        ),
    ],
    queue: Queue = None,
    pattern: Annotated[
        str | None, typer.Option("--pattern", help="Such as task_events.task_failed; default: all.")
    ] = None,
    largest: Annotated[
        int | None, typer.Option("--largest", min=1, help="Messages that the queue may hold.")
    ] = None,
) -> None:
    """Put the events of a channel into a queue from now on."""
    perform(context.obj.printer(), _add(context.obj, channel, queue, pattern, largest))


@subscriptions_app.command("remove")
def remove(
    context: typer.Context,
    queue: Annotated[str, typer.Argument(metavar="QUEUE", help="The queue that was subscribed.")],
    pattern: Annotated[
        str | None, typer.Option("--pattern", help="Only this subscription; default: all.")
    ] = None,
    drop: Annotated[bool, typer.Option("--drop", help="Delete the queue, too.")] = False,
) -> None:
    """Put no further events into a queue."""
    perform(context.obj.printer(), _remove(context.obj, queue, pattern, drop=drop))


async def _list(options: Options) -> int:
    async with options.connect() as builder:
        found = await builder.notifications.subscriptions()
    records: list[JsonObject] = [one.as_json() for one in found]
    options.printer().rows(records, COLUMNS, "Nobody has subscribed.")
    return OK


async def _add(
    options: Options, channel: str, queue: str | None, pattern: str | None, largest: int | None
) -> int:
    printer = options.printer()
    async with options.connect() as builder:
        name = await builder.notifications.subscribe(
            channel, queue=queue, pattern=pattern, largest=largest
        )
    if printer.as_json:
        printer.line({"type": "subscribed", "queue": name, "pattern": pattern or f"{channel}.*"})
    printer.say(f"the queue {name} gets {pattern or channel}")
    return OK


async def _remove(options: Options, queue: str, pattern: str | None, *, drop: bool) -> int:
    printer = options.printer()
    async with options.connect() as builder:
        patterns = await builder.notifications.unsubscribe(queue, pattern=pattern, drop=drop)
    if printer.as_json:
        printer.line({"type": "unsubscribed", "queue": queue, "patterns": patterns, "drop": drop})
    printer.say(f"the queue {queue} gets {', '.join(patterns)} no more")
    return OK
