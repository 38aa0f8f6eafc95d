"""Steps whose tool is a function of this process.

Each function becomes a tool `function.<worker>.<step>…` of the worker inside this process, with
the schemas of its type hints. The run's version names that worker as the owner: no other worker
takes such a step, and when the process is gone the step fails as `function_gone`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from typing import Any

from flowbuilder.client.session import Session
from flowbuilder.errors import DefinitionError, ExecutionError, Problem
from flowbuilder.tools import Tool, ToolRegistry, tool
from flowbuilder.tools.labels import function_name
from flowbuilder.types import JsonObject

Functions = Mapping[str, Callable[..., Any]]


async def with_function_tools(
    session: Session, document: JsonObject, functions: Functions
) -> tuple[JsonObject, ToolRegistry, str]:
    """Return the document with the functions as tools, a registry with them, and the owner's id.

    Raises:
        DefinitionError: A function belongs to no step, or cannot be a tool.
        ExecutionError: This process has no worker (no_worker).
    """
    if not session.workers:
        raise ExecutionError(
            "this process has no worker to run functions",
            code="no_worker",
            hint="Connect with worker=True, or use `async with fb.worker():`.",
        )
    worker = session.workers[0]
    steps = document.get("steps")
    listed = [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    _refuse_unused(functions, {step.get("id") for step in listed})
    made = {
        name: _as_tool(session, worker.id, name, function) for name, function in functions.items()
    }
    changed = [
        {**step, "tool": made[str(step["id"])].name} if step.get("id") in made else step
        for step in listed
    ]
    await worker.add_functions(made.values())
    registry = session.registry.merged(made.values())
    return {**document, "steps": list(changed)}, registry, worker.id


def _refuse_unused(functions: Functions, step_ids: set[Any]) -> None:
    problems = [
        Problem(
            code="function_unused",
            pointer="/steps",
            message=f"there is no step {name!r} for the function of that name",
            hint=f"The steps are {', '.join(sorted(map(str, step_ids)))}." if step_ids else None,
        )
        for name in functions
        if name not in step_ids
    ]
    if problems:
        raise DefinitionError("a function belongs to no step", problems=problems)


def _as_tool(session: Session, worker_id: str, step_id: str, function: Callable[..., Any]) -> Tool:
    """Return the tool of a function; the same function of the same step is the same tool.

    So the same graph executed again is the same version, and its idempotency key keeps working.
    """
    handler = function.handler if isinstance(function, Tool) else function
    key = (worker_id, step_id, _identity(handler))
    known = session.functions.get(key)
    if known is not None:
        return known
    others = sum(1 for other in session.functions if other[:2] == key[:2])
    name = function_name(worker_id, step_id, others + 1)
    made = function if isinstance(function, Tool) else _declared(function, step_id)
    session.functions[key] = replace(made, name=name)
    return session.functions[key]


def _declared(function: Callable[..., Any], step_id: str) -> Tool:
    """Declare a function; what is wrong with it is said in terms of the step."""
    return tool(f"step.{step_id}", untyped=True)(function)


def _identity(handler: Callable[..., Any]) -> Hashable:
    """Two bound methods of one object are equal, but not the same object: compare by value."""
    try:
        hash(handler)
    except TypeError:
        return id(handler)
    return handler
