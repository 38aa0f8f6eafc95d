"""Whatever stands in an address: the answer is one that the document has, and never a failure."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from tests.acceptance.test_two_workspaces import BODIES
from tests.support.api import problem, service

ODD = [
    "%00",
    "a%00b",
    "%ff",
    "%ed%a0%80",
    "%F0%9F%92%A9",
    "..%2f..%2fetc",
    "%2e%2e",
    "%252e",
    "1_000",
    "%EF%BC%91",
    "9223372036854775808",
    "-1",
    "1e131000",
    quote("' or 1=1 --"),
    quote("\u202e\u200b"),
    "x" * 5000,
]
#: Asked without a body they would do what they are for, to everybody.
_LEFT_OUT = {("DELETE", "/api/v1/memory"), ("POST", "/api/v1/auth/logout")}


def texts(operation: dict[str, Any]) -> list[str]:
    """The query parameters of an operation that are texts."""
    return [
        item["name"]
        for item in operation.get("parameters", [])
        if item["in"] == "query" and "string" in str(item["schema"])
    ]


async def test_odd_addresses_get_what_is_documented(dsn: str) -> None:
    async with service(dsn) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
        asked = 0
        for template, operations in paths.items():
            for method, operation in operations.items():
                name = method.upper()
                if (name, template) in _LEFT_OUT:
                    continue
                addresses = [
                    re.sub(r"\{\w+\}", lambda _, value=value: value, template)  # type: ignore[misc]
                    for value in ODD
                    if "{" in template
                ]
                plain = re.sub(r"\{\w+\}", "5b0f3c5e-8f3a-4d39-9d5e-0f6f1f4b7a11", template)
                addresses += [
                    f"{plain}?{query}={value}" for query in texts(operation) for value in ODD
                ]
                for address in addresses:
                    body = BODIES.get(f"{name} {template}")
                    answer = await client.request(name, address, json=body)
                    asked += 1
                    if answer.status_code not in (404, 405):  # another address, or another route
                        known = operation["responses"]
                        said = (name, address[:200], answer.status_code, answer.text[:300])
                        assert str(answer.status_code) in known, said
                    page = operation["responses"].get(str(answer.status_code), {})
                    if answer.status_code >= 400 and "text/html" not in page.get("content", {}):
                        problem(answer, answer.status_code)
        assert asked > 1000
