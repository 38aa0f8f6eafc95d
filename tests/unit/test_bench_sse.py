"""The readers of the benchmark of streams notice what is missing, doubled or out of order."""

from __future__ import annotations

import random
import socket

import pytest

from flowbuilder.bench.sse_readers import Reader

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


def event(seq: int) -> bytes:
    return b"id: %d\nevent: tick\ndata: {}\n\n" % seq


def chunk(text: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(text), text)


def read(sent: bytes, *, last: int = 0, at_once: int = 1 << 20) -> Reader:
    """Let a reader take what was sent, in parts of so many bytes."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        reader = Reader(listening.getsockname()[:2], "/events", random.Random(1))
        reader.last = last
        reader.connect()
        server, _ = listening.accept()
    with server:
        asked = server.recv(4096)
        assert (b"Last-Event-ID: %d\r\n" % last in asked) is (last > 0)
        for start in range(0, len(sent), at_once):
            server.sendall(sent[start : start + at_once])
            assert reader.take()
    assert not reader.take()
    reader.socket.close()
    return reader


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_each_event_is_counted_once_however_it_is_cut(at_once: int) -> None:
    sent = HEAD + chunk(b"retry: 1000\n\n") + chunk(event(1) + event(2)) + chunk(event(3))
    reader = read(sent, at_once=at_once)
    assert (reader.last, len(reader.arrivals), reader.wrong) == (3, 3, [])


@pytest.mark.parametrize("events", [[1, 2, 4], [2, 3], [1, 1], [1, 3, 2], [1, 2, 2, 4], [0]])
def test_what_is_wrong_is_noticed(events: list[int]) -> None:
    assert read(HEAD + chunk(b"".join(map(event, events)))).wrong


def test_a_reader_resumes_behind_its_last_event() -> None:
    assert read(HEAD + chunk(event(8)), last=7).wrong == []
    assert read(HEAD + chunk(event(7)), last=7).wrong
