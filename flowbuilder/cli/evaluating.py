"""The commands of `flowbuilder eval`: each reads its arguments and hands them on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flowbuilder.cli.failures import finish, perform
from flowbuilder.cli.fuzzing import fuzz, injections
from flowbuilder.cli.recording import record


def run(
    context: typer.Context,
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="Name of a suite, or its file.")],
    cassette: Annotated[
        Path | None, typer.Option("--cassette", help="Answer from what `eval record` has kept.")
    ] = None,
    trials: Annotated[
        int, typer.Option("--trials", min=1, max=100, help="How often each case is tried.")
    ] = 1,
    report: Annotated[
        list[Path] | None,
        typer.Option("--report", help="File to write: .json, .xml (JUnit) or .html. Repeatable."),
    ] = None,
    timings: Annotated[
        bool, typer.Option("--timings/--no-timings", help="Whether times are told.")
    ] = True,
) -> None:
    """Run an evaluation suite; 1 when a case fails."""
    from flowbuilder.cli import measuring, recording

    planning = None if cassette is None else recording.replaying(context.obj, cassette)
    work = measuring.run(
        context.obj,
        suite,
        planning=planning,
        trials=trials,
        reports=report or [],
        timings=timings,
    )
    perform(context.obj.printer(), work)


def suites(context: typer.Context) -> None:
    """List the evaluation suites."""
    from flowbuilder.cli import measuring

    finish(context.obj.printer(), lambda: measuring.suites(context.obj))


def import_suite(
    context: typer.Context,
    format: Annotated[
        str,
        typer.Argument(
            help="asynchow, bfcl, nestful, recorded-plans, seal-tools or taskbench.",
        ),
    ],
    path: Annotated[str, typer.Argument(help="A file of records, or a folder of such files.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Suite to write: .yaml, .yml or .json.")
    ] = None,
    catalogue: Annotated[
        Path | None, typer.Option("--catalogue", help="Where the tools are described.")
    ] = None,
) -> None:
    """Import benchmark data as a suite; 1 when a record could not be taken."""
    from flowbuilder.cli import importing

    printer = context.obj.printer()
    finish(
        printer,
        lambda: importing.import_suite(printer, format, path, out=out, catalogue=catalogue),
    )


def compare(
    context: typer.Context,
    before: Annotated[Path, typer.Argument(help="Report in JSON that is held against.")],
    after: Annotated[Path, typer.Argument(help="Report in JSON that is judged.")],
    alpha: Annotated[
        float,
        typer.Option(min=0, max=1, help="A loss less likely than this by chance is a regression."),
    ] = 0.05,
    max_drop: Annotated[
        float | None,
        typer.Option("--max-drop", min=0, max=1, help="A loss larger than this is one anyway."),
    ] = None,
    score: Annotated[
        list[str] | None, typer.Option("--score", help="Only this score. Repeatable.")
    ] = None,
) -> None:
    """Compare two reports case by case; 1 when a score has become worse."""
    from flowbuilder.cli import measuring

    finish(
        context.obj.printer(),
        lambda: measuring.compare(
            context.obj, before, after, alpha=alpha, max_drop=max_drop, only=score or []
        ),
    )


def parity(
    context: typer.Context,
    format: Annotated[str, typer.Argument(help="bfcl, seal-tools, taskbench or worfbench.")],
    gold: Annotated[Path, typer.Argument(help="File of records.")],
    answers: Annotated[Path, typer.Argument(help="File of answers, with the records' ids.")],
    catalogue: Annotated[
        Path | None, typer.Option("--catalogue", help="TaskBench's tool_desc.json.")
    ] = None,
) -> None:
    """Compute the figures that a published evaluation would give, with its faults."""
    from flowbuilder.cli import importing

    printer = context.obj.printer()
    finish(
        printer,
        lambda: importing.print_parity(printer, format, gold, answers, catalogue=catalogue),
    )


def noise(
    context: typer.Context,
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="Name of a suite, or its file.")],
    rate: Annotated[
        float, typer.Option(min=0, max=1, help="How likely a step is written with a defect.")
    ] = 0.2,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 1,
    most: Annotated[
        int | None, typer.Option("--most", min=1, help="Look at the first cases only.")
    ] = None,
) -> None:
    """Plan with a model that errs at a known rate; 1 when mending misses its bars."""
    from flowbuilder.cli import measuring

    perform(context.obj.printer(), measuring.noise(context.obj, suite, rate, seed, most))


def asking(
    context: typer.Context,
    format: Annotated[str, typer.Argument(help="bfcl, or another format of eval import.")],
    path: Annotated[str, typer.Argument(help="A file of records, or a folder of such files.")],
    catalogue: Annotated[
        Path | None, typer.Option("--catalogue", help="Where the tools are described.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of what is taken out and made up.")] = 0,
    wrong: Annotated[
        bool, typer.Option("--wrong", help="List every trial that came out wrong.")
    ] = False,
) -> None:
    """Measure what a plan asks when a goal lacks a value; 1 when a figure misses its bar."""
    from flowbuilder.cli import asking_measured

    printer = context.obj.printer()
    perform(
        printer,
        asking_measured.asking(printer, format, path, seed=seed, catalogue=catalogue, wrong=wrong),
    )


def schema(context: typer.Context) -> None:
    """Print the JSON Schema of suite files."""
    from flowbuilder.cli import importing

    finish(context.obj.printer(), importing.print_schema)


def add_commands(app: typer.Typer) -> None:
    """Add the commands to those of `flowbuilder eval`."""
    app.command("run")(run)
    app.command("record")(record)
    app.command("list")(suites)
    app.command("compare")(compare)
    app.command("import")(import_suite)
    app.command("parity")(parity)
    app.command("noise")(noise)
    app.command("asking")(asking)
    app.command("schema")(schema)
    app.command("fuzz")(fuzz)
    app.command("injections")(injections)
