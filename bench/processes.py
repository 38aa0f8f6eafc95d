"""Processor time and memory of process trees, read from the system; None where it tells nothing.

Times of living processes come from their own clocks, in nanoseconds. What ended processes have
used is added by their parents in ticks, usually of 10 ms.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
#: The scheduler's clock among the clocks of a process, see clock_getcpuclockid.
_SCHEDULED = 2


@dataclass(frozen=True, slots=True)
class _Process:
    pid: int
    parent: int
    own: float
    """Seconds of the process itself, in ticks."""
    reaped: float
    """Seconds of its ended children."""


def cpu_seconds(root: int) -> float | None:
    """Return the processor time that a process and its descendants have used, in seconds."""
    processes = list(_tree(root))
    if not processes:
        return None
    return sum(_clock(one) + one.reaped for one in processes)


def peak_memory(root: int) -> float | None:
    """Return the largest memory that a process and its descendants have held, in MB."""
    kilobytes = [_peak(one.pid) for one in _tree(root)]
    return sum(kilobytes) / 1024 if any(kilobytes) else None


def postmaster_of(backend: int, database: str) -> int | None:
    """Return the pid of the server that a backend belongs to; None: it is on another machine.

    The number alone would say nothing: the title of the process has to name the database too.
    """
    try:
        title = (_PROC / str(backend) / "cmdline").read_bytes()
    except OSError:
        return None
    if not title.startswith(b"postgres") or f" {database} ".encode() not in title:
        return None
    found = _read(backend)
    return found.parent if found is not None else None


def _tree(root: int) -> Iterator[_Process]:
    children: dict[int, list[_Process]] = {}
    for one in _all():
        children.setdefault(one.parent, []).append(one)
    top = _read(root)
    pending = [top] if top is not None else []
    while pending:
        one = pending.pop()
        yield one
        pending += children.get(one.pid, [])


def _all() -> Iterator[_Process]:
    if not _PROC.is_dir():
        return
    for folder in _PROC.iterdir():
        if folder.name.isdigit() and (found := _read(int(folder.name))) is not None:
            yield found


def _read(pid: int) -> _Process | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:  # it has just ended
        return None
    # the name in brackets may hold spaces and brackets
    fields = text.rpartition(")")[2].split()
    tick = os.sysconf("SC_CLK_TCK")
    own = (int(fields[11]) + int(fields[12])) / tick
    reaped = (int(fields[13]) + int(fields[14])) / tick
    return _Process(pid, int(fields[1]), own, reaped)


def _clock(process: _Process) -> float:
    try:
        return time.clock_gettime((~process.pid << 3) | _SCHEDULED)
    except OSError:
        return process.own


def _peak(pid: int) -> int:
    try:
        lines = (_PROC / str(pid) / "status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)
