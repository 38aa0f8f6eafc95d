"""What requests and answers look like that are about approvals."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from flowbuilder.api.requests import Body
from flowbuilder.api.schemas import Json, Out, Time
from flowbuilder.approving import changes, destinations, shown
from flowbuilder.approving.showing import MOST_LINES
from flowbuilder.executor.approval_records import ActRow, ApprovalRow, ChannelRow, DelegationRow
from flowbuilder.executor.states import ApprovalStatus

_NOT_YOURS = {
    None: None,
    "not_asked": "You are not asked.",
    "own_affair": "You have started this or made its flow: somebody else decides.",
    "not_allowed": "This takes the role approver in the workspace.",
    "decided": "It is decided.",
    "over": "Its deadline is over.",
}


class ApprovalOut(Out):
    """A decision asked of a person, bound to the exact arguments it is about."""

    model_config = ConfigDict(protected_namespaces=(), serialize_by_alias=True)

    id: str
    run_id: str
    flow: str
    step_id: str
    task_id: str
    kind: Literal["gate", "decision", "input"]
    status: ApprovalStatus
    tool: str
    args: Json
    """What is decided about: the arguments that will be used, or the data shown."""
    args_hash: str
    message: str | None
    value_schema: dict[str, Any] | None = Field(
        validation_alias="schema", serialization_alias="schema"
    )
    """JSON Schema of the value asked for."""
    by: list[str]
    requested_at: Time
    deadline_at: Time
    on_deadline: Literal["reject", "approve"]
    decided_at: Time | None
    decided_by: str | None
    comment: str | None
    value: Json
    """Edited arguments, or the value given."""
    quorum: int
    """How many different people have to agree."""
    votes: list[dict[str, Any]]
    """Who has agreed by now: `{by, hash, at, comment, value}`."""
    agreed_hash: str | None
    """Hash of the arguments that were agreed to."""
    rejections: int
    """How many different people have to refuse to end it."""
    refusals: list[dict[str, Any]]
    """Who has refused by now: `{by, at, comment}`."""
    risk: Literal["low", "medium", "high"]
    """By the tool's effects, and by whether words of outsiders reach it."""
    reasons: list[dict[str, Any]]
    """Why policy asks: `{rule, text}`."""
    taint: list[dict[str, Any]]
    """The steps that data from outside came through: `{step, words}`."""
    policy_id: int | None
    """The workspace's policy that held when it was asked."""
    requested_by: str | None
    """Who has started the run."""
    separate_duties: bool
    excluded: list[str]
    """Whose own affair it is, so that they may not decide."""
    locked: list[str]
    """Arguments that edits must leave as they are."""
    escalation: list[dict[str, Any]]
    """Who may decide too after how long: `{after_seconds, to}`."""
    escalated: int
    """How many of these have come about."""
    escalate_at: Time | None

    @classmethod
    def of(cls, row: ApprovalRow) -> ApprovalOut:
        """Return the answer for a row."""
        return cls.model_validate(row)


class ApprovalList(Out):
    """Approvals, those asked for first coming first."""

    items: list[ApprovalOut]
    next_cursor: str | None
    """Hand this back as `cursor` for the page after; null on the last."""


class ShownOut(Out):
    """A line of the arguments as they really are."""

    pointer: str
    type: Literal["object", "array", "string", "number", "boolean", "null"]
    text: str
    """The whole value; signs that are not seen are written as `⟨U+202E⟩`."""
    length: int
    """Characters of a text, members of an object or list."""
    marks: list[str]
    """What is odd about it: hidden signs, hosts that look like others, great length."""


class ChangeOut(Out):
    """A place at which the edited arguments differ from those that were shown."""

    pointer: str
    kind: Literal["changed", "added", "removed"]
    before: Json
    after: Json


class ActOut(Out):
    """Something that was said or done about an approval."""

    id: int
    at: Time
    act: Literal["approve", "reject", "comment", "escalate", "link", "notice", "refuse"]
    by: str | None
    on_behalf: str | None
    """For whom, where somebody has delegated to them."""
    channel: str | None
    comment: str | None
    hash: str | None
    """Hash of the arguments that were agreed to."""
    value: Json

    @classmethod
    def of(cls, row: ActRow) -> ActOut:
        """Return the answer for a row."""
        return cls.model_validate(row)


class ApprovalDetail(ApprovalOut):
    """An approval with all that who decides should see."""

    shown: list[ShownOut]
    """The arguments line by line, always the same for the same arguments."""
    shown_whole: bool
    """False: there are more lines than these; `args` has everything."""
    destinations: list[str]
    """Every URL and mail address in the arguments, however deep; at most 200."""
    changes: list[ChangeOut]
    """What was edited, where the decision has edits."""
    at_deadline: str
    """What happens when nobody decides in time."""
    may_decide: bool
    """Whether the caller may decide it now."""
    why_not: str | None
    history: list[ActOut]

    @classmethod
    def detailed(
        cls, row: ApprovalRow, history: list[ActRow], refusal: str | None
    ) -> ApprovalDetail:
        """Return the answer for a row, for somebody who may decide it unless `refusal` says no."""
        lines = shown(row.args)
        edited = row.kind == "gate" and row.value is not None
        seen: dict[str, Any] = {
            "shown": lines,
            "shown_whole": len(lines) < MOST_LINES,
            "destinations": destinations(row.args),
            "changes": changes(row.args, row.value) if edited else [],
            "at_deadline": at_deadline(row),
            "may_decide": refusal is None,
            "why_not": _NOT_YOURS[refusal],
            "history": [ActOut.of(act) for act in history],
        }
        return cls.model_validate(
            {**ApprovalOut.of(row).model_dump(), "schema": row.schema, **seen}
        )


class CommentBody(Body):
    """Something to be said about an approval."""

    text: Annotated[str, Field(min_length=1, max_length=2000)]
    by: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Who says it; without it the caller."""


class LinkOut(Out):
    """A link by which the caller decides, once; it is shown this once."""

    path: str
    """The page of the service."""
    url: str | None
    """The same with the service's address, where the setting `public_url` says it."""
    expires_at: Time


class ChannelBody(Body):
    """Where approvals are told."""

    kind: Literal["email", "slack"]
    address: Annotated[str, Field(max_length=320)] | None = None
    """email: where the mail goes."""
    webhook: Annotated[str, Field(max_length=200)] | None = None
    """slack: the secret that holds the address of the incoming webhook, `secret://name`."""
    user: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Whose it is: told of what they may decide; with links, once they have confirmed it."""
    audience: list[str] = Field(default_factory=list, alias="for", max_length=50)
    """Without a user: told of what is asked of these (`role:finance`); of everything if empty."""


class ConfirmBody(Body):
    """That a channel is one's own."""

    address: Annotated[str, Field(max_length=320)]
    """Where it leads, as one has seen it."""


class ChannelOut(Out):
    """Where approvals are told."""

    name: str
    kind: Literal["email", "slack"]
    address: str | None
    webhook: str | None
    user: str | None
    audience: list[str] = Field(serialization_alias="for")
    updated_at: Time
    updated_by: str | None
    confirmed_at: Time | None
    """Since when it brings links by which its user decides; null: it brings none."""

    @classmethod
    def of(cls, row: ChannelRow) -> ChannelOut:
        """Return the answer for a row."""
        return cls(
            name=row.name,
            kind=row.kind,
            address=row.address,
            webhook=row.webhook,
            user=row.user_name,
            audience=row.audience,
            updated_at=row.updated_at,
            updated_by=row.updated_by,
            confirmed_at=row.confirmed_at if row.user_name and row.address else None,
        )


class ChannelList(Out):
    """Channels by name."""

    items: list[ChannelOut]


class DelegationBody(Body):
    """Let somebody decide what the caller is asked for."""

    to: Annotated[str, Field(min_length=1, max_length=200)]
    until: Annotated[str, Field(max_length=40)] | None = None
    """When it ends, as `2030-01-31T12:00:00Z`; at most 90 days from now."""
    lasts: Annotated[str, Field(max_length=40)] | None = None
    """Or how long it lasts, such as `7d`."""
    of: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """For whom; without it the caller, and where users log in nobody else."""


class DelegationOut(Out):
    """Until when somebody may decide what another one is asked for."""

    id: str
    of_user: str = Field(serialization_alias="of")
    to_user: str = Field(serialization_alias="to")
    created_at: Time
    created_by: str | None
    ends_at: Time

    @classmethod
    def of(cls, row: DelegationRow) -> DelegationOut:
        """Return the answer for a row."""
        return cls.model_validate(row)


class DelegationList(Out):
    """The delegations that count now."""

    items: list[DelegationOut]


def at_deadline(row: ApprovalRow) -> str:
    """Return what happens when nobody decides in time."""
    if row.kind == "gate":
        then = "it is done as it stands" if row.on_deadline == "approve" else "it is not done"
    else:
        then = "it counts as agreed to" if row.on_deadline == "approve" else "it counts as rejected"
    return f"When nobody has decided by then, {then}."
