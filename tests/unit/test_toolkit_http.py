"""`http.get` and `http.request` against a real server on the loopback interface."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import zlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from flowbuilder.errors import FlowBuilderError, InvalidValue
from flowbuilder.toolkit.http import http_get, http_request
from flowbuilder.tools import Fail, Retry
from tests.support.toolbox import acall, context


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that refuse an answer half way are what is tested."""


class Site(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    release = threading.Event()

    def log_message(self, format: str, *args: Any) -> None:
        return None

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        route = getattr(self, "page_" + path.strip("/").replace("/", "_"), None)
        if route is None:
            self.reply(b"nothing here", status=404)
        else:
            route()

    do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = do_GET

    def reply(self, body: bytes, *, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        headers.setdefault("Content_Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def page_json(self) -> None:
        self.reply(b'{"zero": 0, "none": null}', Content_Type="application/json; charset=utf-8")

    def page_echo(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        seen = {
            "method": self.command,
            "path": self.path,
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "body": body,
        }
        self.reply(json.dumps(seen).encode(), Content_Type="application/json")

    def page_latin(self) -> None:
        self.reply("Größe".encode("latin-1"), Content_Type="text/html; charset=iso-8859-1")

    def page_binary(self) -> None:
        self.reply(b"\x89PNG\x00\xff", Content_Type="image/png")

    def page_bad_json(self) -> None:
        self.reply(b'{"a": NaN}', Content_Type="application/problem+json")

    def page_large(self) -> None:
        self.reply(b"x" * 2000)

    def page_gzip(self) -> None:
        self.reply(gzip.compress(b"unpacked"), Content_Encoding="gzip")

    def page_deflate(self) -> None:
        self.reply(zlib.compress(b"unpacked"), Content_Encoding="deflate")

    def page_raw_deflate(self) -> None:
        self.reply(zlib.compress(b"unpacked")[2:-4], Content_Encoding="deflate")

    def page_bomb(self) -> None:
        self.reply(gzip.compress(b"\x00" * 20_000_000), Content_Encoding="gzip")

    def page_broken_gzip(self) -> None:
        self.reply(b"not gzip at all", Content_Encoding="gzip")

    def page_brotli(self) -> None:
        self.reply(b"xx", Content_Encoding="br")

    def page_away(self) -> None:
        self.reply(b"", status=302, Location="/json")

    def page_to_metadata(self) -> None:
        self.reply(b"", status=307, Location="http://169.254.169.254/latest/meta-data/")

    def page_drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"x")
        self.wfile.flush()
        self.release.wait(30)

    def page_short(self) -> None:
        self.reply(b"abc", Content_Length="100")
        self.close_connection = True

    def page_headers(self) -> None:
        self.reply(b"", X_Large="x" * 200_000)

    def page_busy(self) -> None:
        self.reply(b"", status=429, Retry_After="7")

    def page_error(self) -> None:
        self.reply(b"", status=500)

    def page_created(self) -> None:
        self.reply(b"", status=201)


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    Site.release.clear()
    server = Server(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    Site.release.set()
    server.shutdown()
    thread.join()
    server.server_close()


async def get(url: str, *, max_bytes: int = 5000, **args: Any) -> Any:
    task = context(http_allow_private=True, http_max_bytes=max_bytes)
    return await acall(http_get, {"url": url, **args}, task)


async def request(method: str, url: str, **args: Any) -> Any:
    task = context(http_allow_private=True)
    return await acall(http_request, {"method": method, "url": url, **args}, task)


async def test_json_and_text_and_binary(site: str) -> None:
    found = await get(f"{site}/json#part")
    assert found["body"] == {"zero": 0, "none": None}
    assert (found["status"], found["encoding"], found["bytes"]) == (200, "json", 25)
    assert (found["url"], found["content_type"]) == (f"{site}/json", "application/json")
    assert found["headers"]["content-length"] == "25"
    assert (await get(f"{site}/json", parse="text"))["body"] == '{"zero": 0, "none": null}'
    assert (await get(f"{site}/latin"))["body"] == "Größe"
    binary = await get(f"{site}/binary")
    assert (binary["encoding"], binary["body"]) == ("base64", "iVBORwD/")


@pytest.mark.parametrize("page", ["gzip", "deflate", "raw/deflate"])
async def test_compressed_answers(site: str, page: str) -> None:
    assert (await get(f"{site}/{page}"))["body"] == "unpacked"


async def test_query_and_headers(site: str) -> None:
    query = {"a": 0, "b": False, "c": "", "d": None, "e": [1, "x y"], "ü": "&="}
    found = await get(f"{site}/echo?z=1", query=query, headers={"X-Own": "v"})
    assert found["body"]["path"] == "/echo?z=1&a=0&b=false&c=&e=1&e=x%20y&%C3%BC=%26%3D" or (
        found["body"]["path"] == "/echo?z=1&a=0&b=false&c=&e=1&e=x+y&%C3%BC=%26%3D"
    )
    headers = found["body"]["headers"]
    assert headers["x-own"] == "v"
    assert headers["user-agent"] == "flowbuilder"
    assert "idempotency-key" not in headers


@pytest.mark.parametrize("value", [0, False, "", None, [], {"a": None}])
async def test_json_bodies(site: str, value: Any) -> None:
    seen = (await request("POST", f"{site}/echo", json=value))["body"]
    assert json.loads(seen["body"]) == value
    assert seen["headers"]["content-type"] == "application/json"
    assert seen["headers"]["idempotency-key"] == "key-1"


async def test_other_bodies(site: str) -> None:
    seen = (await request("PUT", f"{site}/echo", body="ä", headers={"Content-Type": "x/y"}))["body"]
    assert (seen["method"], seen["body"]) == ("PUT", "ä")
    assert seen["headers"]["content-type"] == "x/y"
    bare = (await request("DELETE", f"{site}/echo"))["body"]
    assert (bare["body"], "content-type" in bare["headers"]) == ("", False)
    own = {"idempotency-key": "mine"}
    kept = (await request("POST", f"{site}/echo", headers=own))["body"]["headers"]
    assert kept["idempotency-key"] == "mine"
    with pytest.raises(Fail):
        await request("POST", f"{site}/echo", body="x", json=1)
    assert (await request("HEAD", f"{site}/json"))["body"] == ""


async def test_redirects(site: str) -> None:
    found = await get(f"{site}/away")
    assert (found["url"], found["status"]) == (f"{site}/json", 200)
    stopped = await request("GET", f"{site}/away", follow_redirects=False, expect=[302])
    assert stopped["headers"]["location"] == "/json"
    with pytest.raises(Fail) as caught:
        await get(f"{site}/to/metadata")
    assert caught.value.code == "egress_refused"


@pytest.mark.parametrize(
    ("page", "code"),
    [
        ("large", "http_too_large"),
        ("bomb", "http_too_large"),
        ("broken/gzip", "http_encoding"),
        ("brotli", "http_encoding"),
        ("bad/json", "json_invalid"),
        ("nothing", "http_status"),
    ],
)
async def test_answers_that_will_never_do(site: str, page: str, code: str) -> None:
    with pytest.raises(Fail) as caught:
        await get(f"{site}/{page}", max_bytes=1024)
    assert caught.value.code == code


@pytest.mark.parametrize("page", ["short", "headers"])
async def test_broken_answers_may_be_tried_again(site: str, page: str) -> None:
    with pytest.raises(FlowBuilderError) as caught:
        await get(f"{site}/{page}")
    assert caught.value.code == "http_failed"


async def test_slow_answers_end_in_time(site: str) -> None:
    with pytest.raises(FlowBuilderError) as caught:
        await get(f"{site}/drip", timeout_s=0.2)
    assert caught.value.code == "http_timeout"


async def test_nobody_listens() -> None:
    with socket.socket() as bound, pytest.raises(FlowBuilderError) as caught:
        bound.bind(("127.0.0.1", 0))
        await get(f"http://127.0.0.1:{bound.getsockname()[1]}/")
    assert caught.value.code == "http_failed"


async def test_statuses(site: str) -> None:
    with pytest.raises(Retry) as busy:
        await get(f"{site}/busy")
    assert busy.value.after is not None
    assert busy.value.after.total_seconds() == 7
    with pytest.raises(Retry) as broken:
        await get(f"{site}/error?token=secret")
    assert broken.value.after is None
    assert "secret" not in str(broken.value)
    assert (await get(f"{site}/created"))["status"] == 201
    assert (await get(f"{site}/nothing", expect="any"))["status"] == 404
    assert (await get(f"{site}/nothing", expect=[200, 404]))["body"] == "nothing here"
    with pytest.raises(Fail):
        await get(f"{site}/created", expect=[200])


async def test_private_addresses_are_closed_by_default(site: str) -> None:
    with pytest.raises(Fail) as caught:
        await acall(http_get, {"url": f"{site}/json"}, context())
    assert caught.value.code == "egress_refused"
    assert "FLOWBUILDER_HTTP_ALLOW_PRIVATE" in str(caught.value)
    with pytest.raises(Fail):
        await acall(
            http_request,
            {"method": "GET", "url": site.replace("127.0.0.1", "localhost")},
            context(),
        )


@pytest.mark.parametrize(
    "args",
    [
        {"url": ""},
        {"url": 3},
        {"url": "http://x", "timeout_s": 0},
        {"url": "http://x", "expect": "ok"},
    ],
)
async def test_bad_arguments(args: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue) as caught:
        await acall(http_get, args)
    assert caught.value.code == "argument_invalid"
