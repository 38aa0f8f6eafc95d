"""The model that the settings name, called through litellm and instructor."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from flowbuilder.errors import InvalidValue, ModelError
from flowbuilder.models.base import Message, Reply
from flowbuilder.models.call import Call
from flowbuilder.models.endpoint import Endpoint, endpoint, model_name
from flowbuilder.models.failures import truncated
from flowbuilder.models.library import Libraries, load_async
from flowbuilder.models.shapes import AnyStep, AnySteps, carried_schema, response_model, value_of
from flowbuilder.plan import Usage
from flowbuilder.settings import Settings
from flowbuilder.strictjson import loads
from flowbuilder.types import JsonObject, JsonSchema

#: Further answers that `extract` asks for when one does not fit its schema.
_REASKS = 1


class ModelClient:
    """A `LanguageModel` over any provider. Cheap to make: nothing is imported or connected."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @property
    def name(self) -> str:
        """The configured model's name."""
        return model_name(self._settings)

    async def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> Reply:
        """Return free text; an answer cut at the length limit is marked, not refused."""
        call, _, _ = await self._begin()
        try:
            await call.complete(messages=list(messages), **_options(max_tokens, temperature))
        except Exception as error:
            raise _paid(call.fail(error), call) from None
        return _reply(call)

    async def extract(
        self,
        messages: Sequence[Message],
        schema: type[Any] | JsonSchema,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> tuple[Any, Usage]:
        """Return a value of the given shape; an answer that does not fit is asked for again."""
        carried = None if isinstance(schema, type) else carried_schema(schema)
        shape = schema if isinstance(schema, type) else response_model(carried or {})
        call, libraries, found = await self._begin(carried)
        try:
            answer, _ = await _structured(libraries, call, found).create_with_completion(
                messages=list(messages),
                response_model=shape,
                max_retries=_REASKS,
                model=found.model,
                **_options(max_tokens, temperature),
            )
        except Exception as error:
            raise _paid(call.failure or _unfit(call, found, error), call) from None
        _require_plain(call, found)
        if isinstance(schema, type):
            return answer, call.usage
        return value_of(answer, schema), call.usage

    def stream_steps(
        self, messages: Sequence[Message], schema: JsonSchema, *, max_tokens: int | None = None
    ) -> LiveSteps:
        """Return a stream of steps; the request goes out when it is iterated."""
        return LiveSteps(self, messages, schema, _options(max_tokens, 0.0))

    async def complete_steps(
        self, messages: Sequence[Message], schema: JsonSchema, *, max_tokens: int | None = None
    ) -> Reply:
        """Return a whole answer; what is in it is for the caller to judge."""
        call, libraries, found = await self._begin(schema)
        await _complete_steps(libraries, call, found, messages, _options(max_tokens, 0.0))
        return _reply(call)

    async def _begin(self, schema: JsonSchema | None = None) -> tuple[Call, Libraries, Endpoint]:
        model_name(self._settings)
        libraries = await load_async()
        found = endpoint(self._settings, libraries)
        return Call(libraries, found, self._settings, schema=schema), libraries, found


class LiveSteps:
    """The steps of one streamed answer."""

    def __init__(
        self,
        client: ModelClient,
        messages: Sequence[Message],
        schema: JsonSchema,
        options: dict[str, Any],
    ) -> None:
        self._client, self._messages, self._schema = client, list(messages), schema
        self._options = options
        self._call: Call | None = None

    @property
    def reply(self) -> Reply:
        """The answer as far as it has come."""
        return _reply(self._call) if self._call else Reply(text="")

    async def __aiter__(self) -> AsyncIterator[tuple[int, JsonObject]]:
        call, libraries, found = await self._client._begin(self._schema)
        self._call = call
        while True:
            try:
                async for item in self._attempt(call, libraries, found):
                    yield item
            except ModelError as error:
                await call.pause_after(error)
            else:
                return

    async def _attempt(
        self, call: Call, libraries: Libraries, found: Endpoint
    ) -> AsyncIterator[tuple[int, JsonObject]]:
        position = 0
        try:
            async for step in _structured(libraries, call, found).create_iterable(
                messages=self._messages,
                response_model=AnyStep,
                max_retries=0,
                model=found.model,
                **self._options,
            ):
                yield position, step.as_json()
                position += 1
        except Exception as error:
            if call.failure:
                raise call.failure from None
            # What instructor could not read, the caller reads from the whole text.
            if not isinstance(error, ValueError | AssertionError) and not call.text.strip():
                raise call.fail(error) from None
        if not call.text.strip():
            # A server that cannot stream may still answer in one piece.
            await _complete_steps(libraries, call, found, self._messages, self._options)


def _structured(libraries: Libraries, call: Call, found: Endpoint) -> Any:
    mode = libraries.instructor.Mode[found.mode.upper()]
    return libraries.instructor.from_litellm(call.complete, mode=mode)


async def _complete_steps(
    libraries: Libraries,
    call: Call,
    found: Endpoint,
    messages: Sequence[Message],
    options: dict[str, Any],
) -> None:
    """Get a whole answer into `call.text`; only an answer without any text is an error."""
    try:
        await _structured(libraries, call, found).create_with_completion(
            messages=list(messages),
            response_model=AnySteps,
            max_retries=0,
            model=found.model,
            **options,
        )
    except Exception as error:
        if call.failure or not call.text.strip():
            raise (call.failure or call.fail(error)) from None


def _options(max_tokens: int | None, temperature: float | None) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if max_tokens is not None:
        options["max_tokens"] = max_tokens
    if temperature is not None:
        options["temperature"] = temperature
    return options


def _reply(call: Call) -> Reply:
    return Reply(text=call.text, usage=call.usage, truncated=call.finish_reason == "length")


def _paid(error: ModelError, call: Call) -> ModelError:
    """Return an error that says what the call has used."""
    usage = call.usage
    error.tokens, error.usd = usage.prompt_tokens + usage.completion_tokens, usage.cost_usd
    return error


def _require_plain(call: Call, found: Endpoint) -> None:
    """Refuse an answer that two readers could read in two ways. Raises: ModelOutputError."""
    try:
        loads(call.text)
    except InvalidValue as error:
        if error.code == "json_duplicate_key":
            raise _paid(_unfit(call, found, error), call) from None


def _unfit(call: Call, found: Endpoint, error: BaseException) -> ModelError:
    """Name why an answer was refused, without quoting it."""
    from flowbuilder.errors import ModelOutputError

    if call.finish_reason == "length":
        return truncated(found.model)
    cause = error.__cause__ or error
    reasons = getattr(cause, "errors", None)
    detail = "no JSON of the asked shape"
    if callable(reasons):
        listed = reasons(include_input=False, include_url=False, include_context=False)
        detail = "; ".join(str(item["msg"])[:200] for item in listed[:5])
    return ModelOutputError(
        f"{found.model} did not answer in the asked shape: {detail}", code="model_output_invalid"
    )
