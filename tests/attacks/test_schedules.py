"""A64: cron expressions and time zones that are none, name nothing, or name too much."""

from __future__ import annotations

import re
import string
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowbuilder.errors import InvalidValue
from flowbuilder.triggers.cron import parse
from tests.support.api import problem
from tests.support.tenants import Headers, Town, town
from tests.support.triggering import STRICT, publish

EXPRESSIONS = [
    "* * * * * *",
    "*/5 * * * * *",
    "0 0 * * * * 2030",
    "@every 1ms",
    "@every 1h",
    "@daily",
    "@reboot",
    "0 0 30 2 *",
    "0 0 31 2,4,6,9,11 *",
    "0 0 31 4 *",
    ",".join(["0"] * 20_000) + " * * * *",
    "0 0 " + ",".join(["1"] * 20_000) + " * *",
    "*/0 * * * *",
    "60 * * * *",
    "* 24 * * *",
    "* * 0 * *",
    "* * * 13 *",
    "* * * * 8",
    "5-1 * * * *",
    "-1 * * * *",
    "1,,2 * * * *",
    "* * * * MON#6",
    "* * * * mon-",
    "1.5 * * * *",
    "1e1 * * * *",
    "٣ * * * *",
    "² * * * ²L",
    "* * * *\u00a0*",
    "* * * * *\n* * * * *",
    "* * * * * ; rm -rf /",
    "$(id) * * * *",
    "' or 1=1 -- *",
    "* * * * *\x00",
    "",
    " ",
    "*",
]
ZONES = [
    "Mars/Olympus",
    "../../etc/passwd",
    "/etc/localtime",
    "Europe/../Europe/Berlin",
    "Europe",
    "localtime",
    "Europe/Berlin\x00",
    "europe/berlin;",
    "UTC+99:99",
    "Ü",
    "",
    "A" * 5000,
]


@pytest.mark.parametrize("text", EXPRESSIONS, ids=lambda text: repr(text[:30]))
def test_a64_what_is_no_cron_expression_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse(text)
    assert (refused.value.code, refused.value.pointer) == ("cron_invalid", "/cron")
    assert refused.value.hint
    assert len(refused.value.message) < 200


@pytest.mark.parametrize("zone", ZONES, ids=lambda zone: repr(zone[:30]))
def test_a64_what_is_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse("* * * * *", zone)
    assert (refused.value.code, refused.value.pointer) == ("timezone_unknown", "/timezone")


@pytest.mark.parametrize("value", [None, 0, True, [], {}, b"* * * * *"])
def test_a64_what_is_no_text_is_refused(value: Any) -> None:
    for expression, zone in ((value, "UTC"), ("* * * * *", value)):
        with pytest.raises(InvalidValue):
            parse(expression, zone)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=string.digits + "*,-/#L WMONU" + "@?", max_size=30))
def test_a64_whatever_is_written_is_refused_or_names_moments(text: str) -> None:
    try:
        cron = parse(text)
    except InvalidValue:
        return
    assert len(re.split(" ", cron.expression)) == 5
    ticks = list(islice(cron.ticks(datetime(2026, 1, 1, tzinfo=UTC)), 3))
    assert ticks == sorted(set(ticks))
    assert all(tick.second == tick.microsecond == 0 for tick in ticks)


@pytest.fixture
async def place(dsn: str) -> AsyncIterator[tuple[Town, Headers]]:
    async with town(dsn) as opened:
        ada = await opened.person("ada", "default", "builder")
        await publish(opened.builder)
        await publish(opened.builder, STRICT)
        yield opened, ada


GOOD = {"name": "daily", "flow": "echo", "cron": "0 6 * * *", "input": {"value": 0}}


async def test_a64_the_service_refuses_them_too(place: tuple[Town, Headers]) -> None:
    service, ada = place
    for text in EXPRESSIONS:
        answer = await service.call(ada, "POST", "/schedules", json={**GOOD, "cron": text})
        status = 400 if "\x00" in text else 422
        assert problem(answer, status)["code"] in ("cron_invalid", "body_invalid", "json_nul")
    for zone in ZONES:
        answer = await service.call(ada, "POST", "/schedules", json={**GOOD, "timezone": zone})
        status = 400 if "\x00" in zone else 422
        assert problem(answer, status)["code"] in ("timezone_unknown", "body_invalid", "json_nul")
    odd: list[tuple[dict[str, Any], str]] = [
        ({"name": "A b"}, "trigger_name_invalid"),
        ({"name": ""}, "trigger_name_invalid"),
        ({"name": "../x"}, "trigger_name_invalid"),
        ({"missed": "always"}, "body_invalid"),
        ({"missed_limit": 0}, "body_invalid"),
        ({"missed_limit": 101}, "body_invalid"),
        ({"missed_limit": True}, "body_invalid"),
        ({"overlap": "kill"}, "body_invalid"),
        ({"jitter": "-1s"}, "jitter_invalid"),
        ({"jitter": "2h"}, "jitter_invalid"),
        ({"jitter": "1m", "cron": "* * * * *"}, "jitter_invalid"),
        ({"input": {"value": "${{ input }}"}}, "reference_root"),
        ({"input": {"value": "${{ steps.echo }}"}}, "reference_root"),
        ({"input": {"value": "${{ run.id }}"}}, "reference_root"),
        ({"input": {"value": "${{ run"}}, "reference_syntax"),
        ({"input": {}}, "input_invalid"),
        ({"flow": "strict", "input": {"value": "x"}}, "input_invalid"),
        ({"flow": "strict", "input": {"value": "${{ run.tick }}"}}, "input_invalid"),
        ({"version": 0}, "body_invalid"),
        ({"description": "x" * 501}, "description_invalid"),
        ({"workspace_id": "x"}, "body_invalid"),
        ({"next_at": "2020-01-01T00:00:00Z"}, "body_invalid"),
        ({"by": "root"}, "body_invalid"),
    ]
    for change, code in odd:
        answer = await service.call(ada, "POST", "/schedules", json={**GOOD, **change})
        assert problem(answer, 422)["code"] == code, change
    for change, status, code in (
        ({"flow": "nobody"}, 404, "flow_not_found"),
        ({"version": 9}, 404, "version_not_found"),
    ):
        answer = await service.call(ada, "POST", "/schedules", json={**GOOD, **change})
        assert problem(answer, status)["code"] == code
    assert (await service.call(ada, "GET", "/schedules")).json()["items"] == []
    assert (await service.call(ada, "POST", "/schedules", json=GOOD)).status_code == 201
    again = await service.call(ada, "POST", "/schedules", json=GOOD)
    assert problem(again, 409)["code"] == "schedule_exists"


async def test_members_see_schedules_and_change_none(place: tuple[Town, Headers]) -> None:
    service, ada = place
    made = (await service.call(ada, "POST", "/schedules", json=GOOD)).json()
    bob = await service.person("bob", "default", "member")
    path = f"/schedules/{made['id']}"
    assert (await service.call(bob, "GET", path)).json() == made
    assert (await service.call(bob, "GET", f"{path}/why")).status_code == 200
    for method, end in (("DELETE", ""), ("POST", "/pause"), ("POST", "/resume")):
        assert problem(await service.call(bob, method, path + end), 403)
    assert problem(await service.call(bob, "PATCH", path, json={"cron": "* * * * *"}), 403)
    assert problem(await service.call(bob, "POST", "/schedules", json=GOOD), 403)
    assert problem(await service.call(bob, "GET", "/webhooks"), 403)
