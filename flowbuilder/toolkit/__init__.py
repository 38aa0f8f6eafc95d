"""The starter tools, and the registry that a process works with."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flowbuilder.errors import Conflict, SettingsError
from flowbuilder.settings import Settings
from flowbuilder.tools import Tool, ToolRegistry, import_tools

_MODULES = ("control", "files", "grouping", "http", "human", "llm", "parsing", "records", "text")


def starter_tools() -> list[Tool]:
    """Return the tools that come with flowbuilder, in the order of their names."""
    found = import_tools([f"{__name__}.{module}" for module in _MODULES])
    return sorted(found, key=lambda item: item.name)


def is_starter(tool: Tool) -> bool:
    """Whether a tool came with flowbuilder, not with its user."""
    return str(getattr(tool.handler, "__module__", "")).startswith(f"{__name__}.")


def load_registry(
    settings: Settings, modules: Sequence[str] = (), *, search_path: Path | None = None
) -> ToolRegistry:
    """Return the starter tools together with those of the settings' and the given modules.

    `search_path` is where modules are looked for first; the current folder for command lines.

    Raises:
        SettingsError: `tools_module_invalid`: a module cannot be imported or has no tools;
            `tool_exists`: a tool carries the name and version of another one.
    """
    registry = ToolRegistry(starter_tools())
    for name in dict.fromkeys([*settings.tools, *modules]):
        try:
            registry = registry.merged(import_tools([name], search_path=search_path))
        except Conflict as error:
            raise SettingsError(
                f"the tools module {name!r}: {error.message}", code=error.code, hint=error.hint
            ) from None
    return registry
