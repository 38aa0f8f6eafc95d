"""`flowbuilder model`: a real language model on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from flowbuilder.cli.failures import finish

model_app = typer.Typer(help="A real language model on this machine.", no_args_is_help=True)


@model_app.command("fetch")
def model_fetch(
    context: typer.Context,
    file: Annotated[Path | None, typer.Option("--file", help="Take this file.")] = None,
    url: Annotated[str | None, typer.Option("--url", help="Download from here only.")] = None,
) -> None:
    """Fetch the model's weights, checked by their official SHA-256."""
    from flowbuilder.cli import modelling

    finish(context.obj.printer(), lambda: modelling.fetch(context.obj, file, url))


@model_app.command("serve")
def model_serve(
    context: typer.Context,
    host: Annotated[str, typer.Option("--host")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535)] = 8081,
) -> None:
    """Serve the fetched model as an OpenAI-compatible endpoint."""
    from flowbuilder.cli import modelling

    finish(context.obj.printer(), lambda: modelling.serve(context.obj, host, port))
