"""A server that speaks OpenAI's protocol over a real socket and does as it is told.

Each request takes the next entry of the script; the last one serves all further requests too.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """A right answer: streamed in pieces when the request asks for a stream."""

    text: str
    piece: int = 12
    finish: str = "stop"
    prompt_tokens: int = 100
    completion_tokens: int = 20


@dataclass(frozen=True)
class Failure:
    """An HTTP error with OpenAI's body."""

    status: int
    message: str = "no"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NotJson:
    """Status 200 with a web page in it."""

    body: str = "<html><body>Welcome to the hotel network</body></html>"


@dataclass(frozen=True)
class Hang:
    """Accept the request and say nothing; with `text`, stall in the middle of a stream."""

    text: str = ""


@dataclass(frozen=True)
class Cut:
    """Send a part of a stream and close the connection in the middle of a chunk."""

    text: str


@dataclass(frozen=True)
class Endless:
    """Never stop streaming."""

    text: str = " "


Entry = Answer | Failure | NotJson | Hang | Cut | Endless


class FakeOpenAI:
    """What a test holds of the server."""

    def __init__(self, script: Sequence[Entry]) -> None:
        self._script = list(script)
        self._lock = threading.Lock()
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.closing = threading.Event()
        self.url = ""

    def say(self, *script: Entry) -> None:
        """Answer so from now on."""
        with self._lock:
            self._script = list(script)

    def take(self, body: dict[str, Any], key: str | None) -> Entry:
        """Note a request and return what to do with it."""
        with self._lock:
            self.requests.append(body)
            self.keys.append(key)
            return self._script.pop(0) if len(self._script) > 1 else self._script[0]


@contextmanager
def fake_openai(*script: Entry) -> Iterator[FakeOpenAI]:
    """Serve a script on a free port."""
    fake = FakeOpenAI(script)
    handler = type("Handler", (_Handler,), {"fake": fake})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        fake.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeOpenAI

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", "0"))
        body = json.loads(self.rfile.read(length))
        entry = self.fake.take(body, self.headers.get("authorization"))
        with suppress(OSError):  # the client may have gone away, as it should
            self._answer(entry, bool(body.get("stream")))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _answer(self, entry: Entry, stream: bool) -> None:
        match entry:
            case Answer() if stream:
                self._stream_answer(entry)
            case Answer():
                self._json(200, completion(entry))
            case Failure():
                error = {"error": {"message": entry.message, "type": "error", "code": None}}
                self._json(entry.status, error, entry.headers)
            case NotJson():
                self._body(200, entry.body.encode(), {"content-type": "text/html"})
            case Hang():
                if entry.text:
                    self._open_stream()
                    self._chunk(_piece(entry.text))
                self.fake.closing.wait()
                self.close_connection = True
            case Cut():
                self._open_stream()
                self._chunk(_piece(entry.text))
                self.wfile.write(b"400\r\ndata: {")
                self.close_connection = True
            case Endless():
                self._open_stream()
                while not self.fake.closing.is_set():
                    self._chunk(_piece(entry.text))

    def _stream_answer(self, entry: Answer) -> None:
        self._open_stream()
        for start in range(0, len(entry.text), entry.piece):
            self._chunk(_piece(entry.text[start : start + entry.piece]))
        self._chunk(_piece("", finish=entry.finish))
        self._chunk({**_envelope("chat.completion.chunk"), "choices": [], "usage": _usage(entry)})
        self._raw(b"data: [DONE]\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _open_stream(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def _chunk(self, value: dict[str, Any]) -> None:
        self._raw(f"data: {json.dumps(value)}\n\n".encode())

    def _raw(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _json(
        self, status: int, value: dict[str, Any], headers: dict[str, str] | None = None
    ) -> None:
        kind = {"content-type": "application/json"}
        self._body(status, json.dumps(value).encode(), {**kind, **(headers or {})})

    def _body(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def completion(entry: Answer) -> dict[str, Any]:
    """Return a whole chat completion."""
    message = {"role": "assistant", "content": entry.text}
    choice = {"index": 0, "message": message, "finish_reason": entry.finish}
    return {**_envelope("chat.completion"), "choices": [choice], "usage": _usage(entry)}


def events(entry: Answer) -> str:
    """Return the same as the body of a stream."""
    pieces = [
        _piece(entry.text[start : start + entry.piece])
        for start in range(0, len(entry.text), entry.piece)
    ]
    pieces.append(_piece("", finish=entry.finish))
    pieces.append({**_envelope("chat.completion.chunk"), "choices": [], "usage": _usage(entry)})
    return "".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces) + "data: [DONE]\n\n"


def _envelope(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": "fake"}


def _piece(text: str, finish: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": finish}
    return {**_envelope("chat.completion.chunk"), "choices": [choice]}


def _usage(entry: Answer) -> dict[str, int]:
    return {
        "prompt_tokens": entry.prompt_tokens,
        "completion_tokens": entry.completion_tokens,
        "total_tokens": entry.prompt_tokens + entry.completion_tokens,
    }
