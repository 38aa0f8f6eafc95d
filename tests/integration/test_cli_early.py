"""`flowbuilder run GOAL --yes` with a model: harmless steps run while the plan is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.fake_openai import Answer, fake_openai

GOAL = "Read notes.txt, count its words and save the counts as counts.json"
PLAN: dict[str, Any] = {
    "tasks": [
        {"id": "read", "tool": "file.read", "args": {"path": "notes.txt"}},
        {"id": "count", "tool": "text.stats", "args": {"text": "${{ steps.read.text }}"}},
        {
            "id": "save",
            "tool": "file.write",
            "args": {"path": "counts.json", "content": "${{ steps.count }}"},
        },
    ]
}


def test_a_goal_that_was_agreed_to_starts_early(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("one two three")
    with fake_openai(Answer(json.dumps(PLAN))) as server:
        done = subprocess.run(
            [sys.executable, "-m", "flowbuilder.cli", "run", GOAL, "--yes"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=120,
            cwd=tmp_path,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("FLOWBUILDER_")},
                "FLOWBUILDER_MODEL": "openai/fake",
                "FLOWBUILDER_MODEL_API_BASE": server.url,
                "FLOWBUILDER_DATABASE_URL": dsn,
                "FLOWBUILDER_DATA_DIR": str(tmp_path / "data"),
            },
        )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    types = [line.get("type") for line in lines]
    assert types.count("plan_step_added") == 3
    assert "workflow_completed" in types
    assert json.loads((tmp_path / "counts.json").read_text())["words"] == 3
