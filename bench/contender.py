"""What is compared: one way to run flows, from the submission to a durable result."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from flowbuilder.bench.workloads import Shape
from flowbuilder.errors import ExecutionError

#: The contenders: the engine, and raw pgmq by the hundred and one at a time.
FLOWBUILDER, FLOOR, SINGLE = "flowbuilder", "floor", "floor_single"

#: What a step returned: `{"v": …, "t": …}`.
Output: TypeAlias = Mapping[str, Any]


class Contender(ABC):
    """One way to run flows. It holds client and worker, in this process."""

    @abstractmethod
    async def open(self, shape: Shape) -> None:
        """Prepare the database if it is new, connect, begin to work; flows have this shape."""

    @abstractmethod
    async def close(self) -> None:
        """Stop working and disconnect."""

    @abstractmethod
    async def submit(self, values: Sequence[int]) -> list[str]:
        """Submit a flow for each input, in the fastest way there is, and return their handles."""

    @abstractmethod
    async def wait(self) -> None:
        """Return when every flow submitted so far is durably complete."""

    @abstractmethod
    async def result(self, handle: str) -> list[Output]:
        """Wait for one flow in the quickest way there is and return what its sinks returned."""

    @abstractmethod
    async def verify(self) -> Mapping[str, int]:
        """Compare the stored result of every flow with what must come out.

        Returns:
            How much was compared, by name: flows, and what else is stored of them.

        Raises:
            ExecutionError: Something is missing or wrong (bench_wrong).
        """

    @abstractmethod
    async def events(self, rate: int, seconds: int) -> Mapping[str, list[float]]:
        """Change states at a rate, follow them as a subscriber, and return delays in seconds.

        `change`: from just before a change is sent until the subscriber has its event. `commit`,
        where it can be told: from its commit.
        """


def wrong(message: str) -> ExecutionError:
    """Return the error for a result that is not what it must be."""
    return ExecutionError(message, code="bench_wrong")
