"""Reports as files: JSON for programs, JUnit for CI, and one HTML page for people.

Without timings two runs that found the same give the same bytes.
"""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path
from xml.sax.saxutils import quoteattr

from flowbuilder.errors import InvalidValue
from flowbuilder.evals.report import CaseReport, Report
from flowbuilder.secrecy import REDACTOR

SUFFIXES = (".json", ".xml", ".html")
#: What no XML 1.0 document may hold, escaped or not.
_NO_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_report(report: Report, path: Path, *, timings: bool = True) -> None:
    """Write a report to a file, by the suffix of its name.

    Raises:
        InvalidValue: The suffix is none of `SUFFIXES` (report_suffix).
        OSError: The file cannot be written.
    """
    check_suffix(path)
    writer = {".json": report_json, ".xml": report_junit, ".html": report_html}
    text = REDACTOR.text(writer[path.suffix.lower()](report, timings=timings))
    path.write_text(text, "utf-8", errors="replace")


def check_suffix(path: Path) -> None:
    """Refuse a file that no report is written to. Raises: InvalidValue (report_suffix)."""
    if path.suffix.lower() not in SUFFIXES:
        raise InvalidValue(
            f"{path.name} is no file of a report",
            code="report_suffix",
            hint=f"Call it something{' or something'.join(SUFFIXES)}.",
        )


def report_json(report: Report, *, timings: bool = True) -> str:
    """Return a report as indented JSON."""
    return json.dumps(report.as_json(timings=timings), ensure_ascii=False, indent=1) + "\n"


def report_junit(report: Report, *, timings: bool = True) -> str:
    """Return a report as JUnit XML: a test case for each case and trial."""
    failed = sum(not case.passed for case in report.cases)
    seconds = sum(case.seconds for case in report.cases) if timings else 0.0
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f"<testsuites><testsuite name={_attribute(report.suite)} "
        f'tests="{len(report.cases)}" failures="{failed}" errors="0" time="{seconds:.3f}">',
    ]
    for case in report.cases:
        spent = case.seconds if timings else 0.0
        head = (
            f"<testcase classname={_attribute(report.suite)} name={_attribute(_name(case))} "
            f'time="{spent:.3f}"'
        )
        if case.passed:
            lines.append(f"{head}/>")
        else:
            faults = case.faults()
            told = _escaped("\n".join(faults))
            lines.append(
                f"{head}><failure message={_attribute(faults[0])}>{told}</failure></testcase>"
            )
    return "\n".join([*lines, "</testsuite></testsuites>", ""])


def report_html(report: Report, *, timings: bool = True) -> str:
    """Return a report as one page that loads nothing from anywhere."""
    planner = f"{report.planner} ({report.model})" if report.model else report.planner
    title = f"{report.suite} · {planner}"
    intervals = report.intervals()
    scores = [
        _row(name, f"{value:.3f}", f"{intervals[name].low:.3f} … {intervals[name].high:.3f}")
        for name, value in report.scores().items()
    ]
    scores += [_row(f"pass^{k}", f"{value:.3f}", "") for k, value in report.pass_hat().items()]
    cases = [_case_row(case, timings=timings) for case in report.cases]
    passed = sum(case.passed for case in report.cases)
    heads = ["case", "passed", "goal", "planned", "tokens", *(["seconds"] if timings else [])]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
            "style-src 'unsafe-inline'\">",
            f"<title>{_escaped(title)}</title>",
            f"<style>{_STYLE}</style></head><body>",
            f"<h1>{_escaped(title)}</h1>",
            f"<p>{passed} of {len(report.cases)} passed</p>",
            _table(["score", "mean", "95 %"], scores),
            _table(heads, cases),
            "</body></html>",
            "",
        ]
    )


_STYLE = (
    "body{font:15px/1.4 system-ui,sans-serif;margin:2em;max-width:80em}"
    "table{border-collapse:collapse;margin:1em 0}"
    "td,th{border-bottom:1px solid #ccc;padding:.3em .6em;text-align:left;vertical-align:top}"
    "tr.no{background:#fdecea}td.faults{white-space:pre-wrap}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}tr.no{background:#3a1512}}"
)


def _table(heads: list[str], rows: list[str]) -> str:
    cells = "".join(f"<th>{_escaped(head)}</th>" for head in heads)
    return f"<table><thead><tr>{cells}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{_escaped(cell)}</td>' for cell in cells)}</tr>"


def _case_row(case: CaseReport, *, timings: bool) -> str:
    tokens = case.usage.prompt_tokens + case.usage.completion_tokens
    cells = [
        _name(case),
        "yes" if case.passed else "no",
        case.goal,
        " → ".join(case.planned),
        str(tokens),
        *([f"{case.seconds:.2f}"] if timings else []),
    ]
    row = "".join(f"<td>{_escaped(cell)}</td>" for cell in cells)
    if case.passed:
        return f"<tr>{row}</tr>"
    faults = _escaped("\n".join(case.faults()))
    return (
        f'<tr class="no">{row}</tr>'
        f'<tr class="no"><td></td><td class="faults" colspan="{len(cells) - 1}">{faults}</td></tr>'
    )


def _name(case: CaseReport) -> str:
    return case.name if case.trial == 1 else f"{case.name} (trial {case.trial})"


def _escaped(text: str) -> str:
    return escape(_NO_XML.sub("�", text))


def _attribute(text: str) -> str:
    return quoteattr(_NO_XML.sub("�", text))
