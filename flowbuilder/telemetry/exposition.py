"""The numbers of a process as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    SummaryMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from flowbuilder import __version__, metrics
from flowbuilder.metrics import Counter, Gauge, Histogram, Metric, Summary, Values

__all__ = ["CONTENT_TYPE_LATEST", "render"]

#: What was read from the database for this one answer: series by the metric's full name.
Snapshot = Mapping[str, Values]


def render(snapshot: Snapshot | None = None) -> bytes:
    """Return everything in the text format. `snapshot` adds what only the database knows."""
    build: dict[str, Values] = {metrics.BUILD_INFO.full_name: {(__version__,): 1.0}}
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Everything({**build, **(snapshot or {})}))
    return generate_latest(registry)


class _Everything(Collector):
    """Hands out every metric once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Family]:
        for metric in metrics.METRICS.values():
            yield _family(metric, self._snapshot.get(metric.full_name, {}))


def _family(metric: Metric, read: Values) -> Family:
    labels = list(metric.labels)
    if isinstance(metric, Histogram):
        return _histogram(metric, labels)
    if isinstance(metric, Summary):
        count, amount = metric.total()
        return SummaryMetricFamily(
            metric.full_name, metric.help, count_value=int(count), sum_value=amount
        )
    kind = CounterMetricFamily if isinstance(metric, Counter) else GaugeMetricFamily
    family = kind(metric.full_name, metric.help, labels=labels)
    own: Values = metric.values() if isinstance(metric, Counter | Gauge) else {}
    for series, value in sorted({**own, **read}.items()):
        family.add_metric(list(series), value)
    return family


def _histogram(metric: Histogram, labels: list[str]) -> Family:
    family = HistogramMetricFamily(metric.full_name, metric.help, labels=labels)
    bounds = [_text(bound) for bound in metric.bounds] + ["+Inf"]
    for series, (counts, amount) in sorted(metric.series().items()):
        buckets: Iterable[tuple[str, float]] = zip(bounds, accumulate(counts), strict=True)
        family.add_metric(list(series), list(buckets), amount)
    return family


def _text(bound: float) -> str:
    return repr(float(bound))
