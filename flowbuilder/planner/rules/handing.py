"""Things that a clause names for another tool to get: "summarize *the document "Plan"*"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from flowbuilder.planner.rules.arguments import Binding
from flowbuilder.planner.rules.binding import bind
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.fields import lists_fields
from flowbuilder.planner.rules.inner import emptied, piece
from flowbuilder.planner.rules.instructions import instructs, is_instruction
from flowbuilder.planner.rules.lexicon import Word, lexicon, name_words, stem, stems
from flowbuilder.planner.rules.literals import Kind, Literal
from flowbuilder.planner.rules.matching import Profile, ToolIndex
from flowbuilder.planner.rules.outputs import StepDraft, consumes, referenced
from flowbuilder.planner.rules.reading import SILENCE, new_id
from flowbuilder.planner.rules.referring import CARRIERS, CONTENT
from flowbuilder.planner.rules.slots import Slot, SlotKind
from flowbuilder.planner.rules.speaking import nouns
from flowbuilder.planner.rules.valued import takes_the_name
from flowbuilder.toolkit import is_starter

_POINTING = re.compile(r"\b(?:it|them|this|that|these|those|both)\b(?!\s+\w+\s+(?:of|in)\b)", re.I)
_LOADED = frozenset({SlotKind.PATH, SlotKind.URL})
_BLANK = stems("id name code number no key ref title query topic text of the to from in on")
_SEPARATE = re.compile(r"[^\w\"'“”„«»]*")
_LINKS = re.compile(r"\b(?:from|with|about|on|using|for)\s", re.IGNORECASE)
#: Nouns for what has a title and a content of its own, in whatever catalogue.
_STORED = stems(
    "document report article page contract letter presentation spreadsheet book chapter paper "
    "manual memo transcript recording minutes file wiki post ticket thread agreement handbook guide"
)
#: Nouns for what stands in quotes as it is.
_SPOKEN = stems(
    "text message sentence phrase note question quote comment line word content body reply answer "
    "task reminder name title poem translation summary string words paragraph"
)
_NOUN_BEFORE = re.compile(r"([A-Za-z]+)(?:\s+(?:called|named|titled|entitled))?[\s:,]*[\"'“„«‘]?$")


@dataclass(frozen=True, slots=True)
class Handed:
    """The tool that gets what a clause names, with its arguments, and its part of the clause."""

    profile: Profile
    binding: Binding
    inner: Clause
    rivals: tuple[str, ...] = ()

    @property
    def before(self) -> Clause:
        """The words that stand before the thing itself: "a summary of the document"."""
        first = min(start for start, _ in self.binding.used)
        return piece(self.inner, self.inner.start, max(first, self.inner.start))


def handed(
    clause: Clause, outer: Profile, index: ToolIndex, steps: list[StepDraft]
) -> Handed | None:
    """Return what has to be got first for a tool that takes content, None if nothing has.

    The one that gets it is harmless, is spoken of by its noun or its parameter's, and finds all it
    needs in what the outer tool's other parameters leave of the clause.
    """
    verb = clause.verb
    if verb is None or instructs(outer):
        return None
    content = [slot for slot in outer.slots if _is_content(slot)]
    binding = bind(outer, clause, steps)
    titled = _titled(index)
    if not content or _given(content, binding, clause, titled):
        return None
    if _settled(clause, content, binding) or lists_fields(clause, steps):
        return None
    taken = _taken(outer, content, clause, binding, titled)
    rest = _rest(clause, verb, taken)
    found = list(_givers(clause, rest, outer, content, index, steps, taken))
    if not found:
        return None
    best = max(found, key=lambda one: one[0])
    rivals = [other.profile.tool.name for score, other in found if other is not best[1]
              and score >= best[0]]  # fmt: skip
    return replace(best[1], rivals=tuple(rivals))


def _is_content(slot: Slot) -> bool:
    if is_instruction(slot) or slot.kind not in CONTENT:
        return False
    return slot.required or slot.name in CARRIERS


def _given(
    content: Sequence[Slot], binding: Binding, clause: Clause, titled: frozenset[str]
) -> bool:
    """Whether a text in quotes is what is wanted, and not the name of something."""
    for item in clause.literals:
        held = any(binding.args.get(slot.name) == item.value for slot in content)
        if held and item.kind is Kind.QUOTED and not _led_by_noun(item, clause, titled):
            return True
    return False


def _titled(index: ToolIndex) -> frozenset[str]:
    """Return the nouns for what has a title: common ones, and those of tools that get something."""
    own = {noun for profile in index.profiles if not consumes(profile) for noun in nouns(profile)}
    return _STORED | (own - _SPOKEN)


def _settled(clause: Clause, content: Sequence[Slot], binding: Binding) -> bool:
    """Whether a pronoun says that an earlier result is meant."""
    refers = any("${{" in str(binding.args.get(slot.name)) for slot in content)
    return refers and _POINTING.search(clause.text) is not None


def _taken(
    outer: Profile,
    content: Sequence[Slot],
    clause: Clause,
    binding: Binding,
    titled: frozenset[str],
) -> list[tuple[int, int]]:
    """Return the places of what the outer tool's other parameters take.

    The title of something that another tool gets is not taken: "slides from the document "Look"".
    """
    names = {slot.name for slot in content}
    values = [str(binding.args[name]) for name in names & binding.args.keys()]
    own = {part for slot in outer.slots for part in slot.stems}
    free = {
        item.start
        for item in clause.literals
        if item.kind is Kind.QUOTED and _led_by_noun(item, clause, titled - own)
    }

    def held(start: int, end: int) -> bool:
        said = clause.text[start - clause.start : end - clause.start]
        bare = said.strip("\"'“”„«»")
        return bare in values if bare != said else any(bare in value for value in values)

    listed = [
        (item.start, item.end)
        for item in clause.literals
        if any(item.value in values for values in binding.repeats.values())
    ]
    return [
        (start, end)
        for start, end in (*binding.used, *(one for one in listed if one not in binding.used))
        if start >= clause.start and start not in free and not held(start, end)
    ]


def _rest(clause: Clause, verb: Word, taken: Sequence[tuple[int, int]]) -> Clause:
    """Return what is left of a clause after its verb, the places kept."""
    parts = list(clause.text)
    for start, end in [(clause.start, verb.end), *taken]:
        for place in range(max(start - clause.start, 0), min(end - clause.start, len(parts))):
            parts[place] = " "

    def free(item: Word | Literal) -> bool:
        inside = any(start <= item.start < end for start, end in taken)
        return item.start >= verb.end and not inside

    return replace(
        piece(clause, clause.start, clause.end),
        text="".join(parts),
        words=tuple(word for word in clause.words if free(word)),
        literals=tuple(item for item in clause.literals if free(item)),
    )


def _givers(
    clause: Clause,
    rest: Clause,
    outer: Profile,
    content: Sequence[Slot],
    index: ToolIndex,
    steps: list[StepDraft],
    taken: Sequence[tuple[int, int]],
) -> Iterator[tuple[float, Handed]]:
    """Return the tools that could get what the rest of a clause names, with how well they fit."""
    own = set(nouns(outer))
    given = bind(outer, clause, steps).args
    for profile in index.profiles:
        if profile is outer or not _gets(profile, content, steps):
            continue
        binding = bind(profile, rest, [])
        keys = _keys(profile, binding)
        said = [
            word for word in rest.words if _speaks(word, profile, own) and word.text not in keys
        ]
        if not said or binding.missing or not _sound(profile, binding, rest):
            continue
        if any(step.profile is profile and step.args == binding.args for step in steps):
            continue
        if takes_the_name(outer, profile, given, clause.text):
            continue
        inner = _span(clause, said, binding, taken)
        if inner is None or _leaves(rest, binding):
            continue
        named = len({word.stem for word in said} & _named(profile))
        score = 2.0 * named + len(said) - len(binding.guessed)
        yield score, Handed(profile, binding, inner)


def _keys(profile: Profile, binding: Binding) -> set[str]:
    """Return the values of a tool's required parameters as text."""
    return {str(binding.args.get(slot.name, "")) for slot in profile.slots if slot.required}


def _gets(profile: Profile, content: Sequence[Slot], steps: list[StepDraft]) -> bool:
    """Whether a harmless tool finds something by its key and gives what the content takes."""
    required = [slot for slot in profile.slots if slot.required]
    if not required or is_starter(profile.tool) or consumes(profile):
        return False
    if profile.tool.needs_model or instructs(profile):
        return False
    if any(slot.kind in _LOADED | CONTENT - {SlotKind.TEXT} for slot in required):
        return False
    if any(slot.kind is SlotKind.TEXT and slot.name in CARRIERS for slot in required):
        return False
    draft = StepDraft(id=new_id(profile, steps), profile=profile, clause=None)
    return any(referenced(slot, draft, SILENCE) is not None for slot in content)


def _speaks(word: Word, profile: Profile, own: set[str]) -> bool:
    """Whether a word is a noun of a tool's name, or names a parameter that it needs."""
    if word.stem in own:
        return False
    near = lexicon().nearness
    if any(word.stem == noun or near(word.stem, noun) >= 0.85 for noun in _named(profile)):
        return True
    if word.stem in profile.told - _BLANK:
        return True
    return any(word.stem in slot.stems - _BLANK for slot in profile.slots if slot.required)


def _named(profile: Profile) -> set[str]:
    """Return the stems of what a tool is named for; `reviews.list` is about reviews."""
    family, _, rest = profile.tool.name.partition(".")
    first = {stem(part) for part in name_words(family)} if rest else set()
    return {*nouns(profile), *(first - _WHOLE - _SPOKEN)}


def _sound(profile: Profile, binding: Binding, rest: Clause) -> bool:
    """Whether the arguments are names and literals, not words that were left over."""
    for slot in profile.slots:
        value = binding.args.get(slot.name)
        if not slot.required:
            continue
        literal = next((item for item in rest.literals if item.value == value), None)
        if slot in binding.guessed and literal is None:
            return False
        texts = slot.kind is SlotKind.TEXT and slot.stems & stems("text body message content")
        if texts and (literal is None or literal.kind is not Kind.QUOTED):
            return False
        if "${{" in str(value):
            return False
    return True


def _span(
    clause: Clause, said: Sequence[Word], binding: Binding, taken: Sequence[tuple[int, int]]
) -> Clause | None:
    """Return the part of a clause that names the thing, from its first word to its last."""
    verb = clause.verb
    used = [span for span in binding.used if span[0] >= clause.start]
    if not used or verb is None:
        return None
    first = min([start for start, _ in used] + [word.start for word in said])
    last = max([end for _, end in used] + [word.end for word in said])
    begin = max([verb.end, *(end for _, end in taken if end <= first)])
    for link in _LINKS.finditer(clause.text, begin - clause.start, first - clause.start):
        begin = clause.start + link.start()
    gap = _SEPARATE.match(clause.text, begin - clause.start)
    begin = clause.start + gap.end() if gap else begin
    end = min([last, *(start for start, _ in taken if first < start < last)])
    inner = piece(clause, min(begin, first), end)
    return inner if inner.text.strip() else None


def _leaves(rest: Clause, binding: Binding) -> bool:
    """Whether a quoted text is left outside that the tool does not take."""
    return any(
        item.kind is Kind.QUOTED
        and not any(start <= item.start < end for start, end in binding.used)
        for item in rest.literals
    )


def hand_over(clause: Clause, found: Handed) -> Clause:
    """Return the clause with a pronoun for what another tool gets; a field's name stays."""
    rest = emptied(clause, found.inner)
    told = found.profile.told - _named(found.profile)
    fields = tuple(word for word in found.inner.words if word.stem in told)
    words = sorted((*rest.words, *fields), key=lambda word: word.start)
    return replace(rest, words=tuple(words))


def made_of(found: Handed, index: ToolIndex, outer: Profile) -> tuple[list[Profile], list[str]]:
    """Return the tools for what is made of the thing, and the words that no tool accounts for.

    "Mail *a summary* of the document "Plan"" takes one more step than mailing the document.
    """
    near = lexicon().nearness
    tools: list[Profile] = []
    left: list[str] = []
    field = False
    for word in found.before.words:
        before, field = field, word.stem in found.profile.told
        known = word.stem in lexicon().fillers or word.stem in _WHOLE
        if known or (before and word.lower == "number of") or _accounts(found.profile, word):
            continue
        makers = [
            profile
            for profile in index.profiles
            if profile is not outer and _makes(profile)
            and any(near(word.stem, verb) >= 0.75 for verb in profile.verbs)
        ]  # fmt: skip
        if len(makers) == 1:
            tools += makers if makers[0] not in tools else []
        else:
            left.append(word.text)
    return tools, left


#: Nouns for all of something.
_WHOLE = stems(
    "text content contents value list copy full whole entire complete all current details detail "
    "information info data entries rows row wording body result results latest exact original"
)


def _accounts(profile: Profile, word: Word) -> bool:
    """Whether a word is one of a tool's own, or names a value that it takes or gives."""
    own = {part for slot in profile.slots for part in slot.stems} | profile.told
    near = lexicon().nearness
    return word.stem in own or any(near(word.stem, noun) >= 0.85 for noun in _named(profile))


def _makes(profile: Profile) -> bool:
    """Whether a harmless tool turns a content, and nothing else that it needs, into another."""
    required = [slot for slot in profile.slots if slot.required]
    turns = bool(required) and all(slot.kind in CONTENT for slot in required)
    return turns and not consumes(profile) and not instructs(profile)


def _led_by_noun(item: Literal, clause: Clause, known: frozenset[str]) -> bool:
    before = _NOUN_BEFORE.search(clause.text[: max(item.start - clause.start, 0)])
    return before is not None and stem(before.group(1)) in known


def titles_only(clause: Clause, step: StepDraft, index: ToolIndex) -> Iterator[str]:
    """Say which content is only the title of a thing: "the document "Plan""."""
    titled = _titled(index)
    for slot in step.profile.slots:
        value = step.args.get(slot.name)
        if slot.kind not in CONTENT or not isinstance(value, str):
            continue
        for item in clause.literals:
            held = item.kind is Kind.QUOTED and item.value == value
            if held and _led_by_noun(item, clause, titled - slot.stems):
                yield f"“{item.text}” in “{clause.text}” may only name what is meant"
