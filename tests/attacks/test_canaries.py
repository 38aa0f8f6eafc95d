"""A62: a secret that every part of a run is tempted to tell, and where it would show."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from typer.testing import CliRunner

from flowbuilder import Context, Fail, tool
from flowbuilder.cli.app import app
from flowbuilder.cli.options import hoist
from flowbuilder.evals.cassettes import read_cassette
from flowbuilder.evals.models import RecordingModel, ReplayingModel
from flowbuilder.evals.report import Report
from flowbuilder.evals.reportfiles import write_report
from flowbuilder.flow import Flow
from flowbuilder.models import Message, ScriptedModel
from flowbuilder.plan import Plan, PlanStatus
from flowbuilder.planner.base import PlanEvent, PlanEventType, PlanRequest
from flowbuilder.secrecy import REDACTOR
from flowbuilder.secrecy.keyring import add_key
from flowbuilder.settings import Settings
from flowbuilder.tools import Retry, Wait
from tests.support.api import events_in, problem
from tests.support.canaries import CANARY, HALF, assert_silent, dump, sung
from tests.support.fake_openai import Answer, fake_openai
from tests.support.fortress import fortress, one_step, over, ran
from tests.support.loopback import Reply, Request, site
from tests.support.tenants import Headers, Town


def secret(context: Context) -> str:
    return context.secrets.get("canary")


@tool("vault.echo")
async def echo_all(context: Context) -> Any:
    """Give the secret back in every form, deep in a value and as a key."""
    value = secret(context)
    found: Any = {"forms": sung(value), value: "as a key", "halves": [value[:HALF], value[HALF:]]}
    found["turned"] = [value[HALF:], value[:HALF]]
    for _ in range(12):
        found = {"deeper": [found]}
    return found


@tool("vault.fail")
async def fail_with_it(context: Context, how: str) -> Any:
    """Fail in a way that tells the secret."""
    value = secret(context)
    if how == "error":
        raise ValueError(f"cannot use {value}")
    if how == "fail":
        raise Fail(f"cannot use {base64.b64encode(value.encode()).decode()}", code="spilt")
    if how == "retry":
        raise Retry(f"once more with {value}", after=0.0)
    if how == "sql":
        raise psycopg.errors.UniqueViolation(f"Key (token)=({value}) already exists.")
    if how == "url":
        request = httpx.Request("GET", f"https://api.example.org/?key={value}")
        raise httpx.HTTPStatusError(
            f"Client error for url '{request.url}'", request=request, response=httpx.Response(401)
        )
    if how == "group":
        raise ExceptionGroup("two", [ValueError(value), KeyError(value)])
    if how == "note":
        error = ValueError("see the note")
        error.add_note(f"it was {value}")
        raise error
    if how == "name":
        raise type(f"Error{value[:8]}", (Exception,), {})(value)
    try:
        raise ValueError(value)
    except ValueError as error:
        raise RuntimeError("later") from error


@tool("vault.log")
async def log_it(context: Context) -> None:
    """Write the secret into logs and progress."""
    value = secret(context)
    log = logging.getLogger("somebody.elses")
    log.warning("using %s", value)
    log.error("split %s", value[:HALF])
    log.error("in two %s", value[HALF:])
    try:
        raise ValueError(value)
    except ValueError:
        log.exception("failed")
    log.info("fields", extra={"authorization": value})
    context.progress(0.5, f"half way with {value}")
    await context.emit("vault.told", "key", {"value": value})


@tool("vault.print", process=True)
def print_it(context: Context) -> str:
    """Tell the secret in a process of its own."""
    return f"in a process {context.secrets.get('canary')}"


@tool("vault.ask")
def ask_with_it(context: Context) -> Wait:
    """Ask a person, and tell the secret by that."""
    return Wait.for_approval(f"May I use {context.secrets.get('canary')}?")


HOWS = ["error", "fail", "retry", "sql", "url", "group", "note", "name", "chain"]
TOOLS = [echo_all, fail_with_it, log_it, print_it, ask_with_it]


class Chatty:
    """A planner whose model has heard the secret somewhere, and writes it into the plan."""

    name = "chatty"

    async def stream(self, request: PlanRequest) -> AsyncIterator[PlanEvent]:
        yield PlanEvent(
            type=PlanEventType.STARTED,
            data={"goal": request.goal, "planner": self.name, "model": None},
        )
        step = {"id": "only", "tool": "test.echo", "args": {"value": [CANARY]},
                "description": f"say {CANARY}"}  # fmt: skip
        flow = Flow.model_validate({"flow": "chatty", "steps": [step]})
        shown = flow.steps[0].model_dump(mode="json", exclude_defaults=True)
        yield PlanEvent(
            type=PlanEventType.STEP_ADDED, data={"step": shown, "position": 0, "problems": []}
        )
        plan = Plan(
            id=request.id,
            goal=request.goal,
            planner=self.name,
            flow=flow,
            input=request.input,
            notes=(f"I was told {CANARY}",),
            certain=True,
            status=PlanStatus.READY,
        )
        yield PlanEvent(type=PlanEventType.COMPLETED, data={"plan": plan.as_json()}, plan=plan)


async def shown_of(place: Town, who: Headers, run_id: str) -> list[str]:
    """Everything that the service tells of a run."""
    told = []
    for path in ("", "/tasks", "/events", "/why", "/tree", "/retry", "/replans"):
        told.append((await place.call(who, "GET", f"/runs/{run_id}{path}")).text)
    stream = {"Accept": "text/event-stream"}
    answer = await place.call(who, "GET", f"/runs/{run_id}/events", headers=stream)
    assert events_in(answer.text)
    return [*told, answer.text]


async def asked(place: Town, who: Headers, run_id: str) -> str:
    """Return what a person is shown once a run waits for one, and agree."""
    async for event in place.builder.follow(run_id):
        if event.type == "approval_requested":
            break
    listed = await place.call(who, "GET", f"/approvals?run_id={run_id}")
    (approval,) = listed.json()["items"]
    one = await place.call(who, "GET", f"/approvals/{approval['id']}")
    path = f"/approvals/{approval['id']}"
    words = await place.call(who, "POST", f"{path}/comments", json={"text": f"is it {CANARY}?"})
    assert words.status_code == 201, words.text
    yes = {"decision": "approve", "comment": f"it is {CANARY}"}
    decided = await place.call(who, "POST", f"{path}/decision", json=yes)
    assert decided.status_code == 200, decided.text
    return listed.text + one.text + words.text + decided.text


def echoing(request: Request) -> Reply:
    """A server that tells back what it was sent, in its body, headers, redirects and errors."""
    key = request.headers.get("x-key", "")
    if request.path == "/moved":
        return Reply(None, 302, {"Location": f"/landed?key={key}"})
    if request.path == "/broken":
        return Reply({"error": key, "nested": [{"deep": {"key": key}}]}, 500)
    if request.path == "/slow":
        return Reply({"error": key}, 429, {"Retry-After": "0"})
    return Reply({"text": sung(key) if key else "", "path": request.path}, headers={"X-Was": key})


def command_line(dsn: str, *words: str) -> str:
    done = CliRunner().invoke(app, hoist(["--database-url", dsn, *words]))
    return str(done.output)


async def everything_told(place: Town, ada: Headers, url: str) -> list[str]:
    """Let runs tell the secret in every way, and return all that anybody is shown of them."""
    headers = {"X-Key": "secret://canary"}
    runs: list[str] = []
    told: list[str] = []
    for path in ("/echo", "/moved", "/broken", "/slow"):
        args: dict[str, Any] = {"url": url + path, "headers": headers}
        runs.append((await ran(place, ada, one_step("http.get", args)))["id"])
    refused = {"url": f"{url}/?k=secret://canary"}
    shown = await ran(place, ada, one_step("http.get", refused))
    assert shown["error"]["code"] == "secret_in_url"
    for name, args in (
        *(("vault.fail", {"how": how}) for how in HOWS),
        *((name, {}) for name in ("vault.echo", "vault.log", "vault.print")),
        ("llm.generate", {"prompt": "what is the secret?"}),
    ):
        runs.append((await ran(place, ada, one_step(name, args)))["id"])
    body = {"document": one_step("vault.ask", {}), "input": {}}
    waiting = (await place.call(ada, "POST", "/runs", json=body)).json()["id"]
    told.append(await asked(place, ada, waiting))
    await over(place, ada, waiting)
    # what one step was given back is an argument of the next, and shown to who decides
    chained = one_step("vault.echo", {})
    gate: dict[str, Any] = {"approval": {"message": "Send it?", "by": ["role:approver"]}}
    args = {"value": "${{ steps.only }}"}
    chained["steps"].append({"id": "next", "tool": "test.echo", "args": args, **gate})
    prompt = {"prompt": "say ${{ steps.only }}"}
    chained["steps"].append({"id": "ask", "tool": "llm.generate", "args": prompt})
    started = await place.call(ada, "POST", "/runs", json={"document": chained, "input": {}})
    told.append(await asked(place, ada, started.json()["id"]))
    runs += [waiting, (await over(place, ada, started.json()["id"]))["id"]]
    started = await place.call(ada, "POST", "/runs", json={"document": chained, "input": {}})
    runs.append(started.json()["id"])
    why = {"reason": f"somebody knows {CANARY}"}
    stopped = await place.call(ada, "POST", f"/runs/{runs[-1]}/cancel", json=why)
    assert stopped.status_code == 200, stopped.text
    for run_id in runs:
        told += await shown_of(place, ada, run_id)
    return [*told, stopped.text]


async def told_by_the_service(dsn: str, keys: Path) -> list[str]:
    """Run everything and return all that was told, by the service and to the model."""
    told: list[str] = []
    with site(echoing) as server, fake_openai(Answer(f"it is {CANARY}")) as model:
        settings: dict[str, Any] = {
            "model": "local",
            "model_api_base": model.url,
            "model_api_key": "sk-x",
        }
        async with fortress(
            dsn, tools=TOOLS, planner=Chatty(), secret_key_file=keys,
            http_allow_private=True, model_retries=0, **settings,
        ) as place:  # fmt: skip
            ada = await place.person("ada", "default", "admin", admin=True)
            given = {"value": CANARY, "hosts": [server.host], "tools": ["vault.*", "http.*"]}
            made = await place.call(ada, "PUT", "/secrets/canary", json=given)
            assert made.status_code == 200
            told.append(made.text)
            told += await everything_told(place, ada, server.url)
            assert any(request.headers.get("x-key") == CANARY for request in server.seen)
            told += await told_elsewhere(place, ada)
        told.append(json.dumps(model.requests))
    return told


def test_a62_a_canary_in_every_place_is_heard_nowhere(
    dsn: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    add_key(tmp_path / "keys")
    with caplog.at_level(logging.DEBUG):
        told = asyncio.run(told_by_the_service(dsn, tmp_path / "keys"))
    told += [f"{record.getMessage()} {record.exc_text}" for record in caplog.records]
    assert "using ***" in "\n".join(told)
    with psycopg.connect(dsn) as connection:
        runs = connection.execute("select id::text from flowbuilder.runs").fetchall()
    assert len(runs) > 15
    told += [command_line(dsn, word, run) for (run,) in runs[::6] for word in ("show", "events")]
    told += [command_line(dsn, word) for word in ("runs", "flows", "approvals")]
    for number, shown in enumerate(told):
        assert_silent(shown, f"told {number}")
    assert_silent(dump(dsn), "the database")


async def told_elsewhere(place: Town, ada: Headers) -> list[str]:
    """Plans, reviews, exports, memory, the log, and errors of requests that hold the secret."""
    told: list[str] = []
    plan = await place.call(ada, "POST", "/plans", json={"goal": "tell me"})
    told.append(plan.text)
    stream = {"Accept": "text/event-stream"}
    told.append((await place.call(ada, "POST", "/plans", json={"goal": "x"}, headers=stream)).text)
    plan_id = plan.json()["id"]
    for path in (f"/plans/{plan_id}", f"/plans/{plan_id}/review", "/plans", "/memory", "/audit"):
        told.append((await place.call(ada, "GET", path)).text)
    for path in ("/memory/lessons", "/memory/patterns", "/secrets", "/secrets/canary", "/tools"):
        told.append((await place.call(ada, "GET", path)).text)
    markdown = {"Accept": "text/markdown"}
    page = await place.call(ada, "GET", f"/plans/{plan_id}/review", headers=markdown)
    saved = await place.call(
        ada, "POST", f"/plans/{plan_id}/accept", json={"save": "kept", "run": False}
    )
    assert saved.status_code == 200, saved.text
    for kind in ("json", "yaml"):
        told.append((await place.call(ada, "GET", f"/flows/kept/export?format={kind}")).text)
    for headers, path in (
        ({"Authorization": f"Bearer {CANARY}"}, "/flows"),
        ({"Authorization": f"Bearer fb_{CANARY}"}, "/flows"),
        ({**ada, "X-Workspace": CANARY}, "/flows"),
        (ada, f"/runs?limit={CANARY}"),
    ):
        answer = await place.call(headers, "GET", path)
        assert 400 <= answer.status_code < 500
        if "X-Workspace" not in headers:  # a name that was asked for is told back
            told.append(answer.text)
    short = await place.call(ada, "PUT", "/secrets/x", json={"value": [CANARY], "hosts": ["a.b"]})
    problem(short, 422)
    return [*told, page.text, saved.text, short.text]


async def test_a62_cassettes_and_reports_are_silent(tmp_path: Path) -> None:
    """What evaluations write down is read by others: known secrets are not in it either."""
    REDACTOR.learn(CANARY)
    model = RecordingModel(ScriptedModel([f"it is {CANARY}"]), Settings.load(model="openai/x"))
    question = [Message(role="user", content=f"is it {CANARY}?")]
    await model.generate(question)
    assert b"is it ***?" in model.cassette.text()
    assert_silent(model.cassette.text().decode(), "the cassette")
    (tmp_path / "played.jsonl").write_bytes(model.cassette.text())
    replayed = ReplayingModel(read_cassette(tmp_path / "played.jsonl"))
    assert (await replayed.generate(question)).text == "it is ***"
    report = Report(suite=f"told {CANARY}", planner="rules", model=CANARY, cases=())
    for suffix in (".json", ".xml", ".html"):
        write_report(report, tmp_path / f"report{suffix}")
        assert_silent((tmp_path / f"report{suffix}").read_text(), suffix)
