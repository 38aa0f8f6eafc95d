"""What `flowbuilder run` was given: a file, the name of a flow, a plan's id, or a goal."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowbuilder.cli.failures import UsageProblem
from flowbuilder.errors import InvalidValue, NotFound
from flowbuilder.flow import SLUG_PATTERN, Flow
from flowbuilder.types import JsonValue

if TYPE_CHECKING:
    from flowbuilder.client import FlowBuilder

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SLUG = re.compile(SLUG_PATTERN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What is to be run; exactly one of the four is set."""

    file: Path | None = None
    slug: str | None = None
    plan_id: str | None = None
    goal: str | None = None


async def find_source(builder: FlowBuilder, target: str) -> Source:
    """Decide what a word or sentence on the command line means.

    A path with the ending of a document that exists is a file; a stored flow's name is that flow;
    a plan's id is that plan; everything else is a goal.

    Raises:
        UsageProblem: It looks like a file that is not there, or is empty.
    """
    file = as_file(target)
    if file is not None:
        return Source(file=file)
    if is_id(target):
        return Source(plan_id=target.lower())
    if _SLUG.fullmatch(target):
        try:
            await builder.get_flow(target)
        except NotFound:
            return Source(goal=target)
        return Source(slug=target)
    return Source(goal=target)


def is_id(target: str) -> bool:
    """Return whether a word is the id of a run or a plan."""
    return _UUID.fullmatch(target) is not None


def as_file(target: str) -> Path | None:
    """Return the file a word names, None when it is no name of a document.

    Raises:
        UsageProblem: The word has a document's ending or a folder, but there is no such file.
    """
    if not target.strip():
        raise UsageProblem("there is nothing to run", hint="Give a goal, a file or a flow's name.")
    path = Path(target)
    if path.suffix.lower() not in SUFFIXES or "\n" in target or len(target) > 4096:
        return None
    if path.is_file():
        return path
    if any(character.isspace() for character in target):
        return None  # a goal that ends with a file's name
    raise UsageProblem(f"there is no file {target}")


def read_document(path: Path) -> str:
    """Return the text of a file. Raises: UsageProblem."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidValue(f"{path} is no text in UTF-8", code="encoding_invalid") from None
    except OSError as error:
        raise UsageProblem(f"{path} cannot be read: {error.strerror or error}") from None


def read_input(text: str | None, *, name: str = "--input") -> JsonValue:
    """Return the JSON of an option: the value itself, or `@file` (`@-` for standard input).

    `name` is what the option is called in messages.

    Raises:
        UsageProblem: There is no such file.
        InvalidValue: It is no JSON; the message says where.
    """
    if text is None:
        return None
    if not text.startswith("@"):
        return _parse(text, name)
    if text == "@-":
        return _parse(sys.stdin.read(), "standard input")
    path = Path(text[1:])
    return _parse(read_document(path), str(path))


def _parse(text: str, name: str) -> JsonValue:
    from flowbuilder.strictjson import loads

    try:
        return loads(text)
    except InvalidValue as error:
        raise UsageProblem(
            f"{name} is no JSON: {error.message}",
            hint="""For example --input '{"url": "https://example.org"}', or --input @file.json.""",
        ) from None


def example_input(flow: Flow) -> tuple[bool, JsonValue]:
    """Return whether a flow's input schema carries an example, and the first of them."""
    examples: Any = flow.input.get("examples")
    if isinstance(examples, list) and examples:
        return True, examples[0]
    if "default" in flow.input:
        return True, flow.input["default"]
    return False, None
