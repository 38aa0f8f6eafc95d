"""Flowbuilder for a harness of peers: a flow is a published version, a step one durable task.

The harness hands over shapes (`name`, `deps`, `sinks`), inputs, and a step function, and measures
by itself; see bench/README.md.
"""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Mapping, Sequence
from typing import Any

import harness

from flowbuilder import FlowBuilder
from flowbuilder.bench.engine import Engine
from flowbuilder.bench.workloads import Shape

CONCURRENCY = int(os.environ.get("BENCH_CONCURRENCY", "200"))


class Flowbuilder(harness.Peer):  # type: ignore[misc]  # the harness has no types
    async def setup(self) -> None:
        async with FlowBuilder.connect(harness.DSN, worker=False):
            return  # opening it has brought the schema up to date

    async def start(self) -> None:
        self.engine = Engine(harness.DSN, concurrency=CONCURRENCY, step=harness.step)
        await self.engine.open(*map(_shape_of, harness.SHAPES.values()))
        gc.collect()  # as `flowbuilder worker` does when it has started
        gc.freeze()

    async def stop(self) -> None:
        await self.engine.close()

    async def submit(self, shape: Any, values: Sequence[int]) -> list[str]:
        return await self.engine.submit(values, shape.name)

    async def wait(self, shape: Any, handles: Sequence[str]) -> None:
        await self.engine.wait()

    async def results(self, shape: Any, handles: Sequence[str]) -> list[list[Mapping[str, Any]]]:
        if len(handles) == 1:
            return [await self.engine.result(handles[0])]
        return await self.engine.results(handles)

    async def events(self, rate: int, seconds: float) -> dict[str, Any]:
        began = asyncio.get_running_loop().time()
        delays = (await self.engine.events(rate, round(seconds)))["change"]
        took = asyncio.get_running_loop().time() - began
        count = 2 * len(delays)  # the end of an element is measured, its begin is an event too
        return {
            "delay": harness.percentiles(delays),
            "events": count,
            "sent_s": count / took,
        }


def _shape_of(shape: Any) -> Shape:
    return Shape(name=shape.name, before={name: tuple(deps) for name, deps in shape.deps.items()})


harness.main(Flowbuilder)
