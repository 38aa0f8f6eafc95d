"""Who may have a secret: the hosts that it may be sent to, the tools that may read it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from flowbuilder.errors import InvalidValue

NAME_PATTERN = r"[a-z][a-z0-9_-]{0,99}"
LONGEST_VALUE = 65_536
#: A shorter value could not be told from ordinary words, so it could not be kept out of texts.
SHORTEST_VALUE = 8
MOST_BOUND = 50
_NAME = re.compile(NAME_PATTERN)
_HOST = re.compile(
    r"(\*\.)?[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[0-9]{1,5})?|\[[0-9a-f:.]+\](:[0-9]{1,5})?"
)
_TOOL = re.compile(r"\*|[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*(\.\*)?")
_DEFAULT_PORTS = {"https": 443, "http": 80}


@dataclass(frozen=True, kw_only=True, slots=True)
class Binding:
    """Where a secret may go. Nothing listed means nowhere."""

    hosts: tuple[str, ...] = ()
    """Such as `api.example.org`, `*.example.org` or `localhost:8443`."""
    tools: tuple[str, ...] = ()
    """Names of tools, `mail.*`, or `*`."""

    def allows_tool(self, name: str) -> bool:
        """Whether a tool of this name may read the value itself."""
        return any(_covers(pattern, name) for pattern in self.tools)

    def allows_host(self, url: str) -> bool:
        """Whether the value may be sent with a request to this URL."""
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
        asked = f"[{host}]" if ":" in host else host
        port = port or _DEFAULT_PORTS.get(parts.scheme, 0)
        return bool(host) and any(_reaches(pattern, asked, port) for pattern in self.hosts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Secret:
    """A value with who may have it. Its text form never shows the value."""

    name: str
    value: str = field(repr=False)
    binding: Binding


def _covers(pattern: str, name: str) -> bool:
    if pattern in ("*", name):
        return True
    return pattern.endswith(".*") and name.startswith(pattern[:-1])


def _reaches(pattern: str, host: str, port: int) -> bool:
    bare, wanted = pattern, None
    if match := re.fullmatch(r"(.*[^:]):([0-9]+)", pattern):
        bare, wanted = match[1], int(match[2])
    if wanted is not None and wanted != port:
        return False
    if bare.startswith("*."):
        return host.endswith(bare[1:]) and len(host) > len(bare) - 1
    return host == bare


def check_name(name: object) -> str:
    """Return a usable name of a secret. Raises: InvalidValue (secret_name_invalid)."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return name
    raise InvalidValue(
        f"{str(name)[:80]!r} is no name of a secret",
        pointer="/name",
        code="secret_name_invalid",
        hint="Lower case letters, digits, _ and -, beginning with a letter; at most 100.",
    )


def check_value(value: object) -> str:
    """Return a usable value, which no error repeats. Raises: InvalidValue (secret_invalid)."""
    problem = None
    if not isinstance(value, str):
        problem = "a secret's value is a text"
    elif len(value) < SHORTEST_VALUE:
        problem = f"a secret has at least {SHORTEST_VALUE} characters"
    elif len(value.encode("utf-8", "replace")) > LONGEST_VALUE:
        problem = f"a secret is not larger than {LONGEST_VALUE} bytes"
    elif "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        problem = "a secret holds no NUL and no half of a surrogate pair"
    elif value.strip() != value:
        problem = "a secret does not begin or end with white space"
    if problem is not None:
        raise InvalidValue(problem, pointer="/value", code="secret_invalid")
    assert isinstance(value, str)
    return value


def check_binding(hosts: Iterable[str] = (), tools: Iterable[str] = ()) -> Binding:
    """Return a usable binding.

    Raises:
        InvalidValue: `secret_binding_invalid`: a pattern is none, or nothing is listed.
    """
    found = Binding(
        hosts=_listed(hosts, "hosts", _HOST, "Write example.org, *.example.org or localhost:8080."),
        tools=_listed(tools, "tools", _TOOL, "Write a tool's name, a beginning as in mail.*, or *"),
    )
    if not found.hosts and not found.tools:
        raise InvalidValue(
            "a secret that nobody may have is of no use",
            code="secret_binding_invalid",
            hint="Name the hosts that it may be sent to, or the tools that may read it.",
        )
    return found


def _listed(given: object, where: str, pattern: re.Pattern[str], hint: str) -> tuple[str, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise _unusable(given, f"/{where}", f"{where} is a list of texts")
    values = list(given)
    if len(values) > MOST_BOUND:
        raise _unusable(len(values), f"/{where}", f"at most {MOST_BOUND} {where}")
    for place, value in enumerate(values):
        text = value.lower() if where == "hosts" and isinstance(value, str) else value
        if not isinstance(text, str) or len(text) > 260 or not pattern.fullmatch(text):
            raise _unusable(value, f"/{where}/{place}", hint)
        values[place] = text
    return tuple(dict.fromkeys(values))


def _unusable(value: object, pointer: str, hint: str) -> InvalidValue:
    return InvalidValue(
        f"{str(value)[:80]!r} cannot be bound to",
        pointer=pointer,
        code="secret_binding_invalid",
        hint=hint,
    )
