"""From an error to what a person reads, what a program reads, and the exit code."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Coroutine
from typing import Any

import typer

from flowbuilder.cli.output import Printer
from flowbuilder.cli.visible import escape
from flowbuilder.errors import (
    FlowBuilderError,
    InvalidValue,
    Problem,
    SettingsError,
    Severity,
    error_json,
)

OK, FAILED, USAGE, WAITING, INTERRUPTED, TERMINATED = 0, 1, 2, 3, 130, 143
#: The hint of an error that nobody foresaw.
DEBUG_HINT = "Add --debug to see where it happened."


class UsageProblem(Exception):
    """What was typed cannot be meant; exit code 2."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def perform(printer: Printer, work: Coroutine[Any, Any, int | None]) -> None:
    """Run a command's coroutine to its end and leave with its exit code."""
    finish(printer, lambda: _on_loop(work))


def finish(printer: Printer, work: Callable[[], int | None]) -> None:
    """Call a command's function, report what it raises, and leave with its exit code."""
    try:
        code = work() or OK
    except KeyboardInterrupt:
        printer.err.print("interrupted", style="yellow")
        code = INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone: `flowbuilder runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = FAILED
    except (typer.Exit, SystemExit):
        raise
    except Exception as error:
        code = report(printer, error)
    raise typer.Exit(code)


def report(printer: Printer, error: Exception) -> int:
    """Print an error to standard error, in JSON mode also as a line, and return the exit code."""
    problems: tuple[Problem, ...] = getattr(error, "problems", ())
    if isinstance(error, InvalidValue):  # one finding, and where in the document it stands
        problems = (error.as_problem(),)
    if printer.as_json:
        body = error_json(error)
        if isinstance(error, InvalidValue):
            body["problems"] = [problem.as_json() for problem in problems]
        if isinstance(error, UsageProblem):
            body = {"code": "usage", "message": str(error), "hint": error.hint}
        printer.line({"type": "error", "error": body})
    debug = printer.debug or logging.getLogger("flowbuilder").isEnabledFor(logging.DEBUG)
    if debug:
        traceback.print_exception(error)
    known = isinstance(error, FlowBuilderError | UsageProblem)
    code = getattr(error, "code", None)
    message = str(error) if known else f"{type(error).__name__}: {error}".splitlines()[0]
    printer.err.print(
        f"[bold red]error:[/] {escape(message)}" + (f" [dim]({code})[/]" if code else "")
    )
    hint = getattr(error, "hint", None) or (None if known or debug else DEBUG_HINT)
    said = ("", message, hint)
    new = [one for one in problems if (one.pointer, one.message, one.hint) != said]
    show_problems(printer, new)
    if hint:
        printer.err.print(f"[bold]hint:[/] {escape(hint)}")
    return USAGE if isinstance(error, UsageProblem | SettingsError) else FAILED


def show_problems(printer: Printer, problems: tuple[Problem, ...] | list[Problem]) -> None:
    """Print problems for a person: where, what, code, and how to mend it."""
    for problem in problems:
        color = "red" if problem.severity is Severity.ERROR else "yellow"
        where = problem.pointer or "/"
        printer.err.print(
            f"  [{color}]{problem.severity.value}[/] [bold]{escape(where)}[/] "
            f"{escape(problem.message)} [dim]({escape(problem.code)})[/]"
        )
        if problem.hint:
            printer.err.print(f"    {escape(problem.hint)}", style="dim")


def _on_loop(work: Coroutine[Any, Any, int | None]) -> int | None:
    """Run on a loop of its own; SIGTERM ends the command in order, as Ctrl-C does."""
    with asyncio.Runner() as runner:
        terminated = False

        async def main() -> int | None:
            nonlocal terminated
            task = asyncio.current_task()

            def stop() -> None:
                nonlocal terminated
                terminated = True
                if task is not None:
                    task.cancel()

            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop)
            return await work

        try:
            return runner.run(main())
        except asyncio.CancelledError:
            if terminated:
                return TERMINATED
            raise
