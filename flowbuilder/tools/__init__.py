"""Tools: typed Python callables with input schema, output schema and declared effects.

`tool` declares one, `ToolRegistry` holds them by name and version, `bind` and `check_output` are
the two borders of a call: JSON arguments in, a JSON result out.
"""

from flowbuilder.tools.calls import bind, check_arguments, check_output, takes_context
from flowbuilder.tools.contract import (
    HARMLESS,
    Context,
    Effects,
    Fail,
    Handler,
    Retry,
    Secrets,
    Tool,
)
from flowbuilder.tools.declaration import tool
from flowbuilder.tools.registry import ToolRegistry, import_tools
from flowbuilder.tools.waits import Wait

__all__ = [
    "HARMLESS",
    "Context",
    "Effects",
    "Fail",
    "Handler",
    "Retry",
    "Secrets",
    "Tool",
    "ToolRegistry",
    "Wait",
    "bind",
    "check_arguments",
    "check_output",
    "import_tools",
    "takes_context",
    "tool",
]
