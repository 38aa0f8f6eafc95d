"""Who may decide what: one's own list, delegations, escalation, quorums of refusals, comments."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.api import problem
from tests.support.deciding import GIVEN, Office, code_of, office
from tests.support.waiting import eventually


@pytest.fixture
async def desk(dsn: str) -> AsyncIterator[Office]:
    async with office(dsn) as opened:
        yield opened


async def test_mine_is_what_i_may_decide_now(desk: Office) -> None:
    eve = await desk.town.person("eve", "default", "builder")
    ada = await desk.town.person("ada", "default", "approver")
    bob = await desk.town.person("bob", "default", "builder", "approver")
    boss = await desk.town.person("boss", "default", "admin")
    _, anyone = await desk.asked(eve)
    _, named = await desk.asked(eve, by=["user:ada"])
    _, builders = await desk.asked(eve, by=["role:builder"])
    _, finance = await desk.asked(eve, by=["role:finance"])
    _, own = await desk.asked(bob, separate_duties=True)
    _, two = await desk.asked(eve, quorum=2)
    assert await desk.mine(eve) == []
    assert await desk.mine(ada) == [anyone["id"], named["id"], own["id"], two["id"]]
    assert await desk.mine(bob) == [anyone["id"], builders["id"], two["id"]]
    ids = [anyone["id"], builders["id"], finance["id"], own["id"], two["id"]]
    assert await desk.mine(boss) == ids
    assert (await desk.decide(ada, two)).json()["status"] == "pending"
    assert two["id"] not in await desk.mine(ada)
    assert two["id"] in await desk.mine(bob)
    assert (await desk.decide(ada, anyone)).status_code == 200
    assert anyone["id"] not in await desk.mine(boss)
    for approval, headers in ((named, ada), (finance, ada), (own, bob), (anyone, ada)):
        shown = await desk.show(headers, approval)
        assert shown["may_decide"] is (approval is named)
        assert (shown["why_not"] is None) is (approval is named)
    wrong = await desk.town.call(ada, "GET", "/approvals?mine=true&status=all")
    assert problem(wrong, 422)["code"] == "mine_pending_only"
    other = await desk.town.call(ada, "GET", "/approvals?mine=true&by=bob")
    assert problem(other, 403)["code"] == "actor_not_yours"


async def test_lists_go_on_page_by_page(desk: Office) -> None:
    eve = await desk.town.person("eve", "default", "builder")
    ada = await desk.town.person("ada", "default", "approver")
    wanted = [(await desk.asked(eve))[1]["id"] for _ in range(5)]
    for query in ("", "&mine=true", "&status=all"):
        seen: list[str] = []
        cursor = None
        while True:
            path = f"/approvals?limit=2{query}" + (f"&cursor={cursor}" if cursor else "")
            page = (await desk.town.call(ada, "GET", path)).json()
            seen += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
            if len(seen) == 2 and query == "":  # what is decided meanwhile is no hole
                await desk.decide(ada, page["items"][-1])
        assert seen == (wanted if query != "&mine=true" else [wanted[0], *wanted[2:]])
    # another workspace's is none
    other = await desk.town.workspace("other")
    joe = await desk.town.person("joe", other, "admin")
    for path in (f"/approvals?cursor={wanted[0]}", f"/plans?cursor={wanted[0]}"):
        assert (await desk.town.call(joe, "GET", path)).status_code == 404


async def test_somebody_stands_in_until_a_time(desk: Office) -> None:
    eve = await desk.town.person("eve", "default", "builder")
    ada = await desk.town.person("ada", "default", "approver")
    bob = await desk.town.person("bob", "default", "approver")
    await desk.town.person("joe", "default", "member")
    _, first = await desk.asked(eve, by=["user:ada"])
    _, second = await desk.asked(eve, by=["user:ada"], quorum=2)
    assert code_of(await desk.decide(bob, first)) == "approver_not_allowed"
    path = "/approval-delegations"
    until = (datetime.now(UTC) + timedelta(days=2)).isoformat()
    for body, code in (
        ({"to": "ada", "lasts": "1d"}, "delegation_invalid"),
        ({"to": "bob"}, "delegation_invalid"),
        ({"to": "bob", "lasts": "91d"}, "delegation_invalid"),
        ({"to": "bob", "lasts": "soon"}, "delegation_invalid"),
        ({"to": "bob", "until": "2001-01-01T00:00:00Z"}, "delegation_invalid"),
        ({"to": "bob", "until": "2040-01-01"}, "delegation_invalid"),
        ({"to": "joe", "lasts": "1d"}, "delegate_not_approver"),
        ({"to": "nobody", "lasts": "1d"}, "delegate_not_approver"),
    ):
        refused = problem(await desk.town.call(ada, "POST", path, json=body), 422)
        assert refused["code"] == code, body
    for_other = {"to": "bob", "lasts": "1d", "of": "ada"}
    assert (await desk.town.call(bob, "POST", path, json=for_other)).status_code == 403
    made = await desk.town.call(ada, "POST", path, json={"to": "bob", "until": until})
    assert made.status_code == 201, made.text
    [listed] = (await desk.town.call(eve, "GET", path)).json()["items"]
    assert (listed["of"], listed["to"]) == ("ada", "bob")
    assert await desk.mine(bob) == [first["id"], second["id"]]
    done = (await desk.decide(bob, first)).json()
    assert (done["status"], done["decided_by"]) == ("approved", "user:bob")
    assert done["votes"][0]["on_behalf"] == "ada"
    # both speak for one
    assert (await desk.decide(bob, second)).json()["status"] == "pending"
    assert (await desk.decide(ada, second)).json()["status"] == "pending"
    assert len((await desk.show(ada, second))["votes"]) == 1
    ended = await desk.town.call(bob, "DELETE", f"{path}/{listed['id']}")
    assert problem(ended, 404)
    ended = await desk.town.call(ada, "DELETE", f"{path}/{listed['id']}")
    assert ended.status_code == 204
    assert code_of(await desk.decide(bob, second)) == "approver_not_allowed"
    await desk.town.call(ada, "POST", path, json={"to": "bob", "lasts": "1h"})
    await desk.jump(3601)
    bob = await desk.town.session("bob")
    assert code_of(await desk.decide(bob, second)) == "approver_not_allowed"


async def test_further_people_are_asked_when_nobody_decides(desk: Office) -> None:
    eve = await desk.town.person("eve", "default", "builder")
    await desk.town.person("ada", "default", "approver")
    boss = await desk.town.person("boss", "default", "admin")
    escalate = [{"after": "10m", "to": ["role:admin"]}, {"after": "20m", "to": ["user:bob"]}]
    run_id, approval = await desk.asked(eve, by=["user:ada"], escalate=escalate)
    assert code_of(await desk.decide(boss, approval)) == "approver_not_allowed"
    await desk.jump(601)
    await desk.follow(run_id, "approval_escalated")
    shown = await desk.show(boss, approval)
    assert (shown["by"], shown["escalated"]) == (["role:admin", "user:ada"], 1)
    assert [act["act"] for act in shown["history"]] == ["escalate"]
    await desk.jump(600)
    told = "select escalated from flowbuilder.approvals"

    async def again() -> bool:
        return await desk.count(told) == 2

    await eventually(again)
    assert (await desk.show(boss, approval))["escalate_at"] is None
    assert (await desk.decide(boss, approval)).json()["status"] == "approved"
    assert await desk.until_sent() == [GIVEN]


async def test_more_than_one_may_have_to_refuse(desk: Office) -> None:
    eve = await desk.town.person("eve", "default", "builder")
    ada = await desk.town.person("ada", "default", "approver")
    bob = await desk.town.person("bob", "default", "approver")
    _, approval = await desk.asked(eve, rejections=2, quorum=2)
    assert (await desk.decide(ada, approval)).json()["status"] == "pending"
    changed = (await desk.decide(ada, approval, "reject")).json()
    assert (changed["status"], len(changed["votes"]), len(changed["refusals"])) == ("pending", 0, 1)
    assert len((await desk.decide(ada, approval, "reject")).json()["refusals"]) == 1
    back = (await desk.decide(ada, approval)).json()
    assert (len(back["votes"]), len(back["refusals"])) == (1, 0)
    await desk.decide(ada, approval, "reject")
    last = (await desk.decide(bob, approval, "reject", comment="no")).json()
    assert (last["status"], last["decided_by"]) == ("rejected", "user:bob")


async def test_everything_said_and_done_is_kept(desk: Office) -> None:
    eve = await desk.town.person("eve", "default", "builder")
    ada = await desk.town.person("ada", "default", "approver")
    boss = await desk.town.person("boss", "default", "admin")
    _, approval = await desk.asked(eve)
    path = f"/approvals/{approval['id']}/comments"
    said = await desk.town.call(eve, "POST", path, json={"text": "0"})
    assert (said.status_code, said.json()["by"]) == (201, "user:eve")
    for wrong in ({"text": ""}, {}, {"text": 1}, {"text": "x", "by": "ada"}):
        assert (await desk.town.call(eve, "POST", path, json=wrong)).status_code in (403, 422)
    await desk.decide(ada, approval, "reject", comment="no")
    history = (await desk.show(eve, approval))["history"]
    assert [(act["act"], act["by"], act["comment"], act["channel"]) for act in history] == [
        ("comment", "user:eve", "0", "session"),
        ("reject", "user:ada", "no", "session"),
    ]
    log = (await desk.town.call(boss, "GET", "/audit")).json()["items"]
    lines = {line["action"]: line for line in log if line["action"].startswith("approval.")}
    assert lines.keys() == {"approval.comment", "approval.reject"}
    assert lines["approval.reject"]["actor"] == "user:ada"
    assert lines["approval.reject"]["details"]["args_hash"] == approval["args_hash"]
    figures = await desk.town.builder.store.approval_figures(
        since=datetime.now(UTC) - timedelta(days=1)
    )
    assert figures["pending"] == {}
    assert figures["decided"]["rejected"]["count"] == 1  # type: ignore[index, call-overload]
