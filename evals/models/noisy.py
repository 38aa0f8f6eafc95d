"""A noisy model: an oracle whose plans have defects at a known rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from flowbuilder.evals.models.base import Request
from flowbuilder.evals.models.defects import DEFECTS, Defect, TextDefect
from flowbuilder.evals.models.oracle import OracleModel, written
from flowbuilder.evals.world.faults import fraction
from flowbuilder.types import JsonObject


class NoisyModel(OracleModel):
    """Spoils each step of a gold plan with probability `rate`; the same seed, the same answers.

    A patch of a plan is spoiled at the same rate: of the steps that it changes and adds. What was
    done to which answer stands in `spoiled`.
    """

    name = "noisy"

    def __init__(
        self,
        golds: Mapping[str, JsonObject],
        *,
        rate: float,
        seed: int = 0,
        defects: Sequence[Defect] = tuple(DEFECTS.values()),
        text_rate: float = 0.0,
        text_defects: Sequence[TextDefect] = (),
    ) -> None:
        """Make a noisy model.

        Args:
            golds: Goal → gold flow document.
            rate: Probability, from 0 to 1, that a step gets a defect.
            seed: Of all that is drawn.
            defects: What may be wrong with a plan.
            text_rate: Probability that the text of an answer gets a defect.
            text_defects: What may be wrong with a text.
        """
        super().__init__(golds, seed=seed)
        self._rate, self._text_rate = rate, text_rate
        self._defects, self._text_defects = tuple(defects), tuple(text_defects)
        self.spoiled: list[list[str]] = []
        """For each plan that was answered, the names of the defects that it was given."""

    async def answer(self, request: Request) -> str:
        """Return the gold plan, or a patch of a plan, with its defects."""
        text = await super().answer(request)
        if request.kind != "steps" or not self._text_defects:
            return text
        random = self._random(request, "text")
        if random.random() >= self._text_rate:
            return text
        defect = random.choice(self._text_defects)
        self.spoiled[-1].append(defect.__name__)
        return defect(text, random)

    def planned(self, request: Request) -> JsonObject:
        """Return the gold document with a defect for each step that noise hits."""
        return self._spoiled(self.gold(request), self._random(request, "plan"))

    def patched(self, request: Request, patch: JsonObject) -> JsonObject:
        """Return a patch with a defect for each of its steps that noise hits."""
        return self._spoiled(patch, self._random(request, "patch"))

    def _spoiled(self, document: JsonObject, random: Random) -> JsonObject:
        names: list[str] = []
        steps = document.get("steps")
        for _ in steps if isinstance(steps, list) else []:
            if self._defects and random.random() < self._rate:
                defect = random.choice(self._defects)
                spoiled = defect(document, random)
                if written(spoiled) != written(document):
                    names.append(defect.__name__)
                document = spoiled
        self.spoiled.append(names)
        return document

    def _random(self, request: Request, what: str) -> Random:
        """Return a generator that depends on the seed and on what is asked, not on the order."""
        return Random(fraction(self._seed, what, request.text))
