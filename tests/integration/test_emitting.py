"""Events as people and programs emit them, Python, command line, HTTP, and durable sleep: with real
workers that poll once an hour, so that nothing here is found by chance."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from typer.testing import CliRunner, Result

from flowbuilder import Context, FlowBuilder, InvalidValue, RunFailed, Settings, Wait, tool
from flowbuilder.cli.app import app
from flowbuilder.cli.options import hoist
from flowbuilder.executor.states import RunStatus
from flowbuilder.types import JsonObject, JsonValue
from tests.support.api import app_over, http, problem
from tests.support.waiting import eventually

WAIT = 10.0
HOURLY = timedelta(hours=1)
PAID: dict[str, Any] = {"name": "order.paid", "key": "${{ input.order }}"}


@tool("emitting.listen", effects="read")
def listen(order: str, context: Context) -> Wait:
    """Wait for the payment of an order."""
    assert context.attempt == 1
    return Wait.for_event("order.paid", order, timeout="2h")


def document(**args: Any) -> JsonObject:
    return {
        "flow": "shipping",
        "input": {"type": "object", "properties": {"order": {"type": "string"}}},
        "steps": [
            {"id": "paid", "tool": "event.wait", "args": {**PAID, **args}},
            {"id": "again", "tool": "time.sleep", "args": {"seconds": 0}, "depends_on": ["paid"]},
        ],
        "output": "${{ steps.paid }}",
    }


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path, workspace_dir=tmp_path, poll_interval=HOURLY)


@pytest.fixture
async def fb(dsn: str, settings: Settings) -> AsyncIterator[FlowBuilder]:
    async with FlowBuilder.connect(dsn, settings=settings, tools=[listen], worker=True) as opened:
        yield opened


@pytest.fixture
async def client(fb: FlowBuilder) -> AsyncIterator[httpx.AsyncClient]:
    async with http(app_over(fb)) as opened:
        yield opened


async def waits(fb: FlowBuilder, order: str = "7", **args: Any) -> Any:
    """Return a run that waits for its order to be paid."""
    run = await fb.execute_dynamic(document(**args), {"order": order})
    async for event in run.events():
        if event.type == "task_waiting":
            return run
    raise AssertionError("it does not wait")


async def jump(fb: FlowBuilder, seconds: float) -> None:
    await fb.store.database.execute(
        b"update flowbuilder.clock set offset_by = offset_by + make_interval(secs => %s)",
        (seconds,),
    )


async def pass_by(fb: FlowBuilder, seconds: float) -> None:
    """Jump, and do what has come due, also in runs that the worker holds for a moment."""
    await jump(fb, seconds)

    async def done() -> bool:
        return (await fb.store.tick()).next_due_seconds != 0

    await eventually(done, what="something stays due")


# -- Python -------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [0, False, "", None, [], {"amount": 1.5}])
async def test_a_run_goes_on_with_the_payload(fb: FlowBuilder, payload: JsonValue) -> None:
    run = await waits(fb)
    said = await fb.emit("order.paid", "7", payload, by="user:ada")
    assert (said.already, said.woke, said.touched) == (False, 1, [run.id])
    assert await run.result(timeout=WAIT) == payload


async def test_an_event_that_came_first_is_kept_for_the_wait(fb: FlowBuilder) -> None:
    said = await fb.emit("order.paid", "7", 0)
    assert (said.woke, said.expires_at - said.emitted_at) == (0, timedelta(days=7))
    for _ in range(2):
        run = await fb.execute_dynamic(document(), {"order": "7"})
        assert await run.result(timeout=WAIT) == 0
    again = await fb.emit("order.paid", "7", 1, keep="30d")
    assert (again.already, again.expires_at) == (True, said.expires_at)


async def test_a_handler_waits_for_an_event(fb: FlowBuilder) -> None:
    steps = [{"id": "a", "tool": "emitting.listen", "args": {"order": "7"}}]
    run = await fb.execute_dynamic({"flow": "handler", "steps": steps}, {})
    await fb.emit("order.paid", "7", ["x"])
    assert await run.result(timeout=WAIT) == {"a": ["x"]}


@pytest.mark.parametrize(("on_timeout", "code"), [("fail", "event_timeout"), ("null", None)])
async def test_a_timeout_fails_or_gives_null(
    fb: FlowBuilder, on_timeout: str, code: str | None
) -> None:
    run = await waits(fb, timeout="90m", on_timeout=on_timeout)
    (reason,) = [r for r in (await fb.why(run.id)).reasons if r.code == "waiting"]
    assert "waits for event order.paid 7 for another 1h" in reason.message
    await pass_by(fb, 5401)
    assert (await fb.emit("order.paid", "7")).woke == 0
    if code is None:
        await fb.notifications.announce([run.id], ready=True)
        assert await run.result(timeout=WAIT) is None
        return
    with pytest.raises(RunFailed) as failed:
        await run.result(timeout=WAIT)
    assert failed.value.error["code"] == code


@pytest.mark.parametrize(
    ("given", "code", "pointer"),
    [
        ({"name": ""}, "event_invalid", "/name"),
        ({"name": "a b"}, "event_invalid", "/name"),
        ({"name": "n\n"}, "event_invalid", "/name"),
        ({"name": "n" * 101}, "event_invalid", "/name"),
        ({"name": 5}, "event_invalid", "/name"),
        ({"key": 7}, "event_invalid", "/key"),
        ({"key": "k" * 501}, "event_invalid", "/key"),
        ({"key": "a\0b"}, "event_invalid", "/key"),
        ({"key": "\ud800"}, "event_invalid", "/key"),
        ({"payload": {"a": float("nan")}}, "json_nan", "/payload/a"),
        ({"payload": {"a": ["\0"]}}, "json_nul", "/payload/a/0"),
        ({"payload": object()}, "json_type", "/payload"),
        ({"payload": "x" * 2_000_000}, "json_size", "/payload"),
        ({"keep": "soon"}, "duration_invalid", "/keep"),
        ({"keep": 0}, "duration_invalid", "/keep"),
        ({"keep": -1}, "duration_invalid", "/keep"),
        ({"by": "\0"}, "actor_invalid", "/by"),
        ({"by": 5}, "actor_invalid", "/by"),
    ],
)
async def test_what_is_no_event_is_refused_with_its_pointer(
    fb: FlowBuilder, given: dict[str, Any], code: str, pointer: str
) -> None:
    with pytest.raises(InvalidValue) as refused:
        await fb.emit(**{"name": "order.paid", **given})
    assert (refused.value.code, refused.value.pointer) == (code, pointer)


@pytest.mark.parametrize(
    "args", [{"key": 7}, {"key": "x" * 501}, {"name": "a b"}, {"timeout": "x"}, {"on_timeout": ""}]
)
async def test_a_bad_wait_fails_its_step(fb: FlowBuilder, args: dict[str, Any]) -> None:
    given = {"name": "order.paid", **dict.fromkeys(args, "${{ input.x }}")}
    steps = [{"id": "w", "tool": "event.wait", "args": given}]
    loose = {"flow": "loose", "input": {"properties": {"x": {}}}, "steps": steps}
    run = await fb.execute_dynamic(loose, {"x": next(iter(args.values()))})
    with pytest.raises(RunFailed) as failed:
        await run.result(timeout=WAIT)
    assert failed.value.error["code"] == "argument_invalid"


# -- durable sleep ------------------------------------------------------------------------------


SLEEP: JsonObject = {
    "flow": "sleeper",
    "steps": [{"id": "nap", "tool": "time.sleep", "args": {"seconds": 1_000_000}}],
    "output": "up",
}


async def sleeps(fb: FlowBuilder, **options: Any) -> Any:
    """Return a run that sleeps for a million seconds."""
    run = await fb.execute_dynamic(SLEEP, {}, **options)
    async for event in run.events():
        if event.type == "task_waiting":
            return run
    raise AssertionError("it does not sleep")


async def test_a_long_sleep_outlives_every_process(dsn: str, settings: Settings) -> None:
    async with FlowBuilder.connect(dsn, settings=settings, worker=True) as first:
        run_id = (await sleeps(first, timeout="30d")).id
        depth = await first.queue_depth()
        assert (depth["waiting"], depth["running"], depth["messages"]) == (1, 0, 0)
        await jump(first, 999_000)
        await first.store.tick()
        assert (await first.store.get_run(run_id)).status is RunStatus.RUNNING
    async with FlowBuilder.connect(dsn, settings=settings, worker=False) as second:
        await jump(second, 1001)
        async with second.worker():  # it looks for what is due as it comes up
            assert await (await second.run(run_id)).result(timeout=WAIT) == "up"


async def test_a_sleeper_can_be_paused_and_cancelled(fb: FlowBuilder) -> None:
    run = await sleeps(fb, timeout="30d")
    await run.pause()
    await pass_by(fb, 1_000_001)
    assert await run.status() is RunStatus.PAUSED
    await run.resume()
    assert await run.result(timeout=WAIT) == "up"
    other = await sleeps(fb, timeout="30d")
    await other.cancel()
    assert await other.status() is RunStatus.CANCELLED
    depth = await fb.queue_depth()
    assert (depth["waiting"], depth["messages"]) == (0, 0)


async def test_a_sleep_past_the_deadline_of_its_run_ends_there_and_says_so(
    fb: FlowBuilder,
) -> None:
    run = await sleeps(fb, timeout="10m")
    await pass_by(fb, 601)
    with pytest.raises(RunFailed) as failed:
        await run.result(timeout=WAIT)
    assert failed.value.error["code"] == "deadline_exceeded"
    assert "nap" in str(failed.value)


# -- HTTP ---------------------------------------------------------------------------------------


async def post(client: httpx.AsyncClient, **body: Any) -> httpx.Response:
    return await client.post("/api/v1/events", json=body)


async def test_emitting_over_http(fb: FlowBuilder, client: httpx.AsyncClient) -> None:
    run = await waits(fb)
    first = await post(client, name="order.paid", key="7", payload={"n": 0}, keep="1h")
    assert first.status_code == 201
    body = first.json()
    assert set(body) == {"name", "key", "already", "woke", "emitted_at", "emitted_by", "expires_at"}
    assert (body["already"], body["woke"], body["emitted_by"]) == (False, 1, "local")
    assert await run.result(timeout=WAIT) == {"n": 0}
    second = await post(client, name="order.paid", key="7", payload={"n": 1})
    assert second.status_code == 200
    assert second.json() == {**body, "already": True, "woke": 0}
    bare = await post(client, name="order.paid", payload=None, by="user:eve")
    assert (bare.status_code, bare.json()["key"], bare.json()["emitted_by"]) == (
        201,
        "",
        "user:eve",
    )


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/name"),
        ({"name": "a b"}, "/name"),
        ({"name": "n" * 101}, "/name"),
        ({"name": 1}, "/name"),
        ({"name": "n", "key": 7}, "/key"),
        ({"name": "n", "key": "k" * 501}, "/key"),
        ({"name": "n", "keep": "soon"}, "/keep"),
        ({"name": "n", "keep": True}, "/keep"),
        ({"name": "n", "keep": {}}, "/keep"),
        ({"name": "n", "more": 1}, "/more"),
    ],
)
async def test_a_bad_event_is_a_problem_with_its_pointer(
    client: httpx.AsyncClient, body: dict[str, Any], pointer: str
) -> None:
    found = problem(await post(client, **body), 422)
    assert pointer in [error["pointer"] for error in found["errors"]]


@pytest.mark.parametrize(
    "text", ['{"name": "n", "payload": NaN}', '{"name": "n", "key": "\\u0000"}', "{"]
)
async def test_what_is_no_strict_json_is_refused(client: httpx.AsyncClient, text: str) -> None:
    headers = {"content-type": "application/json"}
    answer = await client.post("/api/v1/events", content=text, headers=headers)
    assert problem(answer, 400)["errors"]


# -- command line -------------------------------------------------------------------------------


class Shell:
    """Runs commands in this process, over a database."""

    def __init__(self, dsn: str, folder: Path) -> None:
        self._dsn = dsn
        self._folder = folder

    def __call__(self, *arguments: str, as_json: bool = True, stdin: str = "") -> Result:
        common = ["--database-url", self._dsn, "--data-dir", str(self._folder)]
        common += ["--json" if as_json else "--no-json"]
        return CliRunner().invoke(app, hoist([*arguments, *common]), input=stdin)

    def started(self) -> str:
        """Return the id of a run that no worker has seen yet."""

        async def start() -> str:
            settings = Settings.load(data_dir=self._folder)
            async with FlowBuilder.connect(self._dsn, settings=settings, worker=False) as fb:
                run_id: str = (await fb.execute_dynamic(document(), {"order": "7"})).id
                return run_id

        return asyncio.run(start())


@pytest.fixture
def shell(dsn: str, tmp_path: Path) -> Shell:
    return Shell(dsn, tmp_path)


def line_of(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.output
    (line,) = result.stdout.splitlines()
    return cast("dict[str, Any]", json.loads(line))


def test_emitting_on_the_command_line(shell: Shell) -> None:
    run = shell.started()
    first = line_of(shell("emit", "order.paid", "--key", "7", "--payload", '{"n": 0}'))
    assert (first["type"], first["already"], first["woke"], first["key"]) == (
        "emitted",
        False,
        0,
        "7",
    )
    again = line_of(shell("emit", "order.paid", "--key", "7"))
    assert (again["already"], again["emitted_by"]) == (True, first["emitted_by"])
    told = shell("emit", "order.paid", "--keep", "2h", "--payload", "@-", as_json=False, stdin="0")
    assert "emitted order.paid; it is kept until" in told.stdout
    assert "0 waits woken" in told.stdout
    twice = shell("emit", "order.paid", as_json=False)
    assert "event order.paid was emitted already by user:" in twice.stdout
    done = shell("events", run, "--follow")
    assert json.loads(done.stdout.splitlines()[-1])["output"] == {"n": 0}


@pytest.mark.parametrize(
    "arguments",
    [
        ("a b",),
        ("",),
        ("n", "--key", "k" * 501),
        ("n", "--payload", "{"),
        ("n", "--payload", "NaN"),
        ("n", "--payload", "@no-such-file"),
        ("n", "--keep", "soon"),
    ],
)
def test_what_cannot_be_emitted_is_wrong_usage(shell: Shell, arguments: tuple[str, ...]) -> None:
    result = shell("emit", *arguments)
    assert result.exit_code == 2
    assert "Traceback" not in result.output


async def test_the_runs_of_many_hear_of_one_event(fb: FlowBuilder) -> None:
    runs = [await waits(fb) for _ in range(5)]
    assert (await fb.emit("order.paid", "7", 3)).woke == 5
    assert [await run.result(timeout=WAIT) for run in runs] == [3] * 5
