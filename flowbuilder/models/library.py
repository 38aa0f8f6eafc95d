"""Load litellm and instructor, once, and only when a model is called.

Both settings must stand before litellm is imported: without the first it fetches a price table
from the network while importing, without the second it goes round httpx.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import warnings
from dataclasses import dataclass
from typing import Any

from flowbuilder.telemetry import logs

_ENVIRONMENT = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "DISABLE_AIOHTTP_TRANSPORT": "True"}
_LOADING = threading.Lock()
_loaded: Libraries | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Libraries:
    """The imported modules. Typed loosely: litellm has no useful annotations."""

    litellm: Any
    instructor: Any


def load() -> Libraries:
    """Import litellm and instructor (1 to 5 s the first time, then at once)."""
    global _loaded  # noqa: PLW0603 - one import a process
    with _LOADING:
        found = _loaded or _import()
        _loaded = found
        return found


async def load_async() -> Libraries:
    """Import in a thread, so that the event loop keeps leases and heartbeats going."""
    if _loaded is not None:
        return _loaded
    return await asyncio.to_thread(load)


def _import() -> Libraries:
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import instructor
        import litellm

        # Its response types are built at first use, with warnings of their own.
        litellm.ModelResponse()
        litellm.ModelResponse(stream=True)
        litellm.ModelResponseStream()
    logs.adopt()
    litellm.suppress_debug_info = True
    litellm.disable_hf_tokenizer_download = True
    litellm.disable_aiohttp_transport = True
    # Their error logs carry whole requests and answers; what matters is in our own errors.
    for name in ("LiteLLM", "LiteLLM Router", "instructor"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return Libraries(litellm=litellm, instructor=instructor)
