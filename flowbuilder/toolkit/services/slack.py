"""`slack.post`: a plain text to a connected channel; nobody is called and no link is opened."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Annotated, Any

import httpcore
import orjson
from pydantic import Field
from typing_extensions import TypedDict

from flowbuilder.errors import ExecutionError
from flowbuilder.secrecy.mentions import sole_mention
from flowbuilder.toolkit.connections import Slack, connections_of
from flowbuilder.toolkit.egress import EgressPolicy, GuardedTransport
from flowbuilder.toolkit.exchange import build_request, exchange
from flowbuilder.tools import Context, Fail, Retry, tool

_SECONDS = 30.0
_LARGEST = 65_536
_LONGEST = 4000


class Posted(TypedDict):
    """A message that Slack has taken."""

    channel: Annotated[str | None, Field(description="The channel; null for a webhook's own.")]
    ts: Annotated[str | None, Field(description="The message's time stamp, its id in the channel.")]


@tool(
    "slack.post",
    effects="external",
    timeout="1m",
    keywords=("post to slack, slack message, tell the channel, notify the team, chat",),
    examples=("post the summary to slack", "tell #sales on slack that the report is ready"),
)
async def slack_post(
    context: Context,
    text: Annotated[
        str, Field(min_length=1, max_length=_LONGEST, description="The message, plain text.")
    ],
    channel: Annotated[
        str | None, Field(description="The channel, such as #sales; not for a webhook.")
    ] = None,
) -> Posted:
    """Post a message to a Slack channel."""
    found = connections_of(context.settings).slack
    if found is None:
        raise Fail("Slack is not connected", code="not_connected")
    _check_channel(found, channel)
    body = message_of(text)
    if found.webhook is not None:
        url = await context.secrets.fetch(_name(found.webhook))
        await send(url, {}, body, allow_private=context.settings.http_allow_private)
        return {"channel": None, "ts": None}
    token = await context.secrets.fetch(_name(found.token))
    headers = {"Authorization": f"Bearer {token}"}
    body["channel"] = channel
    private = context.settings.http_allow_private
    answer = await send(found.api, headers, body, allow_private=private)
    said = orjson.loads(answer)
    if not said.get("ok"):
        raise Fail(
            f"Slack refused the message: {str(said.get('error'))[:100]}", code="slack_failed"
        )
    return {"channel": channel, "ts": said.get("ts")}


def message_of(text: str) -> dict[str, Any]:
    """Return a message in which nothing is more than text."""
    return {
        "text": escape(text),
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "link_names": False,
        "parse": "none",
    }


def escape(text: str) -> str:
    """Return a text in which Slack sees no mention, link or command."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _check_channel(found: Slack, channel: str | None) -> None:
    if found.webhook is not None:
        if channel is not None:
            raise Fail("a webhook posts to its own channel only", code="slack_refused")
    elif channel not in found.channels:
        known = ", ".join(found.channels)
        raise Fail(
            f"the channel {str(channel)[:80]} may not be posted to; connected: {known}",
            code="slack_refused",
        )


def _name(reference: str | None) -> str:
    name = sole_mention(reference or "")
    assert name is not None  # the file of connections was checked
    return name


async def send(
    url: str, headers: dict[str, str], body: dict[str, Any], *, allow_private: bool
) -> bytes:
    """Post a message past the guard and return the answer.

    Raises:
        Fail: It is refused (`slack_failed`, `egress_refused`).
        Retry, ExecutionError: Another attempt may get through.
    """
    policy = EgressPolicy(allow_private=allow_private)
    headers = {"Content-Type": "application/json; charset=utf-8", **headers}
    request = build_request(policy, "POST", url, headers, {}, orjson.dumps(body))
    try:
        async with asyncio.timeout(_SECONDS), GuardedTransport(policy) as transport:
            response, payload = await exchange(transport, policy, request, _LARGEST, follow=False)
    except (TimeoutError, httpcore.TimeoutException, httpcore.NetworkError, OSError) as error:
        raise ExecutionError(
            f"Slack cannot be reached: {type(error).__name__}", code="slack_unavailable"
        ) from None
    if response.status_code == 429 or response.status_code >= 500:
        wait = response.headers.get("retry-after", "")
        after = (
            timedelta(seconds=min(int(wait), 3600)) if wait.isdigit() and len(wait) < 6 else None
        )
        raise Retry(f"Slack answered {response.status_code}", after=after)
    if response.status_code != 200:
        raise Fail(f"Slack answered {response.status_code}", code="slack_failed")
    return payload
