"""The steps of a plan while it is still being written, and which of them may start already.

A step may when it changes nothing and asks nobody, when everything that it needs has been let
start before it, and when it is without a fault so far. What is let start is final: the plan that
comes out at the end is compared with it, and where they differ nothing of it counts.
"""

from __future__ import annotations

from pydantic import ValidationError

from flowbuilder.errors import Severity
from flowbuilder.flow import FORMAT, Flow, Step
from flowbuilder.graph import needs
from flowbuilder.planner.base import PlanEvent, PlanEventType, PlanRequest
from flowbuilder.planner.inputs import input_schema_of
from flowbuilder.planner.inventions import invented_addresses
from flowbuilder.planner.wire import slug
from flowbuilder.policy import apply_policy
from flowbuilder.tools import HARMLESS
from flowbuilder.types import JsonObject, JsonValue
from flowbuilder.validation import validate

#: Tools that ask a person, which nobody can take back.
_ASKING = "human."


class Arrivals:
    """What has arrived of one plan; not for use by several tasks at once."""

    def __init__(self, request: PlanRequest) -> None:
        self._request = request
        self._waiting: dict[str, tuple[JsonObject, set[str]]] = {}
        self._seen: set[str] = set()
        self._let: list[JsonObject] = []
        self._shaken = False

    @property
    def let(self) -> tuple[JsonObject, ...]:
        """The steps that were let start, in this order."""
        return tuple(self._let)

    def add(self, event: PlanEvent) -> None:
        """Take note of what an event tells."""
        if event.type is PlanEventType.REPAIRED:
            self._shaken = True
        step = event.data.get("step")
        if event.type is not PlanEventType.STEP_ADDED or not isinstance(step, dict):
            return
        name = step.get("id")
        if not isinstance(name, str) or name in self._seen:
            self._shaken = True  # the answer begins anew: what follows may be another plan
            return
        self._seen.add(name)
        if not event.data.get("problems") and (needed := self._needs_of(step)) is not None:
            self._waiting[name] = (step, needed)

    def next(self) -> JsonObject | None:
        """Return the next step that may start, None while there is none; it is told once."""
        while not self._shaken:
            known = _ids(self._let)
            name = next((n for n, (_, needed) in self._waiting.items() if needed <= known), None)
            if name is None:
                break
            step, needed = self._waiting.pop(name)
            if self._is_good(step, needed):
                return step
        return None

    def started(self, step: JsonObject) -> None:
        """Take note that a step was let start."""
        self._let.append(step)

    def document(self, steps: list[JsonObject]) -> JsonObject:
        """Return the flow document of these steps alone."""
        listed: list[JsonValue] = [*steps]
        document: JsonObject = {"format": FORMAT, "flow": slug(self._request.goal)}
        document["description"] = self._request.goal[:4000]
        if schema := input_schema_of(self._request):
            document["input"] = schema
        return {**document, "steps": listed}

    def rest(self, flow: Flow) -> list[Step] | None:
        """Return the steps of the finished plan that are still to start, each after what it needs.

        None: the plan is another one than what was let start, which then counts for nothing.
        """
        begun = Flow.model_validate(self.document(list(self._let)))
        frame = flow.model_copy(update={"steps": begun.steps, "flow": begun.flow})
        same = all(flow.step(step.id) == step for step in begun.steps)
        if not same or _headless(frame) != _headless(begun):
            return None
        return _in_order([step for step in flow.steps if begun.step(step.id) is None], begun)

    def _needs_of(self, step: JsonObject) -> set[str] | None:
        """Return the steps that a step needs; None: it changes something, or asks somebody."""
        tool = self._request.registry.get(str(step.get("tool")))
        if tool is None or tool.effects not in HARMLESS or tool.name.startswith(_ASKING):
            return None
        try:
            read = Step.model_validate(step)
        except ValidationError:
            return None
        return None if read.approval is not None or read.compensate is not None else needs(read)

    def _is_good(self, step: JsonObject, needed: set[str]) -> bool:
        """Whether a step is without a fault, has no invented address, and policy asks nothing."""
        request = self._request
        before = [item for item in self._let if item["id"] in needed]
        place = f"/steps/{len(before)}"
        problems = validate(
            self.document([*before, step]), request.registry, flows=request.flows
        ).problems
        if any(
            problem.severity is Severity.ERROR
            and (problem.pointer == place or problem.pointer.startswith(f"{place}/"))
            for problem in problems
        ):
            return False
        alone = self.document([step])
        if invented_addresses(request.goal, alone, request.input, request.registry):
            return False
        flow = Flow.model_validate(self.document([*self._let, step]))
        return apply_policy(flow, request.registry, request.policies)[0].steps[-1].approval is None


def _ids(steps: list[JsonObject]) -> set[str]:
    return {str(step["id"]) for step in steps}


def _headless(flow: Flow) -> JsonObject:
    """Return what a flow says besides its steps and in words."""
    document = flow.document()
    return {key: document[key] for key in document if key not in {"steps", "flow", "description"}}


def _in_order(steps: list[Step], begun: Flow) -> list[Step]:
    """Return steps so that each comes after those it needs; the order of the plan otherwise."""
    known = {step.id for step in begun.steps}
    ordered: list[Step] = []
    left = list(steps)
    while left:
        step = next(step for step in left if needs(step) <= known)
        left.remove(step)
        known.add(step.id)
        ordered.append(step)
    return ordered
