"""Keeps something alive: a thread that looks at it and brings it back when it is gone."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

from flowbuilder.errors import FlowBuilderError

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.2
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 15.0


class Supervisor:
    """A daemon thread; `close` ends it, also in the middle of a revival that heeds `stopping`."""

    def __init__(self, name: str, *, gone: Callable[[], bool], revive: Callable[[], None]) -> None:
        self._name = name
        self._random = random.Random()  # a thread leaves that of the whole process alone
        self._gone = gone
        self._revive = revive
        self.stopping = threading.Event()
        """Set by `close`: `revive` should give up."""
        self.revivals = 0
        """How often it was gone and is back."""
        self.trouble: str | None = None
        """Why it cannot be brought back, while that is so."""
        self._thread = threading.Thread(target=self._run, name=f"flowbuilder-{name}", daemon=True)
        self._thread.start()

    def close(self, *, timeout: float) -> bool:
        """End the thread. False: it is still busy with a revival after `timeout` seconds."""
        self.stopping.set()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        wait = _LOOK_SECONDS
        failures = 0
        while not self.stopping.wait(wait):
            wait = _LOOK_SECONDS
            try:
                if self._gone():
                    self._bring_back()
                failures, self.trouble = 0, None  # or somebody else has brought it back
            except (FlowBuilderError, OSError) as error:
                if self.stopping.is_set():
                    return
                failures += 1
                self.trouble = str(error)
                longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(failures - 1, 10))
                wait = longest * self._random.uniform(0.5, 1.0)
                log.error(
                    "%s cannot be brought back, trying again: %s",
                    self._name,
                    error,
                    extra={"failures": failures, "pause_seconds": round(wait, 3)},
                )

    def _bring_back(self) -> None:
        log.warning("%s is gone, bringing it back", self._name, extra={"revivals": self.revivals})
        began = time.monotonic()
        self._revive()
        if self.stopping.is_set():
            return
        self.revivals += 1
        log.warning(
            "%s is back",
            self._name,
            extra={"revivals": self.revivals, "seconds": round(time.monotonic() - began, 3)},
        )
