"""Repair: valid documents stay as they are, broken ones come back, each change is told."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowbuilder.repair import ABSENT, repair
from flowbuilder.repair.edits import Edit as RepairEdit
from flowbuilder.repair.edits import edited, path_of
from flowbuilder.tools import Effects, Tool, ToolRegistry
from flowbuilder.validation import validate
from tests.support.broken_documents import BROKEN
from tests.support.sample_tools import sample_registry

REGISTRY = sample_registry()
GET = {"id": "get", "tool": "page.get", "args": {"url": "https://e.org"}}
UPPER = {"id": "up", "tool": "text.upper", "args": {"text": "${{ steps.get.body.title }}"}}


def _flow(*steps: Any, **more: Any) -> dict[str, Any]:
    return {"flow": "x", "steps": list(steps), **more}


def _with(step: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**step, **more}


def _amount(**args: Any) -> dict[str, Any]:
    return {"id": "m", "tool": "mixed.take", "args": {"amount": 1, **args}}


#: What is wrong, and what it comes back as.
MENDED: dict[str, tuple[Any, Any]] = {
    "tool misspelt": (_flow(_with(GET, tool="page.gte")), _flow(GET)),
    "tool's version": (_flow(_with(GET, tool="page.get@9")), _flow(GET)),
    "argument misspelt": (_flow(_with(GET, args={"ulr": "https://e.org"})), _flow(GET)),
    "empty argument too many": (
        _flow(_with(GET, args={"url": "https://e.org", "extra": None})),
        _flow(GET),
    ),
    "number as text": (_flow(_amount(amount="5")), _flow(_amount(amount=5))),
    "truth as text": (_flow(_amount(flag="False")), _flow(_amount(flag=False))),
    "list as text": (_flow(_amount(numbers="[1, 2]")), _flow(_amount(numbers=[1, 2]))),
    "one for a list": (_flow(_amount(numbers=0)), _flow(_amount(numbers=[0]))),
    "another case": (_flow(_amount(mode="FAST")), _flow(_amount(mode="fast"))),
    "null for nothing": (_flow(_amount(flag=None)), _flow(_amount())),
    "no signs": (_flow(GET, _with(UPPER, args={"text": "{{ steps.get.body.title }}"})),
                 _flow(GET, UPPER)),
    "not closed": (_flow(GET, _with(UPPER, args={"text": "${{ steps.get.body.title"})),
                   _flow(GET, UPPER)),
    "no root": (_flow(GET, _with(UPPER, args={"text": "${{ get.body.title }}"})),
                _flow(GET, UPPER)),
    "field misspelt": (_flow(GET, _with(UPPER, args={"text": "${{ steps.get.body.titel }}"})),
                       _flow(GET, UPPER)),
    "filler": (_flow(GET, _with(UPPER, args={"text": "${{ steps.get.output.body.title }}"})),
               _flow(GET, UPPER)),
    "step misspelt": (
        _flow(_with(GET, id="fetch"), _with(UPPER, args={"text": "${{ steps.fetsh.body.title }}"})),
        _flow(_with(GET, id="fetch"), _with(UPPER, args={"text": "${{ steps.fetch.body.title }}"})),
    ),
    "waits for itself": (_flow(_with(GET, depends_on=["get"])), _flow(GET)),
    "waits for nobody": (_flow(GET, _with(UPPER, depends_on=["nobody"])), _flow(GET, UPPER)),
    "circle": (_flow(_with(GET, depends_on=["up"]), UPPER), _flow(GET, UPPER)),
    "condition": (
        _flow(GET, _with(UPPER, when="${{ steps.get.status }} = 200 and True")),
        _flow(GET, _with(UPPER, when="steps.get.status == 200 && true")),
    ),
    "condition of another language": (
        _flow(GET, _with(UPPER, when="len(steps.get.body.title) > 3 or not input.quick")),
        _flow(GET, _with(UPPER, when="size(steps.get.body.title) > 3 || !input.quick")),
    ),
    "steps by name": (
        {"flow": "x", "steps": {"get": {"tool": "page.get", "args": {"url": "https://e.org"}}}},
        _flow(GET),
    ),
    "arguments in a list": (
        _flow(_with(GET, args=[{"name": "url", "value": "https://e.org"}])),
        _flow(GET),
    ),
    "other keys": (
        {"name": "x", "tasks": [{"name": "get", "action": "page.get", "with": GET["args"]}]},
        {"flow": "x", "steps": [GET]},
    ),
    "order in a text": (
        _flow(GET, UPPER, _with(GET, id="b", depends_on="get, up")),
        _flow(GET, UPPER, _with(GET, id="b", depends_on=["get", "up"])),
    ),
    "time in words": (_flow(_with(GET, timeout="5 minutes")), _flow(_with(GET, timeout="5m"))),
    "rule in capitals": (_flow(GET, _with(UPPER, trigger_rule="ALL_DONE")),
                         _flow(GET, _with(UPPER, trigger_rule="all_done"))),
    "attempts as a number": (_flow(_with(GET, retry=3)),
                             _flow(_with(GET, retry={"max_attempts": 3}))),
    "slug in words": (_flow(GET, flow="My Flow!"), _flow(GET, flow="my-flow")),
    "no slug": ({"steps": [GET], "description": "Fetch the page"},
                {"steps": [GET], "description": "Fetch the page", "flow": "fetch-the-page"}),
    "no id": (_flow({"tool": "page.get", "args": GET["args"]}),
              _flow({"tool": "page.get", "args": GET["args"], "id": "page_get"})),
    "bad id": (
        _flow(_with(GET, id="g-1"), _with(UPPER, args={"text": "${{ steps.g-1.body.title }}"})),
        _flow(_with(GET, id="g_1"), _with(UPPER, args={"text": "${{ steps.g_1.body.title }}"})),
    ),
    "the same step twice": (_flow(GET, GET, UPPER), _flow(GET, UPPER)),
    "two steps of one id": (
        _flow(GET, _with(UPPER, id="get")),
        _flow(GET, _with(UPPER, id="get_2")),
    ),
    "object for its field": (
        _flow(GET, _with(UPPER, args={"text": "${{ steps.get.body.items[0] }}"})),
        _flow(GET, _with(UPPER, args={"text": "${{ steps.get.body.items[0].text }}"})),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(MENDED))
def test_documents_come_back(name: str) -> None:
    broken, whole = copy.deepcopy(MENDED[name])
    given = copy.deepcopy(broken)
    mended = repair(broken, REGISTRY)
    assert broken == given  # what was handed in is not written to
    assert mended.document == whole
    assert mended.valid
    assert mended.flow == validate(whole, REGISTRY).flow
    assert mended.changes
    assert repair(mended.document, REGISTRY).document is mended.document


def test_each_change_is_told() -> None:
    broken = _flow(_with(GET, tool="page.gte"), _with(UPPER, depends_on=["up", "get"]))
    mended = repair(broken, REGISTRY)
    told = [(item.code, item.pointer, item.before, item.after) for item in mended.changes]
    assert told == [
        ("unknown_tool", "/steps/0/tool", "page.gte", "page.get"),
        ("self_dependency", "/steps/1/depends_on", ["up", "get"], ["get"]),
    ]
    document: Any = broken
    for item in mended.changes:
        path = path_of(item.pointer, document)
        document = edited(document, [RepairEdit(path, item.after)])
    assert document == mended.document
    assert mended.changes[0].as_json() == {
        "code": "unknown_tool",
        "pointer": "/steps/0/tool",
        "before": "page.gte",
        "after": "page.get",
    }
    gone = repair(_flow(_with(GET, depends_on=["get"])), REGISTRY).changes[0]
    assert gone.after is ABSENT
    assert "after" not in gone.as_json()


@pytest.mark.parametrize(
    "document",
    [
        _flow(GET, UPPER),
        _flow(GET, _with(UPPER, depends_on=["get", "get"], concurrency=2, when="true")),
        _flow(_amount(flag=False, note="", numbers=[], anything=None)),
    ],
)
def test_valid_documents_are_not_touched(document: Any) -> None:
    mended = repair(document, REGISTRY)
    assert mended.document is document
    assert mended.changes == ()
    assert mended.valid


def _tool(name: str, summary: str, effects: Effects = Effects.READ, gives: Any = None) -> Tool:
    return Tool(
        name=name,
        summary=summary,
        handler=lambda **given: given,
        input_schema={"type": "object", "properties": {"v": {}}},
        output_schema=gives or {},
        effects=effects,
    )


def _one(tool: str) -> dict[str, Any]:
    return _flow({"id": "a", "tool": tool})


def test_an_invented_tool_is_the_one_that_says_the_same() -> None:
    tools = ToolRegistry(
        [
            _tool("token.classify", "Label words in a text, as in named entity recognition."),
            _tool("image_to_text", "Optical character recognition and captions of images."),
            _tool("video_to_text", "Write down what is said in a video."),
            _tool("text.summary", "Summaries of a text."),
        ]
    )
    for name, meant in (
        ("Named_Entity_Recognition", "token.classify"),
        ("OCR", "image_to_text"),
        ("summary", "text.summary"),
    ):
        assert repair(_one(name), tools).document == _one(meant)
    for name in ("text_to_video", "Emotion_Detection", "image.delete", "x"):
        assert repair(_one(name), tools).document == _one(name)


def test_an_effect_is_never_guessed() -> None:
    tools = ToolRegistry([_tool("disk.wipe", "Erase all files of a disk.", Effects.IRREVERSIBLE)])
    assert not repair(_one("erase_files"), tools).valid
    assert repair(_one("disk.wip"), tools).valid  # it was named, only spelt wrong


def test_counting_from_one_and_references_to_oneself() -> None:
    kind = {"type": "string", "format": "text"}
    tools = ToolRegistry([_tool("t.t", "Text.", gives=kind)])

    def chain(*named: int) -> dict[str, Any]:
        steps = [
            {"id": f"n{at}", "tool": "t.t", "args": {"v": f"${{{{ steps.n{other} }}}}"}}
            for at, other in enumerate(named, start=1)
        ]
        return _flow({"id": "n0", "tool": "t.t"}, *steps)

    assert repair(chain(1, 2, 3), tools).document == chain(0, 1, 2)
    assert repair(chain(0, 2, 9), tools).document == chain(0, 1, 2)


def test_a_map_where_elements_are_taken_one_by_one() -> None:
    takes = {
        "type": "object",
        "properties": {"v": {"type": "string"}},
        "required": ["v"],
        "additionalProperties": False,
    }
    texts = {"type": "array", "items": {"type": "string"}}
    tools = ToolRegistry([_tool("list.get", "Get a list.", gives=texts)])
    tools.add(
        Tool(
            name="one.take",
            summary="Take one.",
            handler=print,
            input_schema=takes,
            output_schema={},
        )
    )
    steps = [{"id": "a", "tool": "list.get"}]
    taker = {"id": "b", "tool": "one.take", "args": {"v": "${{ steps.a }}"}}
    mended = repair(_flow(*steps, taker), tools)
    assert mended.document == _flow(
        *steps, {**taker, "args": {"v": "${{ item }}"}, "for_each": "${{ steps.a }}"}
    )


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_any_broken_document_is_left_or_mended(name: str) -> None:
    document: Any = BROKEN[name][0]
    mended = repair(document, REGISTRY)
    before = len(validate(document, REGISTRY).problems)
    assert mended.valid or mended.problems
    assert len(mended.problems) <= before or mended.changes
    again = repair(mended.document, REGISTRY)
    assert again.document is mended.document
    assert again.changes == ()


_WORDS = st.sampled_from(
    ["flow", "steps", "id", "tool", "args", "a", "b", "page.get", "page.gett", "for_each", "when",
     "depends_on", "input", "output", "retry", "timeout", "${{ steps.a.b }}", "${{ item }}",
     "{{ steps.a }}", "${{ b.c }}", "30 seconds", "steps.a = 1", "name", "arguments", "url"]
)  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=4) | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=4),
    max_leaves=12,
)
_STEPS = st.dictionaries(_WORDS, _JSON, max_size=3).flatmap(
    lambda more: st.builds(
        lambda name, tool: {"id": name, "tool": tool, **more},
        st.sampled_from(["a", "b", "1"]),
        st.sampled_from(["page.get", "page.gte", "mixed.take", "anything.take", "text.upper"]),
    )
)


@given(st.one_of(_JSON, st.builds(lambda steps: _flow(*steps), st.lists(_STEPS, max_size=3))))
def test_nothing_raises_and_twice_is_once(document: Any) -> None:
    mended = repair(document, REGISTRY)
    again = repair(mended.document, REGISTRY)
    assert again.document is mended.document
    assert again.changes == ()
    if validate(document, REGISTRY).valid:
        assert mended.document is document


def test_kept_steps_stay_as_they_are() -> None:
    broken = _flow(_with(GET, tool="page.gett"), _with(GET, id="other", tool="page.gett"))
    mended = repair(broken, REGISTRY, keep={"other"})
    steps: Any = mended.document
    assert [step["tool"] for step in steps["steps"]] == ["page.get", "page.gett"]
    assert steps["steps"][1] is broken["steps"][1]
    assert not mended.valid
    both = repair(broken, REGISTRY, keep={"get", "other"})
    assert both.document is broken and both.changes == ()


def test_without_guessing_only_one_reading_is_taken() -> None:
    near = _flow(_with(GET, tool="page.gett"))
    assert repair(near, REGISTRY, guess=False).valid
    lost = _flow(_amount(numbers="${{ steps.nowhere }}"))
    assert repair(lost, REGISTRY).document == _flow(_amount())
    assert repair(lost, REGISTRY, guess=False).document is lost


def test_mending_what_is_wrong_all_over_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = 0

    def counting(document: Any, *given: Any, **named: Any) -> Any:
        nonlocal judged
        judged += len(document["steps"])
        return validate(document, *given, **named)

    monkeypatch.setattr("flowbuilder.repair.pipeline.validate", counting)
    steps = [_with(GET, id=f"s{n}", args={"uri": n, "x": "${{ steps.a.b }}"}) for n in range(400)]
    assert repair(_flow(*steps), REGISTRY).changes
    assert judged < 12_000  # the bound, and what was begun before it was reached


def test_habits_are_read_where_they_are_errors() -> None:
    before = _with(GET, id="before")
    given = _flow(before, _with(GET, args={"url": "${{ steps.before.args.url }}"}))
    mended = repair(given, REGISTRY)
    steps: Any = mended.document
    assert mended.valid and steps["steps"][1]["args"] == before["args"]
