"""The local model: fetch it, serve it, plan with it."""

from __future__ import annotations

import atexit
from datetime import timedelta
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
    from flowbuilder.tools import ToolRegistry

#: A call's limit with the local model: on a busy machine it reads its prompt at twenty tokens a
#: second.
_PATIENCE = timedelta(minutes=10)


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
    from flowbuilder.planner.prompting import warm_up_messages

    settings = options.settings()
    options.printer().err.print(
        f"plan with it: FLOWBUILDER_MODEL=openai/local "
        f"FLOWBUILDER_MODEL_API_BASE=http://{host}:{port}/v1",
        style="dim",
    )
    prompt = warm_up_messages(options.registry())
    serve_model(model_dir(settings) / QWEN_CODER.file_name, host, port, prompt=prompt)
    return OK


def with_local_model(printer: Printer, settings: Settings, registry: ToolRegistry) -> Settings:
    """Return settings that plan with the local model, fetched, running and warm.

    A server that is started here is stopped when this process ends, however it ends.

    Raises:
        ModelError: The runtime is missing, or fetching or starting failed.
    """
    from pydantic import SecretStr

    from flowbuilder.localmodel.running import ensure_running, running, stop
    from flowbuilder.localmodel.serve import check_runtime
    from flowbuilder.planner.prompting import warm_up_messages

    server = running(settings)
    if server is None:
        check_runtime()
        fetch_weights(printer, settings)
        with printer.err.status("starting the local model; it reads its instructions once …"):
            atexit.register(stop, settings)
            server = ensure_running(settings, prompt=warm_up_messages(registry), as_child=True)
    return settings.model_copy(
        update={
            "model": server.model,
            "model_api_base": server.api_base,
            "model_api_key": settings.model_api_key or SecretStr("local"),
            "model_timeout": max(settings.model_timeout, _PATIENCE),
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
