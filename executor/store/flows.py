"""Flows, their drafts and versions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from psycopg.types.json import Json

from flowbuilder.errors import Conflict, NotFound
from flowbuilder.executor import queries, rows
from flowbuilder.executor.graphs import compile_output, compile_steps
from flowbuilder.executor.records import FlowRow, VersionRow
from flowbuilder.executor.store.base import StoreBase, as_name, as_uuid
from flowbuilder.flow import Flow
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

LARGEST_VERSION = 2**31 - 1


class FlowStore(StoreBase):
    """Drafts and published versions of flows."""

    async def create_flow(self, draft: JsonObject) -> FlowRow:
        """Store the draft of a new flow.

        Raises:
            Conflict: There is one of this name (`flow_exists`).
        """
        return rows.flow(await self._one(queries.CREATE_FLOW, self.workspace, Json(draft)))

    async def save_draft(self, draft: JsonObject, *, revision: str | None = None) -> FlowRow:
        """Replace the draft of a flow, if it still has the `revision` when that is given.

        Raises:
            NotFound: `flow_not_found`.
            Conflict: Somebody else changed the draft meanwhile (`draft_changed`).
        """
        return rows.flow(await self._one(queries.SAVE_DRAFT, self.workspace, Json(draft), revision))

    async def append_step(self, flow: FlowRow, step: JsonObject) -> FlowRow:
        """Add a step at the end of a flow's draft; returns the flow with it.

        Raises:
            Conflict: The draft is not that of `flow` any more (`draft_changed`).
        """
        row = await self._one(
            queries.APPEND_STEP, self.workspace, flow.slug, flow.revision, Json(step)
        )
        before: Any = flow.draft.get("steps", [])
        return replace(
            flow,
            draft={**flow.draft, "steps": [*before, step]},
            version=row["head"],
            revision=str(row["revision"]),
            updated_at=row["updated_at"],
        )

    async def get_flow(self, slug: str) -> FlowRow:
        """Read a flow.

        Raises:
            NotFound: `flow_not_found`.
        """
        found = await self._all(queries.GET_FLOW, self.workspace, as_name(slug))
        if not found:
            raise NotFound(f"there is no flow {slug!r}", code="flow_not_found")
        return rows.flow(found[0])

    async def list_flows(self) -> list[FlowRow]:
        """Read all flows by name."""
        return [rows.flow(row) for row in await self._all(queries.LIST_FLOWS, self.workspace)]

    async def delete_flow(self, slug: str, *, revision: str | None = None) -> bool:
        """Delete a flow, if its draft still has the `revision` when that is given.

        Its runs and versions stay readable. False: there was none.

        Raises:
            Conflict: Somebody else changed the draft meanwhile (`draft_changed`).
        """
        name = as_name(slug)
        if await self._all(queries.DELETE_FLOW, self.workspace, name, revision):
            return True
        if revision is not None and await self._all(queries.GET_FLOW, self.workspace, name):
            raise Conflict(f"the draft of {name} was changed meanwhile", code="draft_changed")
        return False

    async def archive_flow(self, slug: str, *, archived: bool = True) -> FlowRow:
        """Archive a flow, or take it out of the archive. Raises: NotFound (`flow_not_found`)."""
        found = await self._all(queries.ARCHIVE_FLOW, archived, self.workspace, as_name(slug))
        if not found:
            raise NotFound(f"there is no flow {slug!r}", code="flow_not_found")
        return rows.flow(found[0])

    async def register_version(
        self,
        flow: Flow,
        registry: ToolRegistry,
        *,
        origin: str = "published",
        owner: str | None = None,
        revision: str | None = None,
    ) -> VersionRow:
        """Store a compiled flow; the same content and tools give the same version again.

        Args:
            flow: A valid flow.
            registry: Where bare tool names are pinned to versions.
            origin: `published` (the flow's new head) or `dynamic` (a graph that is not saved).
            owner: Id of the worker in whose process `function.…` tools of this flow live.
            revision: That of the draft which is published; None for whatever it is.

        Raises:
            Conflict: Somebody else changed the draft meanwhile (`draft_changed`).
        """
        compiled: list[JsonValue] = list(compile_steps(flow, registry))
        output = compile_output(flow)
        row = await self._one(
            queries.REGISTER_VERSION,
            self.workspace,
            Json(flow.document()),
            flow.content_hash(),
            Json(compiled),
            None if output is None else Json(output),
            origin,
            owner,
            revision,
        )
        return rows.read(VersionRow, row)

    async def get_version(self, slug: str, version: int | None = None) -> VersionRow:
        """Read a published version, the newest by default.

        Raises:
            NotFound: `flow_not_found` or `version_not_found`.
        """
        name, number = as_name(slug), _known_number(version)
        found = await self._all(queries.GET_VERSION, self.workspace, name, number, number)
        if found:
            return rows.read(VersionRow, found[0])
        if version is None:
            await self.get_flow(slug)
            raise NotFound(
                f"{slug!r} was never published",
                code="version_not_found",
                hint=f"Publish its draft first: POST /flows/{slug}/versions, `fb.publish`.",
            )
        raise NotFound(f"{slug!r} has no version {version}", code="version_not_found")

    async def get_version_by_id(self, version_id: str) -> VersionRow:
        """Read any version by its id.

        Raises:
            NotFound: `version_not_found`.
        """
        found = await self._all(queries.GET_VERSION_BY_ID, self.workspace, as_uuid(version_id))
        if not found:
            raise NotFound("there is no such version", code="version_not_found")
        return rows.read(VersionRow, found[0])

    async def list_versions(self, slug: str) -> list[VersionRow]:
        """Read the published versions of a flow, newest first."""
        return [
            rows.read(VersionRow, row)
            for row in await self._all(queries.LIST_VERSIONS, self.workspace, as_name(slug))
        ]


def _known_number(version: object) -> int | None:
    """Return the number of a version; 0, which none has, for what can be none."""
    if version is None:
        return None
    if isinstance(version, bool) or not isinstance(version, int):
        return 0
    return version if 0 < version <= LARGEST_VERSION else 0
