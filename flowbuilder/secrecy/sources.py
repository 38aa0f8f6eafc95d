"""Secrets that are kept elsewhere: in the environment, in files, in another manager.

A source is asked by name, right before use. One that cannot answer fails the step; nothing is
taken from another source in its place.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from flowbuilder.errors import ExecutionError, InvalidValue
from flowbuilder.secrecy.binding import Binding, Secret, check_binding, check_name

PREFIX = "FLOWBUILDER_SECRET_"
#: Set for the service itself, under names that begin alike.
_SETTINGS = frozenset({"KEY", "KEY_FILE"})
_HOSTS, _TOOLS = "__HOSTS", "__TOOLS"
_LARGEST_FILE = 65_536
_ANY_TOOL = Binding(tools=("*",))


class SecretUnavailable(ExecutionError):
    """A manager of secrets cannot be asked just now; another attempt may find it."""

    default_code = "secret_unavailable"


@runtime_checkable
class SecretSource(Protocol):
    """Another manager of secrets."""

    async def find(self, name: str) -> Secret | None:
        """Return a secret, None if this source has none of the name.

        Raises:
            SecretUnavailable: The source cannot be asked.
        """
        ...


class EnvironmentSource:
    """`FLOWBUILDER_SECRET_<NAME>`, with `…__HOSTS` and `…__TOOLS` (separated by commas) beside it.

    Without these two every tool may read the value, and it is sent to no host.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._values = {
            name.removeprefix(PREFIX): value
            for name, value in environment.items()
            if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in _SETTINGS
        }

    def __repr__(self) -> str:
        return f"EnvironmentSource({len(self._values)} names)"

    @staticmethod
    def variable(name: str) -> str:
        """Return the variable that holds a secret of this name."""
        return PREFIX + name.upper().replace("-", "_").replace(".", "_")

    def look(self, name: str) -> Secret | None:
        """Return a secret at once. Raises: InvalidValue (secret_binding_invalid)."""
        key = self.variable(name).removeprefix(PREFIX)
        value = self._values.get(key)
        if value is None:
            return None
        hosts, tools = (self._listed(key + part) for part in (_HOSTS, _TOOLS))
        binding = check_binding(hosts, tools) if hosts or tools else _ANY_TOOL
        return Secret(name=name, value=value, binding=binding)

    async def find(self, name: str) -> Secret | None:
        return self.look(name)

    def bound_to(self, tool: str) -> EnvironmentSource:
        """Return a source of those values alone that a tool may read, for its process."""
        values = {
            name: value
            for name, value in self._values.items()
            if (found := self.look(name.lower())) is not None and found.binding.allows_tool(tool)
        }
        return EnvironmentSource({PREFIX + name: value for name, value in values.items()})

    def _listed(self, key: str) -> list[str]:
        parts = (part.strip() for part in self._values.get(key, "").split(","))
        return [part for part in parts if part]


class FileSource:
    """A folder with one file a secret, as containers mount them; its bindings are set here."""

    def __init__(self, folder: Path, bindings: Mapping[str, Binding]) -> None:
        self._folder = folder
        self._bindings = dict(bindings)

    async def find(self, name: str) -> Secret | None:
        import asyncio

        if name not in self._bindings:
            return None
        return await asyncio.to_thread(self._read, check_name(name))

    def _read(self, name: str) -> Secret:
        try:
            with (self._folder / name).open("rb") as stream:
                data = stream.read(_LARGEST_FILE + 1)
        except OSError as error:
            raise SecretUnavailable(
                f"the file of the secret {name} cannot be read: {error.strerror}"
            ) from None
        if len(data) > _LARGEST_FILE:
            raise InvalidValue(f"the file of the secret {name} is too large", code="secret_invalid")
        try:
            value = data.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise InvalidValue(
                f"the file of the secret {name} is no UTF-8 text", code="secret_invalid"
            ) from None
        return Secret(name=name, value=value, binding=self._bindings[name])
