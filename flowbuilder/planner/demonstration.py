"""Show a small model how the tools of a catalogue go together, by examples made of those tools.

Examples about other tools teach the form of an answer; these teach that a page is loaded before
it is translated, and then sent. A catalogue that reads no files and pages needs none: there they
would only turn the model towards the tools they happen to show. They depend on nothing but the
catalogue, so that a server which caches prefixes reads them once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from flowbuilder.planner.argument_names import FILES
from flowbuilder.planner.coercion import kinds_of, takes_texts, texts_of
from flowbuilder.tools import HARMLESS, Effects, Tool
from flowbuilder.types import JsonObject, JsonValue

#: What is told in an example, and now and then in a plan.
EXAMPLE_TEXT = "All is well"
#: Arguments that take what another step found, in the order in which they are looked for.
_CONTENTS = (
    "body", "message", "text", "content", "contents", "data", "document", "csv", "json", "html",
    "comment", "description", "rows", "records", "items", "table",
)  # fmt: skip
_MOST = 6
_FILE, _PAGE = "one.txt", "https://pages.example/one"
#: Values that no goal has, by the names of the arguments which take such.
_SAMPLES = {
    **dict.fromkeys(("url", "uri", "link", "endpoint"), _PAGE),
    **dict.fromkeys(("to", "email", "recipient", "recipients", "mail"), "lee@desk.example"),
    **dict.fromkeys(("phone", "phone_number", "number", "mobile"), "+1 555 010 0199"),
    **dict.fromkeys(("user", "handle", "member", "person", "username"), "@lee"),
    **dict.fromkeys(("subject", "title", "headline", "heading"), "News"),
    **dict.fromkeys(("date", "day"), "2031-04-05"),
    "channel": "#desk",
    "time": "08:15",
    "when": "2031-04-05 08:15",
}


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """A goal, and the steps that a right answer has."""

    goal: str
    tasks: tuple[JsonObject, ...]


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A tool with values for what it needs besides the result of another step."""

    tool: Tool
    values: JsonObject
    content: str | None
    receiver: str | None
    """What the goal calls who or what is to have the content: an address, a file."""

    @property
    def reads(self) -> bool:
        """Whether it needs nothing but the name of a file or page, and reads that."""
        named = {str(value) for value in self.values.values()} <= {_FILE, _PAGE}
        return self.tool.effects in HARMLESS and bool(self.values) and named and not self.content

    @property
    def said(self) -> str:
        """What the tool does to its own values, in its own words."""
        words = self.tool.summary.rstrip(".").split(";")[0]
        words = words[:1].lower() + words[1:]
        shown = [
            str(value) for value in self.values.values() if self.receiver not in texts_of(value)
        ]
        return f"{words} ({', '.join(shown)})" if shown else words

    def step(self, number: int, content: JsonValue = None) -> JsonObject:
        arguments = dict(self.values)
        if self.content is not None and content is not None:
            arguments[self.content] = content
        return {"id": f"s{number}", "tool": self.tool.name, "args": arguments}


def demonstrations(tools: Sequence[Tool]) -> list[Demonstration]:
    """Return a few examples made of these tools, none where they do not go together."""
    # What a user adds comes last in a catalogue, and is what goals are about.
    parts = [part for tool in reversed(tools) if (part := _part(tool)) is not None]
    sources = [item for item in parts if item.reads and _result(item.tool, 1)]
    changes = [item for item in parts if item.tool.effects in HARMLESS and item.content]
    sinks = [item for item in parts if item.receiver and item.content]
    return list(_made(sources, changes, sinks))[:_MOST] if sources and sinks else []


def _made(
    sources: list[_Part], changes: list[_Part], sinks: list[_Part]
) -> Iterator[Demonstration]:
    yield _told(_apart(sources, sinks[0]), [], sinks[0])
    if changes:
        yield _told(_apart(sources[::-1], sinks[-1]), changes[:1], sinks[-1])
    yield _found(sources[-1])
    for sink in _one_of_each(sinks):
        yield _quoted(sink)


def _told(source: _Part, changes: list[_Part], sink: _Part) -> Demonstration:
    steps, result = [source.step(1)], _result(source.tool, 1)
    for number, change in enumerate(changes, start=2):
        steps.append(change.step(number, result))
        result = _result(change.tool, number)
    steps.append(sink.step(len(steps) + 1, result))
    said = ", then ".join([source.said, *(item.said for item in changes)])
    return Demonstration(goal=f"{sink.receiver} should have this: {said}.", tasks=tuple(steps))


def _apart(sources: list[_Part], sink: _Part) -> _Part:
    """Return the first source that is not what the sink writes to."""
    values = [item for item in sources if sink.receiver not in [*item.values.values()]]
    return (values or sources)[0]


def _found(source: _Part) -> Demonstration:
    return Demonstration(goal=f"Can you {source.said}?", tasks=(source.step(1),))


def _one_of_each(sinks: list[_Part]) -> list[_Part]:
    """Return a sink that reaches somebody and one that writes a file, as far as there are such."""
    files = [item for item in sinks if item.receiver == _FILE]
    people = [item for item in sinks if item.receiver != _FILE]
    return [*people[-1:], *files[:1]]


def _quoted(sink: _Part) -> Demonstration:
    goal = f'"{EXAMPLE_TEXT}" is what {sink.receiver} should have.'
    return Demonstration(goal=goal, tasks=(sink.step(1, EXAMPLE_TEXT),))


def _part(tool: Tool) -> _Part | None:
    """Return a tool with values for its required arguments, None if some cannot be thought up."""
    shapes: dict[str, Any] = tool.input_schema.get("properties", {})
    required: Sequence[str] = tool.input_schema.get("required", ())
    content = next((name for name in _CONTENTS if name in required), None)
    values: JsonObject = {}
    receiver = None
    for name in required:
        if name == content:
            continue
        value = _value(name, shapes.get(name, {}), tool)
        if value is None:
            return None
        values[name] = value
        if tool.effects not in HARMLESS and receiver is None and _reaches(name, value):
            receiver = texts_of(value)[0]
    return _Part(tool=tool, values=values, content=content, receiver=receiver)


def _reaches(name: str, value: JsonValue) -> bool:
    texts = texts_of(value)
    return bool(texts) and bool(name in FILES or re.search(r"[@#]|^\+", texts[0]))


def _value(name: str, shape: Any, tool: Tool) -> JsonValue:
    if isinstance(shape, dict) and shape.get("enum"):
        first: JsonValue = shape["enum"][0]
        return first
    kinds = kinds_of(shape)
    if takes_texts(shape) and name in _SAMPLES:
        return [_SAMPLES[name]]
    if "string" in kinds:
        return _text(name, f"{tool.name} {tool.summary}".lower(), tool)
    if kinds & {"integer", "number"}:
        return 7
    return None


def _text(name: str, about: str, tool: Tool) -> str:
    if name in FILES and tool.effects is not Effects.PURE:
        return _FILE
    if "lang" in name or ("translat" in about and name == "to"):
        return "Welsh"
    if name == "to" and "phone" in about:
        return _SAMPLES["phone"]
    return _SAMPLES.get(name, f"{name} one".replace("_", " "))


def _result(tool: Tool, number: int) -> str | None:
    """Return the reference to a tool's result, to its text where it has several fields."""
    output = tool.output_schema
    properties = output.get("properties")
    if isinstance(properties, dict) and properties:
        texts = [name for name, shape in properties.items() if "string" in kinds_of(shape)]
        return f"${{{{ steps.s{number}.{(texts or list(properties))[0]} }}}}"
    return f"${{{{ steps.s{number} }}}}" if output.get("type") != "null" else None
