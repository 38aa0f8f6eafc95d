"""Large values by reference: lists stay small, and each value has an address of its own.

In a list, a value of more than `LARGE_BYTES` is null, and `by_reference` names where it is got.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, TypeVar

from fastapi import Response
from pydantic import Field

from flowbuilder.api.matching import etag, names
from flowbuilder.api.schemas import Json, Out, TaskOut, Time
from flowbuilder.client.tasks import AttemptEnd, TaskDetail
from flowbuilder.types import JsonValue

#: Bytes of JSON that a value in a list has at most.
LARGE_BYTES = 65_536
#: What a value of a run is called in its address.
VALUE_PATTERN = r"^(input|output|steps\.[^.\x00]{1,200}|tasks\.(0|[1-9][0-9]{0,17}))$"

Answer = TypeVar("Answer", bound=Out)


class AttemptOut(Out):
    """One try of a task, as its events tell."""

    attempt: int
    status: AttemptEnd | str
    started_at: Time | None
    finished_at: Time | None
    error: dict[str, Any] | None


class TaskDetailOut(TaskOut):
    """A task with what it was given and what became of each try."""

    input: dict[str, Any] | None
    """The arguments, references resolved; null while what they refer to is not there."""
    item: Json
    """The element, of a mapped step's task."""
    attempts: list[AttemptOut] = Field(default_factory=list)
    """Oldest first."""

    @classmethod
    def of_detail(cls, detail: TaskDetail) -> TaskDetailOut:
        """Return the answer for a task."""
        task = TaskOut.of(detail.task)
        return cls(
            **{name: getattr(task, name) for name in TaskOut.model_fields},
            input=detail.input,
            item=detail.item,
            attempts=[AttemptOut.model_validate(one) for one in detail.attempts],
        )


def slim(answer: Answer, **addresses: str) -> Answer:
    """Return an answer without its large values; `addresses` says where each one is got."""
    large = {
        name: f"/api/v1/runs/{address}"
        for name, address in addresses.items()
        if is_large(getattr(answer, name))
    }
    if not large:
        return answer
    return answer.model_copy(update={**dict.fromkeys(large), "by_reference": large})


def is_large(value: JsonValue) -> bool:
    """Say whether a value is too large for a list."""
    if isinstance(value, str):
        return len(value) > LARGE_BYTES
    if not isinstance(value, dict | list):
        return False
    return len(json.dumps(value, ensure_ascii=False, allow_nan=False)) > LARGE_BYTES


def value_response(value: JsonValue, if_none_match: str | None) -> Response:
    """Return a value alone, with an ETag of its content."""
    content = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    digest = hashlib.sha256(content).hexdigest()[:32]
    headers = {"ETag": etag(digest)}
    if names(if_none_match, digest):
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)
