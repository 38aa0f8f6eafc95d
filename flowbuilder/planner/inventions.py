"""Name what reaches somebody or something that the goal does not name: a model made it up.

An e-mail or web address, a phone number, a channel or a file to be read must stand in the goal or
in the input, or come from another step.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from flowbuilder.errors import Fix, Problem, Severity
from flowbuilder.planner.argument_names import FILES
from flowbuilder.planner.coercion import texts_of
from flowbuilder.planner.grounding import stems
from flowbuilder.tools import HARMLESS, Effects, ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

_URL = re.compile(r"https?://[^\s\"'<>,;]+")
_EMAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"(?<![\w+])\+\d[\d ()./-]{5,20}\d")
_CHANNEL = re.compile(r"#?[A-Za-z][\w-]*")
_CHANNELS = frozenset({"channel", "chat", "room"})


def invented_addresses(
    goal: str, document: JsonObject, known: JsonValue, registry: ToolRegistry
) -> list[Problem]:
    """Return a problem for each address in a plan that neither goal nor input names.

    Of a web address only the host has to be named: what stands behind it may be composed. The name
    of a file that is written may be composed too, which leaves a warning that is only told.
    """
    allowed = (goal + json.dumps(known)).lower()
    problems: list[Problem] = []
    written: list[str] = []
    steps = document.get("steps")
    for index, step in enumerate(steps if isinstance(steps, list) else []):
        arguments = step.get("args") if isinstance(step, dict) else None
        tool = registry.get(str(step.get("tool"))) if isinstance(step, dict) else None
        for name, text in _texts(arguments):
            problems += [_invented(index, name, found) for found in _foreign(text, allowed)]
            if name in _CHANNELS and _is_foreign_channel(text, allowed):
                problems.append(_invented(index, name, text))
            if tool and name in FILES and tool.effects is not Effects.PURE:
                named = "{" in text or text.lower() in allowed or text in written
                if not (named or stems(text.rpartition(".")[0] or text) & stems(allowed)):
                    problems.append(_unnamed(index, name, text, reads=tool.effects in HARMLESS))
                written += [] if tool.effects in HARMLESS else [text]
    return problems


def _texts(arguments: JsonValue) -> Iterator[tuple[str, str]]:
    for name, value in (arguments if isinstance(arguments, dict) else {}).items():
        for text in texts_of(value):
            yield name, text


def _foreign(text: str, allowed: str) -> list[str]:
    """Return the addresses in a text that are not allowed."""
    mails = [found for found in _EMAIL.findall(text) if found.lower() not in allowed]
    hosts = [(found, found.split("/")[2].lower()) for found in _URL.findall(text)]
    known = re.sub(r"\D", "", allowed)
    phones = [item for item in _PHONE.findall(text) if re.sub(r"\D", "", item) not in known]
    return [
        *mails,
        *(found for found, host in hosts if host and "{" not in host and host not in allowed),
        *phones,
    ]


def _is_foreign_channel(text: str, allowed: str) -> bool:
    bare = text.strip().lower()
    if not _CHANNEL.fullmatch(bare):
        return False
    return re.search(rf"(?<!\w){re.escape(bare.lstrip('#'))}(?!\w)", allowed) is None


def _invented(index: int, name: str, found: str) -> Problem:
    return Problem(
        code="literal_invented",
        pointer=f"/steps/{index}/args/{name.replace('~', '~0').replace('/', '~1')}",
        message=f"the address {found} is not in the goal",
        hint="Use a value of the goal, or write ${{ ask: the question }} in its place.",
        fix=Fix.MODEL,
    )


def _unnamed(index: int, name: str, found: str, *, reads: bool) -> Problem:
    if reads:
        return _invented(index, name, found)
    return Problem(
        code="file_composed",
        pointer=f"/steps/{index}/args/{name}",
        message=f"the goal does not name the file {found}",
        hint="Name the file in the goal.",
        severity=Severity.WARNING,
        fix=Fix.USER,
    )
