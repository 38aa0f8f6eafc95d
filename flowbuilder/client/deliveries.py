"""Deliveries to webhooks: from an address and signed bytes to the run that they start."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from flowbuilder.client.session import Session
from flowbuilder.client.start import Start, run_limit
from flowbuilder.errors import (
    Conflict,
    DefinitionError,
    FlowBuilderError,
    InvalidTransition,
    InvalidValue,
    NotFound,
    SettingsError,
)
from flowbuilder.executor.triggers import KnownWebhook, SealedSecret
from flowbuilder.fitting import fitting_input, limits_of
from flowbuilder.flow import Flow
from flowbuilder.secrecy import REDACTOR
from flowbuilder.secrecy.envelope import unseal
from flowbuilder.secrecy.keyring import load_keys
from flowbuilder.settings import Settings
from flowbuilder.strictjson import loads
from flowbuilder.triggers.inputs import fill
from flowbuilder.triggers.signing import Signature, SignatureRefused, verify
from flowbuilder.types import JsonValue

#: How long the sender's ids are known: as long as senders try again.
KEPT_SECONDS = 4 * 86_400.0
_GONE = "The flow of this webhook is not there any more."
T = TypeVar("T")


class UnknownWebhook(NotFound):
    """There is no webhook at an address, or it is paused: nobody can tell which."""

    default_code = "webhook_unknown"


class FlowGone(FlowBuilderError):
    """The flow of a webhook, or its workspace, is archived or deleted; it is of no use to send."""

    default_code = "flow_gone"


class TooManyDeliveries(FlowBuilderError):
    """There were more deliveries than the webhook takes."""

    default_code = "too_many_deliveries"

    def __init__(self, seconds: float) -> None:
        super().__init__("There were too many deliveries; come again later.")
        self.seconds = seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivered:
    """What came of a delivery."""

    run_id: str
    duplicate: bool
    """The sender's id was known: nothing was started."""


async def find_webhook(session: Session, path: str) -> KnownWebhook:
    """Return the webhook at an address, of whichever workspace. Raises: UnknownWebhook."""
    found = await session.store.webhook_at(path)
    if found is None or found.row.paused_at is not None:
        raise UnknownWebhook("There is nothing at this address.")
    return found


async def deliver(
    session: Session,
    known: KnownWebhook,
    signature: Signature,
    body: bytes,
    *,
    address: str | None = None,
) -> Delivered:
    """Start the run of a delivery to a webhook of the session's workspace.

    What is sent is a value in the run's input and nothing else: flow, version, workspace and who
    starts are the webhook's.

    Raises:
        SignatureRefused: Nobody who knows a secret has signed it just now.
        UnknownWebhook: It was paused or deleted meanwhile.
        FlowGone: Its flow is archived or deleted, or its workspace archived.
        TooManyDeliveries: With the seconds to wait.
        Conflict: The workspace takes no further runs for now.
        InvalidValue, DefinitionError: The body is no strict JSON, or does not fit the flow's input.
        SettingsError: No master key here opens the secrets.
    """

    async def tell(error: FlowBuilderError, *, signed: bool) -> None:
        await session.store.webhook_failed(
            known.row.id,
            signed=signed,
            code=error.code,
            message=REDACTOR.text(error.message)[:500],
            address=address,
        )

    secrets = _open(known.secrets, session.settings)
    try:
        message_id = verify(signature, body, secrets, known.now)
    except SignatureRefused as error:
        await tell(error, signed=False)
        raise
    try:
        return await _start(
            session, known, message_id, loads(body, limits=limits_of(session.settings))
        )
    except (InvalidValue, DefinitionError, FlowGone, Conflict) as error:
        await tell(error, signed=True)
        raise


def _open(secrets: tuple[SealedSecret, ...], settings: Settings) -> list[str]:
    keys = load_keys(settings)
    try:
        return [unseal(secret.envelope, secret.place, keys) for secret in secrets]
    except InvalidValue as error:  # nothing that the sender could do about it
        raise SettingsError(error.message, code=error.code) from None


async def _start(
    session: Session, known: KnownWebhook, message_id: str, payload: JsonValue
) -> Delivered:
    row = known.row
    version = await _unless_gone(session.store.get_version(row.flow, row.version))
    flow = Flow.model_validate(version.document)
    context: dict[str, JsonValue] = {"webhook": row.name, "delivery": message_id}
    input = fitting_input(fill(row.input, context, payload), flow.input, session.settings)
    start = Start()
    answer = await _unless_gone(
        session.store.receive_webhook(
            row.id,
            message_id,
            version.id,
            input,
            timeout_seconds=run_limit(start, flow, session.settings).total_seconds(),
            keep_seconds=KEPT_SECONDS,
            terms=start.terms(session.settings),
        )
    )
    status = answer["status"]
    if status == "gone":
        raise UnknownWebhook("There is nothing at this address.")
    if status == "limited":
        seconds = answer["seconds"]
        raise TooManyDeliveries(float(seconds) if isinstance(seconds, int | float) else 1.0)
    run_id = str(answer["run_id"])
    if status == "started":
        await session.announce_run(run_id)
    return Delivered(run_id=run_id, duplicate=status == "duplicate")


async def _unless_gone(asked: Awaitable[T]) -> T:
    try:
        return await asked
    except (NotFound, InvalidTransition) as error:
        raise FlowGone(_GONE) from error
    except Conflict as error:
        if error.code in ("workspace_archived", "flow_archived"):
            raise FlowGone(_GONE) from error
        raise
