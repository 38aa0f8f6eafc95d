"""Graphs of steps: cycles, and who depends on whom."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from flowbuilder.flow import Flow, Step
from flowbuilder.graph import cycles, dependencies, dependents, descendants

DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
_NAMES = "abcdef"
_GRAPHS = st.fixed_dictionaries(
    {name: st.lists(st.sampled_from(_NAMES), max_size=3, unique=True) for name in _NAMES}
)


def test_dependencies_come_from_lists_references_and_conditions() -> None:
    flow = Flow(
        flow="x",
        steps=[
            Step(id="last", tool="t", args={"v": ["${{ steps.one.a }}"]}, depends_on=["two"]),
            Step(id="one", tool="t"),
            Step(id="two", tool="t", for_each="${{ steps.one }}", when="steps.three == 1"),
            Step(id="three", tool="t", args={"v": "$${{ steps.one }}", "broken": "${{ steps"}),
        ],
    )
    assert dependencies(flow) == {
        "last": ("one", "two"),
        "one": (),
        "two": ("one", "three"),
        "three": (),
    }


def test_neighbours() -> None:
    assert dependents(DIAMOND) == {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}
    assert descendants(DIAMOND, ["b"]) == {"d"}
    assert descendants(DIAMOND, ["a"]) == {"b", "c", "d"}
    assert (dependents({}), cycles({})) == ({}, [])


def test_a_cycle_names_its_path() -> None:
    assert cycles({"a": ("b",), "b": ("a",)}) in ([["a", "b", "a"]], [["b", "a", "b"]])
    assert cycles({"a": ("a",)}) == [["a", "a"]]
    assert cycles(DIAMOND) == []
    assert cycles({"a": ("b",), "b": ("c",), "c": ("b",)}) in (
        [["b", "c", "b"]],
        [["c", "b", "c"]],
    )


def test_separate_cycles_are_all_reported() -> None:
    found = cycles({"a": ("b",), "b": ("a",), "c": ("d",), "d": ("c",), "e": ("a", "c")})
    assert sorted(sorted(set(path)) for path in found) == [["a", "b"], ["c", "d"]]


def test_ten_thousand_steps_are_no_depth() -> None:
    names = [f"s{number}" for number in range(10_000)]
    chain = {names[0]: (), **{after: (before,) for before, after in pairwise(names)}}
    assert cycles(chain) == []
    assert len(descendants(chain, [names[0]])) == 9_999
    ring = {**chain, names[0]: (names[-1],)}
    assert len(cycles(ring)[0]) == 10_001


def _startable(graph: dict[str, list[str]]) -> set[str]:
    """Return the steps that could ever start: what they depend on could."""
    found: set[str] = set()
    while more := {name for name in graph if name not in found and found.issuperset(graph[name])}:
        found |= more
    return found


@given(_GRAPHS)
def test_cycles_hold_up_all_that_can_never_start(graph: dict[str, list[str]]) -> None:
    found = cycles(graph)
    for path in found:
        assert path[0] == path[-1]
        # every step of a path waits for the one before it, or for the one after it
        edges = list(pairwise(path))
        forward = all(after in graph[before] for before, after in edges)
        backward = all(before in graph[after] for before, after in edges)
        assert forward or backward
    stuck = set(graph) - _startable(graph)
    looped = {name for path in found for name in path}
    assert stuck == looped | (descendants(graph, looped) & stuck)
    assert bool(stuck) == bool(found)


def test_a_cycle_behind_another_is_reported_too() -> None:
    found = cycles({"a": ["b"], "b": ["a"], "c": ["a", "d"], "d": ["c"], "e": ["e", "c"]})
    assert found == [["a", "b", "a"], ["c", "d", "c"], ["e", "e"]]


def test_the_shortest_way_round_is_named() -> None:
    ring = {"a": ["b"], "b": ["c"], "c": ["d"], "d": ["a", "b"]}
    assert cycles(ring) == [["a", "b", "c", "d", "a"]]
    assert cycles({**ring, "b": ["c", "a"]}) == [["a", "b", "a"]]


def _reaches(graph: dict[str, list[str]], start: str, goal: str) -> bool:
    found: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph[name]
    return goal in found


@given(_GRAPHS)
def test_each_group_of_mutual_dependents_has_one_cycle(graph: dict[str, list[str]]) -> None:
    looping = {name for name in graph if _reaches(graph, name, name)}
    groups = {
        frozenset(
            other for other in looping
            if other == name or (_reaches(graph, name, other) and _reaches(graph, other, name))
        )
        for name in looping
    }  # fmt: skip
    found = cycles(graph)
    assert len(found) == len(groups)
    for path in found:
        assert all(after in graph[before] for before, after in pairwise(path))
        assert any(set(path) <= group for group in groups)
        assert len(set(path)) == len(path) - 1
    assert descendants(graph, looping) == {
        name for name in graph if any(_reaches(graph, name, other) for other in looping)
    }
