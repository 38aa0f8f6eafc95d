from __future__ import annotations

from ipaddress import ip_address

import httpcore
import httpx
import pytest

from flowbuilder.toolkit.egress import (
    EgressPolicy,
    EgressRefused,
    GuardedBackend,
    GuardedTransport,
    embedded_v4,
    is_open,
)
from flowbuilder.toolkit.exchange import build_request, exchange
from flowbuilder.tools import Fail
from tests.support.wire import Names, Wire, answer

ALWAYS_CLOSED = [
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
    "0.0.0.0",
    "0.1.2.3",
    "192.0.2.1",
    "198.51.100.7",
    "203.0.113.9",
    "192.88.99.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "fd00:ec2::254",
    "fd20:ce::254",
    "::",
    "::127.0.0.1",
    "::7f00:1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::7f00:1",
    "2002:a9fe:a9fe::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "3fff::1",
    "fec0::1",
    "ff02::1",
    "100::1",
    "5f00::1",
    "2607:f8b0::5efe:7f00:1",
]
PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "::1",
    "fe80::1",
    "fc00::1",
    "fd12::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2002:c0a8:101::1",
]
PUBLIC = [
    "93.184.216.34",
    "8.8.8.8",
    "172.32.0.1",
    "100.128.0.1",
    "192.0.1.1",
    "2606:2800:220:1::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
    "2002:808:808::1",
]


@pytest.mark.parametrize("text", ALWAYS_CLOSED)
def test_addresses_that_no_setting_opens(text: str) -> None:
    assert not is_open(ip_address(text), allow_private=False)
    assert not is_open(ip_address(text), allow_private=True)


@pytest.mark.parametrize("text", PRIVATE)
def test_private_addresses(text: str) -> None:
    assert not is_open(ip_address(text), allow_private=False)
    assert is_open(ip_address(text), allow_private=True)


@pytest.mark.parametrize("text", PUBLIC)
def test_public_addresses(text: str) -> None:
    assert is_open(ip_address(text), allow_private=False)


def test_embedded_addresses() -> None:
    assert str(embedded_v4(ip_address("64:ff9b::a9fe:a9fe"))) == "169.254.169.254"
    assert str(embedded_v4(ip_address("2002:7f00:1::"))) == "127.0.0.1"
    assert embedded_v4(ip_address("2606::1")) is None


async def fetch(
    wire: Wire,
    names: Names,
    url: str,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    content: bytes | None = None,
    allow_private: bool = False,
) -> tuple[httpx.Response, bytes]:
    policy = EgressPolicy(allow_private=allow_private, resolver=names)
    request = build_request(policy, method, url, headers or {}, {}, content)
    async with GuardedTransport(policy, wire) as transport:
        return await exchange(transport, policy, request, 1000, True)


def bracketed(text: str) -> str:
    return f"[{text}]" if ":" in text else text


@pytest.mark.parametrize("text", [*ALWAYS_CLOSED, *PRIVATE])
async def test_closed_literals_are_refused_without_connecting(text: str) -> None:
    wire, names = Wire(answer()), Names(["8.8.8.8"])
    with pytest.raises(EgressRefused) as caught:
        await fetch(wire, names, f"http://{bracketed(text)}/latest/meta-data/")
    assert caught.value.code == "egress_refused"
    assert (wire.connected, names.asked) == ([], [])


@pytest.mark.parametrize("text", [*ALWAYS_CLOSED, *PRIVATE])
async def test_names_at_closed_addresses_are_refused_without_connecting(text: str) -> None:
    wire = Wire(answer())
    with pytest.raises(EgressRefused):
        await fetch(wire, Names([text]), "https://inside.example/")
    assert wire.connected == []


@pytest.mark.parametrize(
    "url",
    [
        "http://127.1/",
        "http://0x7f000001/",
        "http://2130706433/",
        "http://0177.0.0.1/",
        "http://0/",
        "http://127.0.0.1./",
        "http://1.2.3.4.5/",
        "http://①②⑦.0.0.1/",
        "http://[::1%25lo]/",
        "http://[::1]:8080/",
        "http://user@allowed.example@127.0.0.1/",
        "http://user:password@allowed.example/",
        "http://@allowed.example/",
        "http://127.0.0.1\\@allowed.example/",
        "http://allowed.example\\.evil/",
        "http://allowed.example /",
        "http://allowed.example/\r\nX: y",
        "http://allowed.example/\x00",
        "file:///etc/passwd",
        "ftp://allowed.example/",
        "gopher://allowed.example/",
        "data:text/plain,x",
        "javascript:alert(1)",
        "allowed.example/path",
        "//allowed.example/",
        "/path",
        "http:///path",
        "http://",
        "http://allowed.example:22/",
        "http://allowed.example:0/",
        "http://allowed.example:6379/",
        "http://allowed.example:99999/",
        "http://[nonsense]/",
        "http://" + "a" * 9000,
        "",
    ],
)
async def test_urls_that_are_refused(url: str) -> None:
    wire, names = Wire(answer()), Names(["8.8.8.8"])
    with pytest.raises(EgressRefused):
        await fetch(wire, names, url, allow_private=False)
    assert wire.connected == []


async def test_a_mixed_answer_is_refused_whole() -> None:
    wire = Wire(answer())
    with pytest.raises(EgressRefused):
        await fetch(wire, Names(["8.8.8.8", "127.0.0.1"]), "http://mixed.example/")
    assert wire.connected == []


async def test_the_connection_goes_to_the_checked_address() -> None:
    wire, names = Wire(answer()), Names(["8.8.8.8"], ["127.0.0.1"])
    response, body = await fetch(wire, names, "https://changing.example/x")
    assert (response.status_code, body) == (200, b"ok")
    assert names.asked == ["changing.example"]
    assert wire.connected == [("8.8.8.8", 443)]
    assert wire.names == ["changing.example"]
    assert b"Host: changing.example\r\n" in wire.sent[0]


async def test_a_name_that_changes_between_hops_is_judged_again() -> None:
    wire = Wire(answer(302, Location="/again"), answer())
    names = Names(["8.8.8.8"], ["127.0.0.1"])
    with pytest.raises(EgressRefused):
        await fetch(wire, names, "http://changing.example/")
    assert wire.connected == [("8.8.8.8", 80)]


async def test_the_next_address_is_tried() -> None:
    wire = Wire()
    with pytest.raises(httpcore.ConnectError):
        await fetch(wire, Names(["8.8.8.8", "8.8.4.4"]), "http://down.example/")
    assert [host for host, _ in wire.connected] == ["8.8.8.8", "8.8.4.4"]


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1/",
        "http://[::ffff:127.0.0.1]/",
        "file:///etc/passwd",
        "http://allowed.example:25/",
        "http://a@allowed.example/",
        "//169.254.169.254/",
    ],
)
async def test_redirects_are_judged(status: int, location: str) -> None:
    wire = Wire(answer(status, Location=location), answer())
    with pytest.raises(EgressRefused):
        await fetch(wire, Names(["8.8.8.8"]), "http://allowed.example/")
    assert len(wire.connected) == 1


async def test_redirect_loop_ends() -> None:
    wire = Wire(*[answer(302, Location=f"/{number}") for number in range(30)])
    with pytest.raises(Fail) as caught:
        await fetch(wire, Names(["8.8.8.8"]), "http://allowed.example/")
    assert caught.value.code == "http_redirects"
    assert len(wire.connected) == 6


SECRETS = {"Authorization": "s", "Cookie": "s", "X-Api-Key": "s", "Accept": "text/plain"}


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    "location", ["http://other.example/", "https://a.example/", "http://a.example:81/"]
)
async def test_headers_are_dropped_on_another_origin(status: int, location: str) -> None:
    wire = Wire(answer(status, Location=location), answer())
    await fetch(wire, Names(["8.8.8.8"]), "http://a.example/", headers=SECRETS)
    assert b"x-api-key" in wire.sent[0].lower()
    for name in (b"authorization", b"cookie", b"x-api-key"):
        assert name not in wire.sent[1].lower()
    assert b"text/plain" in wire.sent[1]


async def test_headers_are_kept_on_the_same_origin() -> None:
    wire = Wire(answer(302, Location="/next"), answer())
    await fetch(wire, Names(["8.8.8.8"]), "http://a.example/", headers=SECRETS)
    assert wire.sent[1].startswith(b"GET /next ")
    assert b"x-api-key" in wire.sent[1].lower()


@pytest.mark.parametrize(("status", "method"), [(301, b"GET"), (302, b"GET"), (303, b"GET")])
async def test_a_post_becomes_a_get_without_body(status: int, method: bytes) -> None:
    wire = Wire(answer(status, Location="http://b.example/"), answer())
    await fetch(wire, Names(["8.8.8.8"]), "http://a.example/", method="POST", content=b"private")
    assert wire.sent[0].endswith(b"private")
    assert wire.sent[1].startswith(method + b" / ")
    assert b"private" not in wire.sent[1]
    assert b"content-length" not in wire.sent[1].lower()


@pytest.mark.parametrize("status", [307, 308])
async def test_a_body_never_goes_to_another_origin(status: int) -> None:
    wire = Wire(answer(status, Location="http://b.example/"), answer())
    with pytest.raises(EgressRefused):
        await fetch(
            wire, Names(["8.8.8.8"]), "http://a.example/", method="POST", content=b"private"
        )
    assert len(wire.connected) == 1
    same = Wire(answer(status, Location="/b"), answer())
    await fetch(same, Names(["8.8.8.8"]), "http://a.example/", method="POST", content=b"private")
    assert same.sent[1].startswith(b"POST /b ")
    assert same.sent[1].endswith(b"private")


async def test_https_never_falls_back_to_http() -> None:
    wire = Wire(answer(302, Location="http://a.example/"), answer())
    with pytest.raises(EgressRefused):
        await fetch(wire, Names(["8.8.8.8"]), "https://a.example/")
    assert len(wire.connected) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil"},
        {"Transfer-Encoding": "chunked"},
        {"content-length": "1"},
        {"Connection": "x"},
        {"X": "a\r\nY: b"},
        {"X": "a\x00"},
        {"X": "ü"},
        {"X\n": "a"},
        {"": "a"},
        {"X y": "a"},
        {f"X-{number}": "a" for number in range(101)},
    ],
)
async def test_headers_that_are_refused(headers: dict[str, str]) -> None:
    wire = Wire(answer())
    with pytest.raises(Fail) as caught:
        await fetch(wire, Names(["8.8.8.8"]), "http://a.example/", headers=headers)
    assert caught.value.code == "http_invalid"
    assert wire.connected == []


async def test_unix_sockets_are_closed() -> None:
    with pytest.raises(EgressRefused):
        await GuardedBackend(EgressPolicy()).connect_unix_socket("/run/docker.sock")


async def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    wire = Wire(answer())
    await fetch(wire, Names(["8.8.8.8"]), "http://a.example/")
    assert wire.connected == [("8.8.8.8", 80)]
