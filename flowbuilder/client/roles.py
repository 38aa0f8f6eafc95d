"""What roles and scopes allow. A role is what a user is in a workspace; a scope bounds a key."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from flowbuilder.errors import InvalidValue


class Role(StrEnum):
    """What a user is in a workspace. One may have several."""

    MEMBER = "member"
    """Sees everything in it, starts published flows and steers runs."""
    BUILDER = "builder"
    """And plans, builds and publishes flows, and runs drafts and what is not stored."""
    APPROVER = "approver"
    """And decides approvals; a builder does not."""
    ADMIN = "admin"
    """All of that, and says who is a member."""


class Scope(StrEnum):
    """What a key may be used for; it never allows what its owner may not do."""

    READ = "read"
    RUN = "run"
    BUILD = "build"
    APPROVE = "approve"
    ADMIN = "admin"


_INCLUDED = {
    Role.MEMBER: {Role.MEMBER},
    Role.BUILDER: {Role.MEMBER, Role.BUILDER},
    Role.APPROVER: {Role.MEMBER, Role.APPROVER},
    Role.ADMIN: set(Role),
}
#: The scope of a key for what takes this role; for a member, seeing takes less than doing.
_SCOPES = {
    Role.MEMBER: Scope.RUN,
    Role.BUILDER: Scope.BUILD,
    Role.APPROVER: Scope.APPROVE,
    Role.ADMIN: Scope.ADMIN,
}


def with_included(roles: Iterable[str]) -> frozenset[Role]:
    """Return the roles with all that they include; unknown ones count as nothing."""
    known = [Role(role) for role in roles if role in set(Role)]
    return frozenset(included for role in known for included in _INCLUDED[role])


def scope_for(role: Role, *, reading: bool) -> Scope:
    """Return the scope that a key needs for what takes this role."""
    return Scope.READ if role is Role.MEMBER and reading else _SCOPES[role]


def checked_roles(roles: Iterable[str], pointer: str = "/roles") -> list[str]:
    """Return roles to be stored, each once. Raises: InvalidValue (`role_unknown`)."""
    return _checked(roles, [role.value for role in Role], "role", pointer)


def checked_scopes(scopes: Iterable[str], pointer: str = "/scopes") -> list[str]:
    """Return scopes to be stored, each once. Raises: InvalidValue (`scope_unknown`)."""
    return _checked(scopes, [scope.value for scope in Scope], "scope", pointer)


def _checked(given: Iterable[str], known: list[str], what: str, pointer: str) -> list[str]:
    wanted = list(given)
    for one in wanted:
        if one not in known:
            raise InvalidValue(
                f"there is no {what} {str(one)[:40]!r}",
                pointer=pointer,
                code=f"{what}_unknown",
                hint=f"There are {', '.join(known)}.",
            )
    if not wanted:
        raise InvalidValue(
            f"at least one {what} is needed", pointer=pointer, code=f"{what}_missing"
        )
    return [one for one in known if one in wanted]
