"""Groups A1 to A14: requests that are to reach what is not for them, by whatever tool."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpcore
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
from tests.support.fortress import assert_healthy, fortress, one_step, ran
from tests.support.loopback import Reply, Request, site
from tests.support.outside import GivenSecrets, connected
from tests.support.toolbox import acall
from tests.support.wire import Names, Stream, Wire, answer

#: A1: where clouds hand out credentials. A2: loopback in odd writing. A3: digits of another script.
#: A4 to A7: IPv4 inside IPv6, and what is local in IPv6.
CLOSED = {
    "A1": [
        "http://169.254.169.254/latest/meta-data/",
        "http://100.100.100.200/",
        "http://192.0.0.192/",
        "http://168.63.129.16/",
        "http://[fd00:ec2::254]/",
        "http://[fd00:ec2::23]/",
        "http://[fd20:ce::254]/",
        "http://[fe80::a9fe:a9fe]/",
        "http://169.254.170.2/",
        "http://169.254.169.254.:80/latest/meta-data/",
        "http://2852039166/",
        "http://0xA9FEA9FE/",
        "http://0251.0376.0251.0376/",
        "http://169.254.43518/",
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
        "http://LOCALHOST/",
        "http://0x/",
        "http://00/",
        "http://0.0.0.0/",
        "http://017700000001/",
        "http://127.0.1/",
        "http://127.0.0.1.../",
        "http://0x7F.1/",
        "http://127.0x0.0.01/",
        "http://4294967295/",
        "http://99999999999/",
        "http://256.256.256.256/",
        "http://1.2.3.4.5/",
    ],
    "A3": ["http://①②⑦.0.0.1/", "http://１２７.0.0.1/", "http://127。0。0。1/",
           "http://127．0．0．1/", "http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", "http://𝟏𝟐𝟕.𝟎.𝟎.𝟏/", "http://①②⑦。①/",
           "http://[::１]/", "http://127.0.0.1\u200b/", "http://127.0.0.\u00ad1/",
           "http://\u0661\u0662\u0667.0.0.1/", "http://%31%32%37.0.0.1/", "http://⑯⑨。②⑤④。⑯⑨。②⑤④/",
           "http://xn--localhost-/", "http://xn--/"],
    "A4": ["http://[::ffff:169.254.169.254]/", "http://[::ffff:7f00:1]/",
           "http://[0:0:0:0:0:ffff:10.0.0.1]/", "http://[::FFFF:192.168.0.1]/",
           "http://[::ffff:100.100.100.200]/", "http://[::ffff:0:7f00:1]/"],
    "A5": ["http://[::127.0.0.1]/", "http://[::]/", "http://[::1]/", "http://[0:0:0:0:0:0:0:1]/",
           "http://[::a9fe:a9fe]/"],
    "A6": ["http://[64:ff9b::7f00:1]/", "http://[64:ff9b:1::7f00:1]/", "http://[64:ff9b::a9fe:a9fe]/",
           "http://[64:ff9b::10.0.0.1]/", "http://[64:ff9b:1:ffff::127.0.0.1]/",
           "http://[64:ff9b:1:a9fe:a9:fe00::]/"],
    "A7": [
        "http://[2002:7f00:1::]/",
        "http://[2002:a9fe:a9fe::]/",
        "http://[fec0::1]/",
        "http://[ff02::1]/",
        "http://[::1%25lo]/",
        "http://[fe80::1%25eth0]/",
        "http://[fe80::1%eth0]/",
        "http://[fe80::1]/",
        "http://[fc00::1]/",
        "http://[fd12:3456::1]/",
        "http://[2002:0a00:0001::1]/",
        "http://[2001::1]/",
        "http://[2001:0:7f00:1::]/",
        "http://[2001:db8::1]/",
        "http://[2001:10::1]/",
        "http://[2001:20::1]/",
        "http://[3fff::1]/",
        "http://[4000::1]/",
        "http://[100::1]/",
        "http://[5f00::1]/",
        "http://[2a00::5efe:7f00:1]/",
        "http://[2a00::200:5efe:a00:1]/",
        "http://[v1.x]/",
        "http://[::1/",
        "http://::1/",
    ],
    "A13": [
        "http://user@allowed.example@127.0.0.1/",
        "http://127.0.0.1\\@allowed.example/",
        "http://allowed.example:80@127.0.0.1/",
        "http://allowed.example#@127.0.0.1/x@",
        "http://allowed.example\r\nHost: evil/",
        "http://allowed.example@127.0.0.1/",
        "http://:@127.0.0.1/",
        "http://%40@127.0.0.1/",
        "http://allowed.example%00.127.0.0.1/",
        "http://allowed.example%2f@127.0.0.1/",
        "http://127.0.0.1%0d%0a/",
        "http://127.0.0.1\t/",
        " http://127.0.0.1/",
        "http:\\\\127.0.0.1\\",
        "http:///127.0.0.1/",
        "http:127.0.0.1",
        "//127.0.0.1/",
        "http://",
        "http://?@127.0.0.1",
        "http://[::1]@allowed.example/",
        "http://x:99999/",
        "http://x:-1/",
        "http://" + "a" * 9000 + "/",
    ],
    "IPv4": [
        "http://10.0.0.1/",
        "http://172.16.0.1/",
        "http://172.31.255.255/",
        "http://192.168.255.255/",
        "http://127.255.255.254/",
        "http://169.254.0.1/",
        "http://100.64.0.1/",
        "http://100.127.255.255/",
        "http://192.0.2.1/",
        "http://198.18.0.1/",
        "http://198.19.255.255/",
        "http://198.51.100.1/",
        "http://203.0.113.1/",
        "http://192.88.99.1/",
        "http://224.0.0.1/",
        "http://239.255.255.255/",
        "http://240.0.0.1/",
        "http://255.255.255.255/",
    ],
    "ports": ["http://8.8.8.8:25/", "http://8.8.8.8:5432/", "http://8.8.8.8:6379/",
              "http://8.8.8.8:11211/", "http://8.8.8.8:2375/", "http://8.8.8.8:22/", "http://8.8.8.8:0/"],
    "schemes": ["file:///etc/passwd", "gopher://8.8.8.8/", "ftp://8.8.8.8/", "unix:///run/x",
                "dict://8.8.8.8/", "ldap://8.8.8.8/", "data:text/plain,x", "javascript:1", "jar:http://8.8.8.8!/",
                "http+unix://%2frun%2fx/", "ws://8.8.8.8/", "HTTP+file:///x", "netdoc:///etc/passwd"],
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


@pytest.mark.parametrize("url", CASES)
async def test_closed_places_are_refused_before_a_connection(
    url: str, sockets: Sockets, tmp_path: Path
) -> None:
    for surface in SURFACES:
        with pytest.raises((Fail, FlowBuilderError)) as caught:
            await surface(url, tmp_path)
        code = getattr(caught.value, "code", "")
        assert code in ("egress_refused", "argument_invalid", "secret_unavailable"), surface
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


#: Every closed address once more, as what a name resolves to.
ADDRESSES = [
    *("127.0.0.1", "10.0.0.1", "172.20.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1"),
    *("100.100.100.200", "168.63.129.16", "192.0.0.192", "0.0.0.0", "224.0.0.1", "240.0.0.1"),
    *("255.255.255.255", "198.18.0.1", "192.0.2.1", "198.51.100.7", "203.0.113.7", "192.88.99.1"),
    *("::1", "::", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "::1%lo", "ff02::1"),
    *("fec0::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "2002:7f00:1::"),
    *("64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2001::1", "2001:db8::1", "100::1", "3fff::1"),
    *("2a00::5efe:7f00:1", "::ffff:0:7f00:1"),
]


@pytest.mark.parametrize("address", ADDRESSES)
async def test_a8_no_name_leads_to_a_closed_address(address: str) -> None:
    for answers in ([address], ["93.184.216.34", address], [address, "93.184.216.34"]):
        wire, policy = Wire(answer()), EgressPolicy(resolver=Names(answers))
        for host in ("somewhere.example", "localhost", "localhost.", "somewhere.example."):
            request = build_request(policy, "GET", f"http://{host}/", {}, {}, None)
            async with GuardedTransport(policy, wire) as transport:
                with pytest.raises(EgressRefused):
                    await exchange(transport, policy, request, 1000, follow=True)
        assert wire.connected == []


async def test_a9_each_hop_is_judged_by_what_it_is_connected_to() -> None:
    """A redirect to the same name resolves it anew: what it leads to then is refused."""
    wire = Wire(answer(302, Location="/again"), answer())
    policy = EgressPolicy(resolver=Names(["93.184.216.34"], ["169.254.169.254"]))
    request = build_request(policy, "GET", "http://rebinding.example/", {}, {}, None)
    async with GuardedTransport(policy, wire) as transport:
        with pytest.raises(EgressRefused):
            await exchange(transport, policy, request, 1000, follow=True)
    assert wire.connected == [("93.184.216.34", 80)]


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
    [
        "http://127.0.0.1/",
        "file:///etc/passwd",
        "http://allowed.example:22/",
        "//[::1]/",
        "//0/",
        "http://2130706433/",
        "//①②⑦.0.0.1/",
        "//[64:ff9b::7f00:1]/",
        "http://user:password@allowed.example/",
        "//allowed.example@127.0.0.1/",
        "\\\\127.0.0.1\\",
        "javascript:alert(1)",
        "http://[::1",
        "http://169.254.169.254/latest/meta-data/",
    ],
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


@pytest.mark.parametrize(
    "target",
    ["https://allowed.example/", "http://allowed.example:8080/", "http://other.example/",
     "http://allowed.example.other.example/", "http://ALLOWED.example.:80/"],
)  # fmt: skip
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a11_what_a_request_carries_stays_with_its_origin(status: int, target: str) -> None:
    headers = {
        "Authorization": "Bearer canary-1",
        "X-Api-Key": "canary-2",
        "Cookie": "canary-3",
        "X-Anything": "canary-4",
        "Referer": "http://allowed.example/canary-5",
    }
    for method, content in (("GET", None), ("POST", b"canary-6"), ("PUT", b"canary-7")):
        wire = Wire(answer(status, Location=target), answer())
        policy = EgressPolicy(resolver=Names(["8.8.8.8"]))
        request = build_request(policy, method, "http://allowed.example/", headers, {}, content)
        async with GuardedTransport(policy, wire) as transport:
            try:
                await exchange(transport, policy, request, 1000, follow=True)
            except EgressRefused:
                assert content is not None
        assert b"canary-1" in wire.sent[0]
        assert b"canary" not in b"".join(wire.sent[1:])


async def test_a10_https_does_not_become_http() -> None:
    wire = Wire(answer(302, Location="http://allowed.example/"))
    policy = EgressPolicy(resolver=Names(["8.8.8.8"]))
    request = build_request(policy, "GET", "https://allowed.example/", {}, {}, None)
    async with GuardedTransport(policy, wire) as transport:
        with pytest.raises(EgressRefused):
            await exchange(transport, policy, request, 1000, follow=True)
    assert wire.names == ["allowed.example"]
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
    "value",
    [
        "../../admin",
        "..%2f",
        "%2e%2e",
        "a?x=",
        "a#",
        "//evil",
        "\\evil",
        "..",
        ".",
        "",
        "%2e%2e%2f",
        "..;/",
        "a/b",
        "a\r\nX: y",
        "a%00",
        "@evil",
        "a b",
        "%",
        "é",
        ".\u200b.",
    ],
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
        {"X": "a\t\r\nInjected: yes"},
        {"X": "a\tb\nInjected: yes"},
        {"X": "a\0b"},
        {"X": "é"},
        {"": "empty"},
        {"X Y": "space"},
        {"X:": "colon"},
        {"host": "evil.example"},
        {"TE": "trailers"},
        {"Connection": "close, X-Api-Key"},
        {"Upgrade": "h2c"},
        {"Expect": "100-continue"},
        {"Proxy-Authorization": "x"},
        {"X": "y" * 10_000},
        {f"X-{number}": "y" for number in range(200)},
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

    packed = {"Content-Encoding": "gzip"}
    answers = {
        "/bomb": lambda: Reply(gzip.compress(b"\0" * 20_000_000), headers=packed),
        "/headers": lambda: Reply(b"x", headers={f"X-{n}": "y" * 1000 for n in range(2000)}),
        "/short": lambda: Reply(b"x", headers={"Content-Length": "5"}),
        "/long": lambda: Reply(b"x" * 50, headers={"Content-Length": "5"}),
        "/header": lambda: Reply(b"x", headers={"X-Long": "y" * 10_000_000}),
        "/onion": lambda: Reply(
            gzip.compress(gzip.compress(b"\0" * 100_000_000)),
            headers={"Content-Encoding": "gzip, gzip"},
        ),
        "/brotli": lambda: Reply(b"x", headers={"Content-Encoding": "br"}),
        "/broken": lambda: Reply(b"x", headers=packed),
        "/large": lambda: Reply(b"x" * 6_000_000),
    }

    def reply(request: Request) -> Reply:
        return answers[request.path]()

    with site(reply) as running:
        yield running.url


BAD_ANSWERS = [
    *("/large", "/bomb", "/headers", "/header", "/short", "/onion", "/brotli", "/broken"),
]


@pytest.mark.parametrize("path", BAD_ANSWERS)
async def test_a14_answers_are_bounded(path: str, endless: str, tmp_path: Path) -> None:
    registry, context = connected(tmp_path, {}, http_timeout="5s")
    with pytest.raises((Fail, FlowBuilderError)) as caught:
        await acall(registry.require("http.get"), {"url": endless + path}, context)
    code = getattr(caught.value, "code", "")
    assert code in ("http_too_large", "http_failed", "http_timeout", "http_encoding")


async def test_a14_more_than_was_announced_is_never_read(endless: str, tmp_path: Path) -> None:
    registry, context = connected(tmp_path, {})
    args = {"url": endless + "/long", "parse": "text"}
    found = await acall(registry.require("http.get"), args, context)
    assert (found["body"], found["bytes"]) == ("xxxxx", 5)


class Drip(Wire):
    """A server that sends one byte now and then, and never an end."""

    async def connect_tcp(self, host: str, port: int, *rest: Any, **named: Any) -> Any:
        self.connected.append((host, port))
        return Drop(self, answer(200, b"")[:-2] + b"Transfer-Encoding: chunked\r\n\r\n")


class Drop(Stream):
    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        await asyncio.sleep(0)
        return await super().read(1, timeout) or b"1"


async def test_a14_a_drip_ends_with_the_time_of_the_whole_request(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every byte comes in time, the whole never: one limit covers all of it."""
    monkeypatch.setattr(httpcore, "AnyIOBackend", Drip)
    registry, context = connected(tmp_path, {}, http_timeout="1s")
    with pytest.raises((Fail, FlowBuilderError)) as caught:
        await acall(registry.require("http.get"), {"url": "http://8.8.8.8/"}, context)
    assert getattr(caught.value, "code", "") in ("http_timeout", "http_failed", "http_too_large")


async def test_no_run_reaches_a_closed_place_through_the_service(dsn: str) -> None:
    """The same by a request: the run fails by name, and the service goes on."""
    async with fortress(dsn) as place:
        ada = await place.person("ada", "default", "builder")
        for tool in ("http.get",):
            for url in ("http://169.254.169.254/", "http://[::ffff:127.0.0.1]/", "http://0x7f.1/"):
                shown = await ran(place, ada, one_step(tool, {"url": url}))
                assert shown["status"] == "failed"
                assert shown["error"]["code"] == "egress_refused"
        await assert_healthy(place, ada)


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
