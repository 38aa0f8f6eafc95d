"""CEL conditions over one record, for `data.filter`."""

from __future__ import annotations

from collections.abc import Callable

from flowbuilder.errors import InvalidValue
from flowbuilder.toolkit.fields import Record
from flowbuilder.tools import Fail


def predicate(text: str) -> Callable[[Record, int], bool]:
    """Return the test that a CEL expression over `item` and `index` stands for.

    Raises:
        Fail: `condition_invalid`: the text is no CEL, or it reads something else than a record.
    """
    from flowbuilder.expressions import compile_expression

    try:
        expression = compile_expression(text)
    except InvalidValue as error:
        raise Fail(error.message, code="condition_invalid") from None
    foreign = sorted(expression.roots - {"item", "index"})
    if foreign:
        raise Fail(
            f"the condition reads {', '.join(foreign)}; a record's fields are item.<field>",
            code="condition_invalid",
        )

    def holds(record: Record, index: int) -> bool:
        try:
            return expression.condition({"item": record, "index": index})
        except InvalidValue as error:
            raise Fail(f"record {index}: {error.message}", code="condition_invalid") from None

    return holds
