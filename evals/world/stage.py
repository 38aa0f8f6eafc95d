"""Runs of real plans in a simulated world, on the real engine with a database of their own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from flowbuilder.client import FlowBuilder, Run
from flowbuilder.client.checking import Document
from flowbuilder.errors import ExecutionError
from flowbuilder.evals.scratch import open_scratch
from flowbuilder.evals.world.audit import Audit, audit
from flowbuilder.evals.world.clock import VirtualClock
from flowbuilder.evals.world.people import Person, agreeing, decide_all
from flowbuilder.evals.world.world import World
from flowbuilder.executor.states import RunStatus
from flowbuilder.plan import Plan
from flowbuilder.planner.base import Planner
from flowbuilder.settings import Settings
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

#: Real seconds that one run may take; simulated tools take none.
RUN_SECONDS = 120.0
#: Simulated calls do no work, so that no plan has to wait for a free hand.
SLOTS = 200
#: Real seconds between two looks at whether anything still moves.
_LOOK_SECONDS = 0.002
#: The same where time goes on by itself: looking more often would only take from what is measured.
_REAL_LOOK_SECONDS = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Performance:
    """What a run in a simulated world came to."""

    run_id: str
    status: RunStatus
    output: JsonValue
    error: JsonObject | None
    audit: Audit
    seconds: float
    """From the start to the end of the run, by the world's clock."""

    @property
    def completed(self) -> bool:
        """Whether the run came to its end."""
        return self.status is RunStatus.COMPLETED


class Stage:
    """A world with an engine that runs flows in it."""

    def __init__(self, world: World, fb: FlowBuilder) -> None:
        self.world, self.fb = world, fb

    async def play(
        self,
        flow: Plan | Document,
        input: JsonValue = None,
        *,
        person: Person = agreeing,
        timeout: float = RUN_SECONDS,
        replan: bool = False,
    ) -> Performance:
        """Run a plan or a flow to its end.

        Args:
            flow: What to run.
            input: Its input.
            person: Who decides what it asks.
            timeout: Real seconds after which the run is cancelled.
            replan: Whether the rest may be planned anew when a step fails.

        Raises:
            DefinitionError: The plan or flow cannot run.
        """
        began = self.world.clock.now()
        run = await self.fb.execute(flow, input, timeout=timeout, replan=replan)
        return await self.follow(run, person=person, began=began)

    async def follow(
        self, run: Run, *, person: Person = agreeing, began: float = 0.0
    ) -> Performance:
        """Follow a run that has been started to its end, and audit it."""
        told: set[str] = set()

        async def ended() -> bool:
            if (await run.refresh()).status.terminal:
                return True
            await decide_all(self.fb, run.id, person, told)
            return False

        await self.drive(ended)
        row = run.row
        return Performance(
            run_id=run.id,
            status=row.status,
            output=row.output,
            error=row.error,
            audit=audit(self.world.ledger.of(run.id), await run.approvals(), await run.document()),
            seconds=self.world.clock.now() - began,
        )

    async def drive(
        self,
        ended: Callable[[], Awaitable[bool]],
        *,
        settled: Callable[[], bool] = lambda: True,
        seconds: float = RUN_SECONDS,
    ) -> None:
        """Let a virtual clock go on, whenever nothing else moves, until `ended` says so.

        Args:
            ended: Looked at again and again.
            settled: Whether what goes on beside the engine waits for the clock, too.
            seconds: Real time that this may take.

        Raises:
            ExecutionError: It did not end (simulation_stuck).
        """
        clock = self.world.clock
        virtual = isinstance(clock, VirtualClock)
        give_up = time.monotonic() + seconds
        while not await ended():
            if isinstance(clock, VirtualClock) and settled() and await self._quiet():
                clock.advance()
            if time.monotonic() > give_up:
                raise ExecutionError(
                    f"the simulation had not ended after {seconds:g} seconds",
                    code="simulation_stuck",
                )
            await asyncio.sleep(_LOOK_SECONDS if virtual else _REAL_LOOK_SECONDS)

    async def _quiet(self) -> bool:
        """Whether every task of the engine waits for the clock, and none for anything else."""
        if self.world.awake:
            return False
        depth = await self.fb.queue_depth()
        return self._is_quiet(depth)

    def _is_quiet(self, depth: JsonObject) -> bool:
        under_way = self.world.in_flight
        if self.world.awake or depth["running"] != under_way:
            return False
        # what is queued waits for the clock, too, where nobody has a hand free for it
        return depth["queued"] == 0 or under_way >= self.fb.settings.concurrency


@asynccontextmanager
async def open_stage(
    world: World,
    settings: Settings,
    *,
    planner: Planner | None = None,
    registry: ToolRegistry | None = None,
) -> AsyncIterator[Stage]:
    """Open a stage; everything on it is gone afterwards.

    Args:
        world: Whose tools flows may use.
        settings: The database, when one is set, should be nobody else's; without one a server is
            started.
        planner: Who turns goals into plans; the settings' own by default.
        registry: Tools beside the world's; none by default.

    Raises:
        DatabaseError: No usable database.
    """
    tools = world.registry() if registry is None else registry.merged(world.registry())
    async with open_scratch(settings) as scratch:
        own = {"concurrency": max(SLOTS, settings.concurrency)}
        builder = FlowBuilder.connect(
            settings=scratch.settings.model_copy(update=own),
            registry=tools,
            planner=planner,
            worker=True,
        )
        async with builder as fb:
            yield Stage(world, fb)
