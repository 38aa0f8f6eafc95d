"""Questions to the person at the terminal, or to whoever feeds standard input."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from contextlib import suppress
from typing import Any

from flowbuilder.approving import shown, visible
from flowbuilder.cli.output import Printer, to_text
from flowbuilder.cli.visible import escape
from flowbuilder.executor.records import ApprovalRow

_YES = frozenset({"y", "yes", "ok", "true", "1"})
_NO = frozenset({"n", "no", "false", "0"})


class StandardInput:
    """Lines of standard input, read in daemon threads.

    An interrupt need not wait for a line that may never come. The descriptor is read itself: a
    thread that sits in `sys.stdin` when the process ends would crash the interpreter.
    """

    def __init__(self) -> None:
        self._rest = b""

    async def line(self) -> str | None:
        """Return the next line without its end, None when there is no more."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str | None] = loop.create_future()

        def deliver(line: str | None) -> None:
            if not answer.done():
                answer.set_result(line)

        def read() -> None:
            line = self._read()
            with suppress(RuntimeError):  # the loop has gone meanwhile
                loop.call_soon_threadsafe(deliver, line)

        threading.Thread(target=read, name="standard-input", daemon=True).start()
        return await answer

    def _read(self) -> str | None:
        try:
            descriptor = sys.stdin.fileno()
            while b"\n" not in self._rest:
                more = os.read(descriptor, 65536)
                if not more:
                    break
                self._rest += more
        except (OSError, ValueError, AttributeError):  # closed, or none at all
            return None
        if not self._rest:
            return None
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode(errors="replace").rstrip("\r")


_INPUT = StandardInput()


async def read_line() -> str | None:
    """Return the next line of standard input, None when there is no more."""
    return await _INPUT.line()


def is_interactive() -> bool:
    """Whether a person sits at standard input."""
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()


async def confirm(printer: Printer, question: str, *, default: bool | None = None) -> bool | None:
    """Ask for yes or no; None when there is nobody to answer."""
    choices = {True: "[Y/n]", False: "[y/N]", None: "[y/n]"}[default]
    while True:
        printer.talk.print(f"[bold]{escape(question)}[/] {escape(choices)} ", end="")
        line = await read_line()
        if not is_interactive():
            printer.talk.print(escape(line or ""))
        if line is None:
            return None
        word = line.strip().lower()
        if not word and default is not None:
            return default
        if word in _YES or word in _NO:
            return word in _YES
        printer.talk.print("Please answer y or n.")


async def ask_value(printer: Printer, schema: dict[str, Any] | None) -> tuple[bool, Any]:
    """Ask for a value; `(False, None)` when there is nobody to answer.

    JSON is read as JSON. Where the schema wants text, any other line is that text.
    """
    while True:
        printer.talk.print("[bold]value:[/] ", end="")
        line = await read_line()
        if line is None:
            return False, None
        try:
            value = json.loads(line)
        except ValueError:
            value = line
        if _wants_text(schema) and not isinstance(value, str):
            value = line
        return True, value


def show_approval(printer: Printer, approval: ApprovalRow) -> None:
    """Print what is asked, with exactly the arguments that the decision is about."""
    talk = printer.talk
    talk.print(
        f"\n[bold yellow]approval needed[/] for step [bold]{escape(approval.step_id)}[/]"
        f" [dim]{escape(approval.tool)}[/]"
    )
    if approval.message:
        talk.print(f"  {escape(visible(approval.message))}")
    if approval.by:
        talk.print(f"  asked of: {escape(', '.join(approval.by))}")
    if approval.args is not None:
        heading = "it will run with" if approval.kind == "gate" else "shown for it"
        talk.print(f"  {heading}:")
        for line in to_text(approval.args).splitlines():
            talk.print(f"    {escape(visible(line))}")
        for odd in shown(approval.args):
            for mark in odd.marks:
                talk.print(f"  [bold red]{escape(odd.pointer)}: {escape(mark)}[/]")
    talk.print(f"  [dim]id {approval.id}[/]")


def _wants_text(schema: dict[str, Any] | None) -> bool:
    return bool(schema) and (schema or {}).get("type") == "string"
