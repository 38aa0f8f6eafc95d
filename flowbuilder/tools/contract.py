"""What a tool is: effects, the task's context, and what a handler may raise or return.

A tool is made with `@tool` from a function's type hints, or built as a `Tool` value. Handlers may
take a `Context`; what they may raise (`Retry`, `Fail`) or return (`Wait`, in `waits.py`) is the
whole protocol between a tool and the engine.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from flowbuilder.costs import CostHint
from flowbuilder.errors import DefinitionError, InvalidValue
from flowbuilder.flow import TOOL_PATTERN
from flowbuilder.limits import Rate, read_concurrency, read_rate
from flowbuilder.strictjson import DOCUMENT_LIMITS, check
from flowbuilder.tools.schema import Signature, local_references
from flowbuilder.types import JsonObject, JsonSchema, JsonValue, is_number, parse_duration

if TYPE_CHECKING:
    from psycopg import AsyncConnection

    from flowbuilder.settings import Settings


class Effects(StrEnum):
    """What a tool does to the world, from harmless to what cannot be undone."""

    PURE = "pure"
    READ = "read"
    WRITE = "write"
    EXTERNAL = "external"
    IRREVERSIBLE = "irreversible"


#: The effects of what changes nothing: it may happen twice, or for nothing.
HARMLESS = frozenset({Effects.PURE, Effects.READ})


class Retry(Exception):
    """Raised by a handler: try again, after a given time if one is named.

    `after` is `"30s"`, seconds or a timedelta; what lies in the past means at once. ValueError: it
    is no time, or longer than ten years.
    """

    def __init__(self, reason: str = "", *, after: timedelta | float | str | None = None) -> None:
        super().__init__(reason or "the tool asked for another attempt")
        self.after = None if after is None else _delay(after)


def _delay(after: timedelta | float | str) -> timedelta:
    over = after < timedelta(0) if isinstance(after, timedelta) else is_number(after) and after < 0
    return timedelta(0) if over else parse_duration(after)


class Fail(Exception):
    """Raised by a handler: this will never work, do not try again."""

    def __init__(self, reason: str, *, code: str = "tool_failed") -> None:
        super().__init__(reason)
        self.code = code


class Secrets(Protocol):
    """Look-up of secret values by name, at the moment of use."""

    def get(self, name: str) -> str:
        """Return a value that this tool may read. Raises: NotFound, Fail (secret_not_allowed)."""
        ...

    async def fetch(self, name: str, *, url: str | None = None) -> str:
        """Return a value from wherever it is kept, other managers included.

        With `url` it is held against the hosts that the secret may be sent to.

        Raises:
            NotFound, Fail (secret_not_allowed).
        """
        ...


@runtime_checkable
class Context(Protocol):
    """What a handler may know and do about the task it works on.

    A handler takes it by a parameter annotated `Context` (any name, any position).
    """

    @property
    def run_id(self) -> str:
        """The run's id (UUID text)."""
        ...

    @property
    def workspace(self) -> str:
        """The id of the workspace that the run belongs to (UUID text)."""
        ...

    @property
    def step_id(self) -> str:
        """The step's id in its flow."""
        ...

    @property
    def task_id(self) -> str:
        """The task's id."""
        ...

    @property
    def index(self) -> int | None:
        """The element's place in a mapped step, counted from 0; None otherwise."""
        ...

    @property
    def attempt(self) -> int:
        """Which attempt this is, counted from 1."""
        ...

    @property
    def idempotency_key(self) -> str:
        """The same text on every attempt of this task: hand it to outside systems."""
        ...

    @property
    def settings(self) -> Settings:
        """The settings of the process."""
        ...

    @property
    def secrets(self) -> Secrets:
        """Secret values by name."""
        ...

    @property
    def cancelled(self) -> bool:
        """Whether the task was cancelled, timed out or lost: stop and clean up."""
        ...

    @property
    def connection(self) -> AsyncConnection[Any]:
        """A psycopg connection inside the transaction of a transactional tool.

        What is written on it and the completion of the task commit together, so it happens exactly
        once. It lies on flowbuilder's own database; do not commit, and do not keep it.

        Raises:
            ExecutionError: The tool is not declared `transactional` (no_connection).
        """
        ...

    async def emit(
        self,
        name: str,
        key: str = "",
        payload: JsonValue = None,
        *,
        keep: str | float | timedelta | None = None,
    ) -> None:
        """Emit an event from a transactional tool, exactly once: with the task's completion.

        Every wait for this name and key completes with the payload, also those that begin within
        `keep` (`settings.event_life` by default). The first of a name and key stands.

        Raises:
            ExecutionError: The tool is not declared `transactional` (no_connection).
            InvalidValue: Name, key or payload can be none.
        """
        ...

    @property
    def tokens_left(self) -> int | None:
        """Tokens that are left of the run's budget, None when they are not bounded."""

    @property
    def usd_left(self) -> float | None:
        """US dollars that are left of the run's budget, None when they are not bounded."""

    def spend(self, tokens: int = 0, usd: float | None = None) -> None:
        """Take note of tokens and money that this attempt has spent, whatever comes of it.

        `usd` None: the price is not known, which is not nothing. It is written with the outcome of
        the attempt; one that was lost leaves no trace in the books. Works from any thread.

        Raises:
            InvalidValue: It is no number, or negative (spending_invalid).
        """

    def progress(self, fraction: float | None = None, message: str | None = None) -> None:
        """Report progress (0 to 1); appears as a `task_progress` event. Never blocks."""
        ...


Handler = Callable[..., Any]
_NAME = re.compile(TOOL_PATTERN)
#: With the version behind it: flows name the tool that they were checked with so.
_LONGEST_NAME = 200


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A named, versioned callable with schemas and declared effects."""

    name: str
    """Dotted, lower case: `http.request`."""
    summary: str
    """One sentence, what it does, in words a planner can match a goal against."""
    handler: Handler = field(repr=False)
    """The function itself. Async, plain (run in a thread) or, with `process`, run in a killable
    process. `flowbuilder.tools.bind` turns JSON arguments into a call of it."""
    input_schema: JsonSchema = field(repr=False, hash=False)
    """JSON Schema (2020-12) of the arguments object; `additionalProperties` is false."""
    output_schema: JsonSchema = field(repr=False, hash=False)
    """JSON Schema of the result; `{}` means anything."""
    effects: Effects = Effects.PURE
    version: int = 1
    output_from: str | None = None
    """The argument that is the JSON Schema of the result, for tools that give what they are asked
    for; where it is left out, its default is."""
    untrusted_output: bool = False
    """The result holds text that somebody outside wrote (web pages, mails, model output)."""
    timeout: timedelta = timedelta(seconds=60)
    """Default time limit of one attempt."""
    process: bool = False
    transactional: bool = False
    """The handler writes on `context.connection`: that and the task's completion commit together.
    For async handlers: a plain function that does not stop could not be rolled back in time."""
    concurrency: int | None = None
    """How many calls may run at once, over all workers and runs; an administrator's limit on the
    tool's name counts instead."""
    rate: Rate | str | None = None
    """How many calls may start in a span of time: `"10/s"`."""
    needs_model: bool = False
    """Cannot work without a configured model; workers without one do not claim it."""
    keywords: tuple[str, ...] = ()
    """Words and phrases a person might use for this; read by the rule planner and retrieval."""
    estimate: CostHint | None = None
    examples: tuple[str, ...] = ()
    """Clauses such as 'email the report to bob@example.org', for planners and docs."""
    foresees: Callable[[JsonObject], Iterable[tuple[str, str]]] | None = field(
        default=None, repr=False, compare=False
    )
    """Says for what of its arguments a call would be refused as things stand, before anything runs:
    a JSON pointer into them, and why. Texts may hold references, of which nothing is known yet."""
    signature: Signature | None = field(default=None, repr=False, compare=False)
    """How JSON becomes the function's parameters; None for a tool that takes JSON as it is."""

    def __post_init__(self) -> None:
        """Refuse what no registry, flow or worker could use. Raises: DefinitionError."""
        too_long = len(self.ref) > _LONGEST_NAME
        if not _NAME.fullmatch(self.name) or "@" in self.name or too_long:
            raise DefinitionError(
                f"{self.name[:80]!r} is no tool name",
                code="tool_invalid",
                hint="Use letters, digits and underscores, with dots between parts: mail.send.",
            )
        if type(self.version) is not int or self.version < 1:
            raise DefinitionError(f"{self.name}: a version is counted from 1", code="tool_invalid")
        if self.timeout <= timedelta(0):
            raise DefinitionError(f"{self.name}: the timeout is not positive", code="tool_invalid")
        if self.process and self.is_async:
            raise DefinitionError(
                f"{self.name}: process=True is for plain functions, this one is async",
                code="tool_invalid",
            )
        if self.transactional and not self.is_async:
            raise DefinitionError(
                f"{self.name}: a transactional tool is an async function",
                code="tool_invalid",
                hint="Write `async def`, and await what you do on context.connection.",
            )
        try:
            read_concurrency(self.concurrency, "/concurrency")
            object.__setattr__(self, "rate", read_rate(self.rate, "/rate"))
        except InvalidValue as error:
            raise DefinitionError(f"{self.name}: {error.message}", code="tool_invalid") from None
        for reference in local_references([self.input_schema, self.output_schema]):
            if not reference.startswith("#"):
                raise DefinitionError(
                    f"{self.name}: the schema refers to {reference!r}",
                    code="tool_invalid",
                    hint="A tool's schemas must be self-contained.",
                )
        for name in ("input_schema", "output_schema"):
            self._check_json(name)
        self._check_output_from()

    def _check_output_from(self) -> None:
        if self.output_from and self.output_from not in self.input_schema.get("properties", {}):
            raise DefinitionError(
                f"{self.name}: output_from: there is no argument {self.output_from!r}",
                code="tool_invalid",
            )

    def _check_json(self, name: str) -> None:
        """Refuse a schema that no answer could carry, such as one with NaN for a default."""
        try:
            check(getattr(self, name), limits=DOCUMENT_LIMITS)
        except InvalidValue as error:
            raise DefinitionError(
                f"{self.name}: {name}{error.pointer}: {error.message}",
                code="tool_invalid",
                hint="Defaults and bounds of parameters stand in the schema; None is one for any.",
            ) from None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the plain function, as if it had never been declared a tool."""
        return self.handler(*args, **kwargs)

    def __reduce__(self) -> Any:
        """Pickle by module and name, so that a tool reaches another process."""
        module = getattr(self.handler, "__module__", None)
        name = getattr(self.handler, "__qualname__", "")
        if self._importable(module, name):
            return _restore, (module, name)
        return super().__reduce__()

    def _importable(self, module: str | None, qualified_name: str) -> bool:
        found: Any = sys.modules.get(module or "")
        for part in qualified_name.split("."):
            found = getattr(found, part, None)
        return found is self

    @property
    def is_async(self) -> bool:
        """Whether calling the handler gives an awaitable."""
        call = getattr(self.handler, "__call__", None)  # noqa: B004 - an object with async call
        return inspect.iscoroutinefunction(self.handler) or inspect.iscoroutinefunction(call)

    @property
    def ref(self) -> str:
        """`name@version`."""
        return f"{self.name}@{self.version}"

    def describe(self) -> JsonObject:
        """Return name, version, summary, effects and schemas as JSON, for HTTP, CLI and prompts."""
        return {
            "name": self.name,
            "version": self.version,
            "summary": self.summary,
            "effects": self.effects.value,
            "untrusted_output": self.untrusted_output,
            "needs_model": self.needs_model,
            "input_schema": self.input_schema,
            "output_schema": self.output_schema,
        }


def _restore(module: str, qualified_name: str) -> Any:
    """Find a pickled tool again in the process that unpickles it."""
    import importlib

    found: Any = importlib.import_module(module)
    for part in qualified_name.split("."):
        found = getattr(found, part)
    return found
