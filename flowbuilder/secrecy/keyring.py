"""Master keys: the first of a list seals, all of them open, so that keys can be changed.

A key file holds one key a line, 32 random bytes in base64; empty lines and lines that begin with
`#` count for nothing. Keys are named by a digest of theirs, so a row says which key it needs.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from flowbuilder.errors import SettingsError
from flowbuilder.settings import Settings

KEY_BYTES = 32
_FILE_NAME = "secret-keys"
_LONGEST_FILE = 100_000


class KeyRing:
    """Master keys by id; the first one is for sealing."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = {key_id(key): key for key in keys}
        self.active = key_id(keys[0]) if keys else ""

    def __repr__(self) -> str:
        return f"KeyRing({len(self._keys)} keys)"

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._keys

    def key(self, identifier: str) -> bytes:
        """Return a key. Raises: SettingsError (secret_key_unknown)."""
        if identifier not in self._keys:
            raise SettingsError(
                f"no master key here opens what was sealed with key {identifier[:40]}",
                code="secret_key_unknown",
                hint="Every process needs all keys in FLOWBUILDER_SECRET_KEY_FILE that are in use.",
            )
        return self._keys[identifier]


def key_id(key: bytes) -> str:
    """Return the name of a key: 16 hex digits that tell nothing of it."""
    return hashlib.sha256(b"flowbuilder master key\0" + key).hexdigest()[:16]


def parse_keys(text: str, said_by: str) -> list[bytes]:
    """Read keys from lines. Raises: SettingsError (secret_key_invalid)."""
    keys: list[bytes] = []
    for line in (line.strip() for line in text.replace(",", "\n").splitlines()):
        if not line or line.startswith("#"):
            continue
        try:
            key = base64.b64decode(line, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES or len(set(key)) < KEY_BYTES // 4:
            raise SettingsError(
                f"{said_by}: a master key is {KEY_BYTES} random bytes in base64",
                code="secret_key_invalid",
                hint="`flowbuilder secrets rotate-key` writes one.",
            )
        keys.append(key)
    return keys


def key_file(settings: Settings) -> Path | None:
    """Return where master keys are kept: as set, or beside the embedded database."""
    if settings.secret_key_file is not None:
        return settings.secret_key_file
    return settings.data_dir / _FILE_NAME if settings.database_url is None else None


def load_keys(settings: Settings, *, create: bool = False) -> KeyRing:
    """Return the configured master keys; empty if there are none.

    `create` makes the first key where there is none yet: beside the embedded database only, because
    other processes of a shared one would not have it.

    Raises:
        SettingsError: `secret_key_invalid`; with `create` also `secret_key_missing`.
    """
    keys: list[bytes] = []
    if settings.secret_key is not None:
        keys += parse_keys(settings.secret_key.get_secret_value(), "FLOWBUILDER_SECRET_KEY")
    file = key_file(settings)
    if file is not None:
        keys += _read(file)
        if not keys and create and settings.secret_key_file is None:
            keys = [add_key(file, only_first=True)]
    if not keys and create:
        raise SettingsError(
            "there is no master key to seal secrets with",
            code="secret_key_missing",
            hint="Set FLOWBUILDER_SECRET_KEY_FILE to a file that all processes share, and make a "
            "key with `flowbuilder secrets rotate-key`.",
        )
    return KeyRing(keys)


def add_key(file: Path, *, only_first: bool = False) -> bytes:
    """Put a new key at the front of a file, which only its owner may read, and return it.

    `only_first`: where there is a key already, that one is returned and nothing is changed.

    Raises:
        SettingsError: `secret_key_file`: it cannot be read or written.
    """
    with _sole(file, "lock"):
        present = _read(file)
        if only_first and present:
            return present[0]
        key = os.urandom(KEY_BYTES)
        write_keys(file, [base64.b64encode(item).decode() for item in [key, *present]])
        return key


def drop_other_keys(file: Path, keep: Sequence[str]) -> int:
    """Leave only the keys of these ids in a file; returns how many went."""
    with _sole(file, "lock"):
        present = _read(file)
        kept = [key for key in present if key_id(key) in keep]
        if len(kept) < len(present):
            write_keys(file, [base64.b64encode(key).decode() for key in kept])
        return len(present) - len(kept)


@contextlib.contextmanager
def rotation(file: Path) -> Iterator[None]:
    """Change the key of a file with nobody else doing so: their keys would get lost.

    Raises:
        SettingsError: `secret_key_busy`: somebody is.
    """
    try:
        with _sole(file, "rotation", wait=False):
            yield
    except BlockingIOError:
        raise SettingsError(
            "somebody else is just changing the master key", code="secret_key_busy"
        ) from None


@contextlib.contextmanager
def _sole(file: Path, what: str, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock that goes with the process. Raises: BlockingIOError, SettingsError."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file.with_name(f".{file.name}.{what}"), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _unusable(file, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
    finally:
        os.close(descriptor)


def write_keys(file: Path, lines: Sequence[str]) -> None:
    """Replace a key file at once. Raises: SettingsError (secret_key_file)."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write("".join(f"{line}\n" for line in lines))
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(file)
    except OSError as error:
        raise _unusable(file, error) from None


def _read(file: Path) -> list[bytes]:
    try:
        with file.open() as stream:
            text = stream.read(_LONGEST_FILE)
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(file, error) from None
    return parse_keys(text, f"the key file {file}")


def _unusable(file: Path, error: Exception) -> SettingsError:
    reason = getattr(error, "strerror", None) or type(error).__name__
    return SettingsError(f"the key file {file}: {reason}", code="secret_key_file")
