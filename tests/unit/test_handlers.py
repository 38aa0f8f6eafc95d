"""One attempt, from the lease to the outcome: what tools return, raise, and refuse to end."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from flowbuilder.errors import NotFound
from flowbuilder.executor.attempt import Attempts
from flowbuilder.executor.context import (
    EnvironmentSecrets,
    ProgressReporter,
    TaskContext,
    progress_data,
)
from flowbuilder.executor.failures import describe
from flowbuilder.executor.records import (
    ApprovalRow,
    LeasedTask,
    Outcome,
    OutcomeKind,
    TaskKind,
    VersionRow,
)
from flowbuilder.executor.store import Store
from flowbuilder.flow import Step
from flowbuilder.settings import Settings
from flowbuilder.strictjson import check
from flowbuilder.tools import Fail, ToolRegistry
from flowbuilder.types import JsonObject, JsonValue
from tests.support.approving import granted
from tests.support.handlers import CALLED, TOOLS, Recursive, Untellable
from tests.support.waiting import eventually

RUN: JsonObject = {"id": "r1", "flow": "f", "version": 1, "started_at": None}


class Flows:
    """What an attempt asks the store for: the flow of a child run, and what people have said."""

    def __init__(self) -> None:
        self.gate: ApprovalRow | None = None

    async def gate_of_task(self, run_id: str, task_id: int) -> ApprovalRow | None:
        return self.gate

    async def of_run(self, run_id: str) -> Any:
        return self

    async def get_version(self, slug: str, version: int | None = None) -> VersionRow:
        if slug != "child":
            raise NotFound(f"there is no flow {slug!r}", code="flow_not_found")
        wants: JsonObject = {"type": "object", "required": ["n"]}
        return VersionRow(
            id="v7",
            slug=slug,
            version=7,
            content_hash="",
            document={"flow": slug, "input": wants},
            origin="published",
            created_at=datetime.now(UTC),
        )


FLOWS = Flows()


@pytest.fixture
async def attempts() -> AsyncIterator[Attempts]:
    made = Attempts(cast(Store, FLOWS), ToolRegistry(TOOLS), Settings())
    yield made
    FLOWS.gate = None
    await made.close()


def leased(tool: str = "echo.value", args: JsonObject | None = None, **more: Any) -> LeasedTask:
    """A task of a step with these policies, or with these fields of the lease."""
    fields = {name for name in LeasedTask.__dataclass_fields__ if name in more}
    policies = {name: value for name, value in more.items() if name not in fields}
    step = Step.model_validate({"id": "work", "tool": tool, "args": args or {}, **policies})
    task = LeasedTask(
        task_id=1,
        fence=1,
        run_id="r1",
        kind=TaskKind.STEP,
        step_id="work",
        index=None,
        item=None,
        attempt=1,
        claims=1,
        node_id=None,
        definition=step.model_dump(mode="json"),
        args=None,
        approved=False,
        run=RUN,
        input=None,
        outputs={},
        skipped=[],
    )
    return replace(task, **{name: more[name] for name in fields})


def context_of(task: LeasedTask, report: Callable[[JsonObject], None] | None = None) -> TaskContext:
    secrets = EnvironmentSecrets({})
    return TaskContext(task, settings=Settings(), secrets=secrets, report=report)


async def outcome_of(attempts: Attempts, task: LeasedTask) -> Outcome:
    outcome = await attempts.run(task, context_of(task))
    assert (outcome.task_id, outcome.fence) == task.key
    stored = orjson.loads(orjson.dumps(outcome.as_json()))
    assert check(stored) == stored, "an outcome must be storable whatever the handler did"
    return outcome


def code_of(outcome: Outcome) -> JsonValue:
    assert outcome.error is not None
    return outcome.error["code"]


# -- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", ["echo.value", "echo.plain", "echo.process"])
async def test_every_value_goes_through_unchanged(attempts: Attempts, tool: str) -> None:
    values: list[JsonValue] = [0, False, "", None, [], {}, 1.5, -(2**63), "ü\U0001f600", {"a": [0]}]
    for value in values:
        outcome = await outcome_of(attempts, leased(tool, {"value": value}))
        assert outcome.kind is OutcomeKind.COMPLETED
        assert outcome.output == value and type(outcome.output) is type(value)


async def test_arguments_are_resolved_from_everything_a_reference_may_name(
    attempts: Attempts,
) -> None:
    args: JsonObject = {
        "value": {
            "input": "${{ input.n }}",
            "step": "${{ steps.before.rows[1] }}",
            "gone": "${{ steps.gone.anything }}",
            "item": "${{ item }}",
            "index": "${{ index }}",
            "run": "${{ run.flow }}",
            "text": "n=${{ input.n }}",
        }
    }
    task = leased(
        args=args,
        for_each=[1, 2, 3],
        input={"n": 0},
        outputs={"before": {"rows": ["a", "b"]}, "gone": None},
        skipped=["gone"],
        item=False,
        index=2,
    )
    outcome = await outcome_of(attempts, task)
    assert outcome.output == {
        "input": 0,
        "step": "b",
        "gone": None,
        "item": False,
        "index": 2,
        "run": "f",
        "text": "n=0",
    }


async def test_a_reference_that_leads_nowhere_is_final_and_says_where(attempts: Attempts) -> None:
    task = leased(args={"value": "${{ input.missing }}"}, input={"there": 1})
    outcome = await outcome_of(attempts, task)
    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.error is not None
    assert (outcome.error["code"], outcome.error["pointer"]) == ("reference_missing", "/value")


@pytest.mark.parametrize("args", [{}, {"text": 1}, {"text": "a", "more": 1}, {"text": None}])
async def test_bad_arguments_never_reach_the_function(attempts: Attempts, args: JsonObject) -> None:
    CALLED.clear()
    outcome = await outcome_of(attempts, leased("text.double", args))
    assert outcome.kind is OutcomeKind.FAILED
    assert code_of(outcome) == "argument_invalid"
    assert CALLED == []
    assert (await outcome_of(attempts, leased("text.double", {"text": ""}))).output == ""
    assert CALLED == [""]


@pytest.mark.parametrize(
    "kind", ["nan", "infinity", "nul", "surrogate", "deep", "large", "object", "huge"]
)
async def test_a_result_that_is_no_clean_json_fails_the_step(attempts: Attempts, kind: str) -> None:
    outcome = await outcome_of(attempts, leased("bad.output", {"kind": kind}))
    assert outcome.kind is OutcomeKind.FAILED
    assert code_of(outcome) == "output_invalid"


async def test_a_result_of_another_type_than_promised_fails_the_step(attempts: Attempts) -> None:
    assert code_of(await outcome_of(attempts, leased("typed.output"))) == "output_invalid"


async def test_a_tool_that_is_not_here_fails_the_step(attempts: Attempts) -> None:
    outcome = await outcome_of(attempts, leased("not.here"))
    assert (outcome.kind, code_of(outcome)) == (OutcomeKind.FAILED, "tool_gone")


# -- conditions, maps and the end of a run ----------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "index", "holds", "expected"),
    [
        (TaskKind.STEP, None, False, OutcomeKind.SKIPPED),
        (TaskKind.STEP, None, True, OutcomeKind.COMPLETED),
        (TaskKind.EXPAND, None, False, OutcomeKind.SKIPPED),
        (TaskKind.EXPAND, None, True, OutcomeKind.COMPLETED),
        (TaskKind.STEP, 0, False, OutcomeKind.COMPLETED),  # the map was judged as a whole
    ],
)
async def test_conditions_decide_where_they_should(
    attempts: Attempts, kind: TaskKind, index: int | None, holds: bool, expected: OutcomeKind
) -> None:
    mapped: dict[str, Any] = {} if index is None and kind is TaskKind.STEP else {"for_each": [1]}
    task = leased(
        args={"value": 1}, when="input.go", kind=kind, index=index, input={"go": holds}, **mapped
    )
    outcome = await outcome_of(attempts, task)
    assert outcome.kind is expected
    assert outcome.reason == ("condition" if expected is OutcomeKind.SKIPPED else None)


async def test_a_condition_that_is_no_condition_fails_the_step(attempts: Attempts) -> None:
    task = leased(args={"value": 1}, when="input.n", input={"n": 5})
    assert code_of(await outcome_of(attempts, task)) == "cel_not_bool"


async def test_the_output_of_a_run_is_resolved(attempts: Attempts) -> None:
    task = replace(
        leased(),
        kind=TaskKind.FINISH,
        step_id=None,
        definition={"output": {"total": "${{ steps.sum }}", "note": "${{ input.note }}"}},
        outputs={"sum": 0},
        input={"note": ""},
    )
    outcome = await outcome_of(attempts, task)
    assert outcome.output == {"total": 0, "note": ""}


# -- approvals and waits ----------------------------------------------------------------------


async def test_a_step_with_an_approval_asks_with_the_arguments_it_would_use(
    attempts: Attempts,
) -> None:
    policy = {"by": ["role:approver"], "deadline": "2h", "message": "look"}
    task = leased(args={"value": {"b": "${{ input.n }}", "a": 1}}, approval=policy, input={"n": 2})
    outcome = await outcome_of(attempts, task)
    args = {"value": {"a": 1, "b": 2}}
    assert outcome.kind is OutcomeKind.WAITING
    assert outcome.wait == {
        "kind": "approval",
        "approval_kind": "gate",
        "args": args,
        "args_hash": hashlib.sha256(orjson.dumps(args, option=orjson.OPT_SORT_KEYS)).hexdigest(),
        "message": "look",
        "by": ["role:approver"],
        "deadline_seconds": 7200.0,
        "on_deadline": "reject",
        "risk": "low",
        "reasons": [],
        "taint": [],
        "policy": None,
    }


async def test_nobody_is_asked_about_arguments_that_cannot_work(attempts: Attempts) -> None:
    task = leased("text.double", {"text": 5}, approval={})
    assert code_of(await outcome_of(attempts, task)) == "argument_invalid"


async def test_approved_arguments_are_used_as_they_are(attempts: Attempts) -> None:
    task = leased(
        args={"value": "${{ input.n }}"},
        approval={},
        when="input.n == 1",
        approved=True,
        input={"n": 2},
    )
    approved: JsonObject = {"value": "${{ not.resolved }}"}
    FLOWS.gate = granted(tool="echo.value", args={"value": 2}, edits=approved)
    outcome = await outcome_of(attempts, replace(task, args=approved))
    assert outcome.output == "${{ not.resolved }}"


async def test_waits_say_what_they_wait_for(attempts: Attempts) -> None:
    async def wait(kind: str, value: JsonValue = None) -> JsonObject:
        task = leased("wait.kind", {"kind": kind, "value": value})
        outcome = await outcome_of(attempts, task)
        assert outcome.kind is OutcomeKind.WAITING and outcome.wait is not None
        return outcome.wait

    assert await wait("time", 1.5) == {"kind": "time", "seconds": 1.5}
    decision = await wait("approval", {"shown": 0})
    assert decision["approval_kind"] == "decision"
    assert (decision["args"], decision["by"]) == ({"shown": 0}, ["user:ada"])
    asked = await wait("input")
    assert (asked["approval_kind"], asked["schema"]) == ("input", {"type": "integer"})
    child = await wait("run", {"n": 1})
    assert child == {"kind": "run", "flow": "child", "version_id": "v7", "input": {"n": 1}}
    named = {
        "kind": "event",
        "name": "n",
        "key": "",
        "timeout_seconds": 86400,
        "on_timeout": "fail",
        "outside": True,
    }
    assert await wait("event", {"name": "n"}) == named
    timed = {**named, "key": "7", "timeout_seconds": 90, "on_timeout": "null"}
    given: JsonObject = {"name": "n", "key": "7", "timeout": "1m30s", "on_timeout": "null"}
    assert await wait("event", given) == timed


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        ("time", -1, "wait_invalid"),
        ("time", "soon", "wait_invalid"),
        ("time", None, "wait_invalid"),
        ("event", {"name": "a b"}, "event_invalid"),
        ("event", {"name": None}, "event_invalid"),
        ("event", {"name": "n", "key": 7}, "event_invalid"),
        ("event", {"name": "n", "timeout": "soon"}, "wait_invalid"),
        ("event", {"name": "n", "timeout": -1}, "wait_invalid"),
        ("event", {"name": "n", "on_timeout": "skip"}, "wait_invalid"),
        ("run", {"m": 1}, "input_invalid"),
        ("run", None, "input_invalid"),
    ],
)
async def test_waits_that_could_never_end_well_fail_at_once(
    attempts: Attempts, kind: str, value: JsonValue, code: str
) -> None:
    outcome = await outcome_of(attempts, leased("wait.kind", {"kind": kind, "value": value}))
    assert (outcome.kind, code_of(outcome)) == (OutcomeKind.FAILED, code)


# -- what handlers raise ----------------------------------------------------------------------


@pytest.mark.parametrize("way", ["raise.async", "raise.plain", "raise.process"])
@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("value", "exception"),
        ("untellable", "exception"),
        ("recursive", "exception"),
        ("exit", "exception"),
        ("interrupt", "exception"),
        ("cancelled", "exception"),
        ("stop", "exception"),
        ("timeout", "exception"),
        ("nul", "exception"),
        ("model", "model_failed"),
    ],
)
async def test_whatever_a_handler_raises_is_a_failed_attempt_and_no_more(
    attempts: Attempts, way: str, kind: str, code: str
) -> None:
    outcome = await outcome_of(attempts, leased(way, {"kind": kind}))
    assert (outcome.kind, code_of(outcome)) == (OutcomeKind.RETRY, code)
    assert outcome.delay_seconds is not None and 0.5 <= outcome.delay_seconds <= 1


@pytest.mark.parametrize("way", ["raise.async", "raise.plain", "raise.process"])
async def test_handlers_decide_what_is_final_and_when_to_try_again(
    attempts: Attempts, way: str
) -> None:
    final = await outcome_of(attempts, leased(way, {"kind": "fail"}))
    assert (final.kind, code_of(final)) == (OutcomeKind.FAILED, "wrong_account")
    refused = await outcome_of(attempts, leased(way, {"kind": "invalid"}))
    assert (refused.kind, code_of(refused)) == (OutcomeKind.FAILED, "colour_unknown")
    assert refused.error is not None and refused.error["pointer"] == "/colour"
    model = await outcome_of(attempts, leased(way, {"kind": "model_final"}))
    assert model.kind is OutcomeKind.FAILED
    later = await outcome_of(attempts, leased(way, {"kind": "retry"}))
    assert (later.kind, later.delay_seconds) == (OutcomeKind.RETRY, 7)


async def test_the_last_attempt_fails_for_good(attempts: Attempts) -> None:
    for kind in ("value", "retry"):
        task = leased("raise.async", {"kind": kind}, retry={"max_attempts": 2}, attempt=2)
        outcome = await outcome_of(attempts, task)
        assert (outcome.kind, outcome.delay_seconds) == (OutcomeKind.FAILED, None)


@pytest.mark.parametrize("error", [Untellable(), Recursive(), ValueError("x" * 10_000)])
def test_every_error_has_a_small_clean_description(error: BaseException) -> None:
    described = describe(error)
    assert check(described) == described
    assert described["type"] == type(error).__name__
    assert len(orjson.dumps(described)) < 5_000


# -- time limits ------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["hang.async", "hang.plain"])
async def test_a_time_limit_stops_the_handler(attempts: Attempts, way: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    outcome = await outcome_of(attempts, leased(way, {"mark": str(mark)}, timeout="50ms"))
    assert (outcome.kind, code_of(outcome)) == (OutcomeKind.RETRY, "attempt_timeout")
    await eventually(mark.exists)


async def test_a_time_limit_kills_the_process_of_a_tool(attempts: Attempts, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    await outcome_of(attempts, leased("echo.process", {"value": 1}))  # the process is there
    task = leased("hang.process", {"mark": str(mark)}, timeout="1s")
    outcome = await outcome_of(attempts, task)
    assert code_of(outcome) == "attempt_timeout"
    await eventually(lambda: not _alive(int(mark.read_text())))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_crash_is_a_failed_attempt_and_the_next_call_works(attempts: Attempts) -> None:
    outcome = await outcome_of(attempts, leased("crash.process"))
    assert (outcome.kind, code_of(outcome)) == (OutcomeKind.RETRY, "process_crashed")
    assert outcome.error is not None and "exit code 7" in str(outcome.error["message"])
    again = await outcome_of(attempts, leased("echo.process", {"value": 1}))
    assert again.output == 1


@pytest.mark.parametrize("way", ["hang.async", "hang.plain"])
async def test_cancelling_an_attempt_tells_its_handler(
    attempts: Attempts, way: str, tmp_path: Path
) -> None:
    mark = tmp_path / "mark"
    task = leased(way, {"mark": str(mark)})
    context = context_of(task)
    work = asyncio.create_task(attempts.run(task, context))
    await asyncio.sleep(0)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert context.cancelled
    await eventually(lambda: way == "hang.async" or mark.exists())


# -- the context ------------------------------------------------------------------------------


async def test_a_process_sees_the_context_and_may_print_and_report(attempts: Attempts) -> None:
    heard: list[JsonObject] = []
    task = leased("chatty.process", attempt=2)
    outcome = await attempts.run(task, context_of(task, heard.append))
    assert outcome.output == {"step": "work", "key": "r1:work:0", "attempt": 2}
    assert heard == [{"fraction": 0.5, "message": "half"}]


def test_the_idempotency_key_is_the_same_on_every_attempt_and_differs_by_element() -> None:
    keys = {
        context_of(leased(attempt=attempt, index=index)).idempotency_key
        for attempt in (1, 2, 3)
        for index in (None, 1)
    }
    assert keys == {"r1:work:0", "r1:work:1"}


def test_secrets_come_from_the_environment_and_missing_ones_are_named() -> None:
    secrets = EnvironmentSecrets({"FLOWBUILDER_SECRET_API_KEY": "s3", "OTHER": "x"})
    assert secrets.get("api_key") == secrets.get("api-key") == "s3"
    with pytest.raises(NotFound) as refused:
        secrets.get("other")
    assert refused.value.code == "secret_not_found"
    assert "s3" not in repr(secrets)


@pytest.mark.parametrize(
    ("fraction", "message", "expected"),
    [
        (0, "", {"fraction": 0.0, "message": ""}),
        (7, None, {"fraction": 1.0, "message": None}),
        (float("nan"), "a\0", {"fraction": None, "message": "a\ufffd"}),
        ("half", 5, {"fraction": None, "message": "5"}),
    ],
)
def test_progress_is_made_clean(fraction: Any, message: Any, expected: JsonObject) -> None:
    assert progress_data(fraction, message) == expected


async def test_progress_is_passed_on_sparingly_and_the_newest_is_not_lost() -> None:
    written: list[JsonObject] = []

    async def write(data: JsonObject) -> None:
        written.append(data)

    report = ProgressReporter(write, seconds=0.02)
    for number in range(100):
        report({"fraction": number / 100, "message": None})
        await asyncio.sleep(0)
    await eventually(lambda: written[-1]["fraction"] == 0.99)
    assert len(written) < 50
    report.close()
    report({"fraction": 1.0, "message": "too late"})
    await asyncio.sleep(0.03)
    assert written[-1]["fraction"] == 0.99


def test_a_number_that_is_too_long_to_be_stored_is_described_as_text() -> None:
    assert describe(Fail("no", code=10**30))["code"] == str(10**30)  # type: ignore[arg-type]
    assert describe(Fail("no", code=2**64 - 1))["code"] == 2**64 - 1  # type: ignore[arg-type]
