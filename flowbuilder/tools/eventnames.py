"""What names an event that is emitted or waited for: a name, and a key for which one."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from flowbuilder.errors import InvalidValue
from flowbuilder.strictjson import check
from flowbuilder.types import parse_duration

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:/-]*$"
LONGEST_NAME = 100
LONGEST_KEY = 500
_NAME = re.compile(NAME_PATTERN.removesuffix("$"))


def check_event(name: Any, key: Any) -> None:
    """Refuse what names no event. An empty key is a key, too: that of an event without one.

    Raises:
        InvalidValue: `event_invalid`; the pointer says which of the two.
    """
    if not isinstance(name, str) or len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        raise InvalidValue(
            f"{_shown(name)} is no name of an event",
            code="event_invalid",
            pointer="/name",
            hint=f"Up to {LONGEST_NAME} letters, digits and . _ : / - such as order.paid.",
        )
    if not isinstance(key, str) or len(key) > LONGEST_KEY:
        raise InvalidValue(
            f"{_shown(key)} is no key of an event",
            code="event_invalid",
            pointer="/key",
            hint=f"A text of up to {LONGEST_KEY} characters, such as the number of an order.",
        )
    try:
        check(key)
    except InvalidValue as error:
        raise InvalidValue(
            f"the key: {error.message}", code="event_invalid", pointer="/key", hint=error.hint
        ) from None


def check_life(keep: Any) -> timedelta:
    """Return how long an event is kept. Raises: InvalidValue (duration_invalid)."""
    try:
        life = parse_duration(keep)
    except ValueError as error:
        raise InvalidValue(str(error), pointer="/keep", code="duration_invalid") from None
    if not life:
        raise InvalidValue(
            "an event is kept for longer than nothing", pointer="/keep", code="duration_invalid"
        )
    return life


def _shown(value: Any) -> str:
    return repr(value[:80]) if isinstance(value, str) else f"a value of type {type(value).__name__}"
