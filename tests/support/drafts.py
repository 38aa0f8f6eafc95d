"""Plans as a small model writes them, and tools that fetch and read."""

from __future__ import annotations

from typing import Any

from flowbuilder.tools import tool


@tool("page.fetch", effects="read")
def fetch_page(url: str) -> str:
    """Fetch the body of a URL."""
    return url


@tool("file.open", effects="read")
def open_file(path: str) -> str:
    """Read a file."""
    return path


def document(*steps: tuple[str, str, dict[str, Any]]) -> dict[str, Any]:
    """Return the document of these steps, `(id, tool, args)` each."""
    return {"steps": [{"id": name, "tool": tool, "args": args} for name, tool, args in steps]}


def tools(made: dict[str, Any]) -> list[str]:
    """Return the tools of a document's steps."""
    return [step["tool"] for step in made["steps"]]
