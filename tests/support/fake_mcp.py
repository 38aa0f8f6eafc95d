"""An MCP server for tests, run as a program: `fake_mcp.py FILE`; the file says how it behaves."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from mcp.server import MCPServer

HOW: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
server = MCPServer("fake")


def add(first: int, second: int) -> int:
    """Stand for a sum."""
    return first + second


def environment() -> dict[str, str]:
    """Tell what the program finds in its environment."""
    return dict(os.environ)


def large(size: int) -> str:
    """Give a text of a size."""
    return "x" * size


def wait(seconds: float) -> str:
    """Answer late."""
    time.sleep(seconds)
    return "late"


def broken() -> str:
    """Fail."""
    raise ValueError("it is broken: " + os.environ.get("TOKEN", ""))


server.add_tool(add, description=HOW.get("add", "Add two numbers."))
for tool in (environment, large, wait, broken):
    server.add_tool(tool)
for number in range(HOW.get("many", 0)):
    server.add_tool(add, name=f"tool{number}")
for name in HOW.get("named", []):
    server.add_tool(add, name=name)
if HOW.get("silent"):
    time.sleep(600)
if __name__ == "__main__":
    server.run()
