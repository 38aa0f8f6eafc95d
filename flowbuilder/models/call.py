"""One call of a model: time limit, retries, length bound, usage. Everything goes through here.

litellm's and instructor's own retries are off, so that tries do not multiply. The time limit
holds for all tries together and for the reading of a stream.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from typing import Any

from flowbuilder.errors import ModelError
from flowbuilder.models.endpoint import Endpoint
from flowbuilder.models.failures import (
    classify,
    declined,
    endless,
    filtered,
    retry_after,
    timed_out,
    truncated,
)
from flowbuilder.models.library import Libraries
from flowbuilder.models.prices import costs_of
from flowbuilder.models.reflected import Reflected
from flowbuilder.models.watching import begin_call, end_call, failing
from flowbuilder.plan import Usage
from flowbuilder.secrecy import REDACTOR
from flowbuilder.settings import Settings
from flowbuilder.telemetry.tracing import NO_SPAN
from flowbuilder.types import JsonSchema

#: No tokenizer writes more characters a token than this on average.
_CHARACTERS_PER_TOKEN = 16
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 8.0
#: Blank characters in a row that no answer has, however it is laid out.
_MOST_BLANKS = 2000


class Call:
    """The state of one call; `complete` has the shape of litellm's `acompletion`."""

    def __init__(
        self,
        libraries: Libraries,
        found: Endpoint,
        settings: Settings,
        *,
        schema: JsonSchema | None = None,
    ) -> None:
        self._libraries = libraries
        self._endpoint = found
        self._deadline = asyncio.get_running_loop().time() + settings.model_timeout.total_seconds()
        self._started = time.monotonic()
        self._tries_left = settings.model_retries
        self._tries = 0
        self._schema = schema
        self._max_tokens = settings.model_max_tokens
        self.failure: ModelError | None = None
        self.given_up = False
        """Whether the failure is final: no try is left, or the provider asks to wait too long."""
        self.text = ""
        self.refusal = ""
        """What the model says in place of an answer, where the protocol tells them apart."""
        self.finish_reason: str | None = None
        self._usage = Usage()
        self._span = NO_SPAN

    @property
    def usage(self) -> Usage:
        """What all tries have consumed so far."""
        spent = Usage(seconds=time.monotonic() - self._started)
        return self._usage + spent

    async def complete(self, **request: Any) -> Any:
        """Send a request, again after failures that may pass; return the response or its stream.

        Raises:
            ModelError: Also noted as `failure`, since instructor wraps what it meets.
        """
        request = self._prepare(request)
        if REDACTOR:  # no prompt carries a secret that this process knows
            request["messages"] = REDACTOR.json(request.get("messages", []))
        while True:
            try:
                return await self._send(request)
            except Exception as error:
                await self.pause_after(error)

    async def pause_after(self, error: Exception) -> None:
        """Wait before the next try.

        Raises:
            ModelError: There is no next try: the error is final, or tries or time are used up.
        """
        failure = self.fail(error)
        if not failure.retryable or self.given_up or self._tries_left <= 0:
            self.given_up = True
            raise failure from None
        self._tries_left -= 1
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**self._tries) * random.uniform(0.5, 1)
        self._tries += 1
        asked = retry_after(error)
        if asked is not None:
            pause = max(pause, asked)
        if asyncio.get_running_loop().time() + pause >= self._deadline:
            self.given_up = True
            raise failure from None
        self.failure = None
        await asyncio.sleep(pause)

    def fail(self, error: BaseException) -> ModelError:
        """Note and return the typed error."""
        self.failure = classify(error, model=self._endpoint.model, key=self._endpoint.api_key)
        return self.failure

    def check_given(self) -> None:
        """Check that the answer was not withheld.

        Raises:
            ModelError: `model_refused`; the model declined, or a content filter held it back.
        """
        model = self._endpoint.model
        if self.finish_reason == "content_filter":
            raise self.fail(filtered(model))
        if self.refusal and not self.text.strip():
            raise self.fail(declined(model, self.refusal, self._endpoint.api_key))

    def _prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        request = {**request, **self._endpoint.arguments()}
        request.setdefault("max_tokens", self._max_tokens)
        self._max_tokens = request["max_tokens"]
        request.update(max_retries=0, num_retries=0, drop_params=True)
        if self._schema is not None:
            _put_schema(request, self._schema)
        if request.get("stream"):
            request["stream_options"] = {"include_usage": True}
        return request

    async def _send(self, request: dict[str, Any]) -> Any:
        self.text, self.refusal, self.finish_reason = "", "", None
        remaining = self._deadline - asyncio.get_running_loop().time()
        if remaining <= 0:
            raise timed_out(self._endpoint.model)
        self._span = begin_call(self._endpoint.model, request.get("messages"))
        with failing(self._span):
            async with asyncio.timeout_at(self._deadline):
                response = await self._libraries.litellm.acompletion(timeout=remaining, **request)
            if request.get("stream"):
                return self._watch(response)
            self._note(response)
        return response

    def _note(self, response: Any) -> None:
        choice = response.choices[0] if getattr(response, "choices", None) else None
        if choice is None:
            raise ValueError("an answer without choices")
        Reflected(self._endpoint.api_key).clean(response)
        self.finish_reason = choice.finish_reason
        self.text = _text_of(choice.message)
        self.refusal = _refusal_of(choice.message)
        self._count(getattr(response, "usage", None))
        self.check_given()

    async def _watch(self, stream: Any) -> AsyncIterator[Any]:
        """Pass chunks on while noting them; end at the time limit and at the length bound."""
        chunks = aiter(stream)
        counted = False
        reflected = Reflected(self._endpoint.api_key)
        try:
            while True:
                try:
                    async with asyncio.timeout_at(self._deadline):
                        chunk = await anext(chunks)
                except StopAsyncIteration:
                    break
                usage = getattr(chunk, "usage", None)
                if usage and not counted:
                    self._count(usage)
                    counted = True
                reflected.clean_piece(chunk)
                self._note_chunk(chunk)
                yield chunk
            for chunk in reflected.rest():
                self._note_chunk(chunk)
                yield chunk
            self.check_given()
        except Exception as error:
            failure = self.fail(error)
            self._span.fail(failure.code)
            raise failure from None
        finally:
            if not counted:
                self._count(None)
            await _close(stream)

    def _note_chunk(self, chunk: Any) -> None:
        piece = ""
        for choice in getattr(chunk, "choices", None) or []:
            piece += _text_of(choice.delta)
            self.refusal += _refusal_of(choice.delta)
            self.finish_reason = choice.finish_reason or self.finish_reason
        self.text += piece
        if len(self.text) > self._max_tokens * _CHARACTERS_PER_TOKEN:
            raise truncated(self._endpoint.model)
        if not piece.strip() and len(self.text) - len(self.text.rstrip()) > _MOST_BLANKS:
            raise endless(self._endpoint.model)

    def _count(self, usage: Any) -> None:
        prompt = int(getattr(usage, "prompt_tokens", 0) or 0)
        completion = int(getattr(usage, "completion_tokens", 0) or 0)
        spent = Usage(
            calls=1,
            prompt_tokens=prompt,
            completion_tokens=completion,
            cost_usd=self._cost(prompt, completion),
        )
        self._usage += spent
        end_call(self._span, self._endpoint.model, spent, self.text, self.finish_reason)

    def _cost(self, prompt: int, completion: int) -> float | None:
        if not prompt and not completion:
            return None
        costs = costs_of(self._libraries, self._endpoint.model, prompt, completion)
        return None if costs is None else sum(costs)


def _text_of(message: Any) -> str:
    """Return the text of a message or a piece of one; in tools mode it is the call's arguments."""
    if message is None:
        return ""
    text: str = getattr(message, "content", None) or ""
    for tool_call in getattr(message, "tool_calls", None) or []:
        text += getattr(tool_call.function, "arguments", None) or ""
    return text


def _refusal_of(message: Any) -> str:
    """Return the refusal in a message or a piece of one; litellm hands it on in either place."""
    own = getattr(message, "refusal", None)
    passed = getattr(message, "provider_specific_fields", None)
    found = own or (passed.get("refusal") if isinstance(passed, dict) else None)
    return found if isinstance(found, str) else ""


def _put_schema(request: dict[str, Any], schema: JsonSchema) -> None:
    """Replace the schema that instructor derived by the exact one."""
    response_format = request.get("response_format")
    if isinstance(response_format, dict) and "json_schema" in response_format:
        named = {**response_format["json_schema"], "schema": schema}
        request["response_format"] = {**response_format, "json_schema": named}
    elif isinstance(response_format, dict) and response_format.get("type") == "json_object":
        asked = f"Answer with one JSON object of this JSON Schema: {json.dumps(schema)}"
        request["messages"] = [*request["messages"], {"role": "user", "content": asked}]
    if request.get("tools"):
        first = request["tools"][0]
        function = {**first["function"], "parameters": schema}
        request["tools"] = [{**first, "function": function}]


async def _close(stream: Any) -> None:
    close = getattr(stream, "aclose", None)
    if close is None:
        return
    try:
        async with asyncio.timeout(1):
            await close()
    except Exception:  # the answer is already in hand, or its failure already known
        return
