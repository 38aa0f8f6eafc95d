"""A16 to A18 by requests: words, graphs and references that are to be more than data."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.attacks.test_plans_and_code import CODE
from tests.support.api import INPUT, problem
from tests.support.fortress import assert_healthy, fortress, one_step, over, ran
from tests.support.tenants import Headers, Town

MORE_CODE = [
    *CODE,
    "${{ ''.__class__ }}",
    "${{ 7*7 }}",
    "${{ steps.__proto__ }}",
    "${{ secrets.x }}",
    "${{ env.PATH }}",
    "{% raw %}{{7*7}}{% endraw %}",
    "{{constructor.constructor('return 49')()}}",
    "`id`",
    "$(id)",
    "';drop table flowbuilder.runs;--",
    "<script>alert(49)</script>",
    '{"__reduce__": ["os.system", ["id"]]}',
    '{"lc": 1, "type": "secret", "id": ["PATH"]}',
]
#: What would be there had any of this been run.
SIGNS = ("49", "<class", "uid=", "<function", "/usr/bin", "object at 0x")


@pytest.fixture
async def place(dsn: str) -> AsyncIterator[Town]:
    async with fortress(dsn) as opened:
        yield opened


@pytest.fixture
async def ada(place: Town) -> Headers:
    return await place.person("ada", "default", "admin", admin=True)


def echoing(**changed: Any) -> dict[str, Any]:
    return {**one_step("test.echo", {"value": 1}), **changed}


async def test_a16_code_in_every_text_of_a_flow_stays_text(place: Town, ada: Headers) -> None:
    for text in MORE_CODE:
        steps = [{"id": "only", "tool": "test.echo", "args": {"value": text}, "description": text}]
        document = echoing(steps=steps, description=text)
        response = await place.call(
            ada, "POST", "/runs", json={"document": document, "input": {"x": text}}
        )
        if "${{" in text:
            problem(response, 422)
            continue
        assert response.status_code == 201, (text, response.text)
        shown = await over(place, ada, response.json()["id"])
        assert (shown["status"], shown["output"], shown["input"]) == (
            "completed",
            text,
            {"x": text},
        )
    await assert_healthy(place, ada)


@pytest.mark.parametrize("text", MORE_CODE)
async def test_a16_code_where_code_is_read_is_refused(text: str, place: Town, ada: Headers) -> None:
    step = {"id": "only", "tool": "test.echo", "args": {"value": 1}}
    many = {"for_each": text}
    for changed in ({"when": text}, many, {"timeout": text}, {"retry": {"base_delay": text}},
                    {"tool": text}, {"id": text}, {"depends_on": [text]}):  # fmt: skip
        document = echoing(steps=[{**step, **changed}], output=None)
        response = await place.call(ada, "POST", "/flows/validate", json=document)
        if response.status_code == 200:
            assert "when" in changed, changed
            shown = await ran(place, ada, document)
            assert shown["status"] == "failed", (changed, shown)
            continue
        told = str([item["code"] for item in problem(response, 422)["errors"]])
        assert not [sign for sign in SIGNS if sign in told]


async def test_a16_code_in_other_bodies_is_data_or_refused(place: Town, ada: Headers) -> None:
    for text in MORE_CODE:
        for method, path, body in (
            ("POST", "/plans", {"goal": text}),
            ("POST", "/events", {"name": "paid", "key": text, "payload": text}),
            ("POST", "/events", {"name": text}),
            ("POST", "/users", {"name": text}),
            ("POST", "/workspaces", {"slug": text}),
            ("POST", "/api-keys", {"name": text, "scopes": ["read"]}),
            ("POST", "/flows", {"flow": text, "steps": []}),
            ("PUT", f"/secrets/{'x'}", {"value": text * 3, "hosts": [text]}),
            ("POST", "/policy/check", {"rules": [{"name": text}]}),
        ):
            response = await place.call(ada, method, path, json=body)
            assert response.status_code in (200, 201, 400, 404, 409, 422, 503), response.text
            shown = response.text.replace(text, "").replace(text.replace('"', '\\"'), "")
            assert not [s for s in SIGNS[1:] if s in shown and s not in text], (path, text)
    await assert_healthy(place, ada)


def steps(number: int, **changed: Any) -> list[dict[str, Any]]:
    return [
        {"id": f"s{n}", "tool": "test.echo", "args": {"value": 1}, **changed} for n in range(number)
    ]


GRAPHS: dict[str, list[dict[str, Any]]] = {
    "cycle": [
        {"id": "a", "tool": "test.echo", "args": {"value": 1}, "depends_on": ["c"]},
        {"id": "b", "tool": "test.echo", "args": {"value": 1}, "depends_on": ["a"]},
        {"id": "c", "tool": "test.echo", "args": {"value": "${{ steps.b }}"}},
    ],
    "itself": steps(1, depends_on=["s0"]),
    "itself by data": [{"id": "a", "tool": "test.echo", "args": {"value": "${{ steps.a }}"}}],
    "too many": steps(1001),
    "far too many": steps(10_000),
    "twice": [*steps(1), *steps(1)],
    "outside": steps(1, id="../x"),
    "another script": [*steps(1, id="a"), *steps(1, id="\u0430")],
    "composed": [*steps(1, id="\u00e9"), *steps(1, id="e\u0301")],
    "full width": [*steps(1, id="a"), *steps(1, id="\uff41")],
    "empty": steps(1, id=""),
    "nul": steps(1, id="a\u200b"),
    "later": [
        {"id": "a", "tool": "test.echo", "args": {"value": "${{ steps.b }}"}},
        *steps(1, id="b", depends_on=["a"]),
    ],
    "another run": steps(1, args={"value": "${{ runs.other.output }}"}),
    "secrets": steps(1, args={"value": "${{ secrets.x }}"}),
    "environment": steps(1, args={"value": "${{ env.HOME }}"}),
    "the run's insides": steps(1, args={"value": "${{ run.workspace_id }}"}),
    "a dunder": steps(1, args={"value": "${{ input.__class__.__mro__ }}"}),
    "an unknown tool": steps(1, tool="os.system"),
    "a module": steps(1, tool="subprocess:run"),
    "a path": steps(1, tool="/bin/sh"),
    "a tool in other letters": steps(1, tool="test.ech\u043e"),
    "no width": steps(1, tool="test.echo\u200b"),
    "another version": steps(1, tool="test.echo@999"),
    "unknown keys": steps(1, workspace_id="00000000-0000-0000-0000-000000000001"),
    "a principal": steps(1, run_as="user:root"),
    "effects": steps(1, effects="pure"),
    "approval in words": steps(1, approval="none"),
}


@pytest.mark.parametrize("name", GRAPHS)
async def test_a17_a18_graphs_that_cannot_be(name: str, place: Town, ada: Headers) -> None:
    document = {"flow": "graph", "input": INPUT, "steps": GRAPHS[name]}
    for method, path, body in (
        ("POST", "/flows", document),
        ("PUT", "/flows/graph", document),
        ("POST", "/flows/validate", document),
        ("POST", "/flows/import", document),
        ("POST", "/runs", {"document": document, "input": {"value": 1}}),
    ):
        response = await place.call(ada, method, path, json=body)
        assert response.status_code in (413, 422), (path, response.text[:500])
        problem(response, response.status_code)
    assert (await place.call(ada, "GET", "/flows")).json()["items"] == []
    assert (await place.call(ada, "GET", "/runs")).json()["items"] == []


async def test_a17_names_of_other_languages_are_names_like_any(place: Town, ada: Headers) -> None:
    names = ["constructor", "toString", "health", "healthz", "ready", "configs", "hasOwnProperty"]
    for name in names:
        document = {**one_step("test.echo", {"value": name}), "flow": "names"}
        document["steps"][0]["id"] = name
        document["output"] = f"${{{{ steps.{name} }}}}"
        response = await place.call(ada, "POST", "/runs", json={"document": document, "input": {}})
        assert response.status_code == 201, response.text
        assert (await over(place, ada, response.json()["id"]))["output"] == name
    # and members of values: no language's objects lie behind them
    value = {"__proto__": {"admin": True}, "constructor": 0, "__class__": "", "": None}
    shown = await ran(place, ada, one_step("test.echo", {"value": "${{ input }}"}), value)
    assert shown["output"] == value


async def test_a17_a_flow_that_runs_itself_comes_to_an_end(place: Town, ada: Headers) -> None:
    document = {
        "flow": "endless",
        "input": {},
        "steps": [{"id": "again", "tool": "flow.run", "args": {"flow": "endless", "input": {}}}],
    }
    made = await place.call(ada, "POST", "/flows", json=document)
    if made.status_code == 422:  # it names itself before it is there
        first = {**document, "steps": [{"id": "a", "tool": "test.echo", "args": {"value": 1}}]}
        assert (await place.call(ada, "POST", "/flows", json=first)).status_code == 201
        made = await place.call(ada, "PUT", "/flows/endless", json=document)
    assert made.status_code in (200, 201, 422), made.text
    if made.status_code != 422:
        await place.call(ada, "POST", "/flows/endless/versions")
        run = await place.call(ada, "POST", "/runs", json={"flow": "endless", "input": {}})
        shown = await over(place, ada, run.json()["id"])
        assert shown["status"] == "failed"
        found = (await place.call(ada, "GET", "/runs?limit=200")).json()["items"]
        assert len(found) < 60
    await assert_healthy(place, ada)


async def test_a17_a_thousand_by_a_thousand_is_bounded(place: Town, ada: Headers) -> None:
    """Elements are counted for the run and not for the step."""
    document = {
        "flow": "wide",
        "input": {},
        "steps": [
            {"id": f"s{n}", "tool": "test.echo", "args": {"value": 1}, "for_each": "${{ input }}"}
            for n in range(900)
        ],
    }
    shown = await ran(place, ada, document, [0] * 1000)
    assert (shown["status"], shown["error"]["code"]) == ("failed", "too_many_tasks")
    one = {**document, "steps": steps(1, for_each=[0] * 100_001)}
    shown = await ran(place, ada, one)
    assert (shown["status"], shown["error"]["code"]) == ("failed", "too_many_elements")
    await assert_healthy(place, ada)


@pytest.mark.parametrize(
    "approval",
    [None, {"by": ["user:ada"]}, {"deadline": "1s", "on_deadline": "approve"}, {"message": "x"}],
)
async def test_a18_no_flow_lowers_what_policy_asks(
    approval: Any, place: Town, ada: Headers
) -> None:
    rule = {"name": "ask", "tools": ["test.echo"], "then": "approve", "by": ["role:approver"]}
    policy = {"policy": "policy.v1", "rules": [rule]}
    assert (await place.call(ada, "PUT", "/policy", json=policy)).status_code == 200
    document = one_step("test.echo", {"value": 1})
    if approval is not None:
        document["steps"][0]["approval"] = approval
    started = await place.call(ada, "POST", "/runs", json={"document": document, "input": {}})
    if started.status_code == 422:
        assert "policy" in problem(started, 422)["errors"][0]["code"]
        return
    run_id = started.json()["id"]
    async for event in place.builder.follow(run_id):
        assert event.type != "task_completed", approval
        if event.type == "approval_requested":
            break
    (asked,) = (await place.call(ada, "GET", f"/approvals?run_id={run_id}")).json()["items"]
    assert asked["by"] == ["role:approver"]
    assert asked["on_deadline"] == "reject"
    bob = await place.person("bob", "default", "builder")
    decision = {"decision": "approve"}
    refused = await place.call(bob, "POST", f"/approvals/{asked['id']}/decision", json=decision)
    assert problem(refused, 403)
