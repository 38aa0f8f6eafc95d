"""`compensate` as users write it: in steps, documents and with approvals."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flowbuilder import (
    Context,
    DefinitionError,
    Fail,
    Flow,
    FlowBuilder,
    Retry,
    RunFailed,
    Settings,
    tool,
)
from flowbuilder.types import JsonObject
from tests.support.waiting import eventually


class Account:
    """Books and cancels."""

    def __init__(self) -> None:
        self.log: list[Any] = []

    def tools(self) -> list[Any]:
        @tool("account.book", effects="write")
        async def book(what: str) -> JsonObject:
            self.log.append(f"book {what}")
            return {"id": f"#{what}"}

        @tool("account.cancel", effects="write")
        async def cancel(id: str, context: Context) -> None:
            if context.attempt == 1:
                raise Retry("not yet", after=0.01)
            self.log.append(f"cancel {id} ({context.step_id})")

        @tool("account.pay")
        async def pay(amount: int) -> int:
            raise Fail("no money", code="broke")

        return [book, cancel, pay]


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
async def fb(dsn: str, tmp_path: Path, account: Account) -> AsyncIterator[FlowBuilder]:
    settings = Settings.load(data_dir=tmp_path, workspace_dir=tmp_path)
    async with FlowBuilder.connect(
        dsn, settings=settings, tools=account.tools(), worker=True
    ) as opened:
        yield opened


def booking(step: str, **policies: Any) -> JsonObject:
    undo = {"tool": "account.cancel", "args": {"id": f"${{{{ steps.{step}.id }}}}"}, **policies}
    return {"id": step, "tool": "account.book", "args": {"what": step}, "compensate": undo}


async def test_a_booking_is_undone(fb: FlowBuilder, account: Account) -> None:
    await fb.create_flow("trip")
    for name, before in (("hotel", ()), ("flight", ("hotel",))):
        step: Any = {**booking(name), "depends_on": before}
        await fb.add_step("trip", step.pop("id"), **step)
    await fb.add_step("trip", "pay", tool="account.pay", args={"amount": 0}, depends_on=["flight"])
    run = await fb.execute("trip")
    with pytest.raises(RunFailed, match="step pay failed: no money") as caught:
        await run.result(timeout=60)
    assert account.log == [
        "book hotel",
        "book flight",
        "cancel #flight (compensate:flight)",
        "cancel #hotel (compensate:hotel)",
    ]
    assert caught.value.error["code"] == "broke"
    assert caught.value.error["compensated"] == ["flight", "hotel"]
    kinds = [(task.step_id, task.kind.value) for task in await run.tasks()]
    assert kinds[-1] == ("compensate:hotel", "compensate")
    view = await _tree(run)
    assert view["compensate:flight"] == "completed"


async def _tree(run: Any) -> dict[str, str]:
    from flowbuilder.cli.output import Printer
    from flowbuilder.cli.progress import RunView

    view = RunView(Printer(as_json=False), await run.document(), run.id)
    async for event in run.events():
        view.show(event)
    return {name: step.state for name, step in view.steps.items()}


async def test_a_person_is_asked_before_something_is_undone(
    fb: FlowBuilder, account: Account
) -> None:
    run = await fb.execute(
        {
            "flow": "asked",
            "steps": [
                booking("hotel", approval={"message": "Really?"}),
                {
                    "id": "pay",
                    "tool": "account.pay",
                    "args": {"amount": 1},
                    "depends_on": ["hotel"],
                },
            ],
        }
    )

    async def asked() -> bool:
        return bool(await run.approvals())

    await eventually(asked)
    [approval] = await run.approvals()
    assert (approval.step_id, approval.args) == ("compensate:hotel", {"id": "#hotel"})
    assert account.log == ["book hotel"]
    await fb.approve(approval.id, by="user:ada")
    with pytest.raises(RunFailed):
        await run.result(timeout=60)
    assert account.log[1:] == ["cancel #hotel (compensate:hotel)"]


@pytest.mark.parametrize(
    ("compensate", "code", "pointer"),
    [
        ({}, "missing_key", "/steps/0/compensate"),
        ({"tool": "no.tool"}, "unknown_tool", "/steps/0/compensate/tool"),
        ({"tool": "account.cancel"}, "missing_argument", "/steps/0/compensate/args"),
        (
            {"tool": "account.cancel", "args": {"id": 7}},
            "argument_type",
            "/steps/0/compensate/args/id",
        ),
        (
            {"tool": "account.cancel", "args": {"id": "${{ steps.later }}"}},
            "compensation_reference",
            "/steps/0/compensate/args/id",
        ),
        (
            {"tool": "account.cancel", "args": {"id": "${{ steps.none }}"}},
            "unknown_step_reference",
            "/steps/0/compensate/args/id",
        ),
        (
            {"tool": "account.cancel", "args": {"id": "${{ item }}"}},
            "item_outside_map",
            "/steps/0/compensate/args/id",
        ),
        (
            {"tool": "account.cancel", "args": {"id": "x"}, "when": "true"},
            "unknown_key",
            "/steps/0/compensate/when",
        ),
        ("cancel", "wrong_type", "/steps/0/compensate"),
    ],
)
async def test_a_bad_compensation_is_told(
    fb: FlowBuilder, compensate: Any, code: str, pointer: str
) -> None:
    later = {"id": "later", "tool": "account.book", "args": {"what": "x"}}
    document = {"flow": "bad", "steps": [{**booking("a"), "compensate": compensate}, later]}
    with pytest.raises(DefinitionError) as caught:
        await fb.execute(document)
    assert (code, pointer) in {(item.code, item.pointer) for item in caught.value.problems}


async def test_policy_asks_a_person_about_what_undoes_a_step(fb: FlowBuilder) -> None:
    from flowbuilder.policy import apply_policy

    flow = Flow.model_validate({"flow": "policed", "steps": [booking("a")]})
    policed, notes = apply_policy(flow, fb.tools)
    undoing = policed.steps[0].compensate
    assert undoing is not None and undoing.approval is not None
    assert any(note.startswith("What undoes step a waits for an approval") for note in notes)
    assert apply_policy(policed, fb.tools) == (policed, ())
