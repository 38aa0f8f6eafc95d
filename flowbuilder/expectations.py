"""What a call of one step's tool is expected to take: by its history, its author, or its kind."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flowbuilder.costs import CostHint, Interval, Price, ToolHistory
from flowbuilder.flow import Step
from flowbuilder.tools import Effects, Tool
from flowbuilder.types import is_number, parse_duration

#: Seconds of a call, by kind; the quantiles 0.1, 0.5 and 0.9.
_PURE = Interval(0.001, 0.01, 0.3)
_SERVICE = Interval(0.05, 0.5, 6.0)
_MODEL = Interval(0.8, 5.0, 40.0)
_PROCESS = Interval(0.05, 0.5, 10.0)
_CHILD = Interval(0.1, 5.0, 300.0)
#: Until a person has decided, or somebody emits an event; at most until the deadline.
_PERSON = Interval(10.0, 900.0, 43_200.0)
#: Tokens that a reference puts into a prompt, and that a model answers with.
_REFERENCE = Interval(20, 300, 3000)
_ANSWER = Interval(20, 250, 1000)
_CHARACTERS_PER_TOKEN = 4
#: The part of tokens that is the prompt, where only the sum is known.
_PROMPT_PART = 0.7
#: How sure so many known calls make: the drift is never less than this part of the logarithm.
_DRIFT, _PRIOR_DRIFT = 0.12, 0.3
_FEW = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectation:
    """What one call is expected to take."""

    seconds: Interval
    longest: float
    """The time limit of an attempt, in seconds."""
    tokens: Interval | None
    """None of a tool that calls no model."""
    usd: Interval | None
    """None when it is not known; of a tool that costs nothing, zero."""
    again: float
    """How often an attempt is not the last."""
    failed: float
    effects: str
    waits: bool
    """Whether waiting holds no worker: for a time, a person, an event or another run."""
    calls_model: bool
    at_once: int | None
    unsure: float
    """By how much all calls may differ from what is known, as a part of the logarithm."""
    unsure_spent: float
    """The same of tokens and money."""
    founded: bool
    """Whether history or author speak, or else the tool's kind."""
    person: Interval
    """Seconds until an approval that the step asks for is given."""


def expectation(
    step: Step, tool: Tool | None, history: Mapping[str, ToolHistory], price: Price | None
) -> Expectation:
    """Return what is expected of a step's calls; `tool` is None when nobody here knows it."""
    found = _by_kind(step, tool, price)
    hint = None if tool is None else tool.estimate
    if hint is not None:
        found = _by_author(found, hint, price)
    ref = step.tool if tool is None else tool.ref
    seen = history.get(ref) or history.get(step.tool)
    if seen is not None:
        found = _by_history(found, seen, price)
    return found


def _by_kind(step: Step, tool: Tool | None, price: Price | None) -> Expectation:
    name = step.tool.split("@")[0]
    model = tool.needs_model if tool is not None else name.startswith("llm.")
    seconds, waits = _kind(step, name, tool, model)
    prompt, answer = _tokens(step) if model else (None, None)
    tokens = None
    if prompt is not None and answer is not None:
        tokens = _sum(prompt, answer)
    limit = step.timeout or (tool.timeout if tool is not None else None)
    deadline = step.approval.deadline.total_seconds() if step.approval else math.inf
    return Expectation(
        seconds=seconds,
        longest=math.inf if limit is None or waits else limit.total_seconds(),
        tokens=tokens,
        usd=_price(prompt, answer, price),
        again=_again(tool, model=model, waits=waits),
        failed=0.02,
        effects=tool.effects.value if tool is not None else "unknown",
        waits=waits,
        calls_model=model,
        at_once=None if tool is None else tool.concurrency,
        unsure=0.0 if seconds.low == seconds.high else _PRIOR_DRIFT,
        unsure_spent=_PRIOR_DRIFT,
        founded=waits or (tool is not None and tool.effects is Effects.PURE and not model),
        person=_until(deadline),
    )


def _again(tool: Tool | None, *, model: bool, waits: bool) -> float:
    if waits:
        return 0.0
    return 0.01 if tool is not None and tool.effects is Effects.PURE and not model else 0.05


def _kind(step: Step, name: str, tool: Tool | None, model: bool) -> tuple[Interval, bool]:
    """Return the seconds of a call by the kind of its tool, and whether it waits outside."""
    if name == "time.sleep":
        return _slept(step), True
    if name.startswith("human.") or name == "event.wait":
        return _until(_seconds(step.args.get("deadline") or step.args.get("timeout"))), True
    if name == "flow.run":
        return _CHILD, True
    if model:
        return _MODEL, False
    if tool is not None and tool.process:
        return _PROCESS, False
    pure = tool is not None and (tool.effects is Effects.PURE or name.startswith("file."))
    return (_PURE if pure else _SERVICE), False


def _slept(step: Step) -> Interval:
    given = next((s for value in step.args.values() if (s := _seconds(value)) < math.inf), None)
    return Interval(1.0, 60.0, 3600.0) if given is None else Interval(given, given, given)


def _until(deadline: float) -> Interval:
    return _bounded(_PERSON, deadline)


def _bounded(interval: Interval, most: float) -> Interval:
    return Interval(*(min(v, most) for v in (interval.low, interval.likely, interval.high)))


def _seconds(value: Any) -> float:
    """Return a literal length of time; infinity for what is none."""
    try:
        return parse_duration(value).total_seconds()
    except ValueError:
        return math.inf


def _tokens(step: Step) -> tuple[Interval, Interval]:
    """Return the tokens of prompt and answer, by what the arguments say."""
    text = str(step.args)
    own = len(text) / _CHARACTERS_PER_TOKEN + 20
    references = text.count("${{")
    prompt = Interval(
        *(own + references * v for v in (_REFERENCE.low, _REFERENCE.likely, _REFERENCE.high))
    )
    most = step.args.get("max_tokens")
    bound = float(most) if is_number(most) and most > 0 else math.inf
    return prompt, _bounded(_ANSWER, bound)


def _price(
    prompt: Interval | None, answer: Interval | None, price: Price | None
) -> Interval | None:
    if prompt is None or answer is None:
        return Interval(0.0, 0.0, 0.0)
    if price is None:
        return None
    return _sum(_times(prompt, price.prompt), _times(answer, price.completion))


def _by_author(found: Expectation, hint: CostHint, price: Price | None) -> Expectation:
    tokens = hint.tokens or found.tokens
    usd = hint.usd
    if usd is None:
        usd = _mixed(hint.tokens, price) if hint.tokens is not None else found.usd
    return replace(
        found,
        seconds=hint.seconds or found.seconds,
        tokens=tokens,
        usd=usd,
        founded=found.founded or hint.seconds is not None,
    )


def _by_history(found: Expectation, seen: ToolHistory, price: Price | None) -> Expectation:
    if seen.tokens is not None and seen.spent >= _FEW:
        found = replace(
            found,
            tokens=seen.tokens,
            usd=seen.usd if seen.usd is not None else _mixed(seen.tokens, price),
            unsure_spent=_doubt(seen.tokens, seen.spent),
        )
    if seen.seconds is None or seen.calls < _FEW:
        return found
    return replace(
        found,
        seconds=seen.seconds,
        longest=math.inf,  # what was seen has kept the limit
        again=min(max(1 - 1 / max(seen.attempts, 1.0), 0.0), 0.9),
        failed=seen.failed,
        unsure=_doubt(seen.seconds, seen.calls),
        founded=True,
    )


def _doubt(interval: Interval, calls: int) -> float:
    """Return by how much all calls may differ from what so many of them were like."""
    return math.hypot(_DRIFT, _width(interval) * 1.25 / math.sqrt(calls))


def _width(interval: Interval) -> float:
    """Return the standard deviation of the logarithm."""
    tiny = 1e-6
    return math.log(max(interval.high, tiny) / max(interval.low, tiny)) / 2 / 1.2816


def _mixed(tokens: Interval | None, price: Price | None) -> Interval | None:
    if tokens is None or price is None:
        return None
    each = price.prompt * _PROMPT_PART + price.completion * (1 - _PROMPT_PART)
    return _times(tokens, each)


def _times(interval: Interval, factor: float) -> Interval:
    return Interval(interval.low * factor, interval.likely * factor, interval.high * factor)


def _sum(one: Interval, other: Interval) -> Interval:
    return Interval(one.low + other.low, one.likely + other.likely, one.high + other.high)
