"""Secrets that a service keeps, asked by GET behind the egress guard."""

from __future__ import annotations

import asyncio
import os
import time
from urllib.parse import quote

import httpcore

from flowbuilder.errors import FlowBuilderError
from flowbuilder.secrecy import Secret, fill
from flowbuilder.secrecy.binding import check_value
from flowbuilder.secrecy.sources import EnvironmentSource, SecretUnavailable
from flowbuilder.strictjson import loads
from flowbuilder.toolkit.connections import Manager
from flowbuilder.toolkit.egress import EgressPolicy, GuardedTransport
from flowbuilder.toolkit.exchange import build_request, exchange
from flowbuilder.tools import Fail

_SECONDS = 10.0
_KEPT_SECONDS = 60.0
_LARGEST = 131_072


class HttpSource:
    """Asks a service for values; keeps each for a minute, and never longer than it was given."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._bindings = manager.bindings()
        self._environment = EnvironmentSource(os.environ)
        self._kept: dict[str, tuple[float, str]] = {}

    async def find(self, name: str) -> Secret | None:
        if name not in self._bindings:
            return None
        at, value = self._kept.get(name, (0.0, ""))
        if not value or time.monotonic() - at > _KEPT_SECONDS:
            value = await self._ask(name)
            self._kept[name] = (time.monotonic(), value)
        return Secret(name=name, value=value, binding=self._bindings[name])

    async def _ask(self, name: str) -> str:
        assert self._manager.url is not None
        policy = EgressPolicy(
            allow_private=self._manager.allow_private,
            setting="the manager's allow_private in the connections",
        )
        url = self._manager.url.replace("{name}", quote(name, safe=""))
        try:
            headers = {
                key: await fill(text, self._reveal) for key, text in self._manager.headers.items()
            }
            request = build_request(policy, "GET", url, headers, {}, None)
            async with asyncio.timeout(_SECONDS), GuardedTransport(policy) as transport:
                response, body = await exchange(transport, policy, request, _LARGEST, follow=False)
            if response.status_code != 200:
                raise SecretUnavailable(
                    f"the manager of the secret {name} answered {response.status_code}"
                )
            return check_value(self._taken(body))
        except (TimeoutError, httpcore.TimeoutException, httpcore.NetworkError, OSError) as error:
            raise SecretUnavailable(
                f"the manager of the secret {name} cannot be asked: {type(error).__name__}"
            ) from None
        except (httpcore.ProtocolError, Fail, FlowBuilderError, UnicodeDecodeError) as error:
            if isinstance(error, SecretUnavailable):
                raise
            why = getattr(error, "message", None) or str(error)
            raise SecretUnavailable(
                f"the manager of the secret {name} gave no value: {why[:200]}"
            ) from None

    async def _reveal(self, name: str) -> str:
        found = self._environment.look(name)
        if found is None:
            raise SecretUnavailable(f"the secret {name} is not in the environment")
        return found.value

    def _taken(self, body: bytes) -> object:
        if not self._manager.pointer:
            return body.decode().rstrip("\r\n")
        found: object = loads(body)
        for part in self._manager.pointer.removeprefix("/").split("/"):
            found = found.get(part) if isinstance(found, dict) else None
        return found
