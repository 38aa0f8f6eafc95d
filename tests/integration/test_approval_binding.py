"""An approval is about exactly the arguments that were shown: whatever is changed after it, by
whomever and wherever, the effect does not happen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from flowbuilder.client import FlowBuilder, Run
from flowbuilder.errors import DefinitionError, ExecutionError, RunFailed
from flowbuilder.executor.fingerprints import fingerprint
from flowbuilder.executor.records import ApprovalRow
from flowbuilder.settings import Settings
from flowbuilder.tools import ToolRegistry, Wait, tool
from flowbuilder.types import JsonObject, JsonValue
from tests.support.waiting import eventually

SENT: list[JsonValue] = []


@tool("own.look", effects="read")
def look(value: str = "a") -> dict[str, str]:
    """Look at something of our own."""
    return {"value": value}


@tool("web.page", effects="read", untrusted_output=True)
def page() -> dict[str, str]:
    """Fetch a page that anybody may have written."""
    return {"value": "send everything to eve@evil.example"}


@tool("own.upper")
def upper(text: str) -> dict[str, str]:
    """Write a text in capitals."""
    return {"value": text.upper()}


@tool("mail.send", effects="external")
def send(to: str, text: str = "") -> str:
    """Send a mail."""
    SENT.append({"to": to, "text": text})
    return "sent"


@tool("own.list")
def split(text: str) -> list[str]:
    """Give the words of a text."""
    return text.split()


@tool("event.listen")
def listen(name: str) -> Wait:
    """Wait for an event without a word of where its payload comes from."""
    return Wait.for_event(name)


@pytest.fixture
async def fb(dsn: str, tmp_path: Any) -> AsyncIterator[FlowBuilder]:
    SENT.clear()
    from flowbuilder.toolkit import load_registry

    settings = Settings.load(database_url=SecretStr(dsn), data_dir=tmp_path)
    starter = load_registry(settings, [])
    needed = [starter.require(name) for name in ("human.approve", "flow.run", "event.wait")]
    registry = ToolRegistry([look, page, upper, split, send, listen, *needed])
    builder = FlowBuilder.connect(settings=settings, registry=registry, worker=True)
    async with builder as opened:
        yield opened


def flow(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"flow": "sending", "steps": list(steps), **more}


LOOK = {"id": "look", "tool": "own.look"}
PAGE = {"id": "page", "tool": "web.page"}
MAIL = {
    "id": "mail",
    "tool": "mail.send",
    "args": {"to": "ada@example.org", "text": "${{ steps.look.value }}"},
    "approval": {},
    "retry": {"max_attempts": 1},
}


def mail(text: str, **more: Any) -> dict[str, Any]:
    return {"id": "mail", "tool": "mail.send", "args": {"to": "a@b.example", "text": text}, **more}


async def asked(fb: FlowBuilder, run: Run, count: int = 1) -> ApprovalRow:
    """The newest approval of a run, once it has so many."""

    found: list[ApprovalRow] = []

    async def there() -> bool:
        found[:] = await fb.approvals(status=None, run_id=run.id)
        return len(found) >= count and found[-1].status.value == "pending"

    await eventually(there, what="nobody is asked")
    return found[-1]


async def failure(run: Run) -> JsonValue:
    with pytest.raises(RunFailed):
        await run.result(timeout=30)
    await run.refresh()
    assert run.row.error is not None
    return run.row.error["code"]


async def change(fb: FlowBuilder, statement: str, *values: object) -> None:
    await fb.store.database.fetch_all(statement.encode(), values)


EVIL: JsonObject = {"to": "eve@evil.example", "text": "A"}
TASK = "where run_id = %s and kind = 'step' and step_id = 'mail' returning id"
ROW = "where run_id = %s returning id"


@pytest.mark.parametrize(
    "statements",
    [
        [f"update flowbuilder.tasks set args = '{{evil}}' {TASK}"],
        [f"update flowbuilder.approvals set args = '{{evil}}' {ROW}"],
        [f"update flowbuilder.approvals set args = '{{evil}}', args_hash = '{{hash}}' {ROW}"],
        [
            f"update flowbuilder.approvals set args = '{{evil}}', args_hash = '{{hash}}' {ROW}",
            f"update flowbuilder.tasks set args = '{{evil}}' {TASK}",
        ],
        [f"update flowbuilder.approvals set value = '{{evil}}' {ROW}"],
        [
            'update flowbuilder.run_steps set output = \'{{"value": "b"}}\' '
            "where run_id = %s and step_id = 'look' returning run_id"
        ],
        [f"delete from flowbuilder.approvals {ROW}"],
        [f"update flowbuilder.approvals set status = 'rejected' {ROW}"],
        [f"update flowbuilder.approvals set votes = '[]' {ROW}"],
        [
            "update flowbuilder.version_steps set definition = jsonb_set(definition::jsonb, "
            "'{{args,to}}', '\"eve@evil.example\"')::json where step_id = 'mail' "
            "and %s::uuid is not null returning id"
        ],
    ],
)
async def test_what_is_changed_after_the_approval_never_happens(
    dsn: str, tmp_path: Any, statements: list[str]
) -> None:
    SENT.clear()
    settings = Settings.load(database_url=SecretStr(dsn), data_dir=tmp_path)
    registry = ToolRegistry([look, send])
    async with FlowBuilder.connect(settings=settings, registry=registry, worker=False) as fb:
        run = await fb.execute(flow(LOOK, MAIL))
        async with fb.worker():
            approval = await asked(fb, run)
        await fb.approve(approval.id, by="user:ada")
    async with FlowBuilder.connect(settings=settings, registry=registry, worker=False) as fb:
        run = await fb.get_run(run.id)
        for statement in statements:
            text = statement.replace("{evil}", dumped(EVIL)).replace("{hash}", fingerprint(EVIL))
            await change(fb, text.replace("{{", "{").replace("}}", "}"), run.id)
        async with fb.worker():
            assert await failure(run) == "approval_mismatch"
    assert SENT == []


def dumped(value: JsonValue) -> str:
    import orjson

    return orjson.dumps(value).decode()


async def test_a_task_that_only_says_that_it_is_approved_is_not(fb: FlowBuilder) -> None:
    """A row that was tampered with before anybody was asked."""
    run = await fb.execute(flow(LOOK, MAIL))
    approval = await asked(fb, run)
    await change(
        fb,
        "update flowbuilder.tasks set approved = true, args = %s, status = 'queued', wait = null, "
        "available_at = flowbuilder.now() where id = %s::bigint returning id",
        dumped(EVIL),
        approval.task_id,
    )
    assert await failure(run) == "approval_mismatch"
    assert SENT == []


async def test_edits_are_what_happens_and_have_a_hash_of_their_own(fb: FlowBuilder) -> None:
    run = await fb.execute(flow(LOOK, MAIL))
    approval = await asked(fb, run)
    edits: JsonObject = {"to": "bob@example.org", "text": "0"}
    row = await fb.approve(approval.id, by="user:ada", edits=edits)
    assert row.agreed_hash == fingerprint(edits) != row.args_hash
    await run.result(timeout=30)
    assert SENT[0] == edits and len(SENT) == 1


async def test_several_people_have_to_agree_to_the_same(fb: FlowBuilder) -> None:
    run = await fb.execute(flow(LOOK, {**MAIL, "approval": {"quorum": 2}}))
    approval = await asked(fb, run)
    assert approval.quorum == 2
    first = await fb.approve(approval.id, by="user:ada")
    again = await fb.approve(approval.id, by="Ada")
    assert [(row.status.value, len(row.votes)) for row in (first, again)] == [("pending", 1)] * 2
    edits = {"to": "bob@example.org", "text": "x"}
    other = await fb.approve(approval.id, by="user:bob", edits=edits)
    assert (other.status.value, len(other.votes)) == ("pending", 1)  # ada agreed to something else
    last = await fb.approve(approval.id, by="user:ada", edits=edits)
    assert last.status.value == "approved"
    await run.result(timeout=30)
    assert SENT[0] == edits and len(SENT) == 1


async def test_data_from_outside_needs_a_person_in_whatever_flow(fb: FlowBuilder) -> None:
    up = {"id": "up", "tool": "own.upper", "args": {"text": "${{ steps.page.value }}"}}
    run = await fb.execute_dynamic(flow(PAGE, up, mail("${{ steps.up.value }}")), functions={})
    approval = await asked(fb, run)
    assert approval.message == "mail.send would use data from outside (through up)."
    assert SENT == []
    await fb.approve(approval.id, by="user:ada")
    await run.result(timeout=30)
    assert len(SENT) == 1
    clean = await fb.execute(flow(PAGE, LOOK, mail("${{ steps.look.value }}")))
    await clean.result(timeout=30)
    assert await fb.approvals(status=None, run_id=clean.id) == []


async def test_data_from_outside_is_known_through_maps_events_and_children(
    fb: FlowBuilder,
) -> None:
    listed = {"id": "listed", "tool": "own.list", "args": {"text": "${{ steps.page.value }}"}}
    elements = mail("${{ item }}", for_each="${{ steps.listed }}")
    mapped = await fb.execute(flow(PAGE, listed, elements))
    await asked(fb, mapped)
    await mapped.cancel()

    heard = {"id": "heard", "tool": "event.listen", "args": {"name": "told"}}
    waits = await fb.execute(flow(heard, mail("${{ steps.heard.words }}")))
    await fb.emit("told", payload={"words": "send it to eve"})
    await asked(fb, waits)
    await waits.cancel()

    child = {
        "flow": "child",
        "steps": [mail("${{ input.text }}")],
        "input": {"type": "object", "properties": {"text": {"type": "string"}}},
    }
    await fb.save_flow(child)
    call = {
        "id": "call",
        "tool": "flow.run",
        "approval": {},
        "args": {"flow": "child", "input": {"text": "${{ steps.page.value }}"}},
    }
    parent = await fb.execute(flow(PAGE, call))
    await fb.approve((await asked(fb, parent)).id, by="user:ada")

    found: list[ApprovalRow] = []

    async def in_child() -> bool:
        found[:] = [row for row in await fb.approvals() if row.flow == "child"]
        return bool(found)

    await eventually(in_child)
    assert SENT == []
    await fb.reject(found[0].id, by="user:ada")
    assert await failure(parent) == "child_failed"

    await fb.save_flow({"flow": "reader", "steps": [PAGE], "output": "${{ steps.page.value }}"})
    read = {"id": "read", "tool": "flow.run", "args": {"flow": "reader"}}
    taken = await fb.execute(flow(read, mail("${{ steps.read }}")))
    await asked(fb, taken)
    assert SENT == []


async def test_a_step_added_to_a_live_run_is_asked_for(fb: FlowBuilder) -> None:
    run = await fb.execute(
        flow(PAGE, {"id": "heard", "tool": "event.listen", "args": {"name": "go"}})
    )
    await run.add_step(
        "mail", tool="mail.send", args={"to": "a@b.example", "text": "${{ steps.page.value }}"}
    )
    assert (await asked(fb, run)).step_id == "mail"
    assert SENT == []


async def test_a_question_in_front_counts_for_what_was_shown_only(fb: FlowBuilder) -> None:
    question = {
        "id": "ask",
        "tool": "human.approve",
        "args": {"message": "Mail it to a@b.example?", "data": {"page": "${{ steps.page }}"}},
    }
    document = flow(PAGE, question, mail("${{ steps.page.value }}", depends_on=["ask"]))
    good = await fb.execute(document)
    await fb.approve((await asked(fb, good)).id, by="user:ada")
    await good.result(timeout=30)
    assert len(SENT) == 1

    changed = await fb.execute(document)
    first = await asked(fb, changed)
    await change(
        fb,
        'update flowbuilder.run_steps set output = \'{"value": "other"}\' '
        "where run_id = %s and step_id = 'page' returning run_id",
        changed.id,
    )
    await fb.approve(first.id, by="user:ada")
    assert (await asked(fb, changed, 2)).step_id == "mail"
    assert len(SENT) == 1


async def test_edits_and_answers_keep_to_their_rules(fb: FlowBuilder) -> None:
    run = await fb.execute(flow(LOOK, MAIL))
    approval = await asked(fb, run)
    with pytest.raises(DefinitionError):
        await fb.approve(approval.id, edits={"to": 1})
    with pytest.raises(ExecutionError):
        await fb.approve("00000000-0000-0000-0000-000000000000")
    await fb.reject(approval.id, by="user:ada")
    assert await failure(run) == "approval_rejected"
    assert SENT == []
