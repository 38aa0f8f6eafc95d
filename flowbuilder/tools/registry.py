"""Tools by name and version, found by name, by words, or in a user's modules."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType

from flowbuilder.errors import Conflict, FlowBuilderError, NotFound, SettingsError
from flowbuilder.limits import Rate, read_rate
from flowbuilder.tools.contract import Tool
from flowbuilder.tools.ranking import Ranking

#: Misspelt names that are remembered with what they may mean: a plan is judged many times.
_MOST_REMEMBERED = 256


class ToolRegistry:
    """Tools by name and version; the newest version answers to the bare name.

    Iterating gives the newest version of every name, in the order of names.
    """

    def __init__(self, tools: Mapping[str, Tool] | Iterable[Tool] = ()) -> None:
        self._tools: dict[str, dict[int, Tool]] = {}
        self._ranking: Ranking | None = None
        self._revision = 0
        self._near: dict[tuple[str, int], list[str]] = {}
        for item in tools.values() if isinstance(tools, Mapping) else tools:
            self.add(item)

    @classmethod
    def from_modules(
        cls, modules: Sequence[str], *, search_path: Path | None = None
    ) -> ToolRegistry:
        """Return a registry of the tools that these modules define.

        Raises:
            SettingsError: `tools_module_invalid`, see `import_tools`.
            Conflict: Two tools carry the same name and version.
        """
        return cls(import_tools(modules, search_path=search_path))

    def add(self, item: Tool) -> Tool:
        """Take a tool in; the same tool again changes nothing.

        Raises:
            Conflict: Another tool has this name and version already.
        """
        versions = self._tools.setdefault(item.name, {})
        present = versions.get(item.version)
        if present is not None and present is not item and present != item:
            raise Conflict(
                f"there is another tool {item.ref}",
                code="tool_exists",
                hint="Give one of them another name or a higher version.",
            )
        if present is None:
            versions[item.version] = item
            self._ranking = None
            self._near.clear()
            self._revision += 1
        return versions[item.version]

    @property
    def revision(self) -> int:
        """How often a tool was taken in: who keeps an index of the tools sees that it is old."""
        return self._revision

    def get(self, name: str) -> Tool | None:
        """Return the tool of a name or a `name@version`, or None."""
        bare, separator, version = name.partition("@")
        versions = self._tools.get(bare)
        if not versions:
            return None
        if not separator:
            return versions[max(versions)]
        return versions.get(int(version)) if version.isascii() and version.isdigit() else None

    def require(self, name: str) -> Tool:
        """Return the tool of a name or a `name@version`.

        Raises:
            NotFound: `tool_unknown`; the hint lists the nearest names.
        """
        found = self.get(name)
        if found is None:
            raise NotFound(
                f"there is no tool {name[:200]!r}",
                code="tool_unknown",
                hint=self._suggestion(name[:200]),
            )
        return found

    def names(self) -> list[str]:
        """Return every name once, sorted."""
        return sorted(self._tools)

    def limits(self) -> dict[str, tuple[int | None, Rate | None]]:
        """Return what tools declare by name, `(concurrency, rate)`; the newest version counts."""
        newest = [self._tools[name][max(self._tools[name])] for name in self.names()]
        return {
            tool.name: (tool.concurrency, read_rate(tool.rate, "/rate"))
            for tool in newest
            if tool.concurrency is not None or tool.rate is not None
        }

    def refs(self) -> list[str]:
        """Return `name@version` of every tool, sorted by name, then by version."""
        return [
            self._tools[name][version].ref
            for name in self.names()
            for version in sorted(self._tools[name])
        ]

    def near(self, name: str, limit: int = 3) -> list[str]:
        """Return the names most like a misspelt one, best first."""
        bare = name.partition("@")[0]
        if (bare, limit) not in self._near:
            if len(self._near) >= _MOST_REMEMBERED:
                self._near.clear()
            close = difflib.get_close_matches(bare, self.names(), n=limit, cutoff=0.6)
            found = close or [tool.name for tool in self.search(bare, limit)]
            self._near[bare, limit] = found
        return list(self._near[bare, limit])

    def search(self, text: str, limit: int = 10) -> list[Tool]:
        """Return the tools whose words fit a text, best first; none that shares no word."""
        return [tool for tool, _ in self.ranked(text, limit)]

    def ranked(self, text: str, limit: int = 10) -> list[tuple[Tool, float]]:
        """Return `(tool, BM25 score)` pairs, best first; equal scores in the order of names."""
        if self._ranking is None:
            self._ranking = Ranking(list(self))
        return self._ranking.best(text, limit)

    def copy(self) -> ToolRegistry:
        """Return a registry of its own with the same tools."""
        return ToolRegistry(self._all())

    def without(self, unwanted: Callable[[Tool], bool]) -> ToolRegistry:
        """Return a new registry without certain tools."""
        return ToolRegistry([item for item in self._all() if not unwanted(item)])

    def merged(self, other: ToolRegistry | Iterable[Tool]) -> ToolRegistry:
        """Return a new registry with the tools of both. Raises: Conflict."""
        result = self.copy()
        for item in other._all() if isinstance(other, ToolRegistry) else other:
            result.add(item)
        return result

    def __iter__(self) -> Iterator[Tool]:
        return iter([self._tools[name][max(self._tools[name])] for name in self.names()])

    def __len__(self) -> int:
        return len(self._tools)

    def __contains__(self, item: object) -> bool:
        if isinstance(item, Tool):
            return self.get(item.ref) is item
        return isinstance(item, str) and self.get(item) is not None

    def _all(self) -> list[Tool]:
        return [tool for versions in self._tools.values() for tool in versions.values()]

    def _suggestion(self, name: str) -> str:
        bare = name.partition("@")[0]
        if bare in self._tools:
            versions = ", ".join(str(version) for version in sorted(self._tools[bare]))
            return f"{bare} has version {versions}."
        near = self.near(bare)
        return f"Did you mean {' or '.join(near)}?" if near else "See `flowbuilder tools`."


def import_tools(modules: Sequence[str], *, search_path: Path | None = None) -> list[Tool]:
    """Import modules by name and return the tools that they hold.

    `search_path` (for the command line: the current folder) is put at the front of `sys.path`.

    Raises:
        SettingsError: `tools_module_invalid`: a module cannot be imported or has no tool.
    """
    if search_path is not None and str(search_path.resolve()) not in sys.path:
        sys.path.insert(0, str(search_path.resolve()))
    found: dict[int, Tool] = {}
    for name in modules:
        tools = [value for value in vars(_import(name)).values() if isinstance(value, Tool)]
        if not tools:
            raise SettingsError(
                f"the module {name!r} has no tools",
                code="tools_module_invalid",
                hint="Decorate its functions with flowbuilder's @tool.",
            )
        found.update({id(item): item for item in tools})
    return list(found.values())


def _import(name: str) -> ModuleType:
    if name.endswith(".py") or "/" in name:
        stem = Path(name).with_suffix("").as_posix().strip("./").replace("/", ".")
        raise SettingsError(
            f"{name!r} is a file; a module is named as in an import",
            code="tools_module_invalid",
            hint=f"Write {stem}.",
        )
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        reason = error.message if isinstance(error, FlowBuilderError) else str(error)
        hint = getattr(error, "hint", None)
        if isinstance(error, ModuleNotFoundError):
            hint = "Modules are looked for in the current folder and where Python finds packages."
        raise SettingsError(
            f"the tools module {name!r} cannot be imported: {type(error).__name__}: {reason}",
            code="tools_module_invalid",
            hint=hint,
        ) from error
