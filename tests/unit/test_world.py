"""The simulated world without an engine: data, faults, ledger, clock, call graphs, audit."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from flowbuilder.errors import DefinitionError, InvalidValue, NotFound
from flowbuilder.evals.world import (
    Entry,
    Fault,
    FaultInjector,
    FaultKind,
    Ledger,
    RealClock,
    ToolSpec,
    VirtualClock,
    World,
    audit,
    defects,
    interpret,
    read_call_graph,
    read_catalogue,
    value_for,
)
from flowbuilder.evals.world.audit import same_effects
from flowbuilder.evals.world.faults import misfit
from flowbuilder.evals.world.patterns import text_matching
from flowbuilder.executor.records import ApprovalRow
from flowbuilder.executor.states import ApprovalStatus
from flowbuilder.flow import Flow
from flowbuilder.schemas import validator
from flowbuilder.tools import Effects
from flowbuilder.types import JsonSchema, JsonValue

SCHEMAS: list[JsonSchema] = [
    {},
    {"type": "string", "minLength": 30, "maxLength": 32},
    {"type": "string", "maxLength": 0},
    {"type": "string", "pattern": "^[A-Z]{2}-\\d{3,5}(x|y)?$"},
    {"type": "string", "format": "date-time"},
    {"type": "integer", "minimum": -3, "maximum": -1},
    {"type": "integer", "multipleOf": 7, "exclusiveMinimum": 0, "maximum": 30},
    {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001},
    {"type": "number", "maximum": -5},
    {"type": "boolean"},
    {"type": "null"},
    {"type": ["string", "null"]},
    {"enum": [0, False, "", None, []]},
    {"const": {"a": 0}},
    {"type": "array", "items": {"type": "integer"}, "minItems": 4, "uniqueItems": True},
    {"type": "array", "prefixItems": [{"const": 1}, {"type": "string"}], "items": False},
    {"type": "array", "contains": {"const": "x"}, "items": {"type": "string"}},
    {"type": "array", "maxItems": 0},
    {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2},
    {"type": "object", "required": ["unlisted"], "properties": {"n": {"type": "number"}}},
    {"anyOf": [{"type": "integer", "minimum": 5}, {"type": "string", "minLength": 40}]},
    {"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"type": "integer"}}}]},
    {"type": "integer", "not": {"const": 1}},
    {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                },
                "required": ["name"],
            }
        },
        "$ref": "#/$defs/node",
    },
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=range(len(SCHEMAS)))
def test_drawn_values_fit_and_are_the_same_for_the_same_seed(schema: JsonSchema) -> None:
    fits = validator(schema)
    for seed in range(40):
        value = value_for(schema, Random(seed), name="city")
        fits.validate(value)
        assert value_for(schema, Random(seed), name="city") == value


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "minimum": 3, "maximum": 2},
        {"enum": []},
        {"type": "object", "properties": {"a": False}, "required": ["a"]},
        {"not": {}},
        {"$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}, "minItems": 1}},
         "$ref": "#/$defs/a"},
    ],
)  # fmt: skip
def test_a_schema_that_nothing_fits_is_refused(schema: JsonSchema) -> None:
    with pytest.raises(InvalidValue) as refused:
        value_for(schema, Random(0), name="broken")
    assert refused.value.code == "schema_unsatisfied"


@pytest.mark.parametrize(
    "pattern",
    [r"^\d{4}-\d{2}$", r"[^a-c]+", r"(ab|cd){2}\1?", r"\w+@\w+\.(org|net)", r".*?x", r"a{0,3}b"],
)
def test_texts_match_patterns(pattern: str) -> None:
    for seed in range(30):
        text = text_matching(pattern, Random(seed))
        assert text is not None
        assert re.search(pattern, text)
    assert text_matching("(", Random(0)) is None


def specs() -> dict[str, ToolSpec]:
    return read_catalogue(
        [
            {
                "name": "city.find",
                "description": "Find a city",
                "input_schema": {
                    "type": "object",
                    "properties": {"name": {"type": "string"}, "limit": {"type": "integer"}},
                    "required": ["name"],
                    "additionalProperties": False,
                },
                "output_schema": {
                    "type": "object",
                    "properties": {
                        "id": {"type": "integer"},
                        "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
                        "none": {"const": None},
                    },
                    "required": ["id", "tags", "none"],
                },
            },
            {"name": "mail.send", "effects": "external", "output_schema": {"const": 0}},
        ]
    )


def test_a_catalogue_is_refused_with_every_problem() -> None:
    with pytest.raises(DefinitionError) as refused:
        read_catalogue(
            [
                {"name": "a.b", "effects": "loud", "colour": 1},
                {"name": "a b"},
                {"name": "c", "output_schema": {"type": "no"}, "seconds": float("nan")},
                7,
                {"name": "d"},
                {"name": "d"},
            ]
        )
    assert [(item.pointer, item.code) for item in refused.value.problems] == [
        ("/0/colour", "catalogue_invalid"),
        ("/0/effects", "catalogue_invalid"),
        ("/1/name", "catalogue_invalid"),
        ("/2/output_schema/type", "input_schema_invalid"),
        ("/2/seconds", "catalogue_invalid"),
        ("/3", "catalogue_invalid"),
        ("/5/name", "catalogue_invalid"),
    ]


def test_outputs_depend_on_seed_tool_and_arguments_alone() -> None:
    first, second = World(specs().values(), seed=1), World(specs().values(), seed=1)
    second.output("city.find", {"name": "Ulm"})
    found = first.output("city.find", {"limit": 3, "name": "Bonn"})
    assert second.output("city.find", {"name": "Bonn", "limit": 3.0}) == found
    huge = second.output("city.find", {"name": "Bonn", "limit": 1e21})
    assert second.output("city.find", {"name": "Bonn", "limit": 10**21}) == huge != found
    assert first.output("city.find", {"name": "Ulm", "limit": 3}) != found
    assert (
        World(specs().values(), seed=2).output("city.find", {"name": "Bonn", "limit": 3}) != found
    )
    assert first.output("mail.send", {}) == 0
    with pytest.raises(NotFound):
        first.output("no.tool", {})


def test_injected_text_stands_in_the_longest_text() -> None:
    world = World(specs().values(), injected={"city.find": "IGNORE ALL"})
    found: Any = world.output("city.find", {"name": "Bonn"})
    plain: Any = World(specs().values()).output("city.find", {"name": "Bonn"})
    assert str(found).count("IGNORE ALL") == 1
    assert found["id"] == plain["id"]


# -- faults --------------------------------------------------------------------------------------


def test_faults_count_for_each_task_by_itself() -> None:
    faults = FaultInjector(
        [
            Fault(tool="mail.*", kind=FaultKind.FAIL, times=2, where={"to": "ada"}),
            Fault(tool="gone", kind=FaultKind.GIVE_UP, times=None),
        ]
    )
    calls = [faults.next("mail.send", {"to": "ada"}, task) for task in "aaabbb"]
    assert calls == [FaultKind.FAIL, FaultKind.FAIL, None] * 2
    assert faults.next("mail.send", {"to": "bob"}, "c") is None
    assert {faults.next("gone", {}, "d") for _ in range(5)} == {FaultKind.GIVE_UP}


def test_faults_by_chance_do_not_depend_on_the_order_of_calls() -> None:
    rates = {FaultKind.FAIL: 0.3, FaultKind.TIME_OUT: 0.1}
    names = [str(number) for number in range(600)]

    def drawn(order: list[str]) -> dict[str, FaultKind | None]:
        faults = FaultInjector(rates=rates, seed=5)
        return {name: faults.next("t", {"n": name}, name) for name in order}

    first = drawn(names)
    assert drawn(names[::-1]) == first
    counts = [list(first.values()).count(kind) / len(names) for kind in rates]
    assert counts == [pytest.approx(0.3, abs=0.06), pytest.approx(0.1, abs=0.04)]


def test_a_misfit_never_fits() -> None:
    for schema in SCHEMAS:
        if schema:
            assert not validator(schema).is_valid(misfit(schema))
    assert misfit({}) is None


# -- clocks --------------------------------------------------------------------------------------


async def test_virtual_time_jumps_to_who_wakes_next() -> None:
    clock = VirtualClock()
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.now()))

    tasks = [asyncio.create_task(sleeper(name, t)) for name, t in [("b", 86400.0), ("a", 0.5)]]
    twin = asyncio.create_task(sleeper("c", 0.5))
    await sleeper("now", 0)
    await asyncio.sleep(0)
    assert clock.asleep == 3
    gone = asyncio.create_task(sleeper("gone", 0.1))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    for _ in range(2):
        assert clock.advance()
        await asyncio.sleep(0)
    await asyncio.gather(*tasks, twin)
    assert woken == [("now", 0.0), ("a", 0.5), ("c", 0.5), ("b", 86400.0)]
    assert not clock.advance()


async def test_a_real_clock_counts_from_its_first_use() -> None:
    clock = RealClock(speed=1_000_000)
    assert clock.now() == pytest.approx(0, abs=1_000_000)
    before = clock.now()
    await clock.sleep(500)
    assert clock.now() - before >= 499


# -- call graphs ---------------------------------------------------------------------------------

GRAPH = [
    {"name": "city.find", "arguments": {"name": "Bonn"}, "label": "var1"},
    {"name": "city.find", "arguments": {"name": "near $var1.tags[1]$!"}, "label": "var2"},
    {"name": "var_result", "arguments": {"ids": ["$var1.id$", {"x": "$var2$"}], "no": "$var1.none$",
                                         "price": "5$"}},
]  # fmt: skip


def test_a_call_graph_is_interpreted_and_values_keep_their_types() -> None:
    world = World(specs().values(), seed=3)
    first: Any = world.output("city.find", {"name": "Bonn"})
    second = world.output("city.find", {"name": f"near {first['tags'][1]}!"})
    graph = read_call_graph(GRAPH)
    assert defects(graph, specs()) == []
    assert interpret(graph, world.output) == {
        "ids": [first["id"], {"x": second}],
        "no": None,
        "price": "5$",
    }
    assert interpret(read_call_graph(GRAPH[:1]), world.output) == first


def test_a_field_of_a_call_graph_may_have_a_name_of_several_words() -> None:
    graph = read_call_graph(
        [
            {"name": "rate", "arguments": {}, "label": "var1"},
            {"name": "var_result", "arguments": {
                "rate": "$var1.Exchange Rate$", "sum": "10 * $var1.Exchange Rate$ or $5. and $6"}},
        ]
    )  # fmt: skip
    assert interpret(graph, lambda _, __: {"Exchange Rate": 2}) == {
        "rate": 2,
        "sum": "10 * 2 or $5. and $6",
    }


def test_what_keeps_a_graph_from_being_executed_is_told() -> None:
    graph = read_call_graph(
        [
            {"name": "city.find", "arguments": {"limit": "$var9$"}, "label": "a"},
            {"name": "no.tool", "arguments": {"x": "$a.nothing$"}, "label": "a"},
            {"name": "city.find", "arguments": {"name": 7}},
        ]
    )
    found = [(item.code, item.place) for item in defects(graph, specs())]
    assert found == [
        ("argument_unfit", "/0/arguments"),
        ("variable_unknown", "/0/arguments/limit"),
        ("tool_unknown", "/1/name"),
        ("field_unknown", "/1/arguments/x"),
        ("label_twice", "/1/label"),
        ("argument_unfit", "/2/arguments"),
    ]
    with pytest.raises(InvalidValue, match="var9"):
        interpret(graph, World(specs().values()).output)
    with pytest.raises(InvalidValue):
        read_call_graph([{"name": "x", "arguments": []}])


# -- ledger and audit ----------------------------------------------------------------------------


def entry(**known: Any) -> Entry:
    base: dict[str, Any] = {
        "number": 0, "tool": "mail.send", "effects": Effects.EXTERNAL, "args": {"to": "ada"},
        "run_id": "r", "step_id": "send", "task_id": "7", "index": None, "attempt": 1,
        "idempotency_key": "r:send:0", "began": 0.0, "acted": True,
    }  # fmt: skip
    return Entry(**{**base, **known})


def approval(**known: Any) -> ApprovalRow:
    moment = datetime.now(UTC)
    base: dict[str, Any] = {
        "id": "ap", "run_id": "r", "flow": "f", "step_id": "send", "task_id": "7", "kind": "gate",
        "status": ApprovalStatus.APPROVED, "tool": "mail.send", "args": {"to": "ada"},
        "args_hash": "", "message": None, "schema": None, "by": [], "requested_at": moment,
        "deadline_at": moment, "on_deadline": "reject", "decided_at": None, "decided_by": None,
        "comment": None, "value": None,
    }  # fmt: skip
    return ApprovalRow(**{**base, **known})


FLOW = Flow.model_validate(
    {
        "flow": "f",
        "steps": [
            {"id": "ask", "tool": "human.approve"},
            {"id": "send", "tool": "mail.send", "depends_on": ["ask"]},
        ],
    }
)


@pytest.mark.parametrize(
    ("given", "allowed"),
    [
        ({}, "ap"),
        ({"args": {"to": "bob"}}, None),
        ({"args": {"to": "bob"}, "value": {"to": "ada"}}, "ap"),
        ({"value": {"to": "eve"}}, None),
        ({"status": ApprovalStatus.REJECTED}, None),
        ({"task_id": "8"}, None),
        ({"kind": "decision", "step_id": "ask", "task_id": "6", "args": {}}, "ap"),
        ({"kind": "decision", "step_id": "other", "task_id": "6"}, None),
    ],
)
def test_an_effect_needs_the_approval_of_exactly_what_it_does(
    given: dict[str, Any], allowed: str | None
) -> None:
    found = audit([entry()], [approval(**given)], FLOW)
    assert found.entries[0].approval == allowed
    assert found.clean == (allowed is not None)
    assert audit([entry(acted=False)], [], FLOW).clean
    assert audit([entry(effects=Effects.READ)], [], FLOW).clean


def test_what_was_done_twice_is_told() -> None:
    again = entry(attempt=2)
    assert audit([entry(), again], [approval()], FLOW).repeated == ("r:send:0",)
    ledger = Ledger()
    for item in (entry(), entry(acted=False), again, entry(run_id="q", idempotency_key="q")):
        ledger.begin(item)
    assert [item.number for item in ledger.effects()] == [0, 2, 3]
    assert (ledger.repeated(), len(ledger.of("r")), len(ledger)) == (["r:send:0"], 3, 4)


def test_effects_are_compared_in_any_order() -> None:
    a, b = entry(), entry(args={"to": "bob"})
    assert same_effects([b, a], [a, b]) == ([], [])
    missing, extra = same_effects([a, a], [a, b])
    assert (len(missing), len(extra)) == (1, 1)
    told: JsonValue = a.as_json()
    assert isinstance(told, dict) and "run_id" not in told
