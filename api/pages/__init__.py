"""Pages that the service renders by itself: plain HTML without scripts."""

from __future__ import annotations
