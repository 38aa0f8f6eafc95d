"""Refusals of whoever is calling."""

from __future__ import annotations

from flowbuilder.errors import FlowBuilderError


class Unauthorized(FlowBuilderError):
    """Nobody knows who is calling."""

    default_code = "unauthorized"


class Forbidden(FlowBuilderError):
    """It is known who is calling, and they may not do this."""

    default_code = "forbidden"


class TooManyRequests(FlowBuilderError):
    """Asked too often; `seconds` from now there is room again."""

    default_code = "too_many_requests"

    def __init__(self, message: str, *, seconds: float, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.seconds = seconds


class TooManyStreams(TooManyRequests):
    """Somebody has as many event streams open as they may; `seconds` from now to come again."""

    default_code = "stream_limit_reached"

    def __init__(self, who: str, most: int, seconds: float) -> None:
        message = f"No more streams now: {who} {most} open, which is as many as may be."
        super().__init__(message, seconds=seconds)
