"""The short form of the calls that are made from the OpenAPI document."""

from __future__ import annotations

from tests.conformance.calling import call
from tests.conformance.scene import scene


async def test_answers_are_as_the_document_says(dsn: str) -> None:
    async with scene(dsn) as place:
        report = await call(place, examples=2, seed=1, phases="fuzzing")
    assert report.code == 0, report.text
    assert report.calls >= 100, report.text
