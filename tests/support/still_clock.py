"""A clock of the database that stands still, and moves only when a test moves it."""

from __future__ import annotations

#: From 2030 on, so that nothing of today's clock is mistaken for it.
STILL = """
create or replace function flowbuilder.now() returns timestamptz
language sql stable set search_path = ''
as $$ select '2030-01-01 00:00+00'::timestamptz + c.offset_by from flowbuilder.clock c $$
"""
