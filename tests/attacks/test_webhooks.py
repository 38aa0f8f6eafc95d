"""A33 to A38: deliveries that are not signed, old, doubled, odd, too large, or at no webhook."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from flowbuilder.api.routes import hooks
from flowbuilder.errors import RunFailed
from flowbuilder.limits import Quotas
from flowbuilder.triggers.flood import Flood
from flowbuilder.triggers.signing import sign
from tests.support.api import problem, ready
from tests.support.tenants import TESTER, Town, town
from tests.support.triggering import (
    FLOW,
    MASTER_KEY,
    STRICT,
    headers,
    jump,
    now,
    publish,
    send,
    set_clock,
)


@dataclass(frozen=True, kw_only=True)
class Post:
    """A service with a webhook in a workspace of its own."""

    town: Town
    hook: dict[str, Any]

    @property
    def client(self) -> httpx.AsyncClient:
        return self.town.client

    async def call(self, method: str, path: str, **given: Any) -> httpx.Response:
        ada = await self.town.session("ada")  # whatever the clock says by now
        return await self.town.call(ada, method, path, **given)

    async def made(self, **body: Any) -> dict[str, Any]:
        """Make another webhook."""
        response = await self.call("POST", "/webhooks", json={"flow": "echo", **body})
        assert response.status_code == 201, response.text
        made: dict[str, Any] = response.json()
        return made

    async def send(self, payload: Any, message_id: str = "msg_1", **more: Any) -> httpx.Response:
        """Deliver something, signed now unless `at` says otherwise."""
        at = more.pop("at", None)
        if at is None:
            at = await now(self.town.builder.store.database)
        hook = more.pop("hook", self.hook)
        return await send(self.client, hook, payload, message_id=message_id, at=at, **more)

    async def runs(self) -> list[dict[str, Any]]:
        """The runs of the workspace."""
        items: list[dict[str, Any]] = (await self.call("GET", "/runs")).json()["items"]
        return items

    async def row(self, hook: dict[str, Any] | None = None) -> dict[str, Any]:
        """A webhook as it is shown."""
        shown: dict[str, Any] = (
            await self.call("GET", f"/webhooks/{(hook or self.hook)['id']}")
        ).json()
        return shown


@pytest.fixture
async def post(dsn: str) -> AsyncIterator[Post]:
    async with town(dsn, secret_key=SecretStr(MASTER_KEY)) as opened:
        workspace = await opened.workspace("shop")
        ada = await opened.person("ada", "shop", "builder")
        inside = opened.builder.within(workspace)
        await publish(inside)
        await publish(inside, STRICT)
        response = await opened.call(
            ada, "POST", "/webhooks", json={"name": "orders", "flow": "echo", "key": "value"}
        )
        assert response.status_code == 201, response.text
        yield Post(town=opened, hook=response.json())


@pytest.mark.parametrize("payload", [0, False, "", None, [], {}, {"a": [0, False, "", None, []]}])
async def test_a_signed_delivery_starts_a_run_with_what_was_sent(post: Post, payload: Any) -> None:
    answer = await post.send(payload)
    assert answer.status_code == 202, answer.text
    run = (await post.call("GET", f"/runs/{answer.json()['run_id']}")).json()
    assert run["input"] == {"value": payload}
    assert run["trigger"] == {
        "kind": "webhook",
        "trigger_id": post.hook["id"],
        "name": "orders",
        "tick_at": None,
        "detail": "msg_1",
    }
    row = await post.row()
    assert (row["last_result"], row["deliveries"]) == ("started", 1)
    assert row["last_run_id"] == run["id"]
    assert "secret" not in row


async def test_a33_who_cannot_sign_is_refused(post: Post) -> None:
    body = b'{"a": 1}'
    at = int((await now(post.town.builder.store.database)).timestamp())
    right = headers(post.hook["secret"], body, at=at)
    other = await post.made(name="other", key="value")
    good = right["webhook-signature"]
    wrong: list[dict[str, str]] = [
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1"},
        {"webhook-signature": good.removeprefix("v1,")},
        {"webhook-signature": good.replace("v1,", "v1a,")},
        {"webhook-signature": good.replace("v1,", "v2,")},
        {"webhook-signature": good.replace("v1,", "V1,")},
        {"webhook-signature": good.replace("v1,", "sha256=")},
        {"webhook-signature": good[:-1]},
        {"webhook-signature": good + "A"},
        {"webhook-signature": good.upper()},
        {"webhook-signature": "v1," + base64.b64encode(b"").decode()},
        {"webhook-signature": "v1,null"},
        {"webhook-signature": sign(other["secret"], "msg_1", at, body)},
        {"webhook-signature": sign("whsec_" + base64.b64encode(b"\0" * 32).decode(), "m", at, b"")},
        {"webhook-id": ""},
        {"webhook-id": "msg_2"},
        {"webhook-id": "msg.1"},
        {"webhook-id": "m" * 201},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": f"{at}.0"},
        {"webhook-timestamp": f" +{at}"},
        {"webhook-timestamp": f"{at + 1}"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-timestamp": "NaN"},
    ]
    for changed in wrong:
        answer = await post.client.post(
            post.hook["path"], content=body, headers={**right, **changed}
        )
        assert problem(answer, 401)["code"].startswith("webhook_"), changed
        assert answer.headers["connection"] == "close"
    for missing in ("webhook-signature", "webhook-id", "webhook-timestamp"):
        rest = {name: value for name, value in right.items() if name != missing}
        answer = await post.client.post(post.hook["path"], content=body, headers=rest)
        assert problem(answer, 401)["code"] == "webhook_signature_missing"
    doubled = [*right.items(), ("webhook-id", "msg_1")]
    answer = await post.client.post(post.hook["path"], content=body, headers=doubled)
    assert problem(answer, 401)["code"] == "webhook_signature_invalid"
    assert await post.runs() == []
    row = await post.row()
    assert (row["last_result"], row["deliveries"]) == (None, 0)
    assert row["refused_code"] == "webhook_signature_invalid"


async def test_a33_what_is_refused_is_noted_once_a_minute(post: Post) -> None:
    async def lines() -> list[Any]:
        rows = await post.town.builder.store.database.fetch_all(
            b"select actor, details from flowbuilder.audit_log where action = 'webhook.refused'"
        )
        return [(row["actor"], row["details"]["code"]) for row in rows]

    for _ in range(5):
        await post.client.post(post.hook["path"], json={})
    noted = ("webhook:orders", "webhook_signature_missing")
    assert await lines() == [noted]
    await jump(post.town.builder.store.database, 61)
    await post.client.post(post.hook["path"], json={})
    assert await lines() == [noted, noted]


async def test_a34_a_delivery_counts_once_and_only_when_it_is_new(post: Post) -> None:
    database = post.town.builder.store.database
    first = await post.send({"a": 1})
    again = await post.send({"a": 1})
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json() == {"run_id": first.json()["run_id"], "duplicate": True}
    # the sender tries again later, with a fresh time and signature
    await jump(database, 3600)
    later = await post.send({"a": 1})
    assert later.json()["run_id"] == first.json()["run_id"]
    # another id is another delivery, whatever it says
    other = await post.send({"a": 1}, "msg_2")
    assert other.json()["run_id"] != first.json()["run_id"]
    at = int((await now(database)).timestamp())
    for away in (-360, -301, 302, 360, 86_400, -86_400, -at):
        old = await post.send({"a": 1}, "msg_3", at=at + away)
        assert problem(old, 401)["code"] == "webhook_timestamp_invalid", away
    for away in (-295, 290):
        fresh = await post.send({"a": 1}, f"msg_{away}", at=at + away)
        assert fresh.status_code == 202, fresh.text
    assert len(await post.runs()) == 4


async def test_a34_ids_are_forgotten_after_days_and_not_before(post: Post) -> None:
    database = post.town.builder.store.database
    first = (await post.send(1)).json()["run_id"]
    await jump(database, 3 * 86_400)
    assert (await post.send(1)).json()["run_id"] == first
    await jump(database, 86_400)
    second = await post.send(1)
    assert second.json() == {"run_id": second.json()["run_id"], "duplicate": False}
    assert second.json()["run_id"] != first
    for number in range(3):
        await post.send(1, f"old_{number}")
    await jump(database, 5 * 86_400)
    await post.send(1, "new")
    rows = await database.fetch_all(b"select message_id from flowbuilder.webhook_deliveries")
    assert [row["message_id"] for row in rows] == ["new"]


async def test_a34_fifty_deliveries_of_one_id_at_once_start_one_run(post: Post) -> None:
    answers = await asyncio.gather(*(post.send({"n": 1}) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200, 202}
    assert [answer.status_code for answer in answers].count(202) == 1
    assert len({answer.json()["run_id"] for answer in answers}) == 1
    assert len(await post.runs()) == 1


async def test_a35_the_signature_is_about_the_bytes_that_were_sent(post: Post) -> None:
    body = b'{"a": 1}'
    at = await now(post.town.builder.store.database)
    signed = headers(post.hook["secret"], body, at=at)
    for changed in (
        b'{"a":1}',
        b'{"a": 1} ',
        b'{"a": 1}\n',
        b'\xef\xbb\xbf{"a": 1}',
        b'{"a": 2}',
        b"",
    ):
        answer = await post.client.post(post.hook["path"], content=changed, headers=signed)
        assert problem(answer, 401)["code"] == "webhook_signature_invalid"
    assert (await post.client.post(post.hook["path"], content=body, headers=signed)).is_success


async def test_a35_of_many_signatures_one_is_enough_and_too_many_are_none(post: Post) -> None:
    body = b"1"
    at = await now(post.town.builder.store.database)
    signed = headers(post.hook["secret"], body, at=at)
    good = signed["webhook-signature"]
    junk = "v1," + base64.b64encode(b"x" * 32).decode()

    async def answered(signature: str) -> int:
        given = {**signed, "webhook-signature": signature}
        return (await post.client.post(post.hook["path"], content=body, headers=given)).status_code

    for refused in (" ".join([junk] * 1000 + [good]), " ".join([good] * 11), good + " " * 3000):
        assert await answered(refused) == 401
    assert await answered(f"v1a,{junk} {junk} v1,? {good}") == 202
    assert await answered(f"  {good}  ") == 200


async def test_a35_both_secrets_count_while_one_is_changed(post: Post) -> None:
    database = post.town.builder.store.database
    rotated = await post.call("POST", f"/webhooks/{post.hook['id']}/rotate", json={"overlap": "1h"})
    new = rotated.json()
    assert new["secret"] != post.hook["secret"]
    assert (await post.send(1, "a")).status_code == 202
    assert (await post.send(1, "b", hook=new)).status_code == 202
    await jump(database, 3601)
    assert (await post.send(1, "c")).status_code == 401
    assert (await post.send(1, "d", hook=new)).status_code == 202
    # a stolen one ends at once, and the one before the last does not come back
    last = (
        await post.call("POST", f"/webhooks/{post.hook['id']}/rotate", json={"overlap": "0s"})
    ).json()
    statuses = [
        (await post.send(1, f"e{number}", hook=hook)).status_code
        for number, hook in enumerate((post.hook, new, last))
    ]
    assert statuses == [401, 401, 202]
    own = "whsec_" + base64.b64encode(b"chosen by the sender, 32 bytes!!").decode()
    path = f"/webhooks/{post.hook['id']}/rotate"
    assert (await post.call("POST", path, json={"secret": own})).json()["secret"] == own
    assert (await post.send(1, "f", hook={**last, "secret": own})).status_code == 202
    assert (await post.send(1, "g", hook=last)).status_code == 202
    for bad in ("", "whsec_", "whsec_AAAA", "x" * 40, "whsec_" + "é" * 40):
        refused = await post.call("POST", path, json={"secret": bad})
        assert problem(refused, 422)["code"] == "webhook_secret_invalid"


@pytest.mark.parametrize(
    "media",
    [
        "text/plain",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/vnd.api+json",
        "application/json; charset=utf-16",
        "application/json; charset=utf-8; charset=utf-16",
        "application/json, text/plain",
        "",
    ],
)
async def test_a36_only_json_is_taken(post: Post, media: str) -> None:
    answer = await post.send({"files": [{"filepath": "/etc/passwd"}]}, **{"Content-Type": media})
    assert problem(answer, 415)["code"] == "media_type_unsupported"
    assert await post.runs() == []


async def test_a36_other_forms_of_the_same_type_are_taken(post: Post) -> None:
    for number, media in enumerate(('Application/JSON;charset="UTF-8"', "application/json")):
        assert (await post.send(1, f"m{number}", **{"Content-Type": media})).status_code == 202
    packed = await post.send(1, **{"Content-Encoding": "gzip"})
    assert problem(packed, 415)["code"] == "media_type_unsupported"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "json_syntax"),
        (b"{", "json_syntax"),
        (b'{"a": 1, "a": 2}', "json_duplicate_key"),
        (b'{"a": NaN}', "json_nan"),
        (b"-Infinity", "json_infinity"),
        (b"1e999", "json_number"),
        (b'"\\ud800"', "json_surrogate"),
        (b'"\\u0000"', "json_nul"),
        (b"\xff\xfe{\x00}\x00", "json_syntax"),
        (b"[" * 100_000, "json_depth"),
        (b"1" * 5000, "json_number"),
        (b"<a/>", "json_syntax"),
    ],
)
async def test_a36_signed_junk_is_refused_as_what_it_is(post: Post, body: bytes, code: str) -> None:
    answer = await post.send(body)
    found = problem(answer, 400)
    assert found["code"].startswith("json_"), found
    assert found["code"] == code or code in ("json_syntax", "json_number")
    row = await post.row()
    assert (row["last_result"], row["last_error"]["code"]) == ("failed", found["code"])
    assert await post.runs() == []


async def test_a36_a_payload_is_a_value_and_chooses_nothing(post: Post) -> None:
    before = await post.row()
    claims = {
        "flow": "strict",
        "flow_id": "strict",
        "version": 99,
        "workspace_id": "00000000-0000-0000-0000-000000000001",
        "user": "root",
        "actor": "user:root",
        "by": "root",
        "approved": True,
        "approval": "none",
        "priority": "high",
        "idempotency_key": "x",
        "budget": {"tokens": 1},
        "input": {"value": "other"},
        "spec": FLOW,
        "files": [{"filepath": "/etc/passwd"}],
        "evil": "${{ steps.echo }} ${{ run.id }} secret://mail",
    }
    answer = await post.send(claims, **{"X-Workspace": "default", "Idempotency-Key": "mine"})
    assert answer.status_code == 202, answer.text
    run = (await post.call("GET", f"/runs/{answer.json()['run_id']}")).json()
    assert run["input"] == {"value": claims}
    assert (run["flow"], run["version"], run["priority"]) == ("echo", 1, "normal")
    assert (run["idempotency_key"], run["budget"]) == (None, None)
    row = await post.town.builder.store.database.fetch_one(
        b"select actor, workspace_id::text from flowbuilder.runs"
    )
    assert row == {
        "actor": "webhook:orders",
        "workspace_id": await post.town.accounts.find_workspace("shop"),
    }
    after = await post.row()
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"last_at", "last_result", "last_run_id", "deliveries"}
    # with a query it is the same webhook
    path = {**post.hook, "path": post.hook["path"] + "?flow=strict&version=9"}
    queried = await post.send(1, "q", hook=path)
    assert (await post.call("GET", f"/runs/{queried.json()['run_id']}")).json()["flow"] == "echo"


async def test_a36_parts_of_a_payload_are_mapped_by_references(post: Post) -> None:
    hook = await post.made(
        name="mapped",
        input={
            "value": {
                "id": "${{ input.order.id }}",
                "text": "order ${{ input.order.id }} of ${{ run.webhook }}",
                "delivery": "${{ run.delivery }}",
                "kept": [0, False, "", None, []],
            }
        },
    )
    answer = await post.send({"order": {"id": 0}}, "msg_7", hook=hook)
    run = (await post.call("GET", f"/runs/{answer.json()['run_id']}")).json()
    assert run["input"]["value"] == {
        "id": 0,
        "text": "order 0 of mapped",
        "delivery": "msg_7",
        "kept": [0, False, "", None, []],
    }
    lacking = await post.send({"order": {}}, "msg_8", hook=hook)
    assert problem(lacking, 422)["code"] == "reference_missing"
    strict = await post.made(name="strict", flow="strict", input={"value": "${{ input }}"})
    unfit = await post.send("no number", "msg_9", hook=strict)
    assert problem(unfit, 422)["code"] == "input_invalid"
    assert (await post.row(strict))["last_error"]["code"] == "input_invalid"
    assert (await post.send(0, "msg_9", hook=strict)).status_code == 202
    for reference in ("steps.a", "item", "index", "run.id", "run", "secrets.x", "env.HOME"):
        body = {"name": "bad", "flow": "echo", "input": {"value": f"${{{{ {reference} }}}}"}}
        refused = problem(await post.call("POST", "/webhooks", json=body), 422)
        assert refused["code"] == "reference_root", reference
        assert refused["errors"][0]["pointer"] == "/input/value"


async def test_a37_bodies_are_bounded_before_they_are_read_whole(post: Post) -> None:
    at = await now(post.town.builder.store.database)
    asked: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        for number in range(100_000):
            asked.append(number)
            yield b"x" * 65_536

    signed = headers(post.hook["secret"], b"", at=at)
    app = post.town.app
    for head in ({}, {"content-length": str(100 * 2**20)}):
        sent = await raw(app, post.hook["path"], {**signed, **head}, endless())
        assert sent["status"] == 413, sent
        assert sent["headers"]["connection"] == "close"
    assert len(asked) <= 18  # a megabyte and a piece, and nothing where the length was declared
    large = await post.send("x" * 1_048_576)
    assert problem(large, 413)["code"] == "body_too_large"
    assert "FLOWBUILDER_MAX_VALUE_BYTES" in large.json()["hint"]


async def test_a37_a_body_that_does_not_come_is_not_waited_for(
    post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hooks, "BODY_SECONDS", 0.01)
    never = asyncio.Event()

    async def drip() -> AsyncIterator[bytes]:
        yield b"1"
        await never.wait()

    at = await now(post.town.builder.store.database)
    signed = headers(post.hook["secret"], b"1", at=at)
    sent = await raw(post.town.app, post.hook["path"], signed, drip())
    assert (sent["status"], sent["body"]["code"]) == (408, "body_timeout")
    assert sent["headers"]["connection"] == "close"


async def raw(
    app: Any, path: str, head: dict[str, str], parts: AsyncIterator[bytes]
) -> dict[str, Any]:
    """Call the app with a body that comes in pieces, and return what it answers."""
    answer: dict[str, Any] = {"content": b""}

    async def receive() -> dict[str, Any]:
        async for part in parts:
            return {"type": "http.request", "body": part, "more_body": True}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def said(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            answer["status"] = message["status"]
            answer["headers"] = {
                name.decode().lower(): value.decode() for name, value in message["headers"]
            }
        else:
            answer["content"] += message.get("body", b"")

    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
        "headers": [
            (b"host", b"127.0.0.1"),
            *((name.lower().encode(), value.encode()) for name, value in head.items()),
        ],
    }
    await app(scope, receive, said)
    answer["body"] = json.loads(answer["content"])
    return answer


async def test_a37_a_webhook_takes_so_many_and_says_when_to_come_again(post: Post) -> None:
    database = post.town.builder.store.database
    hook = await post.made(name="slow", key="value", rate="3/1m")
    statuses = [(await post.send(n, f"m{n}", hook=hook)).status_code for n in range(3)]
    assert statuses == [202] * 3
    refused = await post.send(3, "m3", hook=hook)
    assert problem(refused, 429)["code"] == "too_many_deliveries"
    assert 1 <= int(refused.headers["retry-after"]) <= 20
    # what is known costs nothing, and another webhook has room of its own
    assert (await post.send(0, "m0", hook=hook)).status_code == 200
    assert (await post.send(0, "m0")).status_code == 202
    await jump(database, 21)
    assert (await post.send(3, "m3", hook=hook)).status_code == 202
    assert (await post.send(4, "m4", hook=hook)).status_code == 429


async def test_a37_a_flood_does_not_reach_the_database(post: Post) -> None:
    # as after the flood: the bucket of this sender is full
    door = hooks.Door()
    door.flood = Flood(burst=5, rate=1, clock=lambda: 0.0)
    post.town.app.state.door = door
    answers = [await post.client.post(post.hook["path"], json={}) for _ in range(1000)]
    codes = [answer.status_code for answer in answers]
    assert codes == [401] * 5 + [429] * 995
    assert answers[-1].headers["retry-after"] == "1"
    assert answers[-1].headers["connection"] == "close"
    await ready(post.client)


async def test_a38_unknown_paused_and_deleted_webhooks_are_all_the_same(post: Post) -> None:
    def told(response: httpx.Response) -> Any:
        body = problem(response, 404)
        del body["instance"], body["request_id"]
        return body, sorted(response.headers)

    gone, paused = await post.made(name="gone", key="value"), await post.made(name="paused")
    assert (await post.call("DELETE", f"/webhooks/{gone['id']}")).status_code == 204
    assert (await post.call("POST", f"/webhooks/{paused['id']}/pause")).json()["paused_by"]
    unknown = {**gone, "path": "/hooks/" + "A" * 32}
    answers = [
        told(await post.send(1, hook=hook))
        for hook in (gone, paused, unknown, {**gone, "path": "/hooks/x"})
    ]
    answers += [told(await post.client.post(paused["path"], content=b"not even signed"))]
    assert all(answer == answers[0] for answer in answers)
    assert (await post.call("POST", f"/webhooks/{paused['id']}/resume")).status_code == 200
    assert (await post.send(1, hook=paused)).status_code == 422  # there again: `payload` is no key


async def test_a38_addresses_cannot_be_guessed(post: Post) -> None:
    paths = [post.hook["path"]] + [(await post.made(name=f"n{n}"))["path"] for n in range(5)]
    ends = [path.removeprefix("/hooks/") for path in paths]
    assert len(set(ends)) == 6
    assert all(len(base64.urlsafe_b64decode(end)) * 8 >= 128 for end in ends)
    for end in (ends[0][:-1], ends[0].swapcase(), ends[0] + "A", post.hook["id"], "orders", "%00"):
        answer = await post.send(1, hook={**post.hook, "path": f"/hooks/{end}"})
        assert problem(answer, 404)["code"] == "webhook_unknown", end
    for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH"):
        answer = await post.client.request(method, post.hook["path"])
        assert answer.status_code == 405
        assert answer.headers["allow"] == "POST"


async def test_a38_an_archived_flow_is_gone_for_who_can_sign_only(post: Post) -> None:
    await post.call("POST", "/flows/echo/archive")
    assert problem(await post.send(1), 410)["code"] == "flow_gone"
    unsigned = await post.client.post(post.hook["path"], json=1)
    assert problem(unsigned, 401)["code"] == "webhook_signature_missing"
    assert (await post.row())["last_error"]["code"] == "flow_gone"
    await post.call("POST", "/flows/echo/restore")
    assert (await post.send(1)).status_code == 202
    await post.call("DELETE", "/flows/echo")
    assert problem(await post.send(1, "m2"), 410)["code"] == "flow_gone"
    assert len(await post.runs()) == 1


async def test_a38_a_version_is_pinned_or_the_newest(post: Post) -> None:
    workspace = await post.town.accounts.find_workspace("shop")
    pinned = await post.made(name="pinned", key="value", version=1)
    assert await publish(post.town.builder.within(workspace), {**FLOW, "description": "new"}) == 2
    versions = []
    for hook in (post.hook, pinned):
        run = (await post.send(1, hook=hook)).json()["run_id"]
        versions.append((await post.call("GET", f"/runs/{run}")).json()["version"])
    assert versions == [2, 1]
    missing = await post.call(
        "POST", "/webhooks", json={"name": "no", "flow": "echo", "version": 3}
    )
    assert problem(missing, 404)["code"] == "version_not_found"


async def test_secrets_are_sealed_and_never_shown_again(post: Post) -> None:
    secret = post.hook["secret"]
    await post.send(1)
    for path in ("/webhooks", f"/webhooks/{post.hook['id']}", "/runs"):
        assert secret not in (await post.call("GET", path)).text
    database = post.town.builder.store.database
    tables = await database.fetch_all(
        b"select relname as name from pg_class where relnamespace = 'flowbuilder'::regnamespace"
        b" and relkind = 'r'"
    )
    for table in tables:
        rows = await database.fetch_all(
            f"select to_jsonb(t)::text as row from flowbuilder.{table['name']} t".encode()
        )
        assert not [row for row in rows if secret.removeprefix("whsec_") in row["row"]]
    # a row that is moved to another webhook does not open
    other = await post.made(name="other", key="value")
    await database.execute(
        b"update flowbuilder.webhook_secrets s set key_id = o.key_id, wrapped = o.wrapped,"
        b" sealed = o.sealed from flowbuilder.webhook_secrets o"
        b" where s.webhook_id = %s::uuid and o.webhook_id = %s::uuid",
        (post.hook["id"], other["id"]),
    )
    moved = await post.send(1, "m2", hook={**post.hook, "secret": other["secret"]})
    assert not moved.is_success
    assert secret not in moved.text


async def test_a36_policy_sees_that_strangers_wrote_a_payload(post: Post) -> None:
    """What a webhook brings is data from outside; what a person starts with is not."""
    policy: dict[str, Any] = {
        "policy": "policy.v1",
        "rules": [{"name": "no-strangers", "tools": ["*"], "data": "outside", "then": "refuse"}],
    }
    workspace = await post.town.accounts.find_workspace("shop")
    inside = post.town.builder.within(workspace)
    await inside.policy.set(policy)
    delivered = (await post.send("x")).json()["run_id"]
    own = (await post.call("POST", "/runs", json={"flow": "echo", "input": {"value": "x"}})).json()
    hook = await post.made(name="trusted", key="value", trusted=True)
    trusted = (await post.send("x", hook=hook)).json()["run_id"]
    async with post.town.builder.worker():
        for run_id in (own["id"], trusted):
            assert await (await inside.get_run(run_id)).result(timeout=60) == "x"
        with pytest.raises(RunFailed) as refused:
            await (await inside.get_run(delivered)).result(timeout=60)
    assert refused.value.error["code"] == "policy_refused"


async def test_a38_an_archived_workspace_takes_nothing_for_who_can_sign_only(post: Post) -> None:
    shop = await post.town.accounts.find_workspace("shop")
    await post.town.accounts.archive_workspace(shop, by=TESTER)
    assert problem(await post.send(1), 410)["code"] == "flow_gone"
    unsigned = await post.client.post(post.hook["path"], json=1)
    assert problem(unsigned, 401)["code"] == "webhook_signature_missing"
    await post.town.accounts.archive_workspace(shop, archived=False, by=TESTER)
    assert (await post.send(1)).status_code == 202


async def test_a37_a_used_up_quota_says_when_to_come_again_and_not_how_much(post: Post) -> None:
    workspace = await post.town.accounts.find_workspace("shop")
    inside = post.town.builder.within(workspace)
    await set_clock(inside.store.database, "2030-03-04T12:00:00Z")  # no day ends meanwhile
    await inside.admission.set_quotas(Quotas(runs_per_day=1))
    assert (await post.send(1, "m1")).status_code == 202
    refused = await post.send(1, "m2")
    told = problem(refused, 503)
    assert told["code"] == "quota_runs_per_day"
    assert "1" not in told["detail"]
    assert 1 <= int(refused.headers["retry-after"]) <= 86_400
    # what was delivered before is still known, and costs nothing
    again = await post.send(1, "m1")
    assert (again.status_code, again.json()["duplicate"]) == (200, True)
    assert (await post.row())["last_error"]["code"] == "quota_runs_per_day"
