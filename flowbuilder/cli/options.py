"""The options that every command understands, before or after its name."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from flowbuilder.cli.output import Printer

if TYPE_CHECKING:
    from flowbuilder.client import FlowBuilder
    from flowbuilder.settings import Settings
    from flowbuilder.tools import ToolRegistry

FLAGS = frozenset({"--json", "--no-json", "--debug"})
VALUED = frozenset({"--tools", "--database-url", "--data-dir"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What stands on the command line for every command."""

    json: bool | None = None
    """None: JSON lines exactly when standard output is no terminal."""
    tools: tuple[str, ...] = ()
    database_url: str | None = None
    data_dir: Path | None = None
    debug: bool = False

    def printer(self) -> Printer:
        """Return where this command's output goes."""
        as_json = self.json if self.json is not None else not sys.stdout.isatty()
        return Printer(as_json=as_json, debug=self.debug)

    def settings(self) -> Settings:
        """Read the settings; what the command line says wins. Raises: SettingsError."""
        from flowbuilder.metrics import TRIGGER
        from flowbuilder.settings import Settings
        from flowbuilder.telemetry import logs

        settings = Settings.load(database_url=self.database_url, data_dir=self.data_dir)
        if self.tools:
            named = [part.strip() for text in self.tools for part in text.split(",")]
            modules = dict.fromkeys([*settings.tools, *filter(None, named)])
            settings = settings.model_copy(update={"tools": list(modules)})
        if settings.tools:
            self._look_here_for_modules()
        logs.configure(settings, debug=self.debug, stream=lambda: sys.stderr)
        TRIGGER.set("cli")
        return settings

    def registry(self) -> ToolRegistry:
        """Load the starter tools and the named modules. Raises: SettingsError, DefinitionError."""
        from flowbuilder.toolkit import load_registry

        settings = self.settings()
        return load_registry(settings, settings.tools)

    def connect(self, *, local_model: bool = False) -> FlowBuilder:
        """Return a FlowBuilder to open, without a worker; commands that work start their own."""
        from flowbuilder.client import FlowBuilder

        settings = self.settings()
        if local_model:
            from flowbuilder.cli.modelling import with_local_model

            settings = with_local_model(self.printer(), settings, self.registry())
        return FlowBuilder.connect(settings=settings, worker=False)

    @staticmethod
    def _look_here_for_modules() -> None:
        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.insert(0, here)


def hoist(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with the common options moved to the front.

    `flowbuilder runs --json` and `flowbuilder --json runs` mean the same. What follows `--`
    stays where it is.
    """
    common: list[str] = []
    rest: list[str] = []
    pending = iter(arguments)
    for argument in pending:
        if argument == "--":
            rest += ["--", *pending]
        elif argument in FLAGS or (argument.split("=", 1)[0] in VALUED and "=" in argument):
            common.append(argument)
        elif argument in VALUED:
            common.append(argument)
            common += [value for value in [next(pending, None)] if value is not None]
        else:
            rest.append(argument)
    return [*common, *rest]
