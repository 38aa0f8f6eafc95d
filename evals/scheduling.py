"""How well plans are scheduled: timed step graphs, streamed at a rate and run by the real engine.

A graph says which steps wait for which and how long each takes. A simulated model writes it as a
plan at a rate of tokens, with pauses if wanted; `FlowBuilder.start_early` runs it. No schedule can
be shorter than the lower bound: each step starts when it has been written and what it waits for
has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from graphlib import CycleError, TopologicalSorter
from typing import Any

from flowbuilder.client.early import EarlyStart
from flowbuilder.errors import ExecutionError, InvalidValue
from flowbuilder.evals.catalogue import ToolSpec
from flowbuilder.evals.importers.texts import escaped
from flowbuilder.evals.models.base import SimulatedModel
from flowbuilder.evals.models.oracle import OracleModel, written
from flowbuilder.evals.models.pacing import Pace, PacedModel
from flowbuilder.evals.models.reading import steps_in
from flowbuilder.evals.world.ledger import Entry
from flowbuilder.evals.world.stage import Performance, Stage
from flowbuilder.tools import Effects
from flowbuilder.types import JsonObject, JsonValue, is_number

#: The tool that all timed steps use: it takes as long as its argument says.
TOOL = "work.do"
_ENDS = frozenset({"START", "END"})


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedStep:
    """One step of a timed graph."""

    id: str
    title: str
    seconds: float
    after: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class TimedGraph:
    """Steps in the order in which they are written; each stands behind those it waits for."""

    name: str
    title: str
    steps: tuple[TimedStep, ...]

    @property
    def critical(self) -> float:
        """The seconds of the longest path."""
        return max(finished(self, dict.fromkeys((item.id for item in self.steps), 0.0)).values())

    def scaled(self, seconds: float) -> TimedGraph:
        """Return the graph with times so that its longest path takes `seconds`."""
        factor = seconds / self.critical if self.critical else 1.0
        steps = (replace(item, seconds=item.seconds * factor) for item in self.steps)
        return replace(self, steps=tuple(steps))

    @property
    def goal(self) -> str:
        """What a planner is told."""
        parts = "; ".join(f"{item.title} ({_figure(item.seconds)} seconds)" for item in self.steps)
        return f"Do the work of {self.name}, {self.title}: {parts}"

    def document(self) -> JsonObject:
        """Return the graph as a flow document."""
        steps: list[JsonValue] = []
        for item in self.steps:
            step: JsonObject = {"id": item.id, "tool": TOOL}
            step["args"] = {"title": escaped(item.title), "seconds": item.seconds}
            if item.after:
                step["depends_on"] = list(item.after)
            steps.append(step)
        return {"flow": "timed", "steps": steps}


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """How a graph was scheduled, beside how it could have been at best."""

    graph: str
    makespan: float
    """Seconds from the goal to the end of the last step, and of the stream."""
    bound: float
    """The least that any schedule could take."""
    waiting: float
    """What it would take to wait for the whole plan first."""
    delays: Mapping[str, float]
    """By step: seconds between the moment it could have started and its start."""
    early: bool
    """Whether what was started early is part of the run that came to the end."""

    @property
    def ratio(self) -> float:
        """The makespan as a multiple of the bound."""
        return self.makespan / self.bound if self.bound else 1.0

    def as_json(self) -> JsonObject:
        """Return the schedule as JSON."""
        return {
            "graph": self.graph,
            "makespan": round(self.makespan, 4),
            "bound": round(self.bound, 4),
            "waiting": round(self.waiting, 4),
            "ratio": round(self.ratio, 4),
            "worst_delay": round(max(self.delays.values(), default=0.0), 4),
            "early": self.early,
        }


def work_tool() -> ToolSpec:
    """Return the tool of timed steps, for a world that they are run in."""
    return ToolSpec(
        name=TOOL,
        summary="Do a piece of work that takes some time.",
        input_schema={
            "type": "object",
            "properties": {
                "title": {"type": "string"},
                "seconds": {"type": "number", "minimum": 0},
            },
            "required": ["title", "seconds"],
            "additionalProperties": False,
        },
        output_schema={"type": "object", "properties": {"done": {"const": True}},
                       "required": ["done"]},
        effects=Effects.READ,
        seconds_from="seconds",
    )  # fmt: skip


def read_timed_graph(record: Mapping[str, Any]) -> TimedGraph:
    """Return the graph of a record `{id, title, steps, edges, time_seconds}`, as AsyncHow has it.

    Of a time between a least and a most, the middle counts. Steps are written so that each stands
    behind those it waits for, otherwise in the order of the record. Titles that are there before,
    or empty, get the number of their step: planners leave out what is done twice.

    Raises:
        InvalidValue: The record is no such graph (timed_graph_invalid).
    """
    titles, edges, times = (record.get(key) for key in ("steps", "edges", "time_seconds"))
    if not isinstance(titles, list) or not isinstance(edges, list) or not isinstance(times, dict):
        raise _invalid("it has no steps, edges or time_seconds")
    names = [str(number) for number in range(1, len(titles) + 1)]
    after = _predecessors(names, edges)
    try:
        order = list(TopologicalSorter(after).static_order())
    except CycleError:
        raise _invalid("its steps wait for each other in a circle") from None
    told = _distinct(titles)
    steps = [
        TimedStep(
            id=f"part{name}",
            title=told[int(name) - 1],
            seconds=_middle(times.get(name), name),
            after=tuple(f"part{other}" for other in sorted(after[name], key=int)),
        )
        for name in order
    ]
    title = str(record.get("title", ""))
    return TimedGraph(name=str(record.get("id", "graph")), title=title, steps=tuple(steps))


def finished(graph: TimedGraph, arrivals: Mapping[str, float]) -> dict[str, float]:
    """Return when each step ends at best, by when it has been written."""
    ends: dict[str, float] = {}
    for step in graph.steps:
        ready = max([arrivals[step.id], *(ends[name] for name in step.after)])
        ends[step.id] = ready + step.seconds
    return ends


def pace_of(graph: TimedGraph, pace: Pace) -> tuple[dict[str, float], float]:
    """Return when each step of a graph has been written, and when the whole plan has."""
    text = written(graph.document())
    times, end = pace.arrivals(text, steps_in(text))
    return {step.id: time for step, time in zip(graph.steps, times, strict=True)}, end


def paced_oracle(graphs: Iterable[TimedGraph], pace: Pace, stage_clock: Any) -> PacedModel:
    """Return a model that writes the plans of these graphs at a pace."""
    oracle: SimulatedModel = OracleModel({graph.goal: graph.document() for graph in graphs})
    return PacedModel(oracle, pace, stage_clock)


async def schedule(stage: Stage, graph: TimedGraph, model: PacedModel, pace: Pace) -> Schedule:
    """Plan and run a graph with early start, and compare its times with the best ones.

    Args:
        stage: A stage whose world has `work_tool()` and whose planner asks `model`.
        graph: What is to be run.
        model: Made by `paced_oracle` for this graph, among others.
        pace: How fast it writes.

    Raises:
        PlanningError, ModelError: The plan did not come out.
        ExecutionError: The simulation is stuck, or the plan lacks a step (simulation_differs).
    """
    began = stage.world.clock.now()
    async with stage.fb.start_early(graph.goal) as early:
        accepting = asyncio.ensure_future(early.accept())

        async def accepted() -> bool:
            return accepting.done()

        await stage.drive(accepted, settled=lambda: _settled(early, model))
        run = accepting.result()
        played = await stage.follow(run, began=began)
        kept = early.run is not None and early.run.id == run.id
    arrivals, end = pace_of(graph, pace)
    return _measured(graph, played, arrivals, end, began=began, early=kept)


def _settled(early: EarlyStart, model: PacedModel) -> bool:
    """Whether nothing but the clock is waited for outside of the engine."""
    return model.waits and early.settled


def _measured(
    graph: TimedGraph,
    played: Performance,
    arrivals: Mapping[str, float],
    end: float,
    *,
    began: float,
    early: bool,
) -> Schedule:
    calls: dict[str, Entry] = {item.step_id: item for item in played.audit.entries}
    lacking = [step.id for step in graph.steps if step.id not in calls]
    if lacking:
        message = f"{lacking[0]} of {graph.name} was not run: the run ended {played.status.value}"
        raise ExecutionError(message, code="simulation_differs")
    ends = {name: (item.ended or item.began) - began for name, item in calls.items()}
    ready = {
        step.id: max([arrivals[step.id], *(ends[name] for name in step.after)])
        for step in graph.steps
    }
    best = max(finished(graph, arrivals).values(), default=0.0)
    return Schedule(
        graph=graph.name,
        makespan=max([end, *ends.values()]),
        bound=max(end, best),
        waiting=end + graph.critical,
        delays={name: calls[name].began - began - ready[name] for name in ready},
        early=early,
    )


def _figure(seconds: float) -> str:
    """Return a number as it is, all digits and no power of ten: the plan has to say the same."""
    return format(Decimal(repr(seconds)), "f").removesuffix(".0")


def _distinct(titles: list[Any]) -> list[str]:
    told: list[str] = []
    for number, title in enumerate(map(str, titles), start=1):
        again = not title.strip() or title in told
        told.append(f"{title} part {number}".strip() if again else title)
    return told


def _predecessors(names: list[str], edges: list[Any]) -> dict[str, set[str]]:
    after: dict[str, set[str]] = {name: set() for name in names}
    for edge in edges:
        if not isinstance(edge, list | tuple) or len(edge) != 2:
            raise _invalid("an edge is a pair of steps")
        first, second = str(edge[0]), str(edge[1])
        if not {first, second} <= {*names, *_ENDS}:
            raise _invalid(f"there is no step {first} or {second}")
        if first not in _ENDS and second not in _ENDS:
            after[second].add(first)
    return after


def _middle(span: Any, name: str) -> float:
    least, most = span if isinstance(span, list | tuple) and len(span) == 2 else (span, span)
    if not is_number(least) or not is_number(most) or min(least, most) < 0:
        raise _invalid(f"step {name} has no time")
    return (float(least) + float(most)) / 2


def _invalid(why: str) -> InvalidValue:
    return InvalidValue(f"this is no timed graph: {why}", code="timed_graph_invalid")
