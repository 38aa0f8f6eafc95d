"""What answers look like about limits on tools, secrets, policy, and queues of other systems."""

from __future__ import annotations

from typing import Any, Literal

from flowbuilder.api.schemas import Out, Time
from flowbuilder.client.policies import PolicyView
from flowbuilder.executor.store.secrets import SecretRow
from flowbuilder.executor.terms import LimitRow


class LimitOut(Out):
    """A limit on tools, and what is under it now."""

    pattern: str
    """A tool's name, the beginning of names as in `http.*`, or `*`."""
    source: Literal["tool", "administrator"]
    """Who said it; an administrator's word counts instead of the tool's own."""
    concurrency: int | None
    """Calls at once."""
    rate: str | None
    """Starts in a span of time, such as `10/1s`."""
    running: int
    waiting: int
    """Tasks that it keeps back."""
    next_at: Time | None
    """When its rate lets the next task start; null: at once."""
    updated_at: Time
    updated_by: str | None

    @classmethod
    def of(cls, row: LimitRow) -> LimitOut:
        """Return the answer for a row."""
        rate = None if row.rate is None else str(row.rate)
        shown = {name: getattr(row, name) for name in cls.model_fields}
        return cls.model_validate({**shown, "rate": rate})


class LimitList(Out):
    """Limits on tools, set and declared, by pattern."""

    items: list[LimitOut]


class SubscriptionOut(Out):
    """A queue that gets events, and how far it is behind."""

    queue: str
    pattern: str
    """Topics that the queue gets, such as `task_events.*`."""
    workspace_id: str | None
    """Null: bound by pgmq alone, so it gets the events of all workspaces."""
    bound_at: str
    largest: int
    """No more is put into the queue while it holds so many messages."""
    messages: int | None
    """In the queue, read or not, counted up to 100,000; null: the queue cannot be read."""
    pending: int
    """Events that the queue is still to get, counted up to 100,000."""
    oldest_seconds: float | None
    """The age of the oldest message."""
    error: str | None
    """Why the queue takes nothing, if it does not."""


class SubscriptionList(Out):
    """Subscriptions by queue and pattern."""

    items: list[SubscriptionOut]


class UnsubscribedOut(Out):
    """What a queue does not get any more."""

    queue: str
    patterns: list[str]
    """The patterns that were bound."""
    dropped: bool
    """Whether the queue was deleted, too."""


class PolicyOut(Out):
    """The policy that holds in the workspace."""

    id: int
    """Another one after each change; 0 before the first."""
    source: Literal["default", "workspace"]
    policy: dict[str, Any]
    """The document, `policy.v1`."""
    rules: list[dict[str, Any]]
    """Its rules and those of the default behind them, in the order in which they are read."""
    floor: dict[str, Any] | None
    """The installation's policy, which holds besides."""
    set_at: Time | None
    set_by: str | None

    @classmethod
    def of(cls, view: PolicyView) -> PolicyOut:
        """Return the answer for what holds."""
        shown = {**view.as_json(), "set_at": None if view.row is None else view.row.set_at}
        return cls.model_validate(shown)


class PolicyChecked(Out):
    """A policy that could be set."""

    policy: dict[str, Any]


class PolicySet(Out):
    """A policy as it was set."""

    id: int
    document: dict[str, Any] | None
    """Null: what was said before was taken back."""
    set_at: Time
    set_by: str | None


class PolicyHistory(Out):
    """What was said in the workspace, newest first."""

    items: list[PolicySet]


class SecretOut(Out):
    """What is known of a secret: everything but its value."""

    name: str
    version: int
    """Rises each time it is set."""
    hosts: list[str]
    """Where it may be sent to."""
    tools: list[str]
    """Which tools may read it."""
    description: str | None
    created_at: Time
    updated_at: Time
    updated_by: str | None

    @classmethod
    def of(cls, row: SecretRow) -> SecretOut:
        """Return the answer for a row."""
        return cls.model_validate({name: getattr(row, name) for name in cls.model_fields})


class SecretList(Out):
    """Secrets by name."""

    items: list[SecretOut]
