"""The workspace folder: paths that stay inside it, files opened without a race.

Every workspace has a folder of its own: the default one that which is set, each other one a folder
in there that no path of the default one leads into. What the settings keep in there (secrets, the
embedded database, the policy) is closed to all.

A path is judged by where it really leads. Then every folder on the way is opened by its parent's
descriptor without following links, so that a link put there after the check leads nowhere.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Literal

from flowbuilder.tools import Context, Fail
from flowbuilder.types import DEFAULT_WORKSPACE

MAX_PATH_LENGTH = 1024
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
#: In the folder of the default workspace: the folders of the others, by id.
_OTHERS = ".workspaces"


class Workspace:
    """One folder and the files in it, by relative paths. What is in `closed` places is no part."""

    def __init__(self, root: Path, closed: Iterable[Path] = ()) -> None:
        self._root = root.resolve()
        inside = {place.resolve() for place in closed}
        self._closed = [place for place in inside if self._root in place.parents]

    @classmethod
    def of(cls, context: Context) -> Workspace:
        """Return the folder of the workspace that a task belongs to."""
        settings = context.settings
        root = settings.workspace_dir
        if context.workspace != DEFAULT_WORKSPACE:
            return cls(root / _OTHERS / context.workspace)
        files = (
            settings.policy_file,
            settings.connections,
            settings.secret_key_file,
            settings.auth_secret_file,
        )
        kept = [file for file in files if file is not None]
        return cls(root, [root / _OTHERS, settings.data_dir, *kept])

    def locate(self, path: str) -> tuple[str, ...]:
        """Return the real place of a path below the root, as its parts.

        Raises:
            Fail: `path_refused`: the path is absolute, leads outside, or names no file.
        """
        if not path or "\x00" in path or len(path) > MAX_PATH_LENGTH:
            raise _refused(path, "is no usable path")
        given = PurePosixPath(path)
        if given.is_absolute() or path.startswith("~") or "\\" in path or path[1:2] == ":":
            raise _refused(path, "is not relative to the workspace")
        if ".." in given.parts:
            raise _refused(path, "leads out of its folder")
        try:
            real = (self._root / given).resolve()
        except (OSError, RuntimeError, ValueError):
            raise _refused(path, "cannot be followed") from None
        if not real.is_relative_to(self._root):
            raise _refused(path, "leads out of the workspace")
        if any(real.is_relative_to(place) for place in self._closed):
            raise _refused(path, "belongs to flowbuilder itself")
        parts = real.relative_to(self._root).parts
        if not parts or path.endswith("/"):
            raise _refused(path, "names a folder, not a file")
        return parts

    def read(self, path: str, max_bytes: int) -> bytes:
        """Return a file's bytes.

        Raises:
            Fail: `path_refused`, `file_missing`, `file_too_large`, or `file_failed`.
        """
        parts = self.locate(path)
        with self._folder(path, parts, create=False) as folder, _told(path):
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(parts[-1], flags, dir_fd=folder)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise _refused(path, "is no regular file")
                data = file.read(max_bytes + 1)
        if len(data) > max_bytes:
            raise Fail(f"{path} is larger than {max_bytes} bytes", code="file_too_large")
        return data

    def write(self, path: str, data: bytes, mode: Literal["overwrite", "append", "create"]) -> None:
        """Write a file, making the folders on the way.

        `overwrite` and `create` put the whole file in place at once or not at all.

        Raises:
            Fail: `path_refused`, `file_exists` (for `create`), or `file_failed`.
        """
        parts = self.locate(path)
        with self._folder(path, parts, create=True) as folder, _told(path):
            self._refuse_special(path, parts[-1], folder)
            if mode == "append":
                _append(folder, parts[-1], data)
            else:
                _place(folder, parts[-1], data, replace=mode == "overwrite")

    def size(self, path: str) -> int:
        """Return a file's size in bytes, 0 if there is none. Raises: Fail, `path_refused`."""
        real = self._root.joinpath(*self.locate(path))
        return real.stat().st_size if real.is_file() else 0

    def _refuse_special(self, path: str, name: str, folder: int) -> None:
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return
        if not stat.S_ISREG(found.st_mode):
            raise _refused(path, "is no regular file")

    @contextlib.contextmanager
    def _folder(self, path: str, parts: tuple[str, ...], *, create: bool) -> Iterator[int]:
        """Open the folder that holds a file, one part after the other."""
        with contextlib.ExitStack() as stack, _told(path):
            if create:
                self._root.mkdir(parents=True, exist_ok=True)
            current = os.open(self._root, _FOLDER)
            stack.callback(os.close, current)
            for part in parts[:-1]:
                if create:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, dir_fd=current)
                current = os.open(part, _FOLDER, dir_fd=current)
                stack.callback(os.close, current)
            yield current


def _place(folder: int, name: str, data: bytes, *, replace: bool) -> None:
    temporary = f".{secrets.token_hex(8)}.tmp"
    try:
        _fill(os.open(temporary, _new_file(os.O_EXCL), 0o666, dir_fd=folder), data)
        if replace:
            os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
        else:  # a link fails where a rename would overwrite
            os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)


def _append(folder: int, name: str, data: bytes) -> None:
    _fill(os.open(name, _new_file(os.O_APPEND), 0o666, dir_fd=folder), data)


def _new_file(flags: int) -> int:
    return os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | flags


def _fill(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _refused(path: str, reason: str) -> Fail:
    return Fail(f"{path[:200]!r} {reason}", code="path_refused")


@contextlib.contextmanager
def _told(path: str) -> Iterator[None]:
    """Turn the system's errors into ones that name the path as it was given."""
    try:
        yield
    except FileNotFoundError:
        raise Fail(f"there is no file {path!r} in the workspace", code="file_missing") from None
    except FileExistsError:
        raise Fail(f"the file {path!r} exists already", code="file_exists") from None
    except (IsADirectoryError, NotADirectoryError):
        raise _refused(path, "goes through something that is no folder") from None
    except OSError as error:
        raise Fail(f"{path!r}: {error.strerror or error}", code="file_failed") from None
