"""Tools from elsewhere without a worker: a file of connections, secrets, and a task's context."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from flowbuilder.errors import NotFound
from flowbuilder.executor.secret_desk import readable, sendable
from flowbuilder.secrecy import Secret, check_binding
from flowbuilder.settings import Settings
from flowbuilder.toolkit import load_registry
from flowbuilder.tools import Context, ToolRegistry
from tests.support.toolbox import TaskContext


class GivenSecrets:
    """Secrets of a test, bound to all tools and to the hosts that are named."""

    def __init__(self, values: dict[str, str], hosts: tuple[str, ...] = ()) -> None:
        binding = check_binding(hosts, ["*"])
        self._known = {
            name: Secret(name=name, value=value, binding=binding) for name, value in values.items()
        }

    def get(self, name: str) -> str:
        return readable(self._secret(name), "any")

    async def fetch(self, name: str, *, url: str | None = None) -> str:
        return self.get(name) if url is None else sendable(self._secret(name), "any", url)

    def _secret(self, name: str) -> Secret:
        if name not in self._known:
            raise NotFound(name, code="secret_not_found")
        return self._known[name]


class OutsideContext(TaskContext):
    """A task's context with secrets."""

    def __init__(self, settings: Settings, secrets: GivenSecrets) -> None:
        super().__init__(settings)
        self.secrets: Any = secrets


def connected(
    folder: Path,
    connections: dict[str, Any],
    secrets: dict[str, str] | None = None,
    *,
    hosts: tuple[str, ...] = (),
    **settings: Any,
) -> tuple[ToolRegistry, Context]:
    """Return the tools for a file of connections, and a context to call them in."""
    file = folder / "connections.json"
    file.write_text(json.dumps(connections))
    found = Settings(connections=file, **{"http_allow_private": True, **settings})
    context: Context = OutsideContext(found, GivenSecrets(secrets or {}, hosts))
    return load_registry(found), context
