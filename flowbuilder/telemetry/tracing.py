"""Traces by OpenTelemetry, which nothing is loaded of until they are switched on.

A trace goes on over the queue, over people's decisions and over processes: while a span is open,
every statement that this process sends says its `traceparent` to its own transaction
(`executor/database.py`), and the rows that it makes keep it (`runs.trace`, `tasks.trace`,
`approvals.trace`). Spans of a run belong to the trace of the request that started it; what made a
task ready, and who decided about it, are links.

Without a provider (no SDK, or none configured) spans record nothing and nothing is written down.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from flowbuilder.errors import SettingsError
from flowbuilder.secrecy import REDACTOR
from flowbuilder.settings import Settings
from flowbuilder.telemetry.conventions import Attributes

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Link, SpanContext, Tracer, TracerProvider

log = logging.getLogger(__name__)

SpanKindName = Literal["internal", "server", "client", "producer", "consumer"]
T = TypeVar("T")

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_NOBODY = re.compile(r"0+")
#: Of prompts, arguments and results in spans, where they are wanted.
_LONGEST_CONTENT = 8192


class _State:
    """What is switched on in this process."""

    tracer: Tracer | None = None
    content = False
    follows = False
    newest = False


_state = _State()


class Span:
    """A span that is open, or nothing at all where nothing is traced."""

    __slots__ = ("_span",)

    def __init__(self, span: Any = None) -> None:
        self._span = span

    def note(self, attributes: Attributes) -> None:
        """Add attributes. Texts pass the redactor, whatever they are."""
        if self._is_open:
            self._span.set_attributes(_clean(attributes))

    def content(self, name: str, value: object) -> None:
        """Add a prompt, an argument or a result, redacted and cut, if that is wanted at all."""
        if _state.content and self._is_open:
            self._span.set_attribute(name, content_text(value))

    def rename(self, name: str) -> None:
        """Give it the name that was not known at its beginning."""
        if self._is_open:
            self._span.update_name(name)

    def fail(self, kind: str) -> None:
        """Mark it as failed, by a code; what the error said stays out of it."""
        if self._is_open:
            from opentelemetry.trace import Status, StatusCode

            self._span.set_attribute("error.type", kind)
            self._span.set_status(Status(StatusCode.ERROR))

    def end(self, at: float | None = None) -> None:
        """End it, now or at a time: for spans that `start` has opened."""
        if self._is_open:
            self._span.end(None if at is None else int(at * 1e9))

    @property
    def _is_open(self) -> bool:
        """Whether it records anything, and has not ended."""
        return self._span is not None and bool(self._span.is_recording())

    @property
    def traceparent(self) -> str | None:
        """What names it to others; None where nothing is recorded."""
        return None if self._span is None else _text(self._span.get_span_context())


NO_SPAN = Span()


def configure(settings: Settings) -> None:
    """Switch traces on or off for this process, as the settings say.

    `on` takes the provider that the program has set up; `console` and `otlp` set one up unless
    there is one already.

    Raises:
        SettingsError: `tracing_exporter_missing`.
    """
    if settings.tracing == "off":
        return
    from opentelemetry import trace

    if settings.tracing in ("console", "otlp") and not _has_provider():
        trace.set_tracer_provider(_provider(settings.tracing))
    use(trace.get_tracer_provider(), content=settings.trace_content, follow=settings.trace_follow)


def use(provider: TracerProvider, *, content: bool = False, follow: bool = False) -> None:
    """Trace by this provider from now on."""
    from flowbuilder import __version__

    _state.tracer = provider.get_tracer("flowbuilder", __version__)
    _state.content = content
    _state.follows = follow
    # OpenTelemetry's variables are its own: no setting of ours stands for them
    wanted = os.environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "")
    _state.newest = "gen_ai_latest_experimental" in [part.strip() for part in wanted.split(",")]


def switch_off() -> None:
    """Trace no more."""
    _state.tracer = None
    _state.content = _state.follows = False


def is_on() -> bool:
    """Whether this process traces."""
    return _state.tracer is not None


def follows_callers() -> bool:
    """Whether a caller's `traceparent` is gone on with, or only linked to."""
    return _state.follows


def newest_names() -> bool:
    """Whether only the newest names of attributes are wanted."""
    return _state.newest


def current() -> str | None:
    """Return the `traceparent` of the span that is open here, None if there is none.

    A task that was begun inside of a span still sees it when that is long over; it does not count.
    """
    if _state.tracer is None:
        return None
    from opentelemetry import trace

    span = trace.get_current_span()
    return None if getattr(span, "end_time", None) is not None else _text(span.get_span_context())


@contextmanager
def span(
    name: str,
    *,
    kind: SpanKindName = "internal",
    attributes: Attributes | None = None,
    parent: str | None = None,
    root: bool = False,
    links: Sequence[str | None] = (),
) -> Iterator[Span]:
    """Open a span around a block; what is raised in it marks it as failed.

    Args:
        name: Of few kinds: no ids.
        kind: As OpenTelemetry has them.
        attributes: Texts in them pass the redactor.
        parent: `traceparent` of the span that it belongs under, instead of the open one.
        root: It belongs under none, where there is no `parent`.
        links: `traceparent`s of others that have to do with it.
    """
    if _state.tracer is None:
        yield NO_SPAN
        return
    from opentelemetry import trace

    opened = start(name, kind=kind, attributes=attributes, parent=parent, root=root, links=links)
    with trace.use_span(opened._span, record_exception=False, set_status_on_exception=False):
        try:
            yield opened
        except BaseException as error:
            opened.fail(str(getattr(error, "code", None) or type(error).__name__))
            raise
        finally:
            opened.end()


def start(
    name: str,
    *,
    kind: SpanKindName = "internal",
    attributes: Attributes | None = None,
    parent: str | None = None,
    root: bool = False,
    links: Sequence[str | None] = (),
    at: float | None = None,
) -> Span:
    """Begin a span that somebody ends later. See `span`.

    `at` (seconds since 1970) is for what has begun before it could be told.
    """
    if _state.tracer is None:
        return NO_SPAN
    from opentelemetry.trace import SpanKind

    opened = _state.tracer.start_span(
        name,
        context=_context(parent, root),
        kind=SpanKind[kind.upper()],
        attributes=_clean(attributes or {}),
        links=[link for text in links if (link := _link(text)) is not None],
        start_time=None if at is None else int(at * 1e9),
    )
    return Span(opened)


async def within(opened: Span, items: AsyncIterator[T]) -> AsyncIterator[T]:
    """Yield what comes, with a span open while it is made and not while it is looked at."""
    if opened._span is None:
        async for item in items:
            yield item
        return
    from opentelemetry import trace

    coming = aiter(items)
    try:
        while True:
            with trace.use_span(
                opened._span, record_exception=False, set_status_on_exception=False
            ):
                try:
                    item = await anext(coming)
                except StopAsyncIteration:
                    return
            yield item
    finally:
        close = getattr(items, "aclose", None)
        if close is not None:
            await close()


def content_text(value: object) -> str:
    """Return a value as JSON without secrets, cut to a bearable length."""
    clean = REDACTOR.fields(value)  # type: ignore[arg-type]
    try:
        text = json.dumps(clean, ensure_ascii=False, default=str)
    except (TypeError, ValueError):
        text = str(type(value).__name__)
    return REDACTOR.text(text)[:_LONGEST_CONTENT]


def wants_content() -> bool:
    """Whether prompts, arguments and results belong into spans."""
    return _state.tracer is not None and _state.content


def read(traceparent: str | None) -> str | None:
    """Return a `traceparent` that came from outside if it is one, else None."""
    return traceparent if _span_context(traceparent) is not None else None


def _clean(attributes: Attributes) -> Attributes:
    return {
        name: REDACTOR.text(value) if isinstance(value, str) else value
        for name, value in attributes.items()
    }


def _text(context: SpanContext) -> str | None:
    if not context.is_valid:
        return None
    sampled = context.trace_flags & 1
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{sampled:02x}"


def _span_context(traceparent: str | None) -> SpanContext | None:
    found = _TRACEPARENT.fullmatch(traceparent or "")
    if found is None or any(_NOBODY.fullmatch(part) for part in found.groups()[:2]):
        return None
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(
        trace_id=int(found[1], 16),
        span_id=int(found[2], 16),
        is_remote=True,
        trace_flags=TraceFlags(int(found[3], 16) & TraceFlags.SAMPLED),
    )


def _link(traceparent: str | None) -> Link | None:
    from opentelemetry.trace import Link

    context = _span_context(traceparent)
    return None if context is None else Link(context)


def _context(parent: str | None, root: bool) -> Context | None:
    from opentelemetry import trace
    from opentelemetry.context import Context

    context = _span_context(parent)
    if context is not None:
        return trace.set_span_in_context(trace.NonRecordingSpan(context), Context())
    return Context() if root else None


def _has_provider() -> bool:
    from opentelemetry import trace

    return not isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)


def _provider(exporter: str) -> TracerProvider:
    """Return a provider of OpenTelemetry's SDK; its own variables (`OTEL_…`) say the rest."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider as SdkProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = os.environ.get("OTEL_SERVICE_NAME", "flowbuilder")
    provider = SdkProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(_exporter(exporter)))
    return provider


def _exporter(name: str) -> Any:
    if name == "console":
        import sys

        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter(out=sys.stderr)
    try:
        from importlib import import_module

        module = import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ImportError:
        raise SettingsError(
            "FLOWBUILDER_TRACING=otlp needs the package opentelemetry-exporter-otlp-proto-http.",
            code="tracing_exporter_missing",
            hint="pip install opentelemetry-exporter-otlp-proto-http",
        ) from None
    return module.OTLPSpanExporter()
