"""A folder for one piece of work, with room for a server of its own; gone afterwards.

What a killed process has left is tidied up by the next one that works in the same place.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from flowbuilder.errors import FlowBuilderError
from flowbuilder.executor import embedded
from flowbuilder.executor.cluster import try_lock, unlock

#: Where in such a folder an embedded server has its data.
SERVER = "server"
#: Held by the process that works in the folder.
LOCK = "scratch.lock"


@asynccontextmanager
async def scratch_folder(root: Path, prefix: str) -> AsyncIterator[Path]:
    """Make a folder in `root` whose name begins with `prefix`; remove it with all that is in it.

    A server in its folder `SERVER` has to be stopped by then.
    """
    folder = await asyncio.to_thread(_make, root, prefix)
    lock = try_lock(folder / LOCK)
    try:
        yield folder
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        if lock is not None:
            unlock(lock)


def _make(root: Path, prefix: str) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    _sweep(root, prefix)
    return Path(tempfile.mkdtemp(prefix=prefix, dir=root)).resolve()


def _sweep(root: Path, prefix: str) -> None:
    """Stop and remove what processes that were killed have left."""
    for folder in root.glob(f"{prefix}*"):
        try:
            if not (folder / LOCK).is_file() or folder.stat().st_uid != os.geteuid():
                continue  # one that is just beginning, or somebody else's
            lock = try_lock(folder / LOCK)
        except OSError:
            continue
        if lock is None:
            continue  # one that is still at work
        with suppress(FlowBuilderError):
            if (folder / SERVER).is_dir():
                embedded.start(folder / SERVER).stop()
        shutil.rmtree(folder, ignore_errors=True)
        unlock(lock)
