"""Phrasal verbs: "back up" and the tool `backup`, "shut it down", and never "off" for "on"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.lexicon import Word, lexicon, stem, stems, words

PARTICLES = frozenset({"up", "down", "out", "off", "on", "in", "over", "away", "back"})
_OPPOSITES = {"on": "off", "up": "down", "in": "out"}
_OPPOSITES |= {other: one for one, other in _OPPOSITES.items()}
#: Words after a particle that stands apart from its verb, and leads nothing in.
_AFTER = frozenset({"and", "then", "at", "to", "for", "with", "by", "from", "before", "of"})
#: How near two verbs are if a particle turns the one round as it does the other.
_ALIKE = 0.4
#: Verbs that only say that what their noun names is done: "create a backup" is to back up.
_DOING = stems("create make take do run start perform execute set trigger request add get")


def phrasal(word: str) -> str | None:
    """Return the stems of the verb that a solid noun belongs to, `back up` for `backup`."""
    for particle in sorted(PARTICLES):
        verb = word.lower().removesuffix(particle)
        if verb != word.lower() and len(verb) > 2 and verb.isalpha():
            return f"{stem(verb)} {particle}"
    return None


def phrasal_verbs(verbs: frozenset[str]) -> frozenset[str]:
    """Return those of some verbs that end with a particle."""
    return frozenset(verb for verb in verbs if verb.rpartition(" ")[2] in PARTICLES and " " in verb)


def named_phrasal(names: Sequence[str]) -> frozenset[str]:
    """Return the phrasal verbs in the parts of a tool's name, written apart or as one word."""
    pairs = {f"{stem(one)} {other}" for one, other in pairwise(names) if other in PARTICLES}
    return frozenset(pairs | {verb for part in names if (verb := phrasal(part)) is not None})


def ordered_by_noun(names: Sequence[str], apart: frozenset[str]) -> frozenset[str]:
    """Return the phrasal verbs that say what a tool does: `backup.create`, not `log_workout`."""
    solid = {verb for part in names if (verb := phrasal(part)) is not None}
    others = {stem(part) for part in names} & lexicon().actions.keys() - _DOING
    others -= {verb.replace(" ", "") for verb in solid}
    inside = {part for verb in apart for part in verb.split()}
    return apart if not others - inside else apart - solid


def opposed(clause: Clause, named: frozenset[str]) -> bool:
    """Whether a clause orders the opposite of what a tool is named for: "turn it off"."""
    if not named:
        return False
    near = lexicon().nearness
    said = [*_said(clause, named)]
    for verb, particle in said:
        for other in named:
            known, _, own = other.rpartition(" ")
            if (verb, particle) == (known, own):
                return False
            if _OPPOSITES.get(particle) == own and (known == verb or near(verb, known) >= _ALIKE):
                return True
    return False


def turned(clause: Clause, named: frozenset[str]) -> str | None:
    """Return the particle that gives a tool's verb another meaning: "back *out* of the deal"."""
    verbs = {verb.rpartition(" ")[0]: verb.rpartition(" ")[2] for verb in named}
    for verb, particle in _said(clause, named):
        if verb in verbs and f"{verb} {particle}" not in named:
            return particle
    return None


def _said(clause: Clause, named: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Return the verb that begins a clause with each particle that may belong to it."""
    found = [word for word in words(clause.text, start=clause.start) if not _quoted(word, clause)]
    opening = clause.start + clause.opening
    verbs = {verb.rpartition(" ")[0] for verb in named}
    first = clause.verb.start if clause.verb is not None else opening
    places = [place for place, word in enumerate(found[:2]) if word.stem in verbs]
    places += [place for place, word in enumerate(found) if word.start == first]
    for place in places[:1]:
        for later, word in enumerate(found[place + 1 :], start=place + 1):
            following = found[later + 1 : later + 2]
            apart = not following or following[0].lower in _AFTER
            if word.lower in PARTICLES and (later == place + 1 or apart):
                yield found[place].stem, word.lower


def _quoted(word: Word, clause: Clause) -> bool:
    return any(item.start <= word.start < item.end for item in clause.literals)
