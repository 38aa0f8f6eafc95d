"""Retrieval: the tools that a goal could need out of thousands."""

from __future__ import annotations

import gc
import random
import weakref
from dataclasses import replace
from typing import Any

import pytest

from flowbuilder.planner.retrieval import CoUse, retrieve, retriever_of
from flowbuilder.planner.retrieval.index import Index
from flowbuilder.planner.retrieval.producers import producers
from flowbuilder.planner.retrieval.units import units
from flowbuilder.planner.retrieval.vocabulary import profile, text_stems
from flowbuilder.tools import Effects, ToolRegistry, tool
from tests.support.catalogue import made_registry, made_tool, made_tools

REGISTRY = made_registry(5184)
GOAL = (
    "I run several small businesses. First, check the inspection of the harbour called Old Pier. "
    "Then list every complaint of the theatre and estimate the repair of the sawmill, "
    "and finally cancel the booking of the observatory on Friday."
)
WANTED = {
    "harbour.check_inspection",
    "theatre.list_complaint",
    "sawmill.estimate_repair",
    "observatory.cancel_booking",
}


def names(goal: str, registry: ToolRegistry = REGISTRY, limit: int = 20, **more: Any) -> list[str]:
    return [item.name for item in retrieve(registry, goal, limit, **more)]


def test_every_part_of_a_goal_finds_its_tool_among_thousands() -> None:
    found = names(GOAL)
    assert len(found) == 20
    assert set(found[:8]) >= WANTED


def test_one_long_sentence_is_taken_apart_too() -> None:
    goal = (
        "track the shipment of the quarry, compare the price of the dairy with last year, "
        "update the tariff of the railway and get the forecast of the vineyard"
    )
    wanted = {
        "quarry.track_shipment",
        "dairy.compare_price",
        "railway.update_tariff",
        "vineyard.get_forecast",
    }
    assert set(names(goal)[:10]) >= wanted


def test_the_order_is_the_same_in_every_process_and_for_every_order_of_adding() -> None:
    tools = made_tools(2000)
    shuffled = tools[:]
    random.Random(3).shuffle(shuffled)
    late = ToolRegistry(shuffled[:500])
    names(GOAL, late)
    for item in shuffled[500:]:
        late.add(item)
    expected = names(GOAL, ToolRegistry(tools))
    assert names(GOAL, late) == expected
    assert names(GOAL, ToolRegistry(shuffled)) == expected


def test_a_tool_that_is_added_is_found_and_its_new_version_takes_its_place() -> None:
    registry = made_registry(200)
    goal = "Polish the brass telescope"
    assert "lens.polish" not in names(goal, registry)

    @tool("lens.polish", effects="write")
    def polish(piece: str) -> str:
        """Polish a telescope made of brass."""
        return piece

    registry.add(polish)
    assert names(goal, registry)[0] == "lens.polish"

    @tool("lens.polish", version=2, effects="write")
    def varnish(piece: str) -> str:
        """Varnish a violin."""
        return piece

    registry.add(varnish)
    found = retrieve(registry, "Varnish the violin", 5)
    assert found[0] is varnish
    assert "lens.polish" not in names("Something made of brass", registry)


def test_the_index_is_built_once_and_only_told_of_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = made_registry(50)
    read: list[str] = []

    def counted(item: object) -> object:
        read.append(getattr(item, "name", ""))
        return profile(item)  # type: ignore[arg-type]

    monkeypatch.setattr("flowbuilder.planner.retrieval.index.profile", counted)
    names(GOAL, registry)
    names("anything else", registry)
    assert len(read) == 50
    registry.add(made_tool("one.more", "One more."))
    names(GOAL, registry)
    assert read[50:] == ["one.more"]
    registry.add(next(iter(registry)))  # the same tool again changes nothing
    assert retriever_of(registry).is_current(registry)


def test_an_index_goes_with_its_registry() -> None:
    registry = made_registry(20)
    kept = weakref.ref(retriever_of(registry))
    names(GOAL, registry)
    del registry
    gc.collect()
    assert kept() is None


def test_an_index_forgets_all_of_a_tool_that_is_gone() -> None:
    tools = made_tools(30)
    index = Index()
    index.update([*tools, made_tool("lone.wolf", "Howl.", {"moon_phase": ""}, {"howl_id": ""})])
    assert index.holders("howl") and "lone.wolf" in index.names
    index.update(tools)
    assert not index.holders("howl")
    assert not index.names.keys() & {"lone.wolf"}
    assert not index.givers.keys() & {"howl id"}
    assert set(index.profiles) == {item.name for item in tools}


@pytest.mark.parametrize(
    ("goal", "first"),
    [
        ("Use brewery.track_budget and nothing else", "brewery.track_budget"),
        ("Run BREWERY.TRACK_BUDGET.", "brewery.track_budget"),
        ("With `report` show the harbour's tariff", "report"),
        ('Call "report" for the harbour', "report"),
        ("then exportLedger", "exportLedger"),
    ],
)
def test_a_tool_that_the_goal_names_comes_first(goal: str, first: str) -> None:
    registry = REGISTRY.merged([made_tool("report", "Zap."), made_tool("exportLedger", "Zip.")])
    assert names(goal, registry, 5)[0] == first


def test_a_plain_word_names_no_tool() -> None:
    registry = REGISTRY.merged([made_tool("report", "Zap.")])
    assert names("Check the inspection of the harbour and report it", registry, 5)[0] != "report"


def test_what_is_pinned_is_never_left_out() -> None:
    pins = ["stable.get_refund", "clinic.list_audit", "no.such_tool"]
    found = names(GOAL, limit=10, pinned=pins)
    assert found[:2] == pins[:2]
    assert len(found) == 10 and set(found) >= WANTED
    many = [item.name for item in made_tools(30)]
    assert names(GOAL, limit=10, pinned=many) == many
    assert names("no word of it fits", limit=3, pinned=pins)[:2] == pins[:2]


def test_nothing_is_found_where_nothing_is_said() -> None:
    assert names("") == names("§ 1 ?!") == names("xyzzy plugh") == []
    assert names(GOAL, ToolRegistry()) == []
    assert names(GOAL, limit=0) == []


def test_the_maker_of_what_a_tool_needs_comes_along() -> None:
    registry = REGISTRY.merged(
        [
            made_tool("parcel.weigh", "Weigh a parcel.", {"waxMark": "Token"}, {"grams": ""}),
            made_tool("scan.label", "Zap.", {"image": ""}, {"wax_mark": "The token"}),
            made_tool(
                "label.print",
                "Zip.",
                {"text": ""},
                {"wax_mark": "The token"},
                effects=Effects.EXTERNAL,
            ),
        ]
    )
    found = names("Weigh the parcel that came today", registry, 16)
    assert found[0] == "parcel.weigh"
    assert "scan.label" in found
    assert "label.print" not in found  # nobody asked for what it does to the world
    assert "scan.label" in names("Weigh the parcel by its token", registry, 16)
    named = units('Weigh the parcel of wax mark "T-81"')
    index = Index()
    index.update(registry)
    assert producers(index, [("parcel.weigh", named[0])], named) == []


def test_of_many_makers_the_one_of_the_family_comes_along() -> None:
    others = [
        made_tool(f"zap.number{n}", "Zap.", {}, {"place_id": "Id of a place"}) for n in range(40)
    ]
    mine = [
        made_tool("wanderlust.find_rooms", "Find rooms to let.", {"place_id": "Id"}, {"rooms": ""}),
        made_tool("wanderlust.locate", "Zip.", {"query": ""}, {"place_id": "Id"}),
    ]
    found = names("Find me rooms to let in Rome", REGISTRY.merged([*others, *mine]), 16)
    assert "wanderlust.locate" in found
    assert not {item.name for item in others} & set(found)


def test_what_went_together_before_comes_along() -> None:
    learnt = CoUse.learn(
        [
            {"harbour.check_inspection@1", "clinic.update_shift"},
            {"harbour.check_inspection", "clinic.update_shift"},
            {"harbour.check_inspection", "clinic.update_shift", "pottery.get_price"},
            {"stable.get_order"},
        ]
    )
    goal = "check the inspection of the harbour"
    assert "clinic.update_shift" not in names(goal)
    found = names(goal, co_use=learnt)
    assert "clinic.update_shift" in found and len(found) == 20
    assert "pottery.get_price" not in found  # once in three plans is no habit
    assert names(goal, co_use=CoUse()) == names(goal)
    assert learnt.partners(["no.such_tool", "stable.get_order"]) == []


def test_of_others_than_the_given_ones_none_is_found() -> None:
    among = {"harbour.check_inspection", "harbour.list_inspection", "clinic.get_order"}
    found = names(GOAL, among=among, pinned=["stable.get_refund"])
    assert found[0] == "harbour.check_inspection"
    assert set(found) <= among


def test_a_goal_is_taken_apart_at_sentences_and_clauses() -> None:
    found = units("Get the price of bread, and mail the invoice for order 7 to Ada. Wait.")
    assert [unit.stems for unit in found[1:]] == [
        ("wait",),
        ("bread", "get", "pric"),
        ("ada", "invoic", "mail", "ord"),
    ]
    assert found[0].has_value and not found[2].has_value and found[3].has_value
    assert units(" \n ") == []


def test_a_very_long_goal_is_read_in_bounds() -> None:
    goal = " ".join(f"Check the inspection of the harbour number{n}." for n in range(3000))
    parts = units(goal)
    assert len(parts) <= 120 and max(len(part.stems) for part in parts) <= 80
    assert "harbour.check_inspection" in names(goal)


def test_words_of_schemas_count_through_references_and_lists() -> None:
    item = made_tool("zap", "Zap.")
    nested = {
        "$defs": {"Box": {"type": "object", "properties": {"walrusCount": {"type": "integer"}}}},
        "type": "array",
        "items": {"$ref": "#/$defs/Box"},
    }
    looped = {
        "$defs": {"A": {"properties": {"nested": {"$ref": "#/$defs/A"}}}},
        "$ref": "#/$defs/A",
    }
    read = profile(replace(item, output_schema=nested, input_schema=looped))
    assert {"walru", "count", "nest"} <= read.weights.keys()
    assert read.gives == ("walru count",)
    odd = replace(item, input_schema={"properties": None, "required": ["id"]}, output_schema={})
    assert profile(odd).needs == () and profile(odd).gives == ()


def test_a_description_without_end_is_read_in_bounds() -> None:
    assert len(text_stems("word " * 1_000_000)) <= 400
