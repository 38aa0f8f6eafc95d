"""A made-up catalogue of any size: what one does to things of many trades."""

from __future__ import annotations

from itertools import islice, product
from typing import Any

from flowbuilder.tools import Effects, Tool, ToolRegistry

_VERBS = ("get", "list", "create", "update", "cancel", "check", "compare", "estimate", "track")
_TRADES = (
    "bakery", "harbour", "vineyard", "archive", "foundry", "orchard", "theatre", "quarry",
    "railway", "dairy", "aquarium", "nursery", "brewery", "tannery", "observatory", "shipyard",
    "sawmill", "apiary", "greenhouse", "pottery", "printshop", "stable", "workshop", "clinic",
)  # fmt: skip
_THINGS = (
    "order", "invoice", "shift", "delivery", "permit", "inspection", "booking", "inventory",
    "complaint", "contract", "price", "schedule", "repair", "visitor", "forecast", "licence",
    "refund", "audit", "shipment", "sensor", "training", "budget", "donation", "tariff",
)  # fmt: skip


def made_tool(
    name: str,
    summary: str,
    takes: dict[str, str] | None = None,
    gives: dict[str, str] | None = None,
    *,
    effects: Effects = Effects.READ,
) -> Tool:
    """Return a tool of texts; takes and gives are descriptions by name, all arguments required."""

    def handler(**arguments: Any) -> dict[str, Any]:
        return arguments

    return Tool(
        name=name,
        summary=summary,
        handler=handler,
        input_schema={**_shape(takes or {}), "required": [*(takes or {})]},
        output_schema=_shape(gives or {}),
        effects=effects,
    )


def made_tools(size: int) -> list[Tool]:
    """Return so many different tools, at most 5,184."""
    every = product(_VERBS, _THINGS, _TRADES)
    return [_made(*parts) for parts in islice(every, size)]


def made_registry(size: int) -> ToolRegistry:
    """Return a registry of so many different tools."""
    return ToolRegistry(made_tools(size))


def _made(verb: str, thing: str, trade: str) -> Tool:
    return made_tool(
        f"{trade}.{verb}_{thing}",
        f"{verb.capitalize()} the {thing} of a {trade}.",
        {f"{trade}_name": f"Name of the {trade}", "day": "Day in the calendar"},
        {f"{thing}_number": f"Number of the {thing}", "state": "How it stands"},
    )


def _shape(fields: dict[str, str]) -> dict[str, Any]:
    properties = {name: {"type": "string", "description": text} for name, text in fields.items()}
    return {"type": "object", "properties": properties, "additionalProperties": False}
