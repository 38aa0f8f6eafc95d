"""The tools of the fault tests for a service, by their names; it executes none of them."""

from __future__ import annotations

import os
from pathlib import Path

from tests.faults.harness.ledger import Ledger
from tests.faults.harness.tools import fault_registry

globals().update(
    {one.name: one for one in fault_registry(Ledger(Path(os.environ["FAULTS_LEDGER"])))}
)
