"""An MCP server for tests whose tool gives back what no JSON may hold."""

from __future__ import annotations

from typing import Any

from mcp.server import MCPServer

server = MCPServer("odd")


def deep(levels: int) -> Any:
    """Return a value nested so deep."""
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def odd(kind: str) -> Any:
    """Give back something odd."""
    return {
        "nan": float("nan"),
        "infinity": float("-inf"),
        "nul": "a\0b",
        "surrogate": "\ud800",
        "integer": 10**4000,
        "deep": deep(500),
        "keys": {f"k{n}": n for n in range(200_000)},
        "plain": [0, False, "", None],
    }[kind]


server.add_tool(odd)
if __name__ == "__main__":
    server.run()
