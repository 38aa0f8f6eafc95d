"""The fault tests. Short forms by default; `make faults` runs the long ones.

`FLOWBUILDER_TEST_SEED=n` repeats one schedule; `FLOWBUILDER_TEST_FAULTS=long` asks for the long
forms, with a new seed each time unless one is given. The summary names the seed, the faults that
really happened and the figures of each test.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.conftest import FAST_FOLDER
from tests.faults.harness.arena import LONG, Arena, sized
from tests.faults.harness.nursery import Nursery
from tests.faults.harness.server import FaultServer, is_alive
from tests.faults.harness.services import Services
from tests.faults.harness.watchdog import deadline

_HERE = Path(__file__).parent
_DEFAULT_SEED = 7
#: Seconds that no test takes, however slow the machine: one that does hangs.
_LONGEST = sized(600, 7200)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.faults)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    # What a fixture tells at its end comes with the report of the teardown.
    told = {
        report.nodeid: report.user_properties
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "teardown" and report.user_properties
    }
    if LONG and told:
        terminalreporter.section("faults")
        for node, properties in told.items():
            text = ", ".join(f"{name}={value}" for name, value in properties)
            terminalreporter.write_line(f"{node.rsplit('::')[-1]}: {text}")


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where worker processes come from."""
    opened = Nursery()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def fault_server(nursery: Nursery) -> Iterator[FaultServer]:
    """A PostgreSQL that tests may kill; each process of a test session has its own."""
    folder = Path(tempfile.mkdtemp(prefix="flowbuilder-faults-", dir=FAST_FOLDER))
    folder.chmod(0o755)
    nursery.guard(folder)
    server = FaultServer(folder)
    try:
        server.create()
        yield server
    finally:
        server.destroy()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def seed() -> int:
    """The seed of this test's schedule."""
    given = os.environ.get("FLOWBUILDER_TEST_SEED")
    chosen = int(given) if given else secrets.randbelow(10**6) if LONG else _DEFAULT_SEED
    print(f"FLOWBUILDER_TEST_SEED={chosen}")
    return chosen


@pytest.fixture
async def arena(
    fault_server: FaultServer,
    nursery: Nursery,
    tmp_path: Path,
    seed: int,
    request: pytest.FixtureRequest,
) -> AsyncIterator[Arena]:
    """A fresh world."""
    try:
        alive = is_alive(fault_server.postmaster)
    except (OSError, ValueError):
        alive = False
    if not alive:
        fault_server.start()
    opened = Arena(fault_server, nursery, tmp_path, seed=seed)
    try:
        await opened.open()
        async with deadline(_LONGEST, request.node.originalname, opened.state):
            yield opened
    finally:
        told = {"seed": seed, **opened.faults, **opened.figures}
        request.node.user_properties += list(told.items())
        await opened.close()


@pytest.fixture
def services() -> Iterator[Services]:
    """Services over HTTP, none of which outlives its test."""
    started = Services()
    yield started
    started.end()
