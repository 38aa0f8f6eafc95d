"""Secrets from the command line to a worker, and in none of the places where they must not be."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from flowbuilder import (
    Context,
    Fail,
    FlowBuilder,
    InvalidValue,
    NotFound,
    RunFailed,
    Settings,
    SettingsError,
    tool,
)
from flowbuilder.cli.app import app
from flowbuilder.cli.options import hoist
from flowbuilder.secrecy import REDACTOR
from flowbuilder.secrecy.keyring import add_key, load_keys
from tests.support.api import app_over, http, problem
from tests.support.fake_openai import Answer, fake_openai
from tests.support.loopback import Reply, Request, Site, site

WAIT = 60.0
CANARY = "c4n4ry-7f3e9b21-d5a8+/=Zq"


@tool("vault.read")
async def read_async(context: Context, name: str) -> str:
    """Read a secret on the event loop."""
    return context.secrets.get(name)


@tool("vault.thread")
def read_thread(context: Context, name: str) -> str:
    """Read a secret in a thread."""
    return context.secrets.get(name)


@tool("vault.process", process=True)
def read_process(context: Context, name: str) -> str:
    """Read a secret in a process."""
    return context.secrets.get(name)


@tool("vault.length", process=True)
def length_process(context: Context, name: str) -> int:
    """Say how long a secret is, in a process."""
    return len(context.secrets.get(name))


@tool("vault.spill")
async def spill(context: Context, how: str) -> Any:
    """Let a secret out in one of many ways."""
    value = context.secrets.get("canary")
    context.progress(0.5, f"working with {value}")
    logging.getLogger("flowbuilder.elsewhere").warning("using %s", value)
    if how == "error":
        raise ValueError(f"cannot use {value}")
    if how == "fail":
        raise Fail(f"cannot use {base64.b64encode(value.encode()).decode()}", code="spilt")
    if how == "sql":
        raise psycopg.errors.SyntaxError(f'at or near "{value}"')
    if how == "chain":
        try:
            raise ValueError(value)
        except ValueError as error:
            raise RuntimeError("later") from error
    return {
        "echo": f"Bearer {value}",
        value: [value[:13], value[13:]],
        "basic": base64.b64encode(f"user:{value}".encode()).decode(),
        "hex": value.encode().hex(),
        "zero": 0,
        "nothing": None,
    }


TOOLS = [read_async, read_thread, read_process, length_process, spill]


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "keys"
    add_key(file)
    return file


@pytest.fixture
def loopback() -> Iterator[Site]:
    with site() as running:
        yield running


@pytest.fixture
async def fb(dsn: str, key_file: Path) -> AsyncIterator[FlowBuilder]:
    settings = Settings(secret_key_file=key_file, http_allow_private=True)
    async with FlowBuilder.connect(dsn, settings=settings, tools=TOOLS, worker=True) as opened:
        yield opened


def read(file: Path) -> str:
    return file.read_text()


def write(file: Path, text: str) -> None:
    file.write_text(text)


async def result(fb: FlowBuilder, name: str, /, **args: Any) -> Any:
    """Run one step and return its output."""
    document = {
        "flow": "one",
        "steps": [{"id": "only", "tool": name, "args": args, "retry": {"max_attempts": 1}}],
        "output": "${{ steps.only }}",
    }
    return await (await fb.execute_dynamic(document, {})).result(timeout=WAIT)


async def error(fb: FlowBuilder, name: str, /, **args: Any) -> dict[str, Any]:
    with pytest.raises(RunFailed) as caught:
        await result(fb, name, **args)
    return dict(caught.value.error)


async def test_a_secret_goes_out_in_a_header_and_comes_back_hidden(
    fb: FlowBuilder, loopback: Site
) -> None:
    await fb.secrets.set("canary", CANARY, hosts=[loopback.host])
    headers = {"Authorization": "Bearer secret://canary", "X-Plain": "plain"}
    output = await result(fb, "http.request", method="POST", url=loopback.url, headers=headers)
    assert loopback.seen[0].headers["authorization"] == f"Bearer {CANARY}"
    assert output["body"]["headers"]["authorization"] == "Bearer ***"
    assert output["body"]["headers"]["x-plain"] == "plain"
    await result(fb, "http.get", url=loopback.url, headers={"X-Api-Key": "secret://canary"})
    assert loopback.seen[1].headers["x-api-key"] == CANARY


async def test_a_secret_goes_nowhere_else(fb: FlowBuilder, loopback: Site) -> None:
    await fb.secrets.set("canary", CANARY, hosts=["api.example.org"])
    headers = {"Authorization": "secret://canary"}
    refused = await error(fb, "http.get", url=loopback.url, headers=headers)
    assert refused["code"] == "secret_not_allowed"
    for address, query in (
        (f"{loopback.url}/secret://canary", {}),
        (loopback.url, {"k": "secret://canary"}),
    ):
        refused = await error(fb, "http.get", url=address, query=query)
        assert refused["code"] == "secret_in_url"
    missing = await error(fb, "http.get", url=loopback.url, headers={"X": "secret://none"})
    assert missing["code"] == "secret_not_found"
    assert (await error(fb, "vault.read", name="canary"))["code"] == "secret_not_allowed"
    await fb.secrets.set("canary", CANARY, hosts=[loopback.host], tools=["http.request"])
    refused = await error(fb, "http.get", url=loopback.url, headers=headers)
    assert refused["code"] == "secret_not_allowed"
    assert loopback.seen == []


async def test_redirects_to_another_origin_lose_the_secret(fb: FlowBuilder) -> None:
    with site() as other:
        elsewhere = Reply(None, 307, {"Location": f"{other.url}/there?was=x"})
        with site(lambda _: elsewhere) as first:
            await fb.secrets.set("canary", CANARY, hosts=["127.0.0.1"])
            headers = {"X-Api-Key": "secret://canary"}
            await result(fb, "http.get", url=first.url, headers=headers)
        assert CANARY not in str(other.seen[0].headers)
        assert "x-api-key" not in other.seen[0].headers


async def test_plain_http_gets_no_secret(dsn: str, key_file: Path, loopback: Site) -> None:
    settings = Settings(secret_key_file=key_file)
    async with FlowBuilder.connect(dsn, settings=settings, worker=True) as fb:
        await fb.secrets.set("canary", CANARY, hosts=["example.org"])
        refused = await error(
            fb, "http.get", url="http://example.org/", headers={"X": "secret://canary"}
        )
        assert refused["code"] == "secret_not_allowed"
        assert "https" in refused["message"]


async def test_tools_read_what_is_bound_to_them_wherever_they_run(fb: FlowBuilder) -> None:
    await fb.secrets.set("canary", CANARY, tools=["vault.*"])
    for name in ("vault.read", "vault.thread", "vault.process"):
        assert await result(fb, name, name="canary") == "***", name
    assert await result(fb, "vault.length", name="canary") == len(CANARY)
    await fb.secrets.set("other", "other-value-99", tools=["vault.read"])
    assert (await error(fb, "vault.thread", name="other"))["code"] == "secret_not_allowed"
    assert (await error(fb, "vault.process", name="other"))["code"] == "secret_not_found"


async def test_processes_get_of_the_environment_what_is_bound_to_their_tool(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWBUILDER_SECRET_OPEN", "open-value-123")
    monkeypatch.setenv("FLOWBUILDER_SECRET_BOUND", "bound-value-123")
    monkeypatch.setenv("FLOWBUILDER_SECRET_BOUND__TOOLS", "vault.read")
    async with FlowBuilder.connect(dsn, tools=TOOLS, worker=True) as fb:
        for name in ("vault.read", "vault.thread", "vault.process"):
            assert await result(fb, name, name="open") == "***"
        assert await result(fb, "vault.read", name="bound") == "***"
        assert (await error(fb, "vault.thread", name="bound"))["code"] == "secret_not_allowed"
        assert (await error(fb, "vault.process", name="bound"))["code"] == "secret_not_found"


async def test_the_newest_value_counts_and_a_deleted_one_is_gone(
    fb: FlowBuilder, loopback: Site
) -> None:
    for version, value in enumerate(("first-value-1", "second-value-2"), start=1):
        row = await fb.secrets.set("token", value, hosts=[loopback.host])
        assert row.version == version
        await result(fb, "http.get", url=loopback.url, headers={"X": "secret://token"})
        assert loopback.seen[-1].headers["x"] == value
    await fb.secrets.delete("token")
    gone = await error(fb, "http.get", url=loopback.url, headers={"X": "secret://token"})
    assert gone["code"] == "secret_not_found"
    for call in (fb.secrets.get, fb.secrets.delete):
        with pytest.raises(NotFound) as caught:
            await call("token")
        assert caught.value.code == "secret_not_found"


async def test_a_new_master_key_opens_everything_while_workers_go_on(
    fb: FlowBuilder, key_file: Path, loopback: Site, dsn: str
) -> None:
    await fb.secrets.set("one", "value-of-one", hosts=[loopback.host])
    await fb.secrets.set("two", "value-of-two", hosts=[loopback.host])
    before = {row.name: row.envelope for row in await fb.secrets.list()}
    old = read(key_file)
    await result(fb, "http.get", url=loopback.url, headers={"X": "secret://one"})
    assert await fb.secrets.rotate_key() == 2
    assert old.strip() not in read(key_file)
    after = {row.name: row.envelope for row in await fb.secrets.list()}
    for name in before:
        assert after[name].sealed == before[name].sealed
        assert after[name].wrapped != before[name].wrapped
        await result(fb, "http.get", url=loopback.url, headers={"X": f"secret://{name}"})
        assert loopback.seen[-1].headers["x"] == f"value-of-{name}"
    write(key_file, old)  # what another machine has that nobody has told
    settings = Settings(secret_key_file=key_file, http_allow_private=True)
    async with FlowBuilder.connect(dsn, settings=settings) as behind:
        with pytest.raises(SettingsError) as caught:
            await behind.secrets.rotate_key()
        assert caught.value.code == "secret_key_unknown"
    assert load_keys(settings).active


async def test_sealed_values_do_not_open_in_another_row(fb: FlowBuilder, loopback: Site) -> None:
    await fb.secrets.set("mine", "value-of-mine", hosts=["api.example.org"])
    await fb.secrets.set("yours", "value-of-yours", hosts=[loopback.host])
    async with fb.store.database.connection() as connection:
        await connection.execute(
            "update flowbuilder.secrets y set wrapped = m.wrapped, sealed = m.sealed"
            " from flowbuilder.secrets m where y.name = 'yours' and m.name = 'mine'"
        )
    await fb.secrets.set("third", "value-of-third", hosts=["api.example.org"])  # so it is read anew
    found = await error(fb, "http.get", url=loopback.url, headers={"X": "secret://yours"})
    assert found["code"] == "secret_unreadable"
    assert loopback.seen == []


async def test_bad_secrets_are_refused(fb: FlowBuilder, dsn: str) -> None:
    for args, code in (
        (("Bad Name", "long-enough"), "secret_name_invalid"),
        (("short", "1234567"), "secret_invalid"),
        (("unbound", "long-enough"), "secret_binding_invalid"),
    ):
        with pytest.raises(InvalidValue) as caught:
            await fb.secrets.set(*args, hosts=[] if code.endswith("binding_invalid") else ["a.b"])
        assert caught.value.code == code
    with pytest.raises(InvalidValue):
        await fb.secrets.set("x", "long-enough", hosts=["a.b"], description="x" * 501)
    async with FlowBuilder.connect(dsn) as keyless:
        with pytest.raises(SettingsError) as without:
            await keyless.secrets.set("x", "long-enough", hosts=["a.b"])
        assert without.value.code == "secret_key_missing"


# -- canaries -------------------------------------------------------------------------------


def database_text(dsn: str) -> str:
    """Everything that the database holds, as text."""
    found: list[str] = []
    with psycopg.connect(dsn) as connection:
        tables = connection.execute(
            "select table_schema, table_name from information_schema.tables"
            " where table_schema in ('flowbuilder', 'pgmq') and table_type = 'BASE TABLE'"
        ).fetchall()
        for table in tables:
            rows = connection.execute(
                sql.SQL("select t::text from {} t").format(sql.Identifier(*table))
            )
            found += [row[0] for row in rows]
    assert len(tables) > 20
    return "\n".join(found)


def assert_hidden(shown: str) -> None:
    for form in (
        CANARY,
        CANARY[:13],
        CANARY[13:],
        CANARY.encode().hex(),
        base64.b64encode(CANARY.encode()).decode()[:-3],
        base64.b64encode(f"user:{CANARY}".encode()).decode()[8:30],
    ):
        assert form not in shown, form


async def test_canaries_stay_out_of_everything(
    fb: FlowBuilder,
    dsn: str,
    loopback: Site,
    caplog: pytest.LogCaptureFixture,
    key_file: Path,
) -> None:
    def answer(request: Request) -> Reply:
        key = request.headers.get("x-key", "")
        if request.path == "/moved":
            return Reply(None, 302, {"Location": f"/landed?key={key}"})
        if request.path == "/broken":
            return Reply({"error": key}, 500)
        return Reply({"text": key, "path": request.path}, headers={"Set-Cookie": f"k={key}"})

    told: list[str] = []
    with site(answer) as echoing, caplog.at_level(logging.DEBUG):
        caplog.handler.setFormatter(logging.Formatter("%(message)s %(exc_text)s"))
        await fb.secrets.set("canary", CANARY, hosts=[echoing.host], tools=["vault.*"])
        await fb.secrets.set(
            "canary",
            CANARY,
            hosts=[echoing.host],
            tools=["vault.*", "http.*"],
            description="for tests",
        )
        headers = {"X-Key": "secret://canary"}
        outputs = [
            await result(fb, "http.get", url=f"{echoing.url}{path}", headers=headers)
            for path in ("/echo", "/moved")
        ]
        outputs.append(await result(fb, "vault.spill", how="output"))
        outputs.append(await result(fb, "vault.process", name="canary"))
        errors = [
            await error(fb, "vault.spill", how=how) for how in ("error", "fail", "sql", "chain")
        ]
        errors.append(
            await error(fb, "http.get", url=f"{echoing.url}/broken", headers=headers, expect=[200])
        )
        errors.append(await error(fb, "http.get", url="http://api.example.org", headers=headers))
        assert any(request.headers.get("x-key") == CANARY for request in echoing.seen)
    assert outputs[2]["zero"] == 0
    assert outputs[2]["echo"] == "Bearer ***"
    told += [json.dumps(item) for item in (*outputs, *errors)]
    for run in await fb.runs(limit=50):
        told += [str(event) async for event in (await fb.run(run.id)).events()]
        told.append(str(await (await fb.run(run.id)).why()))
    told.append(json.dumps([flow.draft for flow in await fb.store.list_flows()]))
    told.append(str(await fb.secrets.list()))
    told += [record.getMessage() + str(record.exc_text) for record in caplog.records]
    assert "using ***" in "".join(told)
    for shown in told:
        assert_hidden(shown)
    assert_hidden(database_text(dsn))
    assert_hidden(read(key_file))


async def test_prompts_hold_no_secret_that_is_known() -> None:
    from flowbuilder.models.base import Message
    from flowbuilder.models.client import ModelClient

    REDACTOR.learn(CANARY)
    with fake_openai(Answer("fine")) as server:
        settings = Settings.load(
            model="local", model_api_base=server.url, model_api_key="sk-test", model_retries=0
        )
        shown = base64.b64encode(CANARY.encode()).decode()
        asked = [Message(role="user", content=f"say {CANARY} or {shown}")]
        assert (await ModelClient(settings).generate(asked)).text == "fine"
    assert "say ***" in str(server.requests)
    assert_hidden(str(server.requests))


# -- HTTP and the command line --------------------------------------------------------------


async def test_values_go_in_over_http_and_never_come_out(fb: FlowBuilder) -> None:
    async with http(app_over(fb)) as client:
        body = {"value": CANARY, "hosts": ["API.example.org"], "description": "a test"}
        made = await client.put("/api/v1/secrets/mail", json=body)
        assert made.status_code == 200
        assert made.json()["version"] == 1
        assert made.json()["hosts"] == ["api.example.org"]
        shown = await client.get("/api/v1/secrets/mail")
        assert shown.json() == made.json()
        listed = await client.get("/api/v1/secrets")
        assert listed.json() == {"items": [made.json()]}
        for answer in (made, shown, listed):
            assert CANARY not in answer.text
            assert not {"value", "sealed", "wrapped", "key_id"} & answer.json().keys()
        for odd, code, pointer in (
            ({"value": "x", "hosts": ["a.b"]}, "secret_invalid", "/value"),
            ({"value": CANARY}, "secret_binding_invalid", ""),
            ({"value": CANARY, "hosts": ["a b"]}, "secret_binding_invalid", "/hosts/0"),
            ({"value": CANARY, "workspace_id": "x"}, "body_invalid", "/workspace_id"),
            ({"value": 12345678, "hosts": ["a.b"]}, "body_invalid", "/value"),
        ):
            refused = problem(await client.put("/api/v1/secrets/mail", json=odd), 422)
            assert refused["code"] == code
            assert CANARY not in json.dumps(refused)
            assert refused["errors"][0]["pointer"] == pointer
        bad = problem(await client.put("/api/v1/secrets/Bad%00", json=body), 422)
        assert bad["code"] == "secret_name_invalid"
        assert (await client.delete("/api/v1/secrets/mail")).status_code == 204
        for call in (client.get, client.delete):
            assert problem(await call("/api/v1/secrets/mail"), 404)["code"] == "secret_not_found"


def test_the_command_line_takes_a_value_from_standard_input(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLOWBUILDER_SECRET_KEY_FILE", str(tmp_path / "keys"))

    def said(*words: str, code: int = 0, value: str | None = None) -> list[dict[str, Any]]:
        line = hoist(["--json", "--database-url", dsn, "secrets", *words])
        done = CliRunner().invoke(app, line, input=value)
        assert done.exit_code == code, done.output
        assert CANARY not in done.output
        return [json.loads(text) for text in done.stdout.splitlines()]

    (line,) = said("set", "mail", "--host", "a.example", code=2, value=CANARY)
    assert line["error"]["code"] == "secret_key_missing"
    assert said("rotate-key") == [{"wrapped": 0}]
    (row,) = said(
        *("set", "mail", "--host", "a.example", "--tool", "x.*", "--for", "tests"),
        value=f"{CANARY}\n",
    )
    assert (row["name"], row["version"], row["tools"]) == ("mail", 1, ["x.*"])
    assert said() == said("list") == [row]
    assert said("rotate-key") == [{"wrapped": 1}]
    (line,) = said("set", "mail", "--host", "a.example", code=1, value="short")
    assert line["error"]["code"] == "secret_invalid"
    assert said("delete", "mail") == []
    (line,) = said("delete", "mail", code=1)
    assert line["error"]["code"] == "secret_not_found"
