"""Tools of MCP servers: offered as they were approved, suspended when they say something else.

Each call holds what the server says at that moment against what was approved, in the conversation
in which the tool is then called. So a description that was changed behind the approver's back, the
way in for instructions to a planner, changes nothing but the tool's state.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol

from flowbuilder.errors import DefinitionError, ExecutionError, InvalidValue
from flowbuilder.schemas import schema_problems
from flowbuilder.strictjson import Limits, check, dumps
from flowbuilder.toolkit.connections import McpServer, effects_of
from flowbuilder.toolkit.imported.mcp_client import call_tool, fingerprint
from flowbuilder.toolkit.imported.names import one_line, tool_name
from flowbuilder.tools import Context, Effects, Fail, Tool
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

log = logging.getLogger(__name__)

#: Versions before the approved one that are known as outdated.
_MOST_EARLIER = 50
_CLOSING = timedelta(seconds=10)

NEW = "the server offers it since its tools were approved"
CHANGED = "its server describes it otherwise than it was approved"
RENEWED = "another description of it was approved since; make the step anew"
GONE = "its server does not offer it any more"


class Pin(Protocol):
    """What is known of a tool."""

    @property
    def tool(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def descriptor(self) -> JsonObject: ...
    @property
    def status(self) -> str: ...
    @property
    def reason(self) -> str | None: ...


class PinBook(Protocol):
    """Where approvals of tools are kept."""

    async def find(self, server: str, tool: str) -> Pin | None:
        """Return what is known of a tool."""
        ...

    async def suspend(self, server: str, tool: str, found: JsonObject, reason: str) -> None:
        """Take note that a tool is not to be used."""
        ...


def tools_of(name: str, server: McpServer, pins: list[Any], book: PinBook) -> list[Tool]:
    """Return the tools of a server that were approved once, as they were approved.

    One that is suspended now is among them, so that a flow which uses it fails with the reason; one
    that never was approved is not. What makes no tool is left out with a warning.
    """
    tools: dict[str, Tool] = {}
    for pin in pins:
        if pin.reason == NEW or (server.tools is not None and pin.tool not in server.tools):
            continue
        try:
            tool = _tool(name, server, pin, book)
            if tool.ref in tools:
                raise InvalidValue(f"{tool.name} is another one's name", code="mcp_tool")
            tools[tool.ref] = tool
            for old in _earlier(name, tool, pin):
                tools[old.ref] = old
        except (InvalidValue, DefinitionError) as error:
            log.warning("%s: the tool %.80r is left out: %s", name, pin.tool, error.message)
    return list(tools.values())


def _tool(name: str, server: McpServer, pin: Pin, book: PinBook) -> Tool:
    last = tool_name(pin.tool)
    if last is None:
        raise InvalidValue("its name is not plain", code="mcp_tool")
    called = f"{name}.{last}"
    described = pin.descriptor
    title = described.get("title")
    return Tool(
        name=called,
        version=pin.version,
        summary=one_line(described.get("description") or title, f"Call {last} of {name}."),
        handler=_handler(name, server, pin, book),
        input_schema=_input_schema(described.get("inputSchema")),
        output_schema=_output_schema(described.get("outputSchema")),
        effects=effects_of(pin.tool, server.effects, Effects.EXTERNAL),
        untrusted_output=True,
        timeout=server.timeout + _CLOSING,  # the conversation is ended before the attempt is
    )


def _earlier(name: str, tool: Tool, pin: Pin) -> list[Tool]:
    """Return the versions before: flows that were made with them fail, and say why."""

    async def outdated(**arguments: Any) -> JsonValue:
        raise _suspended(name, pin, RENEWED)

    oldest = max(1, pin.version - _MOST_EARLIER)
    return [
        replace(tool, version=version, handler=outdated) for version in range(oldest, pin.version)
    ]


def _input_schema(given: Any) -> JsonSchema:
    schema = _usable(given if isinstance(given, dict) else {})
    if schema.get("type", "object") != "object":
        raise InvalidValue("its arguments are no object", code="mcp_tool")
    whole = {"properties": {}, "additionalProperties": False, **schema, "type": "object"}
    return {key: value for key, value in whole.items() if key not in ("$schema", "$id")}


def _output_schema(given: Any) -> JsonSchema:
    """Return what a call gives: what the server declares, else its texts."""
    if isinstance(given, dict) and given:
        schema = _usable(given)
        return {key: value for key, value in schema.items() if key not in ("$schema", "$id")}
    return {
        "type": "object",
        "properties": {
            "text": {"type": "string", "description": "The texts of the answer."},
            "data": {"description": "Structured data, if the server gives some."},
        },
        "required": ["text", "data"],
    }


def _usable(schema: JsonObject) -> JsonSchema:
    problems = schema_problems(schema, "")
    if problems:
        raise InvalidValue(problems[0].message, code="mcp_tool")
    return schema


def _handler(name: str, server: McpServer, pin: Pin, book: PinBook) -> Callable[..., Any]:
    async def handler(__flowbuilder_context: Context, **arguments: Any) -> JsonValue:
        return await _call(name, server, pin, book, __flowbuilder_context, arguments)

    return handler


async def _call(
    name: str,
    server: McpServer,
    pin: Pin,
    book: PinBook,
    context: Context,
    arguments: JsonObject,
) -> JsonValue:
    """Call a tool as it was approved.

    Raises:
        Fail: `tool_suspended`, `mcp_tool_failed`, `mcp_too_large`, and what reaching it raises.
    """
    known = await book.find(name, pin.tool)
    if known is None or known.status != "approved":
        raise _suspended(name, pin, (known and known.reason) or "it was not approved")
    if known.fingerprint != pin.fingerprint:
        raise _suspended(name, pin, RENEWED)
    seen: dict[str, JsonObject] = {}

    def judge(listed: Mapping[str, JsonObject]) -> None:
        seen.update(listed)
        if pin.tool not in listed:
            raise _suspended(name, pin, GONE)
        if fingerprint(listed[pin.tool]) != pin.fingerprint:
            raise _suspended(name, pin, CHANGED)

    try:
        answer = await call_tool(
            server,
            context.secrets,
            pin.tool,
            arguments,
            judge=judge,
            allow_private=context.settings.http_allow_private,
        )
    except _Suspended as error:
        await book.suspend(name, pin.tool, seen.get(pin.tool, {}), error.why)
        raise
    return _result(answer, pin, context.settings.max_value_bytes)


class _Suspended(Fail):
    def __init__(self, message: str, why: str) -> None:
        super().__init__(message, code="tool_suspended")
        self.why = why


def _suspended(name: str, pin: Pin, why: str) -> _Suspended:
    return _Suspended(f"the tool {pin.tool[:80]} of {name} is suspended: {why}", why)


def _result(answer: Any, pin: Pin, max_bytes: int) -> JsonValue:
    """Return a call's result as JSON. Raises: Fail (mcp_too_large), ExecutionError."""
    texts = [item.text for item in answer.content if getattr(item, "type", "") == "text"]
    text = "\n".join(texts)
    if answer.is_error:
        raise ExecutionError(f"{pin.tool[:80]} failed: {text[:500]}", code="mcp_tool_failed")
    data = check(answer.structured_content, limits=Limits(bytes=max_bytes))
    result: JsonValue = {"text": text, "data": data}
    if pin.descriptor.get("outputSchema"):
        result = data
    if len(dumps(result)) > max_bytes:
        raise Fail(f"the answer is larger than {max_bytes} bytes", code="mcp_too_large")
    return result
