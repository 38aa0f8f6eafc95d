"""The figures of TaskBench as its evaluation computes them, faults included.

What is peculiar, and kept: names that the catalogue does not have are counted on no side; a tool
counts once however often it is called; plans that cannot be read, and records that only one side
has, are left out instead of scoring 0; the edit distance looks at the order of listing; of an
argument with a name only the first member is looked at; and where an argument cannot be read, the
one read before it counts again. Texts of steps (ROUGE, BERTScore) are not compared.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_OPEN, _CLOSE = "<node-", ">"
#: Found anywhere in a text, in this order; `au` is among the audio endings.
_MEDIA = (
    ("image", ("jpg", "png", "jpeg", "gif", "bmp", "tiff", "svg", "ico")),
    ("audio", ("mp3", "wav", "wma", "ogg", "aac", "flac", "aiff", "au")),
    ("video", ("mp4", "avi", "mov", "flv", "wmv", "mkv", "webm", "m4v", "mpg", "mpeg")),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskBenchFigures:
    """What the evaluation prints for one group of records."""

    node_micro_precision: float
    node_micro_recall: float
    node_micro_f1: float
    node_macro_f1: float
    link_f1: float
    argument_name_f1: float
    argument_value_f1: float
    edit_distance: float
    counted: int
    """Records that could be read on both sides."""


def taskbench_figures(
    gold: Iterable[Mapping[str, Any]],
    predicted: Iterable[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]],
    *,
    temporal: bool = False,
) -> TaskBenchFigures:
    """Return the published figures.

    Args:
        gold: Records with `id`, `task_nodes`, `task_links`.
        predicted: The same, or with these members under `result`.
        tools: The `nodes` of `tool_desc.json`.
        temporal: Whether links are given instead of following from arguments (daily life).
    """
    plans = {str(record.get("id")): record for record in predicted}
    reader = _Reader(tools, temporal=temporal)
    pairs = []
    for record in gold:
        plan = plans.get(str(record.get("id")))
        if plan is not None:
            pair = reader.pair(record, plan.get("result", plan))
            if pair is not None:
                pairs.append(pair)
    names = [str(tool["id"]) for tool in tools]
    micro, macro = _node_figures([(a.names, b.names) for a, b in pairs], names)
    return TaskBenchFigures(
        node_micro_precision=micro[0],
        node_micro_recall=micro[1],
        node_micro_f1=micro[2],
        node_macro_f1=macro,
        link_f1=_set_f1((a.links, b.links) for a, b in pairs),
        argument_name_f1=_set_f1((a.argument_names(), b.argument_names()) for a, b in pairs),
        argument_value_f1=_set_f1((a.argument_values(), b.argument_values()) for a, b in pairs),
        edit_distance=_edit_distance([(a.names, b.names) for a, b in pairs], names),
        counted=len(pairs),
    )


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of a record: names of tools in order, links, and (tool, name, value)."""

    names: list[str]
    links: list[tuple[str, str]]
    arguments: list[tuple[str, str, str]]

    def argument_names(self) -> list[tuple[str, ...]]:
        # joined, as two different pairs may give one text
        return [(f"{tool}-{name}",) for tool, name, _ in self.arguments]

    def argument_values(self) -> list[tuple[str, ...]]:
        return [(f"{tool}-{name}-{value}",) for tool, name, value in self.arguments]


class _Unreadable(Exception):
    """A record that the evaluation leaves out."""


class _Reader:
    """Reads records one after the other; the argument read last is remembered over all of them."""

    def __init__(self, tools: Sequence[Mapping[str, Any]], *, temporal: bool) -> None:
        self._temporal = temporal
        self._last: tuple[str, str] | None = None
        self._outputs: dict[str, str] = {}
        for tool in tools if not temporal else ():
            types = tool.get("output-type") or ["none"]
            self._outputs[str(tool["id"])] = str(types[0])

    def pair(self, gold: Any, plan: Any) -> tuple[_Side, _Side] | None:
        try:
            if self._temporal:
                return self._given(gold, strict=True), self._given(plan, strict=False)
            named = [self._tool_names(record) for record in (gold, plan)]
            first = self._derived(gold, named[0], strict=True)
            return first, self._derived(plan, named[1], strict=False)
        except (_Unreadable, KeyError, TypeError, AttributeError):
            return None

    def _tool_names(self, record: Any) -> list[str]:
        return [node["task"].replace("_", " ") for node in record["task_nodes"]]

    def _given(self, record: Any, *, strict: bool) -> _Side:
        """Return a side whose links are told, and whose arguments have names."""
        nodes = record["task_nodes"]
        names = [node["task"] for node in nodes]
        if not all(isinstance(name, str) for name in names):
            raise _Unreadable
        arguments = [
            (name, f"{argument['name']}", f"{argument['value']}")
            for name, node in zip(names, nodes, strict=True)
            for argument in (node["arguments"] if strict else node.get("arguments", []))
        ]
        pairs = [(link["source"], link["target"]) for link in record["task_links"]]
        return _Side(names, pairs, arguments)

    def _derived(self, record: Any, names: list[str], *, strict: bool) -> _Side:
        """Return a side whose links follow from `<node-0>` in arguments."""
        links: list[tuple[str, str]] = []
        arguments = []
        for place, node in enumerate(record["task_nodes"]):
            listed = node["arguments"] if strict else node.get("arguments", [])
            for argument in list(listed):
                try:
                    read = self._argument(argument, place, names)
                except (IndexError, ValueError, TypeError, AttributeError):
                    read = self._last
                    if read is None:
                        raise _Unreadable from None
                else:
                    if read is None:
                        continue
                    if _OPEN in self._text(argument):
                        links.append((read[1], node["task"]))
                self._last = read
                arguments.append((names[place], *read))
        return _Side(names, links, arguments)

    def _argument(self, argument: Any, place: int, names: list[str]) -> tuple[str, str] | None:
        """Return medium and value; None for a reference to the node itself."""
        text = self._text(argument)
        if _OPEN not in text:
            return _medium(text), text
        number = int(text[text.index(_OPEN) + len(_OPEN) : text.index(_CLOSE)])
        if number == place:
            return None
        producer = names[number]
        return self._outputs.get(producer, "other"), producer

    def _text(self, argument: Any) -> str:
        if isinstance(argument, dict):
            argument, *_ = argument.values()
        if isinstance(argument, list):
            argument = " ".join(argument)
        if not isinstance(argument, str):
            raise TypeError
        return argument


def _medium(text: str) -> str:
    plain = text.strip("'")
    for medium, endings in _MEDIA:
        if any(f".{ending}" in plain for ending in endings):
            return medium
    return "text"


def _node_figures(
    pairs: Iterable[tuple[list[str], list[str]]], names: Sequence[str]
) -> tuple[tuple[float, float, float], float]:
    """Return micro precision, recall and F1 over the catalogue's tools, and macro F1."""
    counts = {name: [0, 0, 0] for name in names}  # right, planned, wanted
    for gold, plan in pairs:
        for name in {*gold, *plan} & counts.keys():
            counts[name][0] += name in gold and name in plan
            counts[name][1] += name in plan
            counts[name][2] += name in gold
    totals = [sum(column) for column in zip(*counts.values(), strict=True)] or [0, 0, 0]
    each = [_prf(*count)[2] for count in counts.values()]
    return _prf(*totals), sum(each) / len(each) if each else 0.0


def _set_f1(pairs: Iterable[tuple[Sequence[Hashable], Sequence[Hashable]]]) -> float:
    right = planned = wanted = 0
    for gold, plan in pairs:
        right += len({*gold} & {*plan})
        planned += len({*plan})
        wanted += len({*gold})
    return _prf(right, planned, wanted)[2]


def _prf(right: int, planned: int, wanted: int) -> tuple[float, float, float]:
    precision = right / planned if planned else 0.0
    recall = right / wanted if wanted else 0.0
    both = precision + recall
    return precision, recall, 2 * precision * recall / both if both else 0.0


def _edit_distance(pairs: Sequence[tuple[list[str], list[str]]], names: Sequence[str]) -> float:
    """Return 1 less the mean likeness; tools that are not known are all the same one."""
    if not pairs:
        return 0.0
    known = set(names)
    alike = 0.0
    for gold, plan in pairs:
        ours = [name if name in known else None for name in plan]
        theirs = [name if name in known else None for name in gold]
        total = len(ours) + len(theirs)
        alike += 2 * _common(ours, theirs) / total if total else 1.0
    return 1 - alike / len(pairs)


def _common(left: Sequence[object], right: Sequence[object]) -> int:
    """Return the length of the longest common subsequence."""
    row = [0] * (len(right) + 1)
    for ours in left:
        before = 0
        for place, theirs in enumerate(right, start=1):
            kept = row[place]
            row[place] = before + 1 if ours == theirs else max(row[place], row[place - 1])
            before = kept
    return row[-1]
