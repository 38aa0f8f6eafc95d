"""Bursts on the service: too many requests are told to come again, and nobody else is harmed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from flowbuilder.api.rate_limits import KINDS
from tests.acceptance.test_access import documented
from tests.support.api import ECHO, INPUT, problem
from tests.support.tenants import Headers, Town, town

RUN = {"document": {"flow": "quick", "input": INPUT, "steps": [ECHO]}, "input": {"value": 0}}
PLAN = {"goal": "careful", "input": {"value": 0}}


@asynccontextmanager
async def limited(dsn: str, **settings: Any) -> AsyncIterator[tuple[Town, Headers, Headers]]:
    """A service with such limits, and two people of one workspace."""
    async with town(dsn, rate_limits="on", **settings) as place:
        await place.workspace("ours")
        ada = await place.person("ada", "ours", "builder", "approver")
        bob = await place.person("bob", "ours", "builder")
        yield place, ada, bob


async def burst(place: Town, headers: Headers, method: str, path: str, body: Any) -> list[Any]:
    return list(
        await asyncio.gather(*[place.call(headers, method, path, json=body) for _ in range(12)])
    )


def refused(answers: list[Any], fine: int) -> list[Any]:
    """The refused ones of a burst, looked at; so many were let through."""
    others = [one for one in answers if one.status_code == 429]
    assert len(answers) - len(others) == fine, [one.status_code for one in answers]
    for one in others:
        body = problem(one, 429)
        assert body["code"] == "too_many_requests"
        assert int(one.headers["retry-after"]) >= 1
        assert one.headers["ratelimit-remaining"] == "0"
        assert one.headers["ratelimit"].partition(";")[2].startswith("r=0;t=")
    return others


async def test_starts_of_runs(dsn: str) -> None:
    async with limited(dsn, rate_starts="5/1h") as (place, ada, bob):
        answers = await burst(place, ada, "POST", "/runs", RUN)
        assert len(refused(answers, 5)) == 7
        well = next(one for one in answers if one.status_code == 201)
        assert well.headers["ratelimit-policy"] == '"starts";q=5;w=3600'
        assert "ratelimit-limit" not in well.headers
        runs = (await place.call(ada, "GET", "/runs")).json()["items"]
        assert len(runs) == 5
        # a bucket for each caller; and what is refused in one process is refused in the next
        assert (await place.call(bob, "POST", "/runs", json=RUN)).status_code == 201
        rows = await place.builder.store.database.fetch_all(
            b"select key, level from flowbuilder.rate_buckets order by level desc"
        )
        assert [row["level"] > 0 for row in rows] == [True, True]
        assert all(row["key"].startswith("starts:") for row in rows)


async def test_plans(dsn: str) -> None:
    async with limited(dsn, rate_plans="3/1h") as (place, ada, _):
        refused(await burst(place, ada, "POST", "/plans", PLAN), 3)
        assert len((await place.call(ada, "GET", "/plans")).json()["items"]) == 3


async def test_runs_of_goals_are_plans_too(dsn: str) -> None:
    async with limited(dsn, rate_plans="2/1h") as (place, ada, _):
        goal = {"goal": "quick", "input": {"value": 0}}
        refused(await burst(place, ada, "POST", "/runs", goal), 2)


async def test_plans_at_once(dsn: str) -> None:
    async with limited(dsn, planning_at_once=1) as (place, ada, _):
        answers = await burst(place, ada, "POST", "/plans", PLAN)
        made = [one for one in answers if one.status_code == 201]
        assert 1 <= len(made) < len(answers)
        for one in answers:
            if one not in made:
                assert problem(one, 429)["code"] == "too_many_plannings"
        assert (await place.call(ada, "POST", "/plans", json=PLAN)).status_code == 201


async def test_emitted_events(dsn: str) -> None:
    async with limited(dsn, rate_triggers="2/1h") as (place, ada, _):
        answers = [
            await place.call(ada, "POST", "/events", json={"name": "x", "key": str(n)})
            for n in range(4)
        ]
        refused(answers, 2)


async def test_requests_of_one_caller(dsn: str) -> None:
    async with limited(dsn, rate_requests="4/1h") as (place, ada, bob):
        refused(await burst(place, ada, "GET", "/tools", None), 4)
        assert (await place.call(bob, "GET", "/tools")).status_code == 200


async def test_requests_of_one_address_whoever_they_claim_to_be(dsn: str) -> None:
    async with limited(dsn, rate_addresses="6/1h") as (place, ada, _):
        tokens: list[Headers] = [{}, {"Authorization": "Bearer fb_x"}, ada]
        answers = [await place.call(tokens[n % 3], "GET", "/tools") for n in range(12)]
        assert [one.status_code for one in answers[:6]] == [401, 401, 200] * 2
        refused(answers, 6)


async def test_every_limited_route_is_there(dsn: str) -> None:
    assert KINDS.keys() <= set(documented())
