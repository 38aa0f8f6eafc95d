"""Who stands in for whom, where approvals are told, and links by which one person decides."""

from __future__ import annotations

from datetime import datetime

from psycopg.types.json import Jsonb

from flowbuilder.executor import approval_queries as queries
from flowbuilder.executor import rows
from flowbuilder.executor.approval_records import (
    ChannelRow,
    DelegationRow,
    LinkRow,
    NoticeRow,
    Voter,
)
from flowbuilder.executor.store.base import StoreBase, as_uuid
from flowbuilder.executor.store.users import Doer
from flowbuilder.types import JsonObject


class ApprovalRooms(StoreBase):
    """Delegations, channels, links and notices."""

    async def delegate_approvals(
        self,
        of: str,
        to: str,
        *,
        until: datetime | None = None,
        seconds: float | None = None,
        known: bool,
        by: Doer,
    ) -> DelegationRow:
        """Let `to` decide what `of` is asked for, until a time or for so long.

        `known`: users log in, so `to` has to be one who may decide.

        Raises:
            InvalidValue: `delegation_invalid`, `delegate_not_approver`.
            Conflict: `too_many_delegations`.
        """
        given = (self.workspace, of, to, until, seconds, known, by.as_json())
        row = await self._one(queries.DELEGATE, *given)
        return rows.read(DelegationRow, row)

    async def end_delegation(self, delegation_id: str, *, of: str | None, by: Doer) -> None:
        """End a delegation, of this person if one is named. Raises: NotFound."""
        await self._one(
            queries.END_DELEGATION, self.workspace, as_uuid(delegation_id), of, by.as_json()
        )

    async def delegations(self) -> list[DelegationRow]:
        """Read the delegations that count now."""
        found = await self._all(queries.DELEGATIONS, self.workspace)
        return [rows.read(DelegationRow, row) for row in found]

    async def put_channel(
        self, name: str, channel: JsonObject, *, known: bool, by: Doer
    ) -> ChannelRow:
        """Say where approvals are told: `{kind, user, address, webhook, for}`.

        `known`: users log in, so that `user` has to be a member.

        Raises:
            InvalidValue: `member_not_found`.
            Conflict: `too_many_channels`.
        """
        row = await self._one(
            queries.PUT_CHANNEL, self.workspace, name, Jsonb(channel), known, by.as_json()
        )
        return rows.read(ChannelRow, row)

    async def confirm_channel(
        self, name: str, *, user: str | None, address: str, by: Doer
    ) -> ChannelRow:
        """Let a channel of this person (None: of whomever) bring links.

        Raises:
            NotFound: `channel_not_found`.
            Conflict: `channel_changed`: it leads to another address.
        """
        given = (self.workspace, name, user, address, by.as_json())
        return rows.read(ChannelRow, await self._one(queries.CONFIRM_CHANNEL, *given))

    async def drop_channel(self, name: str, *, by: Doer) -> None:
        """Tell nothing there any more. Raises: NotFound (`channel_not_found`)."""
        await self._one(queries.DROP_CHANNEL, self.workspace, name, by.as_json())

    async def channels(self) -> list[ChannelRow]:
        """Read where approvals are told, by name."""
        found = await self._all(queries.CHANNELS, self.workspace)
        return [rows.read(ChannelRow, row) for row in found]

    async def make_link(
        self, approval_id: str, user: str, hash: bytes, *, workspace: str, by: Voter
    ) -> datetime:
        """Keep the hash of a link of somebody; returns until when it counts.

        Raises:
            NotFound: `approval_not_found`.
            Conflict: `already_decided`, `approval_expired`.
        """
        said = Jsonb({"channel": by.channel, "address": by.address})
        row = await self._one(queries.MAKE_LINK, workspace, as_uuid(approval_id), user, hash, said)
        until: datetime = row["expires_at"]
        return until

    async def read_link(self, hash: bytes) -> LinkRow | None:
        """Read a link of any workspace by its hash."""
        found = await self._all(queries.READ_LINK, hash)
        return rows.read(LinkRow, found[0]) if found else None

    # -- what workers do --------------------------------------------------------------------

    async def escalate_approvals(self, *, limit: int = 100) -> list[str]:
        """Ask further people where nobody has decided for too long; returns the runs."""
        row = await self._one(queries.ESCALATE, limit)
        return [str(run) for run in row["runs"]]

    async def claim_notices(self, *, limit: int, lease_seconds: float) -> list[NoticeRow]:
        """Take notices to be sent; those not closed within the lease are tried anew."""
        found = await self._all(queries.CLAIM_NOTICES, limit, lease_seconds)
        return [rows.read(NoticeRow, row) for row in found]

    async def close_notice(
        self, notice_id: int, error: str | None, *, final: bool = False, most: int
    ) -> None:
        """Note how telling somebody went; without an error it was taken."""
        await self._one(queries.CLOSE_NOTICE, notice_id, error, final, most)

    async def approval_figures(
        self, *, since: datetime, workspace: str | None = None
    ) -> JsonObject:
        """Read how it stands with approvals, of one workspace or all.

        `{pending: {risk: count}, oldest_seconds, decided: {status: {count, seconds, hasty}}}`:
        seconds are the sum of the times to decide since then, hasty those within two seconds.
        """
        row = await self._one(queries.FIGURES, workspace, since)
        figures: JsonObject = row["figures"]
        return figures
