"""Groups A1 to A14: requests that are to reach what is not for them, by whatever tool."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from flowbuilder.errors import FlowBuilderError
from flowbuilder.secrecy import check_binding
from flowbuilder.settings import Settings
from flowbuilder.toolkit import egress
from flowbuilder.toolkit.connections import Bound, Manager, McpServer
from flowbuilder.toolkit.egress import EgressPolicy, EgressRefused, GuardedTransport
from flowbuilder.toolkit.exchange import build_request, exchange
from flowbuilder.toolkit.imported.mcp_client import list_tools
from flowbuilder.toolkit.remote_secrets import HttpSource
from flowbuilder.tools import Fail
from tests.attacks.conftest import Sockets
from tests.support.loopback import Reply, Request, site
from tests.support.outside import GivenSecrets, connected
from tests.support.toolbox import acall
from tests.support.wire import Names, Wire, answer

#: A1: where clouds hand out credentials. A2: loopback in odd writing. A3: digits of another script.
#: A4 to A7: IPv4 inside IPv6, and what is local in IPv6.
CLOSED = {
    "A1": [
        "http://169.254.169.254/latest/meta-data/",
        "http://100.100.100.200/",
        "http://192.0.0.192/",
        "http://168.63.129.16/",
        "http://[fd00:ec2::254]/",
    ],
    "A2": [
        "http://127.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://0/",
        "http://127.0.0.1./",
        "http://0x7f.0.0.1/",
        "http://localhost/",
    ],
    "A3": ["http://①②⑦.0.0.1/", "http://１２７.0.0.1/", "http://127。0。0。1/"],
    "A4": ["http://[::ffff:169.254.169.254]/", "http://[::ffff:7f00:1]/"],
    "A5": ["http://[::127.0.0.1]/", "http://[::]/"],
    "A6": ["http://[64:ff9b::7f00:1]/", "http://[64:ff9b:1::7f00:1]/", "http://[64:ff9b::a9fe:a9fe]/"],
    "A7": [
        "http://[2002:7f00:1::]/",
        "http://[2002:a9fe:a9fe::]/",
        "http://[fec0::1]/",
        "http://[ff02::1]/",
        "http://[::1%25lo]/",
        "http://[fe80::1%25eth0]/",
    ],
    "A13": [
        "http://user@allowed.example@127.0.0.1/",
        "http://127.0.0.1\\@allowed.example/",
        "http://allowed.example:80@127.0.0.1/",
        "http://allowed.example#@127.0.0.1/x@",
        "http://allowed.example\r\nHost: evil/",
    ],
    "ports": ["http://8.8.8.8:25/", "http://8.8.8.8:5432/", "http://8.8.8.8:6379/"],
    "schemes": ["file:///etc/passwd", "gopher://8.8.8.8/", "ftp://8.8.8.8/", "unix:///run/x"],
}  # fmt: skip
CASES = [
    pytest.param(url, id=f"{group}-{number}")
    for group, urls in CLOSED.items()
    for number, url in enumerate(urls)
    if url != "http://allowed.example#@127.0.0.1/x@"  # a fragment: it goes to allowed.example
]


async def by_http_tool(url: str, folder: Path) -> None:
    registry, context = connected(folder, {}, http_allow_private=False)
    await acall(registry.require("http.get"), {"url": url}, context)


async def by_http_request(url: str, folder: Path) -> None:
    registry, context = connected(folder, {}, http_allow_private=False)
    args = {"method": "POST", "url": url, "json": {}}
    await acall(registry.require("http.request"), args, context)


async def by_slack(url: str, folder: Path) -> None:
    connections = {"slack": {"webhook": "secret://hook"}}
    registry, context = connected(folder, connections, {"hook": url}, http_allow_private=False)
    await acall(registry.require("slack.post"), {"text": "x"}, context)


async def by_mcp(url: str, folder: Path) -> None:
    server = McpServer.model_construct(
        command=None, url=url, headers={}, environment={}, timeout=Settings().http_timeout
    )
    await list_tools(server, GivenSecrets({}), allow_private=False)


async def by_secrets_manager(url: str, folder: Path) -> None:
    manager = Manager.model_construct(
        files=None,
        url=url + "{name}",
        headers={},
        pointer="",
        allow_private=False,
        names={"x": Bound(tools=["*"])},
    )
    await HttpSource(manager).find("x")


SURFACES: list[Callable[[str, Path], Any]] = [
    by_http_tool,
    by_http_request,
    by_slack,
    by_mcp,
    by_secrets_manager,
]


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.__name__[3:])
@pytest.mark.parametrize("url", CASES)
async def test_closed_places_are_refused_before_a_connection(
    surface: Callable[[str, Path], Any], url: str, sockets: Sockets, tmp_path: Path
) -> None:
    with pytest.raises((Fail, FlowBuilderError)) as caught:
        await surface(url, tmp_path)
    code = getattr(caught.value, "code", "")
    assert code in ("egress_refused", "argument_invalid", "secret_unavailable"), caught.value
    assert sockets.wanted == []


@pytest.mark.parametrize("answers", [["93.184.216.34", "127.0.0.1"], ["::1"], ["169.254.169.254"]])
async def test_a8_a_name_with_a_closed_address_among_others(
    answers: list[str], sockets: Sockets, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        egress.EgressPolicy, "addresses", _resolving(answers, egress.EgressPolicy.addresses)
    )
    for surface in SURFACES:
        with pytest.raises((Fail, FlowBuilderError)):
            await surface("http://mixed.example/", tmp_path)
    assert sockets.wanted == []


def _resolving(answers: list[str], real: Any) -> Any:
    async def addresses(self: EgressPolicy, host: str, port: int) -> Any:
        policy = EgressPolicy(allow_private=self.allow_private, resolver=Names(answers))
        return await real(policy, host, port)

    return addresses


async def test_a9_a_name_that_changes_between_check_and_connection() -> None:
    wire, names = Wire(answer()), Names(["93.184.216.34"], ["127.0.0.1"])
    policy = EgressPolicy(resolver=names)
    request = build_request(policy, "GET", "http://rebinding.example/", {}, {}, None)
    async with GuardedTransport(policy, wire) as transport:
        await exchange(transport, policy, request, 1000, follow=True)
    assert names.asked == ["rebinding.example"]
    assert wire.connected == [("93.184.216.34", 80)]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.1/", "file:///etc/passwd", "http://allowed.example:22/", "//[::1]/", "//0/"],
)
async def test_a10_redirects_to_closed_places(status: int, location: str) -> None:
    wire, policy = (
        Wire(answer(status, Location=location)),
        EgressPolicy(resolver=Names(["8.8.8.8"])),
    )
    request = build_request(policy, "GET", "http://allowed.example/", {}, {}, None)
    async with GuardedTransport(policy, wire) as transport:
        with pytest.raises(EgressRefused):
            await exchange(transport, policy, request, 1000, follow=True)
    assert len(wire.connected) == 1


async def test_a10_a_loop_of_thirty_hops() -> None:
    wire = Wire(*[answer(302, Location=f"/{number}") for number in range(30)])
    policy = EgressPolicy(resolver=Names(["8.8.8.8"]))
    request = build_request(policy, "GET", "http://allowed.example/", {}, {}, None)
    async with GuardedTransport(policy, wire) as transport:
        with pytest.raises(Fail) as caught:
            await exchange(transport, policy, request, 1000, follow=True)
    assert caught.value.code == "http_redirects"
    assert len(wire.connected) <= 6


async def test_a11_credentials_do_not_follow_to_another_origin(tmp_path: Path) -> None:
    with site() as other:
        moved = Reply(None, 307, {"Location": other.url})
        with site(lambda _: moved) as first:
            registry, context = connected(
                tmp_path, {}, {"key": "canary-key-123"}, hosts=(first.host, other.host)
            )
            headers = {"X-Api-Key": "secret://key", "Cookie": "a=secret://key"}
            get = {"url": first.url, "headers": headers}
            await acall(registry.require("http.get"), get, context)
            assert "canary-key-123" in str(first.seen)
            assert "canary-key-123" not in str(other.seen)
            post = {"method": "POST", "url": first.url, "headers": headers, "json": {"a": 1}}
            with pytest.raises(Fail) as caught:
                await acall(registry.require("http.request"), post, context)
            assert caught.value.code == "egress_refused"
            assert len(other.seen) == 1


@pytest.mark.parametrize(
    "value", ["../../admin", "..%2f", "%2e%2e", "a?x=", "a#", "//evil", "\\evil", "..", ".", ""]
)
async def test_a12_values_in_paths_stay_where_they_are(value: str, tmp_path: Path) -> None:
    document = {
        "openapi": "3.1.0",
        "paths": {
            "/v1/{id}/show": {
                "get": {
                    "operationId": "show",
                    "parameters": [{"name": "id", "in": "path", "schema": {"type": "string"}}],
                    "responses": {},
                }
            }
        },
    }
    (tmp_path / "api.json").write_text(json.dumps(document))
    with site() as running:
        api = {"document": "api.json", "server": running.url + "/base"}
        registry, context = connected(tmp_path, {"openapi": {"api": api}})
        tool = registry.require("api.show")
        try:
            await acall(tool, {"id": value}, context)
        except Fail as error:
            assert error.code == "path_refused"
            assert value in ("", ".", "..")
            assert running.seen == []
        else:
            path = running.seen[0].path
            assert path.startswith("/base/v1/")
            assert path.endswith("/show")
            assert path.count("/") == 4
            assert "?" not in path


@pytest.mark.parametrize(
    "headers",
    [
        {"X": "a\r\nInjected: yes"},
        {"X\r\nInjected": "yes"},
        {"Host": "evil.example"},
        {"Transfer-Encoding": "chunked"},
        {"Content-Length": "0"},
    ],
)
async def test_a13_headers_smuggle_nothing(
    headers: dict[str, str], sockets: Sockets, tmp_path: Path
) -> None:
    registry, context = connected(tmp_path, {})
    with pytest.raises(Fail) as caught:
        args = {"url": "http://8.8.8.8/", "headers": headers}
        await acall(registry.require("http.get"), args, context)
    assert caught.value.code == "http_invalid"
    assert sockets.wanted == []


async def test_a13_a_secret_with_a_line_break_makes_no_header(tmp_path: Path) -> None:
    with site() as running:
        registry, context = connected(
            tmp_path, {}, {"key": "first-line\r\nInjected: yes"}, hosts=(running.host,)
        )
        args = {"url": running.url, "headers": {"X": "secret://key"}}
        with pytest.raises(Fail) as caught:
            await acall(registry.require("http.get"), args, context)
        assert "first-line" not in str(caught.value)
        assert running.seen == []


@pytest.fixture
async def endless() -> AsyncIterator[str]:
    """A server that never stops answering, or packs a lot into little."""

    def reply(request: Request) -> Reply:
        if request.path == "/bomb":
            packed = gzip.compress(b"\0" * 20_000_000)
            return Reply(packed, headers={"Content-Encoding": "gzip"})
        if request.path == "/headers":
            return Reply(b"x", headers={f"X-{n}": "y" * 1000 for n in range(2000)})
        if request.path == "/short":
            return Reply(b"x", headers={"Content-Length": "5"})
        return Reply(b"x" * 6_000_000)

    with site(reply) as running:
        yield running.url


@pytest.mark.parametrize("path", ["/large", "/bomb", "/headers", "/short"])
async def test_a14_answers_are_bounded(path: str, endless: str, tmp_path: Path) -> None:
    registry, context = connected(tmp_path, {}, http_timeout="5s")
    with pytest.raises((Fail, FlowBuilderError)) as caught:
        await acall(registry.require("http.get"), {"url": endless + path}, context)
    code = getattr(caught.value, "code", "")
    assert code in ("http_too_large", "http_failed", "http_timeout")


async def test_a14_proxies_of_the_environment_have_no_say(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with site() as proxy, site() as running:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        registry, context = connected(tmp_path, {})
        await acall(registry.require("http.get"), {"url": running.url}, context)
        assert len(running.seen) == 1
        assert proxy.seen == []


async def test_a_mail_server_is_judged_like_every_host(sockets: Sockets, tmp_path: Path) -> None:
    for host in ("169.254.169.254", "127.0.0.1", "[::1]", "2130706433", "::ffff:10.0.0.1"):
        email = {"host": host, "sender": "a@example.org", "domains": ["*"], "security": "none"}
        registry, context = connected(tmp_path, {"email": email})
        args = {"to": ["b@example.org"], "subject": "s", "text": "t"}
        with pytest.raises(Fail) as caught:
            await acall(registry.require("email.send"), args, context)
        assert caught.value.code == "egress_refused"
    assert sockets.wanted == []


def test_a_binding_names_hosts_and_no_networks() -> None:
    binding = check_binding(["127.0.0.1"])
    for url in ("http://2130706433/", "http://127.1/", "http://[::ffff:127.0.0.1]/"):
        assert not binding.allows_host(url)
