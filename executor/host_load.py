"""How busy the host is, or the container that the process runs in; read from the system's files.

Linux tells this in /proc and in the files of control groups (version 2, or 1). What cannot be read
counts as idle: elsewhere a worker takes work whatever its host does.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

#: A held worker goes on when everything is below this share of its threshold.
RELEASE_SHARE = 0.9
#: How much a new measurement of the processors counts: a moment's work holds nobody.
_WEIGHT = 0.4
#: No control group has that much memory: there is no bound.
_UNBOUNDED = 2**60


@dataclass(frozen=True, kw_only=True, slots=True)
class Load:
    """Shares in use, from 0 to 1."""

    cpu: float
    """Of the processors that the process may use, since the last look."""
    memory: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """Why nothing is taken."""

    cause: str
    """`cpu` or `memory`."""
    figure: float
    threshold: float


class HostMeter:
    """Reads the load of the host and of the process's control group, whichever is higher.

    Args:
        root: Where /proc and /sys are; another folder in tests.
        clock: Seconds that never go back.
    """

    def __init__(
        self, *, root: Path = Path("/"), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._proc = root / "proc"
        self._clock = clock
        self._groups = _groups(self._proc, root / "sys" / "fs" / "cgroup")
        self._cpus = os.cpu_count() or 1
        self._jiffies = self._read_jiffies()
        self._group_cpu = (self._clock(), self._read_group_cpu())
        self._smooth: float | None = None

    def look(self) -> Load:
        """Return the load; that of the processors is smoothed over a few looks."""
        cpu = max(self._host_cpu(), self._group_share())
        self._smooth = (
            cpu if self._smooth is None else self._smooth + _WEIGHT * (cpu - self._smooth)
        )
        return Load(cpu=self._smooth, memory=max(self._host_memory(), self._group_memory()))

    # -- processors -------------------------------------------------------------------------

    def _read_jiffies(self) -> tuple[int, int]:
        """Return the ticks that all processors have had, and those that were idle."""
        fields = _text(self._proc / "stat").partition("\n")[0].split()[1:9]
        ticks = [int(one) for one in fields if one.isdigit()]
        if len(ticks) < 5:
            return 0, 0
        return sum(ticks), ticks[3] + ticks[4]  # idle, and waiting for a disk

    def _host_cpu(self) -> float:
        before, self._jiffies = self._jiffies, self._read_jiffies()
        passed = self._jiffies[0] - before[0]
        return 0.0 if passed <= 0 else _share(1 - (self._jiffies[1] - before[1]) / passed)

    def _read_group_cpu(self) -> float | None:
        """Return the seconds of processors that the control group has used."""
        for group in self._groups:
            for line in _text(group / "cpu.stat").splitlines():
                name, _, value = line.partition(" ")
                if name == "usage_usec":
                    return int(value) / 1e6
            if (used := _number(group / "cpuacct.usage")) is not None:
                return used / 1e9
        return None

    def _allowed_cpus(self) -> float | None:
        """Return how many processors the control group may use; None: all of them."""
        found = []
        for group in self._groups:
            quota, _, period = _text(group / "cpu.max").strip().partition(" ")
            if not quota:
                quota = _text(group / "cpu.cfs_quota_us").strip()
                period = _text(group / "cpu.cfs_period_us").strip()
            if quota.isdigit() and period.isdigit() and int(period):
                found.append(int(quota) / int(period))
        return min(found, default=None)

    def _group_share(self) -> float:
        before, used = self._group_cpu
        self._group_cpu = (self._clock(), self._read_group_cpu())
        allowed = self._allowed_cpus()
        passed = self._group_cpu[0] - before
        if allowed is None or used is None or self._group_cpu[1] is None or passed <= 0:
            return 0.0
        return _share((self._group_cpu[1] - used) / passed / min(allowed, self._cpus))

    # -- memory -----------------------------------------------------------------------------

    def _host_memory(self) -> float:
        sizes = {}
        for line in _text(self._proc / "meminfo").splitlines():
            name, _, value = line.partition(":")
            first = value.split()[:1]
            if first and first[0].isdigit():
                sizes[name] = int(first[0])
        total, free = sizes.get("MemTotal", 0), sizes.get("MemAvailable")
        return 0.0 if not total or free is None else _share(1 - free / total)

    def _group_memory(self) -> float:
        """Return the share in use, without files that are only kept because there is room."""
        shares = [0.0]
        for group in self._groups:
            most = _number(group / "memory.max") or _number(group / "memory.limit_in_bytes")
            used = _number(group / "memory.current")
            if used is None:
                used = _number(group / "memory.usage_in_bytes")
            if not most or most >= _UNBOUNDED or used is None:
                continue
            shares.append(_share((used - _kept_files(group)) / most))
        return max(shares)


@dataclass(slots=True)
class Holding:
    """Decides whether anything is taken: above a threshold not, until all is well below again."""

    cpu: float | None
    memory: float | None
    held: Held | None = field(default=None)

    @property
    def wanted(self) -> bool:
        """Whether there is any threshold."""
        return self.cpu is not None or self.memory is not None

    def judge(self, load: Load) -> Held | None:
        """Return why nothing is taken at this load; None: work is taken."""
        over = None
        for cause, figure, threshold in (
            ("memory", load.memory, self.memory),
            ("cpu", load.cpu, self.cpu),
        ):
            if threshold is None:
                continue
            was = self.held is not None and self.held.cause == cause
            if figure > threshold * (RELEASE_SHARE if was else 1):
                over = over or Held(cause=cause, figure=figure, threshold=threshold)
        self.held = over
        return over


def _groups(proc: Path, mount: Path) -> list[Path]:
    """Return the folders of the control group that may tell something, the innermost first."""
    found: list[Path] = []
    for line in _text(proc / "self" / "cgroup").splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        bases = [mount / name for name in (names, *names.split(",")) if name] or [mount]
        for base in bases:
            own = base / path.lstrip("/")
            # inside a container its own group is mounted as the root
            found += [place for place in (own, base) if place.is_dir() and place not in found]
    return found


def _kept_files(group: Path) -> int:
    for line in _text(group / "memory.stat").splitlines():
        name, _, value = line.partition(" ")
        if name in ("inactive_file", "total_inactive_file") and value.isdigit():
            return int(value)
    return 0


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
