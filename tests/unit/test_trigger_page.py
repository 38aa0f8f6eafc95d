"""What the page about triggers shows works as shown."""

from __future__ import annotations

import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flowbuilder.cli.triggers import triggers_app
from flowbuilder.triggers.signing import Signature, verify

PAGE = (Path(__file__).parents[2] / "docs" / "triggers.md").read_text(encoding="utf-8")
#: Tells what it is called with, instead of sending it.
_CURL = 'curl() { printf "%s\\n" "$@"; }\n'


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_the_example_signs_as_we_verify() -> None:
    [script] = re.findall(r"^```bash\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    done = subprocess.run(
        ["bash", "-euc", _CURL + script], capture_output=True, text=True, timeout=60, check=True
    )
    lines = done.stdout.splitlines()
    sent = dict(line.split(": ", 1) for line in lines if ": " in line and line[0] != "{")
    body = lines[lines.index("--data-raw") + 1].encode()
    signature = Signature(
        ids=[sent["webhook-id"]],
        timestamps=[sent["webhook-timestamp"]],
        signatures=[sent["webhook-signature"]],
    )
    [secret] = re.findall(r"secret='(whsec_[^']+)'", script)
    assert verify(signature, body, [secret], datetime.now(UTC)) == sent["webhook-id"]
    assert sent["Content-Type"] == "application/json"


def test_every_verb_on_the_page_is_one() -> None:
    verbs = {command.name for command in triggers_app.registered_commands}
    named = set(re.findall(r"flowbuilder triggers ([a-z]+)\b", PAGE))
    assert named <= verbs | {"lists"}
    assert {"add", "rotate", "why", "hold", "release"} <= named
