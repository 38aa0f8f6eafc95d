"""CEL expressions: for conditions and the transforming tools, never for anything else.

CEL is total, but it has no limit of cost of its own: three nested macros over two hundred elements
run for minutes. So length and nesting of macros are bounded when an expression is compiled, and
the work over the elements that are really there when it is evaluated.
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flowbuilder.errors import InvalidValue
from flowbuilder.expression_text import (
    REMEMBERED,
    alike,
    bare_code,
    calling,
    copies_lists,
    growth,
    is_deeper,
    loop_variables,
    macro_depth,
    names_every_step,
    step_names,
)
from flowbuilder.strictjson import DOCUMENT_LIMITS, check
from flowbuilder.types import JsonValue

if TYPE_CHECKING:
    from cel import Program

LONGEST = 2000
DEEPEST_NESTING = 40
DEEPEST_MACROS = 2
#: Element visits in one evaluation; a million takes some three seconds.
MOST_VISITS = 1_000_000
#: Element copies in one evaluation; ten million take some two seconds. Each step of `map` and
#: `filter` copies the list collected so far, and `in` reads a list from its start.
MOST_COPIES = 10_000_000

#: Characters or elements that a value could come to. Each `map` may double what it is given, and a
#: chain of them would double it again and again.
MOST_GROWN = 64_000_000

#: The functions of CEL that the library has, and ours. `size` is ours under another name: the
#: library counts bytes where CEL counts characters.
_SIZE = "size_of"
# fmt: off
_FUNCTIONS = frozenset({
    "contains", "startsWith", "endsWith", "matches", "int", "uint", "double", "string", "bytes",
    "timestamp", "duration", "type", "dyn", "getFullYear", "getMonth", "getDate",
    "getDayOfMonth", "getDayOfYear", "getDayOfWeek", "getHours", "getMinutes", "getSeconds",
    "getMilliseconds", "lowerAscii", "upperAscii", "trim",
    _SIZE,
})
# fmt: on


@dataclass(frozen=True, slots=True)
class Expression:
    """A compiled expression."""

    text: str
    roots: frozenset[str]
    """The variables it reads: `input`, `steps`, `item` …"""
    steps: frozenset[str]
    """Ids of the steps it reads."""
    macros: int
    """How deep `all`, `exists`, `map`, `filter` nest."""
    loops: int
    """How many of them there are."""
    copies: bool
    """Whether some of them copy lists, which takes quadratic time."""
    grown: int
    """How many copies of what it reads its value may hold."""

    @property
    def program(self) -> Program:
        """What can be run; most expressions are only looked at."""
        return _program(self.text)

    def evaluate(self, scope: Mapping[str, JsonValue]) -> JsonValue:
        """Return the value over the given variables.

        Raises:
            InvalidValue: cel_missing (a field or variable does not exist), cel_type (operands
                that do not go together), cel_cost (too many elements), cel_failed.
        """
        from cel import Context

        variables = self._variables(scope)
        self._check_cost(variables)
        try:
            value = self.program.execute(Context(variables=variables, functions=_OURS))
        except KeyError as error:
            raise self._failure("cel_missing", f"there is no {error}") from None
        except IndexError as error:
            raise self._failure("cel_missing", str(error)) from None
        except TypeError:
            raise self._failure("cel_type", _TYPES_DIFFER) from None
        except (RuntimeError, ValueError, ArithmeticError) as error:
            raise self._failed(str(error)) from None
        except BaseException as error:
            raise _unless_panic(error, self._failure("cel_failed", _PANIC)) from None
        return self._json(value)

    def _variables(self, scope: Mapping[str, JsonValue]) -> dict[str, Any]:
        """Pick what the expression reads: outputs of other steps need not be copied."""
        found: dict[str, Any] = {name: scope[name] for name in self.roots if name in scope}
        steps = found.get("steps")
        if isinstance(steps, Mapping):
            found["steps"] = {name: steps[name] for name in self.steps if name in steps}
        return found

    def _json(self, value: object) -> JsonValue:
        if isinstance(value, bool):
            return value
        try:
            return check(value, limits=DOCUMENT_LIMITS)
        except InvalidValue as error:
            raise self._failure(
                "cel_type", f"the result cannot be used as it is: {error.message}"
            ) from None

    def _failed(self, why: str) -> InvalidValue:
        if why.startswith("Undefined variable or function"):
            return self._failure("cel_missing", why.partition(". ")[0])
        if "Python function call failed" in why:
            return self._failure("cel_type", _TYPES_DIFFER)
        return self._failure("cel_failed", why[:300])

    def condition(self, scope: Mapping[str, JsonValue]) -> bool:
        """Return the value of a condition. Raises: InvalidValue, cel_not_bool for another type."""
        value = self.evaluate(scope)
        if not isinstance(value, bool):
            raise self._failure("cel_not_bool", f"a condition is true or false, not {value!r:.60}")
        return value

    def _check_cost(self, variables: Mapping[str, JsonValue]) -> None:
        if self.grown > 1:
            longest = max([len(self.text), *map(_longest, variables.values())])
            if self.grown * longest > MOST_GROWN:
                raise self._failure("cel_cost", "its value could become too large")
        if not self.macros:
            return
        # A list may also stand in the expression itself.
        largest = max(
            [_largest(value) for value in variables.values()] + [self.text.count(",") + 1]
        )
        visits = self.loops * largest**self.macros
        if visits > MOST_VISITS or (self.copies and visits * largest > MOST_COPIES):
            raise self._failure(
                "cel_cost",
                f"going over {largest} elements in this way is too much work; "
                "filter or aggregate them in a step before",
            )

    def _failure(self, code: str, why: str) -> InvalidValue:
        return InvalidValue(f"{self.text[:120]}: {why}", code=code)


def compile_expression(text: str) -> Expression:
    """Compile a CEL expression.

    Raises:
        InvalidValue: cel_syntax, cel_too_long, cel_nesting, cel_macros, cel_function (no such
            function), cel_steps (`steps` without a step's name).
    """
    if len(text) > LONGEST:
        raise InvalidValue(
            f"an expression has at most {LONGEST} characters, not {len(text)}", code="cel_too_long"
        )
    found = _compiled(text)
    if isinstance(found, Expression):
        return found
    code, message, hint = found
    raise InvalidValue(message, code=code, hint=hint)


@lru_cache(maxsize=REMEMBERED)
def _compiled(text: str) -> Expression | tuple[str, str, str | None]:
    """Return an expression, or code, message and hint of why it is none."""
    try:
        return _read(text)
    except InvalidValue as error:
        return error.code, error.message, error.hint


def _read(text: str) -> Expression:
    bare = bare_code(text)
    if is_deeper(bare, DEEPEST_NESTING):
        raise InvalidValue(f"brackets nest at most {DEEPEST_NESTING} deep", code="cel_nesting")
    macros = macro_depth(bare)
    if macros > DEEPEST_MACROS:
        raise InvalidValue(f"macros nest at most {DEEPEST_MACROS} deep", code="cel_macros")
    variables = _variables(alike(text))
    if variables is None:  # say what is wrong with the text as it is written
        variables = frozenset(_program(text).variables())
    if not names_every_step(bare):
        raise InvalidValue("write steps.<id>, so that it is known what is read", code="cel_steps")
    loops = loop_variables(bare)
    return Expression(
        text=text,
        roots=variables - set(loops),
        steps=step_names(text),
        macros=macros,
        loops=len(loops),
        copies=copies_lists(bare),
        grown=growth(bare),
    )


@lru_cache(maxsize=1024)
def _variables(text: str) -> frozenset[str] | None:
    """Return the variables of an expression, None when it is none."""
    try:
        return frozenset(_program(text).variables())
    except InvalidValue:
        return None


@lru_cache(maxsize=1024)
def _program(text: str) -> Program:
    import cel

    # It reports what our functions raise; that is an error of the expression, told as such.
    log = logging.getLogger("cel")
    if log.level != logging.ERROR:  # to set it takes longer than most expressions
        log.setLevel(logging.ERROR)
    try:
        program = cel.compile(text)  # as written, so that an error has the right place
        renamed = calling(text, "size", _SIZE)
        if renamed != text:
            program = cel.compile(renamed)
    except (ValueError, TypeError, RuntimeError) as error:
        place = _PLACE.search(str(error))
        why = (
            place.group(0).partition(" expecting {")[0]
            if place
            else (str(error).splitlines() or ["it cannot be read"])[0]
        )
        raise InvalidValue(f"{text[:120]!r} is no CEL: {why[:300]}", code="cel_syntax") from None
    except BaseException as error:
        failure = InvalidValue(f"{text[:120]!r}: {_PANIC}", code="cel_syntax")
        raise _unless_panic(error, failure) from None
    for name in program.functions():
        if name.isidentifier() and name != "_" and name not in _FUNCTIONS:
            near = difflib.get_close_matches(name, _FUNCTIONS - {_SIZE} | {"size", "has"}, 1)
            raise InvalidValue(
                f"{text[:120]!r}: there is no function {name!r}",
                code="cel_function",
                hint=f"Did you mean {near[0]!r}?" if near else None,
            )
    return program


def _unless_panic(error: BaseException, failure: InvalidValue) -> BaseException:
    """Return the failure for a panic of the library, which is no `Exception`, else the error."""
    return failure if type(error).__name__ == "PanicException" else error


def _size(value: object) -> int:
    if isinstance(value, str | bytes | list | dict):
        return len(value)
    raise TypeError("size() takes a text, a list or an object")


def _on_text(change: Callable[[str], str]) -> Callable[[object], str]:
    def changed(value: object) -> str:
        if not isinstance(value, str):
            raise TypeError("this function takes a text")
        return change(value)

    return changed


_OURS: dict[str, Callable[[Any], Any]] = {
    _SIZE: _size,
    "lowerAscii": _on_text(str.lower),
    "upperAscii": _on_text(str.upper),
    "trim": _on_text(str.strip),
}
_PANIC = "the expression is more than the library can do"
_PLACE = re.compile(r"<input>:\d+:\d+: [^\n]*")
_TYPES_DIFFER = (
    "the operands do not go together: a text with a number, null with anything, or a whole number "
    "with a fraction (write double(x) or 1.0)"
)


def _longest(value: JsonValue) -> int:
    """Return the length of the longest text, list or object inside a value."""
    longest = 0
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str | list | dict):
            longest = max(longest, len(item))
        if isinstance(item, list | dict):
            waiting.extend(item if isinstance(item, list) else item.values())
    return longest


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
