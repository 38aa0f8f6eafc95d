"""The command line as a process: output, exit codes, standard input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from flowbuilder.settings import Settings

WAIT = 120

TOOLS_MODULE = '''
from flowbuilder import tool


@tool("shout.words", keywords=("shout",), examples=("shout 'hello'",))
def shout(text: str, times: int = 1) -> str:
    """Shout a text in capital letters."""
    return " ".join([text.upper()] * times)
'''
FLOW = """
flow: greet
description: Greets.
input:
  type: object
  properties: {name: {type: string}}
  required: [name]
  examples: [{name: Ada}]
steps:
  - id: text
    tool: text.template
    args: {template: "Hello {{ name }}", values: {name: "${{ input.name }}"}}
  - id: save
    tool: file.write
    args: {path: out.txt, content: "${{ steps.text.text }}"}
    approval: {}
"""


@dataclass(frozen=True, kw_only=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    def of_type(self, type: str) -> dict[str, Any]:
        return next(line for line in self.lines if line.get("type") == type)


Command = Callable[..., Done]


@pytest.fixture
def environment(dsn: str, tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "FLOWBUILDER_DATABASE_URL": dsn,
        "FLOWBUILDER_DATA_DIR": str(tmp_path / "data"),
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }


@pytest.fixture
def flowbuilder(environment: dict[str, str], tmp_path: Path) -> Command:
    def run(*arguments: str, stdin: str = "", **settings: str) -> Done:
        done = subprocess.run(
            [sys.executable, "-m", "flowbuilder.cli", *arguments],
            input=stdin,
            capture_output=True,
            check=False,
            text=True,
            timeout=WAIT,
            cwd=tmp_path,
            env={**environment, **settings},
        )
        assert "Traceback" not in done.stderr + done.stdout
        return Done(code=done.returncode, out=done.stdout, err=done.stderr)

    return run


@pytest.fixture
def flow_file(tmp_path: Path) -> Path:
    file = tmp_path / "greet.yaml"
    file.write_text(FLOW)
    return file


@pytest.fixture
def tools_module(tmp_path: Path) -> str:
    (tmp_path / "my").mkdir()
    (tmp_path / "my" / "__init__.py").write_text("")
    (tmp_path / "my" / "module.py").write_text(TOOLS_MODULE)
    return "my.module"


def test_a_file_runs_with_the_answer_from_a_pipe(
    flowbuilder: Command, flow_file: Path, tmp_path: Path
) -> None:
    done = flowbuilder("run", str(flow_file), "--no-json", stdin="y\n")
    assert done.code == 0, done.err
    assert "approval needed" in done.out
    assert '"content": "Hello Ada"' in done.out
    assert str(tmp_path / "out.txt") in done.out
    assert (tmp_path / "out.txt").read_text() == "Hello Ada"

    again = flowbuilder("run", "greet", "--input", '{"name": "Grace"}', "--yes")
    assert again.code == 0, again.err
    assert again.of_type("result")["files"] == [str(tmp_path / "out.txt")]
    assert (tmp_path / "out.txt").read_text() == "Hello Grace"
    seqs = [line["seq"] for line in again.lines if "seq" in line]
    assert seqs == list(range(1, len(seqs) + 1))

    listed = flowbuilder("runs")
    assert [line["status"] for line in listed.lines] == ["completed", "completed"]
    shown = flowbuilder("show", listed.lines[0]["id"])
    assert [step["status"] for step in shown.lines[0]["steps"]] == ["completed", "completed"]
    assert flowbuilder("flows").lines[0]["slug"] == "greet"


def test_nobody_to_ask_is_exit_3_and_the_run_goes_on_later(
    flowbuilder: Command, flow_file: Path, tmp_path: Path
) -> None:
    waiting = flowbuilder("run", str(flow_file))
    assert waiting.code == 3
    asked = waiting.of_type("approval")["approval"]
    assert asked["args"]["content"] == "Hello Ada"
    assert not (tmp_path / "out.txt").exists()

    assert [line["id"] for line in flowbuilder("approvals").lines] == [asked["id"]]
    decided = flowbuilder("approve", asked["id"], "--by", "user:ada")
    assert decided.lines[0]["status"] == "approved"
    twice = flowbuilder("approve", asked["id"])
    assert twice.code == 1
    assert twice.of_type("error")["error"]["code"] == "already_decided"

    followed = flowbuilder("events", asked["run_id"], "--follow")
    assert followed.code == 0
    assert (tmp_path / "out.txt").read_text() == "Hello Ada"
    pages = flowbuilder("events", asked["run_id"], "--after", "2")
    assert pages.lines[0]["seq"] == 3


def test_no_to_an_approval_fails_the_run(flowbuilder: Command, flow_file: Path) -> None:
    done = flowbuilder("run", str(flow_file), stdin="maybe\nn\n")
    assert done.code == 1
    assert done.of_type("result")["error"]["code"] == "approval_rejected"


def test_yes_never_speaks_for_a_role(flowbuilder: Command, tmp_path: Path) -> None:
    file = tmp_path / "role.yaml"
    file.write_text(FLOW.replace("approval: {}", 'approval: {by: ["role:approver"]}'))
    done = flowbuilder("run", str(file), "--yes")
    assert done.code == 3
    assert not (tmp_path / "out.txt").exists()


def test_own_tools_are_listed_planned_and_run(flowbuilder: Command, tools_module: str) -> None:
    listed = flowbuilder("tools", "--tools", tools_module)
    assert "shout.words" in [line["name"] for line in listed.lines]
    shown = flowbuilder("--tools", tools_module, "tools", "shout.words").lines[0]
    assert shown["input_schema"]["required"] == ["text"]

    done = flowbuilder("run", "shout 'hello world'", "--tools", tools_module, "--yes")
    assert done.code in (0, 3), done.err
    plan = done.of_type("plan")["plan"]
    assert plan["planner"] == "rules"
    assert [step["tool"].split("@")[0] for step in plan["flow"]["steps"]] == ["shout.words"]
    if done.code == 0:
        assert "HELLO WORLD" in json.dumps(done.of_type("result")["output"])


def test_bad_arguments_of_own_tools_are_problems(
    flowbuilder: Command, tools_module: str, tmp_path: Path
) -> None:
    file = tmp_path / "bad.json"
    step = {"id": "s", "tool": "shout.words", "args": {"text": 1, "loud": True}}
    file.write_text(json.dumps({"flow": "bad", "steps": [step]}))
    done = flowbuilder("validate", str(file), "--tools", tools_module)
    assert done.code == 1
    pointers = [line["pointer"] for line in done.lines if line["type"] == "problem"]
    assert "/steps/0/args/text" in pointers
    assert done.of_type("validation")["valid"] is False
    assert flowbuilder("run", str(file), "--tools", tools_module).code == 1
    assert flowbuilder("flows").lines == []


@pytest.mark.parametrize(
    ("text", "code", "pointer"),
    [
        (
            b'{"flow": "x", "steps": [{"id": "a", "tool": "t", "args": {"n": NaN}}]}',
            "json_nan",
            "/steps/0/args/n",
        ),
        (
            b'{"flow": "x", "steps": [{"id": "a", "tool": "t", "tool": "u"}]}',
            "json_duplicate_key",
            "/steps/0",
        ),
        (b"[]", "document_not_object", ""),
        (b"{", "json_syntax", ""),
        (b'{"flow": "\xff"}', "encoding_invalid", ""),
    ],
)
def test_validate_and_run_name_the_same_place_of_what_is_no_json(
    flowbuilder: Command, tmp_path: Path, text: bytes, code: str, pointer: str
) -> None:
    file = tmp_path / "bad.json"
    file.write_bytes(text)
    checked = flowbuilder("validate", str(file))
    problem = checked.of_type("problem")
    assert (checked.code, problem["code"]) == (1, code)
    assert checked.of_type("validation")["valid"] is False
    done = flowbuilder("run", str(file))
    [told] = done.of_type("error")["error"]["problems"]
    assert done.code == 1
    assert (told["code"], told["pointer"]) == (code, problem["pointer"]) == (code, pointer)


def test_a_goal_that_fits_no_tool_is_refused(flowbuilder: Command) -> None:
    done = flowbuilder("run", "paint the garden fence green")
    assert done.code == 1
    assert done.of_type("error")["error"]["code"] == "no_fitting_tool"
    assert flowbuilder("runs").lines == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["run", "missing.yaml"], 2),
        (["run", "greet me", "--input", "{"], 2),
        (["run"], 2),
        (["no-such-command"], 2),
        (["runs", "--status", "odd"], 2),
        (["tools", "--tools", "no.such.module"], 2),
        (["validate", "missing.yaml"], 2),
        (["show", "nonsense"], 1),
        (["approve", "00000000-0000-0000-0000-00000000ffff"], 1),
        (["cancel", "nonsense"], 1),
    ],
)
def test_exit_codes_of_what_cannot_be_done(
    flowbuilder: Command, arguments: list[str], code: int
) -> None:
    done = flowbuilder(*arguments)
    assert done.code == code, done.err
    assert done.err


def test_doctor_finds_what_is_wrong(flowbuilder: Command) -> None:
    well = flowbuilder("doctor")
    assert well.code == 0, well.out
    checks = {line["check"]: line for line in well.lines}
    assert {"versions", "database", "schema", "queue", "workers", "model", "disk"} <= set(checks)
    down = flowbuilder("doctor", "--database-url", "postgresql://nobody@127.0.0.1:9/none")
    assert down.code == 1
    broken = next(line for line in down.lines if line["check"] == "database")
    assert broken["state"] == "wrong"
    assert broken["mend"]


def test_doctor_never_shows_a_password(flowbuilder: Command, dsn: str) -> None:
    url = "postgresql://someone:s3cr3t-word@127.0.0.1:9/none"
    done = flowbuilder("doctor", "--database-url", url)
    assert "s3cr3t-word" not in done.out + done.err


def test_migrate_reports_and_repeats(flowbuilder: Command, empty_dsn: str) -> None:
    pending = flowbuilder("doctor", "--database-url", empty_dsn)
    assert pending.code == 1
    assert any(line["mend"] == "Run: flowbuilder migrate" for line in pending.lines)
    first = flowbuilder("migrate", "--database-url", empty_dsn)
    assert first.code == 0
    assert first.of_type("migrated")["applied"]
    assert flowbuilder("migrate", "--database-url", empty_dsn).of_type("migrated")["applied"] == []


def test_doctor_of_a_fresh_embedded_server_only_warns(flowbuilder: Command, tmp_path: Path) -> None:
    done = flowbuilder("doctor", "--data-dir", str(tmp_path / "fresh"), "--database-url", "")
    schema = next(line for line in done.lines if line["check"] == "schema")
    assert (done.code, schema["state"]) == (0, "warning"), done.out
    assert "pending" in schema["finding"]


async def test_doctor_tells_of_a_database_that_is_ahead(dsn: str) -> None:
    from flowbuilder.doctor import examine
    from flowbuilder.executor.database import Database

    async with await Database.open(dsn, size=2) as database:
        await database.execute(
            b"insert into flowbuilder.migrations (kind, name, checksum) "
            b"values ('file', '9999_later', 'x')"
        )
    report = await examine(Settings(database_url=SecretStr(dsn)))
    checks = {check.name: check for check in report.checks}
    assert checks["schema"].state.value == "warning"
    assert "9999_later" in checks["schema"].finding
    assert "queue" in checks


async def test_doctor_tells_of_a_database_that_takes_no_writes(dsn: str) -> None:
    from flowbuilder.doctor import examine

    standing = make_conninfo(dsn, options="-c default_transaction_read_only=on")
    report = await examine(Settings(database_url=SecretStr(standing)))
    database = next(check for check in report.checks if check.name == "database")
    assert not report.healthy
    assert "takes no writes" in database.finding
    assert database.mend


def test_subscriptions_are_added_listed_and_removed(flowbuilder: Command) -> None:
    assert flowbuilder("subscriptions", "list").lines == []
    added = flowbuilder(
        *("subscriptions", "add", "task_events", "--queue", "pager"),
        *("--pattern", "task_events.task_failed", "--largest", "7"),
    )
    assert added.of_type("subscribed")["queue"] == "pager"
    assert flowbuilder("subscriptions", "add", "approval_events").code == 0
    listed = flowbuilder("subscriptions", "list").lines
    assert [(line["queue"], line["pattern"], line["largest"]) for line in listed] == [
        ("approval_events", "approval_events.*", 10_000),
        ("pager", "task_events.task_failed", 7),
    ]
    removed = flowbuilder("subscriptions", "remove", "pager", "--drop")
    assert removed.of_type("unsubscribed")["patterns"] == ["task_events.task_failed"]
    assert "approval_events" in flowbuilder("--no-json", "subscriptions", "list").out
    gone = flowbuilder("subscriptions", "remove", "pager")
    wrong = flowbuilder("subscriptions", "add", "nonsense")
    assert (gone.code, wrong.code) == (1, 1)
    assert "no such subscription" in gone.err and "there is no channel" in wrong.err


async def test_doctor_tells_of_queues_that_nobody_reads_or_that_take_nothing(dsn: str) -> None:
    from flowbuilder.doctor import examine
    from flowbuilder.executor.database import Database
    from flowbuilder.executor.store import Store

    async def found() -> tuple[str, str]:
        report = await examine(Settings(database_url=SecretStr(dsn)))
        check = next(check for check in report.checks if check.name == "subscriptions")
        return check.state.value, check.finding

    assert (await found())[0] == "ok"
    async with await Database.open(dsn, size=2) as database:
        store = Store(database)
        await store.subscribe("pager", "task_events.*", largest=None)
        assert await found() == ("ok", "events go to pager (0 unread)")
        await database.execute(b"select pgmq.send('pager', '{}'::jsonb)")
        await database.execute(b"update pgmq.q_pager set enqueued_at = now() - interval '9 hours'")
        state, finding = await found()
        assert state == "warning" and "pager for 9 hours: 1 messages" in finding
        await database.execute(b"drop table pgmq.q_pager")
        state, finding = await found()
        assert state == "warning" and "takes no events" in finding


def test_openapi_is_printed(flowbuilder: Command) -> None:
    document = json.loads(flowbuilder("openapi").out)
    assert "/api/v1/runs" in document["paths"]


def test_eval_suites_are_listed(flowbuilder: Command) -> None:
    assert all(line["cases"] > 0 for line in flowbuilder("eval", "list").lines)


def test_a_worker_process_works_and_stops(
    flowbuilder: Command, environment: dict[str, str], tools_module: str, tmp_path: Path
) -> None:
    file = tmp_path / "own.json"
    step = {"id": "s", "tool": "shout.words", "args": {"text": "hey"}}
    file.write_text(json.dumps({"flow": "own", "steps": [step]}))
    worker = subprocess.Popen(
        [sys.executable, "-m", "flowbuilder.cli", "worker", "--tools", tools_module],
        cwd=tmp_path,
        env=environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        done = flowbuilder("run", str(file), "--tools", tools_module, "--no-worker")
        assert done.code == 0, done.err
        assert done.of_type("result")["output"] == {"s": "HEY"}
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=WAIT) == 0


TELLING = """
import logging, os, sys, warnings
from flowbuilder import Context, tool

def tell(context):
    value = context.secrets.get("told")
    print("printed", value)
    print("printed too", value, file=sys.stderr)
    warnings.warn("warned " + value)
    logging.getLogger("somebody").warning("logged %s", value)
    return os.getpid()

@tool("told.here", effects="read")
def here(context: Context) -> int:
    '''Tell a secret in the worker.'''
    return tell(context)

@tool("told.there", effects="read", process=True)
def there(context: Context) -> int:
    '''Tell a secret in a process of its own.'''
    return tell(context)
"""


def test_what_tools_print_in_a_worker_has_no_secret(
    flowbuilder: Command, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "telling.py").write_text(TELLING)
    file = tmp_path / "own.json"
    steps = [{"id": name, "tool": f"told.{name}"} for name in ("here", "there")]
    file.write_text(json.dumps({"flow": "own", "steps": steps}))
    secret = "n0b0dy-5hall-see-th1s"
    more = {
        "FLOWBUILDER_SECRET_TOLD": secret,
        "FLOWBUILDER_SECRET_TOLD__TOOLS": "told.*",
        "FLOWBUILDER_LOG_FORMAT": "json",
    }
    with (tmp_path / "said").open("w") as said:
        worker = subprocess.Popen(
            [sys.executable, "-m", "flowbuilder.cli", "worker", "--tools", "telling"],
            cwd=tmp_path,
            env=environment | more,
            stdout=said,
            stderr=said,
        )
        try:
            done = flowbuilder("run", str(file), "--tools", "telling", "--no-worker")
            assert done.code == 0, done.err
            output = done.of_type("result")["output"]
            assert output["here"] == worker.pid != output["there"]
        finally:
            worker.send_signal(signal.SIGTERM)
            assert worker.wait(timeout=WAIT) == 0
    heard = (tmp_path / "said").read_text()
    assert secret not in heard
    assert heard.count("printed ***") == heard.count("printed too ***") == 2
    records = [json.loads(line) for line in heard.splitlines() if line.startswith("{")]
    for logger, words in (("py.warnings", "warned ***"), ("somebody", "logged ***")):
        found = [line for line in records if line["logger"] == logger]
        assert [line["step"] for line in found] == ["here", "there"]
        assert all(words in line["message"] for line in found)


def test_an_interrupt_leaves_with_130(
    environment: dict[str, str], flowbuilder: Command, tmp_path: Path
) -> None:
    file = tmp_path / "long.json"
    step = {"id": "s", "tool": "time.sleep", "args": {"seconds": 600}}
    file.write_text(json.dumps({"flow": "long", "steps": [step]}))
    process = subprocess.Popen(
        [sys.executable, "-m", "flowbuilder.cli", "run", str(file), "--json"],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # What is started in the background of a shell has been told to ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )
    assert process.stdout is not None
    deadline = time.monotonic() + WAIT
    for line in process.stdout:
        if json.loads(line)["type"] == "task_waiting":
            break
        assert time.monotonic() < deadline
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=WAIT)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert flowbuilder("runs").lines[0]["status"] == "running"


def test_limits_are_set_listed_and_cleared(flowbuilder: Command) -> None:
    assert flowbuilder("limits", "--no-json").out.strip() == "No tool has a limit."
    done = flowbuilder("limits", "set", "http.*", "--concurrency", "2", "--rate", "10/s")
    assert done.code == 0
    flowbuilder("limits", "set", "time.sleep", "--rate", "5/1m")
    first, second = flowbuilder("limits").lines
    assert (first["pattern"], first["concurrency"], first["running"]) == ("http.*", 2, 0)
    assert (second["rate"], second["source"]) == ("5/1m", "administrator")
    assert flowbuilder("limits", "clear", "http.*").code == 0
    assert [line["pattern"] for line in flowbuilder("limits").lines] == ["time.sleep"]
    for wrong in (("clear", "http.*"), ("set", "x y"), ("set", "x", "--rate", "1")):
        assert flowbuilder("limits", *wrong).code in (1, 2)


def test_a_run_is_given_a_priority(flowbuilder: Command, flow_file: Path) -> None:
    text = flow_file.read_text().split("  - id: save")[0]
    flow_file.write_text(text)
    done = flowbuilder("run", str(flow_file), "--priority", "high", "--yes")
    assert done.code == 0
    (run,) = flowbuilder("runs").lines
    assert run["priority"] == "high"
    assert flowbuilder("run", str(flow_file), "--priority", "asap").code == 2
