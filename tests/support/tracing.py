"""Spans kept in memory, for tests that look at traces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from flowbuilder.telemetry import tracing


class Spans:
    """What was traced, in the order in which it ended."""

    def __init__(self, exporter: InMemorySpanExporter, provider: TracerProvider) -> None:
        self._exporter = exporter
        self.provider = provider

    def all(self) -> Sequence[ReadableSpan]:
        """Every span that has ended."""
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        """Those of this name."""
        return [span for span in self.all() if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """The only one of this name."""
        [found] = self.named(name)
        return found

    def servers(self) -> list[ReadableSpan]:
        """Those of requests that came in."""
        return [span for span in self.all() if span.kind is SpanKind.SERVER]

    def text(self) -> str:
        """Everything that leaves the process."""
        return "\n".join(span.to_json() for span in self.all())


def name_of(span: ReadableSpan) -> str:
    """The `traceparent` of a span."""
    context = span.get_span_context()
    assert context is not None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"


def links_of(span: ReadableSpan) -> set[str]:
    """The `traceparent`s of what a span links to."""
    return {
        f"00-{link.context.trace_id:032x}-{link.context.span_id:016x}-01" for link in span.links
    }


def parent_of(span: ReadableSpan) -> str | None:
    """The `traceparent` of what a span belongs under."""
    found = span.parent
    return None if found is None else f"00-{found.trace_id:032x}-{found.span_id:016x}-01"


@contextmanager
def traced(*, content: bool = False, follow: bool = False) -> Iterator[Spans]:
    """Trace into memory while the context is open."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider, content=content, follow=follow)
    try:
        yield Spans(exporter, provider)
    finally:
        tracing.switch_off()
        provider.shutdown()
