"""The errors of flowbuilder.

    FlowBuilderError                 code, message, hint
    ├─ SettingsError                 a setting is missing or wrong
    ├─ InvalidValue                  a value is refused at a border (pointer says where)
    ├─ DefinitionError               a flow, step or tool is wrong (carries problems)
    ├─ PlanningError                 no usable plan came out (carries problems, attempts, usage)
    │  └─ NoFittingTool              no registered tool does what a part of the goal asks
    ├─ ModelError                    the model provider failed (retryable, status)
    │  ├─ ModelTimeout
    │  └─ ModelOutputError           it answered, but with nothing usable
    ├─ ExecutionError
    │  ├─ NotFound                   flow, run, plan, approval, tool …
    │  ├─ Conflict                   already exists, already decided
    │  ├─ InvalidTransition          the state does not allow this verb
    │  ├─ StaleTask                  the lease was lost: a late worker changes nothing
    │  ├─ RunFailed                  the run ended as failed (step, attempt, error)
    │  ├─ RunCancelled
    │  └─ WaitTimeout                the caller's own waiting time is over; the run goes on
    └─ DatabaseError
       ├─ DatabaseUnavailable
       ├─ EmbeddedServerError
       └─ MigrationError

`code` is stable and machine-readable; HTTP answers and `--json` output carry it unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from flowbuilder.types import JsonObject, JsonValue


class Severity(StrEnum):
    """How much a problem matters: an error stops compilation, a warning does not."""

    ERROR = "error"
    WARNING = "warning"


class Fix(StrEnum):
    """Who can mend a problem."""

    AUTO = "auto"
    MODEL = "model"
    USER = "user"


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One finding of validation.

    `pointer` is an RFC 6901 JSON pointer into the document, `""` for the whole of it.
    """

    code: str
    pointer: str
    message: str
    hint: str | None = None
    severity: Severity = Severity.ERROR
    fix: Fix = Fix.USER

    def as_json(self) -> JsonObject:
        """Return the problem as it appears in HTTP answers, stored plans and `--json` output."""
        return {
            "code": self.code,
            "pointer": self.pointer,
            "message": self.message,
            "hint": self.hint,
            "severity": self.severity.value,
            "fix": self.fix.value,
        }


#: Findings that a traceback shows.
_MOST_SHOWN = 10


class FlowBuilderError(Exception):
    """The root of every error that flowbuilder raises on purpose.

    A traceback shows hint and findings as well, as notes.
    """

    default_code: ClassVar[str] = "error"

    def __init__(self, message: str, *, code: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")

    def _show(self, problems: Sequence[Problem]) -> None:
        for found in problems[:_MOST_SHOWN]:
            hint = f" ({found.hint})" if found.hint else ""
            self.add_note(f"{found.pointer or 'the document'}: {found.message}{hint}")
        if len(problems) > _MOST_SHOWN:
            self.add_note(f"and {len(problems) - _MOST_SHOWN} more, see `problems`")


class SettingsError(FlowBuilderError):
    """A setting is missing or has a value that cannot work."""

    default_code = "settings_invalid"


class InvalidValue(FlowBuilderError):
    """A value was refused at a border; `pointer` says where in the document it stands."""

    default_code = "value_invalid"

    def __init__(
        self, message: str, *, pointer: str = "", code: str | None = None, hint: str | None = None
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.pointer = pointer

    def as_problem(self) -> Problem:
        """Return the same finding as a `Problem`."""
        return Problem(code=self.code, pointer=self.pointer, message=self.message, hint=self.hint)


class DefinitionError(FlowBuilderError):
    """A flow, a step or a tool is wrong; `problems` lists every finding at once."""

    default_code = "definition_invalid"

    def __init__(
        self,
        message: str,
        *,
        problems: Sequence[Problem] = (),
        code: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.problems = tuple(problems)
        self._show(self.problems)


class PlanningError(FlowBuilderError):
    """No usable plan came out of a goal."""

    default_code = "planning_failed"

    def __init__(
        self,
        message: str,
        *,
        problems: Sequence[Problem] = (),
        attempts: int = 0,
        usage: JsonObject | None = None,
        code: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.problems = tuple(problems)
        self._show(self.problems)
        self.attempts = attempts
        self.usage = usage


class NoFittingTool(PlanningError):
    """No registered tool does what a part of the goal asks for."""

    default_code = "no_fitting_tool"


class ModelError(FlowBuilderError):
    """The model provider failed. `retryable` says whether the same call may succeed later."""

    default_code = "model_failed"

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        status: int | None = None,
        code: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.retryable = retryable
        self.status = status
        self.tokens = 0
        """What the call has used all the same."""
        self.usd: float | None = None


class ModelTimeout(ModelError):
    """The model did not answer, or did not stop answering, within the time limit."""

    default_code = "model_timeout"


class ModelOutputError(ModelError):
    """The model answered with nothing that can be used."""

    default_code = "model_output_invalid"


class ExecutionError(FlowBuilderError):
    """Something about a stored flow, a run, a task or an approval."""

    default_code = "execution_failed"


class NotFound(ExecutionError):
    """What was asked for does not exist in this workspace."""

    default_code = "not_found"


class Conflict(ExecutionError):
    """It exists already, or somebody else has decided already."""

    default_code = "conflict"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        details: JsonObject | None = None,
    ) -> None:
        super().__init__(message, code=code, hint=hint)
        self.details = details or {}


class InvalidTransition(ExecutionError):
    """The present state does not allow this verb."""

    default_code = "invalid_transition"


class StaleTask(ExecutionError):
    """The lease on a task was lost; what a late worker reports changes nothing."""

    default_code = "stale_task"


class RunFailed(ExecutionError):
    """A run ended as failed."""

    default_code = "run_failed"

    def __init__(
        self,
        message: str,
        *,
        run_id: str,
        step: str | None,
        attempt: int | None,
        error: JsonObject,
    ) -> None:
        super().__init__(message, hint=None)
        self.run_id = run_id
        self.step = step
        self.attempt = attempt
        self.error = error


class RunCancelled(ExecutionError):
    """A run was cancelled before it had a result."""

    default_code = "run_cancelled"


class WaitTimeout(ExecutionError):
    """The caller's own waiting time is over; the run itself goes on."""

    default_code = "wait_timeout"


class DatabaseError(FlowBuilderError):
    """The database refused or could not do what was asked."""

    default_code = "database_failed"


class DatabaseUnavailable(DatabaseError):
    """The database cannot be reached."""

    default_code = "database_unavailable"


class EmbeddedServerError(DatabaseError):
    """The embedded PostgreSQL did not start, or does not fit its data directory."""

    default_code = "embedded_server_failed"


class MigrationError(DatabaseError):
    """The schema cannot be brought to this version."""

    default_code = "migration_failed"


def error_json(error: BaseException) -> JsonObject:
    """Return `{code, message}` and what else is safe to store about an error."""
    if isinstance(error, FlowBuilderError):
        body: JsonObject = {"code": error.code, "message": error.message}
        if error.hint:
            body["hint"] = error.hint
        problems = getattr(error, "problems", ())
        if problems:
            listed: list[JsonValue] = [problem.as_json() for problem in problems]
            body["problems"] = listed
        return body
    return {"code": "exception", "message": f"{type(error).__name__}: {error}"[:2000]}
