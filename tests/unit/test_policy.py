"""Policy: approvals that a plan gets by what its tools do and where its data comes from."""

from __future__ import annotations

from typing import Any

import pytest

from flowbuilder.flow import Flow
from flowbuilder.policy import Policy, apply_policy, read_policy
from flowbuilder.tools import Effects
from tests.support.sample_tools import sample_registry

CHANGING = ["write", "external", "irreversible"]
REGISTRY = sample_registry()
GET = {"id": "get", "tool": "page.get", "args": {"url": "https://example.org"}}
TITLE = "${{ steps.get.body.title }}"


def _flow(*steps: dict[str, Any]) -> Flow:
    return Flow.model_validate({"flow": "x", "steps": list(steps)})


def _mail(body: str, **more: Any) -> dict[str, Any]:
    return {"id": "mail", "tool": "mail.send", "args": {"to": "a@b.c", "body": body}, **more}


def _asked(*steps: dict[str, Any], policy: Policy | None = None) -> set[str]:
    flow, _ = apply_policy(_flow(*steps), REGISTRY, *([policy] if policy else []))
    return {step.id for step in flow.steps if step.approval is not None}


def _ask(**args: Any) -> dict[str, Any]:
    return {"id": "ask", "tool": "human.approve", "args": {"message": "Mail it to a@b.c?", **args}}


def test_reading_and_computing_need_nobody() -> None:
    flow = _flow(GET, {"id": "up", "tool": "text.upper", "args": {"text": TITLE}})
    assert apply_policy(flow, REGISTRY) == (flow, ())


@pytest.mark.parametrize("tool", ["file.save", "mail.send"])
def test_effects_need_a_person(tool: str) -> None:
    args = {"path": "a", "text": "b"} if tool == "file.save" else {"to": "a", "body": "b"}
    flow, notes = apply_policy(_flow({"id": "do", "tool": tool, "args": args}), REGISTRY)
    assert flow.steps[0].approval is not None
    assert len(notes) == 1
    assert "do" in notes[0]


def test_data_from_outside_is_named_through_any_number_of_steps() -> None:
    flow, notes = apply_policy(
        _flow(
            GET,
            {"id": "up", "tool": "text.upper", "args": {"text": TITLE}},
            {"id": "again", "tool": "text.upper", "args": {"text": "${{ steps.up.text }}"}},
            {
                "id": "save",
                "tool": "file.save",
                "args": {"path": "a", "text": "${{ steps.again.text }}"},
            },
        ),
        REGISTRY,
    )
    assert [step.id for step in flow.steps if step.approval] == ["save"]
    assert "outside" in notes[0]
    assert "again" in notes[0]


def test_taint_counts_where_effects_alone_do_not() -> None:
    lax = read_policy(
        {
            "rules": [
                {"name": "outside", "data": "text", "effects": CHANGING, "then": "approve"},
            ],
            "otherwise": "allow",
        }
    )
    assert _asked(GET, _mail("all our own"), policy=lax) == set()
    assert _asked(GET, _mail(TITLE), policy=lax) == {"mail"}
    mapped = _mail("${{ item.text }}", for_each="${{ steps.get.body.items }}")
    assert _asked(GET, mapped, policy=lax) == {"mail"}


def test_policy_can_ask_about_less() -> None:
    only_final = read_policy(
        {
            "rules": [{"name": "final", "effects": ["irreversible"], "then": "approve"}],
            "otherwise": "allow",
        }
    )
    assert only_final.approve == {Effects.IRREVERSIBLE}
    assert _asked(GET, _mail(TITLE), policy=only_final) == set()


def test_an_approval_of_the_plan_is_kept() -> None:
    own = {"by": ["role:boss"], "deadline": "1h", "message": "Please look."}
    flow = _flow(_mail("b", approval=own))
    assert apply_policy(flow, REGISTRY) == (flow, ())


def test_a_plan_cannot_let_time_approve() -> None:
    flow, notes = apply_policy(
        _flow(_mail("b", approval={"deadline": "1s", "on_deadline": "approve"})), REGISTRY
    )
    assert flow.steps[0].approval is not None
    assert flow.steps[0].approval.on_deadline == "reject"
    assert len(notes) == 1


def test_a_second_application_changes_nothing() -> None:
    once, notes = apply_policy(_flow(GET, _mail(TITLE)), REGISTRY)
    assert notes
    assert apply_policy(once, REGISTRY) == (once, ())


def test_a_harmless_question_is_no_yes_to_anything() -> None:
    mail = _mail("all our secrets", depends_on=["ask"])
    assert _asked(_ask(), mail) == {"mail"}
    assert _asked(_ask(data={"anything": "else"}), mail) == {"mail"}
    assert _asked(_ask(data={"body": "all our secrets"}), mail) == set()
    assert _asked(_ask(message="Mail all our secrets to a@b.c?"), mail) == set()


def test_a_question_in_front_that_shows_the_data_is_enough() -> None:
    assert _asked(GET, _ask(data=TITLE), _mail(TITLE, depends_on=["ask"])) == set()
    shown_whole = _ask(data={"page": "${{ steps.get.body }}"})
    assert _asked(GET, shown_whole, _mail(TITLE, depends_on=["ask"])) == set()


@pytest.mark.parametrize(
    ("ask", "mail"),
    [
        (_ask(data=TITLE), _mail(TITLE)),
        (_ask(), _mail(TITLE, depends_on=["ask"])),
        (_ask(data="${{ steps.get.status }}"), _mail(TITLE, depends_on=["ask"])),
        ({**_ask(data=TITLE), "on_error": "continue"}, _mail(TITLE, depends_on=["ask"])),
        ({**_ask(data=TITLE), "for_each": []}, _mail(TITLE, depends_on=["ask"])),
        (
            _ask(data=TITLE, on_deadline="approve"),
            _mail(TITLE, depends_on=["ask"]),
        ),
        (_ask(data=TITLE), _mail(TITLE, depends_on=["ask"], trigger_rule="all_done")),
    ],
)
def test_a_question_that_proves_nothing_replaces_nothing(
    ask: dict[str, Any], mail: dict[str, Any]
) -> None:
    assert _asked(GET, ask, mail) == {"mail"}
