"""Services over HTTP, as processes that may be killed, and clients that do not give up."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

from tests.faults.harness.arena import Arena

_REPOSITORY = Path(__file__).parents[3]


@dataclass
class Service:
    """A process that serves HTTP, and may be killed."""

    process: subprocess.Popen[bytes]
    url: str

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it in order."""
        self.process.terminate()
        self.process.wait(60)


class Services:
    """The services of a test; whoever is left at its end is killed."""

    def __init__(self) -> None:
        self._started: list[Service] = []

    async def start(self, arena: Arena, **settings: str) -> Service:
        """Start a service of its own on a free port, and wait until it serves.

        It has no worker. `settings` are those of its environment.
        """
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        service = Service(_spawned(arena, port, settings), f"http://127.0.0.1:{port}")
        self._started.append(service)

        async def ready() -> bool:
            assert service.process.poll() is None, "the service has ended"
            return await is_ready(service)

        await arena.hold(ready, what="the service does not come up")
        return service

    def end(self) -> None:
        """Kill those that are left."""
        for service in self._started:
            service.kill()


def _spawned(arena: Arena, port: int, settings: dict[str, str]) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(_REPOSITORY),
        "FLOWBUILDER_DATABASE_URL": arena.dsn,
        "FLOWBUILDER_AUTH": "local",
        "FLOWBUILDER_DATA_DIR": str(arena.folder),
        "FLOWBUILDER_TOOLS": "tests.faults.harness.service_tools",
        "FAULTS_LEDGER": str(arena.ledger.path),
        **settings,
    }
    command = [sys.executable, "-m", "flowbuilder.cli", "serve", "--port", str(port), "--no-worker"]
    with (arena.folder / f"service-{port}.log").open("wb") as log:
        return subprocess.Popen(command, env=environment, cwd=arena.folder, stdout=log, stderr=log)


async def is_ready(service: Service) -> bool:
    """Whether a service says that it can take work."""
    try:
        async with httpx.AsyncClient(base_url=service.url, verify=False) as client:
            return (await client.get("/readyz")).status_code == 200
    except httpx.HTTPError:
        return False


@asynccontextmanager
async def client_of(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """A client with many connections."""
    limits = httpx.Limits(max_connections=60)
    async with httpx.AsyncClient(base_url=service.url, limits=limits, timeout=60) as client:
        yield client


class Senders:
    """Clients that send each of their requests until it is answered, to whoever serves.

    Answers that are no success have to be 503 with a code: then it is sent again, as after none.
    """

    def __init__(self, arena: Arena, service: Service) -> None:
        self.arena = arena
        self.service = service
        """Who is asked from now on."""
        self.runs: dict[str, str] = {}
        """The run that each request was told."""
        self.refused: Counter[str] = Counter()
        self.unanswered = 0
        """Requests that may or may not have been carried out."""
        self._begun = 0
        self._enough = False
        self._sending: asyncio.Future[Any] | None = None
        limits = httpx.Limits(max_connections=None)
        self._client = httpx.AsyncClient(timeout=60, limits=limits, verify=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        await self._client.aclose()

    async def send(
        self, key: str, ask: Callable[[httpx.AsyncClient, str], Awaitable[httpx.Response]]
    ) -> dict[str, Any]:
        """Return what the answer says at last."""
        while True:
            try:
                answer = await ask(self._client, self.service.url)
            except httpx.HTTPError:
                self.unanswered += 1
                await asyncio.sleep(0.2)
                continue
            body: dict[str, Any] = answer.json()
            if answer.is_success:
                return body
            assert answer.status_code == 503, f"{key}: {answer.status_code} {answer.text}"
            self.refused[body["code"]] += 1
            await asyncio.sleep(0.05)

    async def start(self, slug: str, number: int, **more: Any) -> str:
        """Start a run of a published flow under a key of its own, and return its id."""
        key, body = f"start {number}", {"flow": slug, "input": {"n": number, **more}}
        told = await self.send(
            key,
            lambda client, url: client.post(
                f"{url}/api/v1/runs", json=body, headers={"Idempotency-Key": key}
            ),
        )  # fmt: skip
        known = self.runs.setdefault(key, str(told["id"]))
        assert known == told["id"], f"{key} has started two runs"
        if known not in self.arena.acknowledged:
            self.arena.acknowledged.append(known)
        return known

    def begin(self, do: Callable[[int], Awaitable[object]], *, at_once: int) -> None:
        """Do something with one number after the other, until `enough`; so many at once."""

        async def one() -> None:
            while not self._enough:
                self._begun += 1
                await do(self._begun)

        self._sending = asyncio.gather(*(one() for _ in range(at_once)))

    async def enough(self) -> None:
        """Let those that have begun come to their end, and begin nothing more."""
        self._enough = True
        assert self._sending is not None
        await self._sending

    async def until(self, condition: Callable[[], bool], *, what: str) -> None:
        """Wait for something while requests are sent; fails when one has failed."""

        def is_so() -> bool:
            if self._sending is not None and self._sending.done():
                self._sending.result()
            return condition()

        await self.arena.hold(is_so, what=what)

    async def progress(self, count: int) -> None:
        """Return when so many further requests have been answered."""
        mark = len(self.runs)
        await self.until(lambda: len(self.runs) >= mark + count, what="nobody is answered")
