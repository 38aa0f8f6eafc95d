"""FlowBuilder over a real database with a worker in the same process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from flowbuilder import (
    Conflict,
    Context,
    DefinitionError,
    ExecutionError,
    Fail,
    FlowBuilder,
    InvalidTransition,
    InvalidValue,
    NotFound,
    PlanningError,
    Retry,
    RunCancelled,
    RunFailed,
    Settings,
    WaitTimeout,
    tool,
)
from flowbuilder.plan import Plan, PlanStatus
from flowbuilder.planner.base import PlanEvent, PlanEventType, PlanRequest
from flowbuilder.types import JsonValue

WAIT = 60.0


@tool("math.add")
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool("text.echo")
async def echo(value: Any) -> Any:
    """Return the value."""
    return value


@tool("test.break")
def break_down(reason: str) -> str:
    """Fail for good."""
    raise Fail(reason, code="broken")


@tool("test.second")
def second_time(context: Context) -> int:
    """Succeed at the second attempt."""
    if context.attempt < 2:
        raise Retry("not yet", after=0)
    return context.attempt


TOOLS = [add, echo, break_down, second_time]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(data_dir=tmp_path, workspace_dir=tmp_path)


@pytest.fixture
async def fb(dsn: str, settings: Settings) -> AsyncIterator[FlowBuilder]:
    async with FlowBuilder.connect(dsn, settings=settings, tools=TOOLS, worker=True) as opened:
        yield opened


async def test_a_flow_built_step_by_step_runs(fb: FlowBuilder) -> None:
    await fb.create_flow(
        "sum",
        input_schema={
            "type": "object",
            "properties": {"n": {"type": "integer"}},
            "required": ["n"],
            "additionalProperties": False,
        },
        description="Adds twice.",
    )
    await fb.add_step("sum", "first", tool="math.add", args={"a": "${{ input.n }}", "b": 1})
    flow = await fb.add_step(
        "sum", "second", tool="math.add", args={"a": "${{ steps.first }}", "b": 10}
    )
    assert [step.id for step in flow.draft.steps] == ["first", "second"]

    run = await fb.execute("sum", {"n": 0})
    types = [(event.seq, event.type) async for event in run.events()]
    assert [seq for seq, _ in types] == list(range(1, len(types) + 1))
    assert types[0][1] == "workflow_started"
    assert types[-1][1] == "workflow_completed"
    assert await run.result(timeout=WAIT) == {"second": 11}
    assert [step.status.value for step in await run.steps()] == ["completed", "completed"]
    assert run.row.version == 1


async def test_events_resume_from_any_number(fb: FlowBuilder) -> None:
    run = await fb.execute(_one_step("text.echo", {"value": 0}))
    await run.result(timeout=WAIT)
    every = [event async for event in run.events()]
    for after in range(len(every) + 1):
        assert [event async for event in run.events(after=after)] == every[after:]
    again = await fb.get_run(run.id)
    assert [event async for event in again.events(after=len(every) + 5)] == []


@pytest.mark.parametrize("value", [0, False, "", None, [], {}, "ø", 1.5, {"a": [None, {"b": 0}]}])
async def test_every_value_survives(fb: FlowBuilder, value: Any) -> None:
    document = _one_step("text.echo", {"value": value}) | {"output": "${{ steps.only }}"}
    run = await fb.execute(document)
    result = await run.result(timeout=WAIT)
    assert result == value
    assert type(result) is type(value)


async def test_creating_an_existing_flow_is_a_conflict(fb: FlowBuilder) -> None:
    await fb.create_flow("twice")
    with pytest.raises(Conflict) as caught:
        await fb.create_flow("twice")
    assert caught.value.code == "flow_exists"


@pytest.mark.parametrize(
    ("step", "pointer"),
    [
        ({"id": "b", "tool": "no.such"}, "/steps/1/tool"),
        ({"id": "a", "tool": "math.add", "args": {"a": 1, "b": 2}}, "/steps/1"),
        ({"id": "b", "tool": "math.add", "args": {"a": 1}}, "/steps/1/args"),
        ({"id": "b", "tool": "math.add", "args": {"a": 1, "b": "x"}}, "/steps/1/args/b"),
        ({"id": "b", "tool": "math.add", "args": {"a": 1, "b": 2, "c": 3}}, "/steps/1/args"),
        (
            {"id": "b", "tool": "math.add", "args": {"a": 1, "b": 2}, "depends_on": ["zz"]},
            "/steps/1/depends_on/0",
        ),
        (
            {"id": "b", "tool": "math.add", "args": {"a": 1, "b": "${{ steps.b }}"}},
            "/steps/1",
        ),
        ({"id": "bad id", "tool": "math.add", "args": {"a": 1, "b": 2}}, "/steps/1/id"),
        ({"id": "b", "tool": "math.add", "args": {"a": 1, "b": 2}, "timeout": "soon"}, "/steps/1"),
        ({"id": "b", "tool": "math.add", "args": {"a": 1, "b": 2}, "retry": 0}, "/steps/1/retry"),
    ],
)
async def test_a_bad_step_leaves_the_draft_alone(
    fb: FlowBuilder, step: dict[str, Any], pointer: str
) -> None:
    await fb.create_flow("draft")
    await fb.add_step("draft", "a", tool="math.add", args={"a": 1, "b": 2})
    before = (await fb.get_flow("draft")).row
    with pytest.raises(DefinitionError) as caught:
        await fb.add_step("draft", step.pop("id"), **step)
    problems = caught.value.problems
    assert problems
    assert any(problem.pointer.startswith(pointer) for problem in problems), problems
    assert (await fb.get_flow("draft")).row == before


async def test_steps_added_at_once_all_stay(fb: FlowBuilder, dsn: str, settings: Settings) -> None:
    await fb.create_flow("busy")
    async with FlowBuilder.connect(dsn, settings=settings, tools=TOOLS, worker=False) as other:
        await asyncio.gather(
            *(
                (fb if n % 2 else other).add_step(
                    "busy", f"s{n}", tool="math.add", args={"a": n, "b": 0}
                )
                for n in range(12)
            )
        )
    steps = (await fb.get_flow("busy")).draft.steps
    assert sorted(step.id for step in steps) == sorted(f"s{n}" for n in range(12))


async def test_same_content_is_the_same_version(fb: FlowBuilder) -> None:
    await fb.save_flow({"flow": "v", **_one_step("text.echo", {"value": 1}, named=False)})
    first = await fb.publish("v")
    assert (await fb.publish("v")).id == first.id
    run = await fb.execute("v")
    assert run.row.version == first.version == 1
    await fb.set_output("v", "${{ steps.only }}")
    second = await fb.publish("v")
    assert second.version == 2
    assert sorted(row.version or 0 for row in await fb.versions("v")) == [1, 2]
    old = await fb.execute("v", version=1)
    assert old.row.version == 1


async def test_flows_are_listed_and_deleted(fb: FlowBuilder) -> None:
    await fb.create_flow("one")
    await fb.create_flow("two")
    assert [flow.slug for flow in await fb.list_flows()] == ["one", "two"]
    assert await fb.delete_flow("one")
    assert not await fb.delete_flow("one")
    with pytest.raises(NotFound):
        await fb.get_flow("one")
    with pytest.raises(NotFound):
        await fb.versions("one")


async def test_a_flow_without_steps_is_not_run(fb: FlowBuilder) -> None:
    await fb.create_flow("empty")
    with pytest.raises(DefinitionError):
        await fb.execute("empty")
    assert await fb.runs() == []


async def test_input_that_does_not_fit_starts_nothing(fb: FlowBuilder) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    document = {
        "flow": "strict",
        "input": schema,
        **_one_step("text.echo", {"value": 1}, named=False),
    }
    unfit: list[Any] = [{"n": "x"}, {}, None, [], 0]
    for bad in unfit:
        with pytest.raises(DefinitionError) as caught:
            await fb.execute(document, bad)
        assert caught.value.code == "input_invalid"
        assert caught.value.problems
    with pytest.raises(DefinitionError) as caught:
        await fb.execute(document, {"n": "x"})
    assert caught.value.problems[0].pointer == "/n"
    assert await fb.runs() == []


@pytest.mark.parametrize("bad", [float("nan"), "\x00", "\ud800", {"a": {1, 2}}])
async def test_input_that_is_no_json_is_refused(fb: FlowBuilder, bad: Any) -> None:
    with pytest.raises((InvalidValue, DefinitionError)):
        await fb.execute(_one_step("text.echo", {"value": 1}), {"x": bad})
    assert await fb.runs() == []


async def test_idempotency_key_gives_the_same_run(fb: FlowBuilder) -> None:
    document = _one_step("text.echo", {"value": 1})
    first = await fb.execute(document, {"n": 1}, idempotency_key="k")
    again = await fb.execute(document, {"n": 1}, idempotency_key="k")
    assert (first.created, again.created, again.id) == (True, False, first.id)
    with pytest.raises(Conflict) as caught:
        await fb.execute(document, {"n": 2}, idempotency_key="k")
    assert caught.value.code == "idempotency_mismatch"


@pytest.mark.parametrize("timeout", ["soon", -1, 0, float("nan")])
async def test_a_time_limit_has_to_be_one(fb: FlowBuilder, timeout: Any) -> None:
    with pytest.raises(InvalidValue) as caught:
        await fb.execute(_one_step("text.echo", {"value": 1}), timeout=timeout)
    assert caught.value.pointer == "/timeout"


async def test_failure_names_the_step(fb: FlowBuilder) -> None:
    run = await fb.execute(_one_step("test.break", {"reason": "no luck"}))
    with pytest.raises(RunFailed) as caught:
        await run.result(timeout=WAIT)
    assert caught.value.step == "only"
    assert caught.value.attempt == 1
    assert caught.value.error["code"] == "broken"
    assert "no luck" in caught.value.message


async def test_retries_are_counted(fb: FlowBuilder) -> None:
    document = _one_step("test.second", {})
    document["steps"][0]["retry"] = {"max_attempts": 3, "base_delay": "10ms"}
    run = await fb.execute(document | {"output": "${{ steps.only }}"})
    assert await run.result(timeout=WAIT) == 2
    assert "task_retrying" in [event.type async for event in run.events()]


async def test_waiting_ends_at_its_own_time(dsn: str, settings: Settings) -> None:
    async with FlowBuilder.connect(dsn, settings=settings, tools=TOOLS, worker=False) as fb:
        run = await fb.execute(_one_step("text.echo", {"value": 1}))
        with pytest.raises(WaitTimeout):
            await run.result(timeout=0.01)
        async with fb.worker(concurrency=2):
            assert await run.result(timeout=WAIT) == {"only": 1}


async def test_cancel_pause_resume(dsn: str, settings: Settings) -> None:
    async with FlowBuilder.connect(dsn, settings=settings, tools=TOOLS, worker=False) as fb:
        run = await fb.execute(_one_step("text.echo", {"value": 1}))
        assert (await run.pause(by="user:ada")).status.value == "paused"
        assert (await run.resume()).status.value == "running"
        row = await run.cancel(by="user:ada", reason="changed my mind")
        assert row.status.value == "cancelled"
        with pytest.raises(RunCancelled, match="changed my mind"):
            await run.result(timeout=WAIT)
        with pytest.raises(InvalidTransition):
            await run.cancel()
        assert [event.type async for event in run.events()][-1] == "workflow_cancelled"


# -- approvals ----------------------------------------------------------------------------------


async def test_an_approval_is_bound_to_its_arguments(fb: FlowBuilder) -> None:
    run, approval = await _until_asked(fb, by=[])
    assert approval.args == {"a": 1, "b": 2}
    decided = await fb.approve(approval.id, by="user:ada", comment="fine")
    assert (decided.status.value, decided.decided_by) == ("approved", "user:ada")
    with pytest.raises(Conflict) as caught:
        await fb.approve(approval.id, by="user:bob")
    assert caught.value.code == "already_decided"
    assert caught.value.details["decided_by"] == "user:ada"
    assert await run.result(timeout=WAIT) == {"only": 3}


async def test_edits_are_checked_and_used(fb: FlowBuilder) -> None:
    run, approval = await _until_asked(fb, by=[])
    for bad in ({"a": "x", "b": 1}, {"a": 1}, {"a": 1, "b": 2, "c": 3}):
        with pytest.raises(DefinitionError):
            await fb.approve(approval.id, edits=bad)
    await fb.approve(approval.id, edits={"a": 0, "b": 40})
    assert await run.result(timeout=WAIT) == {"only": 40}


async def test_a_gate_takes_no_value(fb: FlowBuilder) -> None:
    _, approval = await _until_asked(fb, by=[])
    values: list[JsonValue] = [3, False, {"a": 1}]
    for value in values:
        with pytest.raises(InvalidValue) as caught:
            await fb.approve(approval.id, value=value)
        assert caught.value.code == "value_not_possible"
    assert (await fb.get_approval(approval.id)).status.value == "pending"


async def test_states_have_to_be_known(fb: FlowBuilder) -> None:
    for look in (fb.runs(status="done"), fb.approvals(status="")):
        with pytest.raises(InvalidValue) as caught:
            await look
        assert caught.value.code == "status_unknown"
        assert "pending" in str(caught.value.hint) or "queued" in str(caught.value.hint)


@pytest.mark.parametrize("subject", [None, 3, [], b"flow"])
async def test_what_is_no_flow_is_refused(fb: FlowBuilder, subject: Any) -> None:
    with pytest.raises(DefinitionError) as caught:
        await fb.execute(subject)
    assert [problem.code for problem in caught.value.problems] == ["document_not_object"]


async def test_a_key_that_is_no_text_is_refused(fb: FlowBuilder) -> None:
    key: Any = 7
    with pytest.raises(InvalidValue) as caught:
        await fb.execute(_one_step("text.echo", {"value": 1}), idempotency_key=key)
    assert caught.value.code == "idempotency_key_invalid"


async def test_only_who_is_asked_decides(fb: FlowBuilder) -> None:
    run, approval = await _until_asked(fb, by=["user:ada"])
    with pytest.raises(ExecutionError) as caught:
        await fb.approve(approval.id, by="user:bob")
    assert caught.value.code == "approver_not_allowed"
    await fb.reject(approval.id, by="ada", comment="too risky")
    with pytest.raises(RunFailed) as failed:
        await run.result(timeout=WAIT)
    assert failed.value.error["code"] == "approval_rejected"
    assert "too risky" in failed.value.message


async def test_a_person_gives_a_value(fb: FlowBuilder) -> None:
    document = {
        "flow": "ask",
        "steps": [
            {
                "id": "ask",
                "tool": "human.input",
                "args": {"message": "How many?", "schema": {"type": "integer", "minimum": 0}},
            }
        ],
        "output": "${{ steps.ask }}",
    }
    run = await fb.execute(document)
    approval = await _asked(fb, run.id)
    with pytest.raises(DefinitionError):
        await fb.approve(approval.id, value=-1)
    await fb.approve(approval.id, value=0)
    assert await run.result(timeout=WAIT) == 0


async def test_unknown_ids_are_not_found(fb: FlowBuilder) -> None:
    nobody = "00000000-0000-0000-0000-00000000ffff"
    for call in (fb.get_run, fb.get_approval, fb.approve, fb.get_plan, fb.accept_plan):
        for id in (nobody, "nonsense"):
            with pytest.raises(NotFound):
                await call(id)
    with pytest.raises(NotFound):
        _ = [event async for event in fb.follow(nobody)]


# -- functions ----------------------------------------------------------------------------------


async def test_functions_of_this_process_are_steps(fb: FlowBuilder) -> None:
    def double(n: int) -> int:
        return 2 * n

    async def describe(n: int, word: str = "is") -> str:
        return f"it {word} {n}"

    document = {
        "flow": "local",
        "steps": [
            {"id": "double", "args": {"n": "${{ input.n }}"}},
            {"id": "describe", "args": {"n": "${{ steps.double }}"}},
        ],
        "output": "${{ steps.describe }}",
    }
    functions: dict[str, Any] = {"double": double, "describe": describe}
    run = await fb.execute_dynamic(document, {"n": 21}, functions=functions)
    assert await run.result(timeout=WAIT) == "it is 42"
    assert await fb.list_flows() == []
    again = await fb.execute_dynamic(document, {"n": 0}, functions=functions)
    assert await again.result(timeout=WAIT) == "it is 0"
    assert again.row.version_id == run.row.version_id


async def test_a_function_for_no_step_is_refused(fb: FlowBuilder) -> None:
    with pytest.raises(DefinitionError) as caught:
        await fb.execute_dynamic(
            _one_step("text.echo", {"value": 1}), functions={"other": lambda: 1}
        )
    assert caught.value.problems[0].code == "function_unused"


async def test_bad_arguments_never_reach_a_function(fb: FlowBuilder) -> None:
    called = []

    def record(n: int) -> int:
        called.append(n)
        return n

    document = {"flow": "f", "steps": [{"id": "record", "args": {"n": "many"}}]}
    with pytest.raises(DefinitionError):
        await fb.execute_dynamic(document, functions={"record": record})
    assert called == []


async def test_functions_need_a_worker_here(dsn: str, settings: Settings) -> None:
    async with FlowBuilder.connect(dsn, settings=settings, worker=False) as fb:
        with pytest.raises(ExecutionError) as caught:
            await fb.execute_dynamic(
                {"flow": "f", "steps": [{"id": "s"}]}, functions={"s": lambda: 1}
            )
        assert caught.value.code == "no_worker"


# -- plans --------------------------------------------------------------------------------------


class OnePlan:
    """A planner with one answer."""

    name = "rules"

    def __init__(self, **fields: Any) -> None:
        self.fields = fields

    async def stream(self, request: PlanRequest) -> AsyncIterator[PlanEvent]:
        from flowbuilder.flow import Flow

        yield PlanEvent(type=PlanEventType.STARTED, data={"goal": request.goal})
        if request.goal == "fail":
            yield PlanEvent(type=PlanEventType.FAILED, data={"code": "planning_failed"})
            raise PlanningError("no")
        flow = Flow.model_validate(_one_step("text.echo", {"value": request.input}))
        plan = Plan(
            id=request.id,
            goal=request.goal,
            planner=self.name,
            flow=flow,
            input=request.input,
            **self.fields,
        )
        yield PlanEvent(type=PlanEventType.COMPLETED, data={"plan": plan.as_json()}, plan=plan)


async def test_a_plan_is_stored_with_its_events(dsn: str, settings: Settings) -> None:
    async with FlowBuilder.connect(
        dsn, settings=settings, tools=TOOLS, worker=True, planner=OnePlan()
    ) as fb:
        plan = await fb.plan("say it", input={"n": 0})
        assert await fb.get_plan(plan.id) == plan
        assert [event.type async for event in fb.follow(plan.id)] == [
            "plan_started",
            "plan_completed",
        ]
        run = await fb.accept_plan(plan)
        assert await run.result(timeout=WAIT) == {"only": {"n": 0}}
        assert (await fb.accept_plan(plan.id)).id == run.id
        assert (await fb.get_plan(plan.id)).status is PlanStatus.ACCEPTED
        other = await fb.execute(plan)
        assert other.id != run.id


class Told(OnePlan):
    """Tells of a step before the plan, as a model's planner does."""

    def __init__(self, step: Any) -> None:
        super().__init__()
        self.step = step

    async def stream(self, request: PlanRequest) -> AsyncIterator[PlanEvent]:
        data = {"step": self.step, "position": 0, "problems": []}
        yield PlanEvent(type=PlanEventType.STEP_ADDED, data=data)
        async for event in super().stream(request):
            yield event


@pytest.mark.parametrize(
    "value",
    ["a\x00b", "\ud800", float("nan"), 10**400],
    ids=["nul", "surrogate", "nan", "huge"],
)
async def test_a_plan_with_an_event_that_cannot_be_stored_leaves_nothing(
    dsn: str, settings: Settings, value: Any
) -> None:
    planner = Told({"args": {"path": value}})
    async with FlowBuilder.connect(dsn, settings=settings, worker=False, planner=planner) as fb:
        with pytest.raises(PlanningError) as caught:
            await fb.plan("say it")
        assert caught.value.code == "plan_invalid"
        assert caught.value.problems[0].pointer == "/step/args/path"
        assert await fb.plans() == []


async def test_a_plan_is_stored_whole_though_nobody_waits(dsn: str, settings: Settings) -> None:
    async with FlowBuilder.connect(dsn, settings=settings, tools=TOOLS, planner=OnePlan()) as fb:
        stream = fb.plan_stream("say it")
        await anext(stream)
        rest = asyncio.ensure_future(anext(stream))
        stored = await fb.plans()
        while not stored:  # each look lets the other task go on
            stored = await fb.plans()
        rest.cancel()
        await asyncio.wait([rest])
        types = [event.type for event in await fb.events(stored[0].id)]
        assert types == ["plan_started", "plan_completed"]


async def test_a_failed_plan_leaves_nothing(dsn: str, settings: Settings) -> None:
    async with FlowBuilder.connect(dsn, settings=settings, worker=False, planner=OnePlan()) as fb:
        with pytest.raises(PlanningError):
            await fb.plan("fail")
        for goal in ("", "   ", "a\x00b", "\ud800", "x" * 100_000):
            with pytest.raises(PlanningError):
                await fb.plan(goal)
        assert await fb.plans() == []


async def test_a_plan_with_questions_is_not_run(dsn: str, settings: Settings) -> None:
    from flowbuilder.plan import Question

    question = Question(id="q", text="Where to?", pointer="/steps/0/args/value")
    planner = OnePlan(questions=(question,), status=PlanStatus.NEEDS_ANSWERS)
    async with FlowBuilder.connect(
        dsn, settings=settings, tools=TOOLS, worker=False, planner=planner
    ) as fb:
        plan = await fb.plan("ask")
        with pytest.raises(DefinitionError) as caught:
            await fb.accept_plan(plan.id)
        assert caught.value.code == "plan_not_ready"
        assert caught.value.problems[0].message == "Where to?"
        assert await fb.runs() == []


# -- opening ------------------------------------------------------------------------------------


async def test_a_closed_builder_says_so(settings: Settings) -> None:
    fb = FlowBuilder.connect("postgresql://nobody@127.0.0.1:1/none", settings=settings)
    with pytest.raises(ExecutionError) as caught:
        await fb.list_flows()
    assert caught.value.code == "not_open"


async def test_open_and_close_by_hand(dsn: str, settings: Settings) -> None:
    fb = await FlowBuilder.connect(dsn, settings=settings).open()
    assert await fb.open() is fb
    assert await fb.runs() == []
    await fb.close()
    await fb.close()


async def test_notifications_reach_listeners(fb: FlowBuilder) -> None:
    async with fb.notifications.listen("task_events") as messages:
        await fb.notifications.send_with_notify("task_events", {"n": 0})
        message = await asyncio.wait_for(anext(messages), WAIT)
    assert message.payload == {"n": 0}


def _one_step(name: str, args: dict[str, Any], *, named: bool = True) -> dict[str, Any]:
    document: dict[str, Any] = {"steps": [{"id": "only", "tool": name, "args": args}]}
    return {"flow": "one-step", **document} if named else document


async def _until_asked(fb: FlowBuilder, by: list[str]) -> tuple[Any, Any]:
    document = _one_step("math.add", {"a": 1, "b": 2})
    document["steps"][0]["approval"] = {"by": by}
    run = await fb.execute(document)
    return run, await _asked(fb, run.id)


async def _asked(fb: FlowBuilder, run_id: str) -> Any:
    async with asyncio.timeout(WAIT):
        async for event in fb.follow(run_id):
            if event.type == "approval_requested":
                return await fb.get_approval(str(event.data["approval_id"]))
    raise AssertionError("the run ended without asking")
