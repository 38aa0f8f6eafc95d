"""Arguments that callers hand in beside documents and values: pages, ids, reasons, patience."""

from __future__ import annotations

import math
import uuid

from flowbuilder.errors import InvalidValue, NotFound
from flowbuilder.secrecy import REDACTOR
from flowbuilder.types import is_number, parse_duration

#: Longer reasons and comments are stories.
LONGEST_REASON = 2_000


def clean_reason(reason: str | None, name: str = "reason") -> str | None:
    """Return a reason without any secret that this process knows.

    Raises:
        InvalidValue: It is no text, or too long a one (reason_invalid).
    """
    given: object = reason  # whatever a caller without a type checker hands in
    if given is not None and not (isinstance(given, str) and len(given) <= LONGEST_REASON):
        raise InvalidValue(
            f"a {name} is a text of at most {LONGEST_REASON:,} characters",
            pointer=f"/{name}",
            code="reason_invalid",
        )
    return None if reason is None else REDACTOR.text(reason)


def check_page(limit: int, after: int = 0) -> None:
    """Refuse what is no page of a list. Raises: InvalidValue (page_invalid)."""
    for name, number in (("limit", limit), ("after", after)):
        known: object = number
        if isinstance(known, bool) or not isinstance(known, int) or not 0 <= known < 2**63:
            raise InvalidValue(
                f"{name} is a whole number from 0 on", pointer=f"/{name}", code="page_invalid"
            )


def known_id(text: str, what: str) -> str:
    """Return an id by which something is looked for. Raises: NotFound (`<what>_not_found`)."""
    try:
        return str(uuid.UUID(text))
    except (ValueError, AttributeError, TypeError):
        raise NotFound(f"there is no {what} {str(text)[:80]!r}", code=f"{what}_not_found") from None


def patience(timeout: str | float | None) -> float | None:
    """Return for how many seconds somebody waits, None for as long as it takes.

    Raises:
        InvalidValue: It is no time (timeout_invalid).
    """
    if timeout is None or timeout == math.inf:
        return None
    if is_number(timeout) and timeout < 0:
        return 0.0
    try:
        return parse_duration(timeout).total_seconds()
    except ValueError as error:
        raise InvalidValue(str(error), pointer="/timeout", code="timeout_invalid") from None
