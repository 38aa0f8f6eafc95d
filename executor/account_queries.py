"""Statements about users, workspaces, keys and the log; all of them calls of SQL functions."""

from __future__ import annotations

from typing import Final

CREATE_USER: Final = b"select flowbuilder.create_user(%s, %s, %s, %s) as id"
CHANGE_USER: Final = b"select flowbuilder.change_user(%s, %s, %s::uuid, %s)"
USERS: Final = b"select flowbuilder.user_list(%s) as answer"
INVITE_USER: Final = b"select flowbuilder.invite_user(%s, %s, %s::float8, %s) as until"
ACCEPT_INVITATION: Final = b"select flowbuilder.accept_invitation(%s, %s, %s) as name"
LOGIN_FACTS: Final = b"select * from flowbuilder.login_facts(%s)"
REFRESH_HASH: Final = b"select flowbuilder.refresh_password_hash(%s::uuid, %s, %s)"
TAKE_ATTEMPT: Final = b"select flowbuilder.take_attempt(%s, %s::float8, %s::float8) as wait"
OPEN_SESSION: Final = b"""
    select flowbuilder.open_session(%s::uuid, %s, %s::float8, %s::float8, %s, %s) as id"""
ROTATE_REFRESH: Final = b"select flowbuilder.rotate_refresh(%s, %s, %s::float8, %s) as answer"
END_SESSION: Final = b"select flowbuilder.end_session(%s::uuid, %s)"
CALLER_OF_SESSION: Final = (
    b"select * from flowbuilder.caller_of_session(%s::uuid, %s::uuid, %s::text)"
)
CALLER_OF_KEY: Final = b"select * from flowbuilder.caller_of_key(%s, %s, %s::text)"

CREATE_WORKSPACE: Final = b"select flowbuilder.create_workspace(%s, %s, %s, %s) as id"
WORKSPACES: Final = b"select flowbuilder.workspace_list(%s::uuid, %s) as answer"
ARCHIVE_WORKSPACE: Final = b"select flowbuilder.archive_workspace(%s::uuid, %s, %s)"
SET_MEMBER: Final = b"select flowbuilder.set_member(%s::uuid, %s, %s::text[], %s)"
MEMBERS: Final = b"select flowbuilder.member_list(%s::uuid) as answer"
CREATE_KEY: Final = b"""
    select flowbuilder.create_key(%s::uuid, %s, %s, %s, %s, %s::text[], %s::float8, %s) as id"""
KEYS: Final = b"select flowbuilder.key_list(%s::uuid, %s, %s::uuid) as answer"
REVOKE_KEY: Final = b"select flowbuilder.revoke_key(%s::uuid, %s::uuid, %s, %s)"
NOTE: Final = b"select flowbuilder.note_audit(%s, %s::uuid, %s, %s, %s)"
AUDIT: Final = b"select flowbuilder.audit_lines(%s::uuid, %s::bigint, %s) as answer"
