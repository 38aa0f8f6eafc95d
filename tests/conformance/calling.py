"""Calls made from the OpenAPI document by schemathesis, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.scene import Scene

ROOT = Path(__file__).parents[2]
#: What every answer is held against.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "use_after_free",
    "ignored_auth",
)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What came of the calls."""

    code: int
    calls: int
    text: str


async def call(
    scene: Scene,
    *,
    examples: int,
    seed: int,
    phases: str = "examples,coverage,fuzzing,stateful",
    more: Sequence[str] = (),
) -> Report:
    """Make calls and return what schemathesis says of them."""
    known = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    known["SCHEMATHESIS_HOOKS"] = "tests.conformance.hooks"
    known["FLOWBUILDER_CONFORMANCE_SCENE"] = json.dumps(scene.as_json())
    known["FLOWBUILDER_CONFORMANCE_SEED"] = str(seed)
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "run"),
        *(f"{scene.url}/openapi.json", "--checks", ",".join(CHECKS), "--phases", phases),
        *("--max-examples", str(examples), "--seed", str(seed)),
        *("--header", f"Authorization: Bearer {scene.token}"),
        *("--continue-on-failure", "--no-color", "--generation-database", "none"),
        *("--suppress-health-check", "all", "--warnings", "off"),
        *more,
    ]
    # it leaves notes where it runs
    with tempfile.TemporaryDirectory(prefix="flowbuilder-conformance-") as folder:
        code, text = await _run(command, known, folder)
    found = re.search(r"([\d,]+) generated", text)
    calls = int(found[1].replace(",", "")) if found else 0
    return Report(code=code, calls=calls, text=text)


async def _run(
    command: Sequence[str], environment: Mapping[str, str], folder: str
) -> tuple[int, str]:
    """Run a program in a folder and return its exit code and output."""
    started = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await started.communicate()
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()
    return started.returncode or 0, output.decode(errors="replace")
