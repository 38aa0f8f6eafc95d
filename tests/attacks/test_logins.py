"""A53 to A55: sessions that are over, tokens used twice, guessed and monstrous passwords."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from flowbuilder.client import passwords
from flowbuilder.client.passwords import Passwords
from tests.support.api import problem
from tests.support.tenants import PASSWORD, TESTER, Headers, Town, bearer, town


@pytest.fixture
async def place(dsn: str) -> AsyncIterator[Town]:
    async with town(dsn) as opened:
        yield opened


async def grant(place: Town, **form: str) -> httpx.Response:
    return await place.client.post("/api/v1/auth/token", data=form)


async def log_in(place: Town, name: str, password: str = PASSWORD) -> httpx.Response:
    return await grant(place, grant_type="password", username=name, password=password)


async def ada(place: Town) -> dict[str, Any]:
    """Make a user with a password, log in, and return the tokens."""
    await place.accounts.add_user("ada", password=PASSWORD, by=TESTER)
    home = await place.accounts.find_workspace("default")
    await place.accounts.set_member(home, "ada", ["admin"], by=TESTER)
    answer = await log_in(place, "ada")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    tokens: dict[str, Any] = answer.json()
    return tokens


async def me(place: Town, token: str) -> int:
    return (await place.call(bearer(token), "GET", "/auth/me")).status_code


async def jump(place: Town, interval: str) -> None:
    """Move the database's clock."""
    await place.builder.store.database.execute(
        b"update flowbuilder.clock set offset_by = offset_by + %s::interval", (interval,)
    )


async def test_a53_after_log_out_nothing_counts(place: Town) -> None:
    tokens = await ada(place)
    assert await me(place, tokens["access_token"]) == 200
    out = await place.call(bearer(tokens["access_token"]), "POST", "/auth/logout")
    assert out.status_code == 204
    assert await me(place, tokens["access_token"]) == 401
    again = await grant(place, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert problem(again, 401)["error"] == "invalid_grant"


async def test_a53_what_is_taken_away_is_gone_at_once(place: Town) -> None:
    headers = bearer((await ada(place))["access_token"])
    key = await place.key("ada", "default", "read", "build")
    home = await place.accounts.find_workspace("default")
    other = await place.person("bob", "default", "admin", admin=True)

    async def asked(who: Headers, path: str = "/flows/validate") -> int:
        return (await place.call(who, "POST", path, json={})).status_code

    assert (await asked(headers), await asked(key)) == (422, 422)
    changed = await place.call(
        other, "PUT", "/workspaces/default/members/ada", json={"roles": ["member"]}
    )
    assert changed.status_code == 200
    assert (await asked(headers), await asked(key)) == (403, 403)
    assert (await place.call(key, "GET", "/flows")).status_code == 200
    assert (await place.call(other, "DELETE", "/workspaces/default/members/ada")).status_code == 204
    assert (await asked(headers), await asked(key)) == (403, 401)
    await place.accounts.set_member(home, "ada", ["admin"], by=TESTER)
    assert (await asked(headers), await asked(key)) == (422, 401)
    key = await place.key("ada", "default", "read", "build")
    shut = await place.call(other, "PATCH", "/users/ada", json={"disabled": True})
    assert shut.json()["disabled"] is True
    assert (await asked(headers), await asked(key)) == (401, 401)
    assert problem(await log_in(place, "ada"), 401)


async def test_a53_a_new_password_ends_the_other_sessions(place: Town) -> None:
    first = (await ada(place))["access_token"]
    second = (await log_in(place, "ada")).json()["access_token"]
    body = {"old_password": PASSWORD, "new_password": "another horse battery"}
    assert (await place.call(bearer(first), "POST", "/auth/password", json=body)).status_code == 204
    assert (await me(place, first), await me(place, second)) == (200, 401)
    wrong = await place.call(bearer(first), "POST", "/auth/password", json=body)
    assert problem(wrong, 401)["code"] == "login_refused"
    assert (await log_in(place, "ada", "another horse battery")).status_code == 200


async def test_a53_sessions_and_keys_end_by_themselves(place: Town) -> None:
    token = (await ada(place))["access_token"]
    key = await place.key("ada", "default", "read")
    await jump(place, "2 hours")
    assert await me(place, token) == 200
    assert (await place.call(key, "GET", "/flows")).status_code == 401
    await jump(place, "31 days")
    assert await me(place, token) == 401


async def test_a54_a_refresh_token_that_comes_twice_ends_its_session(place: Town) -> None:
    tokens = await ada(place)
    other = (await log_in(place, "ada")).json()["access_token"]
    first = await grant(place, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert first.status_code == 200
    assert await me(place, first.json()["access_token"]) == 200
    stolen = await grant(place, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert problem(stolen, 401)["code"] == "login_refused"
    # neither the thief nor the owner goes on by this session; others are not touched
    assert await me(place, first.json()["access_token"]) == 401
    assert await me(place, tokens["access_token"]) == 401
    newest = first.json()["refresh_token"]
    assert (await grant(place, grant_type="refresh_token", refresh_token=newest)).status_code == 401
    assert await me(place, other) == 200
    lines = await place.accounts.log.audit(None)
    assert "session.reuse" in [line["action"] for line in lines]


async def test_a54_of_many_at_once_one_goes_on(place: Town) -> None:
    tokens = await ada(place)
    answers = await asyncio.gather(
        *(
            grant(place, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
            for _ in range(8)
        )
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7


async def test_a54_a_refresh_token_is_over_after_its_time(place: Town) -> None:
    tokens = await ada(place)
    await jump(place, "8 days")
    late = await grant(place, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert late.status_code == 401


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Every password that was really looked at, by what it was held against."""
    done: list[str | None] = []
    verify = Passwords._verify

    def counted(self: Passwords, password: str, stored: str | None) -> tuple[bool, str | None]:
        done.append(stored)
        return verify(self, password, stored)

    monkeypatch.setattr(Passwords, "_verify", counted)
    return done


async def test_a55_an_unknown_name_gets_the_same_text_and_costs_the_same(
    place: Town, work: list[str | None]
) -> None:
    await ada(place)
    await place.person("no-password", "default", "member")
    work.clear()
    told = set()
    for name in ("ada", "nobody", "no-password", "ADA", "' or 1=1 --", "ada\0", "", "é" * 300):
        answer = await log_in(place, name, "wrong horse battery")
        body = problem(answer, 401)
        told.add((body["code"], body["detail"], body["error"], answer.headers["www-authenticate"]))
    assert len(told) == 1
    # one hash each, of the same cost
    assert len(work) == 8
    assert [stored is not None for stored in work] == [True, *[False] * 2, True, *[False] * 4]


async def test_a55_monstrous_passwords_are_never_hashed(
    place: Town, work: list[str | None]
) -> None:
    await ada(place)
    work.clear()
    for password in ("x" * 1025, "x" * 5_000_000, "a\0b" * 5, "é" * 600, ""):
        answer = await log_in(place, "ada", password)
        assert answer.status_code in (401, 413), answer.text
    assert work == []
    invited = (await place.accounts.invite("ada", by=TESTER)).token
    for password in ("x" * 3_000_000, "with a \0 inside it", "short", "aaaaaaaaaaaaaaaa", ""):
        body = {"token": invited, "password": password}
        answer = await place.client.post("/api/v1/auth/invitation", json=body)
        assert answer.status_code in (400, 422), answer.text
    assert work == []
    body = {"token": invited, "password": "a fine new password"}
    assert (await place.client.post("/api/v1/auth/invitation", json=body)).json() == {"name": "ada"}
    assert problem(await place.client.post("/api/v1/auth/invitation", json=body), 401)


async def test_a55_guesses_are_limited_by_name_and_by_address(
    place: Town, work: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    await ada(place)
    work.clear()
    # what is limited is looked at, not the cost of hashing
    monkeypatch.setattr(Passwords, "_hash", lambda self, password: "")
    monkeypatch.setattr(Passwords, "_verify", lambda self, password, stored: (False, None))
    answers = [await log_in(place, "ada", "guess number one") for _ in range(12)]
    assert [answer.status_code for answer in answers] == [401] * 10 + [429] * 2
    unknown = [await log_in(place, "nobody", "guess number one") for _ in range(12)]
    assert [answer.status_code for answer in unknown] == [401] * 10 + [429] * 2
    assert set(answers[-1].json()) == set(unknown[-1].json())
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 30
    # the address has used up 21 of 30: further names get the rest
    rest = [await log_in(place, f"name{n}", "guess number one") for n in range(12)]
    assert [answer.status_code for answer in rest].count(429) >= 2
    await jump(place, "1 minute")
    assert (await log_in(place, "nobody", "guess number one")).status_code == 401


async def test_a55_a_thousand_log_ins_do_little_work(place: Town, work: list[str | None]) -> None:
    await ada(place)
    work.clear()
    answers = await asyncio.gather(
        *(log_in(place, f"name{number}", "guess number one") for number in range(1000))
    )
    assert {answer.status_code for answer in answers} <= {401, 429}
    assert len(work) <= 40
    for answer in answers:
        if answer.status_code == 429:
            assert int(answer.headers["retry-after"]) >= 1


async def test_a55_hashes_wait_for_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = Passwords()
    monkeypatch.setattr(Passwords, "_hash", lambda self, password: password)
    made = await asyncio.gather(*(hasher.hash("x") for _ in range(40)), return_exceptions=True)
    refused = [one for one in made if isinstance(one, passwords.TooBusy)]
    assert len(refused) == 40 - passwords.AT_ONCE - passwords.MOST_WAITING


@pytest.mark.parametrize(
    ("content", "media", "status"),
    [
        (b"grant_type=password&username=ada", "application/x-www-form-urlencoded", 400),
        (b"grant_type=magic&username=a&password=b", "application/x-www-form-urlencoded", 400),
        (b"username=a&username=b&password=c", "application/x-www-form-urlencoded", 400),
        (b"a=1&" * 40 + b"b=2", "application/x-www-form-urlencoded", 400),
        (b"username=%ff&password=%fe", "application/x-www-form-urlencoded", 400),
        (b"\xff=1", "application/x-www-form-urlencoded", 400),
        (b"", "application/x-www-form-urlencoded", 400),
        (b"username=ada&password=" + b"x" * 5_000_000, "application/x-www-form-urlencoded", 413),
        (b'{"username": "ada", "password": "x"}', "application/json", 415),
        (b"x", "multipart/form-data; boundary=x", 415),
        (b"username=a&password=b", "application/x-www-form-urlencoded; charset=utf-16", 415),
    ],
)
async def test_a55_forms_that_are_none(
    place: Town, content: bytes, media: str, status: int
) -> None:
    answer = await place.client.post(
        "/api/v1/auth/token", content=content, headers={"Content-Type": media}
    )
    problem(answer, status)
