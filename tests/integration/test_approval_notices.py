"""People are told that they are asked: by mail and by webhooks, once, whatever dies in between."""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiosmtpd.smtp import SMTP, Envelope
from pydantic import SecretStr

from flowbuilder.executor.approval_notices import ApprovalNotices
from flowbuilder.executor.context import EnvironmentSecrets
from tests.support.api import problem
from tests.support.deciding import GIVEN, Office, form_of, office
from tests.support.loopback import Reply, site
from tests.support.waiting import eventually

PUBLIC = "https://flows.example.org/app"


class Inbox:
    """A mail server that keeps what it gets, after it has failed some times."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[list[str]] = []
        self.failures = 0

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        if self.failures > 0:
            self.failures -= 1
            return "451 come again later"
        content = envelope.content
        assert isinstance(content, bytes)
        mail = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.recipients.append(list(envelope.rcpt_tos))
        return "250 taken"


@asynccontextmanager
async def mail_server(inbox: Inbox) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(inbox), "127.0.0.1", 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        await server.wait_closed()


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
async def desk(dsn: str, tmp_path: Path, inbox: Inbox) -> AsyncIterator[Office]:
    async with mail_server(inbox) as port:
        file = tmp_path / "connections.json"
        mail = {"host": "127.0.0.1", "port": port, "security": "none", "allow_private": True}
        mail |= {"sender": "flows@example.org", "domains": ["example.org"]}
        file.write_text(json.dumps({"email": mail}))
        given: dict[str, Any] = {
            "connections": file,
            "public_url": PUBLIC,
            "http_allow_private": True,
            "secret_key": SecretStr(base64.b64encode(secrets.token_bytes(32)).decode()),
        }
        async with office(dsn, **given) as opened:
            yield opened


def notices(desk: Office) -> ApprovalNotices:
    """What a worker does about notices, in the hands of a test."""
    builder = desk.town.builder
    environment = EnvironmentSecrets({}).source
    return ApprovalNotices(builder.store, builder.settings, builder.notifications, environment)


async def put(desk: Office, boss: dict[str, str], name: str, **channel: Any) -> None:
    made = await desk.town.call(boss, "PUT", f"/approval-channels/{name}", json=channel)
    assert made.status_code == 200, made.text


async def confirm(desk: Office, who: dict[str, str], name: str, address: str) -> httpx.Response:
    path = f"/approval-channels/{name}/confirm"
    return await desk.town.call(who, "POST", path, json={"address": address})


async def test_a_person_gets_a_mail_with_a_link_that_is_theirs(desk: Office, inbox: Inbox) -> None:
    boss = await desk.town.person("boss", "default", "admin")
    eve = await desk.town.person("eve", "default", "builder", "approver")
    for name in ("ada", "bob"):
        await desk.town.person(name, "default", "approver")
        await put(desk, boss, name, kind="email", user=name, address=f"{name}@example.org")
    await put(desk, boss, "eve", kind="email", user="eve", address="eve@example.org")
    await put(desk, boss, "all", kind="email", address="all@example.org")
    await put(desk, boss, "money", kind="email", address="money@example.org", **{"for": ["role:x"]})
    ada = await desk.town.session("ada")
    own = (await desk.town.call(ada, "GET", "/approval-channels")).json()["items"]
    assert [(one["name"], one["confirmed_at"]) for one in own] == [("ada", None)]
    confirmed = await confirm(desk, ada, "ada", "ada@example.org")
    assert confirmed.json()["confirmed_at"] is not None
    evil = "Please\r\nBcc: victim@example.org\r\n\r\n<b>click https://evil.example</b> \u202e"
    run_id, approval = await desk.asked(
        eve, by=["user:ada", "user:eve"], separate_duties=True, message=evil
    )
    await eventually(lambda: len(inbox.mails) >= 2)
    by_address = dict(zip([one[0] for one in inbox.recipients], inbox.mails, strict=True))
    # bob is not asked, eve's own affair it is, and the room is for others
    assert by_address.keys() == {"ada@example.org", "all@example.org"}
    mail = by_address["ada@example.org"]
    text = mail.get_content()
    assert mail["Subject"] == "Approval needed: letters, step mail"
    assert mail["Bcc"] is None and mail["Auto-Submitted"] == "auto-generated"
    assert "Risk: medium" in text and "\u27e8U+202E\u27e9" in text
    assert "ada@example.org" not in text, "arguments are not sent around"
    [link] = [line for line in text.splitlines() if line.startswith(PUBLIC)]
    assert PUBLIC not in by_address["all@example.org"].get_content()
    path = link.removeprefix(PUBLIC)
    page = await desk.open(path)
    assert page.status_code == 200
    assert "user:ada" in page.text
    done = await desk.town.client.post(path, data={**form_of(page.text), "decision": "approve"})
    assert done.status_code == 200
    await desk.follow(run_id, "workflow_completed")
    assert desk.sent == [GIVEN]
    row = await desk.show(boss, approval)
    assert row["decided_by"] == "user:ada"
    told = sorted(act["comment"] for act in row["history"] if act["act"] == "notice")
    assert told == ["ada", "all"]


async def test_nobody_gets_links_of_others_by_setting_their_channels(
    desk: Office, inbox: Inbox
) -> None:
    """An administrator who could would be as many people as a quorum takes."""
    boss = await desk.town.person("boss", "default", "admin")
    ada = await desk.town.person("ada", "default", "approver")
    mine = {"kind": "email", "address": "boss@example.org"}
    await put(desk, boss, "ada", **mine, user="ada")
    await put(desk, boss, "boss", **mine, user="boss")
    await desk.asked(boss, quorum=2)
    await eventually(lambda: len(inbox.mails) == 2)
    texts = sorted(mail.get_content() for mail in inbox.mails)
    assert [PUBLIC in text for text in texts].count(True) == 1  # boss's own, which they set
    links = [line for text in texts for line in text.splitlines() if line.startswith(PUBLIC)]
    page = await desk.open(links[0].removeprefix(PUBLIC))
    assert "You decide as user:boss" in page.text

    # nobody confirms for others, nor what they have not seen, nor by a key
    for who, address, status in (
        (boss, "boss@example.org", 404),
        (ada, "ada@example.org", 409),
        (await desk.town.key("ada", "default", "read", "run", "approve"), "boss@example.org", 403),
    ):
        assert (await confirm(desk, who, "ada", address)).status_code == status
    await put(desk, boss, "ada", kind="email", address="ada@example.org", user="ada")
    confirmed = await confirm(desk, ada, "ada", "ada@example.org")
    assert confirmed.json()["confirmed_at"] is not None
    # as it was it stays confirmed; led elsewhere, or to somebody else, it is not
    for body, stays in (
        ({"kind": "email", "address": "ada@example.org", "user": "ada"}, True),
        ({**mine, "user": "ada"}, False),
        ({"kind": "email", "address": "ada@example.org", "user": "ada"}, False),
    ):
        answer = await desk.town.call(boss, "PUT", "/approval-channels/ada", json=body)
        assert (answer.json()["confirmed_at"] is not None) is stays, body


async def test_a_webhook_gets_a_text_in_which_nothing_is_a_link(desk: Office) -> None:
    boss = await desk.town.person("boss", "default", "admin")
    with site(lambda request: Reply({"ok": True})) as slack:
        url = f"{slack.url}/services/T0/B0/{secrets.token_hex(12)}"
        await desk.town.builder.secrets.set("hook", url, tools=["slack.post"])
        await put(desk, boss, "team", kind="slack", webhook="secret://hook")
        listed = await desk.town.call(boss, "GET", "/approval-channels")
        assert url not in listed.text
        await desk.asked(boss, message="<!channel> see <https://evil.example|here> & @all")
        await eventually(lambda: len(slack.seen) >= 1)
        body = slack.seen[0].json
    assert "&lt;!channel&gt;" in body["text"] and "&amp;" in body["text"]
    assert "<" not in body["text"].replace("&lt;", "")
    assert (body["unfurl_links"], body["unfurl_media"], body["mrkdwn"]) == (False, False, False)
    assert (body["link_names"], body["parse"]) == (False, "none")
    assert PUBLIC not in body["text"], "a room gets no link by which somebody decides"


async def test_what_fails_is_tried_again_and_nobody_is_told_twice(
    desk: Office, inbox: Inbox
) -> None:
    boss = await desk.town.person("boss", "default", "admin")
    await put(desk, boss, "ada", kind="email", address="ada@example.org")
    await put(desk, boss, "far", kind="email", address="ada@elsewhere.example")
    inbox.failures = 1
    await desk.asked(boss)
    waiting = "select count(*) from flowbuilder.approval_notices where error is not null"

    async def failed() -> bool:
        return await desk.count(waiting) == 2

    await eventually(failed)
    assert inbox.mails == []
    await desk.jump(60)

    async def noted() -> bool:
        sent = "select count(*) from flowbuilder.approval_notices where status = 'sent'"
        return await desk.count(sent) == 1

    # not before it is noted: the clock would jump over the lease of who has just sent it
    await eventually(noted)
    assert len(inbox.mails) == 1
    for _ in range(3):
        await desk.jump(4000)
        await notices(desk).round()
    assert len(inbox.mails) == 1
    row = await desk.town.builder.store.database.fetch_all(
        b"select channel, status, attempts from flowbuilder.approval_notices order by channel"
    )
    assert [(one["channel"], one["status"], one["attempts"]) for one in row] == [
        ("ada", "sent", 2),
        ("far", "failed", 1),
    ]


async def test_a_crash_between_asking_and_telling_loses_nothing(
    desk: Office, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    boss = await desk.town.person("boss", "default", "admin")
    await put(desk, boss, "ada", kind="email", address="ada@example.org")
    true_round = ApprovalNotices.round

    async def dead(_: ApprovalNotices) -> bool:
        return False

    monkeypatch.setattr(ApprovalNotices, "round", dead)  # of the worker, which is gone with it
    await desk.asked(boss)
    assert inbox.mails == []
    # another one takes the notice, and dies before it has sent it
    store = desk.town.builder.store
    assert len(await store.claim_notices(limit=10, lease_seconds=180)) == 1
    for seconds in (0, 170):
        await desk.jump(seconds)
        await asyncio.gather(*(true_round(notices(desk)) for _ in range(5)))
        assert inbox.mails == []
    await desk.jump(11)
    await asyncio.gather(*(true_round(notices(desk)) for _ in range(5)))
    assert len(inbox.mails) == 1
    await desk.jump(80_000)
    await asyncio.gather(*(true_round(notices(desk)) for _ in range(5)))
    assert len(inbox.mails) == 1


async def test_of_what_is_decided_nothing_more_is_told(desk: Office, inbox: Inbox) -> None:
    boss = await desk.town.person("boss", "default", "admin")
    await put(desk, boss, "ada", kind="email", address="ada@example.org")
    inbox.failures = 1_000
    run_id, approval = await desk.asked(boss)
    await desk.decide(boss, approval)
    await desk.follow(run_id, "workflow_completed")
    inbox.failures = 0
    await desk.jump(100_000)
    done = "select count(*) from flowbuilder.approval_notices where status = 'dropped'"

    async def dropped() -> bool:
        await notices(desk).round()
        return await desk.count(done) == 1

    await eventually(dropped)
    assert inbox.mails == []


async def test_who_is_told_when_further_people_are_asked(desk: Office, inbox: Inbox) -> None:
    boss = await desk.town.person("boss", "default", "admin")
    await desk.town.person("ada", "default", "approver")
    for name in ("ada", "boss"):
        await put(desk, boss, name, kind="email", user=name, address=f"{name}@example.org")
    escalate = [{"after": "1h", "to": ["role:admin"]}]
    await desk.asked(boss, by=["user:ada"], escalate=escalate)
    await eventually(lambda: len(inbox.mails) == 1)
    assert inbox.recipients == [["ada@example.org"]]
    await desk.jump(3601)
    await eventually(lambda: len(inbox.mails) == 2)
    assert inbox.recipients[1] == ["boss@example.org"]
    assert inbox.mails[1]["Subject"] == "Still to be decided: letters, step mail"


async def test_channels_are_set_by_administrators_and_checked(desk: Office) -> None:
    boss = await desk.town.person("boss", "default", "admin")
    ada = await desk.town.person("ada", "default", "builder", "approver")
    path = "/approval-channels"
    mail = {"kind": "email", "address": "a@example.org"}
    for method, body in (("PUT", mail), ("DELETE", None)):
        assert (await desk.town.call(ada, method, f"{path}/x", json=body)).status_code == 403
    assert (await desk.town.call(ada, "GET", path)).json()["items"] == []
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"kind": "email"}, "/address"),
        ({"kind": "email", "address": "a@b.c\r\nBcc: x@y.z"}, "/address"),
        ({"kind": "email", "address": "Ada <a@example.org>"}, "/address"),
        ({**mail, "webhook": "secret://x"}, "/address"),
        ({"kind": "slack", "webhook": "https://hooks.example.org/x"}, "/webhook"),
        ({"kind": "slack"}, "/webhook"),
        ({**mail, "user": "nobody"}, "/user"),
        ({**mail, "user": "ada", "for": ["role:x"]}, "/for"),
        ({**mail, "for": [" "]}, "/for"),
    ]
    for given, pointer in wrong:
        refused = problem(await desk.town.call(boss, "PUT", f"{path}/x", json=given), 422)
        assert refused["errors"][0]["pointer"] == pointer, given
    assert (await desk.town.call(boss, "PUT", f"{path}/A%20b", json=mail)).status_code == 404
    await put(desk, boss, "x", **mail)
    await put(desk, boss, "x", **{**mail, "for": ["role:finance"]})
    [listed] = (await desk.town.call(boss, "GET", path)).json()["items"]
    assert (listed["name"], listed["for"], listed["updated_by"]) == (
        "x", ["role:finance"], "user:boss"
    )  # fmt: skip
    assert (await desk.town.call(boss, "DELETE", f"{path}/x")).status_code == 204
    problem(await desk.town.call(boss, "DELETE", f"{path}/x"), 404)
