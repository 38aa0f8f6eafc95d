"""A worker and a service as processes: probed, scraped, told to stop, and every line is JSON."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.api import ready

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def process(dsn: str, *command: str, **settings: str) -> AsyncIterator[Any]:
    """Run a command of the command line; whatever is left of it is killed at the end."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("FLOWB")},
        "PYTHONPATH": str(ROOT),
        "FLOWBUILDER_DATABASE_URL": dsn,
        "FLOWBUILDER_LOG_FORMAT": "json",
        "FLOWBUILDER_LOG_LEVEL": "info",
        "FLOWBUILDER_LOG_STREAM": "stdout",
        "FLOWBUILDER_METRICS_PORT": "0",
        **settings,
    }
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "flowbuilder.cli", *command),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()


async def until(running: Any, pattern: str) -> tuple[re.Match[str], list[dict[str, Any]]]:
    """Read lines until one says this; each has to be a JSON object."""
    lines: list[dict[str, Any]] = []
    async with asyncio.timeout(90):
        while raw := await running.stdout.readline():
            lines.append(json.loads(raw))
            found = re.search(pattern, lines[-1]["message"])
            if found is not None:
                return found, lines
    raise AssertionError(f"it never said {pattern}: {lines} {await running.stderr.read()}")


async def test_a_worker_is_probed_and_scraped(dsn: str) -> None:
    async with process(dsn, "worker") as running:
        port, _ = await until(running, r"probes at http://127\.0\.0\.1:(\d+)")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port[1]}") as client:
            assert (await client.get("/healthz")).json() == {"status": "ok"}

            await ready(client)
            text = (await client.get("/metrics")).text
        assert 'flowbuilder_worker_slots{state="busy"} 0.0' in text
        # the queue is one, and workers are many: a service tells of it
        assert "flowbuilder_queue_messages{" not in text
        running.send_signal(signal.SIGTERM)
        await until(running, "worker: stopped")
        assert await asyncio.wait_for(running.wait(), 60) == 0
        assert await running.stderr.read() == b""


async def test_a_service_says_everything_as_lines(dsn: str) -> None:
    given = {"FLOWBUILDER_AUTH": "local"}
    async with process(dsn, "serve", "--port", "0", "--no-worker", **given) as running:
        probes, before = await until(running, r"probes at http://127\.0\.0\.1:(\d+)")
        own, after = await until(running, r"Uvicorn running on http://127\.0\.0\.1:(\d+)")
        assert before[0]["message"].startswith("serving http://")
        assert after
        async with httpx.AsyncClient() as client:
            base = f"http://127.0.0.1:{own[1]}"
            answer = await client.get(f"{base}/api/v1/flows?secret=of-the-query")
            request_id = answer.headers["x-request-id"]
            text = (await client.get(f"http://127.0.0.1:{probes[1]}/metrics")).text
            here = (await client.get(f"{base}/metrics")).text
        for shown in (text, here):
            assert 'flowbuilder_queue_messages{queue="flowbuilder_tasks"' in shown
            assert 'route="/api/v1/flows"' in shown
        _, lines = await until(running, r"GET /api/v1/flows 422")
        assert lines[-1]["request_id"] == request_id
        assert "of-the-query" not in json.dumps(lines)
        running.send_signal(signal.SIGTERM)
        # uvicorn ends by the signal itself once everything is in order
        assert await asyncio.wait_for(running.wait(), 60) in (0, -signal.SIGTERM)
        assert await running.stderr.read() == b""
