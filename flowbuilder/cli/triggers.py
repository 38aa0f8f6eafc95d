"""`flowbuilder triggers`: webhooks and schedules, which start flows by themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowbuilder.cli.failures import OK, UsageProblem, perform
from flowbuilder.cli.options import Options
from flowbuilder.cli.output import row_json
from flowbuilder.errors import NotFound

if TYPE_CHECKING:
    from flowbuilder.client import FlowBuilder
    from flowbuilder.client.webhooks import MadeWebhook
    from flowbuilder.executor.triggers import ScheduleRow, WebhookRow
    from flowbuilder.types import JsonObject

COLUMNS = {
    "kind": "kind",
    "name": "name",
    "flow": "flow",
    "when": "when",
    "next_at": "next",
    "last_at": "last",
    "last_result": "result",
    "last_run_id": "run",
    "paused_at": "paused",
}
_MADE = {"name": "name", "path": "address", "secret": "secret, shown this once"}
_HELD = {"held_at": "held since", "held_by": "by", "reason": "reason"}
Name = Annotated[str, typer.Argument(metavar="NAME|ID", help="A trigger's name or id.")]

triggers_app = typer.Typer(
    help="Webhooks and schedules, which start flows by themselves.", invoke_without_command=True
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """What `add` was asked to make."""

    name: str
    flow: str
    version: int | None
    input: str | None
    description: str | None
    schedule: dict[str, Any]
    webhook: dict[str, Any]
    is_webhook: bool


@triggers_app.callback()
def triggers(context: typer.Context) -> None:
    """List webhooks and schedules, with what came of each last."""
    if context.invoked_subcommand is None:
        perform(context.obj.printer(), _list(context.obj))


@triggers_app.command("list")
def list_triggers(context: typer.Context) -> None:
    """List webhooks and schedules, with what came of each last."""
    perform(context.obj.printer(), _list(context.obj))


@triggers_app.command("add")
def add_trigger(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Its name in the workspace.")],
    flow: Annotated[str, typer.Option("--flow", help="A published flow.")],
    cron: Annotated[
        str | None, typer.Option("--cron", help="A schedule: five fields, as in '0 6 * * 1-5'.")
    ] = None,
    webhook: Annotated[bool, typer.Option("--webhook", help="A webhook.")] = False,
    version: Annotated[
        int | None, typer.Option("--version", min=1, help="Always this version.")
    ] = None,
    input: Annotated[
        str | None, typer.Option("--input", "-i", help="The run's input: JSON, @file or @-.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="Where in the input a delivery's body stands.")
    ] = None,
    rate: Annotated[str, typer.Option("--rate", help="Deliveries, as in 120/1m.")] = "120/1m",
    trusted: Annotated[
        bool, typer.Option("--trusted", help="A delivery's body is no data from outside.")
    ] = False,
    timezone: Annotated[str, typer.Option("--timezone", help="As in Europe/Berlin.")] = "UTC",
    missed: Annotated[
        str, typer.Option("--missed", help="What becomes of missed ticks: skip, once or all.")
    ] = "skip",
    missed_limit: Annotated[
        int, typer.Option("--missed-limit", min=1, max=100, help="Of `--missed all`, at most.")
    ] = 10,
    overlap: Annotated[
        str, typer.Option("--overlap", help="While the run before goes on: allow or skip.")
    ] = "allow",
    jitter: Annotated[str, typer.Option("--jitter", help="Start up to so much later.")] = "0s",
    description: Annotated[str | None, typer.Option("--for", help="What it is for.")] = None,
) -> None:
    """Add a schedule (`--cron`) or a webhook (`--webhook`), whose secret is shown this once."""
    schedule = {
        "cron": cron,
        "timezone": timezone,
        "missed": missed,
        "missed_limit": missed_limit,
        "overlap": overlap,
        "jitter": jitter,
    }
    wanted = _Wanted(
        name=name,
        flow=flow,
        version=version,
        input=input,
        description=description,
        schedule=schedule,
        webhook={"key": key, "rate": rate, "trusted": trusted},
        is_webhook=webhook,
    )
    perform(context.obj.printer(), _add(context.obj, wanted))


@triggers_app.command("pause")
def pause_trigger(context: typer.Context, name: Name) -> None:
    """Let a webhook or schedule start nothing until it is resumed."""
    perform(context.obj.printer(), _turn(context.obj, name, "pause"))


@triggers_app.command("resume")
def resume_trigger(context: typer.Context, name: Name) -> None:
    """Let a paused webhook or schedule go on; nothing of the pause is made up for."""
    perform(context.obj.printer(), _turn(context.obj, name, "resume"))


@triggers_app.command("remove")
def remove_trigger(context: typer.Context, name: Name) -> None:
    """Delete a webhook or schedule; its runs go on."""
    perform(context.obj.printer(), _remove(context.obj, name))


@triggers_app.command("rotate")
def rotate_secret(
    context: typer.Context,
    name: Name,
    overlap: Annotated[
        str, typer.Option("--overlap", help="How long the secret before counts too.")
    ] = "24h",
) -> None:
    """Give a webhook a new secret, which is shown this once."""
    perform(context.obj.printer(), _rotate(context.obj, name, overlap))


@triggers_app.command("why")
def why_schedule(context: typer.Context, name: Name) -> None:
    """Say why a schedule does not fire."""
    perform(context.obj.printer(), _why(context.obj, name))


@triggers_app.command("hold")
def hold_schedules(
    context: typer.Context,
    reason: Annotated[str | None, typer.Option("--reason", help="Why, in words.")] = None,
) -> None:
    """Let no schedule of any workspace fire, as after a restore."""
    perform(context.obj.printer(), _hold(context.obj, reason))


@triggers_app.command("release")
def release_schedules(context: typer.Context) -> None:
    """Let schedules fire again; what was missed meanwhile goes by what each says."""
    perform(context.obj.printer(), _release(context.obj))


async def _list(options: Options) -> int:
    async with options.connect() as builder:
        rows = [_schedule(row) for row in await builder.schedules.list()]
        rows += [_webhook(row) for row in await builder.webhooks.list()]
        switch = await builder.schedules.held()
    printer = options.printer()
    if switch.held_at is not None:
        printer.say(f"all schedules are held: {switch.reason or 'no reason given'}", "yellow")
    printer.rows(rows, COLUMNS, "There is no webhook and no schedule.")
    return OK


async def _add(options: Options, wanted: _Wanted) -> int:
    from flowbuilder.cli.sources import read_input
    from flowbuilder.client.approvals import local_user

    if wanted.is_webhook == (wanted.schedule["cron"] is not None):
        raise UsageProblem("say either --webhook or --cron")
    common: dict[str, Any] = {
        "flow": wanted.flow,
        "version": wanted.version,
        "input": read_input(wanted.input),
        "description": wanted.description,
        "by": local_user(),
    }
    async with options.connect() as builder:
        if wanted.is_webhook:
            made = await builder.webhooks.add(wanted.name, **common, **wanted.webhook)
            _show_made(options, made)
        else:
            row = await builder.schedules.add(wanted.name, **common, **wanted.schedule)
            options.printer().rows([_schedule(row)], COLUMNS, "")
    return OK


async def _turn(options: Options, name: str, verb: str) -> int:
    from flowbuilder.client.approvals import local_user

    async with options.connect() as builder:
        kind, found = await _find(builder, name)
        rooms: Any = builder.schedules if kind == "schedule" else builder.webhooks
        row = await getattr(rooms, verb)(found, by=local_user())
    shown = _schedule(row) if kind == "schedule" else _webhook(row)
    options.printer().rows([shown], COLUMNS, "")
    return OK


async def _remove(options: Options, name: str) -> int:
    async with options.connect() as builder:
        kind, found = await _find(builder, name)
        rooms: Any = builder.schedules if kind == "schedule" else builder.webhooks
        await rooms.remove(found)
    options.printer().say(f"the {kind} {name} is deleted", "dim")
    return OK


async def _rotate(options: Options, name: str, overlap: str) -> int:
    from flowbuilder.client.approvals import local_user

    async with options.connect() as builder:
        made = await builder.webhooks.rotate(name, overlap=overlap, by=local_user())
    _show_made(options, made)
    return OK


async def _why(options: Options, name: str) -> int:
    async with options.connect() as builder:
        standing = await builder.schedules.why(name)
    printer = options.printer()
    if printer.as_json:
        printer.line(standing.as_json())
    for reason in standing.reasons:
        printer.say(f"{reason.message} ({reason.code})")
    return OK


async def _hold(options: Options, reason: str | None) -> int:
    from flowbuilder.client.approvals import local_user

    async with options.connect() as builder:
        switch = await builder.schedules.hold(reason=reason, by=local_user())
    options.printer().rows([row_json(switch)], _HELD, "")
    return OK


async def _release(options: Options) -> int:
    async with options.connect() as builder:
        switch = await builder.schedules.release()
    options.printer().rows([row_json(switch)], _HELD, "")
    return OK


async def _find(builder: FlowBuilder, name: str) -> tuple[str, str]:
    """Return of which kind a trigger is, and its id. Raises: NotFound, UsageProblem."""
    found = [
        ("schedule", row.id) for row in await builder.schedules.list() if name in (row.name, row.id)
    ]
    found += [
        ("webhook", row.id) for row in await builder.webhooks.list() if name in (row.name, row.id)
    ]
    if not found:
        raise NotFound(f"there is no trigger {name[:80]!r}", code="trigger_not_found")
    if len(found) > 1:
        raise UsageProblem(
            f"{name} is a schedule and a webhook", hint="Say its id, which `list` shows."
        )
    return found[0]


def _show_made(options: Options, made: MadeWebhook) -> None:
    shown = {**_webhook(made.row), "secret": made.secret}
    options.printer().rows([shown], _MADE, "")


def _schedule(row: ScheduleRow) -> JsonObject:
    shown: JsonObject = {"kind": "schedule", **row_json(row)}
    return {**shown, "when": f"{row.cron} {row.timezone}"}


def _webhook(row: WebhookRow) -> JsonObject:
    path = f"/hooks/{row.path}"
    shown: JsonObject = {"kind": "webhook", **row_json(row)}
    return {**shown, "path": path, "rate": str(row.rate), "when": path, "next_at": None}
