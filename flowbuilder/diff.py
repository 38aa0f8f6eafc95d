"""What differs between two flow documents, step by step, by the steps' stable ids.

A step that has another id and is otherwise the same is renamed: a change, not a removal and an
addition. References of other steps follow the new name and are no changes of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from flowbuilder.flow import Flow
from flowbuilder.strictjson import escape
from flowbuilder.types import JsonObject, JsonValue

#: Characters of a value in a line of text.
_LONGEST_SHOWN = 200
#: Of the document itself, besides its steps.
_HEAD = ("flow", "description", "input", "output", "timeout")
#: Of two steps that may be the same one renamed, so much of their fields has to agree.
_ALIKE = 0.5
_REFERENCE = re.compile(r"\$\{\{.*?\}\}", re.DOTALL)


class _Absent:
    def __repr__(self) -> str:
        return "ABSENT"


#: Stands for no value at all: before an addition, after a removal.
ABSENT: Final = _Absent()


@dataclass(frozen=True, kw_only=True, slots=True)
class FieldChange:
    """One field that differs."""

    pointer: str
    """Inside the step (`/args/url`), or inside the document where it is no step's."""
    old: Any
    """ABSENT where nothing stood."""
    new: Any
    """ABSENT where nothing stands now."""

    def as_json(self) -> JsonObject:
        """Return `{pointer, old?, new?}`; a side that is absent is left out."""
        sides = {"old": self.old, "new": self.new}
        return {
            "pointer": self.pointer,
            **{name: value for name, value in sides.items() if value is not ABSENT},
        }

    def as_text(self) -> str:
        """Return the change in a line."""
        name = ".".join(_parts(self.pointer))
        if self.old is ABSENT:
            return f"{name}: {_shown(self.new)} (new)"
        if self.new is ABSENT:
            return f"{name}: {_shown(self.old)} (taken out)"
        return f"{name}: {_shown(self.old)} -> {_shown(self.new)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class StepChange:
    """A step that is in both documents and not the same."""

    id: str
    """Its id in the newer document."""
    fields: tuple[FieldChange, ...]
    was: str | None = None
    """The id that it had before, when it was renamed."""

    def as_json(self) -> JsonObject:
        """Return `{id, was?, fields}`."""
        renamed: JsonObject = {} if self.was is None else {"was": self.was}
        return {"id": self.id, **renamed, "fields": [item.as_json() for item in self.fields]}


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowDiff:
    """The difference between two flow documents."""

    added: tuple[JsonObject, ...] = ()
    """Steps that only the newer document has, in its order."""
    removed: tuple[JsonObject, ...] = ()
    """Steps that only the older document has, in its order."""
    changed: tuple[StepChange, ...] = ()
    fields: tuple[FieldChange, ...] = ()
    """What differs outside the steps."""
    reordered: bool = False
    """Whether steps that both have stand in another order."""

    @property
    def empty(self) -> bool:
        """Whether both say the same."""
        return not (self.added or self.removed or self.changed or self.fields or self.reordered)

    @property
    def touched(self) -> frozenset[str]:
        """The ids, in the newer document, of steps that are new or changed."""
        return frozenset([str(step.get("id")) for step in self.added]) | frozenset(
            [change.id for change in self.changed]
        )

    def as_json(self) -> JsonObject:
        """Return `{added, removed, changed, fields, reordered, empty}`."""
        return {
            "added": [*self.added],
            "removed": [*self.removed],
            "changed": [change.as_json() for change in self.changed],
            "fields": [change.as_json() for change in self.fields],
            "reordered": self.reordered,
            "empty": self.empty,
        }

    def as_text(self) -> str:
        """Return the difference as lines: `+` new, `-` gone, `~` changed."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        for change in self.fields:
            yield f"~ {change.as_text()}"
        for step in self.removed:
            yield f"- step {step.get('id')}: {step.get('tool')}"
        for step in self.added:
            yield f"+ step {step.get('id')}: {step.get('tool')}"
            for change in _step_changes({}, {k: v for k, v in step.items() if k != "tool"}):
                yield f"    {'.'.join(_parts(change.pointer))}: {_shown(change.new)}"
        for one in self.changed:
            renamed = "" if one.was is None else f" (was {one.was})"
            yield f"~ step {one.id}{renamed}"
            for change in one.fields:
                yield f"    {change.as_text()}"
        if self.reordered:
            yield "~ the steps stand in another order"
        if self.empty:
            yield "no difference"


def diff_flows(
    old: Flow | Mapping[str, Any] | None,
    new: Flow | Mapping[str, Any] | None,
    *,
    renames: bool = True,
) -> FlowDiff:
    """Return what leads from one document to another; None stands for no document at all.

    Any documents may be compared, also ones that do not validate. Without `renames` another id is
    always another step, as in a run, where what has another id has not been done.
    """
    before, after = _document(old), _document(new)
    steps, others = _steps(before), _steps(after)
    names = _renamed(steps, others) if renames else {}
    known = {names.get(name, name): _following(step, names) for name, step in steps.items()}
    back = {later: earlier for earlier, later in names.items()}
    changed = [
        StepChange(id=name, fields=tuple(found), was=back.get(name))
        for name, step in others.items()
        if name in known
        for found in [list(_step_changes(known[name], step))]
        if found or name in back
    ]
    shared = [name for name in others if name in known]
    head = {key: before[key] for key in _HEAD if key in before}
    return FlowDiff(
        added=tuple(step for name, step in others.items() if name not in known),
        removed=tuple(step for name, step in steps.items() if names.get(name, name) not in others),
        changed=tuple(changed),
        fields=tuple(
            field_changes(_following(head, names), {k: after[k] for k in _HEAD if k in after})
        ),
        reordered=shared != [name for name in known if name in others],
    )


def same(one: object, other: object) -> bool:
    """Whether two JSON values have the same canonical bytes: 1, 1.0 and true are three."""
    return canonical(one) == canonical(other)


def canonical(value: object) -> bytes:
    """Return the bytes of a JSON value with its keys in order."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def field_changes(
    old: JsonValue | Mapping[str, Any],
    new: JsonValue | Mapping[str, Any],
    pointer: str = "",
) -> Iterator[FieldChange]:
    """Yield the innermost places at which two values differ."""
    if same(old, new):
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping) and (old or pointer == ""):
        for key in [*old, *(key for key in new if key not in old)]:
            place = f"{pointer}/{escape(str(key))}"
            if key not in old:
                yield FieldChange(pointer=place, old=ABSENT, new=new[key])
            elif key not in new:
                yield FieldChange(pointer=place, old=old[key], new=ABSENT)
            else:
                yield from field_changes(old[key], new[key], place)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from field_changes(left, right, f"{pointer}/{index}")
    else:
        yield FieldChange(pointer=pointer, old=old, new=new)


def _step_changes(old: JsonObject, new: JsonObject) -> Iterator[FieldChange]:
    """Yield what differs between two steps besides their names, arguments one by one."""
    before, after = ({**side, "args": side.get("args", {})} for side in (old, new))
    for side in (before, after):
        side.pop("id", None)
    arguments = before.pop("args"), after.pop("args")
    yield from field_changes(before, after)
    for change in field_changes(*arguments):
        yield FieldChange(pointer=f"/args{change.pointer}", old=change.old, new=change.new)


def _document(given: Flow | Mapping[str, Any] | None) -> JsonObject:
    if given is None:
        return {}
    return given.document() if isinstance(given, Flow) else dict(given)


def _steps(document: JsonObject) -> dict[str, JsonObject]:
    """Return the steps by id; of two with one id the later one, as nothing else can be said."""
    steps = document.get("steps")
    listed = steps if isinstance(steps, list) else []
    return {str(step.get("id")): step for step in listed if isinstance(step, dict)}


def _renamed(old: Mapping[str, JsonObject], new: Mapping[str, JsonObject]) -> dict[str, str]:
    """Return new names by old ones, of steps that are gone and there under another name.

    Two steps are one when they have the same tool and most of what else they say; each is matched
    with the likest, and of equals with the one that stands nearest.
    """
    gone = [name for name in old if name not in new]
    come = [name for name in new if name not in old]
    places = {name: place for place, name in enumerate(old)}
    later = {name: place for place, name in enumerate(new)}
    pairs = sorted(
        (
            (-likeness, abs(places[one] - later[other]), places[one], later[other], one, other)
            for one in gone
            for other in come
            if (likeness := _likeness(old[one], new[other])) > _ALIKE
        ),
    )
    names: dict[str, str] = {}
    for *_, one, other in pairs:
        if one not in names and other not in names.values():
            names[one] = other
    return names


def _likeness(one: JsonObject, other: JsonObject) -> float:
    """Return how much of two steps is the same, from 0 to 1; 0 when their tools differ."""
    if one.get("tool") != other.get("tool"):
        return 0.0
    parts, others = _said(one), _said(other)
    every = parts.keys() | others.keys()
    shared = parts.keys() & others.keys()
    equal = sum(same(parts[name], others[name]) for name in shared)
    return equal / len(every) if every else 1.0


def _said(step: JsonObject) -> JsonObject:
    """Return what a step says besides its name and its tool, arguments one by one."""
    arguments = step.get("args")
    listed = arguments if isinstance(arguments, dict) else {}
    rest = {key: value for key, value in step.items() if key not in ("id", "tool", "args")}
    return {**{f"args/{key}": value for key, value in listed.items()}, **rest}


def _following(value: JsonObject, names: Mapping[str, str]) -> JsonObject:
    """Return a part of a document with its references under the new names."""
    if not names:
        return value
    pattern = re.compile(rf"\bsteps\.({'|'.join(map(re.escape, names))})\b")

    def follow(text: str) -> str:
        return pattern.sub(lambda match: f"steps.{names[match.group(1)]}", text)

    def inside(text: str) -> str:
        return _REFERENCE.sub(lambda match: follow(match.group()), text)

    changed: JsonObject = {}
    for key, part in value.items():
        if key == "when" and isinstance(part, str):
            changed[key] = follow(part)
        elif key == "depends_on" and isinstance(part, list):
            changed[key] = [names.get(str(item), item) for item in part]
        else:
            changed[key] = _with_texts(part, inside)
    return changed


def _with_texts(value: JsonValue, change: Callable[[str], str]) -> JsonValue:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_with_texts(item, change) for item in value]
    if isinstance(value, dict):
        return {key: _with_texts(item, change) for key, item in value.items()}
    return value


def _parts(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _shown(value: Any) -> str:
    text = orjson.dumps(value).decode()
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"
