"""Two catalogues of ten everyday tools each, with goals, to measure a language model by."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from flowbuilder.plan import Plan
from flowbuilder.tools import ToolRegistry, tool


@tool(effects="read", untrusted_output=True)
def http_get(url: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """Fetch a URL and return the response as JSON."""
    return {"url": url, "headers": headers}


@tool
def json_extract(data: Any, path: str) -> Any:
    """Extract a value from JSON data by its dotted path."""
    return data[path]


@tool
def filter_items(
    items: list[dict[str, Any]],
    field: str,
    operator: Literal["==", "!=", "<", "<=", ">", ">="],
    value: float | str,
) -> list[dict[str, Any]]:
    """Keep the items of a list whose field compares true with a value."""
    return [item for item in items if item.get(field) == value or operator == "!="]


@tool
def calculate(expression: str) -> float:
    """Evaluate an arithmetic expression."""
    return float(expression)


@tool("translate_text", effects="read")
def translate_between(text: str, target_language: str, source_language: str | None = None) -> str:
    """Translate text into another language."""
    return f"{source_language}>{target_language}: {text}"


@tool(effects="read")
def summarize_text(text: str, max_words: int = 100) -> str:
    """Summarize a text."""
    return text[:max_words]


@tool("send_email", effects="external")
def send_plain_email(to: str, subject: str, body: str) -> dict[str, Any]:
    """Send an email."""
    return {"to": to, "subject": subject, "body": body}


@tool("write_file", effects="write")
def write_whole_file(path: str, content: str) -> str:
    """Write text to a file and return its path."""
    return f"{path}: {content}"


@tool("read_file", effects="read")
def read_text_file(path: str) -> str:
    """Read a text file."""
    return path


@tool(effects="read")
def run_sql(query: str) -> list[dict[str, Any]]:
    """Run an SQL query against the database and return the rows."""
    return [{"query": query}]


@tool(effects="read")
def get_weather(city: str, units: Literal["metric", "imperial"] = "metric") -> dict[str, Any]:
    """Get the current weather for a city."""
    return {"city": city, "units": units}


@tool(effects="external")
def send_sms(phone: str, message: str) -> bool:
    """Send a text message to a phone number."""
    return bool(phone and message)


@tool(effects="read", untrusted_output=True)
def web_search(query: str, max_results: int = 5) -> list[dict[str, str]]:
    """Search the web."""
    return [{"title": query}] * max_results


@tool(effects="read", untrusted_output=True)
def fetch_url(url: str) -> str:
    """Fetch the contents of a web page."""
    return url


@tool(effects="read")
def read_file(path: str) -> str:
    """Read the contents of a file."""
    return path


@tool(effects="write")
def write_file(path: str, content: str, append: bool = False) -> str:
    """Write content to a file."""
    return f"{path}: {content} {append}"


@tool(effects="read")
def translate_text(text: str, target_language: str) -> str:
    """Translate text into a target language."""
    return f"{target_language}: {text}"


@tool(effects="read")
def convert_currency(amount: float, from_currency: str, to_currency: str) -> float:
    """Convert an amount from one currency to another."""
    return amount if from_currency == to_currency else -amount


@tool(effects="write")
def create_calendar_event(
    title: str, date: str, time: str | None = None, duration_minutes: int = 60
) -> dict[str, Any]:
    """Create a calendar event."""
    return {"title": title, "date": date, "time": time, "duration": duration_minutes}


@tool(effects="external")
def send_email(to: str, subject: str, body: str, cc: list[str] | None = None) -> dict[str, Any]:
    """Send an email message."""
    return {"to": to, "subject": subject, "body": body, "cc": cc}


CATALOGUES = {
    "office": ToolRegistry(
        [
            http_get, json_extract, filter_items, calculate, translate_between, summarize_text,
            send_plain_email, write_whole_file, read_text_file, run_sql,
        ]
    ),
    "errands": ToolRegistry(
        [
            get_weather, send_sms, web_search, fetch_url, read_file, write_file, translate_text,
            convert_currency, create_calendar_event, send_email,
        ]
    ),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Everyday:
    """A goal in two wordings, and what a right plan for it has."""

    plain: str
    reworded: str
    tools: list[list[str]]
    """The sequences of tools that are right."""
    literals: list[str]

    def is_met_by(self, plan: Plan) -> bool:
        """Whether a plan has a right sequence of tools and every literal in some argument."""
        if plan.flow is None or plan.questions or not plan.valid:
            return False
        document: dict[str, Any] = plan.flow.document()
        steps = document["steps"]
        values = [[step.get("args"), step.get("when"), step.get("for_each")] for step in steps]
        written = json.dumps(values, ensure_ascii=False).replace('\\"', '"').lower()
        right = [step["tool"] for step in steps] in self.tools
        return right and all(literal.lower() in written for literal in self.literals)


def everyday_goals(catalogue: str) -> list[Everyday]:
    """Return the fifteen goals over a catalogue."""
    file = Path(__file__).with_name("everyday_goals.yaml")
    found = yaml.safe_load(file.read_text(encoding="utf-8"))[catalogue]
    return [Everyday(**item) for item in found]
