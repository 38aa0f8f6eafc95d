"""One measurement of one contender, from the inside: warm up, measure, verify."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flowbuilder.bench.contender import Contender, wrong
from flowbuilder.bench.figures import quantile
from flowbuilder.bench.workloads import EVENT_RATE, Kind, Shape, Workload

#: Part of the flows that run before a throughput is measured.
WARM_UP = 0.05
#: Flows that run one by one before a latency is measured: statements are prepared by then.
_FIRST = 6
#: Seconds between two flows on an idle system.
_REST = 0.005


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What one measurement gave; times in seconds."""

    units: int
    """What costs are counted over: steps; for events their number, when idle the seconds."""
    values: Mapping[str, float] = field(default_factory=dict)


async def warm_up(contender: Contender, workload: Workload) -> None:
    """Run a few flows, so that connections are open and statements are prepared."""
    if workload.kind is Kind.THROUGHPUT:
        await contender.submit(range(max(1, round(workload.count * WARM_UP))))
        await contender.wait()
        return
    for value in range(_FIRST):
        [handle] = await contender.submit([value])
        await contender.result(handle)


async def measure(contender: Contender, workload: Workload) -> Trial:
    """Measure and return what came out; the results are verified afterwards."""
    if workload.kind is Kind.THROUGHPUT:
        return await _throughput(contender, workload)
    if workload.kind is Kind.LATENCY:
        return await _latency(contender, workload)
    if workload.kind is Kind.OVERHEAD:
        return await _overhead(contender, workload)
    if workload.kind is Kind.EVENTS:
        return await _events(contender, workload)
    await asyncio.sleep(workload.count)
    return Trial(units=workload.count)


async def _throughput(contender: Contender, workload: Workload) -> Trial:
    began = time.monotonic()
    await contender.submit(range(workload.count))
    submitted = time.monotonic() - began
    await contender.wait()
    seconds = time.monotonic() - began
    steps = workload.count * workload.shape.tasks
    values = {"seconds": seconds, "submit_seconds": submitted, "steps_per_second": steps / seconds}
    return Trial(units=steps, values=values)


async def _latency(contender: Contender, workload: Workload) -> Trial:
    starts: list[float] = []
    results: list[float] = []
    for value in range(workload.count):
        await asyncio.sleep(_REST)
        began = time.monotonic()
        [handle] = await contender.submit([value])
        [output] = await contender.result(handle)
        results.append(time.monotonic() - began)
        starts.append(output["t"] - began)
        _compare(workload.shape, value, output["v"])
    values = {**quantiles("start", starts), **quantiles("result", results)}
    return Trial(units=workload.count, values=values)


async def _overhead(contender: Contender, workload: Workload) -> Trial:
    steps = workload.shape.tasks
    times: list[float] = []
    for value in range(workload.count):
        began = time.monotonic()
        [handle] = await contender.submit([value])
        [output] = await contender.result(handle)
        times.append((time.monotonic() - began) / steps)
        _compare(workload.shape, value, output["v"])
    return Trial(units=workload.count * steps, values=quantiles("step", times))


async def _events(contender: Contender, workload: Workload) -> Trial:
    began = time.monotonic()
    delays = await contender.events(EVENT_RATE, workload.count)
    seconds = time.monotonic() - began
    values = {"events_per_second": EVENT_RATE * workload.count / seconds}
    for name, times in delays.items():
        values |= quantiles(name, times)
    return Trial(units=EVENT_RATE * workload.count, values=values)


def _compare(shape: Shape, value: int, total: object) -> None:
    if total != shape.expected(value):
        raise wrong(f"a flow returned {total}, not {shape.expected(value)}")


def quantiles(name: str, seconds: Sequence[float]) -> dict[str, float]:
    """Return the median and the 99th percentile in milliseconds, as `<name>_p50` and `_p99`."""
    found = {"p50": 0.5, "p99": 0.99}
    return {f"{name}_{key}": 1000 * quantile(seconds, q) for key, q in found.items()}
