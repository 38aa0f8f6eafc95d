"""Nothing that is attacked here may reach a network: connections are noted and refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore
import pytest


class Sockets:
    """Where somebody wanted to connect to."""

    def __init__(self) -> None:
        self.wanted: list[tuple[str, int]] = []


@pytest.fixture
def sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sockets]:
    """Note every connection that would be opened, and open none."""
    noted = Sockets()

    class Backend(httpcore.AnyIOBackend):
        async def connect_tcp(
            self,
            host: str,
            port: int,
            timeout: float | None = None,
            local_address: str | None = None,
            socket_options: Iterable[Any] | None = None,
        ) -> httpcore.AsyncNetworkStream:
            noted.wanted.append((host, port))
            raise httpcore.ConnectError("no network in tests")

    async def sock_connect(self: Any, sock: Any, address: tuple[str, int]) -> None:
        noted.wanted.append((str(address[0]), int(address[1])))
        raise OSError("no network in tests")

    monkeypatch.setattr(httpcore, "AnyIOBackend", Backend)
    monkeypatch.setattr(asyncio.selector_events.BaseSelectorEventLoop, "sock_connect", sock_connect)
    yield noted
