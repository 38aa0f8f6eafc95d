"""The common part of simulated models: one answer to one request, in every shape of the seam."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from flowbuilder.errors import ModelOutputError
from flowbuilder.evals.models.reading import Written, steps_in
from flowbuilder.models.base import Message, Reply
from flowbuilder.models.shapes import carried_schema, response_model, value_of
from flowbuilder.plan import Usage
from flowbuilder.types import JsonObject, JsonSchema

#: Characters of one simulated token.
CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """What a model is asked."""

    kind: Literal["text", "value", "steps"]
    messages: tuple[Message, ...]
    schema: JsonSchema | None = None
    """Of the object that is asked for; None for text."""

    @property
    def text(self) -> str:
        """All that the model is told, the newest last."""
        return "\n".join(message["content"] for message in self.messages)


class SimulatedModel(ABC):
    """A `LanguageModel` that answers by `answer`; everything else is derived from it.

    Tokens are counted as four characters each, so that estimates and budgets have something to
    work on.
    """

    name = "simulated"

    def __init__(self) -> None:
        self.requests: list[Request] = []
        """Every request, in order."""
        self.usages: list[Usage] = []
        """What the answer to each of them took."""

    @abstractmethod
    async def answer(self, request: Request) -> str:
        """Return the whole answer. Raises: ModelError."""

    async def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> Reply:
        """Return free text."""
        return await self._whole(_request("text", messages, None))

    async def extract(
        self,
        messages: Sequence[Message],
        schema: type[Any] | JsonSchema,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> tuple[Any, Usage]:
        """Return the answer in the asked shape. Raises: ModelOutputError."""
        typed = isinstance(schema, type)
        carried = schema.model_json_schema() if isinstance(schema, type) else carried_schema(schema)
        reply = await self._whole(_request("value", messages, carried))
        shape: type[BaseModel] = schema if isinstance(schema, type) else response_model(carried)
        try:
            answer = shape.model_validate_json(reply.text)
        except ValidationError as error:
            listed = error.errors(include_input=False, include_url=False, include_context=False)
            raise ModelOutputError(
                f"{self.name} did not answer in the asked shape: {listed[0]['msg']}"
            ) from None
        if typed or not isinstance(schema, dict):
            return answer, reply.usage
        return value_of(answer, schema), reply.usage

    def stream_steps(
        self, messages: Sequence[Message], schema: JsonSchema, *, max_tokens: int | None = None
    ) -> SimulatedSteps:
        """Return the steps of the answer one by one."""
        return SimulatedSteps(self, _request("steps", messages, schema))

    async def complete_steps(
        self, messages: Sequence[Message], schema: JsonSchema, *, max_tokens: int | None = None
    ) -> Reply:
        """Return the whole answer."""
        return await self._whole(_request("steps", messages, schema))

    async def _whole(self, request: Request) -> Reply:
        reply = await self.reply(request)
        async for _ in self.paced(reply.text, ()):
            pass
        return reply

    async def reply(self, request: Request) -> Reply:
        """Return the answer with what it took, before it is written out."""
        self.requests.append(request)
        text = await self.answer(request)
        self.usages.append(usage_of(request, text))
        return Reply(text=text, usage=self.usages[-1])

    async def paced(self, text: str, steps: Sequence[Written]) -> AsyncIterator[Written]:
        """Yield the steps of an answer as they are written, and end with it; here all at once."""
        for step in steps:
            yield step


class SimulatedSteps:
    """The stream of one simulated answer."""

    def __init__(self, model: SimulatedModel, request: Request) -> None:
        self._model, self._request = model, request
        self._reply = Reply(text="")

    @property
    def reply(self) -> Reply:
        """The answer, once iteration has begun."""
        return self._reply

    async def __aiter__(self) -> AsyncIterator[tuple[int, JsonObject]]:
        self._reply = await self._model.reply(self._request)
        text = self._reply.text
        position = 0
        async for step in self._model.paced(text, steps_in(text)):
            yield position, step.step
            position += 1


def usage_of(request: Request, text: str) -> Usage:
    """Return what an answer took, counted in characters."""
    told = sum(len(message["content"]) for message in request.messages)
    return Usage(
        calls=1,
        prompt_tokens=-(-told // CHARACTERS_PER_TOKEN),
        completion_tokens=-(-len(text) // CHARACTERS_PER_TOKEN),
    )


def _request(
    kind: Literal["text", "value", "steps"], messages: Sequence[Message], schema: JsonSchema | None
) -> Request:
    copied = tuple(Message(role=item["role"], content=item["content"]) for item in messages)
    return Request(kind=kind, messages=copied, schema=schema)
