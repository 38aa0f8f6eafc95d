"""Find what the words of an edit speak of: steps, their arguments, values of a kind."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from flowbuilder.errors import PlanningError, Problem
from flowbuilder.planner.coercion import texts_of
from flowbuilder.planner.document import steps_of, tool_of
from flowbuilder.planner.rules.lexicon import lexicon, name_words, stem, stems, words
from flowbuilder.planner.rules.literals import Kind, find_literals
from flowbuilder.planner.rules.matching import ACCEPTS, Profile, ToolIndex
from flowbuilder.planner.rules.slots import Slot, SlotKind
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonValue

#: How much of what is said must speak of a step.
_ENOUGH = 0.45
#: Steps that fit nearly as well are rivals.
_MARGIN = 0.1
_ORDINALS = {"first": 0, "second": 1, "third": 2, "fourth": 3, "fifth": 4, "last": -1, "final": -1}
_NO_CONTENT = stems("step steps task part tool flow plan anymore")
#: What people call an argument by the kind of value that it takes.
_CALLED: dict[str, frozenset[SlotKind]] = {
    "recipient": frozenset({SlotKind.EMAIL, SlotKind.PHONE, SlotKind.CHANNEL}),
    "receiver": frozenset({SlotKind.EMAIL, SlotKind.PHONE, SlotKind.CHANNEL}),
    "addressee": frozenset({SlotKind.EMAIL}),
    "address": frozenset({SlotKind.EMAIL, SlotKind.URL}),
    "email": frozenset({SlotKind.EMAIL}),
    "mail": frozenset({SlotKind.EMAIL}),
    "phone": frozenset({SlotKind.PHONE}),
    "channel": frozenset({SlotKind.CHANNEL}),
    "room": frozenset({SlotKind.CHANNEL}),
    "file": frozenset({SlotKind.PATH}),
    "filename": frozenset({SlotKind.PATH}),
    "path": frozenset({SlotKind.PATH}),
    "url": frozenset({SlotKind.URL}),
    "link": frozenset({SlotKind.URL}),
    "page": frozenset({SlotKind.URL}),
    "site": frozenset({SlotKind.URL}),
    "website": frozenset({SlotKind.URL}),
    "language": frozenset({SlotKind.LANGUAGE}),
    "currency": frozenset({SlotKind.CURRENCY}),
    "date": frozenset({SlotKind.DATE}),
    "day": frozenset({SlotKind.DATE}),
    "city": frozenset({SlotKind.PLACE}),
    "place": frozenset({SlotKind.PLACE}),
    "subject": frozenset({SlotKind.TITLE}),
    "title": frozenset({SlotKind.TITLE}),
    "heading": frozenset({SlotKind.TITLE}),
    "text": frozenset({SlotKind.TEXT}),
    "body": frozenset({SlotKind.TEXT}),
    "message": frozenset({SlotKind.TEXT}),
    "wording": frozenset({SlotKind.TEXT}),
    "condition": frozenset({SlotKind.EXPRESSION}),
}
#: Names that arguments for how much have.
_LIMITS = frozenset({"limit", "top", "n", "count", "max", "maximum", "size", "number"})
_OF = re.compile(
    r"^(?P<name>.+?)\s+(?:of|for|in|on|from)\s+(?:the\s+)?(?P<step>.+)$", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """An argument of a step."""

    step: str
    name: str
    slot: Slot


class Map:
    """A document with what is known of its tools."""

    def __init__(self, document: JsonObject, registry: ToolRegistry, index: ToolIndex) -> None:
        self.document = document
        self._registry = registry
        self._profiles = {profile.tool.name: profile for profile in index.profiles}

    def profile(self, step: JsonObject) -> Profile | None:
        """Return what is known of a step's tool."""
        tool = tool_of(step, self._registry)
        return self._profiles.get(tool.name) if tool is not None else None

    def step(self, text: str) -> str | None:
        """Return the id of the step that words speak of, None if they speak of none.

        Raises:
            PlanningError: They speak of several (edit_ambiguous).
        """
        ids = [str(step.get("id")) for step in steps_of(self.document)]
        named = [name for name in ids if _is_named(name, text)]
        if len(named) == 1:
            return named[0]
        said = [word for word in words(text) if _is_content(word.stem)]
        ordinal = next((word.lower for word in words(text) if word.lower in _ORDINALS), None)
        said = [word for word in said if word.lower not in _ORDINALS]
        literals = [str(item.value).casefold() for item in find_literals(text)]
        if not said and not literals:
            return _nth(ids, ordinal) if ordinal is not None else None
        scores = {
            str(step.get("id")): self._speaks_of(step, [w.stem for w in said], literals)
            for step in steps_of(self.document)
        }
        best = max(scores.values(), default=0.0)
        if best < _ENOUGH:
            return None
        likely = [name for name in ids if scores[name] >= best - _MARGIN]
        if ordinal is not None:
            return _nth(likely, ordinal)
        if len(likely) > 1:
            ambiguous(text, likely, "steps")
        return likely[0]

    def _speaks_of(self, step: JsonObject, said: Sequence[str], literals: Sequence[str]) -> float:
        """Return how much of what is said a step accounts for, from 0 to 1."""
        given = step.get("args")
        values = [
            text.casefold()
            for value in (given.values() if isinstance(given, dict) else ())
            for text in texts_of(value)
        ]
        own = {stem(part) for part in name_words(str(step.get("id")))}
        profile = self.profile(step)
        held = [max(_near(word, own, profile), 0.6 * _in_texts(word, values)) for word in said]
        held += [float(any(literal in value for value in values)) for literal in literals]
        return sum(held) / len(held)

    def arguments(self, text: str) -> list[Place]:
        """Return the arguments that words name, "the subject of the mail" of that step alone."""
        found = self._named(text)
        if found:
            return found
        split = _OF.match(text)
        if split is None:
            return []
        step = self.step(split["step"])
        places = self._named(split["name"])
        return [place for place in places if step is None or place.step == step]

    def of_kind(self, value: str) -> list[Place]:
        """Return the arguments that hold a value of the same kind: an address for an address."""
        kinds = _kinds(value)
        return [place for place in self._accepting(kinds) if self._holds(place, kinds)]

    def taking(self, value: str) -> list[Place]:
        """Return the arguments that are made for a value of this kind and take no result."""
        places = self._accepting(_kinds(value))
        return [place for place in places if "${{" not in str(self.given(place))]

    def _accepting(self, kinds: Iterable[Kind]) -> list[Place]:
        accepted = frozenset[SlotKind]().union(*(ACCEPTS.get(kind, ()) for kind in kinds))
        return [place for place in self._places() if place.slot.kind in accepted]

    def _holds(self, place: Place, kinds: Iterable[Kind]) -> bool:
        texts = texts_of(self.given(place))
        found = {item.kind for text in texts if "${{" not in text for item in find_literals(text)}
        return bool(found & set(kinds)) or any(
            place.slot.kind is SlotKind.CHANNEL and text and "${{" not in text for text in texts
        )

    def given(self, place: Place) -> JsonValue:
        """Return what an argument holds, None if nothing."""
        step = next(one for one in steps_of(self.document) if one.get("id") == place.step)
        arguments = step.get("args")
        return arguments.get(place.name) if isinstance(arguments, dict) else None

    def _named(self, text: str) -> list[Place]:
        """Return the arguments of this name: set ones before others, exact before alike."""
        wanted = [word.lower for word in words(text) if word.lower not in ("the", "a", "an")]
        name = "_".join(wanted)
        every = list(self._places())
        exact = [place for place in every if "_".join(name_words(place.name)) == name]
        alike = exact or [p for p in every if _is_called(wanted, p)]
        present = [place for place in alike if self.given(place) is not None]
        return present or alike

    def _places(self) -> Iterable[Place]:
        for step in steps_of(self.document):
            profile = self.profile(step)
            for slot in profile.slots if profile is not None else ():
                yield Place(step=str(step.get("id")), name=slot.name, slot=slot)


def ambiguous(text: str, candidates: Sequence[str], what: str) -> NoReturn:
    """Refuse words that may mean several things. Raises: PlanningError (edit_ambiguous)."""
    message = f"“{text}” could mean the {what} {', '.join(candidates)}"
    raise PlanningError(
        message,
        problems=[Problem(code="edit_ambiguous", pointer="", message=message)],
        code="edit_ambiguous",
        hint="Name the step by its id.",
    )


def _kinds(value: str) -> set[Kind]:
    """Return what a value is as a whole."""
    return {item.kind for item in find_literals(value) if item.text.strip() == value.strip()}


def _is_named(name: str, text: str) -> bool:
    plain = re.escape(name)
    spaced = re.escape(name.replace("_", " "))
    return re.search(rf"(?<![\w.]){plain}(?!\w)|^(?:the )?{spaced}(?: step)?$", text) is not None


def _is_content(word: str) -> bool:
    return word not in lexicon().fillers and word not in _NO_CONTENT


def _near(word: str, own: set[str], profile: Profile | None) -> float:
    """Return how near a word is to a step's name or to what its tool does, from 0 to 1."""
    if word in own:
        return 1.0
    if profile is None:
        return 0.0
    if word in profile.weights:
        return profile.weights[word]
    related = {**lexicon().actions.get(word, {}), **lexicon().things.get(word, {})}
    found = [degree * profile.weights.get(other, 0.0) for other, degree in related.items()]
    return 0.9 * max(found, default=0.0)


def _in_texts(word: str, texts: Sequence[str]) -> bool:
    return any(word in {item.stem for item in words(text)} for text in texts)


def _nth(names: Sequence[str], ordinal: str) -> str | None:
    place = _ORDINALS[ordinal]
    return names[place] if -len(names) <= place < len(names) else None


def _is_called(wanted: Sequence[str], place: Place) -> bool:
    """Whether words are what people call an argument: by its kind, or by a part of its name."""
    if not wanted:
        return False
    own = {stem(part) for part in name_words(place.name)}
    for word in wanted:
        bare = word.removesuffix("s")
        kinds = _CALLED.get(word) or _CALLED.get(bare) or frozenset()
        counts = bare in _LIMITS and place.slot.kind is SlotKind.NUMBER
        limits = counts and bool({*name_words(place.name)} & _LIMITS)
        if not (stem(word) in own or place.slot.kind in kinds or limits):
            return False
    return True
