"""Tells people that they are asked, and asks further ones when nobody decides.

What is to be told stands in a table, written with the approval itself; any worker takes it from
there, sends it, and notes how that went. A worker that dies before it has noted anything leaves it
for another one after the lease: so a notice is sent, and by a working server once.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from flowbuilder.approving import messages
from flowbuilder.approving.links import hash_of_link, new_token, url_of
from flowbuilder.errors import Conflict, FlowBuilderError, NotFound, SettingsError
from flowbuilder.executor.approval_records import ApprovalRow, NoticeRow, Voter
from flowbuilder.executor.notifications import Notifications
from flowbuilder.executor.secret_desk import TaskSecrets, workspace_secrets
from flowbuilder.executor.store import Store
from flowbuilder.secrecy import REDACTOR
from flowbuilder.secrecy.mentions import sole_mention
from flowbuilder.secrecy.sources import EnvironmentSource, SecretSource
from flowbuilder.settings import Settings
from flowbuilder.tools import Fail

log = logging.getLogger(__name__)

#: Notices taken at once, and sent at the same time.
_AT_ONCE = 8
#: A notice is somebody else's to send when nothing was heard of it for so long.
_LEASE_SECONDS = 180.0
#: Of one attempt to send.
_SEND_SECONDS = 60.0
_MOST_ATTEMPTS = 10


class ApprovalNotices:
    """Sends what is due; upkeep says when anything is."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        notifications: Notifications,
        environment: EnvironmentSource,
        sources: Sequence[SecretSource] = (),
    ) -> None:
        self._store = store
        self._settings = settings
        self._notifications = notifications
        self._environment = environment
        self._sources = sources

    async def round(self) -> bool:
        """Ask further people where it is time, and send what is due. True: there may be more."""
        asked = await self._store.escalate_approvals()
        if asked:
            self._notifications.signal(asked, ready=False)
        due = await self._store.claim_notices(limit=_AT_ONCE, lease_seconds=_LEASE_SECONDS)
        await asyncio.gather(*(self._tell(notice) for notice in due))
        return len(due) == _AT_ONCE

    async def _tell(self, notice: NoticeRow) -> None:
        error, final = None, False
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                await self._send(notice)
        except (Fail, Conflict, NotFound, SettingsError) as failure:
            error, final = str(failure), True
        except (FlowBuilderError, TimeoutError, OSError) as failure:
            error = str(failure) or type(failure).__name__
        except Exception as failure:
            log.exception("an approval was not told by %s", notice.channel)
            error = type(failure).__name__
        if error is not None:
            error = REDACTOR.text(error)
            log.warning("an approval was not told by %s: %s", notice.channel, error)
        await self._store.close_notice(notice.notice_id, error, final=final, most=_MOST_ATTEMPTS)

    async def _send(self, notice: NoticeRow) -> None:
        store = Store(self._store.database, workspace=notice.workspace_id)
        row = await store.get_approval(notice.approval_id)
        asked = _asked(row, notice, await self._link(notice))
        if notice.kind == "email":
            await self._mail(store, notice, asked)
        else:
            await self._post(store, notice, asked)

    async def _link(self, notice: NoticeRow) -> str | None:
        """Make a link for whose channel it is; None where none may be, or has an address."""
        if notice.user_name is None or not notice.linked or self._settings.public_url is None:
            return None
        token = new_token()
        hashed = hash_of_link(token)
        assert hashed is not None
        await self._store.make_link(
            notice.approval_id,
            notice.user_name,
            hashed,
            workspace=notice.workspace_id,
            by=Voter(name=f"user:{notice.user_name}", channel=notice.kind),
        )
        return url_of(self._settings.public_url, token)

    async def _mail(self, store: Store, notice: NoticeRow, asked: messages.Asked) -> None:
        from flowbuilder.toolkit.connections import connections_of
        from flowbuilder.toolkit.services.mail import check_recipients, deliver

        server = connections_of(self._settings).email
        if server is None or notice.address is None:
            raise Fail("no mail server is connected", code="not_connected")
        check_recipients([notice.address], server)
        mail = _mail_of(notice, asked, server.sender)
        secrets = await self._secrets(store, "email.send")
        await deliver(server, mail, [notice.address], reveal=secrets.fetch)

    async def _post(self, store: Store, notice: NoticeRow, asked: messages.Asked) -> None:
        from flowbuilder.toolkit.services.slack import message_of, send

        name = sole_mention(notice.webhook or "")
        if name is None:
            raise Fail("the channel names no secret", code="not_connected")
        url = await (await self._secrets(store, "slack.post")).fetch(name)
        private = self._settings.http_allow_private
        await send(url, {}, message_of(messages.text(asked)), allow_private=private)

    async def _secrets(self, store: Store, tool: str) -> TaskSecrets:
        return await workspace_secrets(
            store, self._settings, self._environment, self._sources, tool=tool
        )


def _asked(row: ApprovalRow, notice: NoticeRow, link: str | None) -> messages.Asked:
    agreed = "it counts as agreed to" if row.on_deadline == "approve" else "it is rejected"
    return messages.Asked(
        id=row.id,
        flow=row.flow,
        step=row.step_id,
        tool=row.tool,
        message=row.message,
        risk=row.risk,
        reasons=tuple(str(reason.get("text")) for reason in row.reasons),
        deadline_at=row.deadline_at,
        then=f"When nobody has decided by then, {agreed}.",
        level=notice.level,
        link=link,
    )


def _mail_of(notice: NoticeRow, asked: messages.Asked, sender: str) -> EmailMessage:
    """Return the mail; another attempt has the same Message-ID."""
    mail = EmailMessage()
    known = f"{notice.workspace_id}/{notice.approval_id}/{notice.channel}/{notice.level}"
    digest = hashlib.sha256(known.encode()).hexdigest()[:32]
    address = Address(addr_spec=sender)
    mail["From"] = address
    mail["To"] = Address(addr_spec=notice.address or "")
    mail["Subject"] = messages.subject(asked)[:300]
    mail["Message-ID"] = f"<{digest}@{address.domain}>"
    mail["Date"] = format_datetime(datetime.now(UTC))
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(messages.text(asked))
    return mail
