"""What a worker tells the database of itself: that it lives, and which tools it offers."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Collection, Iterable

from flowbuilder.executor.attempt import Attempts
from flowbuilder.executor.store import Store
from flowbuilder.settings import Settings
from flowbuilder.tools import Tool


class Registration:
    """The worker's row. The tools are those of its attempts' registry."""

    def __init__(
        self, store: Store, settings: Settings, attempts: Attempts, *, worker_id: str, name: str
    ) -> None:
        self._store = store
        self._settings = settings
        self._attempts = attempts
        self._worker_id = worker_id
        self._name = name
        self._writing = asyncio.Lock()
        self._written: list[str] = []

    async def write(self) -> None:
        """Say that this worker is there, and what it offers now."""
        async with self._writing:  # the last list to arrive has to be the newest
            offered = self._offered()
            await self._store.register_worker(
                self._worker_id,
                name=self._name,
                pid=os.getpid(),
                host=socket.gethostname(),
                tools=offered,
                concurrency=self._settings.concurrency,
                max_claims=self._settings.max_claims,
            )
            await self._store.declare_limits(offered, self._attempts.registry.limits())
            self._written = offered

    async def add(self, tools: Iterable[Tool]) -> bool:
        """Offer further tools; False when all of them were offered before."""
        self._attempts.registry = self._attempts.registry.merged(tools)
        if self._offered() == self._written:
            return False
        await self.write()
        return True

    async def remove(self, refs: Collection[str]) -> None:
        """Offer these tools (`name@version`) no more."""
        self._attempts.registry = self._attempts.registry.without(lambda tool: tool.ref in refs)
        await self.write()

    def _offered(self) -> list[str]:
        """Tools in all their versions; those that need a model are left to workers with one."""
        has_model = self._settings.model is not None
        registry = self._attempts.registry
        return [
            ref for ref in registry.refs() if has_model or not registry.require(ref).needs_model
        ]
