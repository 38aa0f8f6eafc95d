"""What a run of a flow will take: tokens, money, time and steps, each as an interval.

The run is played through some hundred times with numbers drawn by what is known of each tool: what
its calls took lately, else what its author says, else what tools of its kind take. A seeded
generator draws them, so the same flow has the same estimate. Of these runs, the middle and the
values that few are below or above make the interval.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter

from flowbuilder.costs import CostHint, Estimate, Interval, Price, ToolHistory
from flowbuilder.errors import FlowBuilderError
from flowbuilder.expectations import Expectation, expectation
from flowbuilder.flow import Flow, OnError, Step, TriggerRule
from flowbuilder.graph import dependencies
from flowbuilder.references import Scope, resolve
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonValue

__all__ = ["CostHint", "Estimate", "Interval", "Price", "ToolHistory", "estimate_flow"]

#: Runs that are played, fewer of long flows, and the calls in all of them.
_MOST_PLAYS, _FEWEST_PLAYS, _MOST_CALLS = 300, 50, 20_000
#: What lies outside the interval, on either side.
_TAIL = 0.03
#: Of a map whose list is not known before it runs.
_ELEMENTS = Interval(1, 10, 100)
#: So many elements are played one by one; of more, as many stand for all.
_PLAYED_ELEMENTS = 12
#: What a step costs the engine itself, in seconds.
_OVERHEAD = 0.01
#: How often a condition holds that nobody has tried.
_CONDITION = 0.5
#: The standard normal value below which nine tenths lie.
_NINE_TENTHS = 1.2816
#: Less than this is nothing.
_TINY = 1e-6


@dataclass(slots=True)
class _Play:
    """One run as it was played."""

    tokens: float = 0.0
    usd: float = 0.0
    seconds: float = 0.0
    busy: float = 0.0
    steps: int = 0
    calls: int = 0
    effects: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A flow that a step of another one calls, when it is known already."""

    flow: Flow
    parts: Mapping[str, Part] = field(default_factory=dict)
    """What its own steps call, by step id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    """What does not change from one play to the next."""

    flow: Flow
    order: list[Step]
    before: Mapping[str, tuple[str, ...]]
    tools: Mapping[str, Expectation]
    counts: Mapping[str, int | str]
    """Elements of each mapped step: how many, or the reference that says so."""
    slots: int
    parts: Mapping[str, _Known]

    def all(self) -> Iterator[_Known]:
        """Yield this and what it calls."""
        yield self
        for part in self.parts.values():
            yield from part.all()


def estimate_flow(
    flow: Flow,
    registry: ToolRegistry,
    *,
    input: JsonValue = None,
    history: Mapping[str, ToolHistory] | None = None,
    prices: Price | None = None,
    slots: int = 16,
    parts: Mapping[str, Part] | None = None,
) -> Estimate:
    """Estimate what a run of a flow takes.

    Args:
        flow: A flow that compiles; of a broken one the estimate is worth little, but no error.
        registry: Its tools; one that is not there counts as a call of an unknown service.
        input: The run's input, by which lists may have a known length.
        history: What calls took lately, by `name@version` or name.
        prices: Of the model that `llm.` tools call; None when it is not known.
        slots: How many tasks the workers run at once.
        parts: Flows that steps call, by step id; of others only the call is counted.
    """

    def expected(step: Step) -> Expectation:
        return expectation(step, registry.get(step.tool), history or {}, prices)

    known = _known_of(Part(flow=flow, parts=parts or {}), expected, input, max(slots, 1))
    all_ = list(known.all())
    each = sum(len(one.order) + _PLAYED_ELEMENTS * len(one.counts) for one in all_)
    number = min(_MOST_PLAYS, max(_FEWEST_PLAYS, _MOST_CALLS // max(each, 1)))
    dice = random.Random(7)
    plays = [_play(known, dice) for _ in range(number)]
    tools = [tool for one in all_ for tool in one.tools.values()]
    unpriced = any(tool.tokens is not None and tool.usd is None for tool in tools)
    effects = sorted({name for play in plays for name in play.effects})
    return Estimate(
        tokens=_interval(play.tokens for play in plays),
        cost_usd=None if unpriced else _interval((play.usd for play in plays), 6),
        seconds=_interval((play.seconds for play in plays), 3),
        steps=_interval(play.steps for play in plays),
        effects={name: _interval(play.effects.get(name, 0) for play in plays) for name in effects},
        model_calls=_interval(play.calls for play in plays),
        approvals=sum(
            1 for one in all_ for s in one.order if s.approval or s.tool.startswith("human.")
        ),
        assumptions=tuple(dict.fromkeys(text for one in all_ for text in _assumptions(one))),
    )


def _known_of(
    part: Part, expected: Callable[[Step], Expectation], input: JsonValue, slots: int
) -> _Known:
    steps = part.flow.steps
    return _Known(
        flow=part.flow,
        order=_ordered(part.flow),
        before=dependencies(part.flow),
        tools={step.id: expected(step) for step in steps},
        counts={step.id: _count(step, input) for step in steps if step.for_each is not None},
        slots=slots,
        parts={name: _known_of(inner, expected, None, slots) for name, inner in part.parts.items()},
    )


def _interval(values: Iterable[float], digits: int = 0) -> Interval:
    ordered = sorted(values)
    last = len(ordered) - 1
    low, middle, high = (ordered[round(last * part)] for part in (_TAIL, 0.5, 1 - _TAIL))
    return Interval(low, middle, high).rounded(digits)


def _ordered(flow: Flow) -> list[Step]:
    """Return the steps so that each comes after what it depends on; in a cycle, as they stand."""
    by_id = {step.id: step for step in flow.steps}
    try:
        order = list(TopologicalSorter(dependencies(flow)).static_order())
    except CycleError:
        order = list(by_id)
    return [by_id[name] for name in order if name in by_id]


def _count(step: Step, input: JsonValue) -> int | str:
    """Return how many elements a map has or, where that is not known, what says so."""
    if isinstance(step.for_each, list):
        return len(step.for_each)
    text = str(step.for_each)
    try:
        found = resolve(text, Scope(input=input, steps={}, run={}))
    except FlowBuilderError:
        return text
    return len(found) if isinstance(found, list) else text


def _assumptions(known: _Known) -> Iterable[str]:
    """Yield what was assumed, for people."""
    unknown = [name for name, count in known.counts.items() if isinstance(count, str)]
    if unknown:
        yield (
            f"How many elements there are is not known before the run ({_listed(unknown)}): "
            f"{_ELEMENTS.low:.0f} to {_ELEMENTS.high:.0f} were assumed."
        )
    conditional = [step.id for step in known.flow.steps if step.when is not None]
    if conditional:
        yield f"Whether conditions hold is not known ({_listed(conditional)})."
    guessed = sorted({step.tool for step in known.flow.steps if not known.tools[step.id].founded})
    if guessed:
        yield f"Nothing is known yet of calls of {_listed(guessed)}: what its kind takes counts."
    if any(tool.tokens is not None and tool.usd is None for tool in known.tools.values()):
        yield "The price of the model is not known."


def _listed(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


# -- one run --------------------------------------------------------------------------------


def _play(known: _Known, dice: random.Random) -> _Play:
    """Play one run: every step in order, each as soon as what it depends on has ended."""
    play = _Play()
    ends: dict[str, float] = {}
    done: dict[str, bool] = {}
    counts: dict[str, int] = {}
    trend: dict[str, float] = {}
    for step in known.order:
        before = [name for name in known.before[step.id] if name in ends]
        start = max((ends[name] for name in before), default=0.0)
        ends[step.id] = start
        done[step.id] = _starts(step, [done[name] for name in before])
        if not done[step.id]:
            continue
        play.steps += step.for_each is None  # the condition is a task's business
        if step.when is not None and dice.random() >= _CONDITION:
            done[step.id] = False
            continue
        tool = known.tools[step.id]
        number = _elements(known, step, counts, dice)
        play.steps += number if step.for_each is not None else 0
        shift = trend.setdefault(step.tool, dice.gauss(0.0, 1.0))
        part = known.parts.get(step.id)
        ends[step.id] = start + (
            _work(play, step, tool, number, shift, known.slots, dice)
            if part is None
            else _called(play, part, number, dice)
        )
        done[step.id] = step.on_error is not OnError.SKIP or dice.random() >= tool.failed
    play.seconds = max(max(ends.values(), default=0.0), play.busy / known.slots)
    return play


def _starts(step: Step, before: list[bool]) -> bool:
    if step.trigger_rule is TriggerRule.ALL_SUCCESS:
        return all(before)
    if step.trigger_rule is TriggerRule.ONE_SUCCESS:
        return any(before) or not before
    return True


def _elements(known: _Known, step: Step, counts: dict[str, int], dice: random.Random) -> int:
    """Return how many calls a step makes: lists that are the same are equally long."""
    if step.for_each is None:
        return 1
    count = known.counts[step.id]
    if isinstance(count, int):
        number = count
    else:
        source = next((name for name in counts if count == f"${{{{ steps.{name} }}}}"), None)
        if source is not None:
            number = counts[source]
        else:
            number = counts.setdefault(count, max(1, round(draw(_ELEMENTS, dice))))
    counts[step.id] = number
    return number


def _work(
    play: _Play,
    step: Step,
    tool: Expectation,
    number: int,
    shift: float,
    slots: int,
    dice: random.Random,
) -> float:
    """Add what the calls of a step take, and return the seconds from its start to its end."""
    if number == 0:
        return _OVERHEAD
    shown = min(number, _PLAYED_ELEMENTS)
    factor = number / shown
    lengths, tokens, usd = [], 0.0, 0.0
    for _ in range(shown):
        tries = _tries(step, tool, dice)
        lengths.append(_call_seconds(step, tool, tries, shift, dice))
        if tool.tokens is not None:
            tokens += tries * draw(tool.tokens, dice, shift * tool.unsure_spent)
        if tool.usd is not None:
            usd += tries * draw(tool.usd, dice, shift * tool.unsure_spent)
    play.tokens += tokens * factor
    play.usd += usd * factor
    play.calls += number if tool.calls_model else 0
    play.effects[tool.effects] = play.effects.get(tool.effects, 0) + number
    play.busy += 0.0 if tool.waits else sum(lengths) * factor
    at_once = min(step.concurrency or number, tool.at_once or number, number)
    at_once = at_once if tool.waits else min(at_once, slots)
    gate = 0.0 if step.approval is None else draw(tool.person, dice)
    return gate + _spread(lengths, number, at_once)


def _called(play: _Play, part: _Known, number: int, dice: random.Random) -> float:
    """Add what the runs of a called flow take, and return the seconds that they take together."""
    if number == 0:
        return _OVERHEAD
    shown = min(number, _PLAYED_ELEMENTS)
    factor = number / shown
    runs = [_play(part, dice) for _ in range(shown)]
    for run in runs:
        play.tokens += run.tokens * factor
        play.usd += run.usd * factor
        play.busy += run.busy * factor
        play.steps += round(run.steps * factor)
        play.calls += round(run.calls * factor)
        for name, count in run.effects.items():
            play.effects[name] = play.effects.get(name, 0) + round(count * factor)
    return _OVERHEAD + _spread([run.seconds for run in runs], number, number)


def _tries(step: Step, tool: Expectation, dice: random.Random) -> int:
    tries = 1
    while tries < step.retry.max_attempts and dice.random() < tool.again:
        tries += 1
    return tries


def _call_seconds(
    step: Step, tool: Expectation, tries: int, shift: float, dice: random.Random
) -> float:
    pause = step.retry.base_delay.total_seconds()
    seconds = _OVERHEAD + (tries - 1) * pause
    for _ in range(tries):
        seconds += min(draw(tool.seconds, dice, shift * tool.unsure), tool.longest)
    return seconds


def _spread(lengths: list[float], number: int, at_once: int) -> float:
    """Return how long calls take of which so many run at once."""
    if number == len(lengths):
        lanes = [0.0] * at_once
        for length in lengths:
            heapq.heappush(lanes, heapq.heappop(lanes) + length)
        return max(lanes)
    return max(sum(lengths) / len(lengths) * number / at_once, *lengths)


def draw(interval: Interval, dice: random.Random, shift: float = 0.0) -> float:
    """Draw a number of which a tenth lies below `low`, half below `likely`, a tenth above `high`.

    `shift` moves the whole distribution by so much of its logarithm.
    """
    likely, below, above = _shape(interval)
    if likely == 0.0:
        return 0.0
    z = dice.gauss(0.0, 1.0)
    power = z * (above if z > 0 else below) + shift
    return likely * math.exp(max(min(power, 20.0), -20.0))


@lru_cache(maxsize=4096)
def _shape(interval: Interval) -> tuple[float, float, float]:
    """Return the middle, and the spread of the logarithm on either side; 0 for nothing at all."""
    low, likely, high = (max(v, _TINY) for v in (interval.low, interval.likely, interval.high))
    if high <= _TINY:
        return 0.0, 0.0, 0.0
    return likely, math.log(likely / low) / _NINE_TENTHS, math.log(high / likely) / _NINE_TENTHS
