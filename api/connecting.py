"""What requests and answers look like that are about tools from elsewhere."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from flowbuilder.api.requests import Body
from flowbuilder.api.schemas import Out, Time
from flowbuilder.client.workspace_connections import ConnectionView
from flowbuilder.executor.store.pins import PinRow
from flowbuilder.toolkit.connections import EffectName

Name = Annotated[str, Field(min_length=1, max_length=200)]
Effects = Annotated[dict[Name, EffectName], Field(max_length=500)]
Address = Annotated[str, Field(pattern=r"^https?://", max_length=2000)]
Text = Annotated[str, Field(max_length=4000)]
_NEEDED = {"openapi": ("document", "server"), "mcp": ("url",)}
_FOREIGN = {"openapi": ("url", "tools"), "mcp": ("document", "server", "operations")}


class ConnectionBody(Body):
    """A web API or an MCP server to be connected. Programs are the operator's to connect."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    """What the names of its tools begin with."""
    kind: Literal["openapi", "mcp"]
    document: dict[str, Any] | None = None
    """The OpenAPI document itself; nothing is fetched for it."""
    server: Address | None = None
    """Where every request of the document's operations goes, whatever it says."""
    operations: Annotated[list[Name], Field(max_length=500)] | None = None
    """Only these operation ids."""
    url: Address | None = None
    """Where an MCP server is."""
    tools: Annotated[list[Name], Field(max_length=500)] | None = None
    """Only these of an MCP server's tools."""
    headers: Annotated[dict[Name, Text], Field(max_length=50)] = Field(default_factory=dict)
    """Sent with every request; secrets by reference, as in `Bearer secret://name`."""
    effects: Effects = Field(default_factory=dict)
    """By operation id or tool, where the method, or `external`, says the wrong thing."""

    @model_validator(mode="after")
    def _of_one_kind(self) -> ConnectionBody:
        missing = [name for name in _NEEDED[self.kind] if getattr(self, name) is None]
        if missing:
            raise ValueError(f"`{missing[0]}` is needed for {self.kind}")
        wrong = [name for name in _FOREIGN[self.kind] if getattr(self, name) is not None]
        if wrong:
            raise ValueError(f"`{wrong[0]}` is not for {self.kind}")
        return self

    def definition(self) -> dict[str, Any]:
        """Return it as the operator's file would say it, without name, kind and document."""
        apart = {"name", "kind", "document"}
        return self.model_dump(exclude=apart, exclude_none=True, exclude_defaults=True)


class ApprovedToolBody(Body):
    """Which tool is approved as its server describes it now; without one, all of them."""

    tool: Name | None = None


class ConnectedToolOut(Out):
    """A tool of a connection."""

    tool: str
    """As whoever offers it calls it."""
    name: str | None
    """What flows call it; null while it is not approved."""
    effects: str | None
    status: Literal["approved", "suspended"]
    reason: str | None
    """Why it is suspended."""
    found: dict[str, Any] | None
    """How its server describes it now, if that is not what was approved."""


class LeftOutOut(Out):
    """An operation of a document that is no tool."""

    operation: str
    """Its id, or its method and path."""
    reason: str


class ConnectionOut(Out):
    """A connection of the workspace."""

    name: str
    kind: Literal["openapi", "mcp"]
    address: str
    headers: list[str]
    """Names of the headers that are sent."""
    created_at: Time
    created_by: str | None
    tools: list[ConnectedToolOut]
    left_out: list[LeftOutOut]
    """Of a document: operations that no tool could be made of."""

    @classmethod
    def of(cls, view: ConnectionView) -> ConnectionOut:
        """Return the answer for a connection."""
        row, said = view.row, view.row.definition
        known = {tool.name.partition(".")[2]: tool for tool in view.tools}
        pinned = [_pinned(pin, view) for pin in view.pins]
        made = [
            ConnectedToolOut(
                tool=last,
                name=tool.name,
                effects=tool.effects.value,
                status="approved",
                reason=None,
                found=None,
            )
            for last, tool in known.items()
        ]
        headers = said.get("headers")
        return cls(
            name=row.name,
            kind=row.kind,
            # members see it, and a query may hold a key
            address=str(said.get("url") or said.get("server")).partition("?")[0],
            headers=sorted(headers) if isinstance(headers, dict) else [],
            created_at=row.created_at,
            created_by=row.created_by,
            tools=pinned if row.kind == "mcp" else made,
            left_out=[
                LeftOutOut(operation=called, reason=why) for called, why in view.left_out.items()
            ],
        )


def _pinned(pin: PinRow, view: ConnectionView) -> ConnectedToolOut:
    named = [tool for tool in view.tools if tool.name.endswith(f".{pin.tool}")]
    return ConnectedToolOut(
        tool=pin.tool,
        name=named[0].name if named else None,
        effects=named[0].effects.value if named else None,
        status=pin.status,
        reason=pin.reason,
        found=pin.found,
    )


class ConnectionList(Out):
    """The workspace's connections, by name."""

    items: list[ConnectionOut]
