"""A simulated world: tools of a catalogue that answer with seeded data and keep a ledger.

What a call answers depends on seed, tool and arguments and on nothing else: not on the order of
calls, not on time, not on how often it was called. So two runs of the same plan give the same
result, and an interpreter of a call graph can be held against the engine.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Iterable, Mapping
from datetime import timedelta
from random import Random
from typing import Any

import orjson

from flowbuilder.errors import NotFound
from flowbuilder.evals.catalogue import ToolSpec, tool_of
from flowbuilder.evals.world.clock import Clock, VirtualClock
from flowbuilder.evals.world.faults import FaultInjector, FaultKind, misfit
from flowbuilder.evals.world.ledger import Entry, Ledger
from flowbuilder.evals.world.values import value_for
from flowbuilder.tools import Context, Fail, Tool, ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

#: Real time that one attempt may take; what times out on purpose takes all of it.
TIME_LIMIT = timedelta(seconds=30)


class World:
    """Simulated tools, their ledger, their faults and their clock."""

    def __init__(
        self,
        specs: Iterable[ToolSpec],
        *,
        seed: int = 0,
        faults: FaultInjector | None = None,
        clock: Clock | None = None,
        injected: Mapping[str, str] | None = None,
        time_limit: timedelta = TIME_LIMIT,
    ) -> None:
        """Make a world.

        Args:
            specs: Its tools.
            seed: Of everything that they answer.
            faults: What goes wrong; nothing by default.
            clock: A `VirtualClock` by default.
            injected: By tool, a text that somebody has smuggled into its answers and its errors.
            time_limit: Real time that one attempt of a tool may take.
        """
        self.specs = {spec.name: spec for spec in specs}
        self.seed = seed
        self.ledger = Ledger()
        self.clock: Clock = clock or VirtualClock()
        self.in_flight = 0
        """How many calls are under way."""
        self.awake = 0
        """How many of them do not wait for the clock."""
        self._faults = faults or FaultInjector()
        self._injected = dict(injected or {})
        self._time_limit = time_limit

    def output(self, tool: str, args: JsonObject) -> JsonValue:
        """Return what a tool answers, always the same for the same arguments.

        Raises:
            NotFound: `tool_unknown`.
            InvalidValue: Nothing fits the tool's output schema (schema_unsatisfied).
        """
        spec = self.specs.get(tool)
        if spec is None:
            raise NotFound(f"the world has no tool {tool[:200]!r}", code="tool_unknown")
        key = orjson.dumps([self.seed, tool, _same(args)], option=orjson.OPT_SORT_KEYS)
        random = Random(int.from_bytes(hashlib.sha256(key).digest()[:16], "big"))
        value = value_for(spec.output_schema, random, name=tool.rpartition(".")[2])
        text = self._injected.get(tool)
        return value if text is None else with_text(value, text)

    def tools(self) -> list[Tool]:
        """Return the tools for a registry, one for each specification."""
        return [self._tool(spec) for spec in self.specs.values()]

    def registry(self) -> ToolRegistry:
        """Return the world's tools as all the tools there are."""
        return ToolRegistry(self.tools())

    def _tool(self, spec: ToolSpec) -> Tool:
        async def call(*, flowbuilder_context: Context, **args: Any) -> Any:
            return await self._call(spec, args, flowbuilder_context)

        return tool_of(spec, call, timeout=self._time_limit)

    async def _call(self, spec: ToolSpec, args: JsonObject, context: Context) -> JsonValue:
        self.in_flight += 1
        self.awake += 1
        try:
            return await self._work(spec, args, context)
        finally:
            self.in_flight -= 1
            self.awake -= 1

    async def _work(self, spec: ToolSpec, args: JsonObject, context: Context) -> JsonValue:
        number = self.ledger.begin(self._entry(spec, args, context))
        fault = self._faults.next(spec.name, args, context.idempotency_key)
        if fault is not None:
            self.ledger.note(number, fault=fault)
        if fault is FaultKind.TIME_OUT:
            await self._wait(asyncio.Event().wait())
        await self._wait(self.clock.sleep(spec.takes(args)))
        if fault is FaultKind.GIVE_UP:
            raise Fail(self._said(spec, "will not do this"), code="simulated_refusal")
        if fault is FaultKind.FAIL:
            raise ConnectionError(self._said(spec, "is away for a moment"))
        value = self.output(spec.name, args)
        self.ledger.note(number, acted=True, ended=self.clock.now())
        if fault is FaultKind.FAIL_AFTER:
            raise ConnectionError(f"the answer of {spec.name} was lost")
        return misfit(spec.output_schema) if fault is FaultKind.WRONG_SHAPE else value

    def _said(self, spec: ToolSpec, why: str) -> str:
        """Return the message of an error, with what somebody has smuggled into it."""
        return " ".join(filter(None, (spec.name, why, self._injected.get(spec.name))))

    async def _wait(self, until: Awaitable[object]) -> None:
        """Wait for the clock, or for the end of the attempt: meanwhile the world may go on."""
        self.awake -= 1
        try:
            await until
        finally:
            self.awake += 1

    def _entry(self, spec: ToolSpec, args: JsonObject, context: Context) -> Entry:
        return Entry(
            number=0,
            tool=spec.name,
            effects=spec.effects,
            args=args,
            run_id=context.run_id,
            step_id=context.step_id,
            task_id=context.task_id,
            index=context.index,
            attempt=context.attempt,
            idempotency_key=context.idempotency_key,
            began=self.clock.now(),
        )


def with_text(value: JsonValue, text: str) -> JsonValue:
    """Return a value with a text written behind the longest of its texts, or in its place."""
    places = list(_texts(value, ()))
    if not places:
        return value
    longest = max(places, key=lambda place: len(place[1]))[0]
    return _replaced(value, longest, text)


def _same(value: JsonValue) -> JsonValue:
    """Return a value so that equal numbers are written alike: 3.0 is 3."""
    if isinstance(value, dict):
        return {key: _same(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_same(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return str(value)  # what is written here has no room for such a number
    return value


Path = tuple[str | int, ...]


def _texts(value: JsonValue, path: Path) -> Iterable[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(item, (*path, index))


def _replaced(value: JsonValue, path: Path, text: str) -> JsonValue:
    if not path:
        return f"{value} {text}"
    first, rest = path[0], path[1:]
    if isinstance(value, dict):
        return {
            key: _replaced(item, rest, text) if key == first else item
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [
            _replaced(item, rest, text) if index == first else item
            for index, item in enumerate(value)
        ]
    return value
