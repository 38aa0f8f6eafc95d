"""Statements about who is let in, quotas and buckets; all of them calls of SQL functions."""

from __future__ import annotations

from typing import Final

SET_ADMISSION: Final = b"select flowbuilder.set_admission(%s, %s, %s, %s, %s::float8, %s) as runs"
CLEAR_ADMISSION: Final = b"select flowbuilder.clear_admission(%s, %s) as runs"
ADMISSIONS: Final = b"select * from flowbuilder.admissions_in_force(%s)"
HOLD_WORKER: Final = b"select flowbuilder.hold_worker(%s::uuid, %s, %s::float8, %s::float8)"
SET_QUOTAS: Final = b"select flowbuilder.set_quotas(%s, %s, %s, %s, %s, %s)"
USAGE: Final = b"select flowbuilder.usage_of(%s) as answer"
COUNT_PLAN: Final = b"select flowbuilder.count_plan(%s)"
TAKE_TOKENS: Final = b"select * from flowbuilder.take_tokens(%s, %s, %s::float8, %s::float8)"
