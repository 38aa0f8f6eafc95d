"""Download a large file over HTTP, going on where an earlier try stopped."""

from __future__ import annotations

from pathlib import Path

from flowbuilder.errors import ModelError
from flowbuilder.localmodel.weights import Progress, Weights

#: Seconds. Short for connecting, so that a host without the internet goes on to the next source.
_CONNECT, _READ = 5.0, 60.0


def download(url: str, part: Path, weights: Weights, progress: Progress) -> Path:
    """Return `part` holding the whole body of `url`; an existing part is continued.

    Raises:
        ModelError: `model_fetch_failed`; the part stays for the next try unless it is useless.
    """
    import httpx

    timeout = httpx.Timeout(_READ, connect=_CONNECT)
    try:
        with httpx.Client(timeout=timeout, follow_redirects=True, max_redirects=5) as client:
            _receive(client, url, part, weights, progress)
    except httpx.InvalidURL as error:
        raise ModelError(f"{url!r} is no URL.", code="model_fetch_failed") from error
    except httpx.HTTPError as error:
        raise ModelError(
            f"{httpx.URL(url).host} did not deliver it ({type(error).__name__}).",
            code="model_fetch_failed",
            retryable=True,
        ) from error
    return part


def _receive(client: object, url: str, part: Path, weights: Weights, progress: Progress) -> None:
    import httpx

    assert isinstance(client, httpx.Client)
    have = part.stat().st_size if part.exists() else 0
    if have == weights.size:
        return
    headers = {"Range": f"bytes={have}-"} if have else {}
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == 416:
            part.unlink(missing_ok=True)
            raise ModelError(
                "The server refused to continue; the part was deleted, try again.",
                code="model_fetch_failed",
                retryable=True,
            )
        response.raise_for_status()
        done = have if response.status_code == 206 else 0
        _check_length(response.headers.get("content-length"), done, weights)
        with part.open("ab" if done else "wb") as writer:
            for block in response.iter_bytes(1 << 20):
                done += len(block)
                if done > weights.size:
                    break
                writer.write(block)
                progress("downloading", done, weights.size)
    if done != weights.size:
        part.unlink(missing_ok=True)
        raise ModelError(
            f"The server sent {'more than ' if done > weights.size else ''}"
            f"{min(done, weights.size)} bytes instead of {weights.size}.",
            code="model_fetch_failed",
        )


def _check_length(announced: str | None, done: int, weights: Weights) -> None:
    if announced is not None and announced.isdigit() and int(announced) + done != weights.size:
        raise ModelError(
            f"The server announces {int(announced) + done} bytes instead of {weights.size}.",
            code="model_fetch_failed",
        )
