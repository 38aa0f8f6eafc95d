"""The starter tools, and the registry that a process works with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from flowbuilder.errors import Conflict, SettingsError
from flowbuilder.settings import Settings
from flowbuilder.tools import Tool, ToolRegistry, import_tools

_MODULES = (
    "control", "files", "grouping", "http", "human", "llm", "parsing", "records", "text", "waiting",
)  # fmt: skip


def starter_tools() -> list[Tool]:
    """Return the tools that come with flowbuilder, in the order of their names."""
    found = import_tools([f"{__name__}.{module}" for module in _MODULES])
    return sorted(found, key=lambda item: item.name)


def is_starter(tool: Tool) -> bool:
    """Whether a tool came with flowbuilder, not with its user."""
    home = str(getattr(tool.handler, "__module__", ""))
    return home.startswith(f"{__name__}.") and not home.startswith(f"{__name__}.imported.")


def with_own_tools(registry: ToolRegistry, tools: Iterable[Tool]) -> ToolRegistry:
    """Return a registry with a user's tools in it; they take the place of starter tools.

    Raises:
        Conflict: `tool_exists`: two tools of the user carry the same name and version.
    """
    own = list(tools)
    taken = {item.name for item in own if not is_starter(item)}
    return registry.without(lambda item: is_starter(item) and item.name in taken).merged(own)


def load_registry(
    settings: Settings, modules: Sequence[str] = (), *, search_path: Path | None = None
) -> ToolRegistry:
    """Return the starter tools together with those of the settings' and the given modules.

    A module's tool takes the place of a starter tool of the same name.

    `search_path` is where modules are looked for first; the current folder for command lines.

    Raises:
        SettingsError: `tools_module_invalid`: a module cannot be imported or has no tools;
            `tool_exists`: two tools of these modules carry the same name and version;
            `connections_invalid`: the file of connections says what cannot be.
    """
    registry = ToolRegistry(starter_tools())
    if settings.connections is not None:
        from flowbuilder.toolkit.connected import connected_tools

        registry = registry.merged(connected_tools(settings))
    for name in dict.fromkeys([*settings.tools, *modules]):
        try:
            registry = with_own_tools(registry, import_tools([name], search_path=search_path))
        except Conflict as error:
            raise SettingsError(
                f"the tools module {name!r}: {error.message}", code=error.code, hint=error.hint
            ) from None
    return registry
