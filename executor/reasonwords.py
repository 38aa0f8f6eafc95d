"""The sentences in which people read why a run does not move."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from flowbuilder.executor.admissionwords import host_busy, not_let_in

if TYPE_CHECKING:
    from flowbuilder.executor.diagnosis import Reason

_ENDED = {"completed": "completed", "failed": "failed", "cancelled": "was cancelled"}
_CHILD = {
    "queued": "has not begun",
    "running": "is under way",
    "paused": "is paused",
    "completed": "has completed",
    "failed": "has failed",
    "cancelled": "was cancelled",
}


def message_of(reason: Reason, at: datetime) -> str:
    """Return one sentence about a reason, as seen at a time."""
    return _WORDS[reason.code.value](reason, dict(reason.details), at)


def span(length: timedelta) -> str:
    """Return a length of time as people say it: `45s`, `12m`, `3h 5m`, `2d 4h`."""
    seconds = max(0, round(length.total_seconds()))
    if seconds < 120:
        return f"{seconds}s"
    minutes = seconds // 60
    if minutes < 60:
        return f"{minutes}m"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours}h {minutes}m" if minutes else f"{hours}h"
    days, hours = divmod(hours, 24)
    return f"{days}d {hours}h" if hours else f"{days}d"


def _ended(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    error = details.get("error") or {}
    why = error.get("message") or details.get("reason")
    step = f" at step {error['step']}" if error.get("step") else ""
    by = f" by {details['by']}" if details.get("by") else ""
    return f"The run {_ENDED[details['status']]}{by}{step}{f': {why}' if why else ''}."


def _paused(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    by = f" by {details['by']}" if details.get("by") else ""
    why = f": {details['reason']}" if details.get("reason") else ""
    return f"The run was paused{by}{_ago(reason, at)}{why}; nothing starts until it is resumed."


def _no_worker(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    return f"No worker is alive{f' to run {_what(reason)}' if reason.task_id else ''}."


def _function_gone(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    return f"The function of {_what(reason)} lived in a process that is gone; it is about to fail."


def _no_worker_with_tool(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    live = details.get("live") or []
    others = f"alive are {', '.join(live[:5])}" if live else "none is alive"
    return f"No live worker has the tool {details['tool']} of {_what(reason)}; {others}."


def _worker_silent(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    if reason.until is None:
        return f"Worker {details.get('worker')}, in which {_what(reason)} lives, is silent."
    held = f"Worker {details.get('worker')}, which holds {_what(reason)}, is silent"
    left = reason.until > at
    ending = f"its lease ends in {span(reason.until - at)}" if left else "its lease has run out"
    if details.get("nobody_else"):
        return f"{held}; {ending}, but no worker is alive to take over."
    return f"{held}; {ending}, another one takes over {'by then' if left else 'now'}."


def _outbox(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    what = {
        "start_child": "The start of a child run",
        "child_ended": "The end of a child run",
        "cancel_child": "The cancellation by its parent",
        "await_event": "A look whether the event is there",
        "emit_event": "An event that the run has emitted",
    }
    told = what.get(details["kind"], "A message of another run")
    return f"{told} waits to be relayed{_ago(reason, at, 'for')}."


def _approval(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    asked = ", ".join(details.get("by") or []) or "anyone"
    then = {"reject": "rejected", "approve": "approved"}.get(details.get("on_deadline", ""), "")
    return (
        f"{_subject(reason)} waits for the approval of {asked}{_until(reason, at)}; "
        f"then it counts as {then}."
    )


def _child_run(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    if details.get("child_run_id") is None:
        return (
            f"{_subject(reason)} waits for a run of {details.get('flow')} that is not started yet."
        )
    inner = details.get("reasons") or []
    why = f": {inner[0]['message']}" if inner else "."
    state = _CHILD.get(str(details.get("status")), "is under way")
    return f"{_subject(reason)} waits for run {details['child_run_id']}, which {state}{why}"


def _waiting(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    name = f" {details['name']}" if details.get("name") else ""
    key = f" {details['key']}" if details.get("key") else ""
    return f"{_subject(reason)} waits for {details.get('kind')}{name}{key}{_until(reason, at)}."


def _waits_for_time(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    return f"{_subject(reason)} sleeps{_until(reason, at)}."


def _retry_delayed(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    error = details.get("error") or {}
    after = f" after: {error.get('message') or error.get('code')}" if error else ""
    tries = f"attempt {details['attempt'] + 1} of {details.get('max_attempts')}"
    return f"{_subject(reason)} waits for {tries}{_until(reason, at, 'in')}{after}."


def _limit_reached(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    what = f"tool {details['name']}" if details["limit"] == "tool" else f"{details['name']}"
    key = f" for {details['key']}" if details.get("key") else ""
    if reason.until is not None and reason.until > at:
        span_ = span(timedelta(seconds=details["rate_seconds"]))
        starts = _counted(details["rate_count"], "start")
        rate = f"{starts} in {span_} {'is' if details['rate_count'] == 1 else 'are'} used up"
        return (
            f"{_subject(reason)} waits for the limit of {what}{key}: {rate}, the next one is in "
            f"{span(reason.until - at)}."
        )
    return (
        f"{_subject(reason)} waits for the limit of {what}{key}: {details['running']} of at most "
        f"{details['concurrency']} run, {details['waiting']} wait."
        if details.get("concurrency")
        else f"{_subject(reason)} is about to start: the limit of {what}{key} has room."
    )


def _outranked(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    return (
        f"{_subject(reason)} waits behind {_counted(details['outranked'], 'task')} of runs with a "
        f"higher priority; {details['running']} of {details['slots']} slots are taken."
    )


def _workers_busy(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    return (
        f"Every worker that could take {_what(reason)} is busy: {details['running']} of "
        f"{details['slots']} slots are taken{_ahead(details)}."
    )


def _queued(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    text = f"{_subject(reason)} is queued{_ago(reason, at, 'for')}{_ahead(details)}."
    if lost := details.get("lost"):
        text += f" It was lost with {lost} workers: each tries one such task at a time."
    return text


def _leased(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    return f"Worker {details.get('worker')} runs {_what(reason)}{_ago(reason, at, 'for')}."


def _map_limit(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    return (
        f"Step {reason.step} has {_counted(details['under_way'], 'element')} under way, of at most "
        f"{details['limit']} at once; {details['pending']} wait."
    )


def _held_open(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    holds = details.get("by") or []
    text = "The run is held open: more steps may come."
    if not holds or reason.until is None:
        return text
    whom = ", ".join(dict.fromkeys(str(hold.get("reason") or hold["owner"]) for hold in holds[:3]))
    end = f"in {span(reason.until - at)}" if reason.until > at else "any moment"
    return f"{text[:-1]} ({whom}). It fails {end} unless they say more."


def _compensating(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    error = details.get("error") or {}
    step = f" at step {error['step']}" if error.get("step") else ""
    why = error.get("message") or error.get("code")
    done = len(details.get("compensated") or [])
    total = done + len(details.get("not_compensated") or [])
    steps = _counted(total, "step")
    return f"The run has failed{step} ({why}) and is being undone: {done} of {steps} so far."


def _budget(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    unit = {"usd": "US dollars", "replans": "re-plans"}.get(details["budget"], details["budget"])
    return (
        f"{details['spent']} of at most {details['limit']} {unit} of its budget are used up; "
        "what goes beyond that fails the run."
    )


def _deadline(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    if reason.until is not None and reason.until > at:
        return f"The run fails at its deadline, in {span(reason.until - at)}."
    return "The deadline of the run is over: it is about to fail."


def _dependencies(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    steps = details.get("steps") or []
    more = f" and {len(steps) - 5} more" if len(steps) > 5 else ""
    return f"Step {reason.step} waits for {', '.join(steps[:5])}{more}."


def _nothing_open(reason: Reason, details: dict[str, Any], at: datetime) -> str:
    return "The run is open, but nothing inside it is: this is a fault of the engine."


def _what(reason: Reason) -> str:
    tasks = reason.details.get("tasks")
    if reason.step is None:
        return "the run's finishing task"
    many = f" ({tasks} tasks)" if isinstance(tasks, int) and tasks > 1 else ""
    return f"step {reason.step}{many}"


def _subject(reason: Reason) -> str:
    text = _what(reason)
    return text[0].upper() + text[1:]


def _until(reason: Reason, at: datetime, word: str = "for another") -> str:
    if reason.until is None:
        return ""
    return f" {word} {span(reason.until - at)}" if reason.until > at else " and its time has come"


def _ago(reason: Reason, at: datetime, word: str = "") -> str:
    if reason.since is None:
        return ""
    length = span(at - reason.since)
    return f" {word} {length}" if word else f" {length} ago"


def _ahead(details: dict[str, Any]) -> str:
    ahead = details.get("ahead")
    return f", {_counted(ahead, 'task')} before it" if ahead else ""


def _counted(number: Any, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


_WORDS: dict[str, Callable[[Reason, dict[str, Any], datetime], str]] = {
    "ended": _ended,
    "paused": _paused,
    "no_worker": _no_worker,
    "function_gone": _function_gone,
    "no_worker_with_tool": _no_worker_with_tool,
    "worker_silent": _worker_silent,
    "outbox": _outbox,
    "approval": _approval,
    "child_run": _child_run,
    "waiting": _waiting,
    "time": _waits_for_time,
    "retry_delayed": _retry_delayed,
    "admission": not_let_in,
    "limit_reached": _limit_reached,
    "host_busy": host_busy,
    "outranked": _outranked,
    "workers_busy": _workers_busy,
    "queued": _queued,
    "leased": _leased,
    "map_limit": _map_limit,
    "held_open": _held_open,
    "compensating": _compensating,
    "budget": _budget,
    "deadline": _deadline,
    "dependencies": _dependencies,
    "nothing_open": _nothing_open,
}
