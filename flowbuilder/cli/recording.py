"""`flowbuilder eval record`, and runs of suites from what was recorded."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from flowbuilder.cli.failures import OK, UsageProblem, perform
from flowbuilder.cli.options import Options
from flowbuilder.errors import InvalidValue, NotFound
from flowbuilder.planner.base import Planner

_SUFFIX = ".cassette.jsonl"


def record(
    context: typer.Context,
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="Name of a suite, or its file.")],
    cassette: Annotated[
        Path | None,
        typer.Option("--cassette", help=f"Write there; default: <suite>{_SUFFIX}."),
    ] = None,
) -> None:
    """Run a suite with the configured model and keep its answers for `eval run --cassette`."""
    options: Options = context.obj
    perform(options.printer(), _record(options, suite, cassette))


def replaying(options: Options, cassette: Path) -> Callable[[], Planner]:
    """Return what makes a planner that asks a cassette; what was never recorded fails its case."""
    return partial(_replaying, options, cassette)


def _replaying(options: Options, cassette: Path) -> Planner:
    from flowbuilder.evals.cassettes import read_cassette
    from flowbuilder.evals.models import ReplayingModel
    from flowbuilder.planner.hierarchy.model import in_parts_by_model

    try:
        recorded = read_cassette(cassette)
    except (NotFound, InvalidValue) as error:
        raise UsageProblem(error.message, hint=error.hint) from None
    settings = recorded.replaying(options.settings())
    return in_parts_by_model(settings, ReplayingModel(recorded))


async def _record(options: Options, suite: str, path: Path | None) -> int:
    from flowbuilder.cli import measuring
    from flowbuilder.evals.models import RecordingModel
    from flowbuilder.models import ModelClient
    from flowbuilder.planner.hierarchy.model import in_parts_by_model

    settings = options.settings()
    if settings.model is None:
        raise UsageProblem(
            "there is no model to record",
            hint="Set FLOWBUILDER_MODEL, and FLOWBUILDER_MODEL_API_BASE for a server of your own.",
        )
    target = path or Path(f"{measuring.named_suite(suite).suite}{_SUFFIX}")
    model = RecordingModel(ModelClient(settings), settings)
    try:
        await measuring.run(options, suite, planning=lambda: in_parts_by_model(settings, model))
    finally:
        _write(target, model.cassette.text())
    answers = len(model.cassette.recorded)
    options.printer().say(f"{answers} answers recorded in {target}", "dim")
    return OK


def _write(path: Path, content: bytes) -> None:
    """Write a file so that nobody ever sees a half of it. Raises: UsageProblem."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except OSError as error:
        raise UsageProblem(f"{path} cannot be written: {error.strerror}") from None
