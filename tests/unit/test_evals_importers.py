"""Importers: records of other formats become cases and come back as they were."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from flowbuilder.errors import InvalidValue, NotFound
from flowbuilder.evals import Case
from flowbuilder.evals.catalogue import described_tools
from flowbuilder.evals.evaluators import same_json
from flowbuilder.evals.importers import (
    FORMATS,
    Imported,
    export_case,
    import_cases,
    round_trip,
)
from flowbuilder.flow import Flow
from flowbuilder.validation import validate
from tests.support import benchmark_records as made


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return made.write_all(tmp_path_factory.mktemp("benchmarks"))


def steps(case: Case) -> list[dict[str, Any]]:
    assert case.expect.flow is not None
    return list(case.expect.flow["steps"])


def defects(imported: Imported, case: Case) -> dict[str, str]:
    return {
        problem.place.partition("#")[2]: problem.code
        for problem in imported.problems
        if problem.case == case.name
    }


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_every_record_comes_back_as_it_was(name: str, folders: dict[str, Path]) -> None:
    imported = import_cases(folders[name], format=name)
    assert [problem for problem in imported.problems if problem.case is None] == []
    assert round_trip(imported) == []
    meaning = FORMATS[name].meaning
    for case in imported.cases:
        record = json.loads(json.dumps(export_case(case, imported)))
        assert same_json(meaning(record), meaning(imported.records[case.name]))
        assert case.source["format"] == name
        assert name in case.tags


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_imported_flows_have_the_shape_of_flows(name: str, folders: dict[str, Path]) -> None:
    imported = import_cases(folders[name], format=name)
    for case in imported.cases:
        registry = described_tools(imported.tools_for(case))
        for document in (case.expect.flow, case.recorded):
            if document is not None:
                Flow.model_validate(document)
                assert validate(document, registry).problems is not None
    suite = imported.dataset("mine")
    assert len(suite.cases) == len(imported.cases) > 0


@pytest.mark.parametrize("name", ["asynchow", "bfcl", "nestful", "seal-tools", "taskbench"])
def test_gold_without_a_listed_defect_is_valid(name: str, folders: dict[str, Path]) -> None:
    imported = import_cases(folders[name], format=name)
    faulty = {problem.case for problem in imported.problems}
    sound = [case for case in imported.cases if case.name not in faulty and case.expect.flow]
    assert sound
    for case in sound:
        found = validate(case.expect.flow, described_tools(imported.tools_for(case)))
        assert found.valid, (case.name, found.problems)


def test_nestful_references_become_paths(folders: dict[str, Path]) -> None:
    imported = import_cases(folders["nestful"], format="nestful")
    fares, odd = imported.cases
    assert steps(fares) == [
        {"id": "var1", "tool": "Find.Airport", "args": {"town": "Rome"}},
        {
            "id": "var2",
            "tool": "Real_Time_Fares",
            "args": {"origin": "${{ steps.var1.code }}", "most": 0, "sort": "price"},
        },
    ]
    assert fares.expect.flow is not None
    assert fares.expect.flow["output"] == {
        "fares": "${{ steps.var2 }}",
        "runway": "${{ steps.var1['Run Ways'][0].no }}",
    }
    first, nobody, second = steps(odd)
    assert first["args"] == {"city": "from ${{ steps.var1.code }} to $10-$20"}
    assert nobody["args"] == {"a": [None, False, ""]}
    assert second["args"] == {"city": "$${{ x"}
    assert (first["id"], nobody["id"], second["id"]) == ("call1", "var1", "var1_2")
    assert defects(imported, fares) == {}
    assert defects(imported, odd) == {
        "/steps/0/args/city": "gold_later_step",
        "/steps/1": "gold_unknown_tool",
    }


def test_references_that_only_may_fit_and_labels_that_are_missing_are_told(tmp_path: Path) -> None:
    sort = {"name": "sort", "parameters": {"by": {"allowed_values": ["price", "time"]}}}
    kinds = {"name": "kinds", "output_parameters": {"kind": {}, "rows": {"type": "array"}}}
    told = {"name": "tell", "parameters": {"text": {"type": "string"}}}
    calls = [
        {"name": "kinds", "arguments": {}, "label": "var1"},
        {"name": "sort", "arguments": {"by": "$var1.kind$"}, "label": "var2"},
        {"name": "sort", "arguments": {"by": "$nothing$"}, "label": "var3"},
        {"name": "tell", "arguments": {"text": "they are $var1.rows$"}, "label": "var4"},
        {"name": "var_result", "arguments": {"said": "$10 and $5 or $word$ of it"}},
    ]
    (tmp_path / "x-spec.json").write_text(json.dumps([sort, kinds, told]))
    (tmp_path / "x-data.json").write_text(json.dumps([{"input": "Sort", "output": calls}]))
    imported = import_cases(tmp_path, format="nestful")
    (case,) = imported.cases
    assert defects(imported, case) == {
        "/steps/1/args/by": "gold_open_value",
        "/steps/2/args/by": "gold_unknown_step",
        "/steps/3/args/text": "gold_list_in_text",
    }
    assert case.expect.flow is not None
    assert case.expect.flow["output"] == {"said": "$10 and $5 or $word$ of it"}
    assert round_trip(imported) == []


def nestful_case(
    folder: Path, spec: list[dict[str, Any]], calls: list[dict[str, Any]]
) -> tuple[Imported, Case]:
    """Import one goal with these functions and calls, labelled var1, var2 and so on."""
    labelled = [{"label": f"var{place + 1}", "arguments": {}} | call
                for place, call in enumerate(calls)]  # fmt: skip
    (folder / "x-spec.json").write_text(json.dumps(spec))
    (folder / "x-data.json").write_text(json.dumps([{"input": "Go", "output": labelled}]))
    imported = import_cases(folder, format="nestful")
    assert round_trip(imported) == []
    (case,) = imported.cases
    return imported, case


def test_gold_is_looked_into_as_deep_as_its_tools_are_described(tmp_path: Path) -> None:
    row = {"type": "object", "properties": {"name": {"type": "string"}, "n": {"type": "integer"}}}
    gives = {
        "rows": {"type": "array", "items": row},
        "words": {"type": "array", "items": {"type": "string"}},
        "list": {"type": "array"},
        "open": {"type": "object"},
        "any": {},
    }
    takes = {
        "numbers": {"type": "array", "items": {"type": "number"}},
        "names": {"type": "array", "items": {"type": "string"}},
        "where": {"type": "object", "properties": {"n": {"type": "number"}}, "required": ["n"]},
        "count": {"type": "number"},
        "text": {"type": "string"},
    }
    spec = [
        {"name": "give", "output_parameters": gives},
        {"name": "take", "parameters": takes, "output_parameters": {"ok": {"type": "boolean"}}},
    ]
    arguments: list[dict[str, Any]] = [
        {"numbers": "$var1.words$"},
        {"numbers": "$var1.list$"},
        {"numbers": [1, "$var1.rows[0].name$"]},
        {"numbers": ["$var1.rows[0].n$", "two"]},
        {"numbers": {"a": "$var1.rows[0].n$"}},
        {"names": ["$var1.rows[0].name$", "x"], "where": {"n": "$var1.rows[0].n$"}},
        {"where": {"n": "$var1.words[0]$", "m": "$var1.rows$"}},
        {"where": {"m": "$var1.rows$"}},
        {"where": "$var1.rows[0]$"},
        {"where": "$var1.open$"},
        {"count": "$var1.any$", "text": "$var1.any$"},
        {"text": "$var1.open.name$"},
        {"text": "$var1.words[1]$"},
        {"where": "$var2$"},
    ]
    calls: list[dict[str, Any]] = [{"name": "give"}]
    calls += [{"name": "take", "arguments": part} for part in arguments]
    imported, case = nestful_case(tmp_path, spec, calls)
    assert defects(imported, case) == {
        "/steps/1/args/numbers": "gold_wrong_type",
        "/steps/2/args/numbers": "gold_open_value",
        "/steps/3/args/numbers/1": "gold_wrong_type",
        "/steps/4/args/numbers/1": "gold_wrong_value",
        "/steps/5/args/numbers": "gold_wrong_value",
        "/steps/7/args/where/n": "gold_wrong_type",
        "/steps/8/args/where": "gold_wrong_value",
        "/steps/10/args/where": "gold_open_value",
        "/steps/11/args/count": "gold_open_value",
        "/steps/12/args/text": "gold_open_field",
        "/steps/13/args/text": "gold_open_field",
        "/steps/14/args/where": "gold_wrong_type",
    }


def test_members_and_elements_may_be_described_by_one_word(tmp_path: Path) -> None:
    gives = {
        "rating": {"type": "object", "properties": {"count": "string", "mean": "Number"}},
        "tags": {"type": "array", "items": "string"},
        "note": "Number of people, roughly",
        "sort": {"type": "number", "enum": ["up", "down"]},
    }
    spec = [{"name": "give", "output_parameters": gives}]
    ends = {"mean": "$var1.rating.mean$", "tag": "$var1.tags[0]$", "note": "$var1.note$"}
    calls: list[dict[str, Any]] = [{"name": "give"}, {"name": "var_result", "arguments": ends}]
    imported, case = nestful_case(tmp_path, spec, calls)
    assert defects(imported, case) == {}
    (tool,) = imported.catalogue
    assert tool.output_schema["properties"] == {
        "rating": {
            "type": "object",
            "properties": {"count": {"type": "string"}, "mean": {"type": "number"}},
        },
        "tags": {"type": "array", "items": {"type": "string"}},
        "note": {"description": "Number of people, roughly"},
        "sort": {"enum": ["up", "down"]},
    }


def test_a_call_that_looks_ahead_waits_and_is_told(tmp_path: Path) -> None:
    spec = [{"name": "say", "parameters": {"text": {}}, "output_parameters": {"said": {}}}]
    calls = [
        {"name": "say", "arguments": {"text": "$var2.said$"}},
        {"name": "say", "arguments": {"text": "now"}},
    ]
    imported, case = nestful_case(tmp_path, spec, calls)
    assert steps(case)[0]["args"] == {"text": "${{ steps.var2.said }}"}
    assert defects(imported, case) == {"/steps/0/args/text": "gold_later_step"}


def test_a_sign_that_would_unmake_a_reference_leaves_the_goal_out(tmp_path: Path) -> None:
    calls = [
        {"name": "say", "arguments": {}, "label": "var1"},
        {"name": "say", "arguments": {"text": "for $$var1.price$"}, "label": "var2"},
    ]
    (tmp_path / "x-spec.json").write_text("[]")
    (tmp_path / "x-data.json").write_text(json.dumps([{"input": "Go", "output": calls}]))
    imported = import_cases(tmp_path, format="nestful")
    assert imported.cases == ()
    (problem,) = imported.problems
    assert problem.code == "record_invalid"
    assert "has a $ right before a reference" in problem.message


def test_a_title_of_any_length_becomes_a_name_with_room_for_a_version(tmp_path: Path) -> None:
    title = "Look " + "very " * 60 + "far"
    _, case = nestful_case(tmp_path, [{"name": title}], [{"name": title}])
    flow = {"flow": "f", "steps": [{"id": "a", "tool": f"{steps(case)[0]['tool']}@1"}]}
    assert Flow.model_validate(flow).steps[0].tool.endswith("@1")


@pytest.mark.parametrize("place", ["", "media", "media/tool_desc.json"])
def test_recorded_plans_find_their_tools_in_a_folder_a_domain_or_a_file(
    folders: dict[str, Path], place: str
) -> None:
    plans = next(folders["recorded-plans"].glob("*.jsonl"))
    domain = plans.stem.partition("-")[0]
    tools = folders["recorded-plans"].parent / "taskbench" / place.replace("media", domain)
    imported = import_cases(plans, format="recorded-plans", catalogue=tools)
    assert imported.catalogue
    assert imported == import_cases(plans, format="recorded-plans")


def test_a_function_described_twice_is_the_one_that_the_goal_keeps_to(
    folders: dict[str, Path],
) -> None:
    imported = import_cases(folders["nestful"], format="nestful")
    towns, cities = imported.cases
    assert towns.catalogue == []
    (own,) = cities.catalogue
    assert list(own.input_schema["properties"]) == ["city"]
    found = {spec.name: spec for spec in imported.tools_for(cities)}
    assert found["Find.Airport"] == own
    assert found["Real_Time_Fares"].title == "Real-Time Fares"
    assert found["Real_Time_Fares"].input_schema["properties"]["sort"]["enum"] == ["price", "time"]


def test_seal_tools_numbers_become_fields(folders: dict[str, Path]) -> None:
    imported = import_cases(folders["seal-tools"], format="seal-tools")
    nested, odd = imported.cases
    assert steps(nested)[1] == {
        "id": "call2",
        "tool": "get2_5Level",
        "args": {"who": "${{ steps.call1.host }}", "count": "${{ steps.call1.seats }}"},
    }
    assert "nested" in nested.tags
    assert steps(odd)[1]["args"]["x"] == (
        "${{ steps.call1.API_call_7 }} and ${{ steps.API_call_9 }}"
    )
    assert defects(imported, odd) == {
        "/steps/1": "gold_unknown_tool",
        "/steps/1/args/x": "gold_unknown_step",
    }


def test_taskbench_arguments_find_the_input_of_their_medium(folders: dict[str, Path]) -> None:
    imported = import_cases(folders["taskbench"], format="taskbench")
    daily, chain, other = imported.cases
    assert [step["args"] for step in steps(chain)] == [
        {"image": "${{ steps.n1 }}"},
        {"text": "make it ${{ steps.n2 }} loud", "image": "example.jpg"},
        {"text": "hello", "extra": "$${{ no }}"},
    ]
    assert [step.get("depends_on") for step in steps(chain)] == [None, None, None]
    assert steps(daily)[0]["depends_on"] == ["n1"]
    assert steps(daily)[0]["args"] == {"what": "soup"}
    assert "links" not in chain.source
    assert other.source["links"] == [{"source": "Talk", "target": "Talk"}]


def test_recorded_plans_are_taken_with_all_their_faults(folders: dict[str, Path]) -> None:
    imported = import_cases(folders["recorded-plans"], format="recorded-plans")
    broken, chain = imported.cases
    assert broken.expect.flow is None
    assert broken.recorded is not None
    listed = broken.recorded["steps"]
    assert [step["id"] for step in listed] == ["n0", "n1", "n2", "n3", "n4"]
    assert listed[0]["args"] == {"picture": "${{ steps.n0.out }}"}
    assert listed[1]["args"] == {"image": "a.png", "text": 1.5, "extra": {"else": None}}
    assert listed[2]["depends_on"] == ["n0"]
    assert listed[4]["args"]["extra"] == "${{ steps.n7 }}"
    registry = described_tools(imported.tools_for(broken))
    assert listed[0]["tool"] not in registry.names()
    codes = {problem.code for problem in validate(broken.recorded, registry).problems}
    assert {"unknown_tool", "unknown_step_reference"} <= codes
    assert chain.recorded is not None
    order = [step.get("depends_on", []) for step in chain.recorded["steps"]]
    assert order == [[], ["n0"], ["n1"]]


def test_recorded_plans_without_their_catalogue_are_imported_and_say_so(tmp_path: Path) -> None:
    made.lines(tmp_path / "media-x.jsonl", made.RECORDED)
    imported = import_cases(tmp_path / "media-x.jsonl", format="recorded-plans")
    assert len(imported.cases) == len(made.RECORDED)
    assert [problem.code for problem in imported.problems] == ["catalogue_invalid"]
    assert round_trip(imported) == []


def test_asynchow_edges_become_order_and_durations_stay(folders: dict[str, Path]) -> None:
    tea, odd = import_cases(folders["asynchow"], format="asynchow").cases
    assert [step.get("depends_on", []) for step in steps(tea)] == [[], [], ["s1", "s2"]]
    assert tea.expect.durations == {"s1": (180, 180), "s2": (30, 60.5), "s3": (5, 5)}
    assert steps(tea)[2]["args"] == {"what": "Pour $${{ water }}"}
    assert tea.goal.startswith("How to make tea:\n1. Boil water\n2. Warm the pot\n3. Pour")
    assert "edges" not in tea.source
    assert len(odd.source["edges"]) == 4


@pytest.mark.parametrize("edge", [["1"], ["END", "1"], ["1", "START"], ["1", "9"], []])
def test_asynchow_edges_lead_from_one_step_to_another(edge: list[str], tmp_path: Path) -> None:
    record = {"id": "a", "title": "How", "steps": ["one", "two"], "edges": [["START", "1"], edge]}
    made.lines(tmp_path / "async.jsonl", [record])
    imported = import_cases(tmp_path, format="asynchow")
    assert imported.cases == ()
    assert [(problem.place, problem.code) for problem in imported.problems] == [
        ("async.jsonl:1/edges/1", "record_invalid")
    ]


def test_bfcl_answers_become_a_flow_and_what_else_is_right(folders: dict[str, Path]) -> None:
    imported = import_cases(folders["bfcl"], format="bfcl")
    none, both, two = imported.cases
    assert none.expect.outcome == "refusal"
    assert none.expect.flow is None
    first, second, stop = steps(both)
    assert first["args"] == {"artist": "Nina $${{ x }}", "span": {"from": 0}, "tags": []}
    assert second["args"] == {"artist": "Ella", "minutes": 5.0}
    assert stop == {"id": "call3", "tool": "stop_it"}
    right = both.expect.accepted["call1"]
    assert right["minutes"].optional
    assert right["minutes"].values == [3, 3.0]
    assert right["span"].values == [{"from": 0}, {"from": 0, "to": 7}, {"from": 0, "to": 8}]
    assert right["tags"].values == [[], ["a", "b"]]
    assert both.expect.accepted["call2"]["odd"].values == []
    assert two.goal == "One\n\nTwo"
    assert defects(imported, two) == {"/steps/0": "gold_unknown_tool"}
    properties = both.catalogue[0].input_schema["properties"]
    assert properties["minutes"]["type"] == "number"
    assert properties["tags"]["type"] == "array"
    assert "type" not in properties["odd"]


def test_broken_lines_and_records_are_told_with_their_places(tmp_path: Path) -> None:
    folders = made.write_all(tmp_path)
    path = folders["seal-tools"] / "dev.jsonl"
    good = json.dumps(made.SEAL_GOALS[0])
    surrogate = '{"id": "s", "query": "\\ud800", "calling": []}'
    path.write_bytes(
        b"\n".join(
            [
                good.encode(),
                b"{not json",
                b"",
                b'{"id": 7, "query": "q", "calling": []}',
                b'{"id": "x", "query": "q", "calling": [{"api": "getHost", "parameters": []}]}',
                b'{"id": "x", "id": "y", "query": "q", "calling": []}',
                b"[]",
                b"null",
                surrogate.encode(),
                b'{"id": "n", "query": "q", "calling": [{"a": NaN}]}',
                b'{"id": "\xff", "query": "q", "calling": []}',
                b"[" * 5000,
                good.encode(),
            ]
        )
    )
    imported = import_cases(path, format="seal-tools")
    assert [case.name for case in imported.cases] == ["dev-1", "dev-1-2"]
    assert [(problem.place, problem.code) for problem in imported.problems] == [
        (f"dev.jsonl:{place}", "record_invalid")
        for place in ("2", "6", "9/query", "10/calling/0/a", "11/id", "12")
    ] + [
        (f"dev.jsonl:{place}", "record_invalid")
        for place in ("4/id", "5/calling/0/parameters", "7", "8")
    ]
    assert all(problem.message for problem in imported.problems)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ('[{"input": 1}]', ["part-data.json[0]/input"]),
        ('[{"input": "a", "output": []}, {', ["part-data.json[1]"]),
        ('[{"input": "a", "output": []} 5]', ["part-data.json[1]"]),
        ('[{"input": "a", "output": []}', ["part-data.json[1]"]),
        ("[", ["part-data.json[0]"]),
        ("[] []", ["part-data.json"]),
        ('[{"a": 1, "a": 2}, 12345678901234567890123]', ["part-data.json[0]", "part-data.json[1]"]),
        ('[{"input": "x", "output": [{"name": "f", "arguments": {"a": "$var1.}}\\"\'$"}}]}]',
         ["part-data.json[0]"]),
    ],
)  # fmt: skip
def test_broken_arrays_are_told_with_their_places(
    text: str, places: list[str], tmp_path: Path
) -> None:
    folder = made.write_all(tmp_path)["nestful"]
    (folder / "part" / "part-data.json").write_text(text)
    imported = import_cases(folder, format="nestful")
    assert [problem.place for problem in imported.problems if problem.case is None] == places
    assert round_trip(imported) == []


def test_catalogues_that_are_broken_lose_the_broken_tools_only(tmp_path: Path) -> None:
    folders = made.write_all(tmp_path)
    spec = folders["nestful"] / "part" / "part-spec.json"
    spec.write_text(json.dumps([{"name": 5}, *made.NESTFUL_SPEC, "x"]))
    described = folders["taskbench"] / "media" / "tool_desc.json"
    described.write_text(
        json.dumps({"nodes": [7, *made.MEDIA_TOOLS, {"id": "p", "parameters": [1]}]})
    )
    nested = import_cases(folders["nestful"], format="nestful")
    media = import_cases(folders["taskbench"] / "media" / "gold.jsonl", format="taskbench")
    for imported, tools in ((nested, 2), (media, 3)):
        broken = [p for p in imported.problems if p.code == "catalogue_invalid"]
        assert len(broken) == 2
        assert len(imported.catalogue) == tools
        assert len(imported.cases) == 2


def test_answers_that_are_missing_or_broken_leave_their_goal_out(tmp_path: Path) -> None:
    folder = made.write_all(tmp_path)["bfcl"]
    made.lines(
        folder / "possible_answer" / "BFCL_v4_parallel.jsonl",
        [{"id": "parallel_0", "ground_truth": [{"a": {}, "b": {}}]}, {"id": 5}],
    )
    imported = import_cases(folder, format="bfcl")
    assert [case.name for case in imported.cases] == ["irrelevance-0"]
    assert {problem.place for problem in imported.problems} == {
        "BFCL_v4_parallel.jsonl:1/ground_truth/0",
        "BFCL_v4_parallel.jsonl:2",
    }


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue) as unknown:
        import_cases(tmp_path, format="csv")
    assert unknown.value.code == "format_unknown"
    assert "nestful" in str(unknown.value.hint)
    for name in FORMATS:
        with pytest.raises(NotFound) as nothing:
            import_cases(tmp_path / "nowhere", format=name)
        assert nothing.value.code == "import_not_found"
        with pytest.raises(NotFound):
            import_cases(tmp_path, format=name)
    (tmp_path / "x-data.json").write_text("[]")
    (tmp_path / "dev.jsonl").write_text("")
    for file, name, told in (
        ("x-data.json", "nestful", "should be in"),
        ("dev.jsonl", "nestful", "should be beside it, as"),
        ("dev.jsonl", "seal-tools", "should be in"),
    ):
        with pytest.raises(NotFound, match=told) as alone:
            import_cases(tmp_path / file, format=name)
        assert "--catalogue" in str(alone.value.hint)


@pytest.mark.parametrize("described", ["{}", "[]", '{"nodes": []}', '{"nodes": {"a": 1}}'])
def test_a_catalogue_without_tools_is_told(described: str, tmp_path: Path) -> None:
    folder = made.write_all(tmp_path)["taskbench"]
    other = tmp_path / "other.json"
    other.write_text(described)
    imported = import_cases(folder / "media" / "gold.jsonl", format="taskbench", catalogue=other)
    assert imported.problems[0].code == "catalogue_invalid"
    assert imported.problems[0].place == "other.json"


ODD: tuple[Any, ...] = (
    None,
    0,
    "",
    [],
    {},
    "${{",
    "<node-0>",
    "$var1$",
    "API_call_0",
    [[1]],
    1e300,
)


def spoiled(value: Any, rng: random.Random) -> Any:
    """Return a value with one part of it replaced, removed or doubled."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(sorted(value))
        if rng.random() < 0.2:
            return {name: part for name, part in value.items() if name != key}
        return {**value, key: spoiled(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.85:
        place = rng.randrange(len(value))
        if rng.random() < 0.2:
            return value[:place] + value[place + 1 :]
        if rng.random() < 0.2:
            return [*value, copy.deepcopy(value[place])]
        return [*value[:place], spoiled(value[place], rng), *value[place + 1 :]]
    return rng.choice(ODD)


SOURCES: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "asynchow": ("async.jsonl", made.ASYNCHOW),
    "bfcl": ("possible_answer/BFCL_v4_parallel.jsonl", made.BFCL_ANSWERS),
    "nestful": ("part/part-data.json", made.NESTFUL_GOALS),
    "recorded-plans": ("media-tiny-1b.jsonl", made.RECORDED),
    "seal-tools": ("dev.jsonl", made.SEAL_GOALS),
    "taskbench": ("media/gold.jsonl", made.MEDIA_GOALS),
}


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_spoiled_records_are_imported_and_come_back_or_are_told(name: str, tmp_path: Path) -> None:
    folder = made.write_all(tmp_path)[name]
    file, records = SOURCES[name]
    rng = random.Random(name)
    many = [spoiled(rng.choice(records), rng) for _ in range(300)]
    made.lines(folder / file, many)
    if name == "bfcl":  # each answer belongs to a goal of its own
        numbered = [
            {**answer, "id": f"g{place}"} if isinstance(answer, dict) else answer
            for place, answer in enumerate(many)
        ]
        made.lines(folder / file, numbered)
        goals = [{**made.BFCL_GOALS[0], "id": f"g{place}"} for place in range(300)]
        made.lines(folder / "BFCL_v4_parallel.jsonl", goals)
    imported = import_cases(folder / (file if name != "bfcl" else ""), format=name)
    left = {problem.place.partition("/")[0] for problem in imported.problems if not problem.case}
    assert len(imported.cases) + len(left) >= 290
    assert len(imported.cases) > 50
    assert round_trip(imported) == []


@pytest.mark.parametrize(
    ("name", "file", "records"),
    [
        ("bfcl", "BFCL_v4_irrelevance.jsonl", made.IRRELEVANT),
        ("seal-tools", "tool.jsonl", made.SEAL_TOOLS),
    ],
)
def test_spoiled_tools_lose_at_most_what_needs_them(
    name: str, file: str, records: list[dict[str, Any]], tmp_path: Path
) -> None:
    folder = made.write_all(tmp_path)[name]
    rng = random.Random(name)
    made.lines(folder / file, [spoiled(rng.choice(records), rng) for _ in range(300)])
    imported = import_cases(folder, format=name)
    assert imported.cases
    assert round_trip(imported) == []
    for case in imported.cases:
        described_tools(imported.tools_for(case))


def test_odd_ids_are_told_and_a_record_may_bring_its_answer(tmp_path: Path) -> None:
    folder = made.write_all(tmp_path)["bfcl"]
    goal = made.BFCL_GOALS[0]
    odd = [{**goal, "id": own} for own in ({"a": 1}, ["a"], None, 7)]
    own_answer = {**goal, "id": "mine", "ground_truth": made.BFCL_ANSWERS[0]["ground_truth"]}
    made.lines(folder / "BFCL_v4_parallel.jsonl", [*odd, own_answer])
    imported = import_cases(folder / "BFCL_v4_parallel.jsonl", format="bfcl")
    assert [case.name for case in imported.cases] == ["mine"]
    assert {problem.code for problem in imported.problems if not problem.case} == {"record_invalid"}
    assert round_trip(imported) == []


def test_a_right_value_that_is_left_out_stays_left_out(tmp_path: Path) -> None:
    folder = made.write_all(tmp_path)["bfcl"]
    file = folder / "BFCL_v4_parallel.jsonl"
    function = {"name": "f", "parameters": {"type": "dict", "properties": {
        name: {"type": "integer"} for name in "abcd"}}}  # fmt: skip
    right = {"a": [1], "b": ["", 2], "c": [3, ""], "d": [""]}
    goal = {"id": "g", "question": [[{"role": "user", "content": "Go"}]], "function": [function]}
    made.lines(file, [{**goal, "ground_truth": [{"f": right}]}])
    first = import_cases(file, format="bfcl")
    exported = [export_case(case, first) for case in first.cases]
    made.lines(file, exported)
    again = import_cases(file, format="bfcl")
    assert steps(first.cases[0]) == [{"id": "call1", "tool": "f", "args": {"a": 1, "c": 3}}]
    assert again.cases[0].expect == first.cases[0].expect


def test_a_goal_without_calls_is_no_sound_gold(tmp_path: Path) -> None:
    imported, case = nestful_case(tmp_path, [], [])
    assert defects(imported, case) == {"/steps": "gold_no_steps"}


def test_what_is_no_object_is_told_without_names_of_classes(tmp_path: Path) -> None:
    (tmp_path / "x-spec.json").write_text("[]")
    (tmp_path / "x-data.json").write_text(json.dumps([5, {"input": "Go", "output": ["x"]}]))
    imported = import_cases(tmp_path, format="nestful")
    assert [(problem.place, problem.message) for problem in imported.problems] == [
        ("x-data.json[0]", "this is no object"),
        ("x-data.json[1]/output/0", "this is no object"),
    ]


def test_a_schema_that_checks_nothing_right_leaves_its_goal_out(tmp_path: Path) -> None:
    folder = made.write_all(tmp_path)["bfcl"]
    goal = copy.deepcopy(made.IRRELEVANT[0])
    goal["function"][0]["parameters"]["properties"]["artist"]["pattern"] = "["
    made.lines(folder / "BFCL_v4_irrelevance.jsonl", [goal])
    imported = import_cases(folder / "BFCL_v4_irrelevance.jsonl", format="bfcl")
    assert imported.cases == ()
    (problem,) = imported.problems
    assert problem.place.startswith("BFCL_v4_irrelevance.jsonl:1/function/0/parameters")
