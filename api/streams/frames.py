"""Events as bytes: the JSON of an envelope, and the frame that a stream sends.

The JSON of an event is the same bytes in a page and in a stream.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

import orjson

from flowbuilder.executor.events import EventRow
from flowbuilder.types import JsonObject

#: What a stream says when there is nothing to say, so that proxies keep the connection.
HEARTBEAT = b": still here\n\n"


@dataclass(frozen=True, slots=True)
class Frame:
    """One event as a stream sends it; `seq` is its number in the stream."""

    seq: int
    sent: bytes


def to_json(value: JsonObject) -> bytes:
    """Return JSON on one line. Raises: ValueError for what is none."""
    try:
        return orjson.dumps(value)
    except TypeError:  # integers beyond 64 bits
        return json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()


def event_json(event: EventRow, place: int | None = None) -> bytes:
    """Return an event's envelope; with its number in the workspace's log, if that is given."""
    envelope = event.as_json()
    return to_json(envelope if place is None else {**envelope, "place": place})


def frame(event: EventRow, place: int | None = None) -> Frame:
    """Encode an event: the number that a client comes back with, its type, its envelope."""
    seq = event.seq if place is None else place
    return Frame(seq, numbered(seq, event.type, event_json(event, place)))


def numbered(seq: int, kind: str, body: bytes) -> bytes:
    """Return one event with its number. The body is JSON on one line."""
    return b"id: %d\nevent: %b\ndata: %b\n\n" % (seq, one_line(kind).encode(), body)


def note(name: str, data: JsonObject) -> bytes:
    """Return what a stream says of itself: an event without a number."""
    return b"event: %b\ndata: %b\n\n" % (one_line(name).encode(), to_json(data))


def retry(milliseconds: int) -> bytes:
    """Return how long a client is to wait before it comes back."""
    return b"retry: %d\n\n" % milliseconds


def one_line(text: str) -> str:
    """Return a text that cannot end its field early."""
    return text.replace("\r", " ").replace("\n", " ")
