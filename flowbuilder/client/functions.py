"""Steps whose tool is a function of this process.

Each function becomes a tool `function.<worker>.<step>…` of the worker inside this process, with
the schemas of its type hints. The run's version names that worker as the owner: no other worker
takes such a step, and when the process is gone the step fails as `function_gone`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from flowbuilder.errors import DefinitionError, ExecutionError, Problem
from flowbuilder.tools import Tool, ToolRegistry, tool
from flowbuilder.tools.labels import function_name
from flowbuilder.types import JsonObject

if TYPE_CHECKING:
    from flowbuilder.client.session import Session

#: Whose worker's, of which step, and which function.
_Key: TypeAlias = tuple[str, str, Hashable]
Functions = Mapping[str, Callable[..., Any]]

#: So many are kept for retries, even if no open run uses them.
_KEPT = 64
_MOST = 2 * _KEPT


class HeldFunctions:
    """The functions of this process that steps of runs call, as tools.

    A program may hand in a new function with every run. Those are forgotten, oldest first, when
    the runs that are known to call them have ended; names are never used again.
    """

    def __init__(self) -> None:
        self._tools: dict[_Key, Tool] = {}
        self._runs: dict[_Key, set[str]] = {}
        self._starting: Counter[_Key] = Counter()
        self._numbers: Counter[tuple[str, str]] = Counter()
        self._limit = _MOST

    def __iter__(self) -> Iterator[Tool]:
        return iter(tuple(self._tools.values()))

    def named(self, ref: str) -> Tool | None:
        """Return the tool of a `name@version`."""
        return next((one for one in self._tools.values() if one.ref == ref), None)

    def take(self, worker_id: str, functions: Functions) -> dict[str, Tool]:
        """Return a tool for each function; they are kept until `started` hears of them.

        The same function of the same step is the same tool. So the same graph executed again is
        the same version, and its idempotency key keeps working.
        """
        made: dict[_Key, Tool] = {}
        for step_id, function in functions.items():
            handler = function.handler if isinstance(function, Tool) else function
            key = (worker_id, step_id, _identity(handler))
            made[key] = self._tools.get(key) or self._make(key, function)
        for key, one in made.items():
            self._tools[key] = self._tools.pop(key, one)
            self._starting[key] += 1
        return {key[1]: one for key, one in made.items()}

    def started(self, tools: Iterable[Tool], run_id: str | None) -> None:
        """Hear that a run with these functions was started, or (None) that none was."""
        names = {one.name for one in tools}
        for key in [key for key, one in self._tools.items() if one.name in names]:
            self._starting[key] -= 1
            if run_id is not None:
                self._runs.setdefault(key, set()).add(run_id)

    def retried(self, run_id: str, retry_id: str) -> None:
        """Hear that another run calls the functions of this one."""
        for runs in self._runs.values():
            if run_id in runs:
                runs.add(retry_id)

    async def tidy(self, session: Session) -> None:
        """Forget old functions that no open run calls, when there are many."""
        if len(self._tools) < self._limit:
            return
        self._limit = 2 * len(self._tools)  # one at a time
        try:
            asked = {run for runs in self._runs.values() for run in runs}
            found = await session.store.ended_runs(list(asked))
            self._forget_runs({run for run in asked if found.get(run, run) is not None})
            gone = [
                key for key in self._tools if self._starting[key] <= 0 and not self._runs.get(key)
            ][: max(len(self._tools) - _KEPT, 0)]
            refs = {self._tools.pop(key).ref for key in gone}
            for key in gone:
                self._runs.pop(key, None)
                self._starting.pop(key, None)
            for worker in session.workers:
                await worker.remove_functions(refs)
        finally:
            self._limit = max(_MOST, 2 * len(self._tools))

    def _forget_runs(self, ended: set[str]) -> None:
        for runs in self._runs.values():
            runs -= ended

    def _make(self, key: _Key, function: Callable[..., Any]) -> Tool:
        worker_id, step_id, _ = key
        made = function if isinstance(function, Tool) else _declared(function, step_id)
        self._numbers[worker_id, step_id] += 1
        return replace(
            made, name=function_name(worker_id, step_id, self._numbers[worker_id, step_id])
        )


@asynccontextmanager
async def with_function_tools(
    session: Session, document: JsonObject, functions: Functions
) -> AsyncIterator[WithFunctions]:
    """Give the document with the functions as tools; the block tells which run it was started as.

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
    made = session.functions.take(worker.id, functions)
    changed = [
        {**step, "tool": made[str(step["id"])].name} if step.get("id") in made else step
        for step in listed
    ]
    given = WithFunctions(
        document={**document, "steps": list(changed)},
        registry=session.registry.merged(made.values()),
        owner=worker.id,
    )
    try:
        await worker.add_functions(made.values())
        yield given
    finally:
        session.functions.started(made.values(), given.run_id)
    await session.functions.tidy(session)


@dataclass(kw_only=True, slots=True)
class WithFunctions:
    """A document whose steps call functions of this process."""

    document: JsonObject
    registry: ToolRegistry
    """The session's tools and the functions."""
    owner: str
    """The id of the worker that has the functions."""
    run_id: str | None = None
    """The run that calls them; whoever starts it says so."""


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
        raise DefinitionError(
            f"a function belongs to no step: {problems[0].message}", problems=problems
        )


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
