"""Calling tools as the worker does, without a worker."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from flowbuilder.settings import Settings
from flowbuilder.tools import Context, Tool, bind, check_output


class NoSecrets:
    def get(self, name: str) -> str:
        raise AssertionError(f"nobody should ask for the secret {name}")

    async def fetch(self, name: str, *, url: str | None = None) -> str:
        return self.get(name)


class TaskContext:
    """The context of a task that runs nowhere."""

    run_id = "00000000-0000-0000-0000-000000000001"
    workspace = "00000000-0000-0000-0000-000000000001"
    step_id = "step"
    task_id = "00000000-0000-0000-0000-000000000002"
    index: int | None = None
    attempt = 1
    idempotency_key = "key-1"
    cancelled = False
    tokens_left: int | None = None
    usd_left: float | None = None

    def __init__(self, settings: Settings, model: object | None = None) -> None:
        self.settings = settings
        self.secrets = NoSecrets()
        self.model = model
        self.reports: list[tuple[float | None, str | None]] = []
        self.spent: list[tuple[int, float | None]] = []
        self.emitted: list[tuple[str, str, Any, Any]] = []

    @property
    def connection(self) -> Any:
        raise AssertionError("nobody should write here")

    async def emit(
        self, name: str, key: str = "", payload: Any = None, *, keep: Any = None
    ) -> None:
        self.emitted.append((name, key, payload, keep))

    def spend(self, tokens: int = 0, usd: float | None = None) -> None:
        self.spent.append((tokens, usd))

    def progress(self, fraction: float | None = None, message: str | None = None) -> None:
        self.reports.append((fraction, message))


def context(workspace: Path | None = None, model: object | None = None, **settings: Any) -> Context:
    """Return a task's context with these settings."""
    if workspace is not None:
        settings["workspace_dir"] = workspace
    return TaskContext(Settings(**settings), model)


def call(tool: Tool, args: dict[str, Any], task: Context | None = None) -> Any:
    """Run a plain tool through both borders."""
    return check_output(tool, bind(tool, args, task or context())())


async def acall(tool: Tool, args: dict[str, Any], task: Context | None = None) -> Any:
    """Run an async tool through both borders."""
    value = bind(tool, args, task or context())()
    assert inspect.isawaitable(value)
    return check_output(tool, await value)
