"""A model whose requests and answers are written down; see `flowbuilder.evals.cassettes`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import orjson
from pydantic import BaseModel

from flowbuilder.errors import ModelError
from flowbuilder.evals.cassettes import (
    Cassette,
    Recorded,
    asked,
    error_as_json,
    head_of,
    key_of,
    reply_as_json,
)
from flowbuilder.models import LanguageModel, Message, Reply
from flowbuilder.models.base import StepStream
from flowbuilder.plan import Usage
from flowbuilder.secrecy import REDACTOR
from flowbuilder.settings import Settings
from flowbuilder.types import JsonObject, JsonSchema, JsonValue


class RecordingModel:
    """A `LanguageModel` that passes everything on and writes it down."""

    def __init__(self, model: LanguageModel, settings: Settings) -> None:
        self._model = model
        self._settings = settings
        self._recorded: list[Recorded] = []
        key = settings.model_api_key
        self._secret = key.get_secret_value() if key is not None else ""

    @property
    def name(self) -> str:
        """The name of the model that is recorded."""
        return self._model.name

    @property
    def cassette(self) -> Cassette:
        """What has been recorded so far."""
        return Cassette(
            model=self.name, settings=head_of(self._settings), recorded=tuple(self._recorded)
        )

    async def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> Reply:
        """Return free text."""
        request = asked("generate", messages, None, max_tokens, temperature)
        try:
            reply = await self._model.generate(
                messages, max_tokens=max_tokens, temperature=temperature
            )
        except ModelError as error:
            raise self._failed(request, error) from None
        self.note(request, reply_as_json(reply))
        return reply

    async def extract(
        self,
        messages: Sequence[Message],
        schema: Any,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> tuple[Any, Usage]:
        """Return a value of the given shape."""
        request = asked("extract", messages, schema, max_tokens, temperature)
        try:
            value, usage = await self._model.extract(
                messages, schema, max_tokens=max_tokens, temperature=temperature
            )
        except ModelError as error:
            raise self._failed(request, error) from None
        plain = value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        self.note(request, {"value": plain, "usage": usage.as_json()})
        return value, usage

    def stream_steps(
        self, messages: Sequence[Message], schema: JsonSchema, *, max_tokens: int | None = None
    ) -> RecordedSteps:
        """Return the model's stream, which is written down as it comes."""
        request = asked("stream_steps", messages, schema, max_tokens, None)
        stream = self._model.stream_steps(messages, schema, max_tokens=max_tokens)
        return RecordedSteps(self, request, stream)

    async def complete_steps(
        self, messages: Sequence[Message], schema: JsonSchema, *, max_tokens: int | None = None
    ) -> Reply:
        """Return a whole answer."""
        request = asked("complete_steps", messages, schema, max_tokens, None)
        try:
            reply = await self._model.complete_steps(messages, schema, max_tokens=max_tokens)
        except ModelError as error:
            raise self._failed(request, error) from None
        self.note(request, reply_as_json(reply))
        return reply

    def note(self, request: JsonObject, answer: JsonObject) -> None:
        """Write down a request with its answer, the model's key left out."""
        request, answer = self._scrubbed(request), self._scrubbed(answer)
        self._recorded.append(Recorded(key=key_of(request), request=request, answer=answer))

    def _failed(self, request: JsonObject, error: ModelError) -> ModelError:
        self.note(request, {"error": error_as_json(error)})
        return error

    def _scrubbed(self, value: JsonObject) -> JsonObject:
        value = cast(JsonObject, REDACTOR.json(value))
        if not self._secret:
            return value
        text = orjson.dumps(value).decode().replace(self._secret, "***")
        scrubbed: JsonObject = orjson.loads(text)
        return scrubbed


class RecordedSteps:
    """A stream that is being recorded."""

    def __init__(self, recording: RecordingModel, request: JsonObject, stream: StepStream) -> None:
        self._recording, self._request, self._stream = recording, request, stream

    @property
    def reply(self) -> Reply:
        """The answer as far as it has come."""
        return self._stream.reply

    async def __aiter__(self) -> AsyncIterator[tuple[int, JsonObject]]:
        steps: list[JsonValue] = []
        told: JsonObject = {}
        try:
            async for position, step in self._stream:
                steps.append([position, step])
                yield position, step
        except ModelError as error:
            told = {"error": error_as_json(error)}
            raise
        finally:  # also where the reader has had enough, as of a plan that is too long
            self._recording.note(
                self._request, {**(told or reply_as_json(self.reply)), "steps": steps}
            )
