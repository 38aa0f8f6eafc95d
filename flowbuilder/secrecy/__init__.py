"""Secrets: how they are named, bound, sealed, found elsewhere, and kept out of every text.

A flow holds `secret://name` and nothing else. What stands behind a name is known only in a worker,
right before use, and only toward the hosts or for the tools that the secret is bound to.
"""

from flowbuilder.secrecy.binding import Binding, Secret, check_binding, check_name
from flowbuilder.secrecy.mentions import fill, mentioned, sole_mention
from flowbuilder.secrecy.redaction import REDACTOR, Redactor

__all__ = [
    "REDACTOR",
    "Binding",
    "Redactor",
    "Secret",
    "check_binding",
    "check_name",
    "fill",
    "mentioned",
    "sole_mention",
]
