"""Start the local model's server in the background, once, and stop it again by its pid."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from flowbuilder.errors import ModelError
from flowbuilder.localmodel.serve import DEFAULT_PORT, check_runtime, warm_up
from flowbuilder.localmodel.weights import QWEN_CODER
from flowbuilder.models.base import Message
from flowbuilder.settings import Settings

#: Seconds. Loading takes three on a quiet machine.
_READY_WITHIN, _STOPPED_WITHIN = 120.0, 10.0
_MODULE = "flowbuilder.localmodel.serve"


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalServer:
    """A server that answers: set `FLOWBUILDER_MODEL` and `…_API_BASE` to these two."""

    pid: int
    port: int
    host: str = "127.0.0.1"
    model: str = "openai/local"

    @property
    def api_base(self) -> str:
        """The address for `model_api_base`."""
        return f"http://{self.host}:{self.port}/v1"


def model_dir(settings: Settings) -> Path:
    """Return the folder that holds the fetched weights and the server's state."""
    return settings.data_dir / "model"


def ensure_running(
    settings: Settings,
    *,
    port: int = DEFAULT_PORT,
    prompt: Sequence[Message] = (),
    as_child: bool = False,
) -> LocalServer:
    """Return the running server, starting it when there is none, ready to answer.

    `prompt` is sent once after a start, so that its long common beginning is in the server's
    cache before a person waits for it. A server started `as_child` ends with this process, however
    that ends; otherwise it goes on until `stop`.

    Raises:
        ModelError: `model_file_missing`, `local_runtime_missing` or `local_server_failed`.
    """
    folder = model_dir(settings)
    found = running(settings)
    if found:
        return found
    weights = folder / QWEN_CODER.file_name
    if not weights.is_file():
        raise ModelError(
            f"There is no model file {weights}.",
            code="model_file_missing",
            hint="Run `flowbuilder model fetch`.",
        )
    check_runtime()
    server = _launch(folder, weights, _free_port(port), os.getpid() if as_child else None)
    (folder / "server.json").write_bytes(orjson.dumps(asdict(server)))
    if prompt:
        warm_up(server.api_base.removesuffix("/v1"), prompt)
    return server


def running(settings: Settings) -> LocalServer | None:
    """Return the server that an earlier call started, if it still answers."""
    try:
        noted = orjson.loads((model_dir(settings) / "server.json").read_bytes())
        server = LocalServer(**noted)
    except (OSError, ValueError, TypeError):
        return None
    return server if _is_ours(server.pid) and _answers(server) else None


def stop(settings: Settings) -> bool:
    """Stop the server that `ensure_running` started; return whether there was one."""
    state = model_dir(settings) / "server.json"
    try:
        pid = int(orjson.loads(state.read_bytes())["pid"])
    except (OSError, ValueError, TypeError, KeyError):
        return False
    stopped = _is_ours(pid) and _end(pid)
    state.unlink(missing_ok=True)
    return stopped


def _launch(folder: Path, weights: Path, port: int, parent: int | None) -> LocalServer:
    log = folder / "server.log"
    command = [sys.executable, "-m", _MODULE, str(weights.resolve()), "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command if parent is None else [*command, "--parent", str(parent)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    server = LocalServer(pid=process.pid, port=port)
    deadline = time.monotonic() + _READY_WITHIN
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise _failed(log, f"it ended with code {process.returncode}")
        if _answers(server):
            return server
        time.sleep(0.1)
    process.kill()
    process.wait()
    raise _failed(log, f"it was not ready within {_READY_WITHIN:.0f} s")


def _failed(log: Path, what: str) -> ModelError:
    lines = log.read_text(errors="replace").strip().splitlines()
    code = "local_server_failed"
    if lines and lines[-1].startswith("local_runtime_missing"):
        code = "local_runtime_missing"
    reason = f" {lines[-1][:300]}" if lines else ""
    return ModelError(f"The local model's server failed: {what}.{reason}", code=code)


def _answers(server: LocalServer) -> bool:
    import httpx

    try:
        health = httpx.get(f"http://{server.host}:{server.port}/health", timeout=2, trust_env=False)
    except httpx.HTTPError:
        return False
    return health.status_code == 200


def _free_port(wished: int) -> int:
    for port in (wished, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ModelError("No port is free on 127.0.0.1.", code="local_server_failed")


def _is_ours(pid: int) -> bool:
    """Whether this pid is a server of ours; a pid may belong to another program by now."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return _command_by_ps(pid)
    return _MODULE.encode() in command


def _command_by_ps(pid: int) -> bool:
    if Path("/proc/self").exists():
        return False
    shown = subprocess.run(
        ["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return _MODULE in shown.stdout


def _end(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + _STOPPED_WITHIN
    while time.monotonic() < deadline:
        if not _is_ours(pid):
            return True
        time.sleep(0.05)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return True
