"""Delegations, channels and links of approvals, as FlowBuilder offers them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from flowbuilder.approving.links import PATH, hash_of_link, new_token, url_of
from flowbuilder.client.approvals import local_user
from flowbuilder.client.checking import check_actor
from flowbuilder.client.session import Connected
from flowbuilder.errors import InvalidValue
from flowbuilder.executor.approval_records import ChannelRow, DelegationRow, LinkRow, Voter
from flowbuilder.executor.store.users import Doer
from flowbuilder.flow import Approver
from flowbuilder.secrecy.mentions import sole_mention
from flowbuilder.types import JsonObject, parse_duration

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")
_ASKED: TypeAdapter[list[str]] = TypeAdapter(list[Approver])
_MOST_ASKED = 50


@dataclass(frozen=True, kw_only=True, slots=True)
class ApprovalLink:
    """A link by which one person decides one approval; it is shown this once."""

    token: str
    path: str
    """The page of the service."""
    url: str | None
    """The same with the service's address, where `public_url` says it."""
    expires_at: datetime


class ApprovalRooms(Connected):
    """Who stands in for whom, and where approvals are told."""

    async def delegate_approvals(
        self,
        to: str,
        *,
        of: str | None = None,
        until: datetime | None = None,
        lasts: str | float | None = None,
        by: Voter | None = None,
    ) -> DelegationRow:
        """Let somebody decide what another one is asked for, for at most 90 days.

        Args:
            to: Who stands in.
            of: For whom; by default the user of this process.
            until: When it ends.
            lasts: Or how long it lasts, such as `7d`.
            by: Who says so.

        Raises:
            InvalidValue: There is no such end, both are one person, or the one who stands in may
                not decide (delegation_invalid, delegate_not_approver, actor_invalid).
            Conflict: There are too many (too_many_delegations).
        """
        who = by or Voter(name=of or local_user(), channel="local")
        for name in (to, of or who.name):
            check_actor(name, "who decides")
        if (until is None) == (lasts is None) or (until is not None and until.tzinfo is None):
            raise InvalidValue(
                "a delegation ends: say until when, with a time zone, or how long it lasts",
                pointer="/until",
                code="delegation_invalid",
            )
        return await self._session.store.delegate_approvals(
            of or who.name,
            to,
            until=until,
            seconds=None if lasts is None else _seconds(lasts),
            known=who.known,
            by=doer(who),
        )

    async def end_delegation(
        self, delegation_id: str, *, of: str | None = None, by: Voter | None = None
    ) -> None:
        """End a delegation at once. Raises: NotFound (delegation_not_found)."""
        who = by or Voter(name=local_user(), channel="local")
        await self._session.store.end_delegation(delegation_id, of=of, by=doer(who))

    async def approval_delegations(self) -> list[DelegationRow]:
        """Return the delegations that count now."""
        return await self._session.store.delegations()

    async def set_approval_channel(
        self,
        name: str,
        *,
        kind: Literal["email", "slack"],
        address: str | None = None,
        webhook: str | None = None,
        user: str | None = None,
        audience: Sequence[str] = (),
        by: Voter | None = None,
    ) -> ChannelRow:
        """Say where approvals are told.

        Args:
            name: What it is called.
            kind: `email` or `slack` (any incoming webhook that takes what Slack's does).
            address: email: where the mail goes.
            webhook: slack: a reference to the secret that holds the address, `secret://name`.
            user: Whose it is: they are told of what they may decide. By mail they get links to do
                so, once they have confirmed the channel; one that is set here is.
            audience: Without a user: told of what is asked of these, such as `role:finance`; of
                everything where it is empty.
            by: Who says so.

        Raises:
            InvalidValue: `channel_invalid`, `member_not_found`; the pointer says where.
            Conflict: There are too many (too_many_channels).
        """
        channel = _channel(name, kind, address, webhook, user, audience)
        who = by or Voter(name=local_user(), channel="local")
        return await self._session.store.put_channel(name, channel, known=who.known, by=doer(who))

    async def confirm_approval_channel(
        self, name: str, address: str, *, by: Voter | None = None
    ) -> ChannelRow:
        """Say of one's own channel that its address is one's own: from now on it brings links.

        Raises:
            NotFound: This person has no such channel (channel_not_found).
            Conflict: It leads to another address (channel_changed).
        """
        who = by or Voter(name=local_user(), channel="local")
        return await self._session.store.confirm_channel(
            name, user=who.name if who.known else None, address=address, by=doer(who)
        )

    async def drop_approval_channel(self, name: str, *, by: Voter | None = None) -> None:
        """Tell nothing there any more. Raises: NotFound (channel_not_found)."""
        who = by or Voter(name=local_user(), channel="local")
        await self._session.store.drop_channel(name, by=doer(who))

    async def approval_channels(self) -> list[ChannelRow]:
        """Return where approvals are told, by name."""
        return await self._session.store.channels()

    async def approval_link(
        self, approval_id: str, *, workspace: str | None = None, by: Voter
    ) -> ApprovalLink:
        """Make a link by which `by`, and nobody else, decides an approval once.

        Raises:
            NotFound: There is no such approval.
            Conflict: It is decided or over (already_decided, approval_expired).
        """
        token = new_token()
        hashed = hash_of_link(token)
        assert hashed is not None
        store = self._session.store
        until = await store.make_link(
            approval_id, by.name, hashed, workspace=workspace or store.workspace, by=by
        )
        path = f"{PATH}{token}"
        public = self._session.settings.public_url
        url = None if public is None else url_of(public, token)
        return ApprovalLink(token=token, path=path, url=url, expires_at=until)

    async def read_approval_link(self, token: str) -> LinkRow | None:
        """Return whose link this is, and for what; None for a token that nobody has."""
        hashed = hash_of_link(token)
        return None if hashed is None else await self._session.store.read_link(hashed)

    async def approval_mandate(self, approval_id: str, *, by: Voter) -> str | None:
        """Return why somebody may not decide an approval now, None where they may.

        `not_asked`, `own_affair` or `not_allowed`; `decided` or `over` where nobody may.

        Raises:
            NotFound: There is no such approval.
        """
        return await self._session.store.mandate(approval_id, by.name, known=by.known)


def doer(voter: Voter) -> Doer:
    """Return who decides as the log names them."""
    return Doer(actor=voter.name, channel=voter.channel, address=voter.address)


def _seconds(lasts: str | float) -> float:
    try:
        return parse_duration(lasts).total_seconds()
    except ValueError as error:
        raise InvalidValue(str(error), pointer="/lasts", code="delegation_invalid") from None


def _channel(
    name: str,
    kind: str,
    address: str | None,
    webhook: str | None,
    user: str | None,
    audience: Sequence[str],
) -> JsonObject:
    _require(_NAME.fullmatch(name), "/name", "a name has small letters, digits, _ and -")
    _require(kind in ("email", "slack"), "/kind", "the kind is email or slack")
    if kind == "email":
        fits = address is not None and _ADDRESS.fullmatch(address) and webhook is None
        _require(fits, "/address", "a mail channel has one address, and no webhook")
    else:
        fits = webhook is not None and sole_mention(webhook) is not None and address is None
        _require(
            fits, "/webhook", "a Slack channel has a webhook: the name of a secret, secret://name"
        )
    check_actor(user, "whose channel it is")
    _require(user is None or not audience, "/for", "a person's channel is for that person")
    _require(len(audience) <= _MOST_ASKED, "/for", f"at most {_MOST_ASKED} can be named")
    try:
        asked = _ASKED.validate_python(list(audience))
    except ValidationError:
        raise _invalid("/for", "it is for somebody like role:approver or user:ada") from None
    given: JsonObject = {"kind": kind, "address": address, "webhook": webhook, "user": user}
    return {**given, "for": [*asked]}


def _require(held: object, pointer: str, message: str) -> None:
    if not held:
        raise _invalid(pointer, message)


def _invalid(pointer: str, message: str) -> InvalidValue:
    return InvalidValue(message, pointer=pointer, code="channel_invalid")
