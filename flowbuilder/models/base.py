"""What planners and tools may ask of a language model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypedDict, TypeVar, overload

from pydantic import BaseModel

from flowbuilder.plan import Usage
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

Answer = TypeVar("Answer", bound=BaseModel)


class Message(TypedDict):
    """One message of a conversation; `role` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A whole answer. `truncated`: it was cut at the length limit."""

    text: str
    usage: Usage = field(default_factory=Usage)
    truncated: bool = False


class StepStream(Protocol):
    """Steps as the model writes them, then the whole answer.

    Iterating yields `(position, step)`. After a broken connection the answer starts again, so a
    position may come twice. `reply` is complete once the iteration has ended.
    """

    @property
    def reply(self) -> Reply:
        """The answer as far as it has come."""
        ...

    def __aiter__(self) -> AsyncIterator[tuple[int, JsonObject]]: ...


class LanguageModel(Protocol):
    """A language model behind one seam: real, scripted, recorded or hostile."""

    @property
    def name(self) -> str:
        """The model's name as stored with plans.

        Raises:
            ModelError: `model_not_configured`.
        """
        ...

    async def generate(
        self,
        messages: Sequence[Message],
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> Reply:
        """Return free text.

        Raises:
            ModelError: The provider failed; ModelTimeout, ModelOutputError.
        """
        ...

    @overload
    async def extract(
        self,
        messages: Sequence[Message],
        schema: type[Answer],
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> tuple[Answer, Usage]: ...

    @overload
    async def extract(
        self,
        messages: Sequence[Message],
        schema: JsonSchema,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> tuple[JsonValue, Usage]: ...

    async def extract(
        self,
        messages: Sequence[Message],
        schema: type[Any] | JsonSchema,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
    ) -> tuple[Any, Usage]:
        """Return a value of the given shape: a pydantic model's instance, or JSON for a schema.

        Raises:
            ModelError: The provider failed.
            ModelOutputError: The answer did not fit the shape, asked again included.
            InvalidValue: The JSON Schema itself is wrong.
        """
        ...

    def stream_steps(
        self, messages: Sequence[Message], schema: JsonSchema, *, max_tokens: int | None = None
    ) -> StepStream:
        """Ask for `{"tasks": [step, …]}` of the given schema, streamed, at temperature 0.

        Steps come as they are, not checked against the schema. Iterating raises ModelError.
        """
        ...

    async def complete_steps(
        self, messages: Sequence[Message], schema: JsonSchema, *, max_tokens: int | None = None
    ) -> Reply:
        """Ask for the same, not streamed.

        Raises:
            ModelError: The provider failed.
        """
        ...
