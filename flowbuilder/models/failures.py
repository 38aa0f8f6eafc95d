"""Turn whatever the LLM libraries raise into a `ModelError` that is safe to show and store."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import Any

from flowbuilder.errors import ModelError, ModelOutputError, ModelTimeout

_LONGEST_DETAIL = 300
_KEY_LIKE = re.compile(
    r"(?i)\b(?:sk|pk|rk|gsk|xai|key|api|hf|ghp)[-_][A-Za-z0-9_\-*]{6,}|\bAIza[A-Za-z0-9_\-]{10,}"
    r"|(?<=bearer )\S+|(?<=[?&]key=)[^&\s'\"]+|(?<=[?&]api_key=)[^&\s'\"]+"
    r"|(?<=[?&]token=)[^&\s'\"]+"
)
#: How litellm words that a success status came with something else than a completion.
_UNREADABLE = re.compile(
    r"(?i)invalid response from llm|provider returned '?choices|expecting value"
)
#: How litellm words that it stopped a stream which brings the same piece a hundred times.
_REPEATING = re.compile(r"repeating the same chunk")
#: How a time limit of our own is worded; a server's 408 or 504 has the same type without it.
_OWN_LIMIT = re.compile(r"APITimeoutError|timeout value|timed out after")
_NETWORK = re.compile(r"(?i)connect|connection|disconnect|incomplete|peer closed|reset|eof")


def redact(text: str, key: str | None) -> str:
    """Return the first line of `text`, short, without anything that looks like a key."""
    line = next((line for line in text.splitlines() if line.strip()), "")
    if key:
        line = line.replace(key, "***")
    line = _KEY_LIKE.sub("***", line)
    line = re.sub(r"^(litellm\.)?\w+Error: ", "", line)
    return line[:_LONGEST_DETAIL].strip()


def classify(error: BaseException, *, model: str, key: str | None) -> ModelError:
    """Return the typed error for an exception of litellm, openai, httpx or instructor."""
    if isinstance(error, ModelError):
        return error
    name = type(error).__name__
    status = getattr(error, "status_code", None)
    status = status if isinstance(status, int) else None
    if name == "Timeout" and status in {408, 504} and not _OWN_LIMIT.search(str(error)):
        return _unavailable(model, status, "the server gave up waiting")
    if isinstance(error, TimeoutError) or "Timeout" in name or status == 408:
        return timed_out(model)
    if name == "IncompleteOutputException":
        return truncated(model)
    detail = redact(str(error), key)
    if _REPEATING.search(str(error)):
        return endless(model)
    if _UNREADABLE.search(detail):
        return _unreadable(model, name)
    if _broken_connection(error, name, detail):
        return _unavailable(model, None, "the connection failed or was cut")
    return _by_status(model, status, detail) or _unreadable(model, name)


def timed_out(model: str) -> ModelTimeout:
    """Return the error of a call that used up its time."""
    return ModelTimeout(
        f"{model} did not finish its answer within the time limit.",
        retryable=True,
        code="model_timeout",
        hint="FLOWBUILDER_MODEL_TIMEOUT sets the limit of one call.",
    )


def truncated(model: str) -> ModelOutputError:
    """Return the error of an answer that was cut at the length limit."""
    return ModelOutputError(
        f"{model} did not end its answer within the length limit.",
        code="model_output_truncated",
        hint="FLOWBUILDER_MODEL_MAX_TOKENS sets the limit.",
    )


def endless(model: str) -> ModelOutputError:
    """Return the error of an answer that says the same, or nothing, over and over."""
    return ModelOutputError(
        f"{model} repeats itself without end; its answer was stopped.",
        code="model_output_truncated",
        hint="Ask again, word the goal otherwise, or use another model.",
    )


def declined(model: str, reason: str, key: str | None) -> ModelError:
    """Return the error of a model that says it will not answer."""
    return ModelError(
        f"{model} declined to answer: {redact(reason, key)}",
        code="model_refused",
        hint="Word the goal otherwise, or use another model.",
    )


def filtered(model: str) -> ModelError:
    """Return the error of an answer that the provider's content filter held back."""
    return ModelError(
        f"The provider's content filter held the answer of {model} back.",
        code="model_refused",
        hint="Word the goal otherwise, or use another model.",
    )


def retry_after(error: BaseException) -> float | None:
    """Return the seconds that the provider asks to wait, if it says so."""
    response = getattr(error, "response", None)
    headers: Any = getattr(response, "headers", None) or getattr(
        error, "litellm_response_headers", None
    )
    value = headers.get("retry-after") if headers else None
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        return _seconds_until(value)


def _seconds_until(value: str) -> float | None:
    from datetime import UTC, datetime

    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _broken_connection(error: BaseException, name: str, detail: str) -> bool:
    if name in {"APIConnectionError", "MidStreamFallbackError"} or isinstance(error, OSError):
        return True
    if name in {"ConnectError", "ReadError", "RemoteProtocolError", "WriteError"}:
        return True
    return name == "InternalServerError" and bool(_NETWORK.search(detail))


def _unavailable(model: str, status: int | None, detail: str) -> ModelError:
    what = f" ({status})" if status else ""
    return ModelError(
        f"{model} is not available{what}: {detail}",
        retryable=True,
        status=status,
        code="model_unavailable",
        hint="Check FLOWBUILDER_MODEL_API_BASE and whether the server runs.",
    )


def _unreadable(model: str, name: str) -> ModelOutputError:
    return ModelOutputError(
        f"{model} sent an answer that is no completion ({name}).",
        code="model_output_invalid",
        hint="Check that FLOWBUILDER_MODEL_API_BASE is the address of a model server.",
    )


def _by_status(model: str, status: int | None, detail: str) -> ModelError | None:
    if status is None:
        return None
    if status == 429:
        return ModelError(
            f"{model} refuses more calls for now (429): {detail}",
            retryable=True,
            status=status,
            code="model_rate_limited",
        )
    if status in {401, 403}:
        return ModelError(
            f"{model} does not accept the key ({status}).",
            status=status,
            code="model_unauthorized",
            hint="Set FLOWBUILDER_MODEL_API_KEY, or the provider's own variable.",
        )
    if status >= 500:
        return _unavailable(model, status, detail)
    if status >= 400:
        return ModelError(
            f"{model} refused the request ({status}): {detail}", status=status, code="model_refused"
        )
    return None
