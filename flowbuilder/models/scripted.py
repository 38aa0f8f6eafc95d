"""A model that answers from a list: for tests, examples and evaluations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from flowbuilder.errors import ModelError, ModelOutputError
from flowbuilder.models.base import Message, Reply
from flowbuilder.models.shapes import carried_schema, response_model, value_of
from flowbuilder.plan import Usage
from flowbuilder.types import JsonObject, JsonSchema, JsonValue


class ScriptedModel:
    """A `LanguageModel` that gives prepared answers in order and remembers what it was asked.

    An answer is a text, a JSON value (sent as its text), or an exception to raise. After the last
    one every further call fails with `model_unavailable`.
    """

    def __init__(self, answers: Iterable[JsonValue | Exception], *, name: str = "scripted") -> None:
        self._answers = list(answers)
        self.name = name
        self.requests: list[list[Message]] = []
        """The messages of every call, in order."""

    async def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> Reply:
        """Return the next answer as text."""
        return self._next(messages)

    async def extract(
        self,
        messages: Sequence[Message],
        schema: type[Any] | JsonSchema,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> tuple[Any, Usage]:
        """Return the next answer in the asked shape. Raises: ModelOutputError."""
        reply = self._next(messages)
        shape: type[BaseModel] = schema if isinstance(schema, type) else self._shape(schema)
        try:
            answer = shape.model_validate_json(reply.text)
        except ValidationError as error:
            listed = error.errors(include_input=False, include_url=False, include_context=False)
            raise ModelOutputError(
                f"{self.name} did not answer in the asked shape: {listed[0]['msg']}"
            ) from None
        return (answer if isinstance(schema, type) else value_of(answer, schema)), reply.usage

    def stream_steps(
        self, messages: Sequence[Message], schema: JsonSchema, *, max_tokens: int | None = None
    ) -> ScriptedSteps:
        """Return the steps of the next answer one by one."""
        return ScriptedSteps(self, messages)

    async def complete_steps(
        self, messages: Sequence[Message], schema: JsonSchema, *, max_tokens: int | None = None
    ) -> Reply:
        """Return the next answer."""
        return self._next(messages)

    @staticmethod
    def _shape(schema: JsonSchema) -> type[BaseModel]:
        return response_model(carried_schema(schema))

    def _next(self, messages: Sequence[Message]) -> Reply:
        self.requests.append([Message(**message) for message in messages])
        if not self._answers:
            raise ModelError(f"{self.name} has no further answer.", code="model_unavailable")
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        text = answer if isinstance(answer, str) else orjson.dumps(answer).decode()
        return Reply(text=text, usage=Usage(calls=1))


class ScriptedSteps:
    """The stream of one scripted answer."""

    def __init__(self, model: ScriptedModel, messages: Sequence[Message]) -> None:
        self._model, self._messages = model, messages
        self._reply = Reply(text="")

    @property
    def reply(self) -> Reply:
        """The answer, once iteration has begun."""
        return self._reply

    async def __aiter__(self) -> AsyncIterator[tuple[int, JsonObject]]:
        self._reply = self._model._next(self._messages)
        try:
            answer = orjson.loads(self._reply.text)
        except ValueError:
            return
        steps = answer.get("tasks") if isinstance(answer, dict) else None
        for position, step in enumerate(steps if isinstance(steps, list) else []):
            if isinstance(step, dict):
                yield position, step
