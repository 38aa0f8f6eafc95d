"""Changed files below a folder: noticed, waited for until they rest, and refused outside of it."""

from __future__ import annotations

import asyncio
import fnmatch
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from flowbuilder.errors import InvalidValue

#: Files that never rest are told of after so many times the rest that they should have.
_LONGEST_RESTS = 20
#: Files whose last state is remembered.
_MOST_KNOWN = 100_000
_LONGEST_PATH = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangedFile:
    """A file that has changed, or why it starts nothing."""

    path: Path
    """Where it really is."""
    refused: str | None = None


@dataclass(kw_only=True, slots=True)
class Watched:
    """A folder, or one file, whose changes are told of. Make it with `watched`."""

    root: Path
    only: str | None
    """Name of the one file in it."""
    pattern: str
    _known: dict[Path, tuple[int, int, int]] = field(default_factory=dict)

    def judge(self, name: str) -> ChangedFile | None:
        """Return what to make of a path that was told of; None for what is of no interest.

        A link that leads out of the folder is refused: whoever may write there could have any file
        read otherwise.
        """
        given = Path(name)
        meant = self.only is None or given == self.root / self.only
        if not (meant and fnmatch.fnmatch(given.name, self.pattern)):
            return None
        try:
            real = given.resolve(strict=True)
            state = real.stat()
        except (OSError, RuntimeError):  # gone again, or a link to itself
            return None
        if stat.S_ISDIR(state.st_mode):
            return None
        if not real.is_relative_to(self.root):
            return ChangedFile(path=given, refused="it leads out of the folder")
        if not stat.S_ISREG(state.st_mode):
            return ChangedFile(path=given, refused="it is no regular file")
        if len(os.fsencode(real)) > _LONGEST_PATH or not str(real).isprintable():
            return ChangedFile(path=given, refused="its name is too long or cannot be printed")
        seen = (state.st_mtime_ns, state.st_size, state.st_ino)
        if self._known.get(real) == seen:  # only its rights, or the time of its last reading
            return None
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[real] = seen
        return ChangedFile(path=real)

    async def changes(
        self, rest: timedelta, begun: Callable[[], None] = lambda: None, **watching: Any
    ) -> AsyncIterator[ChangedFile]:
        """Yield files that have come or changed, once nothing has changed for `rest`.

        `begun` is called when what changes from now on is noticed. `watching`: what watchfiles
        takes besides, such as `stop_event`.
        """
        from watchfiles import awatch

        step = max(1, int(rest.total_seconds() * 1000))
        batches = awatch(
            self.root,
            step=step,
            debounce=step * _LONGEST_RESTS,
            recursive=self.only is None,
            ignore_permission_denied=True,
            **watching,
        )
        following = asyncio.ensure_future(anext(batches, None))
        await asyncio.sleep(0)  # it has begun before it waits for anything
        begun()
        try:
            while (batch := await following) is not None:
                for found in self._judged(batch):
                    yield found
                following = asyncio.ensure_future(anext(batches, None))
        finally:
            following.cancel()

    def _judged(self, batch: set[tuple[Any, str]]) -> Iterator[ChangedFile]:
        from watchfiles import Change

        for name in sorted({path for change, path in batch if change is not Change.deleted}):
            found = self.judge(name)
            if found is not None:
                yield found


def watched(path: Path, pattern: str = "*") -> Watched:
    """Return a folder or file to be watched; links on the way to it are followed now.

    Raises:
        InvalidValue: There is none (path_missing).
    """
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise InvalidValue(
            f"there is no file or folder {str(path)[:200]}", code="path_missing"
        ) from None
    if real.is_dir():
        return Watched(root=real, only=None, pattern=pattern)
    return Watched(root=real.parent, only=real.name, pattern=pattern)
