"""A plan's questions: answered by options, asked on a terminal, or left for later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from flowbuilder.cli.failures import UsageProblem
from flowbuilder.cli.output import Printer, shorten
from flowbuilder.cli.questions import is_interactive, read_line
from flowbuilder.cli.visible import escape
from flowbuilder.errors import DefinitionError
from flowbuilder.plan import Plan, Question
from flowbuilder.planner.answering import read_text
from flowbuilder.types import JsonValue

if TYPE_CHECKING:
    from flowbuilder.client import FlowBuilder


def split_answers(given: Sequence[str]) -> list[tuple[str, str]]:
    """Return the ids and texts of `--answer id=value` options. Raises: UsageProblem."""
    found = []
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not name.strip():
            raise UsageProblem(
                f"--answer {text!r:.100} is no answer",
                hint="Write the question's id and its value: --answer mail.to=ada@example.org",
            )
        found.append((name.strip(), value))
    return found


async def with_answers(
    builder: FlowBuilder, printer: Printer, made: Plan, given: Sequence[tuple[str, str]]
) -> Plan:
    """Return a plan with its questions answered as far as somebody does.

    First by the given answers; what is left is asked for where a person sits.

    Raises:
        DefinitionError: A given answer does not fit, or answers no question.
    """
    if given:
        made = await builder.answer_plan(made, _named(made, given))
    while made.questions and is_interactive():
        question = made.questions[0]
        value = await _ask(printer, question)
        if value is None:
            break
        try:
            made = await builder.answer_plan(made, {question.id: value[0]})
        except DefinitionError as error:
            for problem in error.problems:
                printer.talk.print(f"[yellow]{escape(problem.message)}[/]")
    return made


def answer_hint(made: Plan) -> str:
    """Return how to answer a stored plan's questions later."""
    options = " ".join(f"--answer {item.id}=…" for item in made.questions)
    return f"flowbuilder run {made.id} {options}"


def tell_question(printer: Printer, question: Question) -> None:
    """Print a question with what may be answered."""
    talk = printer.talk
    talk.print(f"[bold yellow]question[/] [bold]{escape(question.id)}[/]: {escape(question.text)}")
    for line in (question.reason, _choices(question)):
        if line:
            talk.print(f"  [dim]{escape(line)}[/]")


def _named(made: Plan, given: Sequence[tuple[str, str]]) -> dict[str, JsonValue]:
    """Return answers by the questions' ids; `to` is `mail.to` where no other question ends so."""
    by_id = {question.id: question for question in made.questions}
    answers: dict[str, JsonValue] = {}
    for name, text in given:
        ends = [item for item in by_id if item.rpartition(".")[2] == name]
        known = ends[0] if name not in by_id and len(ends) == 1 else name
        answers[known] = read_text(text, by_id[known]) if known in by_id else text
    return answers


async def _ask(printer: Printer, question: Question) -> tuple[JsonValue] | None:
    """Return the answer in a tuple, None when there is nobody to answer."""
    tell_question(printer, question)
    default = question.default
    shown = "" if default is None else f" [dim](enter for {escape(shorten(default))})[/]"
    printer.talk.print(f"[bold]answer:[/]{shown} ", end="")
    line = await read_line()
    if line is None:
        return None
    if not line.strip() and default is not None:
        return (default,)
    return (read_text(line, question),)


def _choices(question: Question) -> str:
    if question.options:
        return f"one of: {', '.join(shorten(option) for option in question.options)}"
    kind = question.type.get("type")
    return f"a value of the type {kind}" if isinstance(kind, str) and kind != "string" else ""
