"""Serve the local model over OpenAI's protocol, in a process of its own.

`python -m flowbuilder.localmodel.serve MODEL --port 8933` is what `ensure_running` starts.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from flowbuilder.errors import FlowBuilderError, ModelError
from flowbuilder.models.base import Message

DEFAULT_PORT = 8933
#: Tokens of prompt and answer together; a catalogue of thirty tools takes about three thousand.
CONTEXT_TOKENS = 8192
#: The server's own bound of one answer, whatever the request says.
LONGEST_ANSWER = 2048
#: MiB of memory for the prompts of earlier conversations; the current one needs none of it.
_PROMPT_CACHE = 256
#: Seconds. Two thousand tokens take half a minute on two quiet cores.
_WARM_WITHIN = 900.0
#: Seconds between two looks at whether the parent is still there.
_PARENT_EVERY = 1.0


def serve(
    path: Path,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    *,
    threads: int | None = None,
    context_tokens: int = CONTEXT_TOKENS,
    parent: int | None = None,
    prompt: Sequence[Message] = (),
) -> None:
    """Serve until SIGTERM or SIGINT, or until the process `parent` is no longer the parent.

    `prompt` is read once at the start: what begins like it is answered sooner from then on.

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
    if prompt:
        given = (server.listening_address, prompt)
        threading.Thread(target=warm_up, args=given, daemon=True).start()
    while not stop.wait(None if parent is None else _PARENT_EVERY):
        if os.getppid() != parent:
            break


def warm_up(address: str, messages: Sequence[Message]) -> None:
    """Have a server read a conversation, so that its beginning is in the cache afterwards."""
    import httpx

    body = {"model": "local", "messages": list(messages), "max_tokens": 1, "temperature": 0}
    # A slow machine only makes the first plan slower: no reason to fail.
    with suppress(httpx.HTTPError):
        httpx.post(
            f"{address}/v1/chat/completions", json=body, timeout=_WARM_WITHIN, trust_env=False
        )


def check_runtime() -> None:
    """Check that there is something to run the model on.

    Raises:
        ModelError: `local_runtime_missing`.
    """
    try:
        found = find_spec("xllamacpp") is not None
    except ValueError:  # a module that was taken out of `sys.modules`
        found = False
    if not found:
        raise _runtime_missing()


def _runtime() -> Any:
    try:
        import xllamacpp
    except ImportError as error:
        raise _runtime_missing() from error
    return xllamacpp


def _runtime_missing() -> ModelError:
    return ModelError(
        "The local model's runtime, xllamacpp, is not installed.",
        code="local_runtime_missing",
        hint="Install it with: pip install 'flowbuilder[local]', or: pip install xllamacpp",
    )


def _start(llama: Any, path: Path, host: str, port: int, threads: int, context_tokens: int) -> Any:
    parameters = llama.CommonParams()
    parameters.model.path = str(path)
    parameters.hostnames, parameters.port = [host], port
    parameters.n_ctx, parameters.n_parallel = context_tokens, 1
    parameters.cpuparams.n_threads = threads
    parameters.cpuparams_batch.n_threads = threads
    parameters.n_predict = LONGEST_ANSWER
    parameters.cache_ram_mib = _PROMPT_CACHE
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
    parser.add_argument("--parent", type=int, default=None, help="end with this process")
    given = parser.parse_args(arguments)
    try:
        serve(given.path, given.host, given.port, threads=given.threads, parent=given.parent)
    except FlowBuilderError as error:
        print(f"{error.code}: {error.message} {error.hint or ''}".strip(), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
