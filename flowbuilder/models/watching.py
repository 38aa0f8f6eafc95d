"""What is noted of calls of models: tokens, what they cost, and a span for each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flowbuilder.metrics import LLM_COST, LLM_TOKENS
from flowbuilder.plan import Usage
from flowbuilder.telemetry import conventions, tracing
from flowbuilder.telemetry.tracing import Span


def begin_call(model: str, messages: object) -> Span:
    """Begin the span of a request to a model's provider."""
    if not tracing.is_on():
        return tracing.NO_SPAN
    span = tracing.start(
        f"chat {model}",
        kind="client",
        attributes=conventions.model_call(model, newest=tracing.newest_names()),
    )
    if tracing.wants_content():
        span.note(conventions.model_content(prompt=tracing.content_text(messages)))
    return span


@contextmanager
def failing(span: Span) -> Iterator[None]:
    """End a call's span when there is no answer to be read."""
    try:
        yield
    except BaseException as error:
        span.fail(str(getattr(error, "code", None) or type(error).__name__))
        span.end()
        raise


def end_call(span: Span, model: str, spent: Usage, text: str, finish_reason: str | None) -> None:
    """Count what a call has taken, and end its span."""
    LLM_TOKENS.add(spent.prompt_tokens, model, "input")
    LLM_TOKENS.add(spent.completion_tokens, model, "output")
    if spent.cost_usd is not None:
        LLM_COST.add(spent.cost_usd, model)
    span.note(conventions.model_answer(spent.prompt_tokens, spent.completion_tokens, finish_reason))
    if tracing.wants_content():
        span.note(conventions.model_content(answer=tracing.content_text(text)))
    span.end()
