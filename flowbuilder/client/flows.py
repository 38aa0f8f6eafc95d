"""A flow as its user holds it, and flows as FlowBuilder offers them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flowbuilder.client import drafts, execution
from flowbuilder.client.checking import Document, check_document, parse_document
from flowbuilder.client.runs import Run
from flowbuilder.client.session import Connected, Session
from flowbuilder.diff import FlowDiff, diff_flows
from flowbuilder.errors import Problem
from flowbuilder.executor.records import FlowRow, VersionRow
from flowbuilder.flow import (
    ApprovalPolicy,
    Compensation,
    Flow,
    LimitPolicy,
    OnError,
    RetryPolicy,
    TriggerRule,
)
from flowbuilder.repair import Repair, repair
from flowbuilder.types import JsonObject, JsonSchema, JsonValue


class FlowHandle:
    """A handle on a stored flow. It keeps the row it last read."""

    def __init__(self, session: Session, row: FlowRow) -> None:
        self._session = session
        self.row = row

    def __repr__(self) -> str:
        return f"FlowHandle(slug={self.slug!r}, version={self.version!r})"

    @property
    def slug(self) -> str:
        """The flow's name."""
        return self.row.slug

    @property
    def description(self) -> str | None:
        """What the flow is for."""
        return self.row.description

    @property
    def version(self) -> int | None:
        """Number of the newest published version, None before the first."""
        return self.row.version

    @property
    def draft(self) -> Flow:
        """The document being built; it may lack steps yet."""
        return Flow.model_validate(self.row.draft)

    async def add_step(self, id: str, *, tool: str, **policies: Any) -> FlowHandle:
        """Add a step to the draft; takes what `FlowBuilder.add_step` takes."""
        step = drafts.step_document(id, tool, **policies)
        self.row = await drafts.add_step(self._session, self.slug, step)
        return self

    async def set_output(self, output: JsonValue) -> FlowHandle:
        """Set what a run of the flow returns."""
        self.row = await drafts.set_output(self._session, self.slug, output)
        return self

    async def publish(self) -> VersionRow:
        """Make a version of the draft."""
        return await drafts.publish(self._session, self.slug)

    async def versions(self) -> list[VersionRow]:
        """Return the published versions, newest first."""
        return await self._session.store.list_versions(self.slug)

    async def execute(self, input: JsonValue = None, **options: Any) -> Run:
        """Start a run; takes what `FlowBuilder.execute` takes."""
        return await execution.execute(self._session, self.slug, input, **options)

    def as_json(self) -> JsonObject:
        """Return slug, description, newest version, draft document and times."""
        row = self.row
        return {
            "slug": row.slug,
            "description": row.description,
            "version": row.version,
            "draft": row.draft,
            "created_at": row.created_at.isoformat(),
            "updated_at": row.updated_at.isoformat(),
        }


class Flows(Connected):
    """Building flows step by step or as whole documents."""

    async def create_flow(
        self,
        slug: str,
        *,
        input_schema: JsonSchema | None = None,
        description: str | None = None,
        output: JsonValue = None,
    ) -> FlowHandle:
        """Make a flow with a draft that has no steps yet.

        Raises:
            Conflict: There is a flow of this name (flow_exists).
            DefinitionError: The name or the schema is wrong.
        """
        document = drafts.new_document(slug, input_schema, description, output)
        flow = await drafts.checked_draft(self._session, document)
        return FlowHandle(self._session, await self._session.store.create_flow(flow.document()))

    async def add_step(
        self,
        slug: str,
        id: str,
        *,
        tool: str,
        args: Mapping[str, Any] | None = None,
        depends_on: Iterable[str] = (),
        for_each: str | list[Any] | None = None,
        when: str | None = None,
        retry: RetryPolicy | Mapping[str, Any] | int | None = None,
        timeout: str | float | None = None,
        on_error: OnError | str | None = None,
        trigger_rule: TriggerRule | str | None = None,
        approval: ApprovalPolicy | Mapping[str, Any] | bool | None = None,
        limit: LimitPolicy | Mapping[str, Any] | None = None,
        concurrency: int | None = None,
        compensate: Compensation | Mapping[str, Any] | None = None,
        description: str | None = None,
    ) -> FlowHandle:
        """Add a step at the end of a flow's draft. Steps added at the same time all stay.

        `retry` may be a number of attempts, `approval=True` asks anyone. `concurrency` bounds a map
        within one run, `limit` all runs of the flow.

        Raises:
            NotFound: There is no such flow.
            DefinitionError: With every problem of the step; the draft stays as it was.
        """
        step = drafts.step_document(
            id,
            tool,
            args=args,
            depends_on=depends_on,
            for_each=for_each,
            when=when,
            retry=retry,
            timeout=timeout,
            on_error=on_error,
            trigger_rule=trigger_rule,
            approval=approval,
            limit=limit,
            concurrency=concurrency,
            compensate=compensate,
            description=description,
        )
        row = await drafts.add_step(self._session, slug, step)
        return FlowHandle(self._session, row)

    async def set_output(self, slug: str, output: JsonValue) -> FlowHandle:
        """Set what a run returns: a value with references; None for what the last steps return."""
        row = await drafts.set_output(self._session, slug, output)
        return FlowHandle(self._session, row)

    async def save_flow(self, document: Document, *, revision: str | None = None) -> FlowHandle:
        """Create a flow, or replace its draft, by a whole document.

        With `revision` (`FlowHandle.row.revision`) only the draft that was read.

        Raises:
            DefinitionError: With every problem; nothing is stored.
            NotFound: With a revision: there is no such flow.
            Conflict: The draft is of another revision (draft_changed).
        """
        saved = await drafts.save(self._session, document, revision=revision)
        return FlowHandle(self._session, saved)

    async def archive_flow(self, slug: str) -> FlowHandle:
        """Let no run of a flow be started any more; those under way go on. Raises: NotFound."""
        return FlowHandle(self._session, await self._session.store.archive_flow(slug))

    async def restore_flow(self, slug: str) -> FlowHandle:
        """Take a flow out of the archive. Raises: NotFound."""
        row = await self._session.store.archive_flow(slug, archived=False)
        return FlowHandle(self._session, row)

    async def publish(self, slug: str) -> VersionRow:
        """Make an immutable version of the draft; the same content gives the same version.

        Raises:
            NotFound, DefinitionError.
        """
        return await drafts.publish(self._session, slug)

    async def list_flows(self) -> list[FlowHandle]:
        """Return all flows by name."""
        return [FlowHandle(self._session, row) for row in await self._session.store.list_flows()]

    async def get_flow(self, slug: str) -> FlowHandle:
        """Return a flow. Raises: NotFound (flow_not_found)."""
        return FlowHandle(self._session, await self._session.store.get_flow(slug))

    async def delete_flow(self, slug: str, *, revision: str | None = None) -> bool:
        """Delete a flow, with `revision` only as it was read; its runs stay readable.

        False: there was none.

        Raises:
            Conflict: The draft is of another revision (draft_changed).
        """
        return await self._session.store.delete_flow(slug, revision=revision)

    async def versions(self, slug: str) -> list[VersionRow]:
        """Return a flow's published versions, newest first. Raises: NotFound."""
        await self._session.store.get_flow(slug)
        return await self._session.store.list_versions(slug)

    async def get_version(self, slug: str, version: int | None = None) -> VersionRow:
        """Return one published version, the newest by default. Raises: NotFound."""
        return await self._session.store.get_version(slug, version)

    async def diff_versions(
        self, slug: str, version: int | None = None, *, base: int | None = None
    ) -> FlowDiff:
        """Return what a version changed: against `base`, or the version before; 0 is nothing.

        Raises:
            NotFound: There is no such flow or version.
        """
        found = await self.get_version(slug, version)
        number = (found.version or 1) - 1 if base is None else base
        before = (await self.get_version(slug, number)).document if number else None
        return diff_flows(before, found.document)

    async def repair(self, document: Document) -> Repair:
        """Mend what needs no decision in a document; nothing is stored.

        Raises:
            InvalidValue: It is no JSON value, or no object.
        """
        parsed = parse_document(document, self._session.settings)
        flows = [row.slug for row in await self._session.store.list_flows()]
        return repair(parsed, self._session.registry, flows=[*flows, str(parsed.get("flow"))])

    async def validate(self, document: Document | str) -> tuple[Problem, ...]:
        """Return every problem of a document (text: JSON or YAML), none when it could run."""
        return (await check_document(self._session, document)).problems
