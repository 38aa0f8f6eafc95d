"""The commands: each reads its arguments and hands them on."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from flowbuilder.cli.admission import admission_app, quotas_app
from flowbuilder.cli.approval_commands import approvals, approve, reject
from flowbuilder.cli.approval_settings import channels_app, delegations_app
from flowbuilder.cli.benching import bench
from flowbuilder.cli.connecting import connections_app
from flowbuilder.cli.emitting import emit
from flowbuilder.cli.evaluating import add_commands as add_eval_commands
from flowbuilder.cli.failures import finish, perform
from flowbuilder.cli.keys import keys_app
from flowbuilder.cli.limiting import limits_app
from flowbuilder.cli.model_app import model_app
from flowbuilder.cli.options import Options, hoist
from flowbuilder.cli.planning import Answers, LocalModel, diff, edit, plan
from flowbuilder.cli.policing import policy_app
from flowbuilder.cli.remembering import memory_app
from flowbuilder.cli.secrets import secrets_app
from flowbuilder.cli.steering import VERBS, RunId
from flowbuilder.cli.step_adding import add_step
from flowbuilder.cli.subscribing import subscriptions_app
from flowbuilder.cli.triggers import triggers_app
from flowbuilder.cli.users import users_app
from flowbuilder.cli.watch import watch
from flowbuilder.cli.workspaces import workspaces_app
from flowbuilder.limits import Priority

EPILOG = (
    "--json, --no-json, --tools, --database-url, --data-dir and --debug may stand before or after "
    "the command. Without --json or --no-json, output is JSON lines exactly when standard output "
    "is no terminal. Exit codes: 0 ok, 1 failed run or problems, 2 wrong usage, 3 waiting for a "
    "person, 130 interrupted."
)

app = typer.Typer(
    name="flowbuilder",
    help="From a goal in plain language to a flow that runs durably on PostgreSQL.",
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
eval_app = typer.Typer(help="Measure planning and execution.", no_args_is_help=True)
app.add_typer(model_app, name="model")
app.add_typer(eval_app, name="eval")
add_eval_commands(eval_app)
app.add_typer(subscriptions_app, name="subscriptions")
app.add_typer(limits_app, name="limits")
app.add_typer(admission_app, name="admission")
app.add_typer(quotas_app, name="quotas")
app.add_typer(memory_app, name="memory")
app.add_typer(policy_app, name="policy")
app.add_typer(channels_app, name="approval-channels")
app.add_typer(delegations_app, name="approval-delegations")
app.add_typer(connections_app, name="connections")
app.add_typer(secrets_app, name="secrets")
app.add_typer(triggers_app, name="triggers")
app.add_typer(users_app, name="users")
app.add_typer(workspaces_app, name="workspaces")
app.add_typer(keys_app, name="keys")

Input = Annotated[
    str | None,
    typer.Option("--input", "-i", help="The run's input: JSON, @file or @- for standard input."),
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")]


def run_app(arguments: Sequence[str] | None = None) -> None:
    """Run the command that the arguments name."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:  # a terminal without UTF-8 gets `?` instead of a traceback
            reconfigure(errors="replace")
    app(args=hoist(sys.argv[1:] if arguments is None else arguments), prog_name="flowbuilder")


def _tell_version(wanted: bool) -> None:
    if wanted:
        from flowbuilder import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    json: Annotated[
        bool | None, typer.Option("--json/--no-json", help="JSON lines, or text for people.")
    ] = None,
    tools: Annotated[
        list[str] | None, typer.Option("--tools", help="A module with @tool functions; repeatable.")
    ] = None,
    database_url: Annotated[
        str | None, typer.Option("--database-url", help="PostgreSQL instead of the embedded one.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Where the embedded PostgreSQL lives.")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error happened.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_tell_version, help="Show the version and end."
        ),
    ] = False,
) -> None:
    """Read the options that every command understands."""
    context.obj = Options(
        json=json,
        tools=tuple(tools or ()),
        database_url=database_url,
        data_dir=data_dir,
        debug=debug,
    )


@app.command()
def run(
    context: typer.Context,
    target: Annotated[str, typer.Argument(metavar="GOAL|FILE|SLUG|PLAN", help="What to run.")],
    input: Input = None,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", "-y", help="Agree to the plan, and give the approvals that are yours, unasked."
        ),
    ] = False,
    worker: Annotated[
        bool | None,
        typer.Option("--worker/--no-worker", help="Run tasks here; default: if nobody else does."),
    ] = None,
    key: Annotated[
        str | None, typer.Option("--idempotency-key", help="The same key gives the same run.")
    ] = None,
    priority: Annotated[
        Priority, typer.Option("--priority", help="Which runs go first.")
    ] = Priority.NORMAL,
    budget: Annotated[
        str | None,
        typer.Option(
            "--budget",
            metavar="tokens=N,usd=N,seconds=N,steps=N,replans=N",
            help="What the run may cost; beyond that it fails.",
        ),
    ] = None,
    replan: Annotated[
        bool | None,
        typer.Option("--replan/--no-replan", help="Plan the rest anew when a step fails for good."),
    ] = None,
    answer: Answers = None,
    local_model: LocalModel = False,
) -> None:
    """Plan a goal (or take a flow file, a stored flow, a plan) and run it to its end."""
    from flowbuilder.cli import running

    request = running.RunRequest(
        target=target,
        input=input,
        yes=yes,
        worker=worker,
        key=key,
        budget=budget,
        priority=priority.value,
        replan=replan,
        answers=tuple(answer or ()),
        local_model=local_model,
    )
    perform(context.obj.printer(), running.run(context.obj, request))


app.command()(plan)
app.command()(edit)
app.command()(diff)
app.command()(watch)


@app.command()
def validate(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A flow document, YAML or JSON.")],
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what needs no decision, and print what comes of it.")
    ] = False,
) -> None:
    """Check a flow document and list every problem; needs no database."""
    from flowbuilder.cli import reading, repairing

    command = repairing.fix if fix else reading.validate
    finish(context.obj.printer(), lambda: command(context.obj, file))


@app.command()
def flows(context: typer.Context) -> None:
    """List the stored flows."""
    from flowbuilder.cli import reading

    perform(context.obj.printer(), reading.flows(context.obj))


@app.command()
def runs(
    context: typer.Context,
    flow: Annotated[str | None, typer.Option("--flow", help="Only of this flow.")] = None,
    status: Annotated[str | None, typer.Option("--status", help="Only in this state.")] = None,
    limit: Limit = 20,
) -> None:
    """List runs, newest first."""
    from flowbuilder.cli import reading

    perform(context.obj.printer(), reading.runs(context.obj, flow, status, limit))


@app.command()
def show(
    context: typer.Context,
    run: RunId,
    tree: Annotated[bool, typer.Option("--tree", help="With the child runs, as one tree.")] = False,
) -> None:
    """Show a run: its state, its steps, its result or error."""
    from flowbuilder.cli import reading, tree_view

    shown = tree_view.show_tree if tree else reading.show
    perform(context.obj.printer(), shown(context.obj, run))


@app.command()
def events(
    context: typer.Context,
    run: RunId,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on to the end, working on the run if needed.")
    ] = False,
    after: Annotated[int, typer.Option("--after", min=0, help="Only later than this number.")] = 0,
) -> None:
    """Print the events of a run (or a plan)."""
    from flowbuilder.cli import reading

    perform(context.obj.printer(), reading.events(context.obj, run, follow=follow, after=after))


app.command()(approvals)
app.command()(approve)
app.command()(reject)
for _command in VERBS:
    app.command()(_command)


app.command()(emit)
app.command()(add_step)
app.command()(bench)


@app.command()
def tools(
    context: typer.Context,
    words: Annotated[str | None, typer.Argument(help="Only those that fit these words.")] = None,
) -> None:
    """List the tools that plans and flows may use; a tool's full name shows its schemas."""
    from flowbuilder.cli import reading

    finish(context.obj.printer(), lambda: reading.tools(context.obj, words))


@app.command()
def worker(
    context: typer.Context,
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", min=1, max=1000, help="Tasks at once.")
    ] = None,
    replan: Annotated[
        bool | None,
        typer.Option("--replan/--no-replan", help="Plan runs anew, too, whose step has failed."),
    ] = None,
) -> None:
    """Run tasks until a signal ends it; any number of workers may run at once."""
    from flowbuilder.cli import serving

    finish(context.obj.printer(), lambda: serving.worker(context.obj, concurrency, replan))


@app.command()
def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option("--host")] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535)] = None,
    worker: Annotated[
        bool | None,
        typer.Option("--worker/--no-worker", help="Run tasks here; default: embedded database."),
    ] = None,
) -> None:
    """Serve the HTTP API."""
    from flowbuilder.cli import serving

    finish(context.obj.printer(), lambda: serving.serve(context.obj, host, port, worker))


@app.command()
def mcp(
    context: typer.Context,
    worker: Annotated[
        bool | None,
        typer.Option("--worker/--no-worker", help="Run tasks here; default: embedded database."),
    ] = None,
) -> None:
    """Serve flows as an MCP server on standard input and output: plan, run, watch, cancel."""
    from flowbuilder.cli import serving

    perform(context.obj.printer(), serving.mcp(context.obj, worker))


@app.command()
def migrate(context: typer.Context) -> None:
    """Bring the database's schema up to date; safe to start from many places at once."""
    from flowbuilder.cli import serving

    perform(context.obj.printer(), serving.migrate(context.obj))


@app.command()
def doctor(context: typer.Context) -> None:
    """Tell what is configured, reachable and wrong, and how to mend it."""
    from flowbuilder.cli import serving

    perform(context.obj.printer(), serving.doctor(context.obj))


@app.command()
def openapi(context: typer.Context) -> None:
    """Print the HTTP API's OpenAPI document."""
    from flowbuilder.cli import serving

    finish(context.obj.printer(), lambda: serving.openapi(context.obj))
