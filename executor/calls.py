"""Three ways to call a tool, each with a time limit that really ends the waiting.

On the event loop an async handler is cancelled. In a thread a plain function is abandoned and
sees `context.cancelled`. In a process it is killed.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from flowbuilder.executor.context import TaskContext
from flowbuilder.executor.eager import Begun
from flowbuilder.executor.process_child import Answer, Job
from flowbuilder.executor.process_pool import ProcessPool
from flowbuilder.executor.records import LeasedTask
from flowbuilder.executor.threads import Ended, ThreadPool
from flowbuilder.strictjson import Limits
from flowbuilder.tools import Tool, Wait, bind, check_arguments, check_output
from flowbuilder.types import JsonObject, JsonValue


class HandlerRaised(Exception):
    """The handler raised something; a BaseException too is no more than a failed attempt."""

    def __init__(self, error: BaseException) -> None:
        super().__init__("the handler raised")
        self.error = error


class ProcessRaised(Exception):
    """The handler raised something in another process, described there."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("the handler raised in its process")
        self.answer = answer


class Calls:
    """Calls tools; holds the threads and processes that this takes."""

    def __init__(self, *, processes: int, limits: Limits) -> None:
        self._threads = ThreadPool()
        self._processes = ProcessPool(processes)
        self._limits = limits

    async def call(
        self,
        tool: Tool,
        args: JsonObject,
        context: TaskContext,
        *,
        task: LeasedTask,
        seconds: float,
    ) -> JsonValue | Wait:
        """Call a tool and return its checked result. Cancelled, the handler is stopped.

        Raises:
            InvalidValue: Bad arguments (the function was not called) or a bad result.
            HandlerRaised, ProcessRaised: What the handler raised.
            ProcessCrashed: Its process ended.
            TimeoutError: The time limit is over.
        """
        try:
            if tool.process:
                return await self._in_process(tool, args, context, task, seconds)
            call = bind(tool, args, context)
            context.begin(seconds)
            ended = await self._ended(tool, call, seconds)
        except (TimeoutError, asyncio.CancelledError):
            context.cancel()
            raise
        if ended.error is not None:
            raise HandlerRaised(ended.error) from ended.error
        value = _no_coroutine(ended.value)
        if isinstance(value, Wait):
            return value
        return check_output(tool, value, limits=self._limits)

    async def close(self) -> None:
        """Let go of the threads and kill the processes."""
        self._threads.close()
        await self._processes.close()

    async def _ended(self, tool: Tool, call: Callable[[], Any], seconds: float) -> Ended:
        begun = Begun(_guarded(call) if tool.is_async else self._threads.run(call))
        if begun.ended:  # it waited for nothing: no limit is needed
            return begun.result
        async with asyncio.timeout(seconds) as limit:
            ended = await begun
        if limit.expired():  # the handler was told to stop, and ended in its own way
            raise TimeoutError
        return ended

    async def _in_process(
        self,
        tool: Tool,
        args: JsonObject,
        context: TaskContext,
        task: LeasedTask,
        seconds: float,
    ) -> JsonValue | Wait:
        check_arguments(tool, args)
        job = Job(
            tool=tool,
            args=args,
            task=replace(task, input=None, outputs={}, item=None, definition={}, args=None),
            settings=context.settings,
            secrets=context.secrets,
            limits=self._limits,
        )
        answer = await self._processes.run(
            job, limit=seconds, report=context.report_data, spent=context.add_spending
        )
        if answer.kind == "error":
            raise ProcessRaised(answer)
        return answer.wait if answer.wait is not None else answer.value


async def _guarded(call: Callable[[], Any]) -> Ended:
    """Run a handler so that nothing it raises reaches the event loop, which it would end.

    It runs in the task of its attempt: one that refuses to be cancelled is left alone by the
    worker, which waits for no handler.
    """
    try:
        return Ended(value=await call())
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return Ended(error=error)  # something that the handler waited for was cancelled
    except BaseException as error:
        return Ended(error=error)


def _no_coroutine(value: Any) -> Any:
    if inspect.iscoroutine(value):
        value.close()
        raise HandlerRaised(TypeError("the tool returned a coroutine; declare it as async def"))
    return value
