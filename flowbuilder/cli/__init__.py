"""The command line: `flowbuilder` or `python -m flowbuilder.cli`."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave the process with its exit code.

    0 ok, 1 a failed run or problems, 2 wrong usage, 3 waiting for a person, 130 interrupted.
    """
    from flowbuilder.cli.app import run_app

    run_app(arguments)
