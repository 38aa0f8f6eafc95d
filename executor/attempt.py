"""One attempt of a task: from the lease to the outcome. Nothing that a handler does escapes."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

from flowbuilder.errors import (
    Conflict,
    DatabaseUnavailable,
    ExecutionError,
    InvalidValue,
    NotFound,
    StaleTask,
)
from flowbuilder.executor.calls import Calls, HandlerRaised, ProcessRaised
from flowbuilder.executor.context import TaskContext
from flowbuilder.executor.failures import describe, is_final
from flowbuilder.executor.fingerprints import fingerprint
from flowbuilder.executor.guard import Admission, Guard
from flowbuilder.executor.outages import through_outages
from flowbuilder.executor.process_child import Answer
from flowbuilder.executor.questions import check_question
from flowbuilder.executor.records import LeasedTask, Outcome, OutcomeKind, TaskKind, VersionRow
from flowbuilder.executor.retry import delay, exhausted
from flowbuilder.executor.secret_desk import SecretDesk
from flowbuilder.executor.store import Store
from flowbuilder.executor.transactions import Transactions
from flowbuilder.expressions import compile_expression
from flowbuilder.flow import ApprovalPolicy, RetryPolicy, Step
from flowbuilder.references import Scope, resolve
from flowbuilder.schemas import value_problems, with_defaults
from flowbuilder.secrecy import REDACTOR
from flowbuilder.settings import Settings
from flowbuilder.strictjson import Limits, check
from flowbuilder.tools import Retry, Tool, ToolRegistry, Wait, check_arguments, takes_context
from flowbuilder.tools.eventnames import check_event
from flowbuilder.types import JsonObject, JsonValue, format_duration, parse_duration
from flowbuilder.validation import compile_flow

T = TypeVar("T")

#: Steps kept in memory; above that they are read anew.
MOST_STEPS = 10_000
#: For a question or a wait for an event of a tool that sets none.
_DEADLINE = timedelta(hours=24)


class AttemptTimeout(ExecutionError):
    """An attempt took longer than its time limit."""

    default_code = "attempt_timeout"

    def __init__(self, limit: timedelta) -> None:
        super().__init__(f"the attempt took longer than its limit of {format_duration(limit)}")


class Attempts:
    """Runs attempts with the tools and settings of one worker."""

    def __init__(
        self,
        store: Store,
        registry: ToolRegistry,
        settings: Settings,
        *,
        transactions: Transactions | None = None,
        secrets: SecretDesk | None = None,
    ) -> None:
        self.registry = registry
        self._store = store
        self._settings = settings
        self._limits = Limits(depth=settings.max_json_depth, bytes=settings.max_value_bytes)
        self._calls = Calls(processes=2, limits=self._limits)
        self._transactions = transactions
        self._guard = Guard(store, settings)
        self._secrets = secrets
        self._steps: dict[int, Step] = {}

    async def run(self, task: LeasedTask, context: TaskContext) -> Outcome:
        """Work on a task and return what it ended with. Raises nothing but CancelledError."""
        try:
            if task.kind is TaskKind.FINISH:
                return self._finish(task)
            if task.kind is TaskKind.EXPAND:
                return _completed(task, True) if _holds(task) else _skipped(task)
            return await self._step(task, context)
        except HandlerRaised as raised:
            return self._failure(task, raised.error)
        except ProcessRaised as raised:
            return self._remote_failure(task, raised.answer)
        except StaleTask:  # nothing was committed; if it is not ours any more, the report says so
            return task.outcome(OutcomeKind.RELEASED)
        except Exception as error:
            return self._failure(task, error)

    def overrun(self, task: LeasedTask) -> Outcome:
        """Return what an attempt ended with whose handler does not stop at its time limit."""
        step = self._known_step(task)
        tool = self.registry.get(step.tool)
        limit = step.timeout or (timedelta(0) if tool is None else tool.timeout)
        return self._failure(task, AttemptTimeout(limit))

    async def close(self) -> None:
        """Let go of threads and processes."""
        await self._calls.close()
        if self._transactions is not None:
            await self._transactions.close()

    def _finish(self, task: LeasedTask) -> Outcome:
        output = resolve(_json(task.definition.get("output")), _scope(task))
        return _completed(task, check(output, limits=self._limits))

    async def _step(self, task: LeasedTask, context: TaskContext) -> Outcome:
        step = self._known_step(task)
        if not task.approved and step.for_each is None and not _holds(task):
            return _skipped(task)
        tool = self.registry.get(step.tool)
        if tool is None:
            raise NotFound(f"this worker has no tool {step.tool}", code="tool_gone")
        scope = _scope(task)
        args = self._arguments(step, scope)
        if not self._guard.is_free(task, step, tool):
            admission = await self._looked_up(
                partial(
                    self._guard.admit, task, step, tool, args, scope=scope, registry=self.registry
                )
            )
            if admission.ask is not None:
                check_arguments(tool, args)
                return task.outcome(OutcomeKind.WAITING, wait=gate(admission, args))
            args = admission.args
        limit = step.timeout or tool.timeout
        try:
            value = await self._called(tool, args, context, task, limit.total_seconds())
        except TimeoutError:
            raise AttemptTimeout(limit) from None
        context.end()
        if isinstance(value, Wait):
            asked = check(await self._wait(value, task.run_id), limits=self._limits)
            wait = REDACTOR.json(asked)
            assert isinstance(wait, dict)
            if await self._is_outside(value, task, step, tool):
                wait["outside"] = True
            return task.outcome(OutcomeKind.WAITING, wait=wait)
        return _completed(task, value)

    async def _looked_up(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call to the database that no handler makes: an outage costs no attempt.

        Raises:
            StaleTask: It was away for as long as a lease: by now the task may be somebody else's.
        """
        try:
            return await through_outages(call, seconds=self._settings.lease.total_seconds())
        except DatabaseUnavailable as error:
            raise StaleTask("the database was away for longer than a lease") from error

    async def _called(
        self, tool: Tool, args: JsonObject, context: TaskContext, task: LeasedTask, seconds: float
    ) -> JsonValue | Wait:
        """Call a tool; a transactional one has completed its task when this returns."""
        if self._secrets is not None and takes_context(tool):
            context.furnish(await self._secrets.secrets_for(task.run_id, tool.name))

        async def call() -> JsonValue | Wait:
            value = await self._calls.call(tool, args, context, task=task, seconds=seconds)
            return value if isinstance(value, Wait) else REDACTOR.json(value)

        if not tool.transactional:
            return await call()
        if self._transactions is None:
            raise ExecutionError("this worker has no database for transactional tools")

        async def result() -> JsonValue:
            if isinstance(value := await call(), Wait):
                raise InvalidValue("a transactional tool cannot wait", code="wait_invalid")
            return value

        return await self._transactions.run(task, context, result, seconds=seconds)

    def _known_step(self, task: LeasedTask) -> Step:
        """Return the step of a task, read once from its definition."""
        if task.node_id is None:
            return Step.model_validate(task.definition)
        found = self._steps.get(task.node_id)
        if found is None:
            if len(self._steps) >= MOST_STEPS:
                self._steps.clear()
            found = self._steps[task.node_id] = Step.model_validate(task.definition)
        return found

    async def _is_outside(self, value: Wait, task: LeasedTask, step: Step, tool: Tool) -> bool:
        """Whether a wait carries data from outside that no declaration tells of.

        Into a child run, whose input has it, or by an event, which becomes the step's output.
        """
        if value.kind == "run":
            taint = partial(self._guard.taint, task, step, self.registry)
            return bool((await self._looked_up(taint))[0])
        return value.kind == "event" and not tool.untrusted_output

    def _arguments(self, step: Step, scope: Scope) -> JsonObject:
        resolved = check(resolve(dict(step.args), scope), limits=self._limits)
        assert isinstance(resolved, dict)
        return resolved

    async def _wait(self, wait: Wait, run_id: str) -> JsonObject:
        if wait.kind == "time":
            return {"kind": "time", "seconds": _checked_seconds(wait.seconds)}
        if wait.kind == "approval":
            return self._question(wait)
        if wait.kind == "event":
            return _event(wait)
        if str(wait.kind) != "run" or not isinstance(wait.flow, str):
            raise InvalidValue("there is no such wait", code="wait_invalid")
        version = await self._looked_up(
            partial(self._child_version, run_id, wait.flow, wait.version)
        )
        return {
            "kind": "run",
            "flow": wait.flow,
            "version_id": version.id,
            "input": _fitting_input(version, wait.input),
        }

    async def _child_version(self, run_id: str, slug: str, number: int | None) -> VersionRow:
        # a worker works for every workspace: a child is looked for where its parent belongs
        return await self._version(await self._store.of_run(run_id), slug, number)

    async def _version(self, store: Store, slug: str, number: int | None) -> VersionRow:
        """Return the version that a child run executes.

        The newest published one; a flow that was never published is published as it stands, as
        executing it by name would.
        """
        try:
            return await store.get_version(slug, number)
        except NotFound as error:
            if error.code != "version_not_found" or number is not None:
                raise
        row = await store.get_flow(slug)
        flow = compile_flow(row.draft, self.registry)
        try:
            return await store.register_version(flow, self.registry, revision=row.revision)
        except Conflict:  # it was changed just now
            return await self._version(store, slug, number)

    def _question(self, wait: Wait) -> JsonObject:
        deadline = check_question(wait) or _DEADLINE
        return {
            **_asked(wait, check(wait.data, limits=self._limits), deadline),
            "approval_kind": "decision" if wait.schema is None else "input",
            "schema": _json(wait.schema),
        }

    def _failure(self, task: LeasedTask, error: BaseException) -> Outcome:
        given = getattr(error, "after", None) if isinstance(error, Retry) else None
        # whatever a subclass has made of it
        after = given if isinstance(given, timedelta) else None
        return _failed(task, describe(error), final=is_final(error), after=after)

    def _remote_failure(self, task: LeasedTask, answer: Answer) -> Outcome:
        seconds = answer.after_seconds
        after = None if seconds is None else timedelta(seconds=seconds)
        return _failed(task, answer.error or {}, final=answer.final, after=after)


def _failed(
    task: LeasedTask, error: JsonObject, *, final: bool, after: timedelta | None
) -> Outcome:
    """Return a retry while the step's policy allows one, else the final failure."""
    policy = _policy(task.definition)
    ended = final or exhausted(policy, task.attempt)
    seconds = delay(policy, task.attempt, random.random)
    return task.outcome(
        OutcomeKind.FAILED if ended else OutcomeKind.RETRY,
        error=error,
        delay_seconds=None if ended else seconds if after is None else after.total_seconds(),
    )


def gate(admission: Admission, args: JsonObject) -> JsonObject:
    """Return the wait of a step that needs an approval of exactly these arguments."""
    policy = admission.ask
    assert policy is not None
    wait = {**_asked(policy, args, policy.deadline), "approval_kind": "gate", **admission.why}
    locked: list[JsonValue] = list(policy.locked)
    terms: JsonObject = {
        "quorum": policy.quorum if policy.quorum != 1 else None,
        "rejections": policy.rejections if policy.rejections != 1 else None,
        "separate_duties": policy.separate_duties or None,
        "locked": locked or None,
        "escalate": [
            {"after_seconds": step.after.total_seconds(), "to": [*step.to]}
            for step in policy.escalate
        ]
        or None,
    }
    return {**wait, **{name: value for name, value in terms.items() if value is not None}}


def _asked(about: ApprovalPolicy | Wait, args: JsonValue, deadline: timedelta) -> JsonObject:
    """Return what every question to a person says."""
    by: list[JsonValue] = list(about.by)
    return {
        "kind": "approval",
        "args": args,
        "args_hash": fingerprint(args),
        "message": about.message,
        "by": by,
        "deadline_seconds": deadline.total_seconds(),
        "on_deadline": about.on_deadline,
    }


def _event(wait: Wait) -> JsonObject:
    """Return the wait for an event. Raises: InvalidValue (event_invalid, wait_invalid)."""
    check_event(wait.event, wait.key)
    if wait.on_timeout not in ("fail", "null"):
        raise InvalidValue("on_timeout is fail or null", code="wait_invalid")
    return {
        "kind": "event",
        "name": wait.event,
        "key": wait.key,
        "timeout_seconds": _checked_seconds(_DEADLINE if wait.timeout is None else wait.timeout),
        "on_timeout": wait.on_timeout,
    }


def _checked_seconds(seconds: Any) -> float:
    """Return how long to wait. Raises: InvalidValue (wait_invalid)."""
    try:
        return parse_duration(seconds).total_seconds()
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidValue(f"a tool cannot wait so long: {error}", code="wait_invalid") from None


def _fitting_input(version: VersionRow, value: JsonValue) -> JsonValue:
    """Return the input of a child run, held against the schema of its flow.

    Raises:
        InvalidValue: `input_invalid`.
    """
    schema: Any = version.document.get("input", {"type": "object"})
    given: JsonValue = {} if value is None and schema.get("type") == "object" else value
    given = with_defaults(schema, given)
    problems = value_problems(schema, given, code="input_invalid", pointer="")
    if problems:
        raise InvalidValue(
            f"the input does not fit the flow {version.slug}: {problems[0].message[:300]}",
            code="input_invalid",
            pointer=problems[0].pointer,
        )
    return given


def _scope(task: LeasedTask) -> Scope:
    return Scope(
        input=task.input,
        steps=task.outputs,
        run=task.run,
        item=task.item,
        index=task.index,
        skipped=frozenset(task.skipped),
    )


def _holds(task: LeasedTask) -> bool:
    """Whether the step's condition, if it has one, is true."""
    condition = task.definition.get("when")
    if not isinstance(condition, str):
        return True
    scope: Mapping[str, JsonValue] = {
        "input": task.input,
        "steps": dict(task.outputs),
        "run": task.run,
    }
    return compile_expression(condition).condition(scope)


def _policy(definition: JsonObject) -> RetryPolicy:
    found: Any = definition.get("retry")
    return RetryPolicy.model_validate(found) if isinstance(found, dict) else RetryPolicy()


def _json(value: Any) -> JsonValue:
    found: JsonValue = value
    return found


def _completed(task: LeasedTask, output: JsonValue) -> Outcome:
    return task.outcome(OutcomeKind.COMPLETED, output=output)


def _skipped(task: LeasedTask) -> Outcome:
    return task.outcome(OutcomeKind.SKIPPED, reason="condition")
