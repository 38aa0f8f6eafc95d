"""How far a goal speaks of the tools: the rules' reading of its clauses, as a hint about steps."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property

from flowbuilder.errors import Fix, PlanningError, Problem, Severity
from flowbuilder.planner.document import steps_of
from flowbuilder.planner.forgetting import shortens, wants_gist
from flowbuilder.planner.grounding import GENERAL, Ground, stems
from flowbuilder.planner.literals import literals
from flowbuilder.planner.rules.clause import Clause
from flowbuilder.planner.rules.clauses import MAX_CLAUSES, split_goal
from flowbuilder.planner.rules.lexicon import lexicon, words
from flowbuilder.planner.rules.matching import Match, Profile, ToolIndex
from flowbuilder.planner.rules.speaking import GENERAL as SEEING
from flowbuilder.tools import HARMLESS, Tool
from flowbuilder.types import JsonObject

#: Nearness from which on two verbs say much the same, and the very same.
_NEAR, _SAME = 0.5, 0.9
#: Steps that are always allowed.
_FEW = 6


def unspoken_changes(
    document: JsonObject, tools: Sequence[Tool], goal: str, ground: Ground
) -> list[Problem]:
    """Return a warning for each step that changes a text as no word of the goal says.

    Such as a summary where a figure was asked for: a small model puts it there when it has no
    better idea. Values of its own that the goal names, a language or a length, speak for it.
    """
    relevance, problems = Relevance(goal, tools), []
    by_name = {tool.name: tool for tool in tools}
    steps = document.get("steps")
    for index, step in enumerate(steps if isinstance(steps, list) else []):
        tool = by_name.get(str(step.get("tool"))) if isinstance(step, dict) else None
        given = step.get("args") if isinstance(step, dict) else None
        if tool is None or tool.effects not in HARMLESS or not isinstance(given, dict):
            continue
        own = [value for value in given.values() if "${{" not in repr(value)]
        if len(own) == len(given) or any(ground.holds(value) for value in own):
            continue
        if not relevance.orders(tool) and not (shortens(tool) and wants_gist(goal)):
            problems.append(
                Problem(
                    code="change_unspoken",
                    pointer=f"/steps/{index}",
                    message=f"no word of the goal asks for {tool.name}",
                    severity=Severity.WARNING,
                )
            )
    return problems


def unused_acts(document: JsonObject, tools: Sequence[Tool], goal: str) -> list[Problem]:
    """Return a warning for each tool that a goal speaks of in the words of its name, unused.

    Only of tools that act; and of such as `send` or `create`, which goals say of anything, only
    where a plan has fewer steps than the goal has clauses.
    """
    spoken, relevance = stems(goal), Relevance(goal, tools)
    used = {str(step.get("tool")) for step in steps_of(document)}
    short = len(steps_of(document)) < relevance.clauses < MAX_CLAUSES
    return [
        Problem(
            code="tool_forgotten",
            pointer="",
            message=f"the goal speaks of {tool.name}, and no step uses it",
            hint="Add a step of it if the goal asks for that.",
            severity=Severity.WARNING,
            fix=Fix.MODEL,
        )
        for tool in tools
        if tool.effects not in HARMLESS and tool.name not in used
        if (stems(_act(tool)) - GENERAL and stems(tool.name.replace("_", " ")) <= spoken)
        or (short and stems(_thing(tool)) & spoken and relevance.orders(tool))
    ]


def unmet_orders(document: JsonObject, tools: Sequence[Tool], goal: str) -> list[Problem]:
    """Return a warning for each clause of a goal that orders an act which no step does.

    Only where some tool acts as its verb says, and none of the used ones is near to that verb.
    """
    relevance, known, problems = Relevance(goal, tools), lexicon(), []
    used = {str(step.get("tool")).partition("@")[0] for step in steps_of(document)}
    for clause, verb in relevance.orders_of_clauses:
        doing = [
            (profile.tool, max((known.nearness(verb, own) for own in profile.verbs), default=0.0))
            for profile in relevance.profiles
        ]
        acts = any(near >= _SAME and tool.effects not in HARMLESS for tool, near in doing)
        if acts and not any(near >= _NEAR and tool.name in used for tool, near in doing):
            problems.append(
                Problem(
                    code="order_unmet",
                    pointer="",
                    message=f"the goal says “{clause}”, and no step does that",
                    hint="Add the step that does it; ask for what the goal leaves out.",
                    severity=Severity.WARNING,
                    fix=Fix.MODEL,
                )
            )
    return problems


def unasked_writing(document: JsonObject, tools: Sequence[Tool], goal: str) -> list[Problem]:
    """Return a warning for each step that lets a model write what no word of the goal orders.

    A model that understands nothing hands the whole goal on to another one. Who asks a question
    may well be answered so.
    """
    if goal.rstrip().endswith("?"):
        return []
    relevance, by_name = Relevance(goal, tools), {tool.name: tool for tool in tools}
    problems = []
    for index, step in enumerate(steps_of(document)):
        tool = by_name.get(str(step.get("tool")).partition("@")[0])
        given = step.get("args")
        if tool is None or not tool.needs_model or "${{" in repr(given) or relevance.orders(tool):
            continue
        problems.append(
            Problem(
                code="writing_unasked",
                pointer=f"/steps/{index}",
                message=f"no word of the goal asks for anything that {tool.name} writes",
                severity=Severity.WARNING,
                fix=Fix.USER,
            )
        )
    return problems


def _thing(tool: Tool) -> str:
    return tool.name.rpartition(".")[0].replace("_", " ")


def _act(tool: Tool) -> str:
    return tool.name.rpartition(".")[2].replace("_", " ")


def likely_steps(goal: str, tools: Sequence[Tool]) -> int:
    """Return how many steps a plan has at most that does what a goal says, generously counted.

    Small models that have no better idea write the same step over and over.
    """
    return max(_FEW, 2 * Relevance(goal, tools).clauses + len(literals(goal)) + 2)


def mean_the_same(tools: Sequence[Tool], others: Sequence[Tool]) -> list[tuple[Tool, list[Tool]]]:
    """Return each tool with those of the others that do the same by their verbs."""
    known = lexicon()
    theirs = ToolIndex(others).profiles
    return [
        (
            own.tool,
            [
                other.tool
                for other in theirs
                if any(known.nearness(a, b) >= _SAME for a in own.verbs for b in other.verbs)
            ],
        )
        for own in ToolIndex(tools).profiles
    ]


class Relevance:
    """The clauses of a goal, and the tools that they may mean. Cheap until it is asked."""

    def __init__(self, goal: str, tools: Sequence[Tool]) -> None:
        self._goal, self._tools = goal, tools

    @cached_property
    def clauses(self) -> int:
        """How many things the goal asks for; very many where that cannot be told."""
        return len(self._clauses) or MAX_CLAUSES

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """The tools as the rules see them."""
        return self._index.profiles

    @property
    def orders_of_clauses(self) -> list[tuple[str, str]]:
        """The clauses that order something by a verb of their own, and the verb's stem."""
        return [
            (clause.text.strip(), clause.verb.stem)
            for clause in self._clauses
            if clause.verb is not None and clause.verb.stem not in SEEING
            if not (clause.question or clause.negated or clause.asks_approval)
        ]

    def orders(self, tool: Tool, *, plainly: bool = False) -> bool:
        """Whether any word of the goal means what the tool does, such as "look up" for `find`.

        Plainly: it says just that, and not "take" for `select`.
        """
        profile = next((item for item in self._index.profiles if item.tool is tool), None)
        if profile is None:
            return True
        known = lexicon()
        said = {item.stem for item in known.units(words(self._goal))}
        least = _SAME if plainly else _NEAR
        return any(known.nearness(word, verb) >= least for word in said for verb in profile.verbs)

    def doubtful(self, used: Collection[str]) -> list[str]:
        """Return the harmless ones of the used tools in whose place another one fits better.

        That other one is harmless too, shares a word with the clause, and is not used.
        """
        found = []
        for tool in self._tools:
            if tool.name not in used or tool.effects not in HARMLESS:
                continue
            ranks = [self._index.rank(clause) for clause in self._clauses]
            own = [_of(tool, rank) for rank in ranks]
            place = max(range(len(ranks)), key=lambda index: own[index].score, default=None)
            if place is not None and any(
                other.score > own[place].score
                and other.explained
                and other.tool.effects in HARMLESS
                and other.tool.name not in used
                for other in ranks[place]
            ):
                found.append(tool.name)
        return found

    @cached_property
    def _index(self) -> ToolIndex:
        return ToolIndex(self._tools)

    @cached_property
    def _clauses(self) -> list[Clause]:
        try:
            return split_goal(self._goal, self._index.verbs)
        except PlanningError:
            return []


def _of(tool: Tool, rank: Sequence[Match]) -> Match:
    return next(match for match in rank if match.tool is tool)
