"""Documents and values held against their rules, before anything is stored."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar, cast

from flowbuilder.client.modelless import model_problems
from flowbuilder.client.session import Session
from flowbuilder.errors import InvalidValue, Problem, Severity
from flowbuilder.fitting import fitting_input as fitting_input
from flowbuilder.fitting import limits_of as limits_of
from flowbuilder.fitting import require_fit as require_fit
from flowbuilder.flow import Flow
from flowbuilder.settings import Settings
from flowbuilder.strictjson import DOCUMENT_LIMITS, Limits, check, load_document
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, parse_duration
from flowbuilder.validation import Validation, validate

Document: TypeAlias = Flow | Mapping[str, Any]
State = TypeVar("State", bound=StrEnum)
#: Longer keys are no keys.
LONGEST_KEY = 255
#: Longer names of people are none.
LONGEST_ACTOR = 200
#: The tool that starts a child run.
CHILD_TOOL = "flow.run"


def parse_document(
    document: Document | str, settings: Settings, *, name: str = "the document"
) -> JsonObject:
    """Return a flow document as plain JSON; text is YAML, or JSON where `name` ends so.

    Raises:
        InvalidValue: It is no JSON value, too deep, too large, or no object.
    """
    value: Any = document
    if isinstance(document, str):
        value = load_document(document, name=name)
    elif isinstance(document, Flow):
        value = document.document()
    elif isinstance(value, Mapping):  # whatever a caller without a type checker hands in
        limits = Limits(depth=settings.max_json_depth, bytes=DOCUMENT_LIMITS.bytes)
        value = check(dict(value), limits=limits)
    if not isinstance(value, dict):
        raise InvalidValue("a flow document is an object", code="document_not_object")
    return cast(JsonObject, value)


def called_flows(document: Any) -> list[str]:
    """Return the names of the flows that a document's `flow.run` steps call."""
    steps = document.get("steps") if isinstance(document, dict) else None
    found: list[str] = []
    for step in steps if isinstance(steps, list) else []:
        if isinstance(step, dict) and str(step.get("tool", "")).split("@")[0] == CHILD_TOOL:
            args = step.get("args")
            name = args.get("flow") if isinstance(args, dict) else None
            if isinstance(name, str) and "/" not in name and "$" not in name and name not in found:
                found.append(name)
    return found


def check_text(
    text: str, name: str, registry: ToolRegistry, settings: Settings
) -> tuple[Flow | None, list[Problem]]:
    """Check the text of a file without a database: which flows exist is not looked at."""
    try:
        parsed = parse_document(text, settings, name=name)
    except InvalidValue as error:
        return None, [error.as_problem()]
    found = validate(
        parsed, registry, max_steps=settings.max_steps, value_bytes=settings.max_value_bytes
    )
    lacking = [] if found.flow is None else model_problems(found.flow, registry, settings)
    return found.flow, [*found.problems, *lacking]


async def check_document(
    session: Session,
    document: Document | str,
    *,
    registry: ToolRegistry | None = None,
    children: bool = True,
) -> Validation:
    """Return every problem of a document, and its flow if there is no error among them.

    `children`: the flows that `flow.run` steps name have to exist by now.
    """
    try:
        parsed = parse_document(document, session.settings)
    except InvalidValue as error:
        return Validation(None, (error.as_problem(),))
    found = validate(
        parsed,
        registry or session.registry,
        flows=await _known_flows(session, parsed) if children else None,
        max_steps=session.settings.max_steps,
        value_bytes=session.settings.max_value_bytes,
    )
    return await _kept_to_policy(session, found, registry or session.registry)


async def _kept_to_policy(
    session: Session, found: Validation, registry: ToolRegistry
) -> Validation:
    """Add what policy says of a flow that is valid otherwise; what it refuses cannot run."""
    from flowbuilder.client.policies import policies_in_force, said_of_flow

    if found.flow is None:
        return found
    said = said_of_flow(found.flow, registry, await policies_in_force(session))
    said += model_problems(found.flow, registry, session.settings)
    refused = any(item.severity is Severity.ERROR for item in said)
    return Validation(None if refused else found.flow, (*found.problems, *said))


async def _known_flows(session: Session, document: JsonObject) -> frozenset[str] | None:
    """Return the names of all flows where it matters, the document's own among them."""
    if CHILD_TOOL not in str(document.get("steps")):
        return None
    stored = {row.slug for row in await session.store.list_flows()}
    return frozenset({*stored, str(document.get("flow"))})


def known_state(kind: type[State], name: State | str) -> State:
    """Return the state of this name. Raises: InvalidValue (status_unknown)."""
    try:
        return kind(name)
    except ValueError:
        known = ", ".join(state.value for state in kind)
        raise InvalidValue(
            f"there is no status {str(name)[:80]!r}", code="status_unknown", hint=f"Known: {known}."
        ) from None


def time_limit(timeout: str | float | None) -> timedelta | None:
    """Return how long a run may take, None if nothing is said. Raises: InvalidValue."""
    if timeout is None:
        return None
    try:
        limit = parse_duration(timeout)
    except ValueError as error:
        raise InvalidValue(str(error), pointer="/timeout", code="timeout_invalid") from None
    if not limit:
        raise InvalidValue("a run needs some time", pointer="/timeout", code="timeout_invalid")
    return limit


def checked_key(key: str | None) -> str | None:
    """Return an idempotency key. Raises: InvalidValue."""
    usable = isinstance(key, str) and key.isprintable() and 0 < len(key) <= LONGEST_KEY
    if key is not None and not usable:
        raise InvalidValue(
            f"an idempotency key has 1 to {LONGEST_KEY} printable characters",
            pointer="/idempotency_key",
            code="idempotency_key_invalid",
        )
    return key


def check_actor(by: str | None, what: str) -> None:
    """Refuse what no record can hold as a name. Raises: InvalidValue (actor_invalid)."""
    usable = isinstance(by, str) and by.isprintable() and 0 < len(by) <= LONGEST_ACTOR
    if by is not None and not usable:
        raise InvalidValue(
            f"{what} has 1 to {LONGEST_ACTOR} printable characters",
            pointer="/by",
            code="actor_invalid",
        )


def check_doer(by: str | None, what: str) -> None:
    """Refuse who cannot have started or steered a run.

    Raises:
        InvalidValue: No database holds the text (value_refused), or it is no name (actor_invalid).
    """
    if isinstance(by, str):
        try:
            check(by)
        except InvalidValue as error:
            raise InvalidValue(error.message, pointer="/by", code="value_refused") from None
    check_actor(by, what)
