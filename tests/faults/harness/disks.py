"""A small disk of its own that can be full: PostgreSQL gets a true ENOSPC from it."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.harness.nursery import Nursery

_CHUNK = bytes(4096)


class Disk:
    """A file system in memory with a file in it that takes what room there is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> int:
        """Take all the room that is left; returns the bytes."""
        taken = 0
        with self._ballast.open("ab", buffering=0) as file:
            try:
                while True:
                    taken += file.write(_CHUNK)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
        return taken

    def free(self) -> None:
        """Give the room back."""
        self._ballast.unlink()


@contextmanager
def small_disk(folder: Path, nursery: Nursery, *, mebibytes: int) -> Iterator[Disk]:
    """Mount a disk of this size; the test is skipped where nothing may be mounted."""
    folder.mkdir(mode=0o755)
    nursery.guard(folder)
    options = f"size={mebibytes}m,mode=755"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)],
        capture_output=True, text=True, check=False,
    ) if os.geteuid() == 0 else None  # fmt: skip
    if mounted is None or mounted.returncode:
        why = "only root mounts one" if mounted is None else mounted.stderr.strip()
        pytest.skip(f"there is no small disk to fill: {why}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
        folder.rmdir()
