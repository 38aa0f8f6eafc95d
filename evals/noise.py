"""What a model that errs at a known rate costs, and what becomes of its plans.

Gold plans are written with defects, by a model that repeats them at the same rate when it is asked
to mend its plan. Measured is how many plans are valid in the end, what the rounds took beside the
plans, and whether what was not mended is still what was written, byte by byte.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field

from flowbuilder.errors import FlowBuilderError, Severity
from flowbuilder.evals.catalogue import described_tools
from flowbuilder.evals.dataset import Case, Dataset
from flowbuilder.evals.models.defects import DEFECTS, Defect
from flowbuilder.evals.models.mending import shown_in
from flowbuilder.evals.models.noisy import NoisyModel
from flowbuilder.plan import Plan, Usage
from flowbuilder.planner.base import PlanEvent, PlanEventType, PlanRequest
from flowbuilder.planner.model import ModelPlanner
from flowbuilder.planner.rules import RulePlanner
from flowbuilder.settings import Settings
from flowbuilder.strictjson import dumps
from flowbuilder.toolkit import load_registry
from flowbuilder.tools import ToolRegistry
from flowbuilder.types import JsonObject, JsonValue
from flowbuilder.validation import validate

#: The bars: plans that are valid in the end, and tokens of the rounds beside those of the plans.
LEAST_VALID, MOST_REPAIR = 0.95, 0.35


@dataclass(frozen=True, kw_only=True, slots=True)
class Noised:
    """What became of one plan that was written with defects."""

    case: str
    defects: tuple[str, ...]
    """Of the first answer."""
    valid: bool
    """No error is left, and nothing is asked that the gold plan is not asked about too."""
    rounds: int
    """In which the model was asked again."""
    plan: Usage
    """Of the first answer."""
    repair: Usage
    """Of all further ones."""
    untouched: int
    """Steps that no mending has named."""
    altered: tuple[str, ...]
    """Those of them that are not what was written, and steps that a round changed unshown: none."""
    reason: str = ""
    """Why it is not valid."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NoiseReport:
    """What was measured over all plans."""

    rate: float
    seed: int
    plans: tuple[Noised, ...]
    left_out: Counter[str] = field(default_factory=Counter)
    """Gold plans that could not be used, by reason."""

    @property
    def valid(self) -> float:
        """Share of the plans that are valid in the end."""
        return sum(item.valid for item in self.plans) / max(1, len(self.plans))

    @property
    def repair(self) -> float:
        """Tokens that the rounds wrote, beside those that the plans took to be written."""
        written = sum(item.plan.completion_tokens for item in self.plans)
        return sum(item.repair.completion_tokens for item in self.plans) / max(1, written)

    @property
    def repair_read(self) -> float:
        """Tokens that the rounds wrote and read, beside those of the plans."""
        taken = sum(_total(item.plan) for item in self.plans)
        return sum(_total(item.repair) for item in self.plans) / max(1, taken)

    @property
    def altered(self) -> int:
        """Steps that were changed though nobody meant to mend them."""
        return sum(len(item.altered) for item in self.plans)

    @property
    def passed(self) -> bool:
        """Whether the bars are met."""
        return self.valid >= LEAST_VALID and self.repair <= MOST_REPAIR and not self.altered

    def as_json(self) -> JsonObject:
        """Return the figures as JSON."""
        rounds = Counter(item.rounds for item in self.plans)
        hit = [item for item in self.plans if item.defects]
        return {
            "rate": self.rate,
            "seed": self.seed,
            "plans": len(self.plans),
            "with_defects": len(hit),
            "valid": round(self.valid, 4),
            "valid_with_defects": round(sum(i.valid for i in hit) / max(1, len(hit)), 4),
            "rounds": {str(number): rounds[number] for number in sorted(rounds)},
            "repair_tokens": round(self.repair, 4),
            "repair_tokens_read_too": round(self.repair_read, 4),
            "untouched": sum(item.untouched for item in self.plans),
            "altered": self.altered,
            "left_out": dict(sorted(self.left_out.items())),
            "not_valid": [_told(item) for item in self.plans if not item.valid],
            "passed": self.passed,
        }


async def measure_noise(
    dataset: Dataset,
    settings: Settings,
    *,
    rate: float = 0.2,
    seed: int = 1,
    defects: Sequence[Defect] = tuple(DEFECTS.values()),
    most: int | None = None,
) -> NoiseReport:
    """Plan every case of a suite with a model that errs, and return what became of it.

    The gold plan is the one that a case expects, else the one that the rules are certain of.

    Args:
        dataset: The suite.
        settings: Bounds and rounds; no model of theirs is asked.
        rate: Probability that a step gets a defect, in plans and in patches.
        seed: Of all that is drawn.
        defects: What may be wrong.
        most: Cases that are looked at.
    """
    left_out: Counter[str] = Counter()
    plans: list[Noised] = []
    hosted = settings.model_copy(update={"model_api_base": None, "model": "noisy"})
    async for case, gold, registry in _golds(dataset, hosted, left_out, dataset.cases[:most]):
        tools = tuple(dict.fromkeys(str(step["tool"]) for step in _steps(gold)))
        bench = _Bench(case, registry, hosted, gold, tools)
        exact = await bench.plan(0.0, seed, defects)
        if exact.plan is None or _errors(exact.plan):
            left_out["planned otherwise even by the gold"] += 1
            continue
        tried = await bench.plan(rate, seed, defects)
        plans.append(_noised(case, tried, exact.plan))
    return NoiseReport(rate=rate, seed=seed, plans=tuple(plans), left_out=left_out)


@dataclass(frozen=True, slots=True)
class _Try:
    """One planning: its events, the plan, the model."""

    events: list[PlanEvent]
    plan: Plan | None
    model: NoisyModel
    error: str


@dataclass(frozen=True, slots=True)
class _Bench:
    """A case with its gold plan."""

    case: Case
    registry: ToolRegistry
    settings: Settings
    gold: JsonObject
    tools: tuple[str, ...]

    async def plan(self, rate: float, seed: int, defects: Sequence[Defect]) -> _Try:
        model = NoisyModel({self.case.goal: self.gold}, rate=rate, seed=seed, defects=defects)
        request = PlanRequest(
            id="noise",
            goal=self.case.goal,
            registry=self.registry,
            input=self.case.input,
            pinned=self.tools,
        )
        events: list[PlanEvent] = []
        try:
            async for event in ModelPlanner(self.settings, model).stream(request):
                events.append(event)
        except FlowBuilderError as error:
            return _Try(events, None, model, f"{error.code}: {error.message}")
        return _Try(events, events[-1].plan, model, "")


async def _golds(
    dataset: Dataset, settings: Settings, left_out: Counter[str], cases: Iterable[Case]
) -> AsyncIterator[tuple[Case, JsonObject, ToolRegistry]]:
    """Yield the cases that have a gold plan that can stand, with it and their tools."""
    described = bool(dataset.catalogue) or any(case.catalogue for case in dataset.cases)
    shared = (
        described_tools(dataset.catalogue) if described else load_registry(settings, dataset.tools)
    )
    for case in cases:
        registry = described_tools(dataset.tools_for(case)) if case.catalogue else shared
        gold = case.expect.flow or await _ruled(case, registry, settings)
        if gold is None:
            left_out["no gold plan"] += 1
        elif not validate(gold, registry).valid:
            left_out["gold is not valid"] += 1
        elif any(key in step for step in _steps(gold) for key in ("retry", "timeout", "on_error")):
            left_out["gold has policies"] += 1
        else:
            yield case, gold, registry


async def _ruled(case: Case, registry: ToolRegistry, settings: Settings) -> JsonObject | None:
    """Return the plan that the rules are certain of, None if they are of none."""
    plan: Plan | None = None
    request = PlanRequest(id="gold", goal=case.goal, registry=registry, input=case.input)
    try:
        async for event in RulePlanner(settings).stream(request):
            plan = event.plan or plan
    except FlowBuilderError:
        return None
    if plan is None or plan.flow is None or plan.questions or not (plan.valid and plan.certain):
        return None
    document = plan.flow.document()
    steps: list[JsonValue] = [
        {key: value for key, value in step.items() if key != "approval"}  # policy's, not a model's
        for step in _steps(document)
    ]
    return {**document, "steps": steps}


def _noised(case: Case, tried: _Try, exact: Plan) -> Noised:
    plan, model = tried.plan, tried.model
    asked = {item.pointer for item in plan.questions} if plan is not None else set()
    wrong = [*_errors(plan), *asked - {item.pointer for item in exact.questions}] if plan else []
    untouched, altered = _kept(tried)
    return Noised(
        case=case.name,
        defects=tuple(model.spoiled[0]) if model.spoiled else (),
        valid=plan is not None and plan.flow is not None and not wrong,
        rounds=len(model.requests) - 1,
        plan=model.usages[0] if model.usages else Usage(),
        repair=sum(model.usages[1:], Usage()),
        untouched=untouched,
        altered=altered,
        reason=tried.error or "; ".join(wrong),
    )


def _kept(tried: _Try) -> tuple[int, tuple[str, ...]]:
    """Return how many steps no mending has named, and which of them are others than were written.

    So are steps that a round has changed, though the model was not shown them.
    """
    if tried.plan is None or tried.plan.flow is None:
        return 0, ()
    steps = [event.data for event in tried.events if event.type is PlanEventType.STEP_ADDED]
    written = {str(step["id"]): step for data in steps if isinstance(step := data["step"], dict)}
    asked = {item.pointer for item in tried.plan.questions}
    named = {name for name, count in _counted(steps).items() if count > 1}  # told apart by repair
    altered: list[str] = []
    requests = iter(tried.model.requests[1:])
    for event in tried.events:
        if event.type is not PlanEventType.REPAIRED:
            continue
        changed = {*_names(event, "changed"), *_names(event, "removed"), *_names(event, "added")}
        shown = shown_in(next(requests)) if event.data["round"] else None
        if shown is not None:
            may = {str(step["id"]) for step in shown.steps} | {*_names(event, "added")}
            altered += sorted(changed - may)
        named |= changed
    document = tried.plan.flow.document()
    for place, step in enumerate(_steps(document)):
        if any(pointer.startswith(f"/steps/{place}/") for pointer in asked):
            named.add(str(step["id"]))  # what is asked about was taken out
    now = {str(step["id"]): step for step in _steps(document)}
    left = [name for name in written if name not in named]
    altered += [name for name in left if _text(written[name]) != _text(now.get(name, {}))]
    return len(left), tuple(altered)


def _counted(told: Sequence[JsonObject]) -> Counter[str]:
    return Counter(str(step["id"]) for data in told if isinstance(step := data["step"], dict))


def _text(step: JsonObject) -> bytes:
    """Return a step as bytes, without the approval that policy has put in and what is empty."""
    shown = {key: part for key, part in step.items() if key != "approval" and part not in ({}, [])}
    return dumps(dict(sorted(shown.items())))


def _names(event: PlanEvent, key: str) -> list[str]:
    listed = event.data[key]
    return [str(name) for name in listed] if isinstance(listed, list) else []


def _steps(document: JsonObject) -> list[JsonObject]:
    steps = document.get("steps")
    return [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []


def _errors(plan: Plan) -> list[str]:
    return [item.code for item in plan.problems if item.severity is Severity.ERROR]


def _total(usage: Usage) -> int:
    return usage.prompt_tokens + usage.completion_tokens


def _told(item: Noised) -> JsonObject:
    return {"case": item.case, "defects": list(item.defects), "reason": item.reason[:300]}
