"""How well the local model plans everyday goals; needs it served, takes minutes, asked for only.

flowbuilder model fetch && flowbuilder model serve &
FLOWBUILDER_TEST_MODEL_API_BASE=http://127.0.0.1:8933/v1 pytest -m needs_model
"""

from __future__ import annotations

import os
import uuid

import pytest

from flowbuilder.errors import ModelOutputError, PlanningError
from flowbuilder.plan import Plan
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.settings import Settings
from flowbuilder.tools import ToolRegistry
from tests.support.everyday import CATALOGUES, everyday_goals

BASE = os.environ.get("FLOWBUILDER_TEST_MODEL_API_BASE", "")
pytestmark = [
    pytest.mark.needs_model,
    pytest.mark.skipif(not BASE, reason="FLOWBUILDER_TEST_MODEL_API_BASE names no model server"),
]


async def plan_goal(goal: str, registry: ToolRegistry) -> Plan | None:
    """Return the model's plan, None if it was refused."""
    settings = Settings.load(
        model="openai/local", model_api_base=BASE, model_api_key="local", model_timeout="10m"
    )
    request = PlanRequest(id=str(uuid.uuid4()), goal=goal, registry=registry)
    plan: Plan | None = None
    try:
        async for event in ModelPlanner(settings).stream(request):
            plan = event.plan or plan
    except (PlanningError, ModelOutputError):
        return None
    return plan


@pytest.mark.parametrize("catalogue", sorted(CATALOGUES))
@pytest.mark.parametrize(("wording", "least"), [("plain", 13), ("reworded", 10)])
async def test_everyday_goals_come_out_right(catalogue: str, wording: str, least: int) -> None:
    wrong, invalid = [], []
    goals = everyday_goals(catalogue)
    for goal in goals:
        text = goal.plain if wording == "plain" else goal.reworded
        plan = await plan_goal(text, CATALOGUES[catalogue])
        if plan is None or not goal.is_met_by(plan):
            wrong.append(text)
        if plan is not None and not plan.valid and not plan.questions:
            invalid.append(text)
    assert not invalid
    assert len(goals) - len(wrong) >= least, wrong
