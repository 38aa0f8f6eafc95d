"""The local model: fetch it, serve it, plan with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from flowbuilder.cli.failures import OK
from flowbuilder.cli.options import Options
from flowbuilder.cli.output import Printer

if TYPE_CHECKING:
    from flowbuilder.settings import Settings


def fetch(options: Options, file: Path | None, url: str | None) -> int:
    """Fetch the weights, with a progress bar on standard error."""
    printer, settings = options.printer(), options.settings()
    path = fetch_weights(printer, settings, file=file, url=url)
    if printer.as_json:
        printer.line({"type": "model", "path": str(path)})
    printer.say(f"the model is at {path}; serve it with: flowbuilder model serve")
    return OK


def serve(options: Options, host: str, port: int) -> int:
    """Serve the fetched weights until a signal says stop."""
    from flowbuilder.localmodel.running import model_dir
    from flowbuilder.localmodel.serve import serve as serve_model
    from flowbuilder.localmodel.weights import QWEN_CODER

    settings = options.settings()
    options.printer().err.print(
        f"plan with it: FLOWBUILDER_MODEL=openai/local "
        f"FLOWBUILDER_MODEL_API_BASE=http://{host}:{port}/v1",
        style="dim",
    )
    serve_model(model_dir(settings) / QWEN_CODER.file_name, host, port)
    return OK


def with_local_model(printer: Printer, settings: Settings) -> Settings:
    """Return settings that plan with the local model, fetched and running."""
    from pydantic import SecretStr

    from flowbuilder.localmodel.running import ensure_running

    fetch_weights(printer, settings)
    printer.err.print("starting the local model …", style="dim")
    server = ensure_running(settings)
    return settings.model_copy(
        update={
            "model": server.model,
            "model_api_base": server.api_base,
            "model_api_key": settings.model_api_key or SecretStr("local"),
        }
    )


def fetch_weights(
    printer: Printer, settings: Settings, *, file: Path | None = None, url: str | None = None
) -> Path:
    """Return the path of the checked weights; what takes time shows a bar. Raises: ModelError."""
    from flowbuilder.localmodel.fetch import fetch as fetch_model
    from flowbuilder.localmodel.running import model_dir

    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=printer.err,
    )
    tasks: dict[str, TaskID] = {}

    def show(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = bars.add_task(stage, total=total or None)
        bars.update(tasks[stage], completed=done, total=total or None)

    with bars:
        return fetch_model(model_dir(settings), file=file, url=url, progress=show)
