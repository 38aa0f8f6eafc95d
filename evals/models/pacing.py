"""Slow and stalling models: another model's answers at a rate of tokens, with pauses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from flowbuilder.evals.models.base import CHARACTERS_PER_TOKEN, Request, SimulatedModel
from flowbuilder.evals.models.reading import Written
from flowbuilder.evals.world.clock import Clock


@dataclass(frozen=True, kw_only=True, slots=True)
class Stall:
    """A pause in a stream."""

    after_steps: int
    """Behind so many whole steps; 0: before the first."""
    seconds: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """How fast a model writes, by a world's clock."""

    tokens_per_second: float | None = None
    """None: all at once."""
    first_token: float = 0.0
    """Seconds before the first token."""
    stalls: tuple[Stall, ...] = ()

    def arrivals(self, text: str, steps: Sequence[Written]) -> tuple[list[float], float]:
        """Return when each step is whole and when the answer has ended, in seconds."""
        times = [self._time_of(step.end, place) for place, step in enumerate(steps)]
        return times, self._time_of(len(text), len(steps))

    def _time_of(self, characters: int, steps_before: int) -> float:
        writing = 0.0
        if self.tokens_per_second is not None:
            writing = characters / CHARACTERS_PER_TOKEN / self.tokens_per_second
        paused = sum(item.seconds for item in self.stalls if item.after_steps <= steps_before)
        return self.first_token + writing + paused


class PacedModel(SimulatedModel):
    """Gives the answers of another simulated model at a pace."""

    def __init__(self, model: SimulatedModel, pace: Pace, clock: Clock) -> None:
        super().__init__()
        self.name = model.name
        self._model, self._pace, self._clock = model, pace, clock
        self.waits = False
        """Whether it waits for the clock just now."""

    async def answer(self, request: Request) -> str:
        """Return the other model's answer."""
        return await self._model.answer(request)

    async def paced(self, text: str, steps: Sequence[Written]) -> AsyncIterator[Written]:
        """Yield each step when it is whole, and end when the answer does."""
        began = self._clock.now()
        times, end = self._pace.arrivals(text, steps)
        for step, time in zip(steps, times, strict=True):
            await self._until(began + time)
            yield step
        await self._until(began + end)

    async def _until(self, time: float) -> None:
        self.waits = True
        try:
            await self._clock.sleep(time - self._clock.now())
        finally:
            self.waits = False
