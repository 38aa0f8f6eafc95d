"""The oracle: a model that answers each goal with its gold plan."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from random import Random

import orjson

from flowbuilder.errors import ModelError
from flowbuilder.evals.models.base import Request, SimulatedModel
from flowbuilder.evals.models.mending import mended, shown_in
from flowbuilder.evals.world.values import value_for
from flowbuilder.planner.wire import to_answer
from flowbuilder.types import JsonObject, JsonValue


class OracleModel(SimulatedModel):
    """Knows the gold plan of every goal.

    Asked for a value of some shape it gives one that fits, drawn by what it is asked; asked for
    text it repeats the last words it was told.
    """

    name = "oracle"

    def __init__(self, golds: Mapping[str, JsonObject], *, seed: int = 0) -> None:
        """Make an oracle. `golds`: goal → gold flow document."""
        super().__init__()
        self._golds = {_plain(goal): document for goal, document in golds.items()}
        self._seed = seed

    def gold(self, request: Request) -> JsonObject:
        """Return the gold document of the goal that was told last.

        Raises:
            ModelError: No known goal is asked about (goal_unknown).
        """
        for message in reversed(request.messages):
            told = _plain(message["content"])
            known = [goal for goal in self._golds if goal in told]
            if known:
                return self._golds[max(known, key=len)]
        raise ModelError("the oracle does not know this goal", code="goal_unknown")

    async def answer(self, request: Request) -> str:
        """Return the gold plan as an answer, or a patch that makes a plan the gold one."""
        if (shown := shown_in(request)) is not None:
            return patch_text(self.patched(request, mended(self.gold(request), shown)))
        if request.kind == "steps":
            return written(self.planned(request))
        if request.kind == "text":
            return request.messages[-1]["content"][-500:]
        key = orjson.dumps([self._seed, request.text, request.schema], option=orjson.OPT_SORT_KEYS)
        random = Random(int.from_bytes(hashlib.sha256(key).digest()[:16], "big"))
        return orjson.dumps(value_for(request.schema or {}, random)).decode()

    def planned(self, request: Request) -> JsonObject:
        """Return the document that is answered; those who lie begin here."""
        return self.gold(request)

    def patched(self, request: Request, patch: JsonObject) -> JsonObject:
        """Return the patch that is answered, its steps as a document has them."""
        return patch


def _plain(text: str) -> str:
    """Return a text with single blanks: prompts may be laid out anew."""
    return " ".join(text.split())


def written(document: JsonObject) -> str:
    """Return a flow document as the text of a model's answer."""
    answer: JsonValue = to_answer(document)
    return orjson.dumps(answer).decode()


def patch_text(patch: JsonObject) -> str:
    """Return a patch as the text of a model's answer."""
    answer: JsonObject = to_answer(patch)
    if patch.get("remove"):
        answer["remove"] = patch["remove"]
    return orjson.dumps(answer).decode()
