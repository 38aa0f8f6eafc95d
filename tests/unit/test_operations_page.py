"""docs/operations.md says of settings what `Settings` says."""

from __future__ import annotations

from flowbuilder.settings import Settings
from tests.support.settings_table import in_page, table


def test_the_page_lists_every_setting() -> None:
    assert in_page() == table(), "write it anew: python -m tests.support.settings_table"


def test_every_setting_says_what_it_is_for() -> None:
    silent = [name for name, field in Settings.model_fields.items() if not field.description]
    assert not silent
