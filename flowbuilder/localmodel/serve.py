"""Serve the local model over OpenAI's protocol, in a process of its own.

`python -m flowbuilder.localmodel.serve MODEL --port 8933` is what `ensure_running` starts.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from flowbuilder.errors import FlowBuilderError, ModelError

DEFAULT_PORT = 8933
#: Tokens of prompt and answer together; a catalogue of thirty tools takes about three thousand.
CONTEXT_TOKENS = 8192
#: The server's own bound of one answer, whatever the request says.
LONGEST_ANSWER = 2048


def serve(
    path: Path,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    *,
    threads: int | None = None,
    context_tokens: int = CONTEXT_TOKENS,
) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        ModelError: `local_runtime_missing`, `model_file_missing` or `local_server_failed`.
    """
    llama = _runtime()
    if not path.is_file():
        raise ModelError(
            f"There is no model file {path}.",
            code="model_file_missing",
            hint="Run `flowbuilder model fetch`.",
        )
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = _start(llama, path, host, port, threads or os.cpu_count() or 2, context_tokens)
    print(f"serving {path.name} at {server.listening_address}/v1", flush=True)
    stop.wait()


def _runtime() -> Any:
    try:
        import xllamacpp
    except ImportError as error:
        raise ModelError(
            "The local model's runtime is not installed.",
            code="local_runtime_missing",
            hint="Install it with: pip install 'flowbuilder[local]'",
        ) from error
    return xllamacpp


def _start(llama: Any, path: Path, host: str, port: int, threads: int, context_tokens: int) -> Any:
    parameters = llama.CommonParams()
    parameters.model.path = str(path)
    parameters.hostnames, parameters.port = [host], port
    parameters.n_ctx, parameters.n_parallel = context_tokens, 1
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    parameters.n_predict = LONGEST_ANSWER
    try:
        return llama.Server(parameters)
    except (RuntimeError, ValueError) as error:
        raise ModelError(
            f"The local model does not start on {host}:{port}: {str(error)[:300]}",
            code="local_server_failed",
            hint="Choose another port with --port, if this one is taken.",
        ) from error


def main(arguments: list[str] | None = None) -> int:
    """Serve as a program; return the exit code."""
    parser = argparse.ArgumentParser(prog="flowbuilder model serve")
    parser.add_argument("path", type=Path)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT)
    parser.add_argument("--threads", type=int, default=None)
    given = parser.parse_args(arguments)
    try:
        serve(given.path, given.host, given.port, threads=given.threads)
    except FlowBuilderError as error:
        print(f"{error.code}: {error.message} {error.hint or ''}".strip(), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
