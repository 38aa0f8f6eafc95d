"""A model whose answer comes step by step, as a test lets it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from flowbuilder.models import Message, Reply, ScriptedModel
from flowbuilder.types import JsonObject, JsonSchema


class GatedModel(ScriptedModel):
    """Streams its first answer step by step; `give` lets the next steps through, `end` the end."""

    def __init__(self, steps: Sequence[Mapping[str, Any]], *further: Any) -> None:
        super().__init__([{"tasks": [dict(step) for step in steps]}, *further], name="gated")
        self.steps = [dict(step) for step in steps]
        self._gates = [asyncio.Event() for _ in range(len(self.steps) + 1)]
        self._given = 0
        self.failure: Exception | None = None

    def give(self, count: int = 1) -> None:
        for _ in range(count):
            self._gates[self._given].set()
            self._given += 1

    def end(self) -> None:
        for gate in self._gates:
            gate.set()

    def stream_steps(  # type: ignore[override]
        self, messages: Sequence[Message], schema: JsonSchema, *, max_tokens: int | None = None
    ) -> GatedSteps:
        return GatedSteps(self, self._next(messages))

    def gate(self, position: int) -> asyncio.Event:
        return self._gates[position]


class GatedSteps:
    def __init__(self, model: GatedModel, reply: Reply) -> None:
        self._model, self._reply = model, reply

    @property
    def reply(self) -> Reply:
        return self._reply

    async def __aiter__(self) -> AsyncIterator[tuple[int, JsonObject]]:
        for position, step in enumerate(self._model.steps):
            await self._model.gate(position).wait()
            yield position, json.loads(json.dumps(step))
        await self._model.gate(len(self._model.steps)).wait()
        if self._model.failure is not None:
            raise self._model.failure
