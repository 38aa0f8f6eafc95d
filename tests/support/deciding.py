"""A service with users, whose runs ask for approvals, and what their tests have in common."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from flowbuilder.client import FlowBuilder
from flowbuilder.tools import ToolRegistry, tool
from flowbuilder.types import JsonObject, JsonValue
from tests.support.api import app_over, http, users_settings
from tests.support.tenants import Headers, Town
from tests.support.waiting import eventually

MAIL: JsonObject = {
    "id": "mail",
    "tool": "mail.send",
    "args": {"to": "${{ input.to }}", "text": "${{ input.text }}"},
    "retry": {"max_attempts": 1},
}
INPUT: JsonObject = {
    "type": "object",
    "required": ["to", "text"],
    "properties": {"to": {"type": "array", "items": {"type": "string"}}, "text": {}},
}
GIVEN: JsonObject = {"to": ["ada@example.org"], "text": "hello"}


@dataclass(kw_only=True)
class Office:
    """A town in which steps wait for people, and what was sent in it."""

    town: Town
    sent: list[JsonObject] = field(default_factory=list)

    async def asked(
        self, starter: Headers, input: JsonObject | None = None, **approval: Any
    ) -> tuple[str, dict[str, Any]]:
        """Start a run by somebody; returns its id and the approval, once that is asked for."""
        document = {"flow": "letters", "input": INPUT, "steps": [{**MAIL, "approval": approval}]}
        body = {"document": document, "input": GIVEN if input is None else input}
        made = await self.town.call(starter, "POST", "/runs", json=body)
        assert made.status_code == 201, made.text
        run_id = made.json()["id"]
        await self.follow(run_id, "approval_requested")
        found = await self.town.call(starter, "GET", f"/approvals?run_id={run_id}")
        [approval_out] = found.json()["items"]
        return run_id, approval_out

    async def follow(self, run_id: str, kind: str) -> None:
        """Wait for an event of a run."""
        async for event in self.town.builder.follow(run_id):
            if event.type == kind:
                return
        raise AssertionError(f"the run {run_id} has ended without {kind}")

    async def decide(
        self, who: Headers, approval: dict[str, Any], decision: str = "approve", **body: Any
    ) -> httpx.Response:
        """Send a decision."""
        path = f"/approvals/{approval['id']}/decision"
        return await self.town.call(who, "POST", path, json={"decision": decision, **body})

    async def show(self, who: Headers, approval: dict[str, Any]) -> dict[str, Any]:
        """Return an approval as it is now."""
        response = await self.town.call(who, "GET", f"/approvals/{approval['id']}")
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found

    async def mine(self, who: Headers) -> list[str]:
        """Return the ids of what somebody may decide now."""
        found = await self.town.call(who, "GET", "/approvals?mine=true")
        assert found.status_code == 200, found.text
        return [item["id"] for item in found.json()["items"]]

    async def link(self, who: Headers, approval: dict[str, Any]) -> str:
        """Make a link of somebody; returns the path of its page."""
        made = await self.town.call(who, "POST", f"/approvals/{approval['id']}/links")
        assert made.status_code == 201, made.text
        return str(made.json()["path"])

    async def open(self, path: str, method: str = "GET") -> httpx.Response:
        """Open a link, as a browser without a log-in."""
        return await self.town.client.request(method, path)

    async def submit(
        self, path: str, decision: str, headers: dict[str, str] | None = None, **changed: str
    ) -> httpx.Response:
        """Send the form of a link's page."""
        fields = {**form_of((await self.open(path)).text), "decision": decision, **changed}
        return await self.town.client.post(path, data=fields, headers=headers)

    async def jump(self, seconds: float) -> None:
        """Move the database's clock forward."""
        await self.town.builder.store.database.execute(
            b"update flowbuilder.clock set offset_by = offset_by + make_interval(secs => %s)",
            (seconds,),
        )

    async def count(self, statement: str, *values: object) -> int:
        """Return the one number that a statement gives."""
        row = await self.town.builder.store.database.fetch_one(statement.encode(), values)
        assert row is not None
        return int(next(iter(row.values())))

    async def until_sent(self, count: int = 1) -> list[JsonObject]:
        """Wait until so much was sent."""
        await eventually(lambda: len(self.sent) >= count, what="nothing was sent")
        return self.sent


def form_of(page: str) -> dict[str, str]:
    """Return the fields of a page's form as a browser would send them unchanged."""
    fields = {
        name: html.unescape(value)
        for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
    }
    for name, value in re.findall(r'<textarea name="(\w+)"[^>]*>([^<]*)</textarea>', page):
        fields[name] = html.unescape(value)
    return fields


@asynccontextmanager
async def office(dsn: str, *, worker: bool = True, **settings: Any) -> AsyncIterator[Office]:
    """A service with users and a worker, in which mails wait for people."""
    sent: list[JsonObject] = []

    @tool("mail.send", effects="external")
    def send(to: list[str], text: Any) -> str:
        """Send a mail."""
        sent.append({"to": [*to], "text": text})
        return "sent"

    @tool("bank.pay", effects="irreversible")
    def pay(amount: int) -> int:
        """Pay."""
        sent.append({"amount": amount})
        return amount

    opened = FlowBuilder.connect(
        settings=users_settings(dsn, **settings),
        registry=ToolRegistry([send, pay]),
        worker=worker,
    )
    async with opened as builder:
        app = app_over(builder)
        try:
            async with http(app) as client:
                town = Town(app=app, client=client, builder=builder)
                yield Office(town=town, sent=sent)
        finally:
            await app.state.tenants.close()


def code_of(response: httpx.Response) -> JsonValue:
    """Return the code of a problem."""
    found: JsonValue = response.json()["code"]
    return found
