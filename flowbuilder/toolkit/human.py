"""`human.approve` and `human.input`: a person decides or gives a value."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from pydantic import Field

from flowbuilder.flow import Approver, Duration
from flowbuilder.toolkit.schemas import checked_schema
from flowbuilder.tools import Fail, Wait, tool
from flowbuilder.types import JsonSchema

By = Annotated[
    list[Approver] | None,
    Field(description="Who may answer: role:approver, user:ada; anyone by default.", max_length=50),
]
Deadline = Annotated[Duration | None, Field(description="How long to wait, such as 24h.")]

_TEXT: JsonSchema = {"type": "string"}
_DECISION: JsonSchema = {
    "type": "object",
    "description": "The decision.",
    "properties": {
        "approved": {"type": "boolean", "description": "Whether it was approved."},
        "by": {"type": ["string", "null"], "description": "Who decided."},
        "comment": {"type": ["string", "null"], "description": "What they said about it."},
        "value": {"description": "What they entered, if anything."},
    },
    "required": ["approved"],
}


@tool(
    "human.approve",
    output_schema=_DECISION,
    keywords=(
        "ask for approval, ask me first, confirm, sign off, wait for my ok, review, permission, "
        "get approval from, have someone check, before that ask, manual approval, authorise",
    ),
    examples=(
        "ask me for approval before sending",
        "wait for the manager to sign off",
        "let a person confirm the list",
    ),
)
def human_approve(
    message: Annotated[str, Field(min_length=1, max_length=4000, description="The question.")],
    data: Annotated[Any, Field(description="What the person should see beside it.")] = None,
    by: By = None,
    deadline: Deadline = None,
) -> Wait:
    """Ask a person for approval and wait, for as long as it takes, until they have decided."""
    return Wait.for_approval(
        message, data=data, by=tuple(by or ()), deadline=_positive(deadline), schema=None
    )


@tool(
    "human.input",
    output_schema={"description": "What the person entered, of the schema that was asked for."},
    output_from="schema",
    keywords=(
        "ask a person for, ask me for, ask the user, question, let someone enter, fill in a form, "
        "request information, prompt for, choose, get an answer from, type in",
    ),
    examples=("ask me for the invoice number", "let the user choose a colour"),
)
def human_input(
    message: Annotated[str, Field(min_length=1, max_length=4000, description="The question.")],
    schema: Annotated[
        dict[str, Any] | None, Field(description="JSON Schema of the answer; a text by default.")
    ] = _TEXT,
    data: Annotated[Any, Field(description="What the person should see beside it.")] = None,
    by: By = None,
    deadline: Deadline = None,
) -> Wait:
    """Ask a person for a value, such as a number, a choice or a text, and wait for the answer."""
    return Wait.for_approval(
        message,
        data=data,
        by=tuple(by or ()),
        deadline=_positive(deadline),
        schema=_TEXT if schema is None else checked_schema(schema),
    )


def _positive(deadline: timedelta | None) -> timedelta | None:
    if deadline is not None and deadline <= timedelta(0):
        raise Fail("a deadline lies in the future", code="deadline_invalid")
    return deadline
