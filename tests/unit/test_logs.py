"""Log lines: one for each event, with what they are about, and nothing that must not be there."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from flowbuilder.secrecy import REDACTOR
from flowbuilder.settings import Settings
from flowbuilder.telemetry import logs
from tests.support.api import Raising, app_over, http

SECRET = "hunter2-hunter2-hunter2"
log = logging.getLogger("flowbuilder.test")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where lines go; everything is as before afterwards."""
    root = logging.getLogger()
    before = (root.handlers[:], logging.getLogger("flowbuilder").level, sys.excepthook)
    yield io.StringIO()
    root.handlers[:] = before[0]
    logging.getLogger("flowbuilder").setLevel(before[1])
    sys.excepthook = before[2]


def configured(stream: io.StringIO, **given: Any) -> None:
    given.setdefault("log_level", "info")
    logs.configure(Settings(**given), stream=stream)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_what_it_is_about(stream: io.StringIO) -> None:
    configured(stream, log_format="json")
    tokens = (
        logs.ATTEMPT.set(("run-1", "fetch", 2)),
        logs.REQUEST_ID.set("request-1"),
        logs.WORKSPACE.set("workspace-1"),
    )
    log.info("did %s", "it", extra={"count": 0, "empty": "", "no": None, "off": False, "of": []})
    logs.ATTEMPT.reset(tokens[0])
    logs.REQUEST_ID.reset(tokens[1])
    logs.WORKSPACE.reset(tokens[2])
    log.warning("more")
    first, second = lines(stream)
    assert first.pop("at").endswith("Z")
    assert first == {
        "level": "info",
        "logger": "flowbuilder.test",
        "message": "did it",
        "run_id": "run-1",
        "step": "fetch",
        "attempt": 2,
        "request_id": "request-1",
        "workspace": "workspace-1",
        "count": 0,
        "empty": "",
        "no": None,
        "off": False,
        "of": [],
    }
    assert second.keys() == {"at", "level", "logger", "message"}


@pytest.mark.parametrize("form", ["json", "text"])
def test_secrets_are_left_out_wherever_they_stand(stream: io.StringIO, form: str) -> None:
    configured(stream, log_format=form)
    REDACTOR.learn(SECRET)
    log.info("in the message: %s", SECRET)
    log.info("in a field", extra={"url": f"https://x/?key={SECRET}", "tried": [SECRET]})
    log.info("by its name", extra={"headers": {"Authorization": "Basic never-learnt-at-all"}})
    try:
        raise ValueError(f"in an error {SECRET}")
    except ValueError:
        log.exception("failed")
    for name in ("uvicorn.error", "httpx", "LiteLLM", "psycopg.pool"):
        logging.getLogger(name).error("a library says %s", SECRET)
    kind = ValueError(f"nobody caught {SECRET}")
    sys.excepthook(type(kind), kind, None)
    text = stream.getvalue()
    assert SECRET not in text
    assert "never-learnt-at-all" not in text
    assert text.count("***") >= 9
    assert "nobody caught ***" in text


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_line_can_be_made_up(stream: io.StringIO, form: str) -> None:
    configured(stream, log_format=form)
    log.info("a\nERROR flowbuilder: forged\r\n\x1b[2Jb\u2028c", extra={"name_given": "x\ny"})
    try:
        raise ValueError("first\nCRITICAL root: forged\r\x1b[31m")
    except ValueError:
        log.exception("failed")
    text = stream.getvalue()
    assert "\x1b" not in text
    assert "\r" not in text
    forged = [line for line in text.splitlines() if line.startswith(("ERROR flowb", "CRITICAL"))]
    if form == "json":
        assert len(lines(stream)) == 2
        assert lines(stream)[0]["message"].startswith("a\nERROR")
    else:
        assert forged == ["ERROR flowbuilder.test: failed"]
        assert text.splitlines()[0].count("\\n") == 3


def test_a_line_is_written_whatever_it_is_given(stream: io.StringIO) -> None:
    configured(stream, log_format="json")
    # not logged: reports of tests keep what is, and could not be handed over
    unfit = {"msg": "does not fit: %d", "args": ("text",), "name": "flowbuilder.test"}
    odd = {"number": float("nan"), "thing": object(), "pair": (1, {"a": {2}})}
    half = {"msg": "\ud800 half a pair", "name": "flowbuilder.test"}
    for record in (unfit, {"msg": "odd", "name": "flowbuilder.test", **odd}, half):
        stream.write(logs.JsonFormatter().format(logging.makeLogRecord(record)) + "\n")
    first, second, third = lines(stream)
    assert first["message"] == "does not fit: %d"
    assert (second["number"], second["pair"]) == ("nan", [1, {"a": [2]}])
    assert third["message"] == "\ud800 half a pair"


def test_what_libraries_say_is_as_loud_as_before(stream: io.StringIO) -> None:
    configured(stream, log_format="text", log_level="warning")
    log.info("not asked for")
    logging.getLogger("httpx").info("GET https://x/?key=1")
    logging.getLogger("somebody").warning("look")
    assert stream.getvalue() == "WARNING somebody: look\n"


def test_what_nobody_catches_is_one_line() -> None:
    program = (
        "from flowbuilder.settings import Settings\n"
        "from flowbuilder.telemetry import logs\n"
        "from flowbuilder.secrecy import REDACTOR\n"
        "import threading\n"
        "logs.configure(Settings(log_format='json', log_stream='stdout'))\n"
        f"REDACTOR.learn({SECRET!r})\n"
        f"thread = threading.Thread(target=lambda: int({SECRET!r}))\n"
        "thread.start(); thread.join()\n"
        f"raise RuntimeError('no ' + {SECRET!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["level"] for line in found] == ["critical", "critical"]
    assert "RuntimeError: no ***" in found[1]["exception"]
    assert SECRET not in done.stdout


async def test_requests_are_logged_by_path_without_their_query(stream: io.StringIO) -> None:
    configured(stream, log_format="json")
    given = "a-request-of-mine"
    async with http(app_over(Raising(AssertionError()))) as client:
        first = await client.get(f"/healthz?token={SECRET}", headers={"X-Request-Id": given})
        await client.get(f"/hooks/{SECRET}/x?y=1")
        refused = await client.get("/readyz", headers={"X-Request-Id": "bad id\t"})
        elsewhere = await client.get("/healthz", headers={"Host": "evil.example"})
        head = await client.head("/healthz")
    assert first.headers["x-request-id"] == given
    assert len(refused.headers["x-request-id"]) == 32
    assert elsewhere.json()["request_id"] == elsewhere.headers["x-request-id"]
    assert refused.json()["request_id"] == refused.headers["x-request-id"]
    assert head.headers["x-request-id"]
    said = [line for line in lines(stream) if line["logger"] == "flowbuilder.access"]
    assert [line["message"] for line in said] == [
        "GET /healthz 200",
        "GET /hooks… 404",
        "GET /readyz 500",
        "GET /healthz… 421",
        "HEAD /healthz 200",
    ]
    assert [line["request_id"] for line in said][:1] == [given]
    assert "token=" not in stream.getvalue()
    assert SECRET not in stream.getvalue()
