"""Why, retry and prune as people and programs use them: Python, command line, HTTP."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from flowbuilder import (
    Conflict,
    Context,
    Fail,
    FlowBuilder,
    InvalidTransition,
    InvalidValue,
    NotFound,
    Settings,
    tool,
)
from flowbuilder.cli.app import app
from flowbuilder.cli.options import hoist
from flowbuilder.client.retrying import Repeat
from flowbuilder.executor.states import RunStatus, StepStatus
from flowbuilder.executor.store import Pruned
from flowbuilder.tools import Effects
from tests.support.api import app_over, ended, http, problem

WAIT = 60.0
NOBODY = "5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11"
#: What the tools do differently at the second run: outside effects, as a handler has them.
BROKEN: set[str] = set()
CALLED: list[tuple[str, Any]] = []


@tool("steer.read", effects="read")
def read(value: Any) -> Any:
    """Return the value."""
    return value


@tool("steer.send", effects="external")
def send(name: str, value: Any, context: Context) -> Any:
    """Send the value, or break."""
    CALLED.append((name, context.run_id))
    if name in BROKEN:
        raise Fail("the line is down", code="line_down")
    return [value]


FLOW: dict[str, Any] = {
    "flow": "steered",
    "input": {"type": "object", "required": ["n"], "properties": {"n": {}}},
    "steps": [
        {"id": "read", "tool": "steer.read", "args": {"value": "${{ input.n }}"}},
        {
            "id": "first",
            "tool": "steer.send",
            "args": {"name": "first", "value": "${{ steps.read }}"},
        },
        {
            "id": "second",
            "tool": "steer.send",
            "args": {"name": "second", "value": "${{ steps.first }}"},
        },
        {"id": "last", "tool": "steer.read", "args": {"value": "${{ steps.second }}"}},
    ],
    "output": "${{ steps.last }}",
}


@pytest.fixture(autouse=True)
def _fresh() -> None:
    BROKEN.clear()
    CALLED.clear()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path, workspace_dir=tmp_path)


@pytest.fixture
async def fb(dsn: str, settings: Settings) -> AsyncIterator[FlowBuilder]:
    async with FlowBuilder.connect(
        dsn, settings=settings, tools=[read, send], worker=True
    ) as opened:
        yield opened


@pytest.fixture
async def client(fb: FlowBuilder) -> AsyncIterator[httpx.AsyncClient]:
    async with http(app_over(fb)) as opened:
        yield opened


async def broken(fb: FlowBuilder, n: Any = 0) -> Any:
    """Return a run that failed at its second effect; the line is up again."""
    BROKEN.add("second")
    run = await fb.execute(FLOW, {"n": n})
    _ = [event async for event in run.events()]
    assert await run.status() is RunStatus.FAILED
    BROKEN.clear()
    return run


async def moved(fb: FlowBuilder, days: int) -> None:
    await fb.store.database.execute(
        b"update flowbuilder.clock set offset_by = make_interval(days => %s)", (days,)
    )


# -- Python -------------------------------------------------------------------------------------


async def test_a_retry_goes_on_where_the_run_failed(fb: FlowBuilder) -> None:
    old = await broken(fb)
    before = await old.what_retry_does()
    new = await old.retry(by="user:ada")
    assert new.retrying == before
    assert (before.reused, before.again) == (("read", "first"), ("second", "last"))
    assert before.repeats == (
        Repeat(
            step="second",
            tool="steer.send@1",
            effects=Effects.EXTERNAL,
            status=StepStatus.FAILED,
        ),
    )
    assert await new.result(timeout=WAIT) == [[0]]
    assert [("first", old.id), ("second", old.id), ("second", new.id)] == CALLED
    assert (new.created, new.row.retry_of) == (True, old.id)


async def test_a_retry_from_a_step_names_what_happens_twice(fb: FlowBuilder) -> None:
    run = await fb.execute(FLOW, {"n": ""})
    assert await run.result(timeout=WAIT) == [[""]]
    with pytest.raises(Conflict) as nothing:
        await run.retry()
    assert nothing.value.code == "nothing_to_retry"
    new = await fb.retry(run.id, "first")
    assert new.retrying.reused == ("read",)
    assert [(r.step, r.status) for r in new.retrying.repeats] == [
        ("first", StepStatus.COMPLETED),
        ("second", StepStatus.COMPLETED),
    ]
    assert await new.result(timeout=WAIT) == [[""]]
    harmless = await new.retry("last")
    assert harmless.retrying.repeats == ()
    assert await harmless.result(timeout=WAIT) == [[""]]


async def test_a_tool_that_is_not_here_may_have_any_effects(
    fb: FlowBuilder, dsn: str, settings: Settings
) -> None:
    old = await broken(fb)
    async with FlowBuilder.connect(dsn, settings=settings, worker=False) as other:
        said = await (await other.get_run(old.id)).what_retry_does()
    assert [(repeat.step, repeat.effects) for repeat in said.repeats] == [("second", None)]


async def test_functions_of_this_process_are_retried_here(fb: FlowBuilder) -> None:
    attempts: list[int] = []

    def once(n: int) -> int:
        attempts.append(n)
        if len(attempts) == 1:
            raise Fail("not at first")
        return n

    run = await fb.execute_dynamic(
        {"flow": "graph", "steps": [{"id": "once", "args": {"n": 3}}]}, functions={"once": once}
    )
    _ = [event async for event in run.events()]
    new = await run.retry()
    assert await new.result(timeout=WAIT) == {"once": 3}
    assert attempts == [3, 3]


@pytest.mark.parametrize("timeout", [0, -1, "soon", float("nan")])
async def test_a_retry_needs_some_time(fb: FlowBuilder, timeout: Any) -> None:
    old = await broken(fb)
    with pytest.raises(InvalidValue) as refused:
        await old.retry(timeout=timeout)
    assert (refused.value.code, refused.value.pointer) == ("timeout_invalid", "/timeout")


async def test_a_retry_may_have_another_deadline(fb: FlowBuilder) -> None:
    new = await (await broken(fb)).retry(timeout="90s", idempotency_key="k")
    assert (new.row.deadline_at - new.row.created_at).total_seconds() == 90
    same = await (await fb.get_run(new.row.retry_of)).retry(idempotency_key="k")
    assert (same.id, same.created) == (new.id, False)
    with pytest.raises(InvalidValue):
        await new.retry(idempotency_key="a\nb")


async def test_why_of_a_run_and_by_its_id(fb: FlowBuilder) -> None:
    run = await broken(fb)
    (reason,) = (await run.why()).reasons
    assert reason.code.value == "ended"
    assert reason.message == "The run failed at step second: the line is down."
    assert (await fb.why(run.id)).reasons == (reason,)
    with pytest.raises(NotFound):
        await fb.why("nonsense")


async def test_prune_by_age(fb: FlowBuilder) -> None:
    run = await broken(fb)
    assert await fb.prune() == Pruned()
    await moved(fb, 31)
    counted = await fb.prune(dry_run=True)
    assert (counted.runs, counted.steps) == (1, 4)
    assert (await run.refresh()).id == run.id
    found = await fb.prune("30d")
    assert (found.runs, found.versions) == (1, 1)
    with pytest.raises(NotFound):
        await run.refresh()
    for wrong in ("old", -1, float("nan"), None):
        with pytest.raises(InvalidValue) as refused:
            await fb.prune(wrong)  # type: ignore[arg-type]
        assert refused.value.code == "duration_invalid"


@pytest.mark.parametrize("bad", ["\ud800", "a\x00b", "\udcff"])
async def test_a_text_that_no_database_holds_is_refused(fb: FlowBuilder, bad: str) -> None:
    async with fb.worker():
        run = await fb.execute(FLOW, {"n": 1}, by="user:ada")
        await run.result(timeout=WAIT)
    calls: list[Any] = [
        lambda: fb.execute(FLOW, {"n": 1}, by=bad),
        lambda: run.cancel(reason=bad),
        lambda: run.cancel(by=bad),
        lambda: run.pause(by=bad),
        lambda: run.resume(by=bad),
        lambda: run.retry(bad),
        lambda: run.retry(by=bad),
        lambda: fb.get_flow(bad),
        lambda: fb.delete_flow(bad),
        lambda: fb.runs(flow=bad),
        lambda: fb.get_version(bad),
    ]
    for call in calls:
        with pytest.raises(InvalidValue) as refused:
            await call()
        assert refused.value.code == "value_refused"
    assert await (await fb.execute(FLOW, {"n": 0})).result(timeout=WAIT) == [[0]]


# -- HTTP ---------------------------------------------------------------------------------------


async def test_why_and_retry_over_http(fb: FlowBuilder, client: httpx.AsyncClient) -> None:
    old = await broken(fb)
    path = f"/api/v1/runs/{old.id}"
    why = (await client.get(f"{path}/why")).json()
    assert (why["run_id"], why["status"]) == (old.id, "failed")
    assert [reason["code"] for reason in why["reasons"]] == ["ended"]
    assert set(why["reasons"][0]) == {
        "code", "message", "step", "task_id", "since", "until", "details",
    }  # fmt: skip
    would = await client.get(f"{path}/retry", params={"from_step": "first"})
    assert would.json()["reused"] == ["read"]
    assert [repeat["step"] for repeat in would.json()["repeats"]] == ["first", "second"]
    unknown = await client.get(f"{path}/retry", params={"from_step": "nope"})
    assert problem(unknown, 422)["code"] == "step_unknown"
    first = await client.post(f"{path}/retry", headers={"Idempotency-Key": "again"})
    assert first.status_code == 201, first.text
    new = first.json()
    assert first.headers["location"] == f"/api/v1/runs/{new['id']}"
    assert (new["retry_of"], new["retry_from"]) == (old.id, None)
    assert (new["reused"], new["again"]) == (["read", "first"], ["second", "last"])
    assert new["repeats"] == [
        {"step": "second", "tool": "steer.send@1", "effects": "external", "status": "failed"}
    ]
    events = await ended(client, new["id"])
    assert [event["data"]["data"].get("reused_from") for event in events[1:3]] == [old.id] * 2
    assert events[-1]["event"] == "workflow_completed"
    same = await client.post(f"{path}/retry", headers={"Idempotency-Key": "again"})
    assert (same.status_code, same.json()["id"]) == (200, new["id"])
    other = await client.post(
        f"{path}/retry", json={"from_step": "read"}, headers={"Idempotency-Key": "again"}
    )
    assert problem(other, 409)["code"] == "idempotency_mismatch"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"from_step": "nope"}, 422, "step_unknown"),
        ({"from_step": ""}, 422, None),
        ({"from_step": 1}, 422, None),
        ({"from": "read"}, 422, None),
        ([], 422, None),
    ],
)
async def test_a_retry_that_is_not_understood(
    fb: FlowBuilder, client: httpx.AsyncClient, body: Any, status: int, code: str | None
) -> None:
    old = await broken(fb)
    response = await client.post(f"/api/v1/runs/{old.id}/retry", json=body)
    found = problem(response, status)
    assert code is None or found["code"] == code
    assert len(await fb.runs()) == 1


async def test_what_is_open_or_unknown_is_not_retried_over_http(
    dsn: str, settings: Settings
) -> None:
    async with FlowBuilder.connect(
        dsn, settings=settings, tools=[read, send], worker=False
    ) as fb, http(app_over(fb)) as client:  # fmt: skip
        run = await fb.execute(FLOW, {"n": 1})
        response = await client.post(f"/api/v1/runs/{run.id}/retry")
        assert problem(response, 409)["code"] == "run_still_open"
        why = (await client.get(f"/api/v1/runs/{run.id}/why")).json()
        assert why["reasons"][0]["code"] == "no_worker"
        with pytest.raises(InvalidTransition):
            await run.retry()
        for path, verb in (("why", "GET"), ("retry", "POST")):
            answer = await client.request(verb, f"/api/v1/runs/{NOBODY}/{path}")
            assert problem(answer, 404)["code"] == "run_not_found"


# -- command line -------------------------------------------------------------------------------


class Shell:
    """Runs commands in this process, over a database."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self._dsn = dsn
        self._folder = folder

    def __call__(self, *arguments: str, as_json: bool = True) -> Result:
        common = ["--database-url", self._dsn, "--data-dir", str(self._folder)]
        common += ["--tools", "tests.integration.test_steering"]
        common += ["--json" if as_json else "--no-json"]
        return CliRunner().invoke(app, hoist([*arguments, *common]))

    def broken(self) -> str:
        """Return the id of a run that failed at its second effect."""

        async def start() -> str:
            settings = Settings.load(data_dir=self._folder)
            async with FlowBuilder.connect(
                self._dsn, settings=settings, tools=[read, send], worker=True
            ) as fb:
                run_id: str = (await broken(fb)).id
                return run_id

        return asyncio.run(start())


@pytest.fixture
def shell(dsn: str, tmp_path: Path) -> Shell:
    return Shell(dsn, tmp_path)


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_why_and_retry_on_the_command_line(shell: Shell) -> None:
    old = shell.broken()
    (why,) = lines(shell("why", old))
    assert (why["run_id"], why["reasons"][0]["code"]) == (old, "ended")
    told = shell("why", old, as_json=False)
    assert f"run {old} of steered is failed" in told.stdout
    assert "The run failed at step second: the line is down. (ended)" in told.stdout
    (would,) = lines(shell("retry", old, "--from", "first", "--dry-run"))
    assert (would["reused"], would["again"]) == (["read"], ["first", "second", "last"])
    assert [repeat["step"] for repeat in would["repeats"]] == ["first", "second"]
    assert len(lines(shell("runs"))) == 1
    shown = shell("retry", old, "--idempotency-key", "k", as_json=False)
    assert "taken over: read, first" in shown.stdout
    assert "runs again: second, last" in shown.stdout
    assert "may happen twice: step second (steer.send@1, external) had begun" in shown.stdout
    (new,) = lines(shell("retry", old, "--idempotency-key", "k"))
    assert (new["retry_of"], new["reused"]) == (old, ["read", "first"])
    (waits,) = lines(shell("why", new["id"]))
    assert [reason["code"] for reason in waits["reasons"]] == ["no_worker", "dependencies"]
    done = shell("events", new["id"], "--follow")
    assert (done.exit_code, lines(done)[-1]["type"]) == (0, "result")
    assert len(lines(shell("runs"))) == 2


def test_what_cannot_be_retried_has_its_code(shell: Shell) -> None:
    old = shell.broken()
    for arguments, code in (
        (["retry", "nonsense"], "run_not_found"),
        (["why", "nonsense"], "run_not_found"),
        (["retry", old, "--from", "nope"], "step_unknown"),
        (["retry", old, "--from", "\udcff"], "value_refused"),
        (["cancel", old, "--reason", "\udcff"], "value_refused"),
        (["retry", old, "--idempotency-key", ""], "idempotency_key_invalid"),
    ):
        result = shell(*arguments)
        assert result.exit_code == 1
        assert lines(result)[-1]["error"]["code"] == code


def test_prune_on_the_command_line(shell: Shell) -> None:
    old = shell.broken()
    (kept,) = lines(shell("prune"))
    assert (kept["type"], kept["dry_run"], kept["runs"]) == ("pruned", False, 0)
    (counted,) = lines(shell("prune", "--older-than", "0s", "--dry-run"))
    assert (counted["dry_run"], counted["runs"], counted["steps"]) == (True, 1, 4)
    assert shell("show", old).exit_code == 0
    told = shell("prune", "--older-than", "0s", as_json=False)
    assert told.stdout.startswith("deleted: runs 1, steps 4, ")
    assert shell("prune", "--older-than", "0s", as_json=False).stdout == "deleted: nothing\n"
    assert shell("show", old).exit_code == 1
    wrong = shell("prune", "--older-than", "for ever")
    assert (wrong.exit_code, lines(wrong)[-1]["error"]["code"]) == (2, "usage")
