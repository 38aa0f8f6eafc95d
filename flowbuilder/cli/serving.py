"""Commands that keep the system running: worker, service, migrations, doctor."""

from __future__ import annotations

import logging
from collections.abc import Callable

from flowbuilder.cli.failures import FAILED, OK, UsageProblem
from flowbuilder.cli.options import Options
from flowbuilder.cli.output import row_json
from flowbuilder.doctor import examine
from flowbuilder.settings import Settings
from flowbuilder.telemetry import logs, printed


def worker(options: Options, concurrency: int | None, replan: bool | None = None) -> int:
    """Run tasks until SIGTERM or SIGINT; what runs then gets time to end, until a second signal."""
    from flowbuilder.client.connection import run_worker_process

    settings = options.settings()
    logs.configure(settings, debug=options.debug)
    if concurrency is not None:
        settings = settings.model_copy(update={"concurrency": concurrency})
    say = _teller(options, settings)
    say("worker: starting")
    text = "worker: stopping, what runs may end; a second signal does not wait for it"
    with printed.without_secrets():
        run_worker_process(
            settings,
            replan=settings.replan if replan is None else replan,
            stopping=lambda: say(text),
        )
    say("worker: stopped")
    return OK


def serve(options: Options, host: str | None, port: int | None, with_worker: bool | None) -> int:
    """Serve the HTTP API until a signal says stop; a second one ends it at once."""
    import asyncio

    from flowbuilder.api.auth.mode import tokens_of
    from flowbuilder.api.server import serve as serve_api

    settings = options.settings()
    logs.configure(settings, debug=options.debug)
    given = {"host": host, "port": port}
    update = {name: value for name, value in given.items() if value is not None}
    settings = settings.model_copy(update=update)
    users = tokens_of(settings) is not None  # refused here, before anything is said
    if with_worker is None:
        with_worker = settings.database_url is None
    _teller(options, settings)(
        f"serving http://{settings.host}:{settings.port}/api/v1"
        + (" for users who log in" if users else " for whoever is on this machine")
        + (", running tasks here" if with_worker else ", tasks are left to `flowbuilder worker`")
    )
    with printed.without_secrets():
        asyncio.run(serve_api(settings, worker=with_worker))
    return OK


def _teller(options: Options, settings: Settings) -> Callable[[str], None]:
    """Return how to tell what happens: where lines are JSON, so is this."""
    if settings.log_format == "json":
        return logging.getLogger("flowbuilder.cli").warning
    printer = options.printer()
    return lambda text: printer.err.print(text, style="dim")


async def mcp(options: Options, with_worker: bool | None) -> int:
    """Serve as an MCP server until standard input ends; standard output holds nothing else."""
    from flowbuilder.api.mcp import mcp_server
    from flowbuilder.client import FlowBuilder

    settings = options.settings()
    if with_worker is None:
        with_worker = settings.database_url is None
    async with FlowBuilder.connect(settings=settings, worker=with_worker) as builder:
        await mcp_server(builder).run_stdio_async()
    return OK


async def migrate(options: Options) -> int:
    """Bring the schema up to date and tell what was done."""
    from contextlib import AsyncExitStack

    from flowbuilder.client.connection import reach_database
    from flowbuilder.executor import migrator

    printer = options.printer()
    async with AsyncExitStack() as stack:
        server = await reach_database(stack, options.settings())
        report = await migrator.migrate(server.dsn)
    if printer.as_json:
        printer.line({"type": "migrated", **row_json(report)})
        return OK
    for name in report.applied:
        printer.say(f"applied {name}")
    if report.functions:
        printer.say(f"functions: {len(report.functions)} brought up to date")
    for name in report.dropped:
        printer.say(f"dropped function {name}")
    if not (report.applied or report.functions or report.dropped):
        printer.say("nothing to do, the schema is up to date")
    if report.newer:
        printer.say(f"the database is ahead of this version: {', '.join(report.newer)}", "yellow")
    return OK


async def prune(options: Options, older_than: str, *, dry_run: bool) -> int:
    """Delete what ended long ago and tell how much; in JSON mode one line."""
    from flowbuilder.errors import InvalidValue

    printer = options.printer()
    async with options.connect() as builder:
        try:
            counts = (await builder.prune(older_than, dry_run=dry_run)).as_json()
        except InvalidValue as error:
            raise UsageProblem(f"--older-than: {error.message}") from None
    if printer.as_json:
        printer.line({"type": "pruned", "dry_run": dry_run, **counts})
        return OK
    found = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
    printer.say(f"{'would delete' if dry_run else 'deleted'}: {found or 'nothing'}")
    return OK


async def doctor(options: Options) -> int:
    """Examine everything and tell how to mend what is wrong; 1 when something is."""
    printer = options.printer()
    report = await examine(options.settings())
    if printer.as_json:
        for check in report.checks:
            printer.line(check.as_json())
        return OK if report.healthy else FAILED
    marks = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "wrong": ("✗", "red")}
    for check in report.checks:
        mark, style = marks[check.state.value]
        printer.say(f"{mark} {check.name:16} {check.finding}", style)
        if check.mend:
            printer.say(f"  {'':16} {check.mend}", "dim")
    printer.say(report.verdict)
    return OK if report.healthy else FAILED


def openapi(options: Options) -> int:
    """Print the OpenAPI document; needs no database."""
    from flowbuilder.api.app import create_app
    from flowbuilder.api.openapi import as_text

    # the document is the same for everybody, so nothing has to be set up for users
    settings = options.settings().model_copy(update={"auth": "local", "host": "127.0.0.1"})
    options.printer().out.file.write(as_text(create_app(settings).openapi()))
    return OK
