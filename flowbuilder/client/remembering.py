"""Learn from runs of plans that have ended, and recall the plans of goals that are alike.

Nothing is learnt while a run is under way, and by no worker: whoever plans, or asks for memories,
takes in first what has ended meanwhile, in one statement for all of it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from flowbuilder.client.planning import plan_from_json
from flowbuilder.client.session import Session
from flowbuilder.errors import FlowBuilderError
from flowbuilder.executor.memories import EndedRun
from flowbuilder.planner.base import PlanRequest
from flowbuilder.planner.memory.abstraction import abstract_goal, abstract_plan, tools_of
from flowbuilder.planner.memory.likeness import NEAR, goal_stems
from flowbuilder.planner.memory.recollection import Example, Recollection, rule_text
from flowbuilder.planner.retrieval import CoUse
from flowbuilder.types import JsonObject, JsonValue

#: Runs that are learnt from at once, and how often in a row.
_AT_ONCE, _MOST_PAGES = 100, 10
#: Adopted rules that a planner is told; the tools of most others are not there.
_MOST_RULES = 12
_MOST_LESSONS = 500
#: Chains of tools that weigh in when tools are looked for.
_MOST_CHAINS = 200
_CODE = re.compile(r"[a-z][a-z0-9_]{0,59}")


async def note(session: Session, run_id: str, plan_id: str) -> None:
    """Note the run of a plan to be learnt from; nothing while memory is off."""
    if session.settings.memory:
        await session.store.note_run(run_id, plan_id)


async def take_in(session: Session) -> int:
    """Learn from all runs that have ended; returns from how many."""
    learnt = 0
    for _ in range(_MOST_PAGES):
        ended = await session.store.runs_to_learn(limit=_AT_ONCE)
        if not ended:
            break
        told = [_lesson(session, run) for run in ended]
        learnt += await session.store.learn(told, most=session.settings.memory_size)
    return learnt


async def with_memory(session: Session, request: PlanRequest) -> PlanRequest:
    """Return the request with what runs of before have taught; unchanged while memory is off."""
    if not session.settings.memory:
        return request
    await take_in(session)
    found = Recollection(
        examples=await _examples(session, request), rules=await _rules(session, request)
    )
    if session.settings.memory_ranking:
        chains = await session.store.memory_patterns(limit=_MOST_CHAINS)
        known = [row.tools for row in chains if row.completed]
        request = replace(request, co_use=request.co_use.joined(CoUse.learn(known)))
    return replace(request, memory=found) if found else request


async def _examples(session: Session, request: PlanRequest) -> tuple[Example, ...]:
    """Return the nearest goals of before whose tools are all still there, each chain once."""
    most = session.settings.memory_examples
    if not most:
        return ()
    stems = goal_stems(request.goal)
    found: dict[tuple[str, ...], Example] = {}
    for row in await session.store.recall(stems, least=NEAR, limit=10 * most):
        chain = tuple(row.tools)
        if chain not in found and all(request.registry.get(name) for name in chain):
            found[chain] = Example(goal=abstract_goal(row.goal), plan=row.plan)
    return tuple(found.values())[:most]


async def _rules(session: Session, request: PlanRequest) -> tuple[str, ...]:
    lessons = await session.store.memory_lessons(limit=_MOST_LESSONS)
    kept = {
        rule_text(row.kind, row.tool)
        for row in lessons
        if row.status == "adopted" and request.registry.get(row.tool) is not None
    }
    return tuple(sorted(kept)[:_MOST_RULES])


def _lesson(session: Session, run: EndedRun) -> JsonObject:
    """Return what a run teaches, as a row."""
    document: Any = run.document
    goal = str(document.get("goal") or "")
    tools, plan = _chain(session, run)
    usage = document.get("usage") or {}
    failures: list[JsonValue] = [
        {"tool": str(item["tool"]), "code": _plain_code(item["code"])} for item in run.failures
    ]
    return {
        "run_id": run.run_id,
        "plan_id": run.plan_id,
        "goal": goal,
        "stems": [*goal_stems(goal)],
        "planner": str(document.get("planner") or ""),
        "tools": [*tools],
        "plan": plan,
        "outcome": run.outcome,
        "failures": failures,
        "rejected": [*run.rejected],
        "seconds": run.seconds,
        "tokens": int(usage.get("prompt_tokens") or 0) + int(usage.get("completion_tokens") or 0),
        "cost_usd": usage.get("cost_usd"),
    }


def _chain(session: Session, run: EndedRun) -> tuple[list[str], JsonObject]:
    """Return the tools and the steps of a plan; nothing of one that cannot be read any more."""
    try:
        plan = plan_from_json(run.document)
        return tools_of(plan), abstract_plan(plan, session.registry)
    except (FlowBuilderError, ValueError, KeyError, TypeError):
        return [], {"tasks": []}


def _plain_code(code: object) -> str:
    """Return an error's code; what is no code may be a text of somebody outside."""
    return code if isinstance(code, str) and _CODE.fullmatch(code) else "failed"
