"""What callers say about queues: names that pgmq and LISTEN can use, and lengths of time."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from flowbuilder.errors import InvalidValue
from flowbuilder.types import parse_duration

#: The longest queue name that pgmq takes.
LONGEST_QUEUE_NAME = 47
_QUEUE = re.compile(r"[a-z0-9_]+(?:[-.][a-z0-9_]+)*")
_RESERVED = "flowbuilder_"
_LONGEST_INVISIBLE = 7 * 86400
_MOST_MESSAGES = 1_000


def checked_queue(queue: Any) -> str:
    """Return a queue's name if pgmq and LISTEN can use it.

    Raises:
        InvalidValue: `queue_invalid` or `queue_reserved`.
    """
    if not isinstance(queue, str) or len(queue) > LONGEST_QUEUE_NAME or not _QUEUE.fullmatch(queue):
        raise InvalidValue(
            f"{str(queue)[:80]!r} is no queue name",
            pointer="/queue",
            code="queue_invalid",
            hint=f"Use 1 to {LONGEST_QUEUE_NAME} lower case letters, digits and underscores, with "
            "single dots or hyphens between them.",
        )
    if queue.startswith(_RESERVED):
        raise InvalidValue(
            f"queue names that begin with {_RESERVED} are used inside",
            pointer="/queue",
            code="queue_reserved",
        )
    return queue


def checked_count(value: Any, what: str, pointer: str) -> int:
    """Return how many messages are meant. Raises: InvalidValue."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not 1 <= value <= _MOST_MESSAGES:
        raise InvalidValue(f"a {what} lies between 1 and {_MOST_MESSAGES}", pointer=pointer)
    return int(value)


def checked_number(value: Any, pointer: str) -> int:
    """Return the number of a message, or the one before all. Raises: InvalidValue."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or not -1 <= value < 2**63:
        raise InvalidValue("messages are named by whole numbers", pointer=pointer)
    return int(value)


def checked_visibility(value: str | float | timedelta) -> float:
    """Return a visibility timeout in seconds.

    Raises:
        InvalidValue: `duration_invalid`, or out of range.
    """
    seconds = checked_seconds(value, "/visibility_timeout")
    if not 0 < seconds <= _LONGEST_INVISIBLE:
        raise InvalidValue(
            "a visibility timeout is positive and at most seven days",
            pointer="/visibility_timeout",
        )
    return seconds


def checked_seconds(value: str | float | timedelta, pointer: str) -> float:
    """Return a length of time in seconds.

    Raises:
        InvalidValue: `duration_invalid`.
    """
    try:
        return parse_duration(value).total_seconds()
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidValue(str(error), pointer=pointer, code="duration_invalid") from None
