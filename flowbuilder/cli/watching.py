"""Watching a run: its events are shown, its approvals asked, its result printed."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowbuilder.cli.failures import FAILED, OK, WAITING, show_problems
from flowbuilder.cli.family import Family
from flowbuilder.cli.output import Printer, row_json
from flowbuilder.cli.progress import RunView, error_text
from flowbuilder.cli.questions import ask_value, confirm, is_interactive, show_approval
from flowbuilder.cli.silence import PATIENCE, Silence
from flowbuilder.cli.visible import escape
from flowbuilder.client.approvals import is_own, local_user
from flowbuilder.errors import Conflict, DefinitionError
from flowbuilder.executor.events import EventRow
from flowbuilder.executor.records import ApprovalRow, RunRow, WorkerRow
from flowbuilder.executor.states import ApprovalStatus, RunStatus

if TYPE_CHECKING:
    from flowbuilder.client import FlowBuilder, Run


async def has_worker(builder: FlowBuilder) -> bool:
    """Whether a worker is alive somewhere."""
    return bool(await live_workers(builder))


async def live_workers(builder: FlowBuilder) -> list[WorkerRow]:
    """Return the workers that are alive, wherever they are.

    One that was killed is called live until another one notices, so it must have been heard of
    lately, too.
    """
    recent = max(timedelta(seconds=15), builder.settings.lease)
    now = datetime.now(UTC)
    return [
        row
        for row in await builder.workers()
        if row.status == "live" and now - row.last_seen_at < recent
    ]


class Watch:
    """One run as the command line follows it."""

    def __init__(
        self,
        builder: FlowBuilder,
        printer: Printer,
        run: Run,
        *,
        yes: bool = False,
        ask: bool = True,
        after: int = 0,
        patience: float = PATIENCE,
    ) -> None:
        """`patience`: seconds without an event before it is told why nothing happens."""
        self.builder = builder
        self.printer = printer
        self.run = run
        self.yes = yes
        self.ask = ask
        self.after = after
        self._family = Family(builder, run)
        self._silence = Silence(printer, run, patience)
        self.files: dict[str, None] = {}
        """Paths of files that were written, each once, in order."""
        self.undecided: list[str] = []
        """Ids of approvals that nobody here can give."""

    async def to_end(self) -> int:
        """Follow the run until it ends or only waits for people; return the exit code."""
        self.printer.say(f"run {self.run.id}", "dim")
        asking = asyncio.create_task(self._silence.watch())
        try:
            await self._follow()
        finally:
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking
        row = await self.run.refresh()
        if row.status.terminal:
            return self._tell_end(row)
        return await self._tell_waiting()

    async def _follow(self) -> None:
        with RunView(self.printer, await self.run.document(), self.run.id) as view:
            async for event in self._family.events(self.after):
                self._silence.broken()
                if event.run_id == self.run.id:
                    view.show(event)
                    self._remember_file(view, event)
                if event.type == "approval_requested" and self.ask:
                    await self._decide(view, str(event.data.get("approval_id")))
                if self.undecided and await self._only_waits():
                    break

    async def _decide(self, view: RunView, approval_id: str) -> None:
        """Give, ask for, or leave open the decision of an approval."""
        approval = await self.builder.get_approval(approval_id)
        if approval.status is not ApprovalStatus.PENDING:
            return
        user = local_user()
        view.pause()
        try:
            if self.yes and approval.kind != "input" and is_own(approval, user):
                show_approval(self.printer, approval)
                self.printer.talk.print("approved (--yes)")
                await self.builder.approve(approval.id, by=user)
            else:
                await self._ask(approval, user)
        except Conflict as error:
            self.printer.talk.print(f"[yellow]{escape(error.message)}[/]")
        finally:
            view.resume()

    async def _ask(self, approval: ApprovalRow, user: str) -> None:
        show_approval(self.printer, approval)
        if self.yes and not is_own(approval, user) and not is_interactive():
            self.printer.talk.print(
                f"[yellow]--yes does not speak for {escape(', '.join(approval.by))}[/]"
            )
            self.undecided.append(approval.id)
        elif approval.kind == "input":
            await self._ask_value(approval, user)
        else:
            answer = await confirm(self.printer, "Approve?")
            if answer is None:
                self.undecided.append(approval.id)
            elif answer:
                await self.builder.approve(approval.id, by=user)
            else:
                await self.builder.reject(approval.id, by=user)

    async def _ask_value(self, approval: ApprovalRow, user: str) -> None:
        while True:
            there, value = await ask_value(self.printer, approval.schema)
            if not there:
                self.undecided.append(approval.id)
                return
            try:
                await self.builder.approve(approval.id, by=user, value=value)
            except DefinitionError as error:
                show_problems(self.printer, error.problems)
            else:
                return

    async def _only_waits(self) -> bool:
        """Whether the run does nothing any more until a person decides."""
        if (await self.run.status()) is not RunStatus.RUNNING:
            return True
        pending = {row.id for row in await self._family.pending()}
        self.undecided = [item for item in self.undecided if item in pending]
        if not self.undecided:
            return False
        return not await self._is_active()

    async def _is_active(self) -> bool:
        """Whether anything of the run, or of its child runs, is done at this moment."""
        return await self._family.is_active()

    async def _tell_waiting(self) -> int:
        for approval in await self._family.pending():
            if self.printer.as_json:
                self.printer.line({"type": "approval", "approval": row_json(approval)})
            self.printer.err.print(
                f"[yellow]waiting for a person[/] (step {escape(approval.step_id)}). Decide with:\n"
                f"  flowbuilder approve {approval.id}\n  flowbuilder reject {approval.id}\n"
                f"and go on with: flowbuilder events {self.run.id} --follow"
            )
        return WAITING

    def _tell_end(self, row: RunRow) -> int:
        printer = self.printer
        if printer.as_json:
            printer.line(
                {
                    "type": "result",
                    "run_id": row.id,
                    "status": row.status.value,
                    "output": row.output,
                    "error": row.error,
                    "files": [*self.files],
                }
            )
        elif row.status is RunStatus.COMPLETED:
            printer.out.print("[bold green]completed[/]")
            printer.value(row.output)
            for path in self.files:
                printer.out.print(f"[bold]wrote[/] {escape(path)}")
        if row.status is RunStatus.FAILED:
            self._tell_failure(row.error or {})
        elif row.status is RunStatus.CANCELLED:
            printer.err.print("[yellow]cancelled[/]")
        return OK if row.status is RunStatus.COMPLETED else FAILED

    def _tell_failure(self, error: dict[str, Any]) -> None:
        step, attempt = error.get("step"), error.get("attempt")
        where = f"step {step}" + (f", attempt {attempt}" if attempt else "") if step else "the run"
        code = f" [dim]({escape(str(error['code']))})[/]" if error.get("code") else ""
        self.printer.err.print(
            f"[bold red]failed:[/] {escape(where)}: {escape(error_text(error))}{code}"
        )

    def _remember_file(self, view: RunView, event: EventRow) -> None:
        """Note what a `file.write` step says it wrote."""
        step = view.steps.get(event.step_name or "")
        result = event.data.get("result")
        if event.type != "task_completed" or step is None or not isinstance(result, dict):
            return
        path = result.get("path")
        if step.tool.split("@")[0] == "file.write" and isinstance(path, str):
            full = str((Path(self.builder.settings.workspace_dir) / path).resolve())
            self.files[full] = None
