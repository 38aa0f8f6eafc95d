"""What handlers ask of people, held against what a person can be asked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

from flowbuilder.errors import InvalidValue
from flowbuilder.flow import Approver
from flowbuilder.schemas import schema_problems
from flowbuilder.tools import Wait
from flowbuilder.types import parse_duration

_APPROVERS: TypeAdapter[list[str]] = TypeAdapter(list[Approver])
_MOST_APPROVERS = 50


def check_question(wait: Wait) -> timedelta | None:
    """Return how long a person has to answer, None where nothing is said.

    Raises:
        InvalidValue: `wait_invalid`: nobody could answer it; the message says why.
    """
    _require(wait.message is None or isinstance(wait.message, str), "its message is no text")
    _check_approvers(wait.by)
    _require(wait.on_deadline in ("reject", "approve"), "on_deadline is reject or approve")
    if wait.schema is not None:
        _require(isinstance(wait.schema, dict), "its schema is no JSON Schema")
        problems = schema_problems(wait.schema, "")
        where = problems[0].message if problems else ""
        _require(not problems, f"its schema is no JSON Schema: {where}")
    if wait.deadline is None:
        return None
    try:
        deadline = parse_duration(wait.deadline)
    except ValueError as error:
        raise _wrong(f"its deadline: {error}") from None
    _require(bool(deadline), "its deadline lies in the future")
    return deadline


def _check_approvers(by: Any) -> None:
    _require(isinstance(by, tuple | list), "it is asked of a list of roles and people")
    _require(len(by) <= _MOST_APPROVERS, f"it is asked of at most {_MOST_APPROVERS}")
    try:
        _APPROVERS.validate_python(list(by))
    except ValidationError:
        raise _wrong("it is asked of somebody like role:approver or user:ada") from None


def _require(held: bool, message: str) -> None:
    if not held:
        raise _wrong(message)


def _wrong(message: str) -> InvalidValue:
    return InvalidValue(f"the question cannot be asked: {message}", code="wait_invalid")
