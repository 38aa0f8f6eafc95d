"""A network of the tests' own: connections that are only noted, names that resolve as told."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any

import httpcore


class Wire(httpcore.AsyncNetworkBackend):
    """Notes where a connection would go and answers from a list."""

    def __init__(self, *answers: bytes) -> None:
        self.connected: list[tuple[str, int]] = []
        self.sent: list[bytes] = []
        self.names: list[str | None] = []
        self._answers = list(answers)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.connected.append((host, port))
        if not self._answers:
            raise httpcore.ConnectError("refused")
        return Stream(self, self._answers.pop(0))


class Stream(httpcore.AsyncNetworkStream):
    def __init__(self, wire: Wire, answer: bytes) -> None:
        self._wire, self._answer = wire, answer
        wire.sent.append(b"")

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        piece, self._answer = self._answer[:max_bytes], self._answer[max_bytes:]
        return piece

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._wire.sent[-1] += buffer

    async def aclose(self) -> None:
        return None

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        assert ssl_context.check_hostname
        assert ssl_context.verify_mode is ssl.CERT_REQUIRED
        self._wire.names.append(server_hostname)
        return self

    def get_extra_info(self, info: str) -> Any:
        return None


class Names:
    """A resolver with an answer for each look-up, the last one repeated."""

    def __init__(self, *answers: list[str]) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def answer(status: int = 200, body: bytes = b"ok", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body
