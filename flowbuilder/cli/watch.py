"""`flowbuilder watch`: start a flow for each file that comes or changes in a folder.

For local use: which folder is said by whoever starts the command, and by nobody over HTTP.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flowbuilder.cli.failures import OK, UsageProblem, perform
from flowbuilder.cli.options import Options
from flowbuilder.errors import FlowBuilderError
from flowbuilder.types import JsonObject, parse_duration

if TYPE_CHECKING:
    from flowbuilder.cli.output import Printer
    from flowbuilder.client import FlowBuilder
    from flowbuilder.limits import Rate
    from flowbuilder.triggers.files import ChangedFile
    from flowbuilder.triggers.flood import Flood


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    """What `watch` was asked to do."""

    path: Path
    flow: str
    key: str
    input: str | None
    pattern: str
    rest: timedelta
    rate: Rate
    runs: int | None
    worker: bool | None


def watch(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A folder, or one file.")],
    flow: Annotated[str, typer.Option("--flow", help="A stored flow.")],
    key: Annotated[
        str, typer.Option("--key", help="Where in the run's input the file's path stands.")
    ] = "path",
    input: Annotated[
        str | None,
        typer.Option("--input", "-i", help="The rest of the input: a JSON object, @file or @-."),
    ] = None,
    pattern: Annotated[
        str, typer.Option("--pattern", help="Only such names, as in '*.csv'.")
    ] = "*",
    debounce: Annotated[
        str, typer.Option("--debounce", help="How long nothing may change before a run starts.")
    ] = "500ms",
    rate: Annotated[str, typer.Option("--rate", help="Starts at most, as in 60/1m.")] = "60/1m",
    runs: Annotated[int | None, typer.Option("--runs", min=1, help="End after so many.")] = None,
    worker: Annotated[
        bool | None,
        typer.Option("--worker/--no-worker", help="Run tasks here; default: if nobody else does."),
    ] = None,
) -> None:
    """Start a flow for each file that comes or changes, until interrupted."""
    from flowbuilder.limits import Rate

    try:
        rest, limit = parse_duration(debounce), Rate.read(rate)
    except ValueError as error:
        perform(context.obj.printer(), _refuse(str(error)))
        return
    wanted = _Wanted(
        path=path,
        flow=flow,
        key=key,
        input=input,
        pattern=pattern,
        rest=rest,
        rate=limit,
        runs=runs,
        worker=worker,
    )
    perform(context.obj.printer(), _watch(context.obj, wanted))


async def _refuse(message: str) -> int:
    raise UsageProblem(message)


async def _watch(options: Options, wanted: _Wanted) -> int:
    from flowbuilder.cli.sources import read_input
    from flowbuilder.cli.watching import has_worker
    from flowbuilder.triggers.files import watched
    from flowbuilder.triggers.flood import Flood

    given = read_input(wanted.input)
    if given is not None and not isinstance(given, dict):
        raise UsageProblem("--input is a JSON object here; the file's path is put into it")
    folder = watched(wanted.path, wanted.pattern)
    printer = options.printer()
    flood = Flood(burst=wanted.rate.count, rate=wanted.rate.count / wanted.rate.seconds)
    async with options.connect() as builder, AsyncExitStack() as working:
        await builder.get_flow(wanted.flow)
        here = wanted.worker
        if here is None:
            here = builder.settings.database_url is None or not await has_worker(builder)
        if here:
            await working.enter_async_context(builder.worker())
        watching: JsonObject = {"type": "watching", "path": str(folder.root), "flow": wanted.flow}
        left = wanted.runs
        async for changed in folder.changes(wanted.rest, lambda: _tell(printer, watching)):
            await _wait_for_room(flood, wanted.flow)
            started = await _start(builder, printer, wanted, given or {}, changed)
            left = None if left is None else left - started
            if left == 0:
                break
    return OK


async def _wait_for_room(flood: Flood, flow: str) -> None:
    """Keep to the rate: a flow that writes into the folder would start itself without end."""
    wait = flood.take(flow)
    while wait:
        await asyncio.sleep(wait)
        wait = flood.take(flow)


async def _start(
    builder: FlowBuilder, printer: Printer, wanted: _Wanted, given: JsonObject, changed: ChangedFile
) -> bool:
    """Start the run of a changed file; what goes wrong is told, and the watch goes on."""
    from flowbuilder.client.approvals import local_user

    path = _place(changed.path, builder.settings.workspace_dir)
    if changed.refused is not None:
        _tell(printer, {"type": "refused", "path": path, "reason": changed.refused})
        return False
    try:
        run = await builder.execute(wanted.flow, {**given, wanted.key: path}, by=local_user())
        await builder.store.note_file(run.id, name=wanted.flow, path=path)
    except FlowBuilderError as error:
        told: JsonObject = {"code": error.code, "message": error.message}
        _tell(printer, {"type": "failed", "path": path, "error": told})
        return False
    _tell(printer, {"type": "started", "path": path, "run_id": run.id})
    return True


def _place(path: Path, workspace: Path) -> str:
    """Return a path as `file.read` takes it, where it is inside its folder."""
    root = workspace.resolve()
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def _tell(printer: Printer, record: JsonObject) -> None:
    if printer.as_json:
        printer.line(record)
        return
    more = record.get("run_id") or record.get("reason") or record.get("error") or ""
    printer.say(f"{record['type']} {record['path']} {more}".rstrip())
