"""Names that are made for functions given in place stay behind the scenes."""

from __future__ import annotations

import uuid

import pytest

from flowbuilder.errors import InvalidValue
from flowbuilder.tools import check_arguments, tool
from flowbuilder.tools.labels import function_name, tool_label

WORKER = str(uuid.UUID(int=0xAB))


@pytest.mark.parametrize("number", [1, 2, 30])
@pytest.mark.parametrize("suffix", ["", "@1"])
def test_the_function_of_a_step_is_called_by_the_step(number: int, suffix: str) -> None:
    assert tool_label(function_name(WORKER, "rate_all", number) + suffix) == "step rate_all"


@pytest.mark.parametrize("name", ["http.get", "function.f", "function.w1.a", "mail.send@2", ""])
def test_other_names_are_left_alone(name: str) -> None:
    assert tool_label(name) == name


def test_two_functions_of_a_step_have_two_names() -> None:
    assert function_name(WORKER, "a", 1) != function_name(WORKER, "a", 2)


def test_a_refused_argument_names_the_step() -> None:
    def rate(n: int) -> int:
        return n

    made = tool(function_name(WORKER, "rate", 2))(rate)
    with pytest.raises(InvalidValue, match=r"^step rate: ") as caught:
        check_arguments(made, {"n": "x"})
    assert "function" not in str(caught.value)
