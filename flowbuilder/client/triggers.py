"""What webhooks and schedules have in common: their names, the flow that they start."""

from __future__ import annotations

import re

from flowbuilder.client.drafts import require_unarchived
from flowbuilder.client.session import Session
from flowbuilder.errors import Conflict, InvalidValue, NotFound
from flowbuilder.executor.records import VersionRow

#: Of a workspace, of either kind.
MOST = 1000
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_LONGEST_DESCRIPTION = 500


def checked_name(name: object) -> str:
    """Return a trigger's name. Raises: InvalidValue (trigger_name_invalid)."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidValue(
            "a trigger's name has 1 to 63 small letters, digits, `_`, `.` and `-`, and begins with "
            "a letter or digit",
            pointer="/name",
            code="trigger_name_invalid",
        )
    return name


def checked_description(text: object) -> str | None:
    """Return what a trigger is for. Raises: InvalidValue (description_invalid)."""
    if text is None:
        return None
    if not isinstance(text, str) or len(text) > _LONGEST_DESCRIPTION or "\0" in text:
        raise InvalidValue(
            f"a description is a text of at most {_LONGEST_DESCRIPTION} characters",
            pointer="/description",
            code="description_invalid",
        )
    return text


async def startable(session: Session, flow: object, version: object) -> VersionRow:
    """Return the version that a trigger would start now.

    Raises:
        NotFound: `flow_not_found`, `version_not_found`: it was never published, or not as this one.
        Conflict: `flow_archived`.
        InvalidValue: `version_invalid`.
    """
    number = _checked_version(version)
    slug = flow if isinstance(flow, str) else ""
    row = await session.store.get_flow(slug)
    require_unarchived(row)
    if row.version is None:
        raise NotFound(
            f"the flow {slug} was never published",
            code="version_not_found",
            hint="Triggers start published versions only.",
        )
    return await session.store.get_version(slug, number)


def _checked_version(version: object) -> int | None:
    if version is None:
        return None
    if isinstance(version, int) and not isinstance(version, bool) and version > 0:
        return version
    raise InvalidValue("a version is a number from 1", pointer="/version", code="version_invalid")


def require_room(present: int) -> None:
    """Refuse one trigger too many. Raises: Conflict (too_many_triggers)."""
    if present >= MOST:
        raise Conflict(f"a workspace has at most {MOST} of these", code="too_many_triggers")
