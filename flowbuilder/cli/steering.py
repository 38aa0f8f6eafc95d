"""The commands that are verbs on runs: steer one, ask why it stands still, delete old ones."""

from __future__ import annotations

from typing import Annotated

import typer

from flowbuilder.cli.failures import perform

RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of a run.")]


def cancel(
    context: typer.Context,
    run: RunId,
    reason: Annotated[str | None, typer.Option("--reason", help="Why, in words.")] = None,
) -> None:
    """Cancel a run."""
    from flowbuilder.cli import deciding

    perform(context.obj.printer(), deciding.change_run(context.obj, run, "cancel", reason))


def pause(context: typer.Context, run: RunId) -> None:
    """Start no further task of a run until it is resumed."""
    from flowbuilder.cli import deciding

    perform(context.obj.printer(), deciding.change_run(context.obj, run, "pause"))


def resume(context: typer.Context, run: RunId) -> None:
    """Let a paused run go on."""
    from flowbuilder.cli import deciding

    perform(context.obj.printer(), deciding.change_run(context.obj, run, "resume"))


def why(context: typer.Context, run: RunId) -> None:
    """Say why a run does not move, the most important reason first."""
    from flowbuilder.cli import deciding

    perform(context.obj.printer(), deciding.why(context.obj, run))


def retry(
    context: typer.Context,
    run: RunId,
    step: Annotated[
        str | None, typer.Option("--from", metavar="STEP", help="Run this step again, too.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would run and happen again.")
    ] = False,
    key: Annotated[
        str | None, typer.Option("--idempotency-key", help="The same key gives the same run.")
    ] = None,
) -> None:
    """Start a run anew that has ended; what it finished is taken over."""
    from flowbuilder.cli import deciding

    perform(context.obj.printer(), deciding.retry(context.obj, run, step, key=key, dry_run=dry_run))


def prune(
    context: typer.Context,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="Since they ended, such as 30d, 12h.")
    ] = "30d",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Delete nothing, only count.")] = False,
) -> None:
    """Delete runs that ended long ago, with all that is theirs; open ones stay."""
    from flowbuilder.cli import serving

    perform(context.obj.printer(), serving.prune(context.obj, older_than, dry_run=dry_run))


VERBS = (cancel, pause, resume, retry, why, prune)
