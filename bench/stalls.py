"""Does ready work wait for a plan's stream that stands still? `python -m flowbuilder.bench.stalls`.

A model writes a plan, pauses in the middle of it for longer than all the work takes, and goes on.
Everything runs in real time: the planner, the early start, the engine. Told is how long each step
that may start by then waits for its handler to begin, while the stream stands still, and how long
the steps of the same flow wait when there is no stream at all.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from flowbuilder import FlowBuilder, Settings, Tool, tool
from flowbuilder.bench.figures import quantile
from flowbuilder.bench.server import open_server
from flowbuilder.models import Message, Reply, ScriptedModel
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.types import JsonObject, JsonSchema

#: Milliseconds by which a stream that stands still may delay what is ready.
BAR_MS = 50.0
_PATIENCE = 60.0


class Stalling(ScriptedModel):
    """Writes a plan at once up to a step, pauses, and writes the rest."""

    def __init__(self, steps: Sequence[JsonObject], *, before: int, seconds: float) -> None:
        super().__init__([{"tasks": list(steps)}], name="stalling")
        self.steps, self.before, self.seconds = list(steps), before, seconds
        self.went_on = 0.0
        """When the pause was over."""

    def stream_steps(  # type: ignore[override]
        self, messages: Sequence[Message], schema: JsonSchema, *, max_tokens: int | None = None
    ) -> _Stream:
        """Return the stream of the plan."""
        return _Stream(self, self._next(messages))


class _Stream:
    def __init__(self, model: Stalling, reply: Reply) -> None:
        self._model, self._reply = model, reply

    @property
    def reply(self) -> Reply:
        return self._reply

    async def __aiter__(self) -> AsyncIterator[tuple[int, JsonObject]]:
        for place, step in enumerate(self._model.steps):
            if place == self._model.before:
                await asyncio.sleep(self._model.seconds)
                self._model.went_on = time.perf_counter()
            yield place, dict(step)


class Work:
    """A tool that takes a while, and when each of its calls began and ended."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.began: list[float] = []
        self.ended: list[float] = []

    @property
    def tool(self) -> Tool:
        """Return it as flows use it."""

        @tool("floor.look", effects="read")
        async def look(floor: int) -> str:
            """Look at a floor of the house."""
            self.began.append(time.perf_counter())
            await asyncio.sleep(self.seconds)
            self.ended.append(time.perf_counter())
            return "seen"

        made: Tool = look
        return made

    def waits(self) -> list[float]:
        """Return the milliseconds between the end of each call and the begin of the next one."""
        pairs = zip(self.ended, self.began[1:], strict=False)
        return [(began - ended) * 1000 for ended, began in pairs]


def goal_of(steps: int) -> str:
    """Return what the steps are planned for."""
    return ", then ".join(f"look at floor {floor}" for floor in range(1, steps + 1))


def chain(steps: int, after: str) -> list[JsonObject]:
    """Return steps of which each waits for the one before; `after`: the key that says so."""
    return [
        {
            "id": f"look_{floor}",
            "tool": "floor.look",
            "args": {"floor": floor},
            **({after: [f"look_{floor - 1}"]} if floor > 1 else {}),
        }
        for floor in range(1, steps + 1)
    ]


def main(arguments: list[str] | None = None) -> int:
    """Measure; 1 when a stream that stands still delays what is ready by more than the bar."""
    parser = argparse.ArgumentParser(prog="flowbuilder.bench.stalls", description=__doc__)
    parser.add_argument("--steps", type=int, default=12, help="steps of the plan, two or more")
    parser.add_argument("--seconds", type=float, default=0.05, help="that each takes")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data-dir", type=Path, default=Path(tempfile.gettempdir()))
    return asyncio.run(_measure(parser.parse_args(arguments)))


async def _measure(given: argparse.Namespace) -> int:
    stalled: list[float] = []
    whole: list[float] = []
    async with open_server(None, given.data_dir) as server:
        for number in range(given.rounds):
            dsn = await server.fresh(f"stalls{number}")
            stalled += await stalled_waits(dsn, given.steps, given.seconds)
            whole += await whole_waits(dsn, given.steps, given.seconds)
            _tell({"round": number, **_figures(stalled, whole)})
    found = _figures(stalled, whole)
    _tell({"steps": given.steps, "rounds": given.rounds, "bar_ms": BAR_MS, **found})
    return 0 if found["delayed_by_ms"] < BAR_MS else 1


async def stalled_waits(dsn: str, steps: int, seconds: float) -> list[float]:
    """Return how long steps waited in a run whose plan stood still before its last step."""
    work = Work(seconds)
    pause = 2 * steps * seconds + 1
    model = Stalling(chain(steps, "after"), before=steps - 1, seconds=pause)
    settings = Settings.load(tools=[])
    async with FlowBuilder.connect(
        dsn, settings=settings, tools=[work.tool], worker=True,
        planner=ModelPlanner(settings, model),
    ) as builder, builder.start_early(goal_of(steps)) as early:  # fmt: skip
        run = await early.accept()
        await run.result(timeout=_PATIENCE)
    meanwhile = sum(began < model.went_on for began in work.began)
    if (meanwhile, len(work.began)) != (steps - 1, steps):
        raise RuntimeError(
            f"{meanwhile} of {steps - 1} steps ran while the stream stood still, "
            f"{len(work.began)} in all"
        )
    return work.waits()[: steps - 2]


async def whole_waits(dsn: str, steps: int, seconds: float) -> list[float]:
    """Return how long the steps of the same flow wait when it is run as it is."""
    work = Work(seconds)
    settings = Settings.load(tools=[])
    async with FlowBuilder.connect(
        dsn, settings=settings, tools=[work.tool], worker=True
    ) as builder:
        run = await builder.execute({"flow": "whole", "steps": chain(steps, "depends_on")})
        await run.result(timeout=_PATIENCE)
    return work.waits()[: steps - 2]


def _figures(stalled: Sequence[float], whole: Sequence[float]) -> dict[str, Any]:
    """Return the waits in milliseconds, and by how much the median is longer with the stream."""
    found: dict[str, Any] = {}
    for name, waits in (("stalled", stalled), ("whole", whole)):
        found[f"{name}_ms"] = round(statistics.median(waits), 2)
        found[f"{name}_p95_ms"] = round(quantile(waits, 0.95), 2)
        found[f"{name}_most_ms"] = round(max(waits), 2)
    found["delayed_by_ms"] = round(found["stalled_p95_ms"] - found["whole_p95_ms"], 2)
    return found


def _tell(line: JsonObject) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
