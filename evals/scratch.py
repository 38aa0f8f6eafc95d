"""A place for one evaluation: a PostgreSQL of its own, gone with everything in it afterwards.

The project's database is not used. Its workers would take the cases' tasks and write into the
project's folder, and the cases' plans and runs would stand among the project's.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from flowbuilder.client.connection import reach_database
from flowbuilder.errors import FlowBuilderError
from flowbuilder.executor.cluster import try_lock, unlock
from flowbuilder.settings import Settings

_PREFIX = "eval-"
_LOCK = "evaluation.lock"
_SERVER = "postgres"


@dataclass(frozen=True, kw_only=True, slots=True)
class Scratch:
    """Where an evaluation works."""

    settings: Settings
    """The given ones, with the database to use."""
    folder: Path
    """For the cases' workspaces."""


@asynccontextmanager
async def open_scratch(settings: Settings) -> AsyncIterator[Scratch]:
    """Make a folder in `settings.data_dir`, start a server there unless one is given; tidy up.

    Raises:
        EmbeddedServerError: The server does not start.
    """
    folder = await asyncio.to_thread(_make_folder, settings.data_dir)
    lock = try_lock(folder / _LOCK)
    try:
        async with AsyncExitStack() as stack:
            own = settings.model_copy(update={"data_dir": folder / _SERVER})
            server = await reach_database(stack, own)
            dsn = SecretStr(server.dsn)
            yield Scratch(settings=settings.model_copy(update={"database_url": dsn}), folder=folder)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        if lock is not None:
            unlock(lock)


def _make_folder(data_dir: Path) -> Path:
    data_dir.mkdir(parents=True, exist_ok=True)
    _sweep(data_dir)
    return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=data_dir)).resolve()


def _sweep(data_dir: Path) -> None:
    """Stop and remove what evaluations that were killed have left."""
    from flowbuilder.executor import embedded

    for folder in data_dir.glob(f"{_PREFIX}*"):
        if not (folder / _LOCK).is_file():
            continue  # one that is just beginning
        lock = try_lock(folder / _LOCK)
        if lock is None:
            continue  # one that is still at work
        with suppress(FlowBuilderError):
            if (folder / _SERVER).is_dir():
                embedded.start(folder / _SERVER).stop()
        shutil.rmtree(folder, ignore_errors=True)
        unlock(lock)
