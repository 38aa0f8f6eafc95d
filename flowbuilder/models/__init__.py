"""The one seam for all language model calls; nothing else imports an LLM library.

`ModelClient` talks to any model that litellm knows and to any OpenAI-compatible endpoint;
`ScriptedModel` answers from a list, for tests and evaluations. litellm is imported by the first
call, never by importing this package.
"""

from flowbuilder.models.base import LanguageModel, Message, Reply, StepStream
from flowbuilder.models.client import ModelClient
from flowbuilder.models.scripted import ScriptedModel

__all__ = ["LanguageModel", "Message", "ModelClient", "Reply", "ScriptedModel", "StepStream"]
