"""Which model is called, where, with which key, and in which structured output mode."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from flowbuilder.errors import ModelError
from flowbuilder.models.library import Libraries
from flowbuilder.settings import Settings

#: Providers of local servers, which all take a JSON Schema as response format.
_LOCAL = {"ollama", "ollama_chat", "hosted_vllm", "lm_studio", "llamafile", "custom_openai"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """One model behind one address."""

    model: str
    api_base: str | None
    api_key: str | None = field(repr=False)
    mode: str
    """`json_schema`, `tools` or `json`."""

    def arguments(self) -> dict[str, Any]:
        """Return what litellm needs to know to reach it."""
        arguments: dict[str, Any] = {"model": self.model}
        if self.api_base:
            arguments["api_base"] = self.api_base
        if self.api_key:
            arguments["api_key"] = self.api_key
        return arguments

    @property
    def hosted(self) -> bool:
        """Whether the provider's own address is called."""
        return self.api_base is None and self.model.split("/")[0] not in _LOCAL


def model_name(settings: Settings) -> str:
    """Return the configured name.

    Raises:
        ModelError: `model_not_configured`.
    """
    if not settings.model:
        raise ModelError(
            "No language model is configured.",
            code="model_not_configured",
            hint="Set FLOWBUILDER_MODEL (and FLOWBUILDER_MODEL_API_BASE for an own server), "
            "or run `flowbuilder model fetch` and `flowbuilder model serve`.",
        )
    return settings.model


def endpoint(settings: Settings, libraries: Libraries) -> Endpoint:
    """Work out the endpoint.

    With an address, a name without a provider that litellm knows means an OpenAI-compatible
    server: `qwen3:8b` is called as `openai/qwen3:8b`.

    Raises:
        ModelError: `model_not_configured`.
    """
    name, base = model_name(settings), settings.model_api_base
    key = settings.model_api_key.get_secret_value() if settings.model_api_key else None
    if base:
        provider, slash, _ = name.partition("/")
        known = {str(getattr(item, "value", item)) for item in libraries.litellm.provider_list}
        if not slash or provider not in known:
            name = f"openai/{name}"
        key = key or "none"
    found = Endpoint(model=name, api_base=base, api_key=key, mode="json_schema")
    mode = settings.model_mode
    if mode == "auto":
        mode = _supported_mode(found, libraries)
    return Endpoint(model=name, api_base=base, api_key=key, mode=mode)


def check_provider(settings: Settings, libraries: Libraries) -> None:
    """Look at what can be known without a call of a model at its provider's own address.

    Only keys are missed: a region, a project or a role may come from elsewhere.

    Raises:
        ModelError: `model_not_configured`, `model_unknown` (nobody knows its provider) or
            `model_key_missing`.
    """
    name = model_name(settings)
    try:
        libraries.litellm.get_llm_provider(name)
    except Exception:  # the library's own error says the same in many lines
        raise ModelError(
            f"no provider of the model {name!r} is known",
            code="model_unknown",
            hint="Write provider/name, such as openai/gpt-5-mini, or name your own server with "
            "FLOWBUILDER_MODEL_API_BASE.",
        ) from None
    missing = libraries.litellm.validate_environment(name)["missing_keys"]
    keys = [key for key in missing if key.endswith("_API_KEY")]
    if keys and settings.model_api_key is None:
        raise ModelError(
            f"there is no key for {name}: {' or '.join(keys)} is not set",
            code="model_key_missing",
            hint=f"Set {keys[-1]}, or FLOWBUILDER_MODEL_API_KEY.",
        )


def _supported_mode(found: Endpoint, libraries: Libraries) -> str:
    if not found.hosted:
        return "json_schema"
    try:
        supported = bool(libraries.litellm.supports_response_schema(model=found.model))
    except Exception:  # an unknown name must fail when it is called, with the provider's reason
        supported = True
    return "json_schema" if supported else "tools"
