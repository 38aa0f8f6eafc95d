"""What is missing only until somebody answers."""

from __future__ import annotations

from collections.abc import Collection

from flowbuilder.errors import Problem


def answers_later(problem: Problem, asked: Collection[str]) -> bool:
    """Whether a problem is only that an argument is missing which the person is asked for.

    `asked` are the pointers of the questions.
    """
    if problem.code != "missing_argument":
        return False
    names = {pointer.rpartition("/")[2] for pointer in asked if _above(problem.pointer, pointer)}
    return any(repr(name) in problem.message for name in names)


def _above(parent: str, pointer: str) -> bool:
    return pointer.rpartition("/")[0] == parent
