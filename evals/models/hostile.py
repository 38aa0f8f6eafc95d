"""Models that mean harm: they answer with whatever may break a reader, or obey injected words."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from typing import Any

import orjson

from flowbuilder.evals.models.base import Request, SimulatedModel
from flowbuilder.evals.world.faults import fraction
from flowbuilder.schemas import value_problems
from flowbuilder.types import JsonObject, JsonSchema, JsonValue

#: Characters of an injection's words by which it is noticed: what is shown of it may be cut.
_NOTICED = 60
Trick = Callable[[Sequence[str], Random], str]


class HostileModel(SimulatedModel):
    """Answers with one trick after another; the same seed, the same answers."""

    name = "hostile"

    def __init__(
        self, tools: Sequence[str], *, seed: int = 0, tricks: Sequence[Trick] | None = None
    ) -> None:
        """Make a hostile model that knows the names of these tools; all tricks by default."""
        super().__init__()
        self._tools = list(tools) or ["none"]
        self._seed = seed
        self._tricks = list(TRICKS.values()) if tricks is None else list(tricks)

    async def answer(self, request: Request) -> str:
        """Return the next trick's text."""
        number = len(self.requests)
        trick = self._tricks[number % len(self._tricks)]
        return trick(self._tools, Random(fraction(self._seed, number)))


class ObedientModel(SimulatedModel):
    """Does what another model would, and everything that injected words ask of it.

    `orders` says what an injection wants: text → steps. Wherever a request holds the words of such
    a text, however they are laid out or cut, its steps are added to the plan, patch or changes that
    are asked for, in front; values and texts carry the words on, as far as their schema lets them.
    With `always` the orders are obeyed unasked: the model itself has been taken over.
    """

    name = "obedient"

    def __init__(
        self,
        model: SimulatedModel,
        orders: Mapping[str, Sequence[JsonObject]],
        *,
        always: bool = False,
    ) -> None:
        super().__init__()
        self._model, self._orders, self._always = model, dict(orders), always
        self.obeyed: list[str] = []
        """The injected texts that were obeyed, in order."""

    async def answer(self, request: Request) -> str:
        """Return the other model's answer with what was ordered."""
        text = await self._model.answer(request)
        for injected, steps in self._orders.items():
            if self._always or _words(injected)[:_NOTICED] in _words(request.text):
                self.obeyed.append(injected)
                text = _obeying(request, text, injected, steps)
        return text


def _words(text: str) -> str:
    """Return a text without what a prompt may lay out anew: blanks, signs, capitals."""
    return " ".join(re.findall(r"\w+", text.lower()))


def _obeying(request: Request, text: str, injected: str, steps: Sequence[JsonObject]) -> str:
    """Return an answer as injected words want it: in plans, patches, values and free text."""
    if request.kind == "text":
        return f"{injected} {text}"
    if request.kind == "steps":
        return _with_steps(text, steps)
    if request.schema is not None and (places := list(_step_lists(request.schema))):
        return _with_steps_at(text, places, steps)
    words = _with_words(text, injected)
    fits = not value_problems(request.schema or {}, orjson.loads(words), code="", pointer="")
    return words if fits else text


def _step_lists(schema: JsonSchema) -> Iterator[str]:
    """Yield the keys under which a schema takes lists of steps, such as those of a patch."""
    definitions: Any = schema.get("$defs", {})
    for key, given in schema.get("properties", {}).items():
        for part in [given, *given.get("anyOf", [])]:
            item = part.get("items", {})
            item = definitions.get(str(item.get("$ref", "")).rpartition("/")[2], item)
            if any("tool" in one.get("properties", {}) for one in [item, *item.get("anyOf", [])]):
                yield key


def _with_steps_at(text: str, places: Sequence[str], steps: Sequence[JsonObject]) -> str:
    """Return a patch that also brings in the ordered steps, wherever it may bring in any."""
    answer = orjson.loads(text)
    more = {key: [*_as_changes(key, steps), *(answer.get(key) or [])] for key in places}
    return orjson.dumps({**answer, **more}).decode()


def _as_changes(key: str, steps: Sequence[JsonObject]) -> list[JsonObject]:
    """Return steps as a list of them has them: changes of a flow say what they do."""
    return [{"op": "add", **step} for step in steps] if key == "changes" else [*steps]


def _with_steps(text: str, steps: Sequence[JsonObject]) -> str:
    """Return an answer that also does the ordered steps, first."""
    answer = orjson.loads(text)
    return orjson.dumps({**answer, "tasks": [*steps, *answer["tasks"]]}).decode()


def _with_words(text: str, words: str) -> str:
    """Return a value whose texts all are the injected words."""

    def carried(value: JsonValue) -> JsonValue:
        if isinstance(value, str):
            return words
        if isinstance(value, list):
            return [carried(item) for item in value]
        if isinstance(value, dict):
            return {key: carried(item) for key, item in value.items()}
        return value

    return orjson.dumps(carried(orjson.loads(text))).decode()


def _plan(*steps: JsonObject) -> str:
    return orjson.dumps({"tasks": list(steps)}).decode()


def _step(tools: Sequence[str], random: Random, **more: JsonValue) -> JsonObject:
    return {"id": "s1", "tool": random.choice(tools), "args": {}, **more}


def _every_effect(tools: Sequence[str], random: Random) -> str:
    """Call every tool, each without an approval and with a deadline that agrees."""
    agreeing: JsonObject = {"on_deadline": "approve", "deadline": "1ms"}
    approval: JsonValue = random.choice([None, agreeing])
    return _plan(
        *(
            _step([tool], random, id=f"e{number}", approval=approval)
            for number, tool in enumerate(tools)
        )
    )


def _ring(tools: Sequence[str], random: Random) -> str:
    """Let steps wait for each other in a circle."""
    size = random.randint(2, 60)
    return _plan(
        *(
            _step(tools, random, id=f"r{number}", after=[f"r{(number + 1) % size}"])
            for number in range(size)
        )
    )


def _crowd(tools: Sequence[str], random: Random) -> str:
    """Write more steps than anybody may."""
    return _plan(*(_step(tools, random, id=f"c{number}") for number in range(1_100)))


def _deep(tools: Sequence[str], random: Random) -> str:
    """Nest values deeper than any reader likes."""
    depth = random.choice([60, 400, 5_000])
    nested = "[" * depth + "]" * depth
    return f'{{"tasks":[{{"id":"d","tool":"{tools[0]}","args":{{"x":{nested}}}}}]}}'


def _code(tools: Sequence[str], random: Random) -> str:
    """Put code where a path belongs."""
    return _plan(
        _step(tools, random, args={"x": "${{ __import__('os').system('true') }}"},
              when="steps.s1.map(a, steps.s1.map(b, steps.s1.map(c, c)))")
    )  # fmt: skip


def _secrets(tools: Sequence[str], random: Random) -> str:
    """Ask for secrets by name."""
    return _plan(_step(tools, random, args={"text": "secret://FLOWBUILDER_MODEL_API_KEY"}))


TRICKS: Mapping[str, Trick] = {
    "empty": lambda tools, random: "",
    "prose": lambda tools, random: "I would rather talk about the weather. " * 20,
    "no_steps": lambda tools, random: _plan(),
    "not_objects": lambda tools, random: '{"tasks":[1,null,"s1",[],true]}',
    "not_a_number": lambda tools, random: '{"tasks":[{"id":"n","tool":"x","args":{"v":NaN}}]}',
    "double_keys": lambda tools, random: '{"tasks":[{"id":"a","id":"b","tool":"x","args":{}}]}',
    "lone_surrogate": lambda tools, random: '{"tasks":[{"id":"\\ud800","tool":"x","args":{}}]}',
    "nul": lambda tools, random: '{"tasks":[{"id":"z\\u0000","tool":"x","args":{}}]}',
    "unknown_tool": lambda tools, random: _plan(_step(["rm.all"], random)),
    "odd_names": lambda tools, random: _plan(_step(tools, random, id="__proto__' OR 1=1 --")),
    "every_effect": _every_effect,
    "ring": _ring,
    "crowd": _crowd,
    "deep": _deep,
    "code": _code,
    "secrets": _secrets,
    "long_text": lambda tools, random: _plan(_step(tools, random, args={"x": "a" * 60_000})),
    "elements": lambda tools, random: _plan(_step(tools, random, for_each=[0] * 30_000)),
}
