"""Every code of a problem, as the sources say them: `make surface` writes docs/problems.md by this.

`python -m tests.support.problem_codes` prints the page.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from flowbuilder import errors
from flowbuilder.api.problem_documents import DESCRIPTIONS
from flowbuilder.api.problems import BadRequest, Unavailable, status_of
from flowbuilder.api.refusals import Forbidden
from flowbuilder.errors import DatabaseError, FlowBuilderError, SettingsError
from flowbuilder.tools import Fail, Retry

ROOT = Path(__file__).parents[2]
FILE = "docs/problems.md"
REFRESH = "make surface"
#: What the service is made of; command line, measuring and local model have codes of theirs.
_SOURCES = ("api", "executor", "flowbuilder")
_LEFT_OUT = ("flowbuilder/cli/", "flowbuilder/localmodel/", "flowbuilder/bench/")
#: What has been done to mend a problem says the problem's code, and is none.
_MENDED = "Change"
#: What is raised here and means no answer of HTTP is what a step fails with.
_AT_WORK = ("executor/", "flowbuilder/toolkit/", "flowbuilder/secrecy/", "flowbuilder/tools/")
_CODE = re.compile(r"[a-z][a-z0-9_]*")
_REFUSAL = re.compile(
    r"flowbuilder\.refuse\(\s*'(\w+)',\s*'(\w+)',\s*(?:format\()?\s*'((?:[^']|'')*)'"
)
_REFUSED = {"not_found": 404, "conflict": 409, "transition": 409, "invalid": 422, "stale": 409}
_LONGEST = 110

HEAD = """\
# Problems

Every answer that is no success is a problem document (RFC 9457, `application/problem+json`):

```json
{"type": "urn:flowbuilder:problem:run_not_found", "title": "Not Found", "status": 404,
 "detail": "there is no run …", "code": "run_not_found", "instance": "urn:uuid:…", "errors": []}
```

`code` is stable. `instance` names this one occurrence and stands in the service's log beside the
cause. `errors` lists findings: `pointer` (RFC 6901) goes into the body, or `in` and `parameter`
name a part of the address or a header. Some have further members: `hint`, `details`, `decided_by`.

What nobody foresaw is a 500 `internal_error` without a word about its cause. Requests that are no
HTTP get 400 `request_malformed` and the end of their connection. `Accept` only chooses between JSON
and what else a route offers (`text/event-stream`, `text/markdown`); nobody gets a 406 for it.

## Statuses

| status | meaning |
|---|---|
"""
CODES = """
## Codes

A status is what the HTTP answer has. `finding` is a member of `errors` under another code, `step`
is what a step of a run fails with: it stands in the run's error and in its events.

| code | status | such as |
|---|---|---|
"""


@dataclass(frozen=True, order=True)
class Code:
    """One place that says a code."""

    code: str
    status: str
    text: str


def _known() -> dict[str, type[Exception]]:
    """The classes of errors that statuses are said of, by name; all others derive from them."""
    found: dict[str, type[Exception]] = {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, FlowBuilderError)
    }
    apart = (Fail, Retry, BadRequest, Unavailable, Forbidden)
    return found | {kind.__name__: kind for kind in apart}


class Reader:
    """Reads the codes of one file after the other."""

    def __init__(self, paths: list[Path]) -> None:
        self.known = _known()
        self.trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}
        self.bases = {
            node.name: ast.unparse(node.bases[0]).rpartition(".")[2]
            for tree in self.trees.values()
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef) and node.bases
        }

    def read(self, path: Path) -> Iterator[Code]:
        """Yield the codes of a file."""
        at_work = path.relative_to(ROOT).as_posix().startswith(_AT_WORK)
        for node in ast.walk(self.trees[path]):
            if isinstance(node, ast.Call):
                yield from self._of_call(node, at_work)
            elif isinstance(node, ast.ClassDef):
                yield from self._of_class(node, at_work)

    def _of_call(self, node: ast.Call, at_work: bool, name: str = "") -> Iterator[Code]:
        named = {item.arg: item.value for item in node.keywords if item.arg}
        code = _said(named.get("code"))
        called = ast.unparse(node.func).rpartition(".")[2]
        if not _CODE.fullmatch(code) or called == _MENDED or (called == "__init__" and not name):
            return
        first = node.args[0] if node.args else None
        text = _said(named.get("message") or named.get("detail")) or _said(first)
        status = named.get("status") or first
        if called == "problem_response" and isinstance(status, ast.Constant):
            yield Code(code, str(status.value), text)
        else:
            yield Code(code, self._status(name or called, code, at_work), text)

    def _of_class(self, node: ast.ClassDef, at_work: bool) -> Iterator[Code]:
        about = (ast.get_docstring(node) or "").partition("\n")[0]
        for item in ast.walk(node):
            if isinstance(item, ast.Call) and ast.unparse(item.func) == "super().__init__":
                for one in self._of_call(item, at_work, node.name):
                    yield Code(one.code, one.status, one.text or about)
            if isinstance(item, ast.Assign) and ast.unparse(item.targets[0]) == "default_code":
                code = _said(item.value)
                yield Code(code, self._status(node.name, code, at_work), about)

    def _status(self, name: str, code: str, at_work: bool) -> str:
        """Return what a problem of a class and code is answered with."""
        while name not in self.known and name in self.bases:
            name = self.bases[name]
        kind = self.known.get(name)
        if kind is None:
            return "finding"
        if not issubclass(kind, FlowBuilderError):
            return "step"
        error = kind.__new__(kind)
        error.code = code
        status = status_of(error)
        if status == 500 and at_work and not issubclass(kind, DatabaseError | SettingsError):
            return "step"
        return str(status)


def _said(node: ast.AST | None) -> str:
    """Return a message as it is written, with … where values go."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            _said(part) if isinstance(part, ast.Constant) else "…" for part in node.values
        )
    return ""


def _of_sql(path: Path) -> Iterator[Code]:
    for kind, code, text in _REFUSAL.findall(path.read_text(encoding="utf-8")):
        message = re.sub(r"%[sLI]", "…", text.replace("''", "'"))
        yield Code(code, str(_REFUSED.get(kind, 409)), message)


def codes() -> dict[str, tuple[list[str], str]]:
    """Return every code with its statuses and one of its messages."""
    found: dict[str, set[Code]] = {}
    paths = [
        path
        for folder in _SOURCES
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not path.relative_to(ROOT).as_posix().startswith(_LEFT_OUT) and not _is_mounted(path)
    ]
    reader = Reader(paths)
    for path in paths:
        for one in reader.read(path):
            found.setdefault(one.code, set()).add(one)
    for path in sorted((ROOT / "migrations").rglob("*.sql")):
        for one in _of_sql(path):
            found.setdefault(one.code, set()).add(one)
    return {
        code: (sorted({one.status for one in places}), _shortest(places))
        for code, places in sorted(found.items())
    }


def _is_mounted(path: Path) -> bool:
    """Say whether a file is seen through a link that puts a folder into the package."""
    return any((ROOT / part).is_symlink() for part in path.relative_to(ROOT).parents)


def _shortest(places: set[Code]) -> str:
    texts = sorted((one.text for one in places if one.text), key=lambda text: (len(text), text))
    text = " ".join(texts[0].split()) if texts else ""
    text = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return text.replace("|", "\\|")


def page() -> str:
    """Return the page of problems."""
    statuses = "".join(
        f"| {status} {HTTPStatus(status).phrase} | {about} |\n"
        for status, about in sorted(DESCRIPTIONS.items())
    )
    listed = "".join(
        f"| `{code}` | {', '.join(kinds)} | {text} |\n" for code, (kinds, text) in codes().items()
    )
    return HEAD + statuses + CODES + listed


if __name__ == "__main__":
    print(page(), end="")
