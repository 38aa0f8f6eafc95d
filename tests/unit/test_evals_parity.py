"""Parity: the published evaluations' figures, worked out by hand from their definitions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from flowbuilder.cli.app import app
from flowbuilder.errors import InvalidValue, NotFound
from flowbuilder.evals.metrics import bfcl, worfeval
from flowbuilder.evals.metrics.sealtools import sealtools_figures
from flowbuilder.evals.metrics.taskbench import taskbench_figures
from flowbuilder.evals.metrics.worfeval import (
    Workflow,
    chain_figures,
    graph_figures,
    read_workflow,
)
from flowbuilder.evals.parity import published_figures
from tests.support import benchmark_records as made

TOOLS = [
    {"id": "Edit", "output-type": ["image"]},
    {"id": "Read", "output-type": ["text"]},
    {"id": "Speak", "output-type": ["audio"]},
    {"id": "Draw", "output-type": []},
]


def nodes(*given: tuple[str, list[Any]]) -> list[dict[str, Any]]:
    return [{"task": name, "arguments": list(arguments)} for name, arguments in given]


def record(identity: str, *given: tuple[str, list[Any]], **more: Any) -> dict[str, Any]:
    return {"id": identity, "task_nodes": nodes(*given), "task_links": [], **more}


def test_taskbench_counts_sets_of_names_over_all_records() -> None:
    gold = [
        record("1", ("Edit", ["a.jpg", "red"]), ("Read", ["<node-0>"])),
        record("2", ("Read", ["b.png"]), ("Speak", ["<node-0>"]), ("Read", ["c.png"])),
        record("3", ("Draw", ["x"])),
    ]
    plan = [
        record("1", ("Edit", ["a.jpg"]), ("Speak", ["<node-0>"])),
        {"id": "2", "result": record("2", ("Read", ["b.png"]), ("Invented", ["<node-0>"]))},
        record("9", ("Draw", ["x"])),
    ]
    found = taskbench_figures(gold, plan, TOOLS)
    # record 1: Edit right, Read missing, Speak wrong; record 2: Read right (twice counts once),
    # Speak missing, Invented not seen; record 3 has no plan and record 9 no gold
    assert found.counted == 2
    assert found.node_micro_precision == pytest.approx(2 / 3)
    assert found.node_micro_recall == pytest.approx(2 / 4)
    assert found.node_micro_f1 == pytest.approx(4 / 7)
    # by tool: Edit 1; Read P 1, R 1/2; Speak 0; Draw 0
    assert found.node_macro_f1 == pytest.approx((1 + 2 / 3) / 4)
    # gold links Edit→Read, Read→Speak; planned Edit→Speak, Read→Invented
    assert found.link_f1 == 0
    # names: gold {Edit-image, Edit-text, Read-image}, {Read-image, Speak-text}; planned
    # {Edit-image, Speak-image}, {Read-image, Invented-text}: 2 of 4 planned and of 5 wanted
    assert found.argument_name_f1 == pytest.approx(2 * 2 / 9)
    # values: Edit-image-a.jpg and Read-image-b.png are right; 4 planned; gold has 6
    assert found.argument_value_f1 == pytest.approx(2 * 2 / 10)
    # [Edit, Read] against [Edit, Speak]: 2·1/4; [Read, Speak, Read] against [Read, ?]: 2·1/5
    assert found.edit_distance == pytest.approx(1 - (0.5 + 0.4) / 2)


def test_taskbench_keeps_its_peculiarities() -> None:
    gold = [record("1", ("Edit", ["a.jpg"]), ("Read", ["<node-0>", "<node-1>"]))]
    odd = [
        {"name": "image", "value": "a.jpg"},  # only the name is looked at
        "<node-0>",  # itself: left out
    ]
    plan = [record("1", ("Edit", odd), ("Read", ["<node-9>", 5, ["<node-0>", "x"]]))]
    found = taskbench_figures(gold, plan, TOOLS)
    # planned values: Edit-text-image; Read: what cannot be read repeats the argument before
    # (text-image) twice, which is one, then a joined list that refers to node 0 (image-Edit)
    assert found.argument_value_f1 == pytest.approx(2 * 1 / (2 + 3))
    assert found.argument_name_f1 == pytest.approx(2 * 1 / (2 + 3))
    assert found.link_f1 == 1
    first = [record("1", ("Edit", [5]))]
    assert taskbench_figures(gold, first, TOOLS).counted == 1  # the gold's own stands before
    alone = [record("1", ("Edit", [5]))]
    assert taskbench_figures(alone, first, TOOLS).counted == 0  # nothing was read before
    spaced = [record("1", ("E_dit", ["a.jpg"]))]
    assert taskbench_figures(spaced, spaced, TOOLS).node_micro_f1 == 0  # not in the catalogue
    assert taskbench_figures(spaced, spaced, TOOLS).edit_distance == 0
    broken: list[dict[str, Any]] = [{"id": "1"}, {"id": "1", "task_nodes": [{"task": 7}]}]
    for plan_record in broken:
        assert taskbench_figures(gold, [plan_record], TOOLS).counted == 0


@pytest.mark.parametrize(
    ("text", "same_as"),
    [("'x.JPG'", "plain"), ("a.mp4.png", "q.jpg"), ("c.auto", "q.wav"), ("it.is.aac", "q.au")],
)
def test_taskbench_reads_media_from_endings_anywhere(text: str, same_as: str) -> None:
    gold, plan = [record("1", ("Edit", [text]))], [record("1", ("Edit", [same_as]))]
    found = taskbench_figures(gold, plan, TOOLS)
    assert (found.argument_name_f1, found.argument_value_f1) == (1, 0)
    other = [record("1", ("Edit", ["q.mp4"]))]
    assert taskbench_figures(gold, other, TOOLS).argument_name_f1 == 0


def test_taskbench_daily_life_takes_links_and_names_as_given() -> None:
    tools = [{"id": "buy_food"}, {"id": "cook"}]

    def daily(value: str, source: str) -> dict[str, Any]:
        return {
            "id": "1",
            "task_nodes": [
                {"task": "buy_food", "arguments": [{"name": "what", "value": value}]},
                {"task": "cook", "arguments": []},
            ],
            "task_links": [{"source": source, "target": "cook"}],
        }

    gold = [daily("leek", "buy_food")]
    found = taskbench_figures(gold, [daily("soup", "buy_food")], tools, temporal=True)
    assert (found.node_micro_f1, found.link_f1) == (1, 1)
    assert (found.argument_name_f1, found.argument_value_f1) == (1, 0)
    assert taskbench_figures(gold, [daily("leek", "x")], tools, temporal=True).link_f1 == 0
    bare = daily("leek", "x") | {"task_nodes": [{"task": "cook", "arguments": ["leek"]}]}
    assert taskbench_figures(gold, [bare], tools, temporal=True).counted == 0


def equal(left: str, right: str) -> float:
    return float(left == right)


def workflow(names: str, *edges: tuple[int, int]) -> Workflow:
    return Workflow(nodes=("START", *names, "END"), edges=edges)


DIAMOND = workflow("abcd", (0, 1), (1, 2), (1, 3), (2, 4), (3, 4), (4, 5))


def test_worfeval_chain_takes_the_order_that_suits_best() -> None:
    other = workflow("acbd", (0, 1), (1, 2), (2, 3), (3, 4), (4, 5))
    assert chain_figures(other, DIAMOND, equal).f1 == 1
    turned = workflow("dcba", (0, 1), (1, 2), (2, 3), (3, 4), (4, 5))
    # any order of the gold leaves a chain of one, or of two for c before b
    assert chain_figures(turned, DIAMOND, equal).f1 == pytest.approx(2 / 4)
    part = workflow("ad", (0, 1), (1, 2), (2, 3))
    found = chain_figures(part, DIAMOND, equal)
    assert (found.precision, found.recall) == (1, 0.5)


def test_worfeval_chain_of_nothing_in_common_has_length_one() -> None:
    other = workflow("wxyz", (0, 1), (1, 2), (2, 3), (3, 4), (4, 5))
    assert chain_figures(other, DIAMOND, equal).f1 == pytest.approx(1 / 4)
    assert chain_figures(workflow(""), DIAMOND, equal).f1 == 0


def test_worfeval_counts_start_and_end_in_a_long_gold() -> None:
    edges = tuple((place, place + 1) for place in range(9))
    long = workflow("abcdefgh", *edges)
    found = chain_figures(long, long, equal)
    assert (found.precision, found.recall) == (1, 0.8)


def test_worfeval_graph_compares_edges_by_place() -> None:
    assert graph_figures(DIAMOND, DIAMOND, equal).f1 == 1
    relisted = workflow("acbd", (0, 1), (1, 3), (1, 2), (3, 4), (2, 4), (4, 5))
    assert graph_figures(relisted, DIAMOND, equal).f1 == 1  # the places happen to agree
    moved = Workflow(
        nodes=("START", "d", "a", "b", "c", "END"),
        edges=((0, 2), (2, 3), (2, 4), (3, 1), (4, 1), (1, 5)),
    )
    # the same graph; by place none of its edges but (2, 4) is one of the gold
    assert graph_figures(moved, DIAMOND, equal).f1 == pytest.approx(2 / 6)
    apart = workflow("abcd", (0, 1), (2, 4), (4, 5))
    found = graph_figures(apart, DIAMOND, equal)
    assert found.precision == found.recall == pytest.approx(3 / 6)


def test_worfeval_matches_by_greatest_likeness_above_the_threshold() -> None:
    table = {("x", "a"): 0.9, ("x", "b"): 0.8, ("y", "a"): 0.85, ("y", "b"): 0.61, ("y", "c"): 0.6}

    def likeness(left: str, right: str) -> float:
        return 1.0 if left == right else table.get((left, right), 0.0)

    gold = workflow("bac", (0, 1), (1, 2), (2, 3), (3, 4))
    plan = workflow("xy", (0, 1), (1, 2), (2, 3))
    # x stands for b and y for a (1.65 in all), which is a chain of two
    assert chain_figures(plan, gold, likeness).recall == pytest.approx(2 / 3)
    assert worfeval.word_likeness("Boil the water", "boil THE water!") == 1
    assert worfeval.word_likeness("boil water", "warm pot") == 0
    assert worfeval.word_likeness("boil water", "boil tea") == pytest.approx(0.5)


def test_worfeval_orders_come_as_they_come_there() -> None:
    from itertools import islice

    wide = workflow("abcdef")
    free = worfeval._orders(Workflow(nodes=wide.nodes, edges=()))
    assert len(free) == 20
    # with nothing in between, the last free node goes first, and the others turn
    assert free[0] == list("fedcba")
    assert free[1] == list("fedcba")  # START and END changed places, and are not shown
    diamond = worfeval._orders(DIAMOND)
    assert diamond == [list("acbd"), list("abcd")]
    assert list(islice(diamond, 1)) == [list("acbd")]


def test_worfeval_means_count_what_could_not_be_read_as_nothing() -> None:
    pairs = [(None, DIAMOND), (DIAMOND, DIAMOND)]
    found = worfeval.mean_figures(pairs, lambda plan, gold: graph_figures(plan, gold, equal))
    assert found.f1 == 0.5
    assert worfeval.mean_figures([], graph_figures).f1 == 0
    for edges in (((0, 1), (1, 0)), ((0, 77),)):
        broken = Workflow(nodes=("START", "a", "END"), edges=edges)
        with pytest.raises(InvalidValue) as refused:
            chain_figures(DIAMOND, broken, equal)
        assert refused.value.code == "workflow_invalid"


FUNCTION: dict[str, Any] = {
    "name": "book",
    "parameters": {
        "type": "dict",
        "properties": {
            "town": {"type": "string"},
            "nights": {"type": "integer"},
            "price": {"type": "float"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "guests": {"type": "dict", "properties": {}},
            "rooms": {"type": "array", "items": {"type": "dict"}},
            "pair": {"type": "tuple", "items": {"type": "integer"}},
            "pets": {"type": "boolean"},
            "odd": {"type": "object"},
        },
        "required": ["town"],
    },
}
ANSWER: dict[str, Any] = {
    "town": ["New York, NY", "NYC"],
    "nights": [2, 3, ""],
    "price": [10.0, ""],
    "tags": [["Quiet", "Sea-side"], ""],
    "guests": [{"adults": [2], "name": ["Ada L.", ""]}, ""],
    "rooms": [[{"beds": [1]}, {"beds": [2, 3]}], ""],
    "pair": [[1, 2], ""],
    "pets": [False, ""],
    "odd": [1, ""],
}
CALLS: list[tuple[dict[str, Any], bool]] = [
    ({"town": "new york ny"}, True),
    ({"town": "'NYC'"}, False),
    ({}, False),
    ({"town": "NYC", "nights": 3}, True),
    ({"town": "NYC", "nights": 3.0}, False),
    ({"town": "NYC", "nights": "2"}, False),
    ({"town": "NYC", "price": 10}, True),
    ({"town": "NYC", "pets": False}, True),
    ({"town": "NYC", "pets": 0}, False),
    ({"town": "NYC", "tags": ["quiet", "seaside"]}, True),
    ({"town": "NYC", "tags": ["seaside", "quiet"]}, False),
    ({"town": "NYC", "tags": []}, True),  # an accepted empty text reads as an empty list
    ({"town": "NYC", "guests": {"adults": 2, "name": "ada l"}}, True),
    ({"town": "NYC", "guests": {"adults": 2}}, True),
    ({"town": "NYC", "guests": {"name": "Ada L."}}, False),
    ({"town": "NYC", "guests": {"adults": 2, "dogs": 1}}, False),
    ({"town": "NYC", "rooms": [{"beds": 1}, {"beds": 3}]}, True),
    ({"town": "NYC", "rooms": [{"beds": 3}, {"beds": 1}]}, False),
    ({"town": "NYC", "rooms": [{"beds": 1}]}, False),
    ({"town": "NYC", "pair": [1, 2]}, True),
    ({"town": "NYC", "unknown": 1}, False),
    ({"town": "NYC", "odd": 1}, False),
]


@pytest.mark.parametrize(("arguments", "right"), CALLS)
def test_bfcl_judges_a_call_by_types_and_accepted_values(
    arguments: dict[str, Any], right: bool
) -> None:
    verdict = bfcl.judge_calls(
        "simple_python", [FUNCTION], [{"book": arguments}], [{"book": ANSWER}]
    )
    assert bool(verdict) is right
    assert bool(verdict.reason) is not right


def test_bfcl_lets_a_variable_pass_where_the_accepted_value_is_a_text() -> None:
    answer = {"town": ["NYC"], "tags": ["data['tags']"], "nights": ["count"]}
    call = {"town": "NYC", "tags": "data['tags']", "nights": "count"}
    assert bfcl.judge_call(FUNCTION, {"book": call}, {"book": answer})
    assert not bfcl.judge_call(FUNCTION, {"book": call | {"nights": "Count"}}, {"book": answer})
    must = {"town": ["NYC"], "nights": [2]}
    assert not bfcl.judge_call(FUNCTION, {"book": {"town": "NYC"}}, {"book": must})


def test_bfcl_matches_several_calls_greedily_in_any_order() -> None:
    answers = [{"book": {"town": ["NYC"]}}, {"book": {"town": ["Rome", "NYC"]}}]
    first, second = {"book": {"town": "NYC"}}, {"book": {"town": "Rome"}}
    assert bfcl.judge_calls("parallel", [FUNCTION], [second, first], answers)
    assert not bfcl.judge_calls("parallel", [FUNCTION], [second, second], answers)
    assert not bfcl.judge_calls("parallel", [FUNCTION], [first], answers)
    # the first answer takes the only call that the second one could have had
    greedy = [{"book": {"town": ["Rome", "NYC"]}}, {"book": {"town": ["NYC"]}}]
    assert not bfcl.judge_calls("parallel", [FUNCTION], [first, second], greedy)
    assert bfcl.judge_calls("parallel_multiple", [FUNCTION], [second, first], greedy)


def test_bfcl_categories_ask_for_different_things() -> None:
    call = {"book": {"town": "NYC"}}
    assert bfcl.judge_calls("irrelevance", [FUNCTION], [], [])
    assert not bfcl.judge_calls("irrelevance", [FUNCTION], [call], [])
    other = {**FUNCTION, "name": "other"}
    answers = [{"book": {"town": ["NYC"]}}]
    assert bfcl.judge_calls("multiple", [other, FUNCTION], [call], answers)
    assert not bfcl.judge_calls("multiple", [other], [call], answers)
    assert not bfcl.judge_calls("simple", [other], [call], answers)
    verdicts = [bfcl.RIGHT, bfcl.Verdict(False, "x"), bfcl.RIGHT]
    assert bfcl.accuracy(verdicts) == pytest.approx(2 / 3)
    assert bfcl.accuracy([]) == 0


def call(api: str, **parameters: Any) -> dict[str, Any]:
    return {"api": api, "parameters": parameters}


def test_sealtools_looks_at_the_first_gold_call_of_a_name_only() -> None:
    gold = [call("find", x=1, y="a"), call("find", x=2), call("tell", z=True)]
    plan = [call("find", x=2), call("find", x="1", y="b"), call("other", q=1), {"odd": 1}]
    found = sealtools_figures([(gold, plan), ([call("tell", z=3)], None)])
    assert found.format_rate == 0.5
    # both planned finds count as right names, against the first gold find: of 3 planned, 4 wanted
    assert found.api_precision == pytest.approx(2 / 3)
    assert found.api_recall == pytest.approx(2 / 4)
    assert found.api_f1 == pytest.approx(4 / 7)
    # x=2 is wrong there and "1" is 1 as text: one of 4 planned and of 5 wanted parameters
    assert found.parameter_precision == pytest.approx(1 / 4)
    assert found.parameter_recall == pytest.approx(1 / 5)
    assert found.parameter_f1 == pytest.approx(2 / 9)


def test_sealtools_figures_of_nothing_are_zero() -> None:
    found = sealtools_figures([([call("find", x=1)], [call("other")])])
    assert (found.api_f1, found.parameter_f1, found.format_rate) == (0, 0, 1)
    assert sealtools_figures([]).format_rate == 0
    whole = [call("find", x=1, y=None), call("find", x=1, y=None)]
    assert sealtools_figures([(whole, whole)]).parameter_f1 == 1


def test_worfeval_reads_workflows_in_words() -> None:
    text = "Node:\n1: Boil water\n2. Warm the pot \nEdges: (START,1) (START, 2) (1,END) ( 2 , END )"
    assert read_workflow(text) == Workflow(
        nodes=("START", "Boil water", "Warm the pot", "END"),
        edges=((0, 1), (0, 2), (1, 3), (2, 3)),
    )
    assert read_workflow("1: Boil water (START,1)") is None
    assert read_workflow("Node:\n1: Boil water") is None


def figures(format: str, gold: Path, answers: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    made.lines(folder / "answers.jsonl", answers)
    return dict(published_figures(format, gold, folder / "answers.jsonl"))


def test_the_gold_as_its_own_answers_has_the_best_figures(tmp_path: Path) -> None:
    folders = made.write_all(tmp_path)
    seal = figures("seal-tools", folders["seal-tools"] / "dev.jsonl", made.SEAL_GOALS, tmp_path)
    assert seal["api_f1"] == seal["parameter_f1"] == seal["format_rate"] == 1
    for domain, records in (("media", made.MEDIA_GOALS), ("daily", made.DAILY_GOALS)):
        gold = folders["taskbench"] / domain / "gold.jsonl"
        task = figures("taskbench", gold, records, tmp_path)
        assert task["node_micro_f1"] == task["link_f1"] == task["argument_value_f1"] == 1
        assert task["counted"] == len(records)
    calls = [
        {"music.play": {"artist": "nina ${{ x }}", "span": {"from": 0}, "tags": []}},
        {"music.play": {"artist": "ella", "minutes": 5}},
        {"stop it": {}},
    ]
    gold = folders["bfcl"] / "BFCL_v4_parallel.jsonl"
    right = figures("bfcl", gold, [{"id": "parallel_0", "result": calls[::-1]}], tmp_path)
    assert right == {"accuracy": 0.5, "counted": 2}
    none = folders["bfcl"] / "BFCL_v4_irrelevance.jsonl"
    asked = [{"id": "irrelevance_0", "result": []}]
    assert figures("bfcl", none, asked, tmp_path)["accuracy"] == 1
    tea = {"nodes": ["START", "Boil", "Pour", "END"], "edges": [[0, 1], [1, 2], [2, 3]]}
    made.lines(tmp_path / "w.jsonl", [{"id": 1, "workflow": tea}, {"id": 2, "workflow": tea}])
    found = figures("worfbench", tmp_path / "w.jsonl", [{"id": 1, "workflow": tea}], tmp_path)
    assert (found["f1_chain"], found["f1_graph"], found["counted"]) == (0.5, 0.5, 2)


def test_answers_that_cannot_be_read_never_stop_the_figures(tmp_path: Path) -> None:
    folders = made.write_all(tmp_path)
    answers: list[dict[str, Any]] = [
        {"id": "dev-1", "calling": [5]},
        {"id": "parallel_0", "result": "x"},
        {"id": "1"},
    ]
    seal = figures("seal-tools", folders["seal-tools"] / "dev.jsonl", answers, tmp_path)
    assert seal["format_rate"] == 0
    calls = figures("bfcl", folders["bfcl"] / "BFCL_v4_parallel.jsonl", answers, tmp_path)
    assert calls["accuracy"] == 0
    task = figures("taskbench", folders["taskbench"] / "media" / "gold.jsonl", answers, tmp_path)
    assert task["counted"] == 0


def test_what_has_no_published_figures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue) as unknown:
        published_figures("nestful", tmp_path / "a", tmp_path / "b")
    assert unknown.value.code == "format_unknown"
    made.lines(tmp_path / "odd.jsonl", [{"id": 1}])
    for name in ("seal-tools", "bfcl", "worfbench"):
        with pytest.raises(InvalidValue) as odd:
            figures(name, tmp_path / "odd.jsonl", [{"id": 1, "result": []}], tmp_path)
        assert odd.value.code == "parity_invalid"
    with pytest.raises(NotFound):
        figures("taskbench", tmp_path / "odd.jsonl", [], tmp_path)


def test_the_command_prints_figures(tmp_path: Path) -> None:
    gold = made.write_all(tmp_path)["seal-tools"] / "dev.jsonl"
    done = CliRunner().invoke(app, ["--json", "eval", "parity", "seal-tools", str(gold), str(gold)])
    assert done.exit_code == 0
    line = json.loads(done.stdout)
    assert (line["type"], line["api_f1"]) == ("parity", 1)
    text = CliRunner().invoke(
        app, ["--no-json", "eval", "parity", "seal-tools", str(gold), str(gold)]
    )
    assert "parameter_f1             1.000000" in text.stdout
    missing = str(tmp_path / "none.jsonl")
    done = CliRunner().invoke(app, ["eval", "parity", "bfcl", missing, missing])
    assert done.exit_code == 2


@pytest.mark.parametrize("format", ["bfcl", "seal-tools", "taskbench", "worfbench"])
@pytest.mark.parametrize("gold", [b"", b"[]", b"{}\n", b"\x89PNG\xff\n", b'{"id": "a"}\nno\n'])
def test_gold_without_records_has_no_figures(format: str, gold: bytes, tmp_path: Path) -> None:
    (tmp_path / "gold.jsonl").write_bytes(gold)
    (tmp_path / "tool_desc.json").write_text('{"nodes": []}')
    with pytest.raises(InvalidValue) as refused:
        published_figures(format, tmp_path / "gold.jsonl", tmp_path / "gold.jsonl")
    assert refused.value.code == "parity_invalid"


def test_answers_may_be_empty_but_are_answers(tmp_path: Path) -> None:
    gold, answers = tmp_path / "gold.jsonl", tmp_path / "answers.jsonl"
    gold.write_text(json.dumps({"id": 1, "calling": [{"api": "x", "parameters": {}}]}) + "\n")
    answers.write_text("")
    assert published_figures("seal-tools", gold, answers)["api_f1"] == 0
    answers.write_text("these are\nno answers\n")
    with pytest.raises(InvalidValue, match="no answer with an id"):
        published_figures("seal-tools", gold, answers)
