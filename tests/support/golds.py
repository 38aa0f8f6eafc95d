"""A small catalogue and gold plans over it, for simulated models."""

from __future__ import annotations

from typing import Any

from flowbuilder.evals.world import ToolSpec, read_catalogue
from flowbuilder.types import JsonObject


def _object(**properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [*properties],
        "additionalProperties": False,
    }


TEXT, NUMBER = {"type": "string"}, {"type": "integer"}
SPECS: list[ToolSpec] = [
    *read_catalogue(
        [
            {
                "name": "order.find",
                "description": "Look up an order by its number.",
                "input_schema": _object(number=NUMBER),
                "output_schema": _object(customer=TEXT, total=NUMBER, note=TEXT),
            },
            {
                "name": "customer.find",
                "description": "Look up a customer by name.",
                "input_schema": _object(name=TEXT),
                "output_schema": _object(email=TEXT, city=TEXT),
            },
            {
                "name": "mail.send",
                "description": "Send a mail to a customer.",
                "input_schema": _object(to=TEXT, text=TEXT),
                "output_schema": _object(sent={"const": True}),
                "effects": "external",
            },
        ]
    ).values()
]


def gold(number: int) -> JsonObject:
    """The plan of `goal(number)`."""
    steps: Any = [
        {"id": "order", "tool": "order.find", "args": {"number": number}},
        {
            "id": "customer",
            "tool": "customer.find",
            "args": {"name": "${{ steps.order.customer }}"},
        },
        {
            "id": "mail",
            "tool": "mail.send",
            "args": {"to": "${{ steps.customer.email }}", "text": "${{ steps.order.note }}"},
        },
    ]
    return {"flow": "gold", "steps": steps}


def goal(number: int) -> str:
    """A goal that names all that its plan does."""
    return f"Look up order {number}, look up its customer and send a mail with the order's note"


GOLDS: dict[str, JsonObject] = {goal(number): gold(number) for number in range(1, 30)}
