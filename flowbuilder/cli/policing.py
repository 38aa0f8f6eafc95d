"""`flowbuilder policy`: what runs may do by themselves, what needs a person, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flowbuilder.cli.failures import OK, UsageProblem, finish, perform
from flowbuilder.cli.options import Options
from flowbuilder.cli.output import Printer, row_json

if TYPE_CHECKING:
    from flowbuilder.policy import Constraint, Policy, Rule

HISTORY = {"id": "policy", "set_at": "set at", "set_by": "by", "rules": "rules"}
_LARGEST = 1_048_576
_DATA = {
    "any": "",
    "outside": "with data from outside",
    "text": "with words from outside",
}
File = Annotated[Path, typer.Argument(metavar="FILE", help="A policy in YAML or JSON.")]
Base = Annotated[
    int | None,
    typer.Option("--base", min=0, help="Only if the policy of this number still holds."),
]

policy_app = typer.Typer(
    help="Say what runs may do by themselves, what needs a person, and what is refused.",
    invoke_without_command=True,
)


@policy_app.callback()
def policy(context: typer.Context) -> None:
    """Show the policy that holds."""
    if context.invoked_subcommand is None:
        perform(context.obj.printer(), _show(context.obj))


@policy_app.command("show")
def show_policy(context: typer.Context) -> None:
    """Show the policy that holds: its rules in the order in which they are read."""
    perform(context.obj.printer(), _show(context.obj))


@policy_app.command("check")
def check_policy(context: typer.Context, file: File) -> None:
    """Check a policy without setting it; 1 when it has problems. Needs no database."""
    printer = context.obj.printer()
    finish(printer, lambda: _check(printer, file))


@policy_app.command("set")
def set_policy(context: typer.Context, file: File, base: Base = None) -> None:
    """Set the policy of the workspace, in the place of the one before."""
    perform(context.obj.printer(), _set(context.obj, file, base))


@policy_app.command("clear")
def clear_policy(context: typer.Context, base: Base = None) -> None:
    """Take back what was said: the default policy holds again."""
    perform(context.obj.printer(), _set(context.obj, None, base))


@policy_app.command("history")
def policy_history(
    context: typer.Context,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000)] = 50,
) -> None:
    """List what was said, newest first."""
    perform(context.obj.printer(), _history(context.obj, limit))


@policy_app.command("schema")
def policy_schema(context: typer.Context) -> None:
    """Print the JSON Schema of policies."""

    def print_schema() -> int:
        from flowbuilder.cli.output import to_text
        from flowbuilder.policy import policy_json_schema

        typer.echo(to_text(policy_json_schema()))
        return OK

    finish(context.obj.printer(), print_schema)


def _check(printer: Printer, file: Path) -> int:
    policy = _read(file)
    if printer.as_json:
        printer.line({"valid": True, "policy": policy.document()})
    else:
        _print_rules(printer, policy)
        printer.say(f"{file} is a policy of {len(policy.rules)} rules", "green")
    return OK


async def _show(options: Options) -> int:
    printer = options.printer()
    async with options.connect() as builder:
        view = await builder.policy.get()
    if printer.as_json:
        printer.line(view.as_json())
        return OK
    _print_rules(printer, view.policy)
    shown = view.as_json()
    if shown["source"] == "default":
        printer.say("this is the default; set another one with: flowbuilder policy set FILE", "dim")
    else:
        printer.say(f"policy {view.id}, set at {shown['set_at']} by {shown['set_by']}", "dim")
    if view.floor is not None:
        printer.say("the installation's policy holds besides:")
        _print_rules(printer, view.floor)
    return OK


async def _set(options: Options, file: Path | None, base: int | None) -> int:
    from flowbuilder.client.approvals import local_user

    policy = None if file is None else _read(file)
    printer = options.printer()
    async with options.connect() as builder:
        if policy is None:
            view = await builder.policy.clear(by=local_user(), base=base)
        else:
            view = await builder.policy.set(policy, by=local_user(), base=base)
    if printer.as_json:
        printer.line(view.as_json())
    else:
        printer.say(f"policy {view.id} holds from now on, in runs under way too")
    return OK


async def _history(options: Options, limit: int) -> int:
    async with options.connect() as builder:
        rows = await builder.policy.history(limit=limit)
    records: list[Any] = [row_json(row) for row in rows]
    printer = options.printer()
    if not printer.as_json:
        for record in records:
            document = record["document"]
            record["rules"] = "default" if document is None else len(document.get("rules", []))
    printer.rows(records, HISTORY, "Nobody has set a policy: the default holds.")
    return OK


def _read(file: Path) -> Policy:
    """Read a policy. Raises: UsageProblem, InvalidValue, DefinitionError."""
    from flowbuilder.policy import read_policy

    try:
        with file.open("rb") as opened:
            raw = opened.read(_LARGEST)
    except OSError as error:
        raise UsageProblem(f"{file} cannot be read: {error.strerror}") from None
    return read_policy(raw, name=file.name)


def _print_rules(printer: Printer, policy: Policy) -> None:
    for place, rule in enumerate(policy.all_rules(), 1):
        printer.say(f"{place:>3}. {rule.name}: {_sentence(rule)}")


def _sentence(rule: Rule) -> str:
    """Return what a rule says in one line."""
    effects = " or ".join(item.value for item in rule.effects or ())
    about = [
        rule.then.value,
        "everything" if rule.tools == ["*"] else ", ".join(rule.tools),
        f"that is {effects}" if effects else "",
        _DATA[rule.data],
        "in plans" if rule.flows == "planned" else "",
        *(f"where {_tests(item)}" for item in rule.where),
        f"unless {' and '.join(map(_tests, rule.unless))}" if rule.unless else "",
        f"by {', '.join(rule.by)}" if rule.by else "",
        f"({rule.quorum} people)" if rule.quorum > 1 else "",
    ]
    return " ".join(part for part in about if part)


def _tests(constraint: Constraint) -> str:
    given = constraint.model_dump(mode="json", exclude_none=True, exclude={"arg"})
    said = [f"{name.replace('_', ' ')} {_short(value)}" for name, value in given.items()]
    return f"{constraint.arg} {' and '.join(said)}"


def _short(value: object) -> str:
    """Return a bound or a list of values in few words."""
    return ", ".join(map(str, value)) if isinstance(value, list) else f"{value:g}"
