"""Answers, edits, reviews and differences through the client and over HTTP."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from pydantic import SecretStr

from flowbuilder.client import FlowBuilder
from flowbuilder.errors import Conflict, DefinitionError, NotFound, PlanningError
from flowbuilder.plan import PlanStatus
from flowbuilder.settings import Settings
from tests.support.api import app_over, events_in, http, problem, service
from tests.support.revising import BRIEF, REGISTRY, TOP

STREAM = {"Accept": "text/event-stream"}
NOBODY = "5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11"
GOAL = "read sales.csv and email it"


def connect(dsn: str, *, worker: bool = False) -> FlowBuilder:
    settings = Settings(database_url=SecretStr(dsn))
    return FlowBuilder.connect(settings=settings, registry=REGISTRY, worker=worker)


@pytest.fixture
async def fb(dsn: str) -> AsyncIterator[FlowBuilder]:
    async with connect(dsn) as builder:
        yield builder


@pytest.fixture
async def client(dsn: str) -> AsyncIterator[httpx.AsyncClient]:
    async with connect(dsn, worker=True) as builder, http(app_over(builder)) as opened:
        yield opened


def step(document: Any, name: str) -> Any:
    return next(item for item in document["steps"] if item["id"] == name)


# -- the client -----------------------------------------------------------------------------


async def test_a_plan_is_answered_stored_and_read_again(fb: FlowBuilder) -> None:
    draft = await fb.plan(GOAL)
    assert [item.id for item in draft.questions] == ["send.to"]
    assert draft.status is PlanStatus.NEEDS_ANSWERS
    made = await draft.answer({"send.to": "ada@example.org"})
    assert made.valid
    assert (made.parent, made.revision, made.goal) == (draft.id, 2, GOAL)
    again = await fb.get_plan(made.id)
    assert again == made
    assert (await fb.get_plan(draft.id)).questions == draft.questions
    events = [event.type for event in await fb.store.events(made.id)]
    assert events == ["plan_started", "plan_completed"]
    assert draft.flow is not None
    assert made.flow is not None
    before, after = draft.flow.document(), made.flow.document()
    assert orjson.dumps(step(before, "read")) == orjson.dumps(step(after, "read"))
    other = await fb.answer_plan(draft.id, {"send.to": "bob@example.org"})
    assert other.id != made.id
    with pytest.raises(NotFound):
        await fb.answer_plan(NOBODY, {"x": 1})


async def test_an_answered_plan_runs(dsn: str) -> None:
    async with connect(dsn, worker=True) as fb:
        draft = await fb.plan(GOAL)
        made = await draft.answer({"send.to": "ada@example.org"})
        run = await fb.accept_plan(made)
        async for event in run.events():
            if event.type == "approval_requested":
                await fb.approve(str(event.data["approval_id"]), by="user:ada")
        result: Any = await run.result(timeout=60)
        assert "ada@example.org" in str(result)


async def test_answers_edits_and_reviews_know_the_policy_of_the_workspace(fb: FlowBuilder) -> None:
    rules: Any = [
        {"name": "mail", "tools": ["email.send"], "then": "approve", "by": ["role:boss"],
         "reason": "Mail leaves the house."},
        {"name": "chat", "tools": ["chat.*"], "then": "refuse", "reason": "Nobody chats."},
    ]  # fmt: skip
    draft = await fb.plan(GOAL)
    await fb.save_flow(BRIEF)
    await fb.policy.set({"policy": "policy.v1", "rules": rules, "otherwise": "default"})
    asked = {step.id: step.asks for step in (await fb.review(draft)).steps}
    assert asked["send"] == ("role:boss",)
    made = await draft.answer({"send.to": "ada@example.org"})
    assert made.flow is not None
    approval = made.flow.step("send").approval  # type: ignore[union-attr]
    assert approval is not None
    assert (approval.by, made.valid) == (["role:boss"], True)
    edit = await fb.edit("brief", "also email the summary to eve@example.org")
    assert edit.flow is not None
    added = [step for step in edit.flow.steps if step.tool == "email.send"][-1]
    assert added.approval is not None
    assert added.approval.by == ["role:boss"]
    refused = await fb.edit("brief", 'also post the summary to the channel "#news"')
    assert "policy_refused" in {item.code for item in refused.problems}
    assert not refused.valid
    by = {step.id: step.asks for step in (await fb.review(edit.id)).steps}
    assert by["mail"] == ("role:boss",)


async def test_an_edit_becomes_a_version_once_it_is_accepted(fb: FlowBuilder) -> None:
    await fb.save_flow(TOP)
    first = await fb.publish("top")
    made = await fb.edit("top", "change the limit to 10 and also mail it to ada@example.org")
    assert made.valid
    assert made.changes == "top"
    assert made.diff is not None
    assert [item["tool"] for item in made.diff.added] == ["email.send"]
    assert (await fb.get_flow("top")).version == 1
    version = await fb.accept_edit(made)
    assert (version.slug, version.version) == ("top", 2)
    assert (await fb.accept_edit(made.id)).version == 2
    assert orjson.dumps(step(version.document, "write")) == orjson.dumps(
        step(first.document, "write")
    )
    found = await fb.diff_versions("top")
    assert found == made.diff
    assert (await fb.diff_versions("top", 1, base=2)).removed[0]["tool"] == "email.send"
    assert len((await fb.diff_versions("top", 1)).added) == 3
    with pytest.raises(NotFound):
        await fb.diff_versions("top", 9)


async def test_an_edit_of_a_flow_that_was_changed_meanwhile_is_refused(fb: FlowBuilder) -> None:
    await fb.save_flow(TOP)
    made = await fb.edit("top", "change the limit to 10")
    await fb.set_output("top", "${{ steps.write }}")
    with pytest.raises(Conflict) as refused:
        await fb.accept_edit(made)
    assert refused.value.code == "draft_changed"
    with pytest.raises(PlanningError) as other:
        await fb.accept_edit(await fb.plan("read sales.csv"))
    assert other.value.code == "no_edit"


async def test_an_edit_that_asks_is_answered_and_compared_with_the_flow(fb: FlowBuilder) -> None:
    await fb.save_flow(TOP)
    made = await fb.edit("top", "also mail it to the team")
    with pytest.raises(DefinitionError) as refused:
        await fb.accept_edit(made)
    assert refused.value.code == "plan_not_ready"
    ready = await made.answer({made.questions[0].id: "team@example.org"})
    assert ready.diff is not None
    added: list[Any] = [*ready.diff.added]
    assert [item["args"]["to"] for item in added] == ["team@example.org"]
    assert (await fb.accept_edit(ready)).version == 1


async def test_every_event_of_an_edit_names_its_plan(fb: FlowBuilder) -> None:
    await fb.save_flow(TOP)
    events = [event async for event in fb.edit_stream("top", "also mail it to ada@example.org")]
    assert [event.type for event in events] == ["plan_started", "plan_step_added", "plan_completed"]
    made = events[-1].plan
    assert made is not None
    assert {event.stream for event in events} == {made.id}
    refused = fb.edit_stream(made, "frobnicate the gizmo")
    told = []
    with pytest.raises(PlanningError):
        async for event in refused:
            told.append(event)
    assert [event.type for event in told] == ["plan_started", "plan_failed"]
    assert told[0].stream == told[1].stream != made.id


async def test_a_plan_is_edited_again_and_again(fb: FlowBuilder) -> None:
    draft = await fb.plan(GOAL)
    second = await draft.edit("also post it to #news")
    assert (second.parent, second.revision, second.goal) == (draft.id, 2, GOAL)
    assert [item.id for item in second.questions] == ["send.to"]
    third = await second.edit("read shops.csv instead")
    assert third.edits == ("also post it to #news", "read shops.csv instead")
    assert third.diff is not None
    assert third.diff.touched == {"read"}
    last = await third.answer({"send.to": "ada@example.org"})
    assert last.valid
    assert await fb.get_plan(last.id) == last
    with pytest.raises(PlanningError) as refused:
        await last.edit("   ")
    assert refused.value.code == "edit_empty"


# -- over HTTP ------------------------------------------------------------------------------


async def test_answers_over_http(client: httpx.AsyncClient) -> None:
    plan = (await client.post("/api/v1/plans", json={"goal": GOAL})).json()
    path = f"/api/v1/plans/{plan['id']}/answers"
    assert plan["questions"][0]["type"] == {"type": "string"}
    wrong = await client.post(path, json={"answers": {"send.to": 0}})
    body = problem(wrong, 422)
    assert (body["code"], body["errors"][0]["pointer"]) == ("answer_invalid", "/answers/send.to")
    unknown = await client.post(path, json={"answers": {"nobody": 0}})
    assert problem(unknown, 422)["code"] == "question_unknown"
    problem(await client.post(path, json={"answers": {}}), 422)
    problem(await client.post(path, json={"send.to": "a"}), 422)
    problem(await client.post(f"/api/v1/plans/{NOBODY}/answers", json={"answers": {"a": 1}}), 404)
    made = await client.post(path, json={"answers": {"send.to": "ada@example.org"}})
    assert made.status_code == 201
    answered = made.json()
    assert made.headers["location"] == f"/api/v1/plans/{answered['id']}"
    assert (answered["parent"], answered["status"]) == (plan["id"], "ready")
    assert answered["diff"]["changed"][0]["id"] == "send"
    again = await client.post(
        f"/api/v1/plans/{answered['id']}/answers", json={"answers": {"send.to": "x"}}
    )
    assert problem(again, 422)["code"] == "no_questions"


async def test_edits_over_http(client: httpx.AsyncClient) -> None:
    await client.post("/api/v1/flows", json=BRIEF)
    await client.post("/api/v1/flows/brief/versions")
    words = {"words": "mail it to bob@y.example instead"}
    made = await client.post("/api/v1/flows/brief/edit", json=words)
    assert made.status_code == 201
    plan = made.json()
    (change,) = plan["diff"]["changed"]
    assert change["fields"] == [
        {"pointer": "/args/to", "old": "ann@x.example", "new": "bob@y.example"}
    ]
    accepted = await client.post(f"/api/v1/plans/{plan['id']}/accept")
    assert accepted.status_code == 200
    assert (accepted.json()["version"]["version"], accepted.json()["run"]) == (2, None)
    diff = await client.get("/api/v1/flows/brief/versions/2/diff")
    assert diff.json()["changed"] == [change]
    assert "args.to" in diff.json()["text"]
    back = await client.get("/api/v1/flows/brief/versions/1/diff", params={"base": 2})
    assert back.json()["changed"][0]["fields"][0]["new"] == "ann@x.example"
    problem(await client.get("/api/v1/flows/brief/versions/7/diff"), 404)
    problem(await client.get("/api/v1/flows/brief/versions/1/diff", params={"base": -1}), 422)
    odd = await client.post("/api/v1/flows/brief/edit", json={"words": "paint it black"})
    assert problem(odd, 422)["code"] == "edit_not_understood"
    problem(await client.post("/api/v1/flows/nobody/edit", json=words), 404)


async def test_an_edit_is_streamed_as_a_plan_is(client: httpx.AsyncClient) -> None:
    await client.post("/api/v1/flows", json=BRIEF)
    words = {"words": "also post the summary to #news"}
    told = await client.post("/api/v1/flows/brief/edit", json=words, headers=STREAM)
    events = events_in(told.text)
    assert [event["event"] for event in events] == [
        "plan_started",
        "plan_step_added",
        "plan_completed",
    ]
    plan = events[-1]["data"]["data"]["plan"]
    assert (await client.get(f"/api/v1/plans/{plan['id']}")).json() == plan
    refused = await client.post(
        "/api/v1/flows/brief/edit", json={"words": "paint it black"}, headers=STREAM
    )
    assert [event["event"] for event in events_in(refused.text)] == ["plan_started", "plan_failed"]
    edited = await client.post(
        f"/api/v1/plans/{plan['id']}/edit", json={"words": "change #news to #ops"}
    )
    assert edited.json()["parent"] == plan["id"]
    assert edited.json()["changes"] == "brief"
    assert edited.json()["diff"]["added"][0]["args"]["channel"] == "#ops"


async def test_a_review_is_json_or_a_page(client: httpx.AsyncClient) -> None:
    plan = (await client.post("/api/v1/plans", json={"goal": GOAL})).json()
    path = f"/api/v1/plans/{plan['id']}/review"
    body = (await client.get(path)).json()
    assert body["plan_id"] == plan["id"]
    assert "read" in body["graph"]["text"]
    assert body["graph"]["mermaid"].startswith("flowchart")
    assert body["questions"][0]["id"] == "send.to"
    assert body["diff"] is None
    assert {item["effects"] for item in body["steps"]} == {"read", "external"}
    page = await client.get(path, headers={"Accept": "text/markdown"})
    assert page.headers["content-type"].startswith("text/markdown")
    assert page.text.startswith("# Plan: ")
    both = await client.get(path, headers={"Accept": "application/json, text/markdown"})
    assert both.json() == body
    problem(await client.get(f"/api/v1/plans/{NOBODY}/review"), 404)


async def test_validation_can_mend(client: httpx.AsyncClient) -> None:
    broken = json.loads(json.dumps(TOP))
    broken["steps"][0]["tool"] = "rows.raed"
    problem(await client.post("/api/v1/flows/validate", json=broken), 422)
    mended = await client.post("/api/v1/flows/validate?repair=true", json=broken)
    assert mended.status_code == 200
    body = mended.json()
    assert body["valid"]
    assert body["document"]["steps"][0]["tool"] == "rows.read"
    assert body["changes"][0]["before"] == "rows.raed"
    await client.post("/api/v1/flows", json=TOP)
    whole = await client.post("/api/v1/flows/top/validate?repair=true")
    assert (whole.json()["changes"], whole.json()["valid"]) == ([], True)


async def test_pinned_tools_and_what_there_is_not(client: httpx.AsyncClient) -> None:
    good = await client.post(
        "/api/v1/plans", json={"goal": "read sales.csv", "pinned": ["chat.post"]}
    )
    assert good.status_code == 201
    bad = await client.post("/api/v1/plans", json={"goal": "read sales.csv", "pinned": ["no.tool"]})
    assert problem(bad, 404)["code"] == "tool_unknown"


async def test_an_early_start_is_told_in_the_stream(client: httpx.AsyncClient) -> None:
    wanted = {"goal": "read sales.csv", "start": "early"}
    needs = await client.post("/api/v1/plans", json=wanted)
    assert problem(needs, 400)["code"] == "start_needs_stream"
    told = await client.post("/api/v1/plans", json=wanted, headers=STREAM)
    frames = [frame for frame in told.text.split("\n\n") if "event: run" in frame]
    run = json.loads(frames[-1].split("data: ", 1)[1])
    kept = (await client.get(f"/api/v1/runs/{run['id']}")).json()
    assert kept["plan_id"]
    asking = await client.post(
        "/api/v1/plans", json={"goal": GOAL, "start": "early"}, headers=STREAM
    )
    assert "event: run" not in asking.text
    assert '"code":"plan_not_ready"' in asking.text.replace(" ", "")
    assert len((await client.get("/api/v1/runs")).json()["items"]) == 1


async def test_questions_of_any_planner_tell_their_type(dsn: str) -> None:
    async with service(dsn) as client:
        plan = (await client.post("/api/v1/plans", json={"goal": "asking"})).json()
        (question,) = plan["questions"]
        assert question["id"] == "q1"
        assert question["reason"]
        made = await client.post(
            f"/api/v1/plans/{plan['id']}/answers", json={"answers": {"q1": False}}
        )
        assert step(made.json()["flow"], "echo")["args"]["value"] is False
