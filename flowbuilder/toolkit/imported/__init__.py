"""Tools that others describe: operations of web APIs, tools of MCP servers.

What they say about themselves is text and shape for planners and validation. Where requests go,
what a tool may do to the world and which secrets it gets is said by the operator's file alone.
"""
