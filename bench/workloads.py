"""What is measured: the shapes of the flows, how many of them, and what must come out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A flow: each step with the steps before it, in an order that they can run in.

    Every step adds up what the steps before it returned, and one. A step with nothing before it
    gets the flow's input.
    """

    name: str
    before: Mapping[str, tuple[str, ...]]
    elements: int = 0
    """More than 0: the first step is mapped over so many elements. The elements of a flow with
    the input 5 are 5, 6, 7 …"""

    @property
    def sinks(self) -> list[str]:
        """The steps that nothing depends on: their values are the flow's result."""
        used = {name for before in self.before.values() for name in before}
        return [name for name in self.before if name not in used]

    @property
    def tasks(self) -> int:
        """How many handlers one flow runs."""
        return len(self.before) + max(self.elements - 1, 0)

    def expected(self, value: int) -> int:
        """Return what the values of the sinks add up to for a flow with this input."""
        totals: dict[str, int] = {}
        for name, before in self.before.items():
            if before:
                totals[name] = 1 + sum(totals[one] for one in before)
            elif self.elements:  # what the join adds up: all elements, each one more
                totals[name] = sum(1 + value + index for index in range(self.elements))
            else:
                totals[name] = 1 + value
        return sum(totals[name] for name in self.sinks)


def chain(length: int) -> Shape:
    """Return a flow of steps one after the other."""
    steps = {f"s{i}": (f"s{i - 1}",) if i else () for i in range(length)}
    return Shape(name=f"chain{length}", before=steps)


def fan(width: int) -> Shape:
    """Return a flow of one step, then `width` side by side, then one that waits for all."""
    middle = tuple(f"m{i}" for i in range(width))
    steps = {"root": (), **dict.fromkeys(middle, ("root",)), "join": middle}
    return Shape(name=f"fan{width}", before=steps)


def layered(layers: int, width: int) -> Shape:
    """Return a flow of layers in which each step waits for two of the layer before."""
    steps: dict[str, tuple[str, ...]] = {}
    for layer in range(layers):
        for place in range(width):
            above = (f"l{layer - 1}_{place}", f"l{layer - 1}_{(place + 1) % width}")
            steps[f"l{layer}_{place}"] = above if layer else ()
    return Shape(name="layered", before=steps)


def mapped(elements: int) -> Shape:
    """Return a flow of one step mapped over so many elements, and one that takes all results."""
    return Shape(name="map", before={"each": (), "join": ("each",)}, elements=elements)


class Kind(StrEnum):
    """How a workload is measured."""

    THROUGHPUT = "throughput"
    LATENCY = "latency"
    OVERHEAD = "overhead"
    EVENTS = "events"
    IDLE = "idle"


#: State changes a second of the events workload.
EVENT_RATE = 1000


@dataclass(frozen=True, kw_only=True)
class Workload:
    """One workload at full size."""

    name: str
    title: str
    kind: Kind
    shape: Shape
    count: int
    """Throughput, latency, overhead: flows. Events and idle: seconds."""

    def scaled(self, fraction: float) -> Workload:
        """Return the workload with a fraction of its flows, seconds or elements, at least one."""
        if self.shape.elements:
            elements = max(1, round(self.shape.elements * fraction))
            return replace(self, shape=replace(self.shape, elements=elements))
        return replace(self, count=max(1, round(self.count * fraction)))


def _throughput(name: str, title: str, shape: Shape, count: int) -> Workload:
    return Workload(name=name, title=title, kind=Kind.THROUGHPUT, shape=shape, count=count)


_ALL = (
    _throughput("W1", "2,000 single steps", chain(1), 2000),
    _throughput("W2", "100 chains of 10", chain(10), 100),
    _throughput("W3", "20 fans 1→100→1", fan(100), 20),
    _throughput("W4", "50 graphs of 6 × 5", layered(6, 5), 50),
    _throughput("M1", "a map of 10,000, joined", mapped(10_000), 1),
    Workload(name="L1", title="one step, idle", kind=Kind.LATENCY, shape=chain(1), count=200),
    Workload(name="L2", title="a chain of 20, idle", kind=Kind.OVERHEAD, shape=chain(20), count=20),
    Workload(name="E1", title="1,000 events/s", kind=Kind.EVENTS, shape=chain(1), count=10),
    Workload(name="I1", title="nothing to do", kind=Kind.IDLE, shape=chain(1), count=10),
)
WORKLOADS: Mapping[str, Workload] = {workload.name: workload for workload in _ALL}


async def add_up(inputs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Do what every step does: add up the `v` of its inputs, and one.

    `t` is when it began, in seconds of the system-wide monotonic clock.
    """
    began = time.monotonic()
    return {"v": 1 + sum(one["v"] for one in inputs), "t": began}
