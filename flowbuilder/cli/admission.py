"""`flowbuilder admission` and `flowbuilder quotas`: how many runs are let in, what may be used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flowbuilder.cli.failures import OK, perform
from flowbuilder.cli.options import Options
from flowbuilder.cli.output import row_json

if TYPE_CHECKING:
    from flowbuilder.executor.admitting import AdmissionRow
    from flowbuilder.types import JsonObject

COLUMNS = {
    "of": "runs of",
    "concurrency": "at once",
    "rate": "starts",
    "running": "running",
    "waiting": "waiting",
    "next_at": "next start",
}
USED = {"quota": "of", "used": "used", "limit": "at most"}
Flow = Annotated[
    str | None, typer.Option("--flow", help="Of this flow; else of the whole workspace.")
]

admission_app = typer.Typer(
    help="Bound how many runs are under way at once and how often they start.",
    invoke_without_command=True,
)
quotas_app = typer.Typer(
    help="Show and set what the workspace may use.", invoke_without_command=True
)


@admission_app.callback()
def admission(context: typer.Context) -> None:
    """List the limits on runs, with what is under each of them now."""
    if context.invoked_subcommand is None:
        perform(context.obj.printer(), _show(context.obj))


@admission_app.command("list")
def list_admissions(context: typer.Context) -> None:
    """List the limits on runs, with what is under each of them now."""
    perform(context.obj.printer(), _show(context.obj))


@admission_app.command("set")
def set_admission(
    context: typer.Context,
    flow: Flow = None,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", min=1, help="Runs at once.")
    ] = None,
    rate: Annotated[str | None, typer.Option("--rate", help="Starts, as in 30/1m.")] = None,
) -> None:
    """Limit the runs of the workspace or of a flow; what is above waits, nothing is refused."""
    perform(context.obj.printer(), _set(context.obj, flow, concurrency, rate))


@admission_app.command("clear")
def clear_admission(context: typer.Context, flow: Flow = None) -> None:
    """Take a limit back; what it alone keeps back is let in."""
    perform(context.obj.printer(), _clear(context.obj, flow))


async def _show(options: Options) -> int:
    async with options.connect() as builder:
        found = [_row(row) for row in await builder.admission.list()]
    options.printer().rows(found, COLUMNS, "Runs start at once: there is no limit on them.")
    return OK


def _row(row: AdmissionRow) -> JsonObject:
    shown = dict(row_json(row))
    return {"of": shown["flow"] or "the workspace", **shown}


async def _set(
    options: Options, flow: str | None, concurrency: int | None, rate: str | None
) -> int:
    from flowbuilder.client.approvals import local_user

    async with options.connect() as builder:
        row = await builder.admission.set(flow, concurrency=concurrency, rate=rate, by=local_user())
    options.printer().rows([_row(row)], COLUMNS, "")
    return OK


async def _clear(options: Options, flow: str | None) -> int:
    async with options.connect() as builder:
        await builder.admission.clear(flow)
    whose = f"flow {flow}" if flow else "the workspace"
    options.printer().say(f"the limit on runs of {whose} is taken back", "dim")
    return OK


# -- quotas ---------------------------------------------------------------------------------


@quotas_app.callback()
def quotas(context: typer.Context) -> None:
    """Show what the workspace uses and may use."""
    if context.invoked_subcommand is None:
        perform(context.obj.printer(), _usage(context.obj))


@quotas_app.command("set")
def set_quotas(
    context: typer.Context,
    stored_bytes: Annotated[int | None, typer.Option("--stored-bytes", min=1)] = None,
    events_kept: Annotated[int | None, typer.Option("--events-kept", min=1)] = None,
    runs_per_day: Annotated[int | None, typer.Option("--runs-per-day", min=1)] = None,
    plans_per_hour: Annotated[int | None, typer.Option("--plans-per-hour", min=1)] = None,
    workspace: Annotated[
        str | None, typer.Option("--workspace", help="Another one than `default`.")
    ] = None,
) -> None:
    """Set all quotas of a workspace; what is left out is as much as it likes."""
    given = {
        "stored_bytes": stored_bytes,
        "events_kept": events_kept,
        "runs_per_day": runs_per_day,
        "plans_per_hour": plans_per_hour,
    }
    perform(context.obj.printer(), _set_quotas(context.obj, given, workspace))


async def _set_quotas(options: Options, given: dict[str, int | None], workspace: str | None) -> int:
    from flowbuilder.client.approvals import local_user
    from flowbuilder.limits import Quotas

    async with options.connect() as builder:
        place = builder
        if workspace is not None:
            place = builder.within(await builder.accounts.find_workspace(workspace))
        usage = await place.admission.set_quotas(Quotas(**given), by=local_user())
        _tell(options, usage.as_json())
    return OK


async def _usage(options: Options) -> int:
    async with options.connect() as builder:
        _tell(options, (await builder.admission.usage()).as_json())
    return OK


def _tell(options: Options, usage: JsonObject) -> None:
    from flowbuilder.limits import QUOTAS

    rows: list[JsonObject] = []
    for name in QUOTAS:
        used = usage[name]
        assert isinstance(used, dict)
        rows.append({"quota": name.replace("_", " "), **used})
    options.printer().rows(rows, USED, "")
