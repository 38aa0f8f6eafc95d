"""Saying why nothing happens in a run, while somebody watches it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from flowbuilder.cli.output import Printer
from flowbuilder.cli.visible import escape
from flowbuilder.errors import FlowBuilderError
from flowbuilder.executor.diagnosis import Reason, ReasonCode

if TYPE_CHECKING:
    from flowbuilder.client import Run

#: Seconds without an event before somebody asks why.
PATIENCE = 5.0
#: What the watch shows anyway, or what says that all goes on.
_SHOWN = frozenset(
    {
        ReasonCode.ENDED,
        ReasonCode.APPROVAL,
        ReasonCode.TIME,
        ReasonCode.RETRY_DELAYED,
        ReasonCode.LEASED,
        ReasonCode.MAP_LIMIT,
        ReasonCode.BUDGET,
        ReasonCode.COMPENSATING,
        ReasonCode.DEADLINE,
        ReasonCode.DEPENDENCIES,
    }
)


class Silence:
    """Tells why a run does not move once nothing was heard of it for a while; each reason once."""

    def __init__(self, printer: Printer, run: Run, patience: float) -> None:
        self._printer, self._run, self._patience = printer, run, patience
        self._heard = 0
        self._told: tuple[ReasonCode, str | None] | None = None

    def broken(self) -> None:
        """Take note that something has happened."""
        self._heard += 1

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            heard = self._heard
            await asyncio.sleep(self._patience)
            if heard == self._heard:
                with suppress(FlowBuilderError):  # who follows the run meets it as well
                    self._tell(heard, (await self._run.why()).reasons)

    def _tell(self, heard: int, reasons: tuple[Reason, ...]) -> None:
        found = next((reason for reason in reasons if reason.code not in _SHOWN), None)
        now = None if found is None else (found.code, found.step)
        if found is None or heard != self._heard or now == self._told:
            return
        self._told = now
        self._printer.talk.print(
            f"[yellow]waiting:[/] {escape(found.message)} [dim]({found.code.value})[/]"
        )
