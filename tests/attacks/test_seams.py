"""Where triggers, approvals, retries and streams meet: what each of them alone allows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from flowbuilder.api.auth import callers
from flowbuilder.api.streams import rights
from tests.support.api import ECHO, GATED, INPUT, all_in, problem
from tests.support.deciding import GIVEN, MAIL, Office, code_of, office
from tests.support.deciding import INPUT as LETTER
from tests.support.tenants import TESTER, Headers, town
from tests.support.triggering import MASTER_KEY, now, send
from tests.support.waiting import eventually

STREAM = {"Accept": "text/event-stream"}
#: A flow whose one step nobody may agree to whose own affair it is.
LETTERS: dict[str, Any] = {
    "flow": "letters",
    "input": LETTER,
    "steps": [{**MAIL, "approval": {"separate_duties": True}}],
}


@pytest.fixture
async def desk(dsn: str) -> AsyncIterator[Office]:
    async with office(dsn, secret_key=SecretStr(MASTER_KEY)) as opened:
        yield opened


async def made(desk: Office, who: Headers, path: str, body: Any = None) -> Any:
    response = await desk.town.call(who, "POST", path, json=body)
    assert response.is_success, response.text
    return response.json()


async def asked(desk: Office, who: Headers, run_id: str, step: str = "mail") -> dict[str, Any]:
    """Return the approval that a step of a run waits for, once it does."""
    found: list[dict[str, Any]] = []

    async def waits() -> bool:
        page = await desk.town.call(who, "GET", f"/approvals?run_id={run_id}")
        found[:] = [item for item in page.json()["items"] if item["step_id"] == step]
        return bool(found)

    await eventually(waits, what=f"{step} asks nobody")
    return found[0]


async def published(desk: Office) -> Headers:
    """Let somebody publish the flow who has nothing to do with what comes, and return them."""
    zoe = await desk.town.person("zoe", "default", "builder")
    await made(desk, zoe, "/flows", LETTERS)
    await made(desk, zoe, "/flows/letters/versions")
    return zoe


# -- whose own affair it is -----------------------------------------------------------------


async def test_who_holds_a_webhook_does_not_decide_what_it_starts(desk: Office) -> None:
    zoe = await published(desk)
    makers = {
        name: await desk.town.person(name, "default", "builder", "approver")
        for name in ("eve", "tom", "kim")
    }
    ada = await desk.town.person("ada", "default", "approver")
    target = {"name": "post", "flow": "letters", "input": "${{ input }}"}
    hook = await made(desk, makers["eve"], "/webhooks", target)
    path = f"/webhooks/{hook['id']}"
    changed = {"description": "changed by somebody else since"}
    assert (await desk.town.call(makers["tom"], "PATCH", path, json=changed)).status_code == 200
    rotated = await made(desk, makers["kim"], f"{path}/rotate")
    await desk.town.call(zoe, "PATCH", path, json={"description": None})
    at = await now(desk.town.builder.store.database)
    delivered = await send(desk.town.client, rotated, GIVEN, at=at)
    assert delivered.status_code == 202, delivered.text
    # gone is the webhook, not who has made it
    assert (await desk.town.call(makers["eve"], "DELETE", path)).status_code == 204
    approval = await asked(desk, ada, delivered.json()["run_id"])
    for name, headers in makers.items():
        assert code_of(await desk.decide(headers, approval)) == "separate_duties", name
    assert (await desk.decide(ada, approval)).json()["status"] == "approved"


async def test_who_has_made_a_schedule_does_not_decide_what_it_starts(desk: Office) -> None:
    await published(desk)
    eve = await desk.town.person("eve", "default", "builder", "approver")
    ada = await desk.town.person("ada", "default", "approver")
    schedule = await made(
        desk,
        eve,
        "/schedules",
        {"name": "daily", "flow": "letters", "cron": "* * * * *", "input": GIVEN},
    )
    await desk.jump(60)

    async def fired() -> bool:
        shown = await desk.town.call(ada, "GET", f"/schedules/{schedule['id']}")
        return bool(shown.json()["last_run_id"])

    await eventually(fired)
    shown = (await desk.town.call(ada, "GET", f"/schedules/{schedule['id']}")).json()
    approval = await asked(desk, ada, shown["last_run_id"])
    assert code_of(await desk.decide(eve, approval)) == "separate_duties"
    assert (await desk.decide(ada, approval)).json()["status"] == "approved"


async def test_who_has_added_a_step_stays_its_author_when_others_add_more(desk: Office) -> None:
    zoe = await desk.town.person("zoe", "default", "builder")
    eve = await desk.town.person("eve", "default", "builder", "approver")
    ada = await desk.town.person("ada", "default", "approver")
    run_id, first = await desk.asked(zoe, by=["user:ada"])
    second = {
        "id": "second",
        "tool": "mail.send",
        "args": {"to": ["eve@example.org"], "text": "more"},
        "depends_on": ["mail"],
        "approval": {"separate_duties": True},
    }
    await made(desk, eve, f"/runs/{run_id}/steps", second)
    for number in range(2):
        more = {**second, "id": f"third{number}", "depends_on": ["second"]}
        await made(desk, zoe, f"/runs/{run_id}/steps", more)
    assert (await desk.decide(ada, first)).json()["status"] == "approved"
    approval = await asked(desk, ada, run_id, "second")
    assert code_of(await desk.decide(eve, approval)) == "separate_duties"
    assert (await desk.decide(ada, approval)).json()["status"] == "approved"


async def test_a_run_that_others_retry_stays_the_affair_of_who_has_started_it(
    desk: Office,
) -> None:
    await published(desk)
    eve = await desk.town.person("eve", "default", "member", "approver")
    bob = await desk.town.person("bob", "default", "member", "approver")
    ada = await desk.town.person("ada", "default", "approver")
    run = await made(desk, eve, "/runs", {"flow": "letters", "input": GIVEN})
    for who in (bob, bob):
        await made(desk, eve, f"/runs/{run['id']}/cancel")
        run = {"id": (await made(desk, who, f"/runs/{run['id']}/retry"))["id"]}
    approval = await asked(desk, ada, run["id"])
    for who in (eve, bob):
        assert code_of(await desk.decide(who, approval)) == "separate_duties"
    assert (await desk.decide(ada, approval)).json()["status"] == "approved"


# -- streams --------------------------------------------------------------------------------


async def test_a_stream_stays_with_the_workspace_in_which_it_was_opened(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who names no workspace reads in the only one they are in, which may be another one since."""
    monkeypatch.setattr(callers, "RECHECK_SECONDS", 0.0)
    monkeypatch.setattr(rights, "IDLE_SECONDS", 0.0)
    async with town(dsn, stream_heartbeat="50ms") as place:
        other = await place.workspace("other")
        admin = await place.person("zoe", "default", "admin")
        document = {"flow": "waiting", "input": INPUT, "steps": [ECHO, GATED]}
        body = {"document": document, "input": {"value": 1}}
        run = (await place.call(admin, "POST", "/runs", json=body)).json()["id"]
        moved = await place.person("ada", "default", "member")
        stays = await place.person("bob", "default", "member")
        paths = (f"/runs/{run}/events", "/events")
        reading = {
            (name, path): asyncio.create_task(place.call(who, "GET", path, headers=STREAM))
            for name, who in (("ada", moved), ("bob", stays))
            for path in paths
        }
        hub = place.app.state.streams.hub
        await eventually(lambda: hub.readers == len(reading))
        # bob is in a second one, too; ada is in that one only, and has all roles there
        await place.accounts.set_member(other, "bob", ["member"], by=TESTER)
        await place.accounts.set_member(other, "ada", ["admin"], by=TESTER)
        await place.accounts.remove_member(
            await place.accounts.find_workspace("default"), "ada", by=TESTER
        )
        for path in paths:
            said = all_in((await reading["ada", path]).text)[-1]
            assert (said["event"], said["data"]["code"]) == ("problem", "workspace_not_found")
        assert not any(reading["bob", path].done() for path in paths)
        await place.call(admin, "POST", f"/runs/{run}/cancel")
        assert all_in((await reading["bob", paths[0]]).text)[-1]["event"] == "end"
        await place.accounts.remove_member(
            await place.accounts.find_workspace("default"), "bob", by=TESTER
        )
        said = all_in((await reading["bob", paths[1]]).text)[-1]
        assert said["event"] == "problem"


# -- what is archived -----------------------------------------------------------------------


async def test_nothing_starts_a_flow_that_is_archived(dsn: str) -> None:
    inner = {"flow": "inner", "input": INPUT, "steps": [ECHO]}
    call = {"id": "call", "tool": "flow.run", "args": {"flow": "inner", "input": {"value": 7}}}
    async with town(dsn, worker=True) as place:
        ada = await place.person("ada", "default", "admin")
        for document in (inner, {"flow": "outer", "steps": [call]}):
            assert (await place.call(ada, "POST", "/flows", json=document)).status_code == 201
            path = f"/flows/{document['flow']}/versions"
            assert (await place.call(ada, "POST", path)).is_success
        start = {"flow": "inner", "input": {"value": 1}}
        run = (await place.call(ada, "POST", "/runs", json=start)).json()["id"]
        await place.call(ada, "GET", f"/runs/{run}/events", headers=STREAM)
        assert (await place.call(ada, "POST", "/flows/inner/archive")).status_code == 200
        again = {"from_step": "echo"}
        for path, body in ((f"/runs/{run}/retry", again), ("/runs", {**start, "version": 1})):
            refused = await place.call(ada, "POST", path, json=body)
            assert problem(refused, 409)["code"] == "flow_archived"
        outer = (await place.call(ada, "POST", "/runs", json={"flow": "outer"})).json()["id"]
        await place.call(ada, "GET", f"/runs/{outer}/events", headers=STREAM)
        ended = (await place.call(ada, "GET", f"/runs/{outer}")).json()
        assert (ended["status"], ended["error"]["code"]) == ("failed", "child_not_started")
        assert (await place.call(ada, "POST", "/flows/inner/restore")).status_code == 200
        retried = await place.call(ada, "POST", f"/runs/{run}/retry", json=again)
        assert retried.status_code == 201
        log = (await place.call(ada, "GET", "/audit")).json()["items"]
        noted = [line for line in log if line["action"].endswith("/retry")]
        assert [line["object"] for line in noted] == [f"/api/v1/runs/{run}/retry"]


# -- the record of an approval --------------------------------------------------------------


async def test_no_flood_of_words_hides_what_was_decided(desk: Office) -> None:
    eve = await desk.town.person("eve", "default", "builder", "approver")
    ada = await desk.town.person("ada", "default", "approver")
    _, approval = await desk.asked(eve, quorum=3)
    assert (await desk.decide(ada, approval)).json()["status"] == "pending"
    path = f"/approvals/{approval['id']}"
    database = desk.town.builder.store.database
    await database.execute(
        b"select flowbuilder.note_act(a, 'comment', 'user:eve', '{}', 'n ' || n)"
        b" from flowbuilder.approvals a, generate_series(1, 498) n where a.id = %s::uuid",
        (approval["id"],),
    )
    said = [
        await desk.town.call(eve, "POST", f"{path}/comments", json={"text": f"at once {number}"})
        for number in range(2)
    ]
    assert [one.json()["comment"] for one in said] == ["at once 0", "at once 1"]
    more = await desk.town.call(ada, "POST", f"{path}/comments", json={"text": "me too"})
    assert problem(more, 409)["code"] == "too_many_comments"
    for _ in range(3):
        await desk.link(eve, approval)
    assert (await desk.decide(eve, approval, "reject")).json()["status"] == "rejected"
    history = (await desk.show(ada, approval))["history"]
    decided = [(act["act"], act["by"]) for act in history if act["act"] in ("approve", "reject")]
    assert decided == [("approve", "user:ada"), ("reject", "user:eve")]
    assert history[-1]["act"] == "reject"
