"""Suites planned and executed for real, in this process and through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from flowbuilder import FlowBuilder
from flowbuilder.client.connection import Server
from flowbuilder.errors import DefinitionError
from flowbuilder.evals import CaseReport, Report, run_suite, scratch
from flowbuilder.evals.loading import parse_suite
from flowbuilder.executor.cluster import try_lock, unlock
from flowbuilder.executor.scratch import LOCK, SERVER
from flowbuilder.flow import Flow
from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanEvent, PlanEventType, PlanRequest
from flowbuilder.settings import Settings

WAIT = 120

PASSING = {
    "name": "passing",
    "goal": "Read notes.txt and save it as copy.txt",
    "files": {"notes.txt": "0\n"},
    "expect": {
        "tools": ["file.read", "file.write"],
        "literals": ["notes.txt", "copy.txt"],
        "files": {"copy.txt": {"equals": "0\n"}, "other.txt": None},
    },
}
FAILING = {
    "name": "failing",
    "goal": "Read notes.txt and save it as copy.txt",
    "files": {"notes.txt": "1\n"},
    "expect": {"tools": ["file.read"], "files": {"copy.txt": {"equals": "2\n"}}},
}
REFUSED = {
    "name": "refused",
    "goal": "Paint the garden fence green",
    "expect": {"outcome": "refusal"},
}
CHILD = {
    "flow": "double",
    "steps": [{"id": "s", "tool": "text.template", "args": {"template": "hi", "values": {}}}],
    "output": "${{ steps.s.text }}",
}


@pytest.fixture
def settings(dsn: str, tmp_path: Path) -> Settings:
    return Settings.load(database_url=SecretStr(dsn), data_dir=tmp_path / "data")


def suite(*cases: Any, **more: Any) -> Any:
    return parse_suite(json.dumps({"suite": "tiny", "cases": cases, **more}), "t.json", Path())


def by_name(report: Report) -> dict[str, CaseReport]:
    return {case.name: case for case in report.cases}


class FixedPlanner:
    """Answers every goal with the flow of that name."""

    name = "fixed"

    def __init__(self, **flows: list[dict[str, Any]] | Exception) -> None:
        self._flows = flows

    async def stream(self, request: PlanRequest) -> AsyncIterator[PlanEvent]:
        steps = self._flows[request.goal]
        if isinstance(steps, Exception):
            raise steps
        flow = Flow.model_validate({"flow": "f", "steps": steps})
        plan = Plan(id=request.id, goal=request.goal, planner=self.name, flow=flow, certain=True)
        yield PlanEvent(type=PlanEventType.COMPLETED, data={}, plan=plan)


async def test_a_suite_is_planned_and_executed(settings: Settings, tmp_path: Path) -> None:
    begun: list[str] = []
    done: list[str] = []
    report = await run_suite(
        suite(PASSING, FAILING, REFUSED),
        settings,
        on_start=lambda case: begun.append(case.name),
        on_case=lambda case: done.append(case.name),
    )
    assert begun == done == ["passing", "failing", "refused"]
    assert report.planner == "rules"
    found = by_name(report)
    assert found["passing"].faults() == []
    assert [line.partition(":")[0] for line in found["failing"].faults()] == [
        "honest", "tools", "files",
    ]  # fmt: skip
    assert "'1\\n'" in found["failing"].faults()[-1]
    assert found["refused"].passed
    assert found["refused"].planned == ()
    assert not report.passed
    assert list((tmp_path / "data").iterdir()) == []  # nothing is left over


async def test_flows_of_a_case_are_there_for_it_alone(settings: Settings) -> None:
    call = [{"id": "c", "tool": "flow.run", "args": {"flow": "double"}}]
    report = await run_suite(
        suite(
            {"name": "with", "goal": "child", "flows": [CHILD], "expect": {"result": {"c": "hi"}}},
            {"name": "without", "goal": "child", "expect": {"result": {"c": "hi"}}},
        ),
        settings,
        planner=FixedPlanner(child=call),
    )
    found = by_name(report)
    assert found["with"].faults() == []
    assert "double" in found["without"].faults()[-1]


async def test_questions_of_a_run_get_the_cases_answers(settings: Settings) -> None:
    def ask(schema: str, **more: Any) -> dict[str, Any]:
        args = {"message": "?", "schema": {"type": schema}, **more}
        return {"id": schema, "tool": "human.input", "args": args}

    steps = [ask("integer"), {**ask("boolean"), "depends_on": ["integer"]}]
    save = {
        "id": "save",
        "tool": "file.write",
        "args": {"path": "n.txt", "content": "${{ steps.integer }}"},
        "approval": {"by": ["user:ada"]},
    }
    cases = [
        {"name": "answered", "answers": [0, False]},
        {"name": "short", "answers": [0]},
        {"name": "unfit", "answers": ["no number", False]},
    ]
    expect = {"files": {"n.txt": {"equals": "0\n"}}}
    report = await run_suite(
        suite(*({**case, "goal": "ask", "expect": expect} for case in cases)),
        settings,
        planner=FixedPlanner(ask=[*steps, save]),
    )
    found = by_name(report)
    assert found["answered"].faults() == []
    assert "answer_missing" in found["short"].faults()[-1]
    assert "value_invalid" in found["unfit"].faults()[-1]
    async with FlowBuilder.connect(settings=settings, worker=False) as fb:
        states = [await run.status() for run in await fb.runs()]
    assert sorted(state.value for state in states) == ["cancelled", "cancelled", "completed"]


async def test_a_plan_that_acts_outside_is_not_run_unasked(settings: Settings) -> None:
    post = {"method": "POST", "url": "http://127.0.0.1:9/x"}
    steps = [{"id": "p", "tool": "http.request", "args": post}]
    base = {"goal": "post", "expect": {"result": None}}
    report = await run_suite(
        suite({"name": "shut", **base}, {"name": "open", "external": True, **base}),
        settings,
        planner=FixedPlanner(post=steps),
    )
    found = by_name(report)
    assert "http.request acts outside of the workspace" in found["shut"].faults()[-1]
    assert "the run ended with run_failed" in found["open"].faults()[-1]  # private address


async def test_a_planner_that_breaks_fails_its_case_only(settings: Settings) -> None:
    steps = [{"id": "s", "tool": "time.sleep", "args": {"seconds": 0}}]
    report = await run_suite(
        suite({"name": "bad", "goal": "bad"}, {"name": "good", "goal": "good"}),
        settings,
        planner=FixedPlanner(bad=ZeroDivisionError("division"), good=steps),
    )
    found = by_name(report)
    assert found["bad"].faults() == ["outcome: failure: ZeroDivisionError: division"]
    assert found["good"].passed
    assert (report.planner, report.model) == ("fixed", None)


@dataclass(frozen=True, kw_only=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "FLOWBUILDER_DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none",  # must not be used
        "FLOWBUILDER_DATA_DIR": str(tmp_path / "data"),
        "NO_COLOR": "1",
        "COLUMNS": "120",
    }


def evaluate(environment: dict[str, str], folder: Path, *arguments: str) -> Done:
    done = subprocess.run(
        [sys.executable, "-m", "flowbuilder.cli", "eval", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        text=True,
        timeout=WAIT,
        cwd=folder,
        env=environment,
    )
    assert "Traceback" not in done.stderr + done.stdout
    return Done(code=done.returncode, out=done.stdout, err=done.stderr)


def write(folder: Path, *cases: Any, **more: Any) -> str:
    path = folder / "mine.json"
    path.write_text(json.dumps({"suite": "mine", "cases": cases, **more}))
    return path.name


def test_the_command_starts_a_server_of_its_own_and_tells_of_each_case(
    environment: dict[str, str], tmp_path: Path
) -> None:
    done = evaluate(environment, tmp_path, "run", write(tmp_path, PASSING, FAILING, REFUSED))
    assert done.code == 1, done.err
    cases, (report,) = done.lines[:-1], done.lines[-1:]
    assert [(line["type"], line["index"], line["total"]) for line in cases] == [
        ("case", 1, 3), ("case", 2, 3), ("case", 3, 3),
    ]  # fmt: skip
    assert [line["passed"] for line in cases] == [True, False, True]
    assert (report["type"], report["suite"]) == ("report", "mine")
    assert (report["passed"], report["total"]) == (2, 3)
    assert list((tmp_path / "data").iterdir()) == []


def test_a_suite_that_passes_ends_with_0_and_a_table(
    environment: dict[str, str], dsn: str, tmp_path: Path
) -> None:
    (tmp_path / "hello_tools.py").write_text(
        "from flowbuilder import tool\n\n\n"
        '@tool("greet.person", keywords=("greet, welcome",))\n'
        'def greet(name: str) -> str:\n    """Greet a person."""\n    return "Hello " + name\n'
    )
    own = {
        "name": "own-tool",
        "goal": 'Greet "Ada"',
        "expect": {
            "tools": ["greet.person"],
            "literals": ["Ada"],
            "result": {"person": "Hello Ada"},
        },
    }
    name = write(tmp_path, own, REFUSED, tools=["hello_tools"])
    done = evaluate(environment, tmp_path, "run", name, "--no-json", "--database-url", dsn)
    assert done.code == 0, done.out + done.err
    assert "ok  1/2 own-tool" in done.out
    assert "mine · planner: rules · 2 of 2 passed" in done.out
    assert "evaluator" in done.out


@pytest.mark.parametrize("form", ["--json", "--no-json"])
def test_without_timings_two_runs_print_the_same(
    environment: dict[str, str], dsn: str, tmp_path: Path, form: str
) -> None:
    name = write(tmp_path, PASSING, FAILING)
    asked = ["run", name, form, "--trials", "2", "--database-url", dsn]
    timed = evaluate(environment, tmp_path, *asked)
    first, second = (evaluate(environment, tmp_path, *asked, "--no-timings") for _ in range(2))
    assert (timed.code, first.code) == (1, 1), first.err
    assert first.out == second.out
    assert "seconds" in timed.out
    assert "seconds" not in first.out
    assert " s)" not in first.out


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["run"], 2, "SUITE"),
        (["run", "no-such-suite"], 2, "starter"),
        (["run", "missing.yaml"], 2, "missing.yaml"),
        (["run", "broken.yaml"], 1, "/cases/0/expect/tols"),
        (["run", "broken.yaml"], 1, "/cases/1/goal"),
        (["run", "syntax.yaml"], 1, "syntax.yaml"),
        (["run", "empty.json"], 1, "empty.json: this is no JSON"),
        (["run", "empty.yaml"], 1, "empty.yaml is no suite"),
        (["run", "./folder.yaml"], 2, "./folder.yaml cannot be read: Is a directory"),
        (["run", "list.json"], 1, "list.json is no suite"),
        (["run", "modules.yaml"], 2, "no_such_module"),
        (["list", "extra"], 2, "extra"),
    ],
)
def test_what_cannot_be_run_says_why(
    environment: dict[str, str], tmp_path: Path, arguments: list[str], code: int, told: str
) -> None:
    case = "{name: a, goal: b}"
    (tmp_path / "broken.yaml").write_text(
        "suite: b\ncases: [{name: a, goal: b, expect: {tols: []}}, {name: c}]\n"
    )
    (tmp_path / "syntax.yaml").write_text("suite: [\n")
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "folder.yaml").mkdir()
    for empty in ("empty.json", "empty.yaml"):
        (tmp_path / empty).touch()
    (tmp_path / "modules.yaml").write_text(f"suite: m\ntools: [no_such_module]\ncases: [{case}]\n")
    done = evaluate(environment, tmp_path, *arguments)
    assert done.code == code, done.out + done.err
    assert told in done.err


def test_suites_are_listed(environment: dict[str, str], tmp_path: Path) -> None:
    done = evaluate(environment, tmp_path, "list")
    assert done.code == 0
    assert {line["suite"] for line in done.lines} >= {"starter", "examples"}
    assert all(line["cases"] > 0 and line["description"] for line in done.lines)
    text = evaluate(environment, tmp_path, "list", "--no-json").out
    assert "starter" in text
    assert not text.startswith("{")


async def test_what_a_killed_evaluation_left_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.load(data_dir=tmp_path / "data")
    left = tmp_path / "data" / "eval-left"
    left.mkdir(parents=True)
    (left / LOCK).touch()
    working = tmp_path / "data" / "eval-working"
    working.mkdir()
    lock = try_lock(working / LOCK)
    assert lock is not None
    started: list[Path] = []

    async def reach(stack: Any, used: Settings) -> Server:
        started.append(used.data_dir)
        return Server(dsn="postgresql://x", embedded=True)

    monkeypatch.setattr(scratch, "reach_database", reach)
    async with scratch.open_scratch(settings) as opened:
        assert opened.settings.database_url == SecretStr("postgresql://x")
        assert opened.settings.data_dir == settings.data_dir
        assert started == [opened.folder / SERVER]
        found = {path.name for path in settings.data_dir.iterdir()}
        assert found == {"eval-working", opened.folder.name}
    assert [path.name for path in settings.data_dir.iterdir()] == ["eval-working"]
    unlock(lock)


LOOK = {
    "name": "note.read",
    "summary": "Read a note",
    "input_schema": {"type": "object", "properties": {"id": {"type": "integer"}},
                     "required": ["id"]},
    "output_schema": {"type": "object", "properties": {"text": {"type": "string"}},
                      "required": ["text"]},
    "seconds": 3600,
}  # fmt: skip
SEND = {
    "name": "note.send",
    "summary": "Send a note",
    "input_schema": {"type": "object", "properties": {"text": {"type": "string"}},
                     "required": ["text"]},
    "output_schema": {"const": 0},
    "effects": "external",
}  # fmt: skip


def noted(number: int) -> list[dict[str, Any]]:
    return [
        {"id": "look", "tool": "note.read", "args": {"id": number}},
        {"id": "send", "tool": "note.send", "args": {"text": "${{ steps.look.text }}"}},
    ]


async def test_a_suite_with_a_world_runs_plans_beside_their_gold(settings: Settings) -> None:
    gold = {"flow": "g", "steps": noted(0)}
    cases = [
        {"name": name, "goal": name, "expect": {"flow": gold, "result": {"send": 0}}}
        for name in ("right", "wrong", "short")
    ]
    planner = FixedPlanner(right=noted(0), wrong=noted(7), short=noted(0)[:1])
    world = {"seed": 5, "faults": [{"tool": "note.read", "kind": "fail"}]}
    made = suite(*cases, catalogue=[LOOK, SEND], world=world)
    reports = [await run_suite(made, settings, planner=planner) for _ in range(2)]
    found = by_name(reports[0])
    said = {
        name: {item.evaluator: item.value for item in case.findings} for name, case in found.items()
    }
    assert found["right"].passed, found["right"].findings
    assert said["wrong"]["executed"] is True
    assert said["wrong"]["executed_result"] is True
    assert said["wrong"]["executed_effects"] is False
    assert said["short"]["executed_result"] is False
    assert [item.findings for item in reports[0].cases] == [
        item.findings for item in reports[1].cases
    ]


async def test_a_world_without_tools_is_refused() -> None:
    with pytest.raises(DefinitionError) as refused:
        suite(PASSING, world={})
    assert [item.pointer for item in refused.value.problems] == ["/world"]
