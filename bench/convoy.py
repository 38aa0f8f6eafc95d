"""Do the steps of one run get into each other's way? `python -m flowbuilder.bench.convoy`.

The same steps, of a millisecond each, once as the parallel steps of one run and once spread over a
hundred runs, worked on by many processes: what one run loses by its own lock is the ratio of the
rates. Both take turns on one server; a line of JSON for each round, then one with the medians.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from flowbuilder import FlowBuilder, Settings, Tool, tool
from flowbuilder.bench.server import Server, open_server
from flowbuilder.types import JsonObject

#: Seconds that a step takes.
_STEP_SECONDS = 0.001
_RUNS = 100
_LOOK = 0.01
_PATIENCE = 60.0


def main(arguments: list[str] | None = None) -> int:
    """Read the arguments and measure, or be one of the workers."""
    parser = argparse.ArgumentParser(prog="flowbuilder.bench.convoy", description=__doc__)
    parser.add_argument("--workers", type=int, default=8, help="worker processes")
    parser.add_argument("--concurrency", type=int, default=16, help="tasks at once in each")
    parser.add_argument("--steps", type=int, default=1000, help=f"steps, a multiple of {_RUNS}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data-dir", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--work", metavar="DSN", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    asyncio.run(_work(given.work, given.concurrency) if given.work else _measure(given))
    return 0


def _tool() -> Tool:
    @tool("convoy.step")
    async def step() -> None:
        """Take a millisecond."""
        await asyncio.sleep(_STEP_SECONDS)

    made: Tool = step
    return made


async def _work(dsn: str, concurrency: int) -> None:
    """Work until the parent closes standard input."""
    settings = Settings.load(concurrency=concurrency, tools=[])
    async with FlowBuilder.connect(dsn, settings=settings, tools=[_tool()], worker=True):
        await asyncio.to_thread(sys.stdin.read)


async def _measure(given: argparse.Namespace) -> None:
    async with open_server(None, given.data_dir) as server:
        one: list[float] = []
        many: list[float] = []
        for number in range(given.rounds):
            rates = await _round(server, given, number)
            one.append(rates["one"])
            many.append(rates["many"])
            _tell({"round": number, **_figures(rates["one"], rates["many"])})
        _tell({"workers": given.workers, "steps": given.steps,
               **_figures(statistics.median(one), statistics.median(many))})  # fmt: skip


async def _round(server: Server, given: argparse.Namespace, number: int) -> dict[str, float]:
    """Measure both on a new database; who is first changes from round to round."""
    dsn = await server.fresh(f"convoy{number}")
    settings = Settings.load(tools=[])
    async with AsyncExitStack() as stack:
        builder = await stack.enter_async_context(
            FlowBuilder.connect(dsn, settings=settings, tools=[_tool()], worker=False)
        )
        for slug, count in (("one", given.steps), ("many", given.steps // _RUNS)):
            await builder.save_flow(_document(slug, count))
        workers = [await _worker(dsn, given.concurrency) for _ in range(given.workers)]
        stack.push_async_callback(_stop, workers)
        async with asyncio.timeout(_PATIENCE):
            while not await _alive(builder, given.workers):  # noqa: ASYNC110 - other processes
                await asyncio.sleep(_LOOK)
        order = [("one", 1), ("many", _RUNS)][:: 1 if number % 2 == 0 else -1]
        await _rate(builder, "many", 1, given.steps)  # everything is warm
        return {slug: await _rate(builder, slug, runs, given.steps) for slug, runs in order}


async def _rate(builder: FlowBuilder, slug: str, runs: int, steps: int) -> float:
    """Start the runs and return the steps per second until the last of them has ended."""
    began = time.perf_counter()
    started = await builder.execute_many(slug, [{}] * runs)
    for run in started:
        await run.result(timeout=_PATIENCE)
    return steps / (time.perf_counter() - began)


def _document(slug: str, steps: int) -> JsonObject:
    listed: list[Any] = [{"id": f"s{place}", "tool": "convoy.step"} for place in range(steps)]
    return {"flow": slug, "steps": listed}


async def _worker(dsn: str, concurrency: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "flowbuilder.bench.convoy"),
        *("--work", dsn, "--concurrency", str(concurrency)),
        stdin=asyncio.subprocess.PIPE,
    )


async def _stop(workers: list[asyncio.subprocess.Process]) -> None:
    await asyncio.gather(*(worker.communicate(b"") for worker in workers))


async def _alive(builder: FlowBuilder, count: int) -> bool:
    return sum(worker.status == "live" for worker in await builder.workers()) == count


def _figures(one: float, many: float) -> JsonObject:
    return {
        "one_run_per_second": round(one),
        f"over_{_RUNS}_runs_per_second": round(many),
        "ratio": round(one / many, 3),
    }


def _tell(line: JsonObject) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
