"""Signals that end a process: the first one asks, the second one does not wait."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

#: SIGTERM comes from whoever manages processes, SIGINT from a keyboard.
SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def stop_signals(stop: Callable[[], object]) -> Iterator[None]:
    """Call `stop` at the first signal and leave at the second; for the main thread.

    The handlers are Python's own and not the event loop's, so that the second signal ends also a
    process whose loop is held up. `stop` runs between any two lines of the program.
    """
    asked = False

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal asked
        if asked:
            leave(number)
        asked = True
        stop()

    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave(number: int) -> NoReturn:
    """End the process now, as a signal does; what it holds goes to others as after a kill."""
    os._exit(128 + number)
