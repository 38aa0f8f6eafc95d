"""Refusals of whoever is calling."""

from __future__ import annotations

from flowbuilder.errors import FlowBuilderError


class Unauthorized(FlowBuilderError):
    """Nobody knows who is calling."""

    default_code = "unauthorized"


class Forbidden(FlowBuilderError):
    """It is known who is calling, and they may not do this."""

    default_code = "forbidden"
