"""The operator's file of tools from elsewhere: what is connected, and how far it may go.

It is a YAML or JSON file named by the setting `connections`. Only who runs the service can write
it, so commands, hosts and limits stand here and nowhere else. Values of secrets do not: they are
named as `secret://name`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from flowbuilder.errors import InvalidValue, SettingsError
from flowbuilder.flow import Duration
from flowbuilder.secrecy.binding import Binding, check_binding
from flowbuilder.secrecy.mentions import PREFIX, sole_mention
from flowbuilder.secrecy.sources import FileSource, SecretSource
from flowbuilder.settings import Settings
from flowbuilder.strictjson import load_document
from flowbuilder.toolkit.store_options import wrong_name, wrong_value
from flowbuilder.tools import Effects

_LARGEST_FILE = 1_048_576
_NAME = r"^[a-z][a-z0-9_]{0,39}$"
_IDENTIFIER = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,62}(\.[A-Za-z_][A-Za-z0-9_]{0,62})?$")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
#: What the tools that come with flowbuilder are called; nothing imported may look like one.
RESERVED = frozenset(
    {
        *("approval", "csv", "email", "event", "file", "flow", "human", "http", "json", "list"),
        *("llm", "records", "slack", "sql", "store", "text", "time", "wait", "data", "math"),
    }
)

Name = Annotated[str, Field(pattern=_NAME)]
EffectName = Literal["pure", "read", "write", "external", "irreversible"]


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True
    )


class SqlRead(_Part):
    """What `sql.query` may read of one database."""

    dsn: str
    """A reference to a secret, `secret://name`."""
    tables: list[str] = Field(min_length=1, max_length=500)
    """Tables and views, with their schema or without."""
    max_rows: int = Field(default=1000, ge=1, le=100_000)
    max_bytes: int = Field(default=1_000_000, ge=1000, le=50_000_000)
    timeout: Duration = timedelta(seconds=10)


class SqlTable(_Part):
    """What `sql.write` may do to one table."""

    columns: list[str] = Field(min_length=1, max_length=200)
    """Columns that may be given values."""
    key: list[str] = Field(default_factory=list, max_length=20)
    """Columns that say which rows are changed or deleted."""
    actions: list[Literal["insert", "update", "delete"]] = Field(default=["insert"], min_length=1)
    max_rows: int = Field(default=100, ge=1, le=100_000)
    """A statement that touches more changes nothing."""


class SqlWrite(_Part):
    """What `sql.write` may change in one database."""

    dsn: str
    tables: dict[str, SqlTable] = Field(min_length=1)
    timeout: Duration = timedelta(seconds=10)


class SqlDatabase(_Part):
    """A database of somebody's."""

    read: SqlRead | None = None
    write: SqlWrite | None = None

    @field_validator("read", "write")
    @classmethod
    def _sound(cls, part: SqlRead | SqlWrite | None) -> SqlRead | SqlWrite | None:
        if part is not None:
            if sole_mention(part.dsn) is None:
                raise ValueError("the dsn is a reference to a secret, secret://name")
            columns = (
                [name for table in part.tables.values() for name in (*table.columns, *table.key)]
                if isinstance(part, SqlWrite)
                else []
            )
            for name in (*part.tables, *columns):
                if not _IDENTIFIER.fullmatch(name):
                    raise ValueError(f"{name[:80]!r} is no name of a table or column")
        return part


class Email(_Part):
    """The mail server that `email.send` uses."""

    host: str
    port: int = Field(default=587, ge=1, le=65535)
    security: Literal["tls", "starttls", "none"] = "starttls"
    username: str | None = None
    password: str | None = None
    """A reference to a secret."""
    sender: str
    domains: list[str] = Field(min_length=1)
    """Where mail may go: `example.org`, or `*` for anywhere."""
    max_recipients: int = Field(default=20, ge=1, le=1000)
    max_bytes: int = Field(default=200_000, ge=1000, le=10_000_000)
    allow_private: bool = False
    """The server may be in a private network."""

    @field_validator("password")
    @classmethod
    def _secret(cls, value: str | None) -> str | None:
        return _reference(value)


class Slack(_Part):
    """Where `slack.post` posts: an incoming webhook, or channels by a bot's token."""

    webhook: str | None = None
    token: str | None = None
    channels: list[str] = Field(default_factory=list)
    """Channels that may be posted to with the token."""
    api: str = "https://slack.com/api/chat.postMessage"

    @field_validator("webhook", "token")
    @classmethod
    def _secret(cls, value: str | None) -> str | None:
        return _reference(value)

    @model_validator(mode="after")
    def _one(self) -> Slack:
        if (self.webhook is None) == (self.token is None):
            raise ValueError("give a webhook or a token")
        if self.token is not None and not self.channels:
            raise ValueError("a token needs the channels that may be posted to")
        return self


class ObjectStore(_Part):
    """A folder or bucket that `store.read`, `store.write` and `store.list` work in."""

    url: str = Field(pattern=r"^(s3|file|memory)://")
    options: dict[str, str] = Field(default_factory=dict)
    """As the store calls them, such as `region` or `endpoint`; secrets by reference."""
    writable: bool = False
    max_bytes: int = Field(default=1_000_000, ge=1, le=100_000_000)
    allow_http: bool = False
    """For stores on this machine."""

    @field_validator("options")
    @classmethod
    def _known(cls, options: dict[str, str], info: ValidationInfo) -> dict[str, str]:
        if str(info.data.get("url", "")).startswith("s3:"):
            written = {key: text for key, text in options.items() if PREFIX not in text}
            wrongs = (wrong_value(key, text) for key, text in written.items())
            wrong = wrong_name(options) or next((one for one in wrongs if one), None)
            if wrong is not None:
                raise ValueError(wrong)
        return options


class OpenApi(_Part):
    """A web API whose operations become tools."""

    document: str
    """A file, relative to this one, or an https address."""
    server: str = Field(pattern=r"^https?://")
    """Where every request goes, whatever the document says."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Sent with every request; secrets by reference."""
    operations: list[str] | None = None
    """Only these operation ids."""
    effects: dict[str, EffectName] = Field(default_factory=dict)
    """By operation id, where the method says the wrong thing."""


class McpServer(_Part):
    """A server of tools: a command on this machine, or an address."""

    command: str | None = None
    """The absolute path of a program; no shell reads it."""
    args: list[str] = Field(default_factory=list, max_length=100)
    environment: dict[str, str] = Field(default_factory=dict)
    """All that the program finds in its environment; secrets by reference."""
    directory: str | None = None
    url: str | None = Field(default=None, pattern=r"^https?://")
    headers: dict[str, str] = Field(default_factory=dict)
    """Sent with every request; secrets by reference."""
    tools: list[str] | None = None
    """Only these of its tools."""
    effects: dict[str, EffectName] = Field(default_factory=dict)
    """By tool; what is not named is external, whatever the server says of itself."""
    timeout: Duration = timedelta(seconds=60)

    @model_validator(mode="after")
    def _one(self) -> McpServer:
        if (self.command is None) == (self.url is None):
            raise ValueError("give a command or a url")
        if self.command is not None:
            if not self.command.startswith("/") or "\0" in self.command:
                raise ValueError("the command is an absolute path")
            if self.headers:
                raise ValueError("headers go with a url")
        elif self.args or self.environment or self.directory:
            raise ValueError("args, environment and directory go with a command")
        for name in self.environment:
            if not _VARIABLE.fullmatch(name):
                raise ValueError(f"{name[:80]!r} is no name of a variable")
        return self


class Bound(_Part):
    """Who may have a secret that is kept elsewhere."""

    hosts: list[str] = Field(default_factory=list)
    tools: list[str] = Field(default_factory=list)

    def binding(self) -> Binding:
        """Return it as secrets have it. Raises: InvalidValue (secret_binding_invalid)."""
        return check_binding(self.hosts, self.tools)


class Manager(_Part):
    """Another manager of secrets: a folder of files, or a service that answers GET."""

    files: Path | None = None
    url: str | None = Field(default=None, pattern=r"^https?://.*\{name\}")
    """Where a value is got, with `{name}` for its name."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Sent with every request; secrets of the environment by reference."""
    pointer: str = ""
    """Where in the JSON answer the value stands; empty: the answer is the value."""
    allow_private: bool = False
    names: dict[str, Bound] = Field(min_length=1)
    """The secrets that it has, and who may have them."""

    @model_validator(mode="after")
    def _one(self) -> Manager:
        if (self.files is None) == (self.url is None):
            raise ValueError("give files or a url")
        return self

    def bindings(self) -> dict[str, Binding]:
        """Return who may have each secret. Raises: InvalidValue (secret_binding_invalid)."""
        return {name: bound.binding() for name, bound in self.names.items()}


class Connections(_Part):
    """The whole file."""

    sql: dict[Name, SqlDatabase] = Field(default_factory=dict)
    email: Email | None = None
    slack: Slack | None = None
    stores: dict[Name, ObjectStore] = Field(default_factory=dict)
    openapi: dict[Name, OpenApi] = Field(default_factory=dict)
    mcp: dict[Name, McpServer] = Field(default_factory=dict)
    secrets: list[Manager] = Field(default_factory=list)

    @model_validator(mode="after")
    def _apart(self) -> Connections:
        for name in (*self.openapi, *self.mcp):
            if name in RESERVED:
                raise ValueError(f"{name} is what tools of flowbuilder are called")
        both = set(self.openapi) & set(self.mcp)
        if both:
            raise ValueError(f"{min(both)} is named twice")
        return self

    @property
    def databases_read(self) -> Mapping[str, SqlRead]:
        """The databases that may be queried."""
        return {name: item.read for name, item in self.sql.items() if item.read is not None}

    @property
    def databases_written(self) -> Mapping[str, SqlWrite]:
        """The databases that may be changed."""
        return {name: item.write for name, item in self.sql.items() if item.write is not None}


def connections_of(settings: Settings) -> Connections:
    """Return what is connected; nothing without the setting.

    Raises:
        SettingsError: `connections_invalid`: the file cannot be read, or says what cannot be.
    """
    if settings.connections is None:
        return Connections()
    path = settings.connections.resolve()
    try:
        changed = path.stat().st_mtime_ns
    except OSError as error:
        raise _invalid(path, error.strerror or "it cannot be read") from None
    return _load(path, changed)


@lru_cache(maxsize=8)
def _load(path: Path, changed: int) -> Connections:
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST_FILE + 1)
        if len(data) > _LARGEST_FILE:
            raise _invalid(path, "it is too large")
        found = Connections.model_validate(load_document(data, name=path.name))
        for manager in found.secrets:
            manager.bindings()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = "/".join(str(part) for part in first["loc"])
        raise _invalid(path, f"{where}: {first['msg']}" if where else str(first["msg"])) from None
    except InvalidValue as error:
        raise _invalid(path, error.message) from None
    except OSError as error:
        raise _invalid(path, error.strerror or "it cannot be read") from None
    return found


def secret_sources(settings: Settings) -> list[SecretSource]:
    """Return the managers of secrets that are connected. Raises: SettingsError."""
    from flowbuilder.toolkit.remote_secrets import HttpSource

    sources: list[SecretSource] = []
    for manager in connections_of(settings).secrets:
        if manager.files is not None:
            sources.append(FileSource(manager.files, manager.bindings()))
        else:
            sources.append(HttpSource(manager))
    return sources


def effects_of(name: str, said: Mapping[str, EffectName], otherwise: Effects) -> Effects:
    """Return the effects that the operator's file gives a tool, else the others."""
    return Effects(said[name]) if name in said else otherwise


def _reference(value: str | None) -> str | None:
    if value is not None and sole_mention(value) is None:
        raise ValueError("this is a reference to a secret, secret://name")
    return value


def _invalid(path: Path, why: str) -> SettingsError:
    return SettingsError(f"the file of connections {path}: {why}", code="connections_invalid")
