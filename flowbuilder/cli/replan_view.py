"""A new plan for the rest of a run, told in a line."""

from __future__ import annotations

from typing import Any

from flowbuilder.cli.output import shorten
from flowbuilder.types import JsonObject


def removed_steps(data: JsonObject) -> list[str]:
    """Return the ids of the steps that a new plan leaves out."""
    diff: Any = data.get("diff")
    return [str(item["id"]) for item in diff["removed"]]


def told_change(data: JsonObject) -> str:
    """Say what a new plan does otherwise, step by step."""
    diff: Any = data.get("diff")
    parts = [f"+ {item['id']} ({item['tool']})" for item in diff["added"]]
    for item in diff["changed"]:
        fields = {field["pointer"].split("/")[1]: field for field in item["fields"]}
        tool = fields.get("tool")
        told = f"{tool['old']} → {tool['new']}" if tool else ", ".join(fields)
        parts.append(f"~ {item['id']} ({told})")
    parts += [f"- {item['id']}" for item in diff["removed"]]
    return ", ".join(parts) or "the same steps once more"


def why_no_plan(error: dict[str, Any]) -> str:
    """Say why a run that failed was not planned anew; "" when nobody was asked."""
    reason = error.get("replan")
    if not isinstance(reason, dict):
        return ""
    return f" (no new plan: {shorten(str(reason.get('message') or reason.get('code')), 200)})"
