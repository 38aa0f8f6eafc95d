"""Answers are read from rows: each of their fields is one of the row's, and none is lost."""

from __future__ import annotations

import dataclasses

import pytest

from flowbuilder.api import approval_schemas, plan_schemas, schemas
from flowbuilder.api.routes.replans import ReplanOut
from flowbuilder.executor import events, records
from flowbuilder.executor.store.replanning import ReplanRow

#: Answer, row, and what of the row stays inside.
PAIRS: list[tuple[type[schemas.Out], type, set[str]]] = [
    (plan_schemas.PlanSummary, records.PlanRow, {"document"}),
    (schemas.FlowOut, records.FlowRow, {"revision"}),
    (schemas.VersionOut, records.VersionRow, {"places"}),
    (schemas.RunOut, records.RunRow, {"version_id"}),
    (schemas.StepOut, records.StepRow, {"run_id"}),
    (schemas.TaskOut, records.TaskRow, {"fence"}),
    (schemas.EventOut, events.EventRow, set()),
    (approval_schemas.ApprovalOut, records.ApprovalRow, set()),
    (ReplanOut, ReplanRow, {"owner"}),
]


@pytest.mark.parametrize(("answer", "row", "inner"), PAIRS)
def test_answers_carry_the_fields_of_their_rows(
    answer: type[schemas.Out], row: type, inner: set[str]
) -> None:
    written = {str(field.validation_alias or name) for name, field in answer.model_fields.items()}
    derived = {name for name, value in vars(row).items() if isinstance(value, property)}
    ours = derived | {"by_reference"}  # where the values are that a list leaves out
    assert written - ours == {field.name for field in dataclasses.fields(row)} - inner
