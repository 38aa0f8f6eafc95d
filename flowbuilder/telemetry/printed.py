"""What tools print themselves leaves the process without secrets, as the lines of the log do."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO, cast

from flowbuilder.secrecy import REDACTOR


class Printed:
    """A stream that takes out of each text that is written what is known as a secret."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text without secrets; what counts is the length of what was given."""
        self._stream.write(REDACTOR.text(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def without_secrets() -> Iterator[None]:
    """Let everything that is printed meanwhile pass the redactor."""
    out, err = cast(TextIO, Printed(sys.stdout)), cast(TextIO, Printed(sys.stderr))
    with redirect_stdout(out), redirect_stderr(err):
        yield
