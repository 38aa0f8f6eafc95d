"""CEL expressions: for conditions and the transforming tools, never for anything else.

CEL is total, but it has no limit of cost of its own: three nested macros over two hundred elements
run for minutes. So length and nesting of macros are bounded when an expression is compiled, and
the number of element visits when it is evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flowbuilder.errors import InvalidValue
from flowbuilder.types import JsonValue

if TYPE_CHECKING:
    from cel import Program

LONGEST = 2000
DEEPEST_NESTING = 40
DEEPEST_MACROS = 2
#: Element visits in one evaluation; a million takes about a second.
MOST_VISITS = 1_000_000

_TEXT = re.compile(r'"(?:[^"\\\n]|\\.)*"|' r"'(?:[^'\\\n]|\\.)*'")
_STEP_NAME = re.compile(r"(?<![\w.])steps\s*\.\s*([A-Za-z_]\w*)")
_STEP_KEY = re.compile(r"""(?<![\w.])steps\s*\[\s*("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')\s*\]""")
_STEPS = re.compile(r"(?<![\w.])steps\b")
_MACRO = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*(\w*)")


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression."""

    text: str
    program: Program
    roots: frozenset[str]
    """The variables it reads: `input`, `steps`, `item` …"""
    steps: frozenset[str]
    """Ids of the steps it reads."""
    macros: int
    """How deep `all`, `exists`, `map`, `filter` nest."""

    def evaluate(self, scope: Mapping[str, JsonValue]) -> JsonValue:
        """Return the value over the given variables.

        Raises:
            InvalidValue: cel_missing (a field or variable does not exist), cel_type (operands
                that do not go together), cel_cost (too many elements), cel_failed.
        """
        self._check_cost(scope)
        variables: dict[str, Any] = {name: scope[name] for name in self.roots if name in scope}
        try:
            value: JsonValue = self.program.execute(variables)
        except KeyError as error:
            raise self._failure("cel_missing", f"there is no {error}") from None
        except IndexError as error:
            raise self._failure("cel_missing", str(error)) from None
        except TypeError:
            raise self._failure(
                "cel_type", "the operands do not go together (a number with a text, say, or null)"
            ) from None
        except (RuntimeError, ValueError, ZeroDivisionError, OverflowError) as error:
            raise self._failure("cel_failed", str(error)[:300]) from None
        return value

    def condition(self, scope: Mapping[str, JsonValue]) -> bool:
        """Return the value of a condition. Raises: InvalidValue, cel_not_bool for another type."""
        value = self.evaluate(scope)
        if not isinstance(value, bool):
            raise self._failure("cel_not_bool", f"a condition is true or false, not {value!r:.60}")
        return value

    def _check_cost(self, scope: Mapping[str, JsonValue]) -> None:
        if not self.macros:
            return
        largest = max((_largest(scope[name]) for name in self.roots if name in scope), default=0)
        if max(largest, 1) ** self.macros > MOST_VISITS:
            raise self._failure(
                "cel_cost",
                f"{self.macros} nested macros over {largest} elements are too much work",
            )

    def _failure(self, code: str, why: str) -> InvalidValue:
        return InvalidValue(f"{self.text[:120]}: {why}", code=code)


@lru_cache(maxsize=1024)
def compile_expression(text: str) -> Expression:
    """Compile a CEL expression.

    Raises:
        InvalidValue: cel_syntax, cel_too_long, cel_nesting, cel_macros, cel_steps (`steps` without
            a step's name).
    """
    if len(text) > LONGEST:
        raise InvalidValue(
            f"an expression has at most {LONGEST} characters, not {len(text)}", code="cel_too_long"
        )
    bare = _TEXT.sub('""', text)
    _check_nesting(bare)
    macros = _macro_depth(bare)
    if macros > DEEPEST_MACROS:
        raise InvalidValue(f"macros nest at most {DEEPEST_MACROS} deep", code="cel_macros")
    import cel

    try:
        program = cel.compile(text)
    except (ValueError, TypeError, RuntimeError) as error:
        first = str(error).splitlines()[0] if str(error) else "it cannot be read"
        raise InvalidValue(f"{text[:120]!r} is no CEL: {first[:300]}", code="cel_syntax") from None
    steps = step_names(text)
    named = len(_STEP_NAME.findall(bare)) + len(_STEP_KEY.findall(text))
    if len(_STEPS.findall(bare)) > named:
        raise InvalidValue("write steps.<id>, so that it is known what is read", code="cel_steps")
    roots = frozenset(program.variables()) - frozenset(_MACRO.findall(bare))
    return Expression(text, program, roots, frozenset(steps), macros)


def step_names(text: str) -> set[str]:
    """Return the ids of the steps that an expression reads, without compiling it."""
    found = set(_STEP_NAME.findall(_TEXT.sub('""', text)))
    return found | {key[1:-1] for key in _STEP_KEY.findall(text)}


def step_paths(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return `(step id, path)` for every plain path behind `steps.<id>`, as far as it is plain.

    The last name of a method call, as in `steps.a.text.startsWith("x")`, is no part of the path.
    """
    bare = _TEXT.sub('""', text)
    found = []
    for match in re.finditer(
        r"(?<![\w.])steps\s*\.\s*([A-Za-z_]\w*)((?:\s*\.\s*\w+(?!\w))*)", bare
    ):
        names = re.findall(r"\w+", match.group(2))
        if names and bare[match.end() :].lstrip().startswith("("):
            names = names[:-1]
        found.append((match.group(1), tuple(names)))
    return found


def _check_nesting(bare: str) -> None:
    depth = 0
    for character in bare:
        if character in "([{":
            depth += 1
            if depth > DEEPEST_NESTING:
                raise InvalidValue(
                    f"brackets nest at most {DEEPEST_NESTING} deep", code="cel_nesting"
                )
        elif character in ")]}":
            depth -= 1


def _macro_depth(bare: str) -> int:
    """Count how deep macros stand in each other's brackets."""
    starts = {bare.index("(", match.start()) for match in _MACRO.finditer(bare)}
    open_: list[bool] = []
    deepest = 0
    for place, character in enumerate(bare):
        if character == "(":
            open_.append(place in starts)
            deepest = max(deepest, sum(open_))
        elif character == ")" and open_:
            open_.pop()
    return deepest


def _largest(value: JsonValue) -> int:
    """Return the size of the largest list or object inside a value."""
    largest = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list | dict):
            largest = max(largest, len(item))
            waiting.extend(item if isinstance(item, list) else item.values())
    return largest
