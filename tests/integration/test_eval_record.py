"""`flowbuilder eval record` and runs from a cassette, with a server that speaks the protocol."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.fake_openai import Answer, fake_openai

PLAN = {
    "tasks": [
        {"id": "r", "tool": "file.read", "args": {"path": "notes.txt"}},
        {"id": "c", "tool": "text.stats", "args": {"text": "${{ r.text }}"}},
    ]
}
SUITE: dict[str, Any] = {
    "suite": "mine",
    "cases": [
        {
            "name": "count",
            "goal": "Read notes.txt and count its words",
            "files": {"notes.txt": "one two"},
            "expect": {"tools": ["file.read", "text.stats"]},
        }
    ],
}


def evaluate(folder: Path, dsn: str, *arguments: str, **variables: str) -> Any:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("FLOWBUILDER_")}
    done = subprocess.run(
        [sys.executable, "-m", "flowbuilder.cli", "eval", *arguments, "--database-url", dsn],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=120,
        cwd=folder,
        env={**clean, **variables, "FLOWBUILDER_DATA_DIR": str(folder / "data")},
    )
    assert "Traceback" not in done.stderr + done.stdout
    return done


def report_of(done: Any) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert report["type"] == "report"
    return report


def test_a_suite_is_recorded_and_run_again_without_the_model(dsn: str, tmp_path: Path) -> None:
    suite = tmp_path / "mine.json"
    suite.write_text(json.dumps(SUITE))
    with fake_openai(Answer(json.dumps(PLAN))) as server:
        variables = {
            "FLOWBUILDER_MODEL": "openai/fake",
            "FLOWBUILDER_MODEL_API_BASE": server.url,
            "FLOWBUILDER_MODEL_API_KEY": "sk-never-to-be-seen-1",
        }
        recorded = evaluate(tmp_path, dsn, "record", "mine.json", **variables)
        assert recorded.returncode == 0, recorded.stdout + recorded.stderr
        calls = len(server.requests)
    cassette = tmp_path / "mine.cassette.jsonl"
    text = cassette.read_text()
    assert len(text.splitlines()) == 1 + calls
    assert "sk-never" not in text
    again = evaluate(tmp_path, dsn, "run", "mine.json", "--cassette", cassette.name)
    assert again.returncode == (0 if report_of(recorded)["passed"] else 1), again.stderr
    for name in ("suite", "planner", "passed", "total", "scores"):
        assert report_of(again)[name] == report_of(recorded)[name]
    assert report_of(again)["passed"] == 1

    changed = {
        **SUITE,
        "cases": [{**SUITE["cases"][0], "goal": "Read notes.txt and list its words"}],
    }
    suite.write_text(json.dumps(changed))
    missed = evaluate(tmp_path, dsn, "run", "mine.json", "--cassette", cassette.name)
    assert missed.returncode == 1
    assert "cassette_miss" in missed.stdout and "+Goal: Read notes.txt and list" in missed.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["record", "starter"], "FLOWBUILDER_MODEL"),
        (["run", "starter", "--cassette", "none.jsonl"], "none.jsonl"),
        (["run", "starter", "--cassette", "bad.jsonl"], "bad.jsonl is no cassette"),
    ],
)
def test_what_cannot_be_recorded_or_replayed_says_why(
    tmp_path: Path, arguments: list[str], told: str
) -> None:
    (tmp_path / "bad.jsonl").write_text("{}\n")
    done = evaluate(tmp_path, "postgresql://nobody@127.0.0.1:9/none", *arguments)
    assert done.returncode == 2
    assert told in done.stderr
