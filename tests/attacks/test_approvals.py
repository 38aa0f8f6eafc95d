"""A56 to A61: links, races, votes by two channels, changed arguments, hidden signs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from flowbuilder.types import JsonObject
from tests.support.api import problem
from tests.support.deciding import GIVEN, INPUT, MAIL, Office, code_of, form_of, office
from tests.support.tenants import Headers


@pytest.fixture
async def desk(dsn: str) -> AsyncIterator[Office]:
    async with office(dsn) as opened:
        yield opened


async def people(desk: Office, *names: str) -> dict[str, Headers]:
    """A builder named `eve` who starts runs, and approvers."""
    found = {"eve": await desk.town.person("eve", "default", "builder", "approver")}
    for name in names:
        found[name] = await desk.town.person(name, "default", "approver")
    return found


# -- A56: links -----------------------------------------------------------------------------


async def test_a56_opening_a_link_decides_nothing(
    desk: Office, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    who = await people(desk, "ada")
    _, approval = await desk.asked(who["eve"])
    path = await desk.link(who["ada"], approval)
    before = await desk.show(who["ada"], approval)
    for method in ("GET", "HEAD") * 10:
        shown = await desk.open(path, method)
        assert shown.status_code == 200
        headers = shown.headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert headers["x-frame-options"] == "DENY"
        assert headers["content-type"].startswith("text/html")
    assert await desk.show(who["ada"], approval) == before
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        assert (await desk.open(path, method)).status_code == 405
    # a scanner that sends forms without having read them
    for fields in ({"decision": "approve"}, {"decision": "approve", "csrf": "0" * 64}):
        refused = await desk.town.client.post(path, data=fields)
        assert refused.status_code == 403
    elsewhere = await desk.submit(path, "approve", {"Sec-Fetch-Site": "cross-site"})
    assert elsewhere.status_code == 403
    assert await desk.show(who["ada"], approval) == before
    assert desk.sent == []
    token = path.rpartition("/")[2]
    ours = [record for record in caplog.records if not record.name.startswith("http")]
    assert all(token not in record.getMessage() for record in ours)
    dump = await desk.town.builder.store.database.fetch_all(
        b"select l::text as line from flowbuilder.approval_links l union all"
        b" select a::text from flowbuilder.approval_acts a union all"
        b" select g::text from flowbuilder.audit_log g union all"
        b" select e::text from flowbuilder.events e"
    )
    assert len(dump) > 3
    assert all(token not in row["line"] for row in dump)


async def test_a56_a_link_decides_once_as_the_one_it_was_made_for(desk: Office) -> None:
    who = await people(desk, "ada", "bob")
    run_id, approval = await desk.asked(who["eve"])
    path = await desk.link(who["ada"], approval)
    second = await desk.link(who["ada"], approval)
    page = (await desk.open(path)).text
    assert "ada@example.org" in page and approval["args_hash"] in page and "user:ada" in page
    done = await desk.submit(path, "approve", comment="fine")
    assert done.status_code == 200, done.text
    row = await desk.show(who["bob"], approval)
    assert (row["status"], row["decided_by"], row["comment"]) == ("approved", "user:ada", "fine")
    assert [act["channel"] for act in row["history"] if act["act"] == "approve"] == ["link"]
    assert await desk.until_sent() == [GIVEN]
    await desk.follow(run_id, "workflow_completed")
    for used in (path, second):
        again = await desk.open(used)
        assert again.status_code == 409
        assert "approved by user:ada" in again.text
        posted = await desk.town.client.post(used, data={**form_of(page), "decision": "reject"})
        assert posted.status_code == 409
    assert len(desk.sent) == 1


async def test_a56_a_link_of_a_quorum_counts_for_one_person_once(desk: Office) -> None:
    who = await people(desk, "ada", "bob")
    _, approval = await desk.asked(who["eve"], quorum=2)
    paths = [await desk.link(who["ada"], approval) for _ in range(2)]
    first = await desk.submit(paths[0], "approve")
    assert first.status_code == 200
    assert "1 of 2 people have agreed" in first.text
    for path in paths:
        assert (await desk.open(path)).status_code == 409
    assert (await desk.decide(who["ada"], approval)).json()["status"] == "pending"
    assert (await desk.decide(who["bob"], approval)).json()["status"] == "approved"


async def test_a56_links_end_with_deadline_run_and_rights(desk: Office) -> None:
    who = await people(desk, "ada", "bob")
    boss = await desk.town.person("boss", "default", "admin")
    run_id, approval = await desk.asked(who["eve"])
    path = await desk.link(who["ada"], approval)
    page = (await desk.open(path)).text
    other, _ = await desk.link(who["bob"], approval), None
    # forms of one link are none of another's
    mixed = await desk.town.client.post(other, data={**form_of(page), "decision": "approve"})
    assert mixed.status_code == 403
    removed = await desk.town.call(
        boss, "PUT", "/workspaces/default/members/ada", json={"roles": ["member"]}
    )
    assert removed.status_code in (200, 204), removed.text
    for response in (await desk.open(path), await desk.town.client.post(
        path, data={**form_of(page), "decision": "approve"})):  # fmt: skip
        assert response.status_code == 403
        assert "ada@example.org" not in response.text
    await desk.town.call(who["eve"], "POST", f"/runs/{run_id}/cancel")
    cancelled = await desk.open(other)
    assert cancelled.status_code == 409
    assert "cancelled" in cancelled.text
    assert code_of(await desk.decide(who["bob"], approval)) == "already_decided"
    _, late = await desk.asked(who["eve"], deadline="1h")
    path = await desk.link(who["bob"], late)
    page = (await desk.open(path)).text
    await desk.jump(3601)
    posted = await desk.town.client.post(path, data={**form_of(page), "decision": "approve"})
    assert posted.status_code == 410
    assert (await desk.open(path)).status_code == 410
    bob = await desk.town.session("bob")
    assert problem(await desk.decide(bob, late), 410)["code"] == "approval_expired"
    made = await desk.town.call(bob, "POST", f"/approvals/{late['id']}/links")
    problem(made, 410)
    for unknown in ("x", "0" * 43, "a" * 500, "%00", "..%2f.."):
        assert (await desk.open(f"/approve/{unknown}")).status_code == 404
    assert desk.sent == []


async def test_a56_a_link_takes_edits_and_refuses_wrong_ones(desk: Office) -> None:
    who = await people(desk, "ada")
    _, approval = await desk.asked(who["eve"], locked=["/to"])
    path = await desk.link(who["ada"], approval)
    for wrong in ('{"to": 1}', "{", "[]", '{"to": ["ada@example.org"], "text": NaN}',
                  '{"to": ["eve@evil.example"], "text": "hello"}'):  # fmt: skip
        assert (await desk.submit(path, "approve", edits=wrong)).status_code == 422, wrong
    assert (await desk.submit(path, "maybe")).status_code == 422
    edited = '{"to": ["ada@example.org"], "text": 0}'
    assert (await desk.submit(path, "approve", edits=edited)).status_code == 200
    assert await desk.until_sent() == [{"to": ["ada@example.org"], "text": 0}]


# -- A57: races and votes -------------------------------------------------------------------


async def test_a57_fifty_race_and_one_decides(desk: Office) -> None:
    who = await people(desk, *(f"p{number}" for number in range(10)))
    run_id, approval = await desk.asked(who["eve"])
    racers = [(name, headers) for name, headers in who.items() if name != "eve"] * 5
    answers = await asyncio.gather(
        *(
            desk.decide(headers, approval, "approve" if place % 2 else "reject")
            for place, (_, headers) in enumerate(racers)
        )
    )
    won = [answer.json() for answer in answers if answer.status_code == 200]
    lost = [problem(answer, 409) for answer in answers if answer.status_code != 200]
    assert (len(won), len(lost)) == (1, 49)
    assert {body["code"] for body in lost} == {"already_decided"}
    assert {body["decided_by"] for body in lost} == {won[0]["decided_by"]}
    assert {body["details"]["decision"] for body in lost} == {won[0]["status"]}
    decided = "select count(*) from flowbuilder.events where type = 'approval_decided'"
    assert await desk.count(decided) == 1
    approved = won[0]["status"] == "approved"
    await desk.follow(run_id, "workflow_completed" if approved else "workflow_failed")
    assert len(desk.sent) == int(approved)
    # one who agrees and at the same moment refuses
    for _ in range(3):
        _, again = await desk.asked(who["eve"])
        both = await asyncio.gather(
            desk.decide(who["p0"], again, "approve"), desk.decide(who["p0"], again, "reject")
        )
        assert sorted(answer.status_code for answer in both) == [200, 409]


async def test_a57_one_person_counts_once_by_whatever_channel(desk: Office) -> None:
    who = await people(desk, "ada", "bob")
    key = await desk.town.key("ada", "default", "read", "approve")
    other = await desk.town.key("ada", "default", "approve")
    session = await desk.town.session("ada")
    _, approval = await desk.asked(who["eve"], quorum=2)
    for headers in (key, session, who["ada"], other):
        answer = await desk.decide(headers, approval)
        assert (answer.status_code, answer.json()["status"]) == (200, "pending")
    linked = await desk.submit(await desk.link(who["ada"], approval), "approve")
    assert "1 of 2" in linked.text
    assert len((await desk.show(who["bob"], approval))["votes"]) == 1
    assert await desk.mine(who["ada"]) == []
    assert await desk.mine(who["bob"]) == [approval["id"]]
    assert (await desk.decide(who["bob"], approval)).json()["status"] == "approved"
    await desk.until_sent()


async def test_a57_nobody_approves_their_own_affair(desk: Office) -> None:
    who = await people(desk, "ada")
    key = await desk.town.key("eve", "default", "read", "run", "build", "approve")
    started = [who["eve"], key]
    for starter in started:
        _, approval = await desk.asked(starter, separate_duties=True)
        assert approval["excluded"] == ["eve"]
        for headers in (who["eve"], key, await desk.town.session("eve")):
            refused = await desk.decide(headers, approval)
            assert problem(refused, 403)["code"] == "separate_duties"
            assert approval["id"] not in await desk.mine(headers)
        shown = await desk.show(who["eve"], approval)
        assert shown["may_decide"] is False and "somebody else" in shown["why_not"]
        path = await desk.link(who["eve"], approval)
        assert (await desk.open(path)).status_code == 403
        # nor by somebody who stands in for them
        stands_in = {"to": "ada", "lasts": "1d"}
        await desk.town.call(who["eve"], "POST", "/approval-delegations", json=stands_in)
        assert (await desk.decide(who["ada"], approval)).status_code == 200


async def test_a57_who_made_or_changed_the_flow_does_not_approve_it(desk: Office) -> None:
    who = await people(desk, "ada")
    editor = await desk.town.person("mel", "default", "builder", "approver")
    step = {**MAIL, "approval": {"separate_duties": True}}
    document: dict[str, Any] = {"flow": "letters", "input": INPUT, "steps": [step]}
    made = await desk.town.call(who["eve"], "POST", "/flows", json=document)
    assert made.status_code == 201, made.text
    changed = {**document, "description": "changed by mel"}
    await desk.town.call(editor, "PUT", "/flows/letters", json=changed)
    await desk.town.call(who["eve"], "POST", "/flows/letters/versions")
    starter = await desk.town.person("joe", "default", "member", "approver")
    run = await desk.town.call(starter, "POST", "/runs", json={"flow": "letters", "input": GIVEN})
    assert run.status_code == 201, run.text
    await desk.follow(run.json()["id"], "approval_requested")
    found = await desk.town.call(starter, "GET", f"/approvals?run_id={run.json()['id']}")
    [approval] = found.json()["items"]
    assert approval["excluded"] == ["eve", "joe", "mel"]
    for headers in (who["eve"], editor, starter):
        assert code_of(await desk.decide(headers, approval)) == "separate_duties"
    assert (await desk.decide(who["ada"], approval)).status_code == 200


async def test_a57_roles_count_as_they_are_when_somebody_decides(desk: Office) -> None:
    who = await people(desk, "ada", "bob")
    boss = await desk.town.person("boss", "default", "admin")
    _, approval = await desk.asked(who["eve"], by=["role:approver"])
    assert approval["id"] in await desk.mine(who["ada"])
    await desk.town.call(boss, "PUT", "/workspaces/default/members/ada", json={"roles": ["member"]})
    refused = await desk.decide(who["ada"], approval)
    assert problem(refused, 403)
    assert await desk.mine(who["ada"]) == []
    await desk.town.call(boss, "DELETE", "/workspaces/default/members/bob")
    assert (await desk.decide(who["bob"], approval)).status_code in (403, 404)
    # past the route: the database looks by itself
    from flowbuilder.errors import ExecutionError
    from flowbuilder.executor.approval_records import Voter

    for name in ("user:ada", "user:bob", "user:nobody"):
        with pytest.raises(ExecutionError) as caught:
            await desk.town.builder.approve(approval["id"], by=Voter(name=name, known=True))
        assert caught.value.code == "approver_not_allowed"
    assert (await desk.decide(boss, approval)).status_code == 200


# -- A58: what was agreed to ------------------------------------------------------------------


async def test_a58_edits_outside_the_schema_or_the_policy_change_nothing(desk: Office) -> None:
    who = await people(desk, "ada", "bob")
    boss = await desk.town.person("boss", "default", "admin")
    policy = {
        "rules": [
            {
                "name": "few",
                "tools": ["mail.send"],
                "unless": [{"arg": "/to", "max_items": 2}],
                "then": "refuse",
            },
            {"name": "far", "tools": ["mail.send"], "then": "approve", "quorum": 3,
             "where": [{"arg": "/to", "domain_in": ["far.example"]}]},
            {"name": "asked", "tools": ["mail.send"], "then": "approve", "quorum": 2,
             "locked": ["/text"]},
        ],
        "otherwise": "allow",
    }  # fmt: skip
    set_ = await desk.town.call(boss, "PUT", "/policy", json={"policy": policy})
    if set_.status_code == 422:
        set_ = await desk.town.call(boss, "PUT", "/policy", json=policy)
    assert set_.status_code == 200, set_.text
    _, approval = await desk.asked(who["eve"])
    assert approval["reasons"][0]["rule"] == "asked"
    assert (approval["quorum"], approval["locked"]) == (2, ["/text"])
    wide = {"to": ["a@b.example", "c@d.example", "e@f.example"], "text": "hello"}
    wrong: list[tuple[Any, str]] = [
        (wide, "policy_refused"),
        ({"to": ["a@far.example"], "text": "hello"}, "approval_insufficient"),
        ({"to": ["a@b.example"], "text": "other"}, "edits_locked"),
        ({"to": ["a@b.example"], "text": "hello", "bcc": ["x"]}, "value_invalid"),
        ({"to": "a@b.example", "text": "hello"}, "value_invalid"),
    ]
    for edits, code in wrong:
        refused = problem(await desk.decide(who["ada"], approval, edits=edits), 422)
        assert refused["code"] == code
    assert (await desk.show(who["ada"], approval))["votes"] == []
    good = {"to": ["bob@example.org"], "text": "hello"}
    first = (await desk.decide(who["ada"], approval)).json()
    assert len(first["votes"]) == 1
    # an edit begins anew: what ada has agreed to was something else
    edited = (await desk.decide(who["bob"], approval, edits=good)).json()
    assert (edited["status"], len(edited["votes"])) == ("pending", 1)
    assert edited["agreed_hash"] != edited["args_hash"]
    assert await desk.mine(who["ada"]) == [approval["id"]]
    path = await desk.link(who["ada"], approval)
    page = await desk.open(path)
    assert "user:bob has agreed to other arguments" in page.text
    done = await desk.submit(path, "approve")
    assert done.status_code == 200, done.text
    assert await desk.until_sent() == [good]
    row = await desk.show(who["ada"], approval)
    assert (row["args"], row["value"]) == (GIVEN, good)
    assert [change["pointer"] for change in row["changes"]] == ["/to/0"]
    acts = [(act["act"], act["by"], act["value"]) for act in row["history"] if act["hash"]]
    assert acts == [
        ("approve", "user:ada", None),
        ("approve", "user:bob", good),
        ("approve", "user:ada", good),
    ]


# -- A60: who asks does not agree ---------------------------------------------------------------


async def test_a60_an_mcp_client_decides_nothing(desk: Office) -> None:
    from flowbuilder.api.mcp import mcp_server
    from flowbuilder.errors import ExecutionError

    who = await people(desk)
    _, approval = await desk.asked(who["eve"])
    server = mcp_server(desk.town.builder)
    names = {tool.name for tool in await server.list_tools()}
    assert not [name for name in names if "approv" in name or "decid" in name or "reject" in name]
    for name in ("mcp", "user:mcp", "MCP"):
        with pytest.raises(ExecutionError) as caught:
            await desk.town.builder.approve(approval["id"], by=name)
        assert caught.value.code == "approver_not_allowed"
    for scopes in (["read", "run"], ["read", "run", "build"]):
        key = await desk.town.key("eve", "default", *scopes)
        assert problem(await desk.decide(key, approval), 403)["code"] == "scope_missing"
    assert desk.sent == []


async def test_a60_a_deadline_never_agrees_to_what_is_of_high_risk(desk: Office) -> None:
    who = await people(desk, "ada")
    pay = {"id": "pay", "tool": "bank.pay", "args": {"amount": 5},
           "approval": {"on_deadline": "approve", "deadline": "1h"}}  # fmt: skip
    body = {"document": {"flow": "paying", "steps": [pay]}}
    run = (await desk.town.call(who["eve"], "POST", "/runs", json=body)).json()
    await desk.follow(run["id"], "approval_requested")
    found = await desk.town.call(who["ada"], "GET", f"/approvals?run_id={run['id']}")
    [approval] = found.json()["items"]
    assert (approval["risk"], approval["on_deadline"]) == ("high", "reject")
    await desk.jump(3601)
    await desk.follow(run["id"], "workflow_failed")
    assert desk.sent == []
    too_long = {**body["document"], "steps": [{**pay, "approval": {"deadline": "31d"}}]}
    eve = await desk.town.session("eve")
    refused = await desk.town.call(eve, "POST", "/runs", json={"document": too_long})
    assert problem(refused, 422)["errors"][0]["pointer"].endswith("/approval/deadline")


# -- A61: what people see -----------------------------------------------------------------------


async def test_a61_hidden_signs_and_look_alikes_are_seen(desk: Office) -> None:
    who = await people(desk, "ada")
    text = "Dear all,\u202e drawkcab\x1b[2J\u200b <script>alert(1)</script>"
    hidden = f"{'x' * 6000} mailto:eve@evil.example?bcc=all@example.org"
    given: JsonObject = {
        "to": ["ada@ex\u0430mple.org", "bob@paypa1.com"],
        "text": {"body": text, "more": hidden, "none": None, "zero": 0, "no": False, "": ""},
    }
    _, approval = await desk.asked(who["eve"], given)
    shown = await desk.show(who["ada"], approval)
    assert shown["args"] == given
    lines = {line["pointer"]: line for line in shown["shown"]}
    assert lines["/to"] == {
        "pointer": "/to", "type": "array", "text": "", "length": 2, "marks": []
    }  # fmt: skip
    assert any("other alphabets" in mark for mark in lines["/to/0"]["marks"])
    assert any("looks like paypal.com" in mark for mark in lines["/to/1"]["marks"])
    body = lines["/text/body"]
    assert "\u27e8U+202E\u27e9" in body["text"] and "\u27e8U+001B\u27e9" in body["text"]
    assert "\u202e" not in body["text"] and body["length"] == len(text)
    assert lines["/text/more"]["text"] == hidden
    assert lines["/text/more"]["length"] == len(hidden)
    assert "eve@evil.example" in shown["destinations"]
    assert (lines["/text/zero"]["text"], lines["/text/no"]["text"]) == ("0", "false")
    assert (lines["/text/none"]["text"], lines["/text/"]["text"]) == ("null", "")
    page = (await desk.open(await desk.link(who["ada"], approval))).text
    assert "\u202e" not in page and "\x1b" not in page and "<script>" not in page
    assert "\u27e8U+202E\u27e9" in page and "&lt;script&gt;" in page
    assert hidden in page and "eve@evil.example" in page
    assert (await desk.show(who["ada"], approval))["shown"] == shown["shown"]
