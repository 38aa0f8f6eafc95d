"""Names of spans and attributes: what of OpenTelemetry's conventions is still under way is here.

The conventions for messaging and for language models are in development. OpenTelemetry's own
variable `OTEL_SEMCONV_STABILITY_OPT_IN` says who wants which: with `gen_ai_latest_experimental` the
provider's attribute has its newer name alone, else the older one is sent too.
"""

from __future__ import annotations

Attributes = dict[str, str | int | float | bool | list[str]]

#: The queue of tasks, as spans name it.
QUEUE = "flowbuilder_tasks"

RUN_ID = "flowbuilder.run.id"
FLOW = "flowbuilder.flow"
STEP = "flowbuilder.step"
TASK_ID = "flowbuilder.task.id"
ATTEMPT = "flowbuilder.attempt"
TOOL = "flowbuilder.tool"
OUTCOME = "flowbuilder.outcome"
STATUS = "flowbuilder.status"
APPROVAL_ID = "flowbuilder.approval.id"
DECISION = "flowbuilder.decision"
PLAN_ID = "flowbuilder.plan.id"
PLANNER = "flowbuilder.planner"
ARGUMENTS = "flowbuilder.arguments"
RESULT = "flowbuilder.result"
GOAL = "flowbuilder.goal"
ERROR_TYPE = "error.type"
HTTP_METHOD = "http.request.method"
HTTP_ROUTE = "http.route"
HTTP_STATUS = "http.response.status_code"
REQUEST_ID = "flowbuilder.request.id"

_INPUT_MESSAGES = "gen_ai.input.messages"
_OUTPUT_MESSAGES = "gen_ai.output.messages"


def sending(count: int) -> Attributes:
    """Return what a span says that puts work into the queue."""
    return {
        "messaging.system": "pgmq",
        "messaging.operation.type": "send",
        "messaging.operation.name": "exchange",
        "messaging.destination.name": QUEUE,
        "messaging.batch.message_count": count,
    }


def processing(*, run_id: str, step: str | None, task_id: int, attempt: int) -> Attributes:
    """Return what the span of an attempt says."""
    return {
        "messaging.system": "pgmq",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": QUEUE,
        "messaging.message.id": str(task_id),
        RUN_ID: run_id,
        STEP: step or "",
        TASK_ID: task_id,
        ATTEMPT: attempt,
    }


def model_call(model: str, *, newest: bool) -> Attributes:
    """Return what the span of a model call says before there is an answer."""
    provider = model.partition("/")[0] if "/" in model else "litellm"
    said: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": model,
        "gen_ai.provider.name": provider,
    }
    if not newest:
        said["gen_ai.system"] = provider
    return said


def model_answer(prompt: int, completion: int, finish_reason: str | None) -> Attributes:
    """Return what the span of a model call says of its answer."""
    said: Attributes = {
        "gen_ai.usage.input_tokens": prompt,
        "gen_ai.usage.output_tokens": completion,
    }
    if finish_reason:
        said["gen_ai.response.finish_reasons"] = [finish_reason]
    return said


def model_content(prompt: str | None = None, answer: str | None = None) -> Attributes:
    """Return prompts and answers, for those who have asked for them."""
    said: Attributes = {}
    if prompt is not None:
        said[_INPUT_MESSAGES] = prompt
    if answer is not None:
        said[_OUTPUT_MESSAGES] = answer
    return said
