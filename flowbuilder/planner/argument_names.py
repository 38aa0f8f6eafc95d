"""Names of arguments and fields that hold a thing of one kind, and what an open name holds."""

from __future__ import annotations

import re

from flowbuilder.tools import Tool

FILES = frozenset({"path", "file", "filename", "file_name", "file_path"})
MAILS = frozenset({"email", "email_address", "mail"})
PHONES = frozenset({"cell", "mobile", "phone", "phone_number", "tel"})
MAIL, PHONE, LANGUAGE = "e-mail address", "phone number", "language"
#: Arguments that hold what the tool's own words speak of.
_OPEN = frozenset(
    {"address", "into", "number", "receiver", "recipient", "recipients", "target", "to"}
)
_SPOKEN = {
    MAIL: re.compile(r"e-?mails?\b"),
    PHONE: re.compile(r"\b(?:sms|phone|text message)\b"),
    LANGUAGE: re.compile(r"\btranslat"),
}


def open_kind(name: str, tool: Tool) -> str | None:
    """Return the kind that an argument such as `to` holds, None if the tool does not tell."""
    if name not in _OPEN:
        return None
    about = f"{tool.name} {tool.summary}".lower().replace("_", " ")
    said = [kind for kind, words in _SPOKEN.items() if words.search(about)]
    return said[0] if len(said) == 1 else None
