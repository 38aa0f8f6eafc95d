"""What the README prints works as printed."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def run(*command: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **settings}
    return subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


@pytest.fixture
def project(short_dir: Path) -> Path:
    """A folder with the examples, where a reader of the README would stand."""
    shutil.copytree(ROOT / "examples", short_dir / "examples")
    return short_dir


def test_the_program_runs_as_printed(project: Path, dsn: str) -> None:
    (program,) = [text for text in blocks("python") if "asyncio.run" in text]
    (project / "program.py").write_text(program)
    # With a database of its own the program must bring its own worker, as with the embedded one.
    done = run("program.py", cwd=project, FLOWBUILDER_DATA_DIR=str(project / "data"))
    assert done.returncode == 0, done.stderr
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    assert lines[0] == "1 workflow_started"
    assert re.fullmatch(r"\d+ warm days", lines[-1])
    assert [int(line.split()[0]) for line in lines[:-1]] == list(range(1, len(lines)))
    assert lines[-2].endswith("workflow_completed")
    (words,) = re.findall(r'fb\.edit\("warm-days", "([^"]+)"\)', README)
    edit = ("-m", "flowbuilder.cli", "edit", "warm-days", words, "--yes")
    edited = run(*edit, cwd=project, FLOWBUILDER_DATA_DIR=str(project / "data"))
    assert edited.returncode == 0, edited.stdout + edited.stderr


def test_the_tools_module_is_found_planned_with_and_executed(project: Path, dsn: str) -> None:
    (module,) = [text for text in blocks("python") if "@tool" in text]
    (project / "my_tools.py").write_text(module)
    (goal,) = re.findall(r"--tools my_tools '([^']+)'", README)
    done = run(
        "-m",
        "flowbuilder.cli",
        "run",
        "--yes",
        "--tools",
        "my_tools",
        goal,
        cwd=project,
        FLOWBUILDER_DATA_DIR=str(project / "data"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / "out" / "hello.txt").read_text() == "Hello, Ada!"


def test_the_flow_printed_is_valid(project: Path) -> None:
    (flow,) = blocks("yaml")
    (project / "flow.yaml").write_text(flow)
    done = run("-m", "flowbuilder.cli", "validate", "flow.yaml", cwd=project)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_setting_named_exists() -> None:
    from flowbuilder.settings import Settings

    named = set(re.findall(r"FLOWBUILDER_([A-Z_]+)", README))
    assert {name.lower() for name in named} <= set(Settings.model_fields)


def test_every_file_named_is_there() -> None:
    linked = re.findall(r"\]\(([^)#:]+)\)", README)
    assert linked
    assert [name for name in linked if not (ROOT / name).exists()] == []
