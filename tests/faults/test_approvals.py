"""Approvals: nothing that dies while one waits changes it, and many who decide decide once."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from flowbuilder import FlowBuilder
from flowbuilder.executor.approval_records import Voter
from flowbuilder.types import JsonObject, JsonValue
from tests.faults.harness.arena import Arena, flow, sized
from tests.faults.harness.services import Services, client_of
from tests.support.api import SECRET, users_settings
from tests.support.deciding import form_of
from tests.support.tenants import TESTER, Headers, bearer
from tests.support.waiting import eventually

#: Services with users.
_USERS = {"FLOWBUILDER_AUTH": "users", "FLOWBUILDER_AUTH_SECRET": SECRET}
_GATED: JsonObject = {
    "id": "send",
    "tool": "fault.work",
    "args": {"value": {"to": ["ada", 0, False, "", None]}},
    "approval": {"deadline": "2d", "quorum": 2},
    "retry": {"max_attempts": 1},
}
_ROWS = b"""
select to_jsonb(a) as row from flowbuilder.approvals a union all
select to_jsonb(e) from flowbuilder.events e where e.type like 'approval%%'
union all select to_jsonb(t) - 'message_id' from flowbuilder.tasks t where t.status = 'waiting'"""


async def approvers(builder: FlowBuilder, *names: str) -> dict[str, Headers]:
    """Make users who may decide, and return the headers of their keys."""
    found = {}
    for name in names:
        await builder.accounts.add_user(name, by=TESTER)
        await builder.accounts.set_member(builder.workspace, name, ["approver"], by=TESTER)
        key = await builder.accounts.create_key(
            builder.workspace, name, name="t", scopes=["read", "approve"], seconds=None, by=TESTER
        )
        found[name] = bearer(key.text)
    return found


async def decide(
    client: httpx.AsyncClient, who: Headers, approval_id: str, decision: str, **more: Any
) -> httpx.Response:
    path = f"/api/v1/approvals/{approval_id}/decision"
    return await client.post(path, headers=who, json={"decision": decision, **more})


async def test_f45_every_process_dies_while_it_waits_and_one_decision_counts(
    arena: Arena, services: Services
) -> None:
    """F45: worker, service and database are killed while approvals wait: they wait on as they were.
    Then many decide at once, twice, late, with used and wrong links: one decision, the rest typed
    conflicts."""
    worker = arena.worker()
    await arena.joined(worker)
    runs = [await arena.start(flow(f"gated{n}", [_GATED], output="${{ steps.send }}"))
            for n in range(3)]  # fmt: skip
    await arena.hold(lambda: _pending(arena, 3), what="nobody is asked")
    names = [f"p{number}" for number in range(10)]
    async with FlowBuilder.connect(settings=users_settings(arena.dsn), worker=False) as builder:
        people = await approvers(builder, *names)
        asked = {row.run_id: row.id for row in await builder.approvals()}
        first, second, third = (asked[run] for run in runs)
        voter = Voter(name="user:p1", known=True, channel="session")
        link = await builder.approval_link(second, by=voter)
        await builder.approve(second, by=Voter(name="user:p0", known=True))
    service = await services.start(arena, **_USERS)
    before = await arena.database.fetch_all(_ROWS)
    for _ in range(sized(1, 5)):
        worker.kill()
        await asyncio.to_thread(service.kill)
        victims = await asyncio.to_thread(arena.server.kill)
        arena.fired("kill -9 of worker, service and database", len(victims) > 1)
        await asyncio.to_thread(arena.server.start)
        await arena.connect()
        worker = arena.worker()
        await arena.joined(worker)
        service = await services.start(arena, **_USERS)
    after = await arena.persistently(lambda: arena.database.fetch_all(_ROWS))
    assert after == before
    other = await services.start(arena, **_USERS)
    async with client_of(service) as one, client_of(other) as two:
        # a double click, by two services: two people have to agree, and each counts once
        await decide(one, people["p0"], first, "approve")
        answers = await asyncio.gather(
            *(
                decide((one, two)[n % 2], people[names[n % 10]], first, "approve" if n % 3 else
                       "reject")
                for n in range(10, 60)
            )
        )  # fmt: skip
        ended = [a.json() for a in answers if a.status_code == 200 and a.json()["decided_at"]]
        lost = [a for a in answers if a.status_code != 200]
        assert len(ended) == 1
        assert {(a.status_code, a.json()["code"]) for a in lost} == {(409, "already_decided")}
        assert {a.json()["decided_by"] for a in lost} == {ended[0]["decided_by"]}
        # a link that was made before everything died counts, and once
        page = await two.get(link.path)
        fields = {**form_of(page.text), "decision": "approve"}
        posts = await asyncio.gather(*((one, two)[n % 2].post(link.path, data=fields)
                                       for n in range(10)))  # fmt: skip
        assert sorted(p.status_code for p in posts) == [200] + [409] * 9
        assert (await one.get(f"/approve/{'x' * 43}")).status_code == 404
        await arena.store.cancel_run(runs[2])
        late = await decide(one, people["p3"], third, "approve")
        assert (late.status_code, late.json()["details"]["decision"]) == (409, "cancelled")
    for running in (service, other):
        await asyncio.to_thread(running.stop)
    done = await arena.ended()
    approved = ended[0]["status"] == "approved"
    assert [run.status.value for run in done] == [
        "completed" if approved else "failed", "completed", "cancelled"
    ]  # fmt: skip
    wanted: JsonValue = {"to": ["ada", 0, False, "", None]}
    assert done[1].output == wanted
    assert arena.ledger.count() == 1 + approved
    await arena.check()


async def _pending(arena: Arena, count: int) -> bool:
    return len(await arena.persistently(arena.store.approvals)) == count


async def test_f45_ten_thousand_wait_and_others_are_served(arena: Arena) -> None:
    """F45: with so many approvals waiting, one worker with one slot still does what comes, and the
    list of what somebody may decide is read by its index."""
    worker = arena.worker(concurrency=sized(8, 8))
    await arena.joined(worker)
    count = sized(2_000, 10_000)
    each: JsonObject = {**_GATED, "for_each": list(range(1000)), "args": {"value": "${{ item }}"}}
    waiting = [await arena.start(flow(f"many{n}", [each])) for n in range(count // 1000)]
    await arena.hold(lambda: _waits(arena, count), seconds=300, what="not all are asked")
    arena.fired("approvals waiting", count)
    quick = [await arena.start(flow("quick", [{"id": "a", "tool": "fault.work",
                                               "args": {"value": n}}], output="${{ steps.a }}"))
             for n in range(20)]  # fmt: skip

    async def served_all() -> bool:
        found = [await arena.store.get_run(run) for run in quick]
        return all(run.status.terminal for run in found)

    await arena.hold(served_all, what="the others are not served")
    mine = await arena.store.approvals_of("user:ada", known=False, limit=10)
    assert len(mine) == 10
    for run in waiting:
        await arena.store.cancel_run(run)
    await eventually(lambda: _waits(arena, 0))
    await arena.check(seconds=120)


async def _waits(arena: Arena, count: int) -> bool:
    await asyncio.sleep(0.05)  # the server has better things to do
    row = await arena.database.fetch_one(
        b"select count(*) as n from flowbuilder.approvals where status = 'pending'"
    )
    return row is not None and row["n"] >= count if count else row is not None and not row["n"]
