"""Rows about approvals as frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from flowbuilder.executor.states import ApprovalStatus
from flowbuilder.types import JsonObject, JsonSchema, JsonValue


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalRow:
    """A decision asked of a person, bound to the exact arguments it is about."""

    id: str
    run_id: str
    flow: str
    step_id: str
    task_id: str
    kind: Literal["gate", "decision", "input"]
    """gate: before a step runs with `args`; decision: human.approve; input: human.input."""
    status: ApprovalStatus
    tool: str
    args: JsonValue
    """gate: the resolved arguments that will be used, unchanged. Otherwise the data shown."""
    args_hash: str
    """SHA-256 of the canonical `args`."""
    message: str | None
    schema: JsonSchema | None
    """input: JSON Schema of the value asked for."""
    by: list[str]
    requested_at: datetime
    deadline_at: datetime
    on_deadline: Literal["reject", "approve"]
    decided_at: datetime | None
    decided_by: str | None
    comment: str | None
    value: JsonValue
    """The decision's value: edited arguments (gate) or the given input."""
    quorum: int = 1
    """How many different people have to agree."""
    votes: list[JsonObject] = field(default_factory=list)
    """Who has agreed by now: `{by, hash, at, comment, value}`, all to arguments of one hash."""
    agreed_hash: str | None = None
    """SHA-256 of what was agreed to: of `value` where the arguments were edited, else of `args`."""
    risk: Literal["low", "medium", "high"] = "low"
    """By the tool's effects, and by whether words of outsiders reach it."""
    reasons: list[JsonObject] = field(default_factory=list)
    """Why policy asks: `{rule, text}`."""
    taint: list[JsonObject] = field(default_factory=list)
    """The steps that data from outside came through: `{step, words}`."""
    policy_id: int | None = None
    """The workspace's policy that held when it was asked."""
    requested_by: str | None = None
    """Who has started the run."""
    separate_duties: bool = False
    excluded: list[str] = field(default_factory=list)
    """Whose own affair it is, so that they may not decide; names without `user:`."""
    locked: list[str] = field(default_factory=list)
    """Pointers to arguments that edits must leave alone."""
    rejections: int = 1
    """How many different people have to refuse to end it."""
    refusals: list[JsonObject] = field(default_factory=list)
    """Who has refused by now: `{by, at, comment}`."""
    escalation: list[JsonObject] = field(default_factory=list)
    """Who may decide too after how long: `{after_seconds, to}`."""
    escalated: int = 0
    """How many of these have come about."""
    escalate_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ActRow:
    """Something that was said or done about an approval."""

    id: int
    at: datetime
    act: Literal["approve", "reject", "comment", "escalate", "link", "notice", "refuse"]
    by: str | None
    on_behalf: str | None
    """For whom, where somebody has delegated to them."""
    channel: str | None
    comment: str | None
    hash: str | None
    """SHA-256 of the arguments that were agreed to."""
    value: JsonValue
    """The edited arguments or the value that were agreed to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DelegationRow:
    """Until when somebody may decide what another one is asked for."""

    id: str
    of_user: str
    to_user: str
    created_at: datetime
    created_by: str | None
    ends_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ChannelRow:
    """Where a workspace's approvals are told."""

    name: str
    kind: Literal["email", "slack"]
    user_name: str | None
    """Whose it is: once confirmed they get links by which they decide. None: a room's."""
    address: str | None
    webhook: str | None
    """A reference to the secret that is the webhook's address."""
    audience: list[str]
    """A room is told of what is asked of these; of everything where it is empty."""
    updated_at: datetime
    updated_by: str | None
    confirmed_at: datetime | None
    """Since when it brings links: its person has said that it is theirs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LinkRow:
    """A link by which one person decides one approval."""

    workspace_id: str
    approval_id: str
    user_name: str
    expires_at: datetime
    used_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class NoticeRow:
    """What is to be told to somebody, and where."""

    notice_id: int
    workspace_id: str
    approval_id: str
    channel: str
    level: int
    attempts: int
    kind: Literal["email", "slack"]
    user_name: str | None
    address: str | None
    webhook: str | None
    linked: bool
    """Whether it may bring a link by which its person decides."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Voter:
    """Who decides, and how that is known."""

    name: str
    known: bool = False
    """Users log in where they decide, so roles are looked up at that moment."""
    channel: str = "library"
    """`session`, `key`, `link`, `slack`, `local`, `cli` or `library`."""
    address: str | None = None
    link: bytes | None = None
    """Hash of the link that is used up by the decision."""
