"""`flowbuilder approvals`, `approve` and `reject`."""

from __future__ import annotations

from typing import Annotated

import typer

from flowbuilder.cli.failures import perform

ApprovalId = Annotated[str, typer.Argument(metavar="APPROVAL", help="Id of an approval.")]
By = Annotated[str | None, typer.Option("--by", help="Who decides; default: your login name.")]
Comment = Annotated[str | None, typer.Option("--comment", help="Why, in words.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many at most.")]


def approvals(
    context: typer.Context,
    approval: Annotated[
        str | None, typer.Argument(metavar="[APPROVAL]", help="Show this one whole.")
    ] = None,
    run: Annotated[str | None, typer.Option("--run", help="Only of this run.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Decided ones too.")] = False,
    mine: Annotated[bool, typer.Option("--mine", help="Only what you may decide now.")] = False,
    by: Annotated[str | None, typer.Option("--by", help="With --mine: whose, instead.")] = None,
    limit: Limit = 200,
) -> None:
    """List the decisions that people are asked for, or show one with all that it is about."""
    from flowbuilder.cli import approvals as asked

    if approval is not None:
        perform(context.obj.printer(), asked.show(context.obj, approval))
        return
    found = asked.listed(context.obj, run, every=every, mine=mine, by=by, limit=limit)
    perform(context.obj.printer(), found)


def approve(
    context: typer.Context,
    approval: ApprovalId,
    by: By = None,
    comment: Comment = None,
    edits: Annotated[
        str | None, typer.Option("--edits", help="All arguments, changed: JSON or @file.")
    ] = None,
    value: Annotated[
        str | None, typer.Option("--value", help="The value asked for: JSON or @file.")
    ] = None,
    edit: Annotated[
        bool, typer.Option("--edit", help="Change the arguments in your editor first.")
    ] = False,
) -> None:
    """Approve, for exactly the arguments shown."""
    from flowbuilder.cli import deciding

    given = {"by": by, "comment": comment, "edits": edits, "value": value}
    decision = deciding.Decision(approval_id=approval, approve=True, edit=edit, **given)
    perform(context.obj.printer(), deciding.decide(context.obj, decision))


def reject(
    context: typer.Context, approval: ApprovalId, by: By = None, comment: Comment = None
) -> None:
    """Reject: the step fails."""
    from flowbuilder.cli import deciding

    decision = deciding.Decision(approval_id=approval, approve=False, by=by, comment=comment)
    perform(context.obj.printer(), deciding.decide(context.obj, decision))
