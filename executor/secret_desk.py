"""Secrets for tasks: found for a run's workspace, held against tool and host, noted for redaction.

The rows are read sealed, before a handler begins that could ask for one, and opened when it asks.
So a handler gets a value at once, wherever it runs, and what nobody asks for is never opened.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from flowbuilder.errors import DatabaseError, NotFound
from flowbuilder.secrecy import REDACTOR, Secret
from flowbuilder.secrecy.envelope import unseal
from flowbuilder.secrecy.keyring import KeyRing, load_keys
from flowbuilder.secrecy.redaction import guard_logging
from flowbuilder.secrecy.sources import EnvironmentSource, SecretSource
from flowbuilder.settings import Settings
from flowbuilder.tools import Fail

if TYPE_CHECKING:  # processes that run tools import this, and no database driver
    from flowbuilder.executor.store.secrets import SecretRow, SecretStore

log = logging.getLogger(__name__)

#: How long a look at whether secrets were changed counts.
_FRESH_SECONDS = 1.0
_MOST_RUNS = 200


class Vault(Protocol):
    """Where rows are read from."""

    async def secrets_state(self) -> tuple[int, Any]: ...

    async def secrets_of_run(self, run_id: str) -> list[SecretRow]: ...


class SecretDesk:
    """What one worker knows of secrets, and gives out task by task."""

    def __init__(
        self,
        store: Vault,
        settings: Settings,
        environment: EnvironmentSource,
        sources: Sequence[SecretSource] = (),
    ) -> None:
        self._store = store
        self._settings = settings
        self.environment = environment
        self._sources = tuple(sources)
        self._keys: KeyRing | None = None
        self._state: object = None
        self._looked_at = -_FRESH_SECONDS
        self._any = False
        self._looking = asyncio.Lock()
        self._rows: OrderedDict[str, dict[str, SecretRow]] = OrderedDict()

    async def secrets_for(self, run_id: str, tool: str) -> TaskSecrets:
        """Return what a task of this run may ask for."""
        try:
            if not self._fresh():
                async with self._looking:
                    if not self._fresh():  # somebody else may have looked meanwhile
                        await self._look()
            rows = await self._rows_of(run_id) if self._any else {}
        except DatabaseError as error:  # most tools ask for none; who does will be told
            log.debug("secrets were not read: %s", error.message)
            rows = {}
        return TaskSecrets(self, run_id, tool, rows)

    def _fresh(self) -> bool:
        return time.monotonic() - self._looked_at < _FRESH_SECONDS

    async def _look(self) -> None:
        state = await self._store.secrets_state()
        self._looked_at = time.monotonic()
        self._any = state[0] > 0
        if state != self._state:
            self._rows.clear()
            self._state = state

    async def _rows_of(self, run_id: str) -> dict[str, SecretRow]:
        found = self._rows.get(run_id)
        if found is None:
            found = {row.name: row for row in await self._store.secrets_of_run(run_id)}
            self._rows[run_id] = found
            while len(self._rows) > _MOST_RUNS:
                self._rows.popitem(last=False)
        return found

    def open(self, row: SecretRow) -> Secret:
        """Return a stored secret. Raises: SettingsError, InvalidValue (secret_unreadable)."""
        if self._keys is None or row.envelope.key_id not in self._keys:
            self._keys = load_keys(self._settings)  # the keys may have been changed meanwhile
        value = unseal(row.envelope, row.place, self._keys)
        return Secret(name=row.name, value=value, binding=row.binding)

    def look(self, name: str) -> Secret | None:
        """Return a secret of the environment."""
        return self.environment.look(name)

    async def find_elsewhere(self, name: str) -> Secret | None:
        """Return a secret of another manager."""
        for source in self._sources:
            found = await source.find(name)
            if found is not None:
                return found
        return None

    async def reread(self, run_id: str) -> dict[str, SecretRow]:
        """Return a run's rows as they are now."""
        await self._look()
        self._rows.pop(run_id, None)
        return await self._rows_of(run_id) if self._any else {}


class TaskSecrets:
    """Secret values by name, as far as one tool may have them."""

    def __init__(
        self, desk: SecretDesk, run_id: str, tool: str, rows: dict[str, SecretRow]
    ) -> None:
        self._desk = desk
        self._run_id = run_id
        self._tool = tool
        self._rows = rows

    def __repr__(self) -> str:
        return f"TaskSecrets({self._tool})"

    def __reduce__(self) -> Any:
        """Go to another process with the values that are bound to this tool by its name."""
        values = {
            name: told(self._desk.open(row)).value
            for name, row in self._rows.items()
            if row.binding.allows_tool(self._tool)
        }
        return HandedSecrets, (values, self._desk.environment.bound_to(self._tool))

    def get(self, name: str) -> str:
        """Return a value that this tool may read.

        Raises:
            NotFound: `secret_not_found`.
            Fail: `secret_not_allowed`: it is not bound to this tool.
        """
        row = self._rows.get(name)
        found = self._desk.look(name) if row is None else self._desk.open(row)
        if found is None:
            raise missing(name)
        return readable(found, self._tool)

    async def fetch(self, name: str, *, url: str | None = None) -> str:
        """Return a value from wherever it is kept, to be read here or to be sent to a URL.

        Raises:
            NotFound: `secret_not_found`.
            Fail: `secret_not_allowed`: it is bound neither to this tool nor, given a URL, its host.
            SecretUnavailable: Its manager cannot be asked.
        """
        if name not in self._rows:
            self._rows = await self._desk.reread(self._run_id)
        row = self._rows.get(name)
        found = self._desk.look(name) if row is None else self._desk.open(row)
        found = found or await self._desk.find_elsewhere(name)
        if found is None:
            raise missing(name)
        return readable(found, self._tool) if url is None else sendable(found, self._tool, url)


class HandedSecrets:
    """Values that went to another process with their task."""

    def __init__(self, values: dict[str, str], environment: EnvironmentSource) -> None:
        self._values = values
        self._environment = environment
        for value in values.values():
            REDACTOR.learn(value)

    def __repr__(self) -> str:
        return f"HandedSecrets({len(self._values)} secrets)"

    def get(self, name: str) -> str:
        """Return a value. Raises: NotFound (secret_not_found)."""
        if name in self._values:
            return self._values[name]
        found = self._environment.look(name)
        if found is None:
            raise missing(name)
        return told(found).value

    async def fetch(self, name: str, *, url: str | None = None) -> str:
        """Return a value. Raises: NotFound (secret_not_found)."""
        return self.get(name)


def readable(secret: Secret, tool: str) -> str:
    """Return the value if this tool may read it. Raises: Fail (secret_not_allowed)."""
    if not secret.binding.allows_tool(tool):
        raise _refused(secret, f"it is not bound to the tool {tool}")
    return told(secret).value


def sendable(secret: Secret, tool: str, url: str) -> str:
    """Return the value if this tool may send it to a URL. Raises: Fail (secret_not_allowed)."""
    if secret.binding.tools and not secret.binding.allows_tool(tool):
        raise _refused(secret, f"it is not bound to the tool {tool}")
    if not secret.binding.allows_host(url):
        raise _refused(secret, "it is not bound to the host that it would be sent to")
    return told(secret).value


def told(secret: Secret) -> Secret:
    """Return a secret whose value is kept out of every text from now on."""
    guard_logging()
    REDACTOR.learn(secret.value)
    return secret


def missing(name: str) -> NotFound:
    """Say that there is no secret of a name."""
    return NotFound(
        f"there is no secret {name[:100]!r}",
        code="secret_not_found",
        hint=f"`flowbuilder secrets set {name[:100]}`, or set the environment variable "
        f"{EnvironmentSource.variable(name[:100])} for the worker.",
    )


def _refused(secret: Secret, why: str) -> Fail:
    return Fail(f"the secret {secret.name} is not given out: {why}", code="secret_not_allowed")


class _OwnVault:
    """The secrets of one workspace, whatever run asks."""

    def __init__(self, store: SecretStore) -> None:
        self._store = store

    async def secrets_state(self) -> tuple[int, Any]:
        return await self._store.secrets_state()

    async def secrets_of_run(self, run_id: str) -> list[SecretRow]:
        return await self._store.secrets()


async def workspace_secrets(
    store: SecretStore,
    settings: Settings,
    environment: EnvironmentSource,
    sources: Sequence[SecretSource],
    *,
    tool: str,
) -> TaskSecrets:
    """Return what may be asked for outside of any run, by the name of a tool."""
    desk = SecretDesk(_OwnVault(store), settings, environment, sources)
    return await desk.secrets_for("", tool)
