"""The page on which one person looks at one approval and decides it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from flowbuilder.api.approval_schemas import at_deadline
from flowbuilder.approving import Change, Shown, changes, destinations, shown, visible
from flowbuilder.approving.showing import MOST_LINES
from flowbuilder.executor.approval_records import ApprovalRow
from flowbuilder.types import JsonValue

#: How an approval ended, for whom it is no longer to be decided.
_ENDS = {
    "approved": "This was approved",
    "rejected": "This was rejected",
    "expired": "This has expired: nobody decided before the deadline",
    "cancelled": "This was cancelled with its run: nothing is to be decided any more",
}


def proposal_of(row: ApprovalRow) -> JsonValue:
    """Return what is agreed to by who changes nothing: what the last one has agreed to, if any."""
    if row.kind == "gate" and row.votes:
        said = row.votes[-1].get("value")
        if said is not None:
            return said
    return row.args


def decision_page(row: ApprovalRow, user: str, key: str) -> str:
    """Return the HTML of what is asked, with a form that decides it.

    Args:
        row: The approval, still to be decided.
        user: Who looks at it.
        key: What the form has to bring back.
    """
    parts = [_facts(row), _arguments(row.args), _edited(row), _form(row, user, key)]
    return "".join(parts)


def ended(row: ApprovalRow) -> str:
    """Return in words how an approval ended."""
    said = _ENDS.get(row.status.value, "This is decided")
    by = f" by {visible(row.decided_by)}" if row.decided_by else ""
    when = f" at {row.decided_at.isoformat(timespec='seconds')}" if row.decided_at else ""
    return f"{said}{by}{when}."


def progress(row: ApprovalRow) -> str:
    """Return in words how many have said what, while it takes more."""
    agreed = f"{len(row.votes)} of {row.quorum} people have agreed"
    refused = f"{len(row.refusals)} of {row.rejections} have refused"
    return f"{agreed}, {refused}. It is still to be decided."


def _facts(row: ApprovalRow) -> str:
    reasons = [str(item.get("text")) for item in row.reasons]
    sources = [
        f"{item.get('step')}{' (may hold words of outsiders)' if item.get('words') else ''}"
        for item in row.taint
    ]
    facts: list[tuple[str, str]] = [
        ("Flow", row.flow),
        ("Step", row.step_id),
        ("Tool", row.tool),
        ("Message", row.message or "none"),
        ("Risk", row.risk),
        ("Why", " ".join(reasons) or "The flow's author asks for it."),
        ("Data from outside", ", ".join(sources) or "none"),
        ("Started by", row.requested_by or "not known"),
        ("Asked of", ", ".join(row.by) or "anyone who may approve"),
        ("People who have to agree", str(row.quorum)),
        ("Deadline", row.deadline_at.isoformat(timespec="seconds")),
        ("Then", at_deadline(row)),
        ("Hash of the arguments", row.args_hash),
    ]
    if row.quorum > 1 or row.rejections > 1:
        facts.append(("So far", progress(row)))
    return _table(facts)


def _table(facts: Iterable[tuple[str, str]]) -> str:
    lines = (
        f'<tr><th>{escape(name)}</th><td class="value">{escape(visible(text))}</td></tr>'
        for name, text in facts
    )
    return f"<table>{''.join(lines)}</table>"


def _arguments(args: JsonValue) -> str:
    lines = shown(args)
    rows = "".join(_line(line) for line in lines)
    body = (
        "<h2>Exactly this</h2><table><tr><th>Where</th><th>Value</th><th>Length</th>"
        f"<th>Odd</th></tr>{rows}</table>"
    )
    if len(lines) == MOST_LINES:
        body += f"<p class=mark>There are more lines than these; all of it:</p>{_raw(args)}"
    found = destinations(args)
    if found:
        items = "".join(f'<li class="value">{escape(text)}</li>' for text in found)
        body += f"<h2>Addresses in it</h2><ul>{items}</ul>"
    return body


def _line(line: Shown) -> str:
    value = line.text if line.type not in ("object", "array") else f"({line.type})"
    marks = "; ".join(line.marks)
    return (
        f'<tr><td class="value">{escape(line.pointer or "/")}</td>'
        f'<td class="value">{escape(value)}</td><td>{line.length}</td>'
        f'<td class="mark">{escape(marks)}</td></tr>'
    )


def _edited(row: ApprovalRow) -> str:
    proposal = proposal_of(row)
    found = changes(row.args, proposal) if row.kind == "gate" else []
    if not found:
        return ""
    by = visible(str(row.votes[-1].get("by")))
    return f"<h2>{escape(by)} has agreed to other arguments</h2>{change_table(found)}"


def change_table(found: Sequence[Change]) -> str:
    """Return the HTML of what was edited."""
    rows = "".join(
        f'<tr><td class="value">{escape(visible(item.pointer) or "/")}</td><td>{item.kind}</td>'
        f'<td class="value">{escape(_text(item.before))}</td>'
        f'<td class="value">{escape(_text(item.after))}</td></tr>'
        for item in found
    )
    return f"<table><tr><th>Where</th><th>What</th><th>Before</th><th>After</th></tr>{rows}</table>"


def _form(row: ApprovalRow, user: str, key: str) -> str:
    fields = f'<input type="hidden" name="csrf" value="{escape(key)}">'
    fields += f'<input type="hidden" name="agreed" value="{escape(row.agreed_hash or "")}">'
    if row.kind == "gate":
        locked = f" Not to be changed: {', '.join(row.locked)}." if row.locked else ""
        fields += (
            f"<p><label>The arguments, as JSON; change them to approve others."
            f"{escape(visible(locked))}<br>"
            f'<textarea name="edits" rows="10">{escape(_json(proposal_of(row)))}</textarea>'
            "</label></p>"
        )
    elif row.kind == "input":
        fields += (
            f"<p>What is asked for:</p>{_raw(_as_value(row.schema))}"
            '<p><label>Your answer, as JSON<br><textarea name="value" rows="5"></textarea>'
            "</label></p>"
        )
    fields += (
        '<p><label>Comment<br><textarea name="comment" rows="2" maxlength="2000"></textarea>'
        "</label></p>"
        '<p><button name="decision" value="approve">Approve</button>'
        '<button name="decision" value="reject">Reject</button></p>'
    )
    who = f'<p class="note">You decide as {escape(visible(user))}. This link counts once.</p>'
    # no action: the form goes to where the page is, so the token stands nowhere in it
    return f'<h2>Decide</h2>{who}<form method="post" autocomplete="off">{fields}</form>'


def _raw(value: JsonValue) -> str:
    return f"<pre>{escape(_json(value))}</pre>"


def _json(value: JsonValue) -> str:
    # ASCII: what would not be seen stands as an escape
    return json.dumps(value, indent=2, ensure_ascii=True)


def _text(value: JsonValue) -> str:
    return visible(json.dumps(value, ensure_ascii=False))


def _as_value(schema: Any) -> JsonValue:
    found: JsonValue = schema
    return found
