"""Flowbuilder as its users have it: the public API, with a worker inside the process."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flowbuilder import FlowBuilder, Run, Settings, Tool, tool
from flowbuilder.bench.contender import Contender, Output, wrong
from flowbuilder.bench.workloads import Shape, add_up

#: What a step does: the inputs in, a small object with `v` and `t` out.
StepFunction = Callable[[list[dict[str, Any]]], Awaitable[dict[str, Any]]]

#: Starts or reads under way at the same time, where there is no call for many.
_AT_ONCE = 8
#: Seconds between two looks whether the last runs are durably complete.
_LOOK = 0.002
#: Seconds without any step ending after which it is looked anyway.
_SILENCE = 0.5
_PAGE = 1000


@dataclass(frozen=True, slots=True)
class _Submitted:
    run: Run
    shape: Shape
    value: int


class Engine(Contender):
    """One FlowBuilder with a worker, for flows of the shapes it was opened with."""

    def __init__(self, dsn: str, *, concurrency: int, step: StepFunction = add_up) -> None:
        self._settings = Settings.load(concurrency=concurrency, tools=[])
        self._dsn = dsn
        self._step = step
        self._fb: FlowBuilder
        self._shapes: dict[str, Shape] = {}
        self._submitted: dict[str, _Submitted] = {}
        self._calls = 0
        self._expected = 0
        self._called = asyncio.Event()
        self._ticks = _Ticks()

    async def open(self, *shapes: Shape) -> None:
        """Bring the database up to date, connect, begin to work, publish a flow of each shape."""
        tools = [self._step_tool(), self._ticks.tool()]
        self._fb = await FlowBuilder.connect(
            self._dsn, settings=self._settings, tools=tools, worker=True
        ).open()
        for shape in shapes:
            await self._fb.save_flow(document_of(shape))
            await self._fb.publish(shape.name)
            self._shapes[shape.name] = shape

    def _step_tool(self) -> Tool:
        async def step(inputs: list[dict[str, Any]]) -> dict[str, Any]:
            """Add up what the steps before have returned."""
            output = await self._step(inputs)
            self._calls += 1
            if self._calls >= self._expected:
                self._called.set()
            return output

        made: Tool = tool("bench.step")(step)
        return made

    async def close(self) -> None:
        if hasattr(self, "_fb"):
            await self._fb.close()

    # -- running ----------------------------------------------------------------------------

    async def submit(self, values: Sequence[int], name: str | None = None) -> list[str]:
        """Start a run for each input, of the flow of this name; of the first one by default."""
        shape = self._shapes[name or next(iter(self._shapes))]
        self._called.clear()
        self._expected += len(values) * shape.tasks
        runs = await self._start(shape.name, [_input(shape, value) for value in values])
        for run, value in zip(runs, values, strict=True):
            self._submitted[run.id] = _Submitted(run, shape, value)
        return [run.id for run in runs]

    async def _start(self, slug: str, inputs: list[dict[str, Any]]) -> list[Run]:
        if len(inputs) == 1:
            return [await self._fb.execute(slug, inputs[0])]
        together = getattr(self._fb, "execute_many", None)
        if together is not None:
            found: list[Run] = await together(slug, inputs)
            return found

        async def one(given: dict[str, Any]) -> Run:
            async with limit:
                return await self._fb.execute(slug, given)

        limit = asyncio.Semaphore(_AT_ONCE)
        return list(await asyncio.gather(*(one(given) for given in inputs)))

    async def wait(self) -> None:
        """Return when no run is open.

        Handlers are counted here, so nothing is asked of the database before the last one has
        been called.
        """
        while True:
            before = self._calls
            try:
                async with asyncio.timeout(_SILENCE):
                    await self._called.wait()
            except TimeoutError:
                if self._calls != before:
                    continue
            await asyncio.sleep(_LOOK)  # the last outcomes are on their way
            if not await self._open_runs():
                self._calls = self._expected
                return

    async def _open_runs(self) -> bool:
        """Whether a run is open; none is queued any more once all handlers have been called."""
        for status in ("running",) if self._calls >= self._expected else ("running", "queued"):
            if await self._fb.runs(status=status, limit=1):
                return True
        return False

    async def result(self, handle: str) -> list[Output]:
        submitted = self._submitted[handle]
        return sinks_of(submitted.shape, await submitted.run.result())

    async def results(self, handles: Sequence[str]) -> list[list[Output]]:
        """Read what the sinks of ended runs returned."""
        runs = await self._read(handles)
        return [sinks_of(self._submitted[one].shape, runs[one].row.output) for one in handles]

    # -- checking ---------------------------------------------------------------------------

    async def verify(self) -> Mapping[str, int]:
        for run in (await self._read(list(self._submitted))).values():
            _check_result(run, self._submitted[run.id])
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(run_id: str, submitted: _Submitted) -> int:
            async with limit:
                return check_stream(await self._stream(run_id), submitted.shape.tasks)

        counts = await asyncio.gather(*(one(*item) for item in self._submitted.items()))
        return {"flows": len(counts), "events": sum(counts)}

    async def _read(self, handles: Sequence[str]) -> dict[str, Run]:
        """Read these runs page by page."""
        missing, found = set(handles), dict[str, Run]()
        before: str | None = None
        while missing:
            page = await self._fb.runs(limit=_PAGE, before=before)
            if not page:
                raise wrong(f"{len(missing)} runs are not there")
            before = page[-1].id
            found |= {run.id: run for run in page if run.id in missing}
            missing -= found.keys()
        return found

    async def _stream(self, run_id: str) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        while True:
            after = found[-1][0] if found else 0
            page = await self._fb.events(run_id, after=after, limit=_PAGE)
            found += [(event.seq, event.type) for event in page]
            if len(page) < _PAGE:
                return found

    # -- events -----------------------------------------------------------------------------

    async def events(self, rate: int, seconds: int) -> Mapping[str, list[float]]:
        """Follow a run whose elements end in time with a schedule.

        Every element writes two events, one when it begins and one when it ends. `change` counts
        from the return of its handler, which is before the worker sends anything; `commit` from
        the time that the event of its end bears, which was taken before that was committed: by the
        clock of the server's machine, which has to be this one's.
        """
        elements = max(1, rate * seconds // 2)
        slug = "ticks"
        await self._fb.save_flow(_TICKS)
        await self._fb.publish(slug)
        self._ticks.rate = rate / 2
        run = await self._fb.execute(slug, {"items": list(range(elements))})
        seen: list[tuple[int, str]] = []
        heard: dict[int, float] = {}
        commits: list[float] = []
        async for event in run.events():
            seen.append((event.seq, event.type))
            index = event.data.get("index")
            if event.type == "task_completed" and isinstance(index, int):
                heard[index] = time.monotonic()
                commits.append(time.time() - event.at.timestamp())
        check_stream(seen, elements)
        return {"change": self._ticks.delays(heard), "commit": commits}


@dataclass(slots=True)
class _Ticks:
    """Elements that end at a rate, and when each was left, in monotonic seconds."""

    rate: float = 1.0
    began: float | None = None
    left: dict[int, float] = field(default_factory=dict)

    def delays(self, heard: Mapping[int, float]) -> list[float]:
        """Return what passed until the subscriber heard of each, by when it did."""
        if heard.keys() != self.left.keys():
            raise wrong(f"of {len(self.left)} elements {len(heard)} were heard of")
        return [at - self.left[index] for index, at in heard.items()]

    def tool(self) -> Tool:
        async def tick(number: int) -> int:
            """Wait for the time that is this number's, and return the number."""
            now = time.monotonic()
            if self.began is None:
                self.began = now
            await asyncio.sleep(max(0.0, self.began + number / self.rate - now))
            self.left[number] = time.monotonic()
            return number

        made: Tool = tool("bench.tick")(tick)
        return made


_TICKS = {
    "flow": "ticks",
    "input": {
        "type": "object",
        "properties": {"items": {"type": "array", "items": {"type": "integer"}}},
        "required": ["items"],
    },
    "steps": [
        {
            "id": "tick",
            "tool": "bench.tick",
            "for_each": "${{ input.items }}",
            "args": {"number": "${{ item }}"},
        }
    ],
}


def sinks_of(shape: Shape, output: Any) -> list[Output]:
    """Return what the sinks have returned, from the output of a run."""
    return [output[name] for name in shape.sinks]


def _input(shape: Shape, value: int) -> dict[str, Any]:
    items = [{"v": value + index} for index in range(shape.elements)]
    return {"items": items} if items else {"v": value}


def _check_result(run: Run, submitted: _Submitted) -> None:
    if run.row.status != "completed":
        raise wrong(f"run {run.id} is {run.row.status.value}: {run.row.error}")
    total = sum(output["v"] for output in sinks_of(submitted.shape, run.row.output))
    expected = submitted.shape.expected(submitted.value)
    if total != expected:
        raise wrong(f"run {run.id}: {expected} expected, found {total}")


def document_of(shape: Shape) -> dict[str, Any]:
    """Return the flow document of a shape."""
    value = {"type": "object", "properties": {"v": {"type": "integer"}}, "required": ["v"]}
    items = {"type": "object", "properties": {"items": {"type": "array", "items": value}}}
    return {
        "flow": shape.name,
        "input": {**items, "required": ["items"]} if shape.elements else value,
        "steps": [_step_of(shape, name) for name in shape.before],
    }


def _step_of(shape: Shape, name: str) -> dict[str, Any]:
    before = shape.before[name]
    step: dict[str, Any] = {"id": name, "tool": "bench.step"}
    if shape.elements and not before:
        return {**step, "for_each": "${{ input.items }}", "args": {"inputs": ["${{ item }}"]}}
    if shape.elements:
        return {**step, "args": {"inputs": f"${{{{ steps.{before[0]} }}}}"}}
    inputs = [f"${{{{ steps.{one} }}}}" for one in before] or ["${{ input }}"]
    return {**step, "args": {"inputs": inputs}}


def check_stream(events: Sequence[tuple[int, str]], tasks: int) -> int:
    """Check that a run's events are all there and in order, and return how many they are.

    Args:
        events: Number and type of each, as they were read.
        tasks: How many tasks the run has.

    Raises:
        ExecutionError: A number is missing or doubled, or an event that must be there is not.
    """
    numbers = [number for number, _ in events]
    if numbers != list(range(1, len(events) + 1)):
        raise wrong(f"the numbers of {len(events)} events have a gap: they end at {numbers[-1:]}")
    types = Counter(type for _, type in events)
    ends = [number for number, type in events if type == "workflow_completed"]
    if types["workflow_started"] != 1 or ends != [len(events)]:
        raise wrong(f"the stream does not begin once and end once: {dict(types)}")
    # a task whose lease was lost begins twice, but it ends once
    if types["task_completed"] != tasks or types["task_started"] < tasks:
        raise wrong(f"{tasks} tasks have run, the stream tells of {dict(types)}")
    return len(events)
