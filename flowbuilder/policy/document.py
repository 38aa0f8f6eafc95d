"""How a policy is written: rules, read in order, the first that fits decides.

    policy: policy.v1
    rules:
      - name: mail-within-the-house
        tools: [mail.*]
        where: [{arg: /to, domain_in: [example.com]}]
        then: allow
      - name: large-payments
        tools: [bank.pay]
        unless: [{arg: /amount, at_most: 1000}]
        then: approve
        by: [role:finance]
        quorum: 2
    otherwise: default

What no rule fits is decided by `otherwise`; `default` are the rules that hold where nothing is
said.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from flowbuilder.errors import DefinitionError, InvalidValue, Problem
from flowbuilder.flow import MOST_VOTES, Approver, ArgPointer, Escalation, Whole
from flowbuilder.policy.constraints import Constraint
from flowbuilder.strictjson import Limits, check, escape, load_document
from flowbuilder.tools import Effects
from flowbuilder.types import JsonObject, JsonSchema

__all__ = ["DEFAULT_POLICY", "Action", "Constraint", "Policy", "Rule", "policy_json_schema",
           "read_policy"]  # fmt: skip

FORMAT = "policy.v1"
LIMITS = Limits(depth=16, bytes=262_144)
_TOOLS = r"^(\*|[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*(\.\*)?)$"

Pattern = Annotated[str, Field(pattern=_TOOLS, max_length=200)]


class Action(StrEnum):
    """What a rule says of a call."""

    ALLOW = "allow"
    APPROVE = "approve"
    REFUSE = "refuse"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Rule(_Model):
    """One rule: what it is about, and what it says of that."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
    """Told wherever the rule has decided something."""
    tools: list[Pattern] = Field(default_factory=lambda: ["*"], min_length=1, max_length=200)
    """Names of tools, beginnings as in `mail.*`, or `*`."""
    effects: list[Effects] | None = Field(default=None, min_length=1, max_length=len(Effects))
    """Only tools with these effects; all by default."""
    data: Literal["any", "outside", "text"] = "any"
    """`outside`: only where data from outside reaches an argument; `text`: only where it may hold
    words, not just numbers, dates and given choices."""
    flows: Literal["any", "planned"] = "any"
    """`planned`: only in runs of plans, which nobody has written."""
    where: list[Constraint] = Field(default_factory=list, max_length=50)
    """Only where every one of these holds."""
    unless: list[Constraint] = Field(default_factory=list, max_length=50)
    """Not where every one of these holds."""
    then: Action
    by: list[Approver] = Field(default_factory=list, max_length=50)
    """approve: who is asked, such as `role:finance`; anyone who may decide by default."""
    quorum: Whole = Field(default=1, ge=1, le=MOST_VOTES)
    """approve: how many different people have to agree."""
    rejections: Whole = Field(default=1, ge=1, le=MOST_VOTES)
    """approve: how many different people have to refuse to end it."""
    separate_duties: bool = Field(default=False, strict=True)
    """approve: not by who has started the run, or made or changed its flow last."""
    locked: list[ArgPointer] = Field(default_factory=list, max_length=50)
    """approve: arguments that edits must leave as they are."""
    escalate: list[Escalation] = Field(default_factory=list, max_length=5)
    """approve: who may decide too when nobody has for so long."""
    reason: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    """Told to who is asked, or refused."""

    @model_validator(mode="after")
    def _asks_only_where_it_approves(self) -> Rule:
        asks = (self.by, self.quorum != 1, self.rejections != 1, self.separate_duties,
                self.locked, self.escalate)  # fmt: skip
        if self.then is not Action.APPROVE and any(asks):
            raise ValueError("by, quorum and how it is decided go with `then: approve`")
        return self

    def may_concern(self, tool: str, effects: Effects) -> bool:
        """Whether it could say something of a tool, `name` or `name@version`."""
        if self.effects is not None and effects not in self.effects:
            return False
        name = tool.partition("@")[0]
        return any(
            item in ("*", name) or (item.endswith(".*") and name.startswith(item[:-1]))
            for item in self.tools
        )


class Policy(_Model):
    """The rules of a workspace, or of an installation."""

    policy: Literal["policy.v1"] = "policy.v1"
    description: str | None = Field(default=None, max_length=2000)
    rules: list[Rule] = Field(default_factory=list, max_length=500)
    otherwise: Literal["default", "allow", "approve", "refuse"] = "default"
    """What holds for calls that no rule fits."""

    @model_validator(mode="after")
    def _names_are_told_apart(self) -> Policy:
        names = [rule.name for rule in self.rules]
        if len(set(names)) < len(names):
            raise ValueError("two rules have the same name")
        return self

    def document(self) -> JsonObject:
        """Return the policy as JSON, defaults left out: what is stored and shown."""
        body: JsonObject = self.model_dump(mode="json", exclude_defaults=True)
        return {"policy": FORMAT, **body}

    def all_rules(self) -> tuple[Rule, ...]:
        """Return the rules in the order in which they are read, to the one that always fits."""
        if self.otherwise == "default":
            return (*self.rules, *_DEFAULT_RULES)
        return (*self.rules, Rule(name="otherwise", then=Action(self.otherwise)))

    @property
    def approve(self) -> frozenset[Effects]:
        """The effects that need a person in every plan, whatever the tool and its arguments."""
        return frozenset(
            effects
            for rule in self.all_rules()
            if rule.then is not Action.ALLOW and _is_wide(rule)
            for effects in (rule.effects or Effects)
        )


def _is_wide(rule: Rule) -> bool:
    return "*" in rule.tools and rule.data == "any" and not rule.where and not rule.unless


_CHANGING = [Effects.WRITE, Effects.EXTERNAL, Effects.IRREVERSIBLE]
_DEFAULT_RULES = (
    Rule(
        name="words-from-outside",
        effects=[Effects.WRITE, Effects.EXTERNAL],
        data="text",
        then=Action.APPROVE,
    ),
    Rule(
        name="data-from-outside",
        effects=[Effects.IRREVERSIBLE],
        data="outside",
        then=Action.APPROVE,
    ),
    Rule(name="effects-of-plans", effects=_CHANGING, flows="planned", then=Action.APPROVE),
    Rule(name="everything-else", then=Action.ALLOW),
)
#: What holds where nobody has said anything.
DEFAULT_POLICY = Policy()


def read_policy(document: object, *, name: str = "policy.yaml") -> Policy:
    """Return the policy that a document (text: JSON or YAML by the name) says.

    Raises:
        InvalidValue: It is no JSON value, too deep or too large.
        DefinitionError: `policy_invalid`, with a pointer for every finding.
    """
    value: Any = document
    if isinstance(document, str | bytes):
        value = load_document(document, name=name, limits=LIMITS)
    elif isinstance(document, Policy):
        return document
    value = check(value, limits=LIMITS)
    if not isinstance(value, dict):
        raise InvalidValue("a policy is an object", code="policy_invalid")
    try:
        return Policy.model_validate(value)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        problems = tuple(_problem(item["loc"], item["msg"]) for item in found[:50])
    raise DefinitionError(
        f"the policy cannot be used: {problems[0].pointer} {problems[0].message}",
        problems=problems,
        code="policy_invalid",
    )


def policy_json_schema() -> JsonSchema:
    """Return the JSON Schema (2020-12) of `policy.v1`."""
    schema: JsonSchema = Policy.model_json_schema(mode="validation")
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = FORMAT
    return schema


def _problem(place: tuple[int | str, ...], message: str) -> Problem:
    pointer = "".join(f"/{escape(str(part))}" for part in place)
    said = message.removeprefix("Value error, ")
    return Problem(code="policy_invalid", pointer=pointer, message=said)
