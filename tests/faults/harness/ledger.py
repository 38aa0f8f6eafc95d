"""What handlers did, written outside the database, one line each, so that no kill can lose it."""

from __future__ import annotations

import json
import os
import time
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from flowbuilder.tools import Context


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One line: a handler began (`enter`) or came to its end (`exit`)."""

    what: str
    run: str
    step: str
    index: int | None
    attempt: int
    key: str
    pid: int
    at: float
    """Seconds of the machine's monotonic clock, the same one in every process."""

    @property
    def unit(self) -> tuple[str, str, int | None]:
        """Which task it is about."""
        return (self.run, self.step, self.index)


class Ledger:
    """A file that all processes append to; a line is one write and therefore whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, what: str, context: Context) -> None:
        """Append a line about the task of this context."""
        line = json.dumps(
            [
                what, context.run_id, context.step_id, context.index, context.attempt,
                context.idempotency_key, os.getpid(), time.monotonic(),
            ]
        )  # fmt: skip
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, f"{line}\n".encode())
        finally:
            os.close(handle)

    def read(self) -> list[Entry]:
        """Return every line so far."""
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        names = ("what", "run", "step", "index", "attempt", "key", "pid", "at")
        whole = text[: text.rfind("\n") + 1]
        return [
            Entry(**dict(zip(names, json.loads(line), strict=True))) for line in whole.splitlines()
        ]

    def entries(self, step: str | None = None) -> list[Entry]:
        """Return the lines about handlers that began, of one step or of all."""
        return [e for e in self.read() if e.what == "enter" and step in (None, e.step)]

    def count(self, step: str | None = None) -> int:
        """Count how often handlers began."""
        if step is not None:
            return len(self.entries(step))
        try:
            return self.path.read_bytes().count(b'["enter"')
        except FileNotFoundError:
            return 0

    def interrupted(self, pid: int) -> list[Entry]:
        """Return what a process had begun and did not bring to an end."""
        mine = [entry for entry in self.read() if entry.pid == pid]
        ended = Counter((e.unit, e.attempt) for e in mine if e.what == "exit")
        left = []
        for entry in mine:
            if entry.what == "enter":
                if ended[entry.unit, entry.attempt]:
                    ended[entry.unit, entry.attempt] -= 1
                else:
                    left.append(entry)
        return left

    def recoveries(self, kills: dict[int, float]) -> list[float]:
        """Return for each interrupted task how long after the kill it began again.

        `kills`: the moment (monotonic) by process id.
        """
        begun: dict[tuple[str, str, int | None], list[float]] = defaultdict(list)
        for entry in self.entries():
            begun[entry.unit].append(entry.at)
        times = []
        for pid, moment in kills.items():
            for entry in self.interrupted(pid):
                later = [at for at in begun[entry.unit] if at > moment]
                if later:
                    times.append(min(later) - moment)
        return times


def quantile(values: list[float], share: float) -> float:
    """Return the value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
