"""References that are spelt wrong, lead nowhere, come back, or bring what does not fit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from flowbuilder.errors import InvalidValue
from flowbuilder.likeness import like, plain
from flowbuilder.references import Reference, find, parse
from flowbuilder.repair.desk import Desk, Mending, argument_path
from flowbuilder.repair.edits import ABSENT, Edit, Path, Way, texts_in
from flowbuilder.schemapaths import Hit, Missing, lookup, property_of, type_names
from flowbuilder.schemapaths import plain as plain_schema
from flowbuilder.types import JsonSchema

#: `${{ … }}`, `{{ … }}`, `${ … }` and the like around a path, closed or not.
_WRAPPED = re.compile(
    r"(?:\$\{\{|(?<![${])\{\{|(?<!\$)\$\{)\s*(?P<path>[^{}]*?)\s*(?:\}\}|\}|$)"
    r"|(?<![\w$])\$\$?(?P<bare>steps\.[\w.\[\]]+)"
)
_FILTER = re.compile(r"\s*\|.*$", re.DOTALL)
#: Words that other languages begin such paths with.
_STEP_WORDS = {"step", "steps", "outputs", "output", "nodes", "node", "tasks", "task", "results"}
_INPUT_WORDS = {"inputs", "params", "parameters", "args", "flow_input", "workflow_input", "vars"}
#: Words between a step and its fields that other languages have.
_BETWEEN = {"output", "outputs", "result", "results", "response", "value", "data", "return", "json"}
_NUMBER = re.compile(r"(?:^|[A-Za-z_-])(\d{1,4})$")
_PARTS = re.compile(r"[^.\[\]]+|\[\d+\]")


def mend_spelling(desk: Desk) -> Iterator[Mending]:
    """Write references as they are written here, when they then lead to a step or the input."""
    codes = ("reference_syntax", "reference_root", "reference_spelling")
    for problem, path, text in desk.of(*codes):
        if isinstance(text, str):
            mended = _WRAPPED.sub(lambda match: _written(match, desk), text)
            if mended != text:
                yield Mending(problem.code, ((Edit(path, mended),),))


def _written(match: re.Match[str], desk: Desk) -> str:
    inner = match["path"] if match["path"] is not None else match["bare"]
    parts = _PARTS.findall(_FILTER.sub("", inner).strip().rstrip("."))
    path = _path_of(parts, desk)
    return match[0] if path is None else f"${{{{ {path} }}}}"


def _path_of(parts: list[str], desk: Desk) -> str | None:
    """Return a path from its parts, under the roots known here."""
    if not parts:
        return None
    head = parts[0].lower()
    if head in _STEP_WORDS and len(parts) > 1 and parts[1] in desk.places:
        return _joined(["steps", *parts[1:]])
    if parts[0] in desk.places:
        return _joined(["steps", *parts])
    if head in _INPUT_WORDS:
        return _joined(["input", *parts[1:]])
    if head in ("input", "run", "item", "index"):
        return _joined([head, *parts[1:]])
    return None


def _joined(parts: list[str]) -> str:
    return "".join(part if part.startswith("[") else f".{part}" for part in parts).lstrip(".")


def mend_steps(desk: Desk) -> Iterator[Mending]:
    """Lead references to nowhere and to their own step to the step that is meant."""
    shifted = _all_shifted(desk)
    if shifted:
        yield Mending("self_dependency", (shifted,))
    for problem, path, text in desk.of("self_dependency", "unknown_step_reference"):
        if not isinstance(text, str) or path[:1] != ("steps",):
            continue
        for name in _wrong_names(text, desk, path):
            ways = [
                (Edit(path, _redirected(text, name, other)),)
                for other in _meant_steps(name, desk, path)
            ]
            if not ways and path[2:3] == ("args",) and _is_one_reference(text):
                ways = [(Edit(path, ABSENT),)]  # the first step has nothing to refer to
            if ways:
                yield Mending(problem.code, tuple(ways))


def mend_cycles(desk: Desk) -> Iterator[Mending]:
    """Lead references of a cycle to a later step back to one before, or leave them out."""
    for problem, _, _ in desk.of("cycle"):
        names = problem.message.rpartition(": ")[2].split(" -> ")
        for name, later in pairwise(names):
            place, other = desk.places.get(name), desk.places.get(later)
            if place is None or other is None or other < place:
                continue
            for inner, text in texts_in(desk.step_at(("steps", place)).get("args")):
                path = ("steps", place, "args", *inner)
                if later in _named(text):
                    nearest = _meant_steps(name, desk, path)
                    ways: list[Way] = [
                        (Edit(path, _redirected(text, later, before)),) for before in nearest
                    ]
                    yield Mending(problem.code, tuple(ways) or ((Edit(path, ABSENT),),))


def _wrong_names(text: str, desk: Desk, path: Path) -> list[str]:
    own = desk.step_at(path).get("id")
    return [name for name in _named(text) if name == own or name not in desk.places]


def _named(text: str) -> list[str]:
    """Return the steps that a text refers to, none when it cannot be read."""
    try:
        named = [item.reference.step for item in find(text) if item.reference.step is not None]
    except InvalidValue:
        return []
    return list(dict.fromkeys(named))


def _meant_steps(name: str, desk: Desk, path: Path) -> list[str]:
    """Return the steps that a name may mean in an argument: near ones, then those before it."""
    place = path[1] if isinstance(path[1], int) else 0
    before = [other for other, at in desk.places.items() if at < place]
    nearest = sorted(before, key=lambda other: -desk.places[other])
    own = desk.step_at(path).get("id")
    if name == own:
        return nearest[:6]
    others = [other for other in desk.places if other != own]
    near = like(name, others)
    found = [near] if near is not None else []
    found += [other for other in others if _has_tool(other, name, desk)]
    number = _NUMBER.search(name)
    if number is not None:
        ordered = sorted(desk.places, key=lambda other: desk.places[other])
        for at in (int(number[1]) - 1, int(number[1])):
            if 0 <= at < len(ordered) and ordered[at] in before:
                found.append(ordered[at])
        found += nearest[:1]
    return list(dict.fromkeys(found))


def _has_tool(step: str, name: str, desk: Desk) -> bool:
    tool = desk.tool_of(step)
    return tool is not None and plain(tool.name) == plain(name)


def _redirected(text: str, old: str, new: str) -> str:
    return re.sub(rf"(\$\{{\{{\s*steps\.){re.escape(old)}(?=[\s.\[}}])", rf"\g<1>{new}", text)


def _is_one_reference(text: str) -> bool:
    try:
        return parse(text).exact is not None
    except InvalidValue:
        return False


def _all_shifted(desk: Desk) -> Way:
    """Return the edits that lead every reference one step further up.

    A plan in which a step refers to itself was often counted from one.
    """
    if not any(desk.of("self_dependency")):
        return ()
    above = {
        name: next((other for other, at in desk.places.items() if at == place - 1), None)
        for name, place in desk.places.items()
    }
    edits: list[Edit] = []
    for place, step in desk.steps:
        try:
            found = find(step.get("args"))
        except InvalidValue:
            return ()
        for item in found:
            other = above.get(item.reference.step or "")
            if not item.exact or other is None:
                return ()
            path = ("steps", place, "args", *_inside(item.pointer))
            edits.append(Edit(path, f"${{{{ {_renamed(item.reference, other)} }}}}"))
    return tuple(edits)


def _inside(pointer: str) -> Path:
    parts = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    return tuple(int(part) if part.isdecimal() else part for part in parts)


def _renamed(reference: Reference, name: str) -> str:
    assert reference.step is not None
    return reference.raw.replace(f"steps.{reference.step}", f"steps.{name}", 1)


def mend_fields(desk: Desk) -> Iterator[Mending]:
    """Name the field that is meant where one is not there."""
    codes = ("unknown_output_field", "unknown_item_field", "unknown_input_field")
    for problem, path, text in desk.of(*codes):
        if not isinstance(text, str):
            continue
        try:
            named = [item.reference for item in find(text)]
        except InvalidValue:
            continue
        ways: list[Way] = []
        for reference in named:
            for new in _meant_paths(reference, desk, path):
                written = text.replace(reference.raw, new)
                if written != text:
                    ways.append((Edit(path, written),))
        if ways:
            yield Mending(problem.code, tuple(dict.fromkeys(ways)))


def _meant_paths(reference: Reference, desk: Desk, path: Path) -> Iterator[str]:
    """Yield the paths that one may mean: a near name, the only field, or without a filler."""
    start = f"steps.{reference.step}" if reference.step is not None else reference.root
    schema = _schema_of(reference, desk)
    if schema is None:
        return
    look = lookup(schema, reference.path)
    if not isinstance(look, Missing):
        return
    parts = list(reference.path)
    wrong = parts[look.at] if look.at < len(parts) else ""
    near = like(str(wrong), look.known)
    only = look.known[0] if len(look.known) == 1 else None
    for name in dict.fromkeys(item for item in (near, only) if item is not None):
        yield _joined_path(start, [*parts[: look.at], name, *parts[look.at + 1 :]])
    if str(wrong).lower() in _BETWEEN or not look.known:
        yield _joined_path(start, [*parts[: look.at], *parts[look.at + 1 :]])
    if only is not None and str(wrong).lower() in _BETWEEN:
        yield _joined_path(start, [*parts[: look.at], only])
    argument = argument_path(path)
    if look.known and argument and argument[-1] in look.known:
        yield _joined_path(start, [*parts[: look.at], argument[-1]])


def _schema_of(reference: Reference, desk: Desk) -> JsonSchema | None:
    if reference.step is not None:
        tool = desk.tool_of(reference.step)
        place = desk.places.get(reference.step)
        mapped = place is not None and desk.step_at(("steps", place)).get("for_each") is not None
        if tool is None:
            return None
        return {"type": "array", "items": tool.output_schema} if mapped else tool.output_schema
    if reference.root == "input" and isinstance(desk.document, dict):
        given = desk.document.get("input")
        return given if isinstance(given, dict) else None
    return None


def _joined_path(start: str, parts: list[str | int]) -> str:
    return start + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)


def mend_misfits(desk: Desk) -> Iterator[Mending]:
    """Lead an argument to a field, or to another step before, where what it gets cannot fit."""
    for problem, path, text in desk.of("argument_type", "for_each_not_array"):
        if not isinstance(text, str) or path[:1] != ("steps",):
            continue
        try:
            exact = parse(text).exact
        except InvalidValue:
            continue
        if exact is None or exact.step is None:
            continue
        ways: list[Way] = [
            (Edit(path, f"${{{{ {field} }}}}"),) for field in _fields(exact, desk, path)
        ]
        ways += _mapped(exact, desk, path)
        ways.append((Edit(path, [text]),))  # one element where a list is taken
        ways += [(Edit(path, f"${{{{ steps.{name} }}}}"),) for name in _others(exact, desk, path)]
        yield Mending(problem.code, tuple(ways))


def _fields(reference: Reference, desk: Desk, path: Path) -> Iterator[str]:
    """Yield the fields of an object that an argument may mean: of its name, or the only one."""
    schema = _schema_of(reference, desk)
    look = lookup(schema, reference.path) if schema is not None else None
    if not isinstance(look, Hit):
        return
    known = plain_schema(look.schema, look.root) or {}
    names = [name for name in known.get("properties", {}) if isinstance(name, str)]
    argument = argument_path(path)
    wanted = [name for name in names if argument and plain(name) == plain(str(argument[-1]))]
    for name in wanted or (names if len(names) == 1 else []):
        if isinstance(property_of(known, name, look.root), Hit):
            yield f"{reference.raw}.{name}"


def _mapped(reference: Reference, desk: Desk, path: Path) -> Iterator[Way]:
    """Yield the way to go over an array whose elements are taken one by one."""
    step = desk.step_at(path)
    schema = _schema_of(reference, desk)
    look = lookup(schema, reference.path) if schema is not None else None
    if not isinstance(look, Hit) or "for_each" in step or path[2:3] != ("args",):
        return
    if type_names(look.schema, look.root) == frozenset({"array"}):
        over = Edit((*path[:2], "for_each"), f"${{{{ {reference.raw} }}}}")
        yield (over, Edit(path, "${{ item }}"))


def _others(reference: Reference, desk: Desk, path: Path) -> list[str]:
    """Return the steps before, nearest first, that an argument may take instead.

    Only where outputs are whole values of a kind, a file or a text: of records, nobody could tell
    which field was meant.
    """
    if reference.path or not isinstance(path[1], int):
        return []
    place: int = path[1]
    before = sorted(
        ((at, name) for name, at in desk.places.items() if at < place and name != reference.step),
        reverse=True,
    )
    return [name for _, name in before if _gives_a_kind(desk.tool_of(name))]


def _gives_a_kind(tool: Any) -> bool:
    return tool is not None and "format" in tool.output_schema
