"""One task of a run, and the values of a run one by one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Path, Response

from flowbuilder.api.dependencies import Builder, RunId
from flowbuilder.api.problem_documents import documented
from flowbuilder.api.values import VALUE_PATTERN, TaskDetailOut, value_response
from flowbuilder.client import Run
from flowbuilder.errors import NotFound
from flowbuilder.executor.states import RunStatus, TaskStatus
from flowbuilder.types import JsonValue

router = APIRouter(prefix="/runs", tags=["runs"])

TaskId = Annotated[int, Path(ge=1, le=9_223_372_036_854_775_807, description="The task's id.")]
ValueName = Annotated[
    str,
    Path(
        pattern=VALUE_PATTERN,
        description="`input`, `output`, `steps.<id>` or `tasks.<id>` for what these have given.",
    ),
]


@router.get("/{run_id}/tasks/{task_id}", summary="Show a task", responses=documented(404))
async def get_task(builder: Builder, run_id: RunId, task_id: TaskId) -> TaskDetailOut:
    """Return a task with its arguments, its result or error, and every attempt."""
    run = await builder.get_run(run_id)
    return TaskDetailOut.of_detail(await run.task(task_id))


@router.get(
    "/{run_id}/values/{value}",
    summary="Get a value of a run",
    response_class=Response,
    responses={
        200: {"description": "The value alone.", "content": {"application/json": {"schema": {}}}},
        304: {"description": "It is still the one of `If-None-Match`."},
        **documented(404),
    },
)
async def get_value(
    builder: Builder,
    run_id: RunId,
    value: ValueName,
    if_none_match: Annotated[
        str | None, Header(description="Only if the value has none of these ETags.")
    ] = None,
) -> Response:
    """Return one value, however large. Lists name these addresses in `by_reference`."""
    run = await builder.get_run(run_id)
    return value_response(await _value(run, value), if_none_match)


async def _value(run: Run, name: str) -> JsonValue:
    kind, _, which = name.partition(".")
    if kind == "input":
        return run.row.input
    if kind == "steps":
        return await run.step_output(which)
    if kind == "tasks":
        task = (await run.task(int(which))).task
        if task.status is TaskStatus.COMPLETED:
            return task.output
    elif run.row.status is RunStatus.COMPLETED:
        return run.row.output
    raise NotFound("there is no such value, or not yet", code="value_not_found")
