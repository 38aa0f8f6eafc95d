"""A place for one evaluation: a PostgreSQL of its own, gone with everything in it afterwards.

The project's database is not used. Its workers would take the cases' tasks and write into the
project's folder, and the cases' plans and runs would stand among the project's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from flowbuilder.client.connection import reach_database
from flowbuilder.executor.scratch import SERVER, scratch_folder
from flowbuilder.settings import Settings

_PREFIX = "eval-"


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
    async with (
        scratch_folder(settings.data_dir, _PREFIX) as folder,
        AsyncExitStack() as stack,
    ):
        own = settings.model_copy(update={"data_dir": folder / SERVER})
        server = await reach_database(stack, own)
        where = {
            "database_url": SecretStr(server.dsn),
            "database_direct_url": None if server.direct is None else SecretStr(server.direct),
        }
        yield Scratch(settings=settings.model_copy(update=where), folder=folder)
