"""CEL: values, errors with codes, and bounds on the work."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuilder import expressions
from flowbuilder.errors import InvalidValue
from flowbuilder.expression_text import root_paths, step_names, step_paths
from flowbuilder.expressions import compile_expression

SCOPE: dict[str, Any] = {
    "input": {
        "zero": 0,
        "half": 0.5,
        "none": None,
        "off": False,
        "empty": "",
        "list": [],
        "tags": ["x", "y"],
        "name": "Überbau",
        "big": 2**64 - 1,
    },
    "steps": {"rate": [3, 1, 2], "fetch": {"count": 0, "items": [{"n": 1}, {"n": 5}]}},
    "run": {"id": "r"},
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("size(steps.rate) > 0", True),
        ("steps.fetch.count == 0", True),
        ("input.zero == 0.0", True),
        ("input.half < 1", True),
        ("input.none == null", True),
        ("input.off == false", True),
        ('input.empty == ""', True),
        ("input.list == []", True),
        ("size(input.name) == 7", True),
        ("input.name.size() == 7", True),
        ('size("size(x)")', 7),
        ("has(input.nothing)", False),
        ("has(input.zero)", True),
        ('"x" in input.tags', True),
        ('input.name.startsWith("Ü") && input.name.endsWith("bau")', True),
        ("input.name.lowerAscii().contains('über')", True),
        ("steps.fetch.items.exists(i, i.n > 4)", True),
        ("steps.rate.filter(n, n > 1).map(n, n * 10)", [30, 20]),
        ('steps["fetch"].items[0].n', 1),
        ("input.big", 2**64 - 1),
        ("input.zero", 0),
        ("input.off", False),
        ("input.none", None),
        ('input.nothing == 1 || "x" in input.tags', True),
        ('{"a": [1, null, ""]}', {"a": [1, None, ""]}),
    ],
)
def test_values(text: str, value: object) -> None:
    found = compile_expression(text).evaluate(SCOPE)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("input.nothing == 1", "cel_missing"),
        ("steps.nobody == 1", "cel_missing"),
        ("item.a", "cel_missing"),
        ("input.tags[9]", "cel_missing"),
        ("input.zero + 'a'", "cel_type"),
        ("input.half + 1", "cel_type"),
        ("size(input.none) == 0", "cel_type"),
        ("input.none.name", "cel_type"),
        ("0.0 / 0.0", "cel_type"),
        ('timestamp("2026-01-01T00:00:00Z")', "cel_type"),
        ("1 / 0", "cel_failed"),
        ("9223372036854775807 + 1", "cel_failed"),
        ('int("many")', "cel_failed"),
        ('"a".matches("(")', "cel_failed"),
    ],
)
def test_what_fails_while_evaluating_has_a_code(text: str, code: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        compile_expression(text).evaluate(SCOPE)
    assert caught.value.code == code
    assert text[:20] in caught.value.message


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("size(", "cel_syntax"),
        ("1 ? 2", "cel_syntax"),
        ("a b", "cel_syntax"),
        ("'open", "cel_syntax"),
        ("", "cel_syntax"),
        ("input.?a", "cel_syntax"),
        ("x" * 2001, "cel_too_long"),
        ("(" * 41 + "1" + ")" * 41, "cel_nesting"),
        ("[" * 900, "cel_nesting"),
        ("a.map(x, b.map(y, c.map(z, 1)))", "cel_macros"),
        ("a.all(x, b.exists(y, c.filter(z, true) == []))", "cel_macros"),
        ("foo(1)", "cel_function"),
        ("input.a.sizes() > 1", "cel_function"),
        ("size(steps) > 0", "cel_steps"),
        ('steps[input.name] == "a"', "cel_steps"),
    ],
)
def test_what_does_not_compile_has_a_code(text: str, code: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        compile_expression(text)
    assert caught.value.code == code


def test_syntax_errors_have_a_place() -> None:
    with pytest.raises(InvalidValue, match=r":1:11:"):
        compile_expression("input.a > ")


def test_a_misspelt_function_is_guessed() -> None:
    with pytest.raises(InvalidValue) as caught:
        compile_expression('input.a.startWith("x")')
    assert caught.value.hint == "Did you mean 'startsWith'?"


@pytest.mark.parametrize("text", ["1", '"true"', "null", "input.list", "steps.fetch"])
def test_a_condition_is_true_or_false(text: str) -> None:
    with pytest.raises(InvalidValue) as caught:
        compile_expression(text).condition(SCOPE)
    assert caught.value.code == "cel_not_bool"


@pytest.mark.parametrize(
    ("text", "many"),
    [
        ("input.a.map(x, x + 1).size() > 0", 4000),
        ("input.a.filter(x, x > 1).size() > 0", 4000),
        ("input.a.all(x, x in input.a)", 4000),
        ("input.a.exists(x, input.a.exists(y, x == y + 1))", 1100),
        ("input.a.map(x, input.a.map(y, x * y)).size() > 0", 220),
        (" && ".join(["input.a.all(x, x >= 0)"] * 40), 30_000),
    ],
)
def test_work_is_bounded_by_the_elements_that_are_there(text: str, many: int) -> None:
    expression = compile_expression(text)
    with pytest.raises(InvalidValue) as caught:
        expression.condition({"input": {"a": list(range(many))}})
    assert caught.value.code == "cel_cost"
    expression.condition({"input": {"a": list(range(20))}})


def test_outputs_that_are_not_read_cost_nothing() -> None:
    expression = compile_expression("steps.few.all(x, x in steps.few)")
    assert expression.condition({"steps": {"few": [1], "many": list(range(50_000))}}) is True


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("size(steps.rate) > 0 && steps.fetch.ok", {"rate", "fetch"}),
        ("steps[\"rate\"] == [] || steps [ 'b' ].c", {"rate", "b"}),
        ("steps . rate . x == 1", {"rate"}),
        ('"steps.no" == input.steps.no', set()),
        ("true // steps.no", set()),
        ('r"\\" == "" || steps.a == 1', {"a"}),
        ('"""steps.no "quoted" """ == steps.a', {"a"}),
        ("my_steps.a == 1", set()),
        ("not even CEL ((( steps.a", {"a"}),
    ],
)
def test_steps_are_found_without_compiling(text: str, steps: set[str]) -> None:
    assert step_names(text) == steps


def test_paths_stop_where_they_are_no_longer_plain() -> None:
    text = "steps.a.b.c == 1 && steps.a.b.startsWith('x') && steps.d[0].e && steps.f.all(x, x)"
    assert step_paths(text) == [("a", ("b", "c")), ("a", ("b",)), ("d", ()), ("f", ())]


def test_paths_of_the_other_roots() -> None:
    text = "input.a.b == run . id && x.input.c && input.d.exists(i, i.input.e) && input['f'] == 1"
    assert root_paths(text) == [("input", ("a", "b")), ("run", ("id",)), ("input", ("d",))]
    assert root_paths("steps.a.all(input, input.x)") == []


def test_names_of_macros_are_no_variables() -> None:
    expression = compile_expression("input.a.all(x, x > run.version)")
    assert expression.roots == frozenset({"input", "run"})
    assert expression.macros == 1
    assert not expression.steps


@given(st.text(alphabet="()[]{}.\"'\\/rab steps01+?:&|!<=,") | st.text())
def test_any_text_compiles_or_is_refused(text: str) -> None:
    try:
        expression = compile_expression(text)
    except InvalidValue as error:
        assert error.code.startswith("cel_")
    else:
        assert expression.text == text


def test_lists_in_the_expression_count_as_well() -> None:
    ones = "[" + ",".join("1" * 480) + "]"
    with pytest.raises(InvalidValue) as caught:
        compile_expression(f"{ones}.all(x, {ones}.map(y, y) != [])").evaluate({})
    assert caught.value.code == "cel_cost"


class PanicException(BaseException):
    """What a panic of the library looks like."""


def test_a_panic_of_the_library_is_an_error_of_the_expression(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Panicking:
        def execute(self, _: object) -> None:
            raise PanicException("index out of bounds")

    expression = compile_expression("1 == 1")
    monkeypatch.setattr(expressions, "_program", lambda _: Panicking())
    with pytest.raises(InvalidValue) as caught:
        expression.evaluate({})
    assert caught.value.code == "cel_failed"


def test_stopping_the_program_is_not_taken_for_a_panic(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stopping:
        def execute(self, _: object) -> None:
            raise KeyboardInterrupt

    expression = compile_expression("1 == 1")
    monkeypatch.setattr(expressions, "_program", lambda _: Stopping())
    with pytest.raises(KeyboardInterrupt):
        expression.evaluate({})


_PARTS = st.sampled_from(
    [
        *(
            "steps.a.n",
            "steps.in.n",
            "steps.null",
            "steps.a(",
            "steps.as",
            "x.steps.a.b",
            "input.x",
        ),
        *("size(", "(", ")", "[", "]", "1", "07", "0x1F", "5u", "1.5", "1e5", "1e-5", ".", "5."),
        *("99999999999999999999", "9223372036854775808", "999999999999999", "-5", "=", "&&", "||"),
        *("'a'", '"b"', "'it\"s'", "''", '""', '"""', "'''a'''", "r'\\d'", "b'x'", "'\\n'"),
        *(
            "'\\q'",
            "'",
            '"',
            "'é'",
            "// c",
            "\n",
            "\t",
            " ",
            " ",
            "==",
            ">",
            "!",
            "+",
            "in",
            "has(",
        ),
        *(".all(x, x > 1)", ".filter(size, size > 1)", "{'a': 1}", "?", ":", ",", "true", "\x01"),
    ]
)


@given(st.lists(_PARTS, min_size=1, max_size=9).map("".join))
def test_an_expression_is_read_as_the_library_reads_it(text: str) -> None:
    def read() -> tuple[object, ...]:
        try:
            found = expressions._read(text)
        except InvalidValue as error:
            return (error.code, error.message, error.hint)
        return (found.roots, found.steps, found.loops)

    told = read()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(expressions, "alike", lambda text: text)
        assert told == read()


def test_many_expressions_that_are_alike_are_read_once() -> None:
    expressions._compiled.cache_clear()
    expressions._variables.cache_clear()
    for number in range(200):
        text = f"size(steps.s{number}.rows) > {number} && steps.t{number}.kind != 'k{number}'"
        found = compile_expression(text)
        assert found.steps == {f"s{number}", f"t{number}"}
        assert found.roots == {"steps"}
    assert expressions._variables.cache_info().misses == 1
    kept = compile_expression("steps.s7.n == 7 || steps.s7.n == 8")
    assert kept.condition({"steps": {"s7": {"n": 8}}})
    assert not kept.condition({"steps": {"s7": {"n": 1}}})


def test_what_is_no_expression_is_told_alike_each_time() -> None:
    told = []
    for _ in range(2):
        with pytest.raises(InvalidValue) as caught:
            compile_expression("zize(steps.a.rows) > 1")
        told.append((caught.value.code, caught.value.message, caught.value.hint))
    assert told[0] == told[1]
    assert told[0][2] == "Did you mean 'size'?"
