"""The rounds in which a model mends its plan by patches, between deterministic repair and the end.

Each round shows the problems and the steps that have them, and takes back steps by their ids. What
ails no step and is not named stays as it is, byte by byte. The rounds end when nothing is wrong,
when a round was of no use, or after the second.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace

from flowbuilder.errors import (
    Fix,
    ModelError,
    ModelOutputError,
    NoFittingTool,
    Problem,
    Severity,
)
from flowbuilder.models import LanguageModel
from flowbuilder.planner import prompting
from flowbuilder.planner.ailing import (
    Ailing,
    ailing,
    fingerprint,
    is_ailing,
    request_parts,
)
from flowbuilder.planner.base import PlanEvent
from flowbuilder.planner.bridging import bridged, taken_out
from flowbuilder.planner.document import steps_of
from flowbuilder.planner.judging import Judgement, assess, judge_draft
from flowbuilder.planner.mending import doubt
from flowbuilder.planner.patching import MOST_ADDED, Patch, may_be_whole, patched, read_patch
from flowbuilder.planner.questioning import question_errors
from flowbuilder.planner.repairing import without_errors
from flowbuilder.planner.schema import patch_schema
from flowbuilder.planner.streaming import require_size
from flowbuilder.planner.telling import repaired, sentence
from flowbuilder.planner.unsupported import unsupported_values
from flowbuilder.planner.wire import Draft
from flowbuilder.planner.work import Work
from flowbuilder.settings import Settings
from flowbuilder.types import JsonObject

#: Rounds of a model, whatever the settings allow.
MOST_ROUNDS = 2
_UNSTATED = "value_unstated"

Rewriting = Callable[..., Awaitable[Judgement]]


class PatchRounds:
    """Mends one judged answer; `best` is the plan in the end.

    Args:
        model: Who wrote the answer.
        settings: `plan_repairs` bounds the rounds, as `MOST_ROUNDS` does.
        work: The goal; attempts and tokens are counted there.
        rewriting: Asks for the whole plan once more, where there is none that could be patched.
    """

    def __init__(
        self, model: LanguageModel, settings: Settings, work: Work, rewriting: Rewriting
    ) -> None:
        self._model, self._settings, self._work = model, settings, work
        self._rewriting = rewriting
        self._said: set[str] = set()
        self._gone: dict[str, JsonObject] = {}
        self.best: Judgement

    async def stream(
        self, judged: Judgement, written: Sequence[JsonObject]
    ) -> AsyncIterator[PlanEvent]:
        """Mend, telling each round; round 0 is what needed no model. `written` were told as steps.

        Raises:
            ModelError: The provider failed, and what there is by then is no plan.
            NoFittingTool: The model says that the goal is not possible.
        """
        current = self._doubted(self._repaired(judged))
        if notes := self._news(current):
            wrong = judged.errors if current is not judged else ()
            yield repaired(0, wrong, notes, written, current)
        self.best = current
        for number in range(1, min(MOST_ROUNDS, self._settings.plan_repairs) + 1):
            if not is_ailing(current):
                break
            found = await self._round(current, fresh=number > 1)
            if found is None:
                break
            found = self._doubted(found)
            before = steps_of(current.document or {})
            yield repaired(number, current.to_mend, self._news(found), before, found)
            self.best = min(self.best, found, key=lambda item: (self._outlook(item), item.rank))
            if fingerprint(found) == fingerprint(current):
                break
            current = found
        unsettled, settled = self.best, self._settled(self.best)
        if settled is not unsettled:
            before = steps_of(unsettled.document or {})
            yield repaired(0, unsettled.errors, self._news(settled), before, settled)
        self.best = _undoubted(settled)

    def _news(self, judged: Judgement) -> tuple[str, ...]:
        """Return what was done to a plan and not told yet, a sentence each."""
        told = [*judged.notes, *(sentence(item) for item in judged.doubts)]
        fresh = [item for item in dict.fromkeys(told) if item not in self._said]
        self._said.update(fresh)
        return tuple(fresh)

    async def _round(self, judged: Judgement, *, fresh: bool) -> Judgement | None:
        """Ask once; None when that failed and there is a plan without it."""
        try:
            if judged.document is None or judged.unfit or not judged.size:
                return self._repaired(await self._rewriting(self._work, judged, fresh=fresh))
            return await self._patched(judged)
        except ModelError:
            unusable, errors, _ = self._outlook(self.best)
            if unusable or errors:
                raise
            return None

    async def _patched(self, judged: Judgement) -> Judgement:
        work = self._work
        found = ailing(judged, work.request, work.tools)
        parts = request_parts(judged, found, work.request)
        reply = await self._model.complete_steps(
            prompting.patch_messages(work.request, **parts),
            patch_schema(found.tools, sorted(found.ids), most_added=MOST_ADDED),
        )
        work.count(reply)
        require_size(reply.text, self._settings)
        try:
            patch = read_patch("" if reply.truncated else reply.text)
        except ModelOutputError:
            return judged  # no use: the rounds end
        if patch.impossible is not None and not (patch.steps or patch.removed):
            raise NoFittingTool(
                f"Not possible because: {patch.impossible}",
                problems=judged.problems,
                attempts=work.attempts,
                usage=work.usage.as_json(),
                hint="Leave that part out, or bring a tool for it.",
            )
        made = self._with(judged, patch, found)
        if may_be_whole(judged, patch, found):
            whole = self._with(judged, patch, found, whole=True)
            made = min(made, whole, key=lambda item: self._outlook(item, judged))
        self._gone |= _taken_out(judged, made)
        return made

    def _with(
        self, judged: Judgement, patch: Patch, found: Ailing, *, whole: bool = False
    ) -> Judgement:
        """Return a plan with a patch in it, and with what needs no model mended of the patch.

        What the model was not shown stays as it was, though the patch may have made it wrong: then
        the next round shows it.
        """
        work = self._work
        made = patched(judged, patch, found, work.request, whole=whole)
        after = assess(made.draft, work.request, work.opinion, doubts=made.doubts, strict=True)
        after = replace(after, notes=(*judged.notes, *made.notes))
        unshown = {str(step.get("id")) for step in steps_of(made.draft.document)} - found.ids
        keep = (_sound(after) | unshown) - made.touched
        gone = self._gone | _taken_out(judged, after)
        return self._repaired(self._bridged(after, gone, keep), keep=keep)

    def _outlook(self, judged: Judgement, before: Judgement | None = None) -> tuple[int, int, int]:
        """Return how bad a plan is once the gaps are closed that steps have left."""
        if judged.document is None:
            return judged.rank
        gone = self._gone | (_taken_out(before, judged) if before is not None else {})
        return self._bridged(judged, gone, _sound(judged)).rank

    def _bridged(
        self, judged: Judgement, gone: Mapping[str, JsonObject], keep: Collection[str]
    ) -> Judgement:
        """Return a plan in which who waited for a step that is gone waits for what that one did."""
        document, changes = bridged(judged.document or {}, gone, keep=keep)
        if not changes:
            return judged
        doubts = [*judged.doubts, *(doubt(change) for change in changes)]
        made = Draft(document=document, questions=judged.questions)
        found = assess(made, self._work.request, self._work.opinion, doubts=doubts, strict=True)
        return replace(found, notes=judged.notes)

    def _repaired(self, judged: Judgement, *, keep: Collection[str] = ()) -> Judgement:
        return without_errors(judged, self._work, keep=keep, guess=False)

    def _doubted(self, judged: Judgement) -> Judgement:
        """Return a plan with a doubt for each value that nobody stated: the model may know better.

        What it stays with is asked of a person in the end.
        """
        if judged.document is None or judged.unfit:
            return judged
        found = [
            Problem(
                code=_UNSTATED,
                pointer=question.pointer,
                message="neither the goal nor the input states this value",
                hint="Take what they state or a step gives, or write ${{ ask: the question }}.",
                severity=Severity.WARNING,
                fix=Fix.MODEL,
            )
            for question in unsupported_values(judged.document, self._work.request)
        ]
        return replace(judged, problems=(*judged.problems, *found)) if found else judged

    def _settled(self, best: Judgement) -> Judgement:
        """Return the best plan with what nobody could mend guessed, left out or asked; or as it is.

        Steps without an error stay as they are.
        """
        if not _blocking(best) or best.document is None or best.unfit:
            return best
        sound = _sound(best)
        best = self._bridged(best, self._gone, sound)
        if not _blocking(best):
            return best
        for found in (
            without_errors(best, self._work, keep=sound),
            self._lessened(best, sound),
            question_errors(best, self._work.request),
        ):
            if not _blocking(found):
                return found
        return best

    def _lessened(self, best: Judgement, sound: Collection[str]) -> Judgement:
        """Return a plan without the wrong steps that nobody needs, if that leaves the others."""
        assert best.document is not None
        before = {str(step.get("id")): step for step in steps_of(best.document)}
        made = Draft(document=copy.deepcopy(best.document), questions=best.questions)
        found = judge_draft(made, self._work.request, self._work.opinion)
        left = {str(step.get("id")): step for step in steps_of(found.document or {})}
        if any(name not in left or left[name] != before[name] for name in sound):
            return best
        doubts = [*best.doubts, *found.doubts]
        known = {*found.problems}
        further = [item for item in doubts if item not in known]
        return replace(
            found,
            problems=(*found.problems, *further),
            doubts=tuple(doubts),
            notes=(*best.notes, *found.notes),
        )


def _taken_out(before: Judgement, after: Judgement) -> dict[str, JsonObject]:
    return taken_out(before.document or {}, after.document or {})


def _undoubted(judged: Judgement) -> Judgement:
    """Return a plan without the doubts that become questions."""
    left = tuple(item for item in judged.problems if item.code != _UNSTATED)
    return replace(judged, problems=left)


def _blocking(judged: Judgement) -> bool:
    """Whether anything is wrong that does not become a question anyway."""
    return any(item.code != "literal_invented" for item in judged.errors)


def _sound(judged: Judgement) -> frozenset[str]:
    """Return the ids of the steps without an error."""
    steps = steps_of(judged.document or {})
    wrong = {
        int(item.pointer.split("/")[2])
        for item in judged.errors
        if item.pointer.startswith("/steps/")
    }
    return frozenset(str(step.get("id")) for at, step in enumerate(steps) if at not in wrong)
