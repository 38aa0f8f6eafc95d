"""Somebody who is only described, to whom a mail goes: the address is asked for, and no more."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowbuilder.errors import NoFittingTool
from flowbuilder.plan import Plan, PlanStatus
from flowbuilder.tools import ToolRegistry
from tests.support.outside import connected
from tests.unit.data.rules_measure import plan_goal, registry

SERVER = {"email": {"host": "mail.example", "sender": "f@example.org", "domains": ["*"]}}
MESSAGE = ["send.to", "send.subject", "send.text"]


@pytest.fixture
def mailing(tmp_path: Path) -> ToolRegistry:
    found, _ = connected(tmp_path, SERVER)
    return found


def asked(plan: Plan) -> list[str]:
    assert plan.status is PlanStatus.NEEDS_ANSWERS and not plan.certain
    return [question.id for question in plan.questions]


@pytest.mark.parametrize(
    "goal", ["send a mail to the owner", "Send the owner an e-mail", "email the owner"]
)
def test_who_gets_a_mail_is_no_subject_of_it(goal: str, mailing: ToolRegistry) -> None:
    plan = plan_goal(goal, mailing)
    assert asked(plan) == MESSAGE and plan.flow is not None
    assert [(step.tool, dict(step.args)) for step in plan.flow.steps] == [("email.send", {})]


@pytest.mark.parametrize(
    "goal",
    [
        "Read a.txt and send a mail to the owner",
        "Read a.txt and mail it to the owner",
        "Read a.txt and email it to my boss",
    ],
)
def test_what_was_read_goes_to_whom_is_asked_for(goal: str, mailing: ToolRegistry) -> None:
    plan = plan_goal(goal, mailing)
    assert asked(plan) == ["send.to"] and plan.flow is not None
    assert [step.tool for step in plan.flow.steps] == ["file.read", "email.send"]
    sent = dict(plan.flow.steps[1].args)
    assert sent == {"text": "${{ steps.read.text }}", "subject": "Read a.txt"}


def test_what_a_mail_is_about_is_its_subject(mailing: ToolRegistry) -> None:
    plan = plan_goal("send an email to the team about the outage", mailing)
    assert asked(plan) == ["send.to", "send.text"] and plan.flow is not None
    assert dict(plan.flow.steps[0].args) == {"subject": "outage"}


def test_an_address_that_is_told_is_taken(mailing: ToolRegistry) -> None:
    plan = plan_goal("Read a.txt and email it to ann@example.org", mailing)
    assert plan.certain and plan.flow is not None
    assert plan.flow.steps[1].args["to"] == ["ann@example.org"]


@pytest.mark.parametrize(
    "goal",
    [
        "send a mail to the owner",
        "Send the owner a mail",
        "Read p.csv and send a mail to the owner",
        "send an email to the owner saying hello",
        "send a text message to the owner",
    ],
)
def test_nothing_else_is_planned_where_no_tool_mails(goal: str) -> None:
    with pytest.raises(NoFittingTool, match=r"(?i)send .*owner"):
        plan_goal(goal, registry("starter"))
