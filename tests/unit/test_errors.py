"""What errors show to who did not expect them."""

from __future__ import annotations

import traceback

from flowbuilder.errors import DefinitionError, FlowBuilderError, InvalidValue, Problem


def shown(error: Exception) -> str:
    return "".join(traceback.format_exception(error))


def test_a_traceback_shows_hint_and_findings() -> None:
    found = [
        Problem(code="a", pointer="/steps/0/tool", message="there is no tool x", hint="Try y."),
        Problem(code="b", pointer="", message="too many"),
    ]
    error = DefinitionError("the flow has 2 problems", problems=found, hint="Look there.")
    assert str(error) == "the flow has 2 problems"
    text = shown(error)
    assert "hint: Look there." in text
    assert "/steps/0/tool: there is no tool x (Try y.)" in text
    assert "the document: too many" in text
    assert "hint" not in shown(FlowBuilderError("plain"))
    assert "hint: Write 1." in shown(InvalidValue("no number", hint="Write 1."))


def test_a_traceback_shows_ten_findings() -> None:
    found = [Problem(code="a", pointer=f"/{place}", message="wrong") for place in range(12)]
    text = shown(DefinitionError("twelve", problems=found))
    assert text.count("wrong") == 10
    assert "and 2 more" in text
