"""Names of metrics: Prometheus' rules, and what dashboard, alerts and page say of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from flowbuilder import metrics
from flowbuilder.metrics import METRICS, Counter, Histogram, Kind, Metric, tool_kind
from flowbuilder.telemetry.exposition import render

DOCS = Path(__file__).parents[2] / "docs"
#: What other systems were told to look for.
PROMISED = [
    "runs_started_total{trigger}",
    "runs_finished_total{status}",
    "run_duration_seconds{status}",
    "steps_total{tool_kind,status}",
    "step_duration_seconds{tool_kind}",
    "step_queue_wait_seconds",
    "step_retries_total{reason}",
    "queue_messages{queue,state}",
    "queue_oldest_message_age_seconds{queue}",
    "dead_letter_messages{queue}",
    "leases_expired_total",
    "worker_slots{state}",
    "approvals_pending{risk}",
    "approval_wait_seconds{decision}",
    "planner_requests_total{outcome}",
    "planner_attempts",
    "llm_tokens_total{model,direction}",
    "llm_cost_usd_total{model}",
    "http_request_duration_seconds{route,method,status_class}",
    "sse_connections",
    "sse_delivery_lag_seconds",
    "webhooks_total{result}",
    "schedule_lag_seconds",
    "egress_blocked_total{reason}",
    "auth_failures_total{kind}",
    "db_pool_connections{state}",
    "db_pool_wait_seconds",
    "build_info{version}",
    "migration_version",
]
#: Units that are no base units, and short forms, as promtool refuses them.
ODD_UNITS = {
    *("milliseconds", "microseconds", "nanoseconds", "minutes", "hours", "days", "weeks"),
    *("ms", "us", "ns", "s", "sec", "min", "h", "kilobytes", "megabytes", "gigabytes", "kb"),
    *("mb", "gb", "b", "bits", "percent", "millis", "secs", "fahrenheit"),
}

TAKEN_LABELS = {"le", "quantile", "job", "instance", "run", "workspace", "url", "user"}


def complaints(metric: Metric) -> Iterator[str]:
    """What promtool says to a metric's name, type, help and labels."""
    name, words = metric.full_name, metric.full_name.split("_")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or "__" in name:
        yield "names are words of small letters"
    if (metric.kind is Kind.COUNTER) != name.endswith("_total"):
        yield "counters end in _total, and nothing else does"
    if set(words) & {"counter", "gauge", "histogram", "summary", "metric"}:
        yield "a name does not tell its type"
    if re.search(r"_(count|sum|bucket|created)$", name):
        yield "these ends are those of histograms' own series"
    if set(words) & ODD_UNITS:
        yield "units are base units, written out"
    if name.endswith("_info") and metric.kind is not Kind.GAUGE:
        yield "_info is a gauge"
    if len(metric.help) < 10:
        yield "there is no help"
    if any(not re.fullmatch(r"[a-z][a-z_]*", label) for label in metric.labels):
        yield "labels are words of small letters"
    if set(metric.labels) & {
        "le",
        "quantile",
        "job",
        "instance",
        "run",
        "workspace",
        "url",
        "user",
    }:
        yield "this label is taken, or has no bound"


@pytest.mark.parametrize("metric", METRICS.values(), ids=list(METRICS))
def test_names_are_as_prometheus_wants_them(metric: Metric) -> None:
    assert list(complaints(metric)) == []


def test_the_rules_complain() -> None:
    before = dict(METRICS)
    try:
        odd = Counter(name="odd_counter_ms", help="", labels=("run",))
        assert len(list(complaints(odd))) == 5
    finally:
        METRICS.clear()
        METRICS.update(before)


@pytest.mark.parametrize("promised", PROMISED)
def test_what_was_promised_is_there(promised: str) -> None:
    name, _, labels = promised.rstrip("}").partition("{")
    found = METRICS[f"flowbuilder_{name}"]
    assert list(found.labels) == (labels.split(",") if labels else [])


def test_series_are_bounded() -> None:
    before = dict(METRICS)
    try:
        counter = Counter(name="bounded_total", help="for this test", labels=("a", "b"))
        histogram = Histogram(
            name="bounded", help="for this test", labels=("a",), bounds=(1.0, 5.0)
        )
        for number in range(3 * metrics.MOST_SERIES):
            counter.add(1, str(number), "x" * 5000)
            histogram.observe(number, str(number))
        assert len(counter.values()) == metrics.MOST_SERIES + 1
        assert counter.value("other", "other") == 2 * metrics.MOST_SERIES
        assert sum(counter.values().values()) == 3 * metrics.MOST_SERIES
        assert max(len(label) for labels in counter.values() for label in labels) == 100
        assert histogram.count("other") == 2 * metrics.MOST_SERIES
        with pytest.raises(ValueError, match="labels"):
            counter.add(1, "a")
    finally:
        METRICS.clear()
        METRICS.update(before)


def test_buckets_add_up() -> None:
    metrics.STEP_DURATION.reset()
    for seconds in (0.0, 0.005, 0.0051, 4.0, 10_000.0):
        metrics.STEP_DURATION.observe(seconds, 'a"b\\c\nd')
    text = render().decode()
    metrics.STEP_DURATION.reset()
    [family] = [
        family
        for family in text_string_to_metric_families(text)
        if family.name == "flowbuilder_step_duration_seconds"
    ]
    assert {sample.labels["tool_kind"] for sample in family.samples} == {'a"b\\c\nd'}
    buckets = {s.labels["le"]: s.value for s in family.samples if s.name.endswith("_bucket")}
    assert (buckets["0.005"], buckets["0.025"], buckets["5.0"], buckets["+Inf"]) == (2, 3, 4, 5)
    [total] = [s.value for s in family.samples if s.name.endswith("_sum")]
    assert total == pytest.approx(10_004.0101)


def test_kinds_of_tools_are_few() -> None:
    assert tool_kind("http.get") == "http"
    assert tool_kind("acme.charge_card") == "own"
    assert tool_kind(None) == "control"
    assert metrics.error_reason("attempt_timeout") == "attempt_timeout"
    assert metrics.error_reason("http://x/?key=1") == "other"
    assert metrics.error_reason(None) == "other"


# -- what is written about them -------------------------------------------------------------

_USED = re.compile(r"\bflowbuilder_[a-z_]+\b")
_ENDS = ("_bucket", "_sum", "_count")


def series() -> set[str]:
    """Every name that a query may ask for."""
    names = set(METRICS)
    for metric in METRICS.values():
        if metric.kind in (Kind.HISTOGRAM, Kind.SUMMARY):
            ends = _ENDS if metric.kind is Kind.HISTOGRAM else _ENDS[1:]
            names |= {f"{metric.full_name}{end}" for end in ends}
            names.discard(metric.full_name)
    return names


def expressions() -> Iterator[tuple[str, str]]:
    """Every query of the dashboard and the alerts, by where it stands."""
    dashboard = json.loads((DOCS / "operations" / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield f"panel {panel['title']}", target["expr"]
    for rule in alerts():
        yield f"alert {rule['alert']}", rule["expr"]


def alerts() -> list[dict[str, Any]]:
    document = yaml.safe_load((DOCS / "operations" / "alerts.yaml").read_text())
    return [rule for group in document["groups"] for rule in group["rules"]]


@pytest.mark.parametrize(("place", "query"), list(expressions()))
def test_queries_ask_for_what_there_is(place: str, query: str) -> None:
    asked = set(_USED.findall(re.sub(r'"[^"]*"', "", query)))
    assert asked, place
    assert asked <= series(), (place, asked - series())
    for name, labels in re.findall(r"(flowbuilder_[a-z_]+)\{([^}]*)\}", query):
        metric = METRICS.get(name) or METRICS[re.sub(r"_(bucket|sum|count)$", "", name)]
        wanted = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", labels)) - {"job", "instance"}
        if isinstance(metric, Histogram) and "le" in wanted:
            [bound] = re.findall(r'\ble="([^"]*)"', labels)
            assert float(bound) in metric.bounds
            wanted.remove("le")
        assert wanted <= set(metric.labels), place
    assert query.count("(") == query.count(")")


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    dashboard = json.loads((DOCS / "operations" / "dashboard.json").read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids)) > 10
    [source] = [v for v in dashboard["templating"]["list"] if v["type"] == "datasource"]
    for panel in dashboard["panels"]:
        assert panel["title"]
        assert panel["gridPos"].keys() == {"h", "w", "x", "y"}
        for target in panel.get("targets", ()):
            assert target["datasource"]["uid"] == f"${{{source['name']}}}"


def test_every_alert_says_what_to_do() -> None:
    page = (DOCS / "operations.md").read_text()
    found = alerts()
    assert len({rule["alert"] for rule in found}) == len(found) >= 12
    for rule in found:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        anchor = rule["annotations"]["runbook"].partition("#")[2]
        assert f"### {rule['alert']}\n" in page, rule["alert"]
        assert anchor == rule["alert"].lower()


def test_the_page_lists_every_metric() -> None:
    page = (DOCS / "operations.md").read_text()
    for metric in METRICS.values():
        labels = "{" + ",".join(metric.labels) + "}" if metric.labels else ""
        assert f"| `{metric.full_name}{labels}` |" in page
