"""`email.send`: a text to named people, through the connected server, to allowed domains."""

from __future__ import annotations

import asyncio
import hashlib
import re
import socket
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from flowbuilder.errors import ExecutionError, SettingsError
from flowbuilder.references import OPEN
from flowbuilder.secrecy import fill
from flowbuilder.settings import Settings
from flowbuilder.toolkit.connections import Email, connections_of
from flowbuilder.toolkit.egress import EgressPolicy
from flowbuilder.tools import Context, Fail, tool
from flowbuilder.types import JsonObject

_SECONDS = 60.0
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u0085\u2028\u2029\ud800-\udfff]")

Recipients = Annotated[
    list[str], Field(min_length=1, max_length=1000, description="Addresses: name@example.org.")
]
Further = Annotated[list[str], Field(max_length=1000, description="Addresses that get it too.")]


class Sent(TypedDict):
    """A mail that the server has taken."""

    message_id: Annotated[str, Field(description="The mail's Message-ID.")]
    recipients: Annotated[list[str], Field(description="Whom the server took it for.")]
    refused: Annotated[list[str], Field(description="Addresses that the server did not take.")]


@tool(
    "email.send",
    effects="external",
    timeout="2m",
    keywords=("send an email, mail to, write to, notify by mail, e-mail, inform, letter",),
    examples=("email the report to ada@example.org", "send a mail to the team with the numbers"),
)
async def email_send(
    context: Context,
    to: Recipients,
    subject: Annotated[str, Field(min_length=1, max_length=300, description="The subject line.")],
    text: Annotated[str, Field(description="The mail's text.")],
    cc: Further = [],  # noqa: B006 - read, never changed
    reply_to: Annotated[str | None, Field(description="Where answers go.")] = None,
) -> Sent:
    """Send an e-mail with a subject and a plain text to one or more people."""
    server = connections_of(context.settings).email
    if server is None:
        raise Fail("no mail server is connected", code="not_connected")
    recipients = list(dict.fromkeys([*to, *cc]))
    check_recipients(recipients, server)
    message = _message(server, to, cc, subject, text, reply_to, context.idempotency_key)
    refused = await deliver(server, message, recipients, reveal=context.secrets.fetch)
    return {
        "message_id": str(message["Message-ID"]),
        "recipients": [address for address in recipients if address not in refused],
        "refused": sorted(refused),
    }


def check_recipients(recipients: list[str], server: Email) -> None:
    """Refuse addresses that mail may not go to. Raises: Fail (email_refused, email_invalid)."""
    _check_number(len(recipients), server)
    for address in recipients:
        _check_address(address, server)


def _check_number(recipients: int, server: Email) -> None:
    if recipients > server.max_recipients:
        raise Fail(
            f"{recipients} recipients are more than the {server.max_recipients} allowed",
            code="email_refused",
        )


def _check_address(address: str, server: Email) -> None:
    if not _ADDRESS.fullmatch(address):
        raise Fail(f"{address[:80]!r} is no mail address", code="email_invalid")
    domain = address.rpartition("@")[2].lower().rstrip(".")
    if "*" not in server.domains and domain not in (d.lower() for d in server.domains):
        raise Fail(f"mail to {domain} is not allowed here", code="email_refused")


def foreseen(settings: Settings, args: JsonObject) -> Iterator[tuple[str, str]]:
    """Yield the written out addresses that mail may not go to, where in arguments and why.

    It is asked of plans and flows before they run, and so of any arguments; the file of
    connections may have become unusable meanwhile, which is told elsewhere.
    """
    try:
        server = connections_of(settings).email
    except SettingsError:
        return
    if server is None:
        return
    written = {
        f"/{name}/{place}": address
        for name in ("to", "cc")
        if isinstance(given := args.get(name), list)
        for place, address in enumerate(given)
        if isinstance(address, str) and OPEN not in address
    }
    for pointer, address in written.items():
        try:
            _check_address(address, server)
        except Fail as refusal:
            yield pointer, str(refusal)
    try:
        _check_number(len({*written.values()}), server)
    except Fail as refusal:
        yield "/to", str(refusal)


def _message(
    server: Email,
    to: list[str],
    cc: list[str],
    subject: str,
    text: str,
    reply_to: str | None,
    key: str,
) -> EmailMessage:
    """Return the mail; another attempt of the same task makes the same Message-ID."""
    if _CONTROL.search(subject):
        raise Fail("a subject is one line without control characters", code="email_invalid")
    if len(text.encode("utf-8", "replace")) > server.max_bytes:
        raise Fail(f"the text is larger than {server.max_bytes} bytes", code="email_refused")
    if reply_to is not None and not _ADDRESS.fullmatch(reply_to):
        raise Fail(f"{reply_to[:80]!r} is no mail address", code="email_invalid")
    message = EmailMessage()
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    try:
        sender = Address(addr_spec=server.sender)
        message["From"] = sender
        message["To"] = [Address(addr_spec=address) for address in to]
        if cc:
            message["Cc"] = [Address(addr_spec=address) for address in cc]
        if reply_to is not None:
            message["Reply-To"] = Address(addr_spec=reply_to)
        message["Subject"] = subject
        message["Message-ID"] = f"<{digest}@{sender.domain}>"
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
    except (ValueError, HeaderParseError, IndexError) as error:
        raise Fail(
            f"the mail cannot be written: {str(error)[:200]}", code="email_invalid"
        ) from None
    return message


async def deliver(
    server: Email,
    message: EmailMessage,
    recipients: list[str],
    *,
    reveal: Callable[[str], Awaitable[str]],
) -> set[str]:
    """Hand the mail to the server; returns the addresses that it refused.

    Raises:
        Fail: `email_failed`: the server takes it for nobody.
        ExecutionError: `email_unavailable`: another attempt may get through.
    """
    import aiosmtplib

    password = None
    if server.password is not None:
        password = await fill(server.password, reveal)
    try:
        async with asyncio.timeout(_SECONDS):
            connection = await _connect(server)
            client = aiosmtplib.SMTP(
                hostname=server.host,
                sock=connection,
                use_tls=server.security == "tls",
                start_tls=server.security == "starttls",
                local_hostname="localhost",
                timeout=_SECONDS,
            )
            async with client:
                if password is not None:
                    await client.login(server.username or server.sender, password)
                failed, _ = await client.send_message(
                    message, sender=server.sender, recipients=recipients
                )
    except aiosmtplib.SMTPRecipientsRefused:
        raise Fail("the mail server takes none of the recipients", code="email_failed") from None
    except aiosmtplib.SMTPResponseException as error:
        if 500 <= error.code < 600:
            raise Fail(
                f"the mail server refused the mail: {error.code} {error.message[:200]}",
                code="email_failed",
            ) from None
        raise ExecutionError(
            f"the mail server said {error.code}", code="email_unavailable"
        ) from None
    except (aiosmtplib.SMTPException, TimeoutError, OSError) as error:
        raise ExecutionError(
            f"the mail server cannot be reached: {type(error).__name__}", code="email_unavailable"
        ) from None
    return set(failed)


async def _connect(server: Email) -> socket.socket:
    """Return a connection to an address that the guard has judged. Raises: Fail, OSError."""
    import httpcore

    policy = EgressPolicy(
        allow_private=server.allow_private, setting="email.allow_private in the connections"
    )
    try:
        addresses = await policy.addresses(server.host, server.port)
    except httpcore.ConnectError as error:
        raise OSError(str(error)) from None
    failure: OSError = OSError("no address")
    for address in addresses:
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        connection = socket.socket(kind, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(connection, (address, server.port))
        except OSError as error:
            connection.close()
            failure = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise failure
