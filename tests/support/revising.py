"""Tools and flows of the tests about answers, edits and reviews."""

from __future__ import annotations

from typing import Any, Literal

from flowbuilder.planner.editing import EditRequest
from flowbuilder.tools import ToolRegistry, tool


@tool("page.fetch", effects="read", untrusted_output=True)
def fetch(url: str) -> str:
    """Fetch a web page."""
    return f"page of {url}"


@tool("rows.read", effects="read")
def read(path: str) -> list[dict[str, Any]]:
    """Read the rows of a file."""
    return [{"path": path}]


@tool("rows.sort")
def sort(
    rows: list[dict[str, Any]], by: str, descending: bool = False, limit: int | None = None
) -> list[dict[str, Any]]:
    """Sort rows by a column."""
    return rows[: limit or None]


@tool("text.summarize", effects="read")
def summarize(text: str, max_words: int = 100, language: str = "English") -> str:
    """Summarise a text."""
    return f"{text[:max_words]} {language}"


@tool("rows.write", effects="write")
def write(path: str, rows: list[dict[str, Any]], format: Literal["csv", "json"] = "csv") -> str:
    """Write rows to a file."""
    return f"{path} {format} {len(rows)}"


@tool("email.send", effects="external")
def send(to: str, body: str, subject: str = "") -> dict[str, str]:
    """Send an e-mail."""
    return {"to": to, "body": body, "subject": subject}


@tool("chat.post", effects="external")
def post(channel: str, text: str) -> dict[str, str]:
    """Post a message to a chat channel."""
    return {"channel": channel, "text": text}


@tool("room.book", effects="write")
def book(
    room: Literal["red", "blue"], seats: int, catered: bool, guests: list[str] | None = None
) -> dict[str, Any]:
    """Book a meeting room."""
    return {"room": room, "seats": seats, "catered": catered, "guests": guests}


REGISTRY = ToolRegistry([fetch, read, sort, summarize, write, send, post, book])
GATE: dict[str, Any] = {"message": "email.send has effects: external."}
TOP: dict[str, Any] = {
    "format": "flow.v1",
    "flow": "top",
    "steps": [
        {"id": "read", "tool": "rows.read", "args": {"path": "sales.csv"}},
        {
            "id": "best",
            "tool": "rows.sort",
            "args": {"rows": "${{ steps.read }}", "by": "amount", "descending": True, "limit": 5},
        },
        {
            "id": "write",
            "tool": "rows.write",
            "args": {"path": "top.csv", "rows": "${{ steps.best }}"},
            "approval": {"message": "rows.write has effects: write."},
        },
    ],
}
BRIEF: dict[str, Any] = {
    "format": "flow.v1",
    "flow": "brief",
    "steps": [
        {"id": "fetch", "tool": "page.fetch", "args": {"url": "https://a.example/news"}},
        {
            "id": "sum",
            "tool": "text.summarize",
            "args": {"text": "${{ steps.fetch }}", "max_words": 50},
        },
        {
            "id": "mail",
            "tool": "email.send",
            "args": {
                "to": "ann@x.example",
                "body": "${{ steps.sum }}",
                "subject": "News of 2024",
            },
            "approval": {
                "message": "email.send would use data from outside (through sum).",
            },
        },
    ],
}


def request(document: dict[str, Any], words: str, **more: Any) -> EditRequest:
    """A wish to change a stored flow."""
    return EditRequest(
        id="00000000-0000-0000-0000-000000000001",
        words=words,
        document=document,
        registry=REGISTRY,
        changes=document["flow"],
        **more,
    )
