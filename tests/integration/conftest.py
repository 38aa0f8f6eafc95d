"""What many integration tests ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowbuilder.executor import embedded
from flowbuilder.executor.database import Database
from tests.support.engine import Engine


@pytest.fixture
async def engine(database: Database) -> Engine:
    """One worker of a fresh database, played by hand; a module with other tools makes its own."""
    engine = Engine(database)
    await engine.join()
    return engine


@pytest.fixture
def data_dir(short_dir: Path) -> Iterator[Path]:
    """A folder for an embedded server, which is stopped at the end."""
    folder = short_dir / "project"
    yield folder
    if (folder / "postgres").exists():  # what a killed user has left running
        embedded.start(folder).stop()
